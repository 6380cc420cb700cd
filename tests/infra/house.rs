//! Who may import whom (docs/architecture.md), over `cargo metadata`.

use crate::template::{FUNCTIONS, root};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Package → the packages of this workspace that it may use.
fn may_use(package: &str) -> Vec<&'static str> {
    match package {
        "domain" => vec![],
        "engine" | "lake" | "aws" | "edge" | "testkit" => vec!["domain"],
        "export_worker" => vec!["aws", "domain", "edge", "engine", "lake"],
        "admin" => vec!["aws", "domain", "lake"],
        "local" => [&["admin", "aws", "domain", "edge"], &FUNCTIONS[..]].concat(),
        function if FUNCTIONS.contains(&function) => vec!["aws", "domain", "edge"],
        "tests" => vec!["local"],
        "bench" => vec!["domain", "engine"],
        "hostile" => vec!["domain", "engine", "testkit"],
        _ => vec![],
    }
}

/// Package → what must not be in it, at any depth.
const NEVER_LINKED: [(&[&str], &[&str]); 5] = [
    (
        &["authorizer", "cancel_export_job", "create_export_job", "get_export_job", "list_export_jobs", "sweeper"],
        &["parquet", "iceberg", "arrow-array"],
    ),
    (&["domain"], &["tokio", "http", "hyper", "rand", "aws-config", "lambda_runtime", "arrow-array", "iceberg"]),
    (&["engine"], &["http", "hyper", "aws-config", "aws-sigv4", "lambda_runtime", "iceberg"]),
    (&["edge"], &["aws-config", "aws-sdk-dynamodb", "aws-sdk-s3", "aws-sdk-sqs", "arrow-array", "parquet", "iceberg"]),
    (&["lake"], &["aws-sdk-dynamodb", "aws-sdk-s3", "aws-sdk-sqs", "aws-sdk-glue", "lambda_runtime"]),
];

/// Packages and what each uses directly, by name.
struct House {
    members: BTreeSet<String>,
    normal: BTreeMap<String, BTreeSet<String>>,
    dev: BTreeMap<String, BTreeSet<String>>,
}

impl House {
    fn real() -> Self {
        Self::from(&metadata())
    }

    fn from(metadata: &Metadata) -> Self {
        let name = |id| metadata[id].name.to_string();
        let mut house = Self {
            members: metadata.workspace_members.iter().map(name).collect(),
            normal: BTreeMap::new(),
            dev: BTreeMap::new(),
        };
        for node in &metadata.resolve.as_ref().unwrap().nodes {
            for dependency in &node.deps {
                for kind in &dependency.dep_kinds {
                    let edges =
                        if kind.kind == DependencyKind::Development { &mut house.dev } else { &mut house.normal };
                    edges.entry(name(&node.id)).or_default().insert(name(&dependency.pkg));
                }
            }
        }
        house
    }

    /// All that is linked into a package.
    fn linked<'a>(&'a self, package: &'a str) -> BTreeSet<&'a str> {
        let mut linked = BTreeSet::new();
        let mut left = vec![package];
        while let Some(package) = left.pop() {
            let used = self.normal.get(package).into_iter().flatten().map(String::as_str);
            left.extend(used.filter(|name| linked.insert(*name)));
        }
        linked
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for package in &self.members {
            let ours = |edges: &BTreeMap<String, BTreeSet<String>>| -> BTreeSet<String> {
                edges.get(package).map(|used| used & &self.members).unwrap_or_default()
            };
            let (normal, dev) = (
                may_use(package),
                if ["tests", "simulation"].contains(&package.as_str()) { &self.members } else { &testkit() },
            );
            let wrong = ours(&self.normal).into_iter().filter(|used| !normal.contains(&used.as_str()));
            let wrong = wrong.chain(ours(&self.dev).into_iter().filter(|used| !dev.contains(used)));
            problems.extend(wrong.map(|used| format!("{package} may not use {used}")));
        }
        for (packages, never) in NEVER_LINKED {
            for package in packages {
                let linked = self.linked(package);
                let wrong = never.iter().filter(|name| linked.contains(**name));
                problems.extend(wrong.map(|name| format!("{package} links {name}")));
            }
        }
        problems
    }
}

/// This workspace's metadata, for this machine's platform, from the lock file alone.
pub fn metadata() -> Metadata {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let rustc = String::from_utf8(rustc).unwrap();
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(["--offline", "--locked", "--filter-platform", host].map(str::to_owned))
        .exec()
        .unwrap()
}

/// What tests of any package may use beside it.
fn testkit() -> BTreeSet<String> {
    BTreeSet::from(["testkit".to_owned()])
}

#[test]
fn every_package_uses_only_what_it_may() {
    let house = House::real();
    assert_eq!(house.problems(), Vec::<String>::new());
    let known = [
        "admin",
        "aws",
        "bench",
        "domain",
        "edge",
        "engine",
        "hostile",
        "lake",
        "local",
        "simulation",
        "testkit",
        "tests",
    ]
    .iter()
    .chain(&FUNCTIONS);
    assert_eq!(house.members, known.map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
    assert!(house.linked("export_worker").contains("iceberg"), "the graph is whole");
}

#[test]
fn a_forbidden_edge_is_noticed() {
    for (package, used, dev, problem) in [
        ("domain", "edge", false, "domain may not use edge"),
        ("engine", "lake", false, "engine may not use lake"),
        ("aws", "testkit", false, "aws may not use testkit"),
        ("edge", "aws", true, "edge may not use aws"),
        ("get_export_job", "engine", false, "get_export_job links parquet"),
        ("edge", "parquet", false, "list_export_jobs links parquet"),
        ("domain", "tokio", false, "domain links tokio"),
        ("lake", "aws-sdk-s3", false, "lake links aws-sdk-s3"),
    ] {
        let mut house = House::real();
        let edges = if dev { &mut house.dev } else { &mut house.normal };
        edges.entry(package.to_owned()).or_default().insert(used.to_owned());
        let found = house.problems();
        assert!(found.iter().any(|it| it == problem), "{package} → {used}: {found:?}");
    }
}
