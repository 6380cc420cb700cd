//! Demo, tests and documentation resolve every crate to the same features, so that each is compiled once.

use crate::template::root;
use std::collections::BTreeSet;
use std::process::Command;

/// The crates that a selection of packages compiles, each with its features.
fn compiled(selection: &[&str]) -> BTreeSet<String> {
    let tree = ["tree", "--offline", "--locked", "--prefix=none", "--format={p} [{f}]"];
    let output = Command::new(env!("CARGO")).args(tree).args(selection).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let crates = lines.lines().filter(|line| !line.is_empty());
    crates.map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

fn again<'a>(first: &'a BTreeSet<String>, second: &'a BTreeSet<String>) -> Vec<&'a String> {
    first.difference(second).collect()
}

#[test]
fn demo_tests_and_documentation_share_every_compiled_crate() {
    let tests = compiled(&["--workspace", "--edges=normal,build,dev"]);
    let none = Vec::<&String>::new();
    assert_eq!(again(&compiled(&["--package=local", "--edges=normal,build"]), &tests), none);
    assert_eq!(again(&compiled(&["--workspace", "--edges=normal,build"]), &tests), none);
}

#[test]
fn a_feature_that_only_one_of_them_has_is_noticed() {
    let tests = compiled(&["--workspace", "--edges=normal,build,dev"]);
    let serde = tests.iter().find(|line| line.starts_with("serde_json ")).unwrap();
    let demo = BTreeSet::from([serde.replace(']', ",arbitrary_precision]")]);
    assert_eq!(again(&demo, &tests).len(), 1);
}
