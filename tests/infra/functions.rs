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
    let common = names(&globals["Environment"]["Variables"]);
    for folder in FUNCTIONS {
        let id = logical_id(folder);
        let metadata = json!({ "BuildMethod": "rust-cargolambda", "BuildProperties": { "Binary": folder } });
        if *template.at(&format!("/Resources/{id}/Metadata")) != metadata {
            problems.push(format!("{id} is not built from functions/{folder}"));
        }
        let function = template.at(&format!("/Resources/{id}/Properties"));
        let given = &common | &names(&function["Environment"]["Variables"]);
        let read = settings(folder);
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

/// The packages in `functions/`, each with a binary of its folder's name.
fn folders() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("functions")).unwrap().map(|entry| entry.unwrap());
    let packages = entries.filter(|entry| entry.path().join("src/main.rs").exists());
    let mut folders: Vec<String> = packages.map(|entry| entry.file_name().into_string().unwrap()).collect();
    folders.sort();
    folders
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
