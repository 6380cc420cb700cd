//! Schemas as people write them. A table's columns:
//!
//! ```yaml
//! profileId!: string                  # ! after the name = required
//! lifetimeValue: double               # any Iceberg primitive: decimal(9, 2), timestamptz, date …
//! person:                             # an object is a struct
//!   name: {firstName: string, lastName: string}
//! tags: [string]                      # a list of one type is an array
//! identityMap:                        # the one key "*" is a map from string; "*int" one from int
//!   "*": [{id: string, primary: boolean}]
//! ```
//!
//! Iceberg's JSON form of a type (`{type: list, element-id: 3, element: string, element-required: false}`) is taken in
//! every place too, and of a whole schema (`{type: struct, fields: […]}`). Field ids are given anew in either case.

use crate::yaml::{Finding, Node};
use domain::schema::{Field, Kind, Nested, Schema};
use serde_yaml_ng::Value;

const PLAIN: [&str; 11] =
    ["boolean", "int", "long", "float", "double", "date", "time", "timestamp", "timestamptz", "string", "binary"];

/// Reads a table's columns; numbers the fields.
pub fn read_schema(node: &Node<'_>, found: &mut Vec<Finding>) -> Option<Schema> {
    let before = found.len();
    let Some(Kind::Nested(Nested::Struct { fields })) = read_kind(node, found) else {
        if found.len() == before {
            found.push(Finding::at(&node.path, "must be an object of columns."));
        }
        return None;
    };
    let mut schema = Schema { schema_id: 0, fields };
    schema.number();
    (found.len() == before).then_some(schema)
}

fn read_kind(node: &Node<'_>, found: &mut Vec<Finding>) -> Option<Kind> {
    match node.value {
        Value::String(text) => read_primitive(node, text, found),
        Value::Sequence(items) => match &items[..] {
            [only] => {
                let element = read_kind(&Node { path: format!("{}[]", node.path), value: only }, found)?;
                Some(Kind::list_of(element))
            }
            _ => {
                found.push(Finding::at(&node.path, "must have exactly one entry: the type of the array's elements."));
                None
            }
        },
        Value::Mapping(_) => {
            if let Some(kind) = read_iceberg(node, found) {
                return kind;
            }
            let entries = node.entries(found)?;
            match &entries[..] {
                [(key, value)] if key.starts_with('*') => read_map(node, &key[1..], value, found),
                [] => {
                    found.push(Finding::at(&node.path, "must have at least one field."));
                    None
                }
                _ => {
                    let read = entries.iter().map(|(name, value)| read_field(node, name, value, found));
                    let fields: Vec<_> = read.collect();
                    unique_names(node, fields.iter().flatten(), found);
                    Some(Kind::Nested(Nested::Struct { fields: fields.into_iter().collect::<Option<_>>()? }))
                }
            }
        }
        _ => {
            found.push(Finding::at(&node.path, "must be a type."));
            None
        }
    }
}

fn read_field(parent: &Node<'_>, name: &str, value: &Node<'_>, found: &mut Vec<Finding>) -> Option<Field> {
    let (bare, required) = match name.strip_suffix('!') {
        Some(bare) => (bare, true),
        None => (name, false),
    };
    if bare.is_empty() || bare.contains(['.', '*', '!']) {
        found.push(Finding::at(&value.path, "is no field name: it must not be empty or hold any of . * !"));
        return None;
    }
    let kind = read_kind(&parent.below(bare, value.value), found)?;
    Some(Field { id: 0, name: bare.to_owned(), required, kind })
}

fn unique_names<'f>(node: &Node<'_>, fields: impl Iterator<Item = &'f Field>, found: &mut Vec<Finding>) {
    let mut seen = std::collections::BTreeSet::new();
    for field in fields {
        // Catalogs and query engines fold case, so names that differ in case alone cannot live side by side.
        if !seen.insert(field.name.to_lowercase()) {
            found.push(Finding::at(&node.path, format!("has two fields called {}.", field.name)));
        }
    }
}

fn read_map(node: &Node<'_>, key: &str, value: &Node<'_>, found: &mut Vec<Finding>) -> Option<Kind> {
    let key = if key.is_empty() { "string" } else { key };
    let key = read_primitive(node, key, found);
    let value = read_kind(&Node { path: format!("{}.*", node.path), value: value.value }, found)?;
    Some(Kind::map_of(key?, value))
}

fn read_primitive(node: &Node<'_>, text: &str, found: &mut Vec<Finding>) -> Option<Kind> {
    let name: String = text.to_ascii_lowercase().split_whitespace().collect();
    if PLAIN.contains(&name.as_str()) {
        return Some(Kind::Primitive(name));
    }
    let kind = Kind::Primitive(name);
    if let Some((precision, scale)) = kind.decimal() {
        return Some(Kind::Primitive(format!("decimal({precision}, {scale})")));
    }
    let what =
        format!("{text:?} is no type; use one of {}, decimal(P, S), or write a struct, list or map.", PLAIN.join(", "));
    found.push(Finding::at(&node.path, what));
    None
}

/// Iceberg's JSON form of a nested type: told from a struct that has a field called `type` by the keys that go with it.
fn read_iceberg(node: &Node<'_>, found: &mut Vec<Finding>) -> Option<Option<Kind>> {
    let with = match node.value.get("type")?.as_str()? {
        "struct" => "fields",
        "list" => "element",
        "map" => "value",
        _ => return None,
    };
    node.value.get(with)?;
    Some(match serde_yaml_ng::from_value::<Kind>(node.value.clone()) {
        Ok(kind) => known_primitives(&kind, node, found).then_some(kind),
        Err(_) => {
            found.push(Finding::at(&node.path, "is no Iceberg type; write all of its keys, ids included."));
            None
        }
    })
}

fn known_primitives(kind: &Kind, node: &Node<'_>, found: &mut Vec<Finding>) -> bool {
    match kind {
        Kind::Primitive(name) => read_primitive(node, name, found).is_some(),
        Kind::Nested(Nested::Struct { fields }) => {
            unique_names(node, fields.iter(), found);
            fields.iter().all(|f| known_primitives(&f.kind, &node.below(&f.name, node.value), found))
        }
        Kind::Nested(Nested::List { element, .. }) => known_primitives(element, node, found),
        Kind::Nested(Nested::Map { key, value, .. }) => {
            known_primitives(key, node, found) && known_primitives(value, node, found)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(yaml: &str) -> Result<Schema, Vec<String>> {
        let value: Value = serde_yaml_ng::from_str(yaml).unwrap();
        let mut found = Vec::new();
        let schema = read_schema(&Node { path: "schema".into(), value: &value }, &mut found);
        schema.ok_or_else(|| found.iter().map(Finding::to_string).collect())
    }

    #[test]
    fn the_friendly_form_reads_as_icebergs_own() {
        let friendly = r#"
profileId!: string
price: decimal(9,2)
person:
  name: {firstName: string, lastName: string}
tags: [string]
identityMap: {"*": [{id: string, primary: boolean}]}
byYear: {"*int": long}
"#;
        let iceberg = r#"
type: struct
fields:
- {id: 7, name: profileId, required: true, type: string}
- {id: 8, name: price, required: false, type: "decimal(9, 2)"}
- {id: 9, name: person, required: false, type: {type: struct, fields: [{id: 1, name: name, required: false, type: {type: struct,
   fields: [{id: 2, name: firstName, required: false, type: string}, {id: 3, name: lastName, required: false, type: string}]}}]}}
- {id: 4, name: tags, required: false, type: {type: list, element-id: 5, element-required: false, element: string}}
- {id: 6, name: identityMap, required: false, type: {type: map, key-id: 11, key: string, value-id: 12, value-required: false,
   value: {type: list, element-id: 13, element-required: false, element: {type: struct, fields: [
     {id: 14, name: id, required: false, type: string}, {id: 15, name: primary, required: false, type: boolean}]}}}}
- {id: 16, name: byYear, required: false, type: {type: map, key-id: 17, key: int, value-id: 18, value-required: false, value: long}}
"#;
        let schema = read(friendly).unwrap();
        assert_eq!(schema, read(iceberg).unwrap());
        assert_eq!(schema.fields.iter().map(|f| f.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert!(schema.has_path(["identityMap", "ECID", "id"]));
        assert!(schema.fields[0].required && !schema.fields[1].required);
    }

    #[test]
    fn a_struct_may_have_a_field_called_type() {
        let schema = read("consent: {type: string, value: double}").unwrap();
        assert!(schema.has_path(["consent", "type"]) && schema.has_path(["consent", "value"]));
    }

    #[test]
    fn every_wrong_type_is_named_with_its_path() {
        let cases = [
            ("age: integer", vec!["schema.age: \"integer\" is no type"]),
            ("a: number\nb: [text]\nc: {d: nope, e: string}", vec!["schema.a: ", "schema.b[]: ", "schema.c.d: "]),
            ("a: [int, string]", vec!["schema.a: must have exactly one entry"]),
            ("a: {}", vec!["schema.a: must have at least one field"]),
            ("a: decimal(39, 2)", vec!["schema.a: "]),
            ("a: decimal(9, 10)", vec!["schema.a: "]),
            ("a: 1", vec!["schema.a: must be a type"]),
            ("a.b: string", vec!["schema.a.b: is no field name"]),
            ("Name: string\nname: string", vec!["schema: has two fields called name"]),
            ("m: {\"*uuids\": long}", vec!["schema.m: \"uuids\" is no type"]),
            ("- a: string", vec!["schema: must be an object of columns"]),
            ("a: {type: list, element: string}", vec!["schema.a: is no Iceberg type"]),
            ("a: {type: struct, fields: [{id: 1, name: b, required: false, type: big}]}", vec!["schema.a.b: \"big\""]),
        ];
        for (yaml, expected) in cases {
            let found = read(yaml).expect_err(yaml);
            assert_eq!(found.len(), expected.len(), "{yaml}: {found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(expected), "{yaml}: {found}");
            }
        }
    }
}
