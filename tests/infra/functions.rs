//! One function per folder, built the same way, with the settings that its code reads and no others.

use crate::template::{FUNCTIONS, Template, logical_id, root};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The settings that a function's code reads: the list in its wiring; `edge::settings` lets it read no others.
fn settings(folder: &str) -> BTreeSet<String> {
    let wiring = std::fs::read_to_string(root().join(format!("functions/{folder}/src/wiring.rs"))).unwrap();
    let list = wiring.split("&[&str] =").nth(1).unwrap().split(['[', ']']).nth(1).unwrap();
    list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// Settings that the C library reads, and no code of ours.
const OF_THE_C_LIBRARY: [&str; 1] = ["GLIBC_TUNABLES"];

/// The settings that the template gives a function.
fn given(template: &Template, folder: &str) -> BTreeSet<String> {
    let own = template.at(&format!("/Resources/{}/Properties/Environment/Variables", logical_id(folder)));
    &names(template.at("/Globals/Function/Environment/Variables")) | &names(own)
}

fn names(value: &Value) -> BTreeSet<String> {
    value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

fn problems(template: &Template) -> Vec<String> {
    let mut problems = Vec::new();
    let declared: BTreeMap<_, _> = template.all("AWS::Serverless::Function").into_iter().collect();
    let wanted: BTreeSet<String> = FUNCTIONS.iter().map(|folder| logical_id(folder)).collect();
    if declared.keys().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>() != wanted {
        problems.push(format!("the template's functions are {:?}", declared.keys()));
    }
    let globals = template.at("/Globals/Function");
    for (name, value) in [
        ("CodeUri", json!("../")),
        ("Handler", json!("bootstrap")),
        ("Runtime", json!("provided.al2023")),
        ("Architectures", json!([{ "Ref": "Architecture" }])),
        ("Tracing", json!("Active")),
    ] {
        if globals[name] != value || declared.values().any(|function| !function[name].is_null()) {
            problems.push(format!("{name} is not {value} everywhere"));
        }
    }
    for folder in FUNCTIONS {
        let id = logical_id(folder);
        let metadata = json!({ "BuildMethod": "rust-cargolambda", "BuildProperties": { "Binary": folder } });
        if *template.at(&format!("/Resources/{id}/Metadata")) != metadata {
            problems.push(format!("{id} is not built from functions/{folder}"));
        }
        let function = template.at(&format!("/Resources/{id}/Properties"));
        let (mut given, read) = (given(template, folder), settings(folder));
        given.retain(|name| !OF_THE_C_LIBRARY.contains(&name.as_str()));
        if given != read {
            problems.push(format!("{id} is given {given:?}, its code reads {read:?}"));
        }
        let logs = format!("{id}Logs");
        let retention = template.at(&format!("/Resources/{logs}/Properties/RetentionInDays"));
        if function["LoggingConfig"]["LogGroup"] != json!({ "Ref": logs }) || retention.is_null() {
            problems.push(format!("{id} has no log group that forgets"));
        }
    }
    problems
}

/// The settings that the README's table lists, with the functions that it says read them.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let table = readme.split("| variable | read by | meaning |\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut documented = BTreeMap::new();
    for row in table.lines().skip(1) {
        let [names, readers, meaning] = row.trim_matches('|').splitn(3, '|').collect::<Vec<_>>().try_into().unwrap();
        assert!(!meaning.trim().is_empty(), "{row}");
        for name in names.split('`').skip(1).step_by(2) {
            let readers = readers.split(',').flat_map(|reader| match reader.trim() {
                "all" => FUNCTIONS.map(str::to_owned).to_vec(),
                short => FUNCTIONS.iter().filter(|it| it.contains(short)).map(|it| (*it).to_owned()).collect(),
            });
            documented.insert(name.to_owned(), readers.collect());
        }
    }
    documented
}

/// The packages in `functions/`, each with a binary of its folder's name.
fn folders() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("functions")).unwrap().map(|entry| entry.unwrap());
    let packages = entries.filter(|entry| entry.path().join("src/main.rs").exists());
    let mut folders: Vec<String> = packages.map(|entry| entry.file_name().into_string().unwrap()).collect();
    folders.sort();
    folders
}

#[test]
fn the_readmes_table_of_settings_is_what_the_code_reads() {
    let mut read = BTreeMap::<String, BTreeSet<String>>::new();
    for folder in FUNCTIONS {
        let of_the_c_library = given(&Template::real(), folder).into_iter();
        let of_the_c_library = of_the_c_library.filter(|name| OF_THE_C_LIBRARY.contains(&name.as_str()));
        for setting in settings(folder).into_iter().chain(of_the_c_library) {
            read.entry(setting).or_default().insert(folder.to_owned());
        }
    }
    assert_eq!(documented(), read);
}

#[test]
fn every_folder_is_a_function() {
    assert_eq!(folders(), FUNCTIONS);
}

#[test]
fn every_function_is_built_from_its_folder_and_given_what_it_reads() {
    assert_eq!(problems(&Template::real()), Vec::<String>::new());
}

#[test]
fn a_broken_function_is_noticed() {
    for (old, new, problem) in [
        ("\n  Sweeper:\n", "\n  Broom:\n", "the template's functions are"),
        ("Binary: get_export_job", "Binary: list_export_jobs", "not built from functions/get_export_job"),
        ("Runtime: provided.al2023", "Runtime: provided.al2", "Runtime is not"),
        ("      Timeout: 5\n", "      Timeout: 5\n      Architectures: [arm64]\n", "Architectures is not"),
        ("          AUTH_JWKS: ", "          JWKS: ", "Authorizer is given"),
        ("          LEASE_SECONDS: !Ref LeaseSeconds\n", "", "ExportWorker is given"),
        ("        LOG_LEVEL: ", "        RUST_LOG: ", "GetExportJob is given"),
        ("LogGroup: !Ref SweeperLogs", "LogGroup: !Ref AuthorizerLogs", "Sweeper has no log group"),
    ] {
        let found = problems(&Template::edited(old, new));
        assert!(found.iter().any(|it| it.contains(problem)), "{old} → {new}: {found:?}");
    }
}
