//! Every dependency that a manifest names is used by the code beside it.

use crate::house::metadata;
use crate::template::root;
use cargo_metadata::{DependencyKind, Metadata, NodeDep};
use std::collections::BTreeSet;
use std::path::Path;

/// A package's code.
#[derive(Default)]
struct Code {
    /// What is built for use.
    product: String,
    /// That and its tests.
    all: String,
}

impl Code {
    /// What lies below a package's folder; a package within is another's.
    fn below(folder: &Path) -> Self {
        let mut code = Self::default();
        code.read(folder, false);
        code
    }

    fn read(&mut self, folder: &Path, tests: bool) {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let tests = tests || path.file_stem().is_some_and(|name| name == "tests");
            if path.is_dir() && !path.join("Cargo.toml").exists() {
                self.read(&path, tests);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                if !tests {
                    self.product.push_str(text.split("mod tests {").next().unwrap());
                }
                self.all.push_str(&text);
            }
        }
    }

    /// Whether a dependency of a kind is named where that kind may be used.
    fn uses(&self, name: &str, kind: DependencyKind) -> bool {
        let code = if kind == DependencyKind::Development { &self.all } else { &self.product };
        code.match_indices(name).any(|(at, _)| {
            let within = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let rest = &code[at + name.len()..];
            !code[..at].ends_with(within) && ["::", ";", " as "].iter().any(|next| rest.starts_with(next))
        })
    }
}

fn problems(metadata: &Metadata) -> Vec<String> {
    let mut problems = Vec::new();
    for node in &metadata.resolve.as_ref().unwrap().nodes {
        if metadata.workspace_members.contains(&node.id) {
            let package = &metadata[&node.id];
            let code = Code::below(package.manifest_path.parent().unwrap().as_std_path());
            problems.extend(unused(&code, &node.deps).map(|name| format!("{} does not use {name}", package.name)));
        }
    }
    problems
}

/// The dependencies that code does not use, as it would name them.
fn unused<'a>(code: &'a Code, dependencies: &'a [NodeDep]) -> impl Iterator<Item = &'a str> {
    let kinds = dependencies.iter().flat_map(|it| it.dep_kinds.iter().map(|kind| (it.name.as_str(), kind.kind)));
    kinds.filter(|(name, kind)| !code.uses(name, *kind)).map(|(name, _)| name)
}

/// What the workspace's manifest offers and no package takes.
fn not_taken(manifest: &str, taken: &BTreeSet<String>) -> Vec<String> {
    let section = manifest.split("[workspace.dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let offered = section.lines().filter_map(|line| Some(line.split_once(" = ")?.0.to_owned()));
    offered.filter(|name| !taken.contains(name)).collect()
}

#[test]
fn every_dependency_is_used() {
    let metadata = metadata();
    assert_eq!(problems(&metadata), Vec::<String>::new());
    let packages = metadata.workspace_packages();
    let taken = packages.iter().flat_map(|package| package.dependencies.iter().map(|it| it.name.clone())).collect();
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert_eq!(not_taken(&manifest, &taken), Vec::<String>::new());
}

#[test]
fn a_dependency_that_nothing_uses_is_noticed() {
    let product = "use serde::Serialize; let at = crate::bytes::of(hyper_util::now());".to_owned();
    let code = Code { all: format!("{product} use tempfile::tempdir;"), product };
    for (name, kind, used) in [
        ("serde", DependencyKind::Normal, true),
        ("bytes", DependencyKind::Normal, false),
        ("hyper", DependencyKind::Normal, false),
        ("tempfile", DependencyKind::Normal, false),
        ("tempfile", DependencyKind::Development, true),
    ] {
        assert_eq!(code.uses(name, kind), used, "{name}");
    }
    let manifest = "[workspace.dependencies]\n# Kept.\nserde = \"1\"\nrayon = { version = \"1\" }\n\n[profile.dev]\nopt-level = 1\n";
    assert_eq!(not_taken(manifest, &BTreeSet::from(["serde".to_owned()])), ["rayon"]);
}
