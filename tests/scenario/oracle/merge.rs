//! How the fragments of a profile become one row.

use super::rows::Row;
use crate::types::{Type, format_micros, micros, normal};
use serde_json::{Map, Value};

/// The merged profile of fragments by rank. One alone stands as it is.
pub(super) fn merged(kind: &Type, fragments: &[Row]) -> Value {
    let values: Vec<Value> = fragments.iter().map(|f| normal(kind, &Value::Object(f.values.clone()))).collect();
    if let [one] = values.as_slice() {
        return one.clone();
    }
    let Type::Struct(columns) = kind else { panic!("{kind:?} is no row") };
    let mut row = Map::new();
    for (name, kind) in columns {
        let all: Vec<Value> = values.iter().map(|v| v[name].clone()).collect();
        let value = match name.as_str() {
            "ingestTime" => latest(fragments).map(format_micros).into(),
            "identityMap" => unite_identities(&all),
            "segmentMembership" => unite_memberships(&all),
            _ => first(kind, &all),
        };
        if !value.is_null() {
            row.insert(name.clone(), value);
        }
    }
    Value::Object(row)
}

/// The latest ingestion.
pub(super) fn latest(rows: &[Row]) -> Option<i64> {
    rows.iter().filter_map(|row| micros(&row.get("ingestTime"))).max()
}

/// The first value that is not null, leaf by leaf.
fn first(kind: &Type, all: &[Value]) -> Value {
    match kind {
        Type::Struct(fields) if all.iter().any(|v| !v.is_null()) => {
            let mut made = Map::new();
            for (name, kind) in fields {
                let value = first(kind, &all.iter().map(|v| v[name].clone()).collect::<Vec<_>>());
                if !value.is_null() {
                    made.insert(name.clone(), value);
                }
            }
            Value::Object(made)
        }
        _ => all.iter().find(|v| !v.is_null()).cloned().unwrap_or_default(),
    }
}

/// Identity maps by rank, united: each id of a namespace once, as the best ranked map has it.
pub(super) fn unite_identities(maps: &[Value]) -> Value {
    unite(maps, |lists| {
        let mut identities: Vec<Value> = Vec::new();
        for identity in lists.iter().flat_map(|list| list.as_array().unwrap()).filter(|i| !i.is_null()) {
            if !identities.iter().any(|known| known["id"] == identity["id"]) {
                identities.push(identity.clone());
            }
        }
        identities.into()
    })
}

/// Memberships by rank, united: of each segment the latest.
fn unite_memberships(maps: &[Value]) -> Value {
    unite(maps, |inner| {
        unite(inner, |memberships| {
            let time = |m: &Value| micros(&m["lastQualificationTime"]);
            let mut best = &memberships[0];
            for membership in &memberships[1..] {
                if time(membership) > time(best) {
                    best = membership;
                }
            }
            best.clone()
        })
    })
}

/// Maps by rank, united: every key, with what `settle` makes of its values that are not null; null where all are, and
/// where all maps are.
fn unite(maps: &[Value], settle: impl Fn(&[Value]) -> Value) -> Value {
    if maps.iter().all(Value::is_null) {
        return Value::Null;
    }
    let maps: Vec<_> = maps.iter().filter_map(Value::as_object).collect();
    let mut united = Map::new();
    for key in maps.iter().flat_map(|map| map.keys()) {
        if united.contains_key(key) {
            continue;
        }
        let given: Vec<Value> = maps.iter().filter_map(|map| map.get(key)).filter(|v| !v.is_null()).cloned().collect();
        united.insert(key.clone(), if given.is_empty() { Value::Null } else { settle(&given) });
    }
    Value::Object(united)
}
