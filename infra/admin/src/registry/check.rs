//! What must hold within a registry file, and between it and the tables.

use super::file::{Declared, Placed, RegistryFile, Sandbox};
use crate::yaml::Finding;
use domain::registry::{AttributeMerge, BUILT_IN_POLICY, DatasetKind, Segment};
use domain::schema::{Differences, Kind, Nested, Schema, differences};
use std::collections::{BTreeMap, BTreeSet};

/// Columns that only export datasets have.
const EXPORT_ONLY: [&str; 2] = ["batchId", "timeSeriesEvents"];

/// Adds every reference that names nothing, and every id that comes twice.
pub fn references(file: &RegistryFile, found: &mut Vec<Finding>) {
    let described: BTreeSet<_> = file.sandboxes.iter().map(|s| s.tenant.sandbox()).collect();
    twice(file.clients.iter().map(|c| (c.path.clone(), c.item.api_key.clone())), found);
    for client in &file.clients {
        for (i, sandbox) in client.item.grants.iter().flat_map(|g| &g.sandboxes).enumerate() {
            if !described.contains(sandbox.as_str()) {
                let what = format!("names the sandbox {sandbox}, which this file does not describe.");
                found.push(Finding::at(format!("{}.sandboxes[{i}]", client.path), what));
            }
        }
    }
    for sandbox in &file.sandboxes {
        let datasets = || sandbox.datasets.iter();
        twice(datasets().map(|d| (format!("{}.id", d.path), d.item.dataset.id.clone())), found);
        twice(datasets().map(|d| (format!("{}.table", d.path), d.item.dataset.table.to_string())), found);
        policies(sandbox, found);
        segments(sandbox, found);
    }
}

fn policies(sandbox: &Sandbox, found: &mut Vec<Finding>) {
    let policies = || sandbox.policies.iter();
    twice(policies().map(|p| (p.path.clone(), format!("{} version {}", p.item.id, p.item.version))), found);
    let default = policies().find(|p| p.item.default).map(|p| &p.item.id);
    for Placed { path, item } in policies() {
        if let Some(first) = default.filter(|first| item.default && **first != item.id) {
            found.push(Finding::at(
                format!("{path}.default"),
                format!("must be false: {first} is the default already."),
            ));
        }
        if let AttributeMerge::DataSetPrecedence { order } = &item.attribute_merge {
            let at = |i| format!("{path}.attributeMerge.order[{i}]");
            twice(order.iter().enumerate().map(|(i, id)| (at(i), id.clone())), found);
            for (i, id) in order.iter().enumerate() {
                let named = sandbox.datasets.iter().find(|d| d.item.dataset.id == *id);
                if named.is_none_or(|d| d.item.dataset.kind != DatasetKind::Profile) {
                    found.push(Finding::at(at(i), format!("names {id}, which is no profile dataset of this sandbox.")));
                }
            }
        }
    }
}

fn segments(sandbox: &Sandbox, found: &mut Vec<Finding>) {
    let key = |s: &Segment| format!("{}/{}", s.ns.to_ascii_lowercase(), s.id);
    twice(sandbox.segments.iter().map(|s| (s.path.clone(), key(&s.item))), found);
    for Placed { path, item } in &sandbox.segments {
        let Some(policy) = &item.merge_policy_id else { continue };
        if policy != BUILT_IN_POLICY && !sandbox.policies.iter().any(|p| p.item.id == *policy) {
            let what = format!("names {policy}, which is no merge policy of this sandbox.");
            found.push(Finding::at(format!("{path}.mergePolicyId"), what));
        }
    }
}

/// Adds every text that an earlier path has already.
fn twice(all: impl Iterator<Item = (String, String)>, found: &mut Vec<Finding>) {
    let mut first = BTreeMap::new();
    for (path, text) in all {
        match first.get(&text) {
            Some(earlier) => found.push(Finding::at(path, format!("says {text} again; {earlier} does already."))),
            None => {
                first.insert(text, path);
            }
        }
    }
}

/// Adds what a profile or event dataset's columns lack for the product to read them.
pub fn columns(path: &str, declared: &Declared, schema: &Schema, found: &mut Vec<Finding>) {
    let names = &declared.dataset.columns;
    let mut expect = |name: &str, needed: bool, what: &str, fits: &dyn Fn(&Kind) -> bool| match schema.field(name) {
        Some(field) if fits(&field.kind) => {}
        Some(field) => {
            let what = format!("the column {name} must be {what}; it is {}.", field.kind.describe());
            found.push(Finding::at(path, what));
        }
        None if needed => {
            let what = format!("the table has no column {name}; it must have one that is {what} (see columns).");
            found.push(Finding::at(path, what));
        }
        None => {}
    };
    let is = |name: &'static str| move |kind: &Kind| matches!(kind, Kind::Primitive(p) if p == name);
    expect(&names.profile_id, true, "string", &is("string"));
    expect(&names.ingest_time, true, "timestamptz", &is("timestamptz"));
    expect(&names.identity_map, false, "map<string, list<struct{id: string, …}>>", &is_identity_map);
    let what = "map<string, map<string, struct{status: string, lastQualificationTime: timestamptz, …}>>";
    expect(&names.segment_membership, false, what, &is_membership);
    if declared.dataset.kind == DatasetKind::Event {
        expect(&names.timestamp, true, "timestamptz", &is("timestamptz"));
    }
    for name in EXPORT_ONLY {
        if schema.field(name).is_some() {
            let what = format!("the column {name} cannot be exported: export datasets have one of their own.");
            found.push(Finding::at(path, what));
        }
    }
}

fn map_value(kind: &Kind) -> Option<&Kind> {
    match kind {
        Kind::Nested(Nested::Map { key, value, .. }) if **key == Kind::Primitive("string".into()) => Some(value),
        _ => None,
    }
}

fn has(kind: &Kind, field: &str, of: &str) -> bool {
    matches!(kind, Kind::Nested(Nested::Struct { fields })
        if fields.iter().any(|f| f.name == field && f.kind == Kind::Primitive(of.into())))
}

fn is_identity_map(kind: &Kind) -> bool {
    match map_value(kind) {
        Some(Kind::Nested(Nested::List { element, .. })) => has(element, "id", "string"),
        _ => false,
    }
}

fn is_membership(kind: &Kind) -> bool {
    map_value(kind)
        .and_then(map_value)
        .is_some_and(|m| has(m, "status", "string") && has(m, "lastQualificationTime", "timestamptz"))
}

/// Adds what a declared schema has that the table lacks or has otherwise: tables that exist are never altered.
pub fn against_table(path: &str, declared: &Schema, table: &Schema, found: &mut Vec<Finding>) {
    let Differences { missing, conflicting } = differences(declared, table);
    let missing = missing.into_iter().map(|column| format!("{column} is missing in the table"));
    for what in missing.chain(conflicting) {
        let what = format!("{what}; existing tables are not altered: alter the table, or correct the file.");
        found.push(Finding::at(format!("{path}.schema"), what));
    }
}
