//! The semantics of an export once more, naively, over rows as JSON. Shares no code with the engine.

use domain::filter::{MembershipStatus, ProfileFilter};
use domain::instant::Micros;
use domain::plan::Counts;
use domain::schema::{Field, Kind, Nested, Schema};
use serde_json::{Map, Value};

/// The rows that are exported, in their exported form but for `batchId`, and what is counted.
pub fn export(rows: &[Value], schema: &Schema, paths: &[Vec<String>], filter: &ProfileFilter) -> (Vec<Value>, Counts) {
    let (mut exported, mut counts) = (Vec::new(), Counts::default());
    for row in rows.iter().filter(|row| is_member(row, filter)) {
        let mut namespaces = Vec::new();
        let mut identities = 0;
        for (namespace, list) in row["identityMap"].as_object().unwrap_or(&Map::new()) {
            let held = list.as_array().map_or(0, |list| list.iter().filter(|i| !i.is_null()).count());
            identities += held;
            namespaces.extend((held > 0).then(|| namespace.clone()));
        }
        if identities > 50 {
            counts.too_many_identities += 1;
            continue;
        }
        counts.rows += 1;
        for namespace in namespaces {
            *counts.by_namespace.entry(namespace).or_default() += 1;
        }
        let paths: Vec<&[String]> = if paths.is_empty() { vec![&[]] } else { paths.iter().map(|p| &p[..]).collect() };
        exported.push(fields(row, &schema.fields, &paths));
    }
    (exported, counts)
}

fn is_member(row: &Value, filter: &ProfileFilter) -> bool {
    filter.segments.is_empty()
        || filter.segments.iter().any(|entry| {
            let namespaces = row["segmentMembership"].as_object().into_iter().flatten();
            namespaces.filter(|(ns, _)| ns.eq_ignore_ascii_case(&entry.namespace)).any(|(_, segments)| {
                let membership = &segments[&entry.segment_id];
                let status = membership["status"].as_str().unwrap_or("");
                let time = membership["lastQualificationTime"].as_str().and_then(micros);
                let matches = [MembershipStatus::Realized, MembershipStatus::Existing, MembershipStatus::Exited]
                    .iter()
                    .any(|s| s.as_str() == status && entry.matches.contains(s));
                let after = filter.window.start.is_none_or(|start| time.is_some_and(|t| t >= start.0));
                let before = filter.window.end.is_none_or(|end| time.is_some_and(|t| t <= end.0));
                matches && after && before
            })
        })
}

fn micros(text: &str) -> Option<i64> {
    Micros::parse_rfc3339(text).map(|at| at.0)
}

fn fields(value: &Value, fields: &[Field], paths: &[&[String]]) -> Value {
    let mut kept = Map::new();
    for field in fields {
        let below = below(paths, |step| step == field.name);
        if let (false, Some(value)) = (below.is_empty(), value.get(&field.name)) {
            kept.insert(field.name.clone(), keep(value, &field.kind, &below));
        }
    }
    Value::Object(kept)
}

fn keep(value: &Value, kind: &Kind, paths: &[&[String]]) -> Value {
    match (value, kind) {
        (Value::Object(_), Kind::Nested(Nested::Struct { fields: below })) => fields(value, below, paths),
        (Value::Array(elements), Kind::Nested(Nested::List { element, .. })) => {
            elements.iter().map(|e| keep(e, element, paths)).collect()
        }
        (Value::Object(entries), Kind::Nested(Nested::Map { value: kind, .. })) => {
            let mut kept = Map::new();
            for (key, value) in entries {
                let below = below(paths, |step| step == key || step == "*");
                if !below.is_empty() {
                    kept.insert(key.clone(), keep(value, kind, &below));
                }
            }
            Value::Object(kept)
        }
        (leaf, _) => leaf.clone(),
    }
}

/// What remains of the paths that go through a step; the empty path goes through all.
fn below<'p>(paths: &[&'p [String]], through: impl Fn(&str) -> bool) -> Vec<&'p [String]> {
    let through = |path: &&'p [String]| match path.split_first() {
        None => Some(&path[..]),
        Some((step, rest)) => through(step).then_some(rest),
    };
    paths.iter().filter_map(through).collect()
}
