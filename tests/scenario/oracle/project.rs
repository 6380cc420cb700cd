//! What named paths keep of a record.

use super::request::Paths;
use crate::types::Type;
use serde_json::{Map, Value};

/// The record with exactly the named paths. A parent that is there stays, even with nothing below it.
pub(super) fn project(kind: &Type, value: &Value, paths: &Paths) -> Value {
    let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
    keep(kind, value, &paths)
}

fn keep(kind: &Type, value: &Value, paths: &[&[String]]) -> Value {
    if value.is_null() || paths.iter().any(|path| path.is_empty()) {
        return value.clone();
    }
    let below = |step: &str, any: &str| -> Vec<&[String]> {
        paths.iter().filter(|p| p[0] == step || p[0] == any).map(|p| &p[1..]).collect()
    };
    let mut kept = Map::new();
    match (kind, value) {
        (Type::List(of), Value::Array(items)) => return items.iter().map(|item| keep(of, item, paths)).collect(),
        (Type::Struct(fields), Value::Object(object)) => {
            for (name, kind) in fields {
                let below = below(name, name);
                if let Some(value) = object.get(name).filter(|_| !below.is_empty()) {
                    kept.insert(name.clone(), keep(kind, value, &below));
                }
            }
        }
        (Type::Map(of), Value::Object(object)) => {
            for (key, value) in object {
                let below = below(key, "*");
                if !below.is_empty() {
                    kept.insert(key.clone(), keep(of, value, &below));
                }
            }
        }
        _ => panic!("the path {paths:?} leads into {kind:?}"),
    }
    Value::Object(kept)
}
