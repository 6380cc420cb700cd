//! The columns of export datasets: the union of what the profile and event datasets have.

use crate::registry::{ColumnNames, Dataset, DatasetKind};
use crate::schema::{Field, Kind, Nested, Schema};
use std::collections::BTreeMap;

/// A dataset whose columns go into the union.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Its id.
    pub id: &'a str,
    /// What its table calls our columns.
    pub columns: &'a ColumnNames,
    /// Its columns.
    pub schema: &'a Schema,
}

/// A path that the union cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The dataset that brings the path for the second time.
    pub dataset_id: String,
    /// The path, and both of its types.
    pub what: String,
}

impl<'a> Input<'a> {
    /// A dataset as its table was looked at last; `None` = never.
    pub fn of(dataset: &'a Dataset) -> Option<Self> {
        let schema = &dataset.copy.as_ref()?.schema;
        Some(Self { id: &dataset.id, columns: &dataset.columns, schema })
    }
}

/// The union schema of the profile and event datasets among these, as their tables were looked at last.
pub fn export_schema_of(datasets: &[&Dataset], found: &mut Vec<Conflict>) -> Schema {
    let inputs = |kind| datasets.iter().filter(|d| d.kind == kind).filter_map(|d| Input::of(d)).collect::<Vec<_>>();
    export_schema(&inputs(DatasetKind::Profile), &inputs(DatasetKind::Event), found)
}

/// The union schema by name path: our columns first, then each dataset's, `timeSeriesEvents` where there are events, and
/// `batchId`. All but `batchId` is optional; numbers are as wide as they get, so that no promotion is needed later.
/// Every path with conflicting types is found.
pub fn export_schema(profiles: &[Input<'_>], events: &[Input<'_>], found: &mut Vec<Conflict>) -> Schema {
    let mut fields = vec![
        optional("profileId", plain("string")),
        optional("ingestTime", plain("timestamptz")),
        optional("identityMap", identity_map()),
        optional("segmentMembership", segment_membership()),
    ];
    let mut union = Union { owners: BTreeMap::new(), found };
    for input in profiles {
        union.add(&mut fields, input, "");
    }
    if !events.is_empty() {
        let mut event = Vec::new();
        for input in events {
            union.add(&mut event, input, "timeSeriesEvents[].");
        }
        fields.push(optional("timeSeriesEvents", Kind::list_of(Kind::Nested(Nested::Struct { fields: event }))));
    }
    fields.push(Field { id: 0, name: "batchId".into(), required: true, kind: plain("string") });
    let mut schema = Schema { schema_id: 0, fields };
    schema.number();
    schema
}

/// The type that an export dataset has for a type: int as long, float as double, decimals at full precision, nothing
/// required.
pub fn widened(kind: &Kind) -> Kind {
    match kind {
        Kind::Primitive(name) => match (name.as_str(), kind.decimal()) {
            ("int", _) => plain("long"),
            ("float", _) => plain("double"),
            (_, Some((_, scale))) => Kind::Primitive(format!("decimal(38, {scale})")),
            _ => plain(name),
        },
        Kind::Nested(Nested::Struct { fields }) => {
            let fields = fields.iter().map(|f| optional(&f.name, widened(&f.kind))).collect();
            Kind::Nested(Nested::Struct { fields })
        }
        Kind::Nested(Nested::List { element, .. }) => Kind::list_of(widened(element)),
        // Keys keep their type: they are looked up, and Iceberg never promotes them.
        Kind::Nested(Nested::Map { key, value, .. }) => Kind::map_of((**key).clone(), widened(value)),
    }
}

struct Union<'f> {
    /// The dataset that brought a path first.
    owners: BTreeMap<String, String>,
    found: &'f mut Vec<Conflict>,
}

impl Union<'_> {
    fn add(&mut self, into: &mut Vec<Field>, input: &Input<'_>, prefix: &str) {
        for field in &input.schema.fields {
            let Some(name) = exported_name(input.columns, &field.name) else { continue };
            self.add_field(into, optional(name, widened(&field.kind)), input, prefix);
        }
    }

    fn add_field(&mut self, into: &mut Vec<Field>, field: Field, input: &Input<'_>, prefix: &str) {
        let path = format!("{prefix}{}", field.name);
        match into.iter_mut().find(|f| f.name == field.name) {
            Some(present) => self.unite(&mut present.kind, field.kind, input, &path),
            None => match into.iter().find(|f| f.name.eq_ignore_ascii_case(&field.name)) {
                Some(present) => {
                    let what =
                        format!("{path} differs from {prefix}{} in case alone, which catalogs fold.", present.name);
                    self.found.push(Conflict { dataset_id: input.id.to_owned(), what });
                }
                None => {
                    self.owners.insert(path, input.id.to_owned());
                    into.push(field);
                }
            },
        }
    }

    fn unite(&mut self, present: &mut Kind, added: Kind, input: &Input<'_>, path: &str) {
        match (present, added) {
            (Kind::Nested(Nested::Struct { fields }), Kind::Nested(Nested::Struct { fields: added })) => {
                for field in added {
                    self.add_field(fields, field, input, &format!("{path}."));
                }
            }
            (Kind::Nested(Nested::List { element, .. }), Kind::Nested(Nested::List { element: added, .. })) => {
                self.unite(element, *added, input, &format!("{path}[]"));
            }
            (
                Kind::Nested(Nested::Map { key, value, .. }),
                Kind::Nested(Nested::Map { key: added_key, value: added, .. }),
            ) if *key == added_key => self.unite(value, *added, input, &format!("{path}.*")),
            (present, added) if *present == added => {}
            (present, added) => {
                let owner = self.owner(path);
                let what = format!(
                    "{path} is {} in the dataset {} and {} in {owner}; one export dataset cannot hold both.",
                    added.describe(),
                    input.id,
                    present.describe(),
                );
                self.found.push(Conflict { dataset_id: input.id.to_owned(), what });
            }
        }
    }

    /// Who brought a path: itself or the nearest one above it.
    fn owner(&self, path: &str) -> String {
        let above =
            |owned: &str| path == owned || (path.starts_with(owned) && path[owned.len()..].starts_with(['.', '[']));
        let owner = self.owners.iter().filter(|(owned, _)| above(owned)).max_by_key(|(owned, _)| owned.len());
        owner.map_or_else(|| "the product".to_owned(), |(_, id)| format!("the dataset {id}"))
    }
}

/// What exports call a table's column; `None` where another column has been mapped to that name.
fn exported_name<'a>(columns: &'a ColumnNames, column: &'a str) -> Option<&'a str> {
    ["profileId", "ingestTime", "identityMap", "segmentMembership", "timestamp"]
        .into_iter()
        .find(|standard| columns.in_table(standard) == Some(column))
        .or_else(|| (columns.in_table(column) == Some(column)).then_some(column))
}

fn plain(name: &str) -> Kind {
    Kind::Primitive(name.to_owned())
}

fn optional(name: &str, kind: Kind) -> Field {
    Field { id: 0, name: name.to_owned(), required: false, kind }
}

fn identity_map() -> Kind {
    let fields = vec![
        optional("id", plain("string")),
        optional("authenticatedState", plain("string")),
        optional("primary", plain("boolean")),
    ];
    Kind::map_of(plain("string"), Kind::list_of(Kind::Nested(Nested::Struct { fields })))
}

fn segment_membership() -> Kind {
    let fields = vec![optional("lastQualificationTime", plain("timestamptz")), optional("status", plain("string"))];
    Kind::map_of(plain("string"), Kind::map_of(plain("string"), Kind::Nested(Nested::Struct { fields })))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    /// Columns in short: an object is a struct, `[type]` a list, `{"*": type}` a map from string.
    fn schema(columns: Value) -> Schema {
        let Kind::Nested(Nested::Struct { fields }) = kind(&columns) else { panic!("{columns}") };
        let mut schema = Schema { schema_id: 0, fields };
        schema.number();
        schema
    }

    fn kind(short: &Value) -> Kind {
        match short {
            Value::String(name) => plain(name),
            Value::Array(element) => Kind::list_of(kind(&element[0])),
            Value::Object(map) if map.contains_key("*") => Kind::map_of(plain("string"), kind(&map["*"])),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, below)| optional(name, kind(below))).collect();
                Kind::Nested(Nested::Struct { fields })
            }
            other => panic!("{other}"),
        }
    }

    fn union(profiles: &[Value], events: &[Value]) -> (Schema, Vec<String>) {
        let columns = ColumnNames::default();
        let schemas: Vec<_> = profiles.iter().chain(events).map(|short| schema(short.clone())).collect();
        let inputs: Vec<_> = ["p", "q", "r"]
            .into_iter()
            .zip(&schemas)
            .map(|(id, schema)| Input { id, columns: &columns, schema })
            .collect();
        let mut found = Vec::new();
        let (profiles, events) = inputs.split_at(profiles.len());
        let schema = export_schema(profiles, events, &mut found);
        (schema, found.iter().map(|c| format!("{}: {}", c.dataset_id, c.what)).collect())
    }

    #[test]
    fn the_union_takes_every_path_once_widens_numbers_and_requires_only_the_batch() {
        let (schema, found) = union(
            &[
                json!({"profileId": "string", "ingestTime": "timestamptz", "age": "int",
                    "person": {"name": {"firstName": "string"}}, "price": "decimal(9, 2)"}),
                json!({"profileId": "string", "ingestTime": "timestamptz", "age": "long",
                    "person": {"birthDate": "date", "name": {"lastName": "string"}}, "score": "float",
                    "price": "decimal(12, 2)", "ranks": ["int"], "weights": {"*": "float"}}),
            ],
            &[],
        );
        assert_eq!(found, Vec::<String>::new());
        let names: Vec<_> = schema.fields.iter().map(|f| f.name.as_str()).collect();
        let expected = [
            "profileId",
            "ingestTime",
            "identityMap",
            "segmentMembership",
            "age",
            "person",
            "price",
            "score",
            "ranks",
            "weights",
            "batchId",
        ];
        assert_eq!(names, expected);
        let json = serde_json::to_value(&schema).unwrap();
        assert_eq!(json["fields"][4]["type"], "long");
        assert_eq!(json["fields"][6]["type"], "decimal(38, 2)");
        assert_eq!(json["fields"][7]["type"], "double");
        assert_eq!(json["fields"][8]["type"]["element"], "long");
        assert_eq!(json["fields"][9]["type"]["value"], "double");
        for path in ["person.name.firstName", "person.name.lastName", "person.birthDate"] {
            assert!(schema.has_path(path.split('.')), "{path}");
        }
        assert!(schema.fields.iter().all(|f| f.required == (f.name == "batchId")));
    }

    #[test]
    fn conflicting_types_are_all_named_with_both_datasets() {
        let (_, found) = union(
            &[
                json!({"profileId": "string", "price": "int", "a": "string", "b": {"c": "date", "d": ["int"]},
                    "e": {"*": "long"}, "f": "decimal(9, 2)", "g": "int"}),
                json!({"profileId": "long", "a": "int", "b": {"c": "timestamptz", "d": ["string"]},
                    "e": {"*": "string"}, "f": "decimal(9, 3)", "g": "double", "Price": "int"}),
            ],
            &[],
        );
        let expected = [
            "q: profileId is long in the dataset q and string in the product;",
            "q: a is long in the dataset q and string in the dataset p;",
            "q: b.c is timestamptz in the dataset q and date in the dataset p;",
            "q: b.d[] is string in the dataset q and long in the dataset p;",
            "q: e.* is string in the dataset q and long in the dataset p;",
            "q: f is decimal(38, 3) in the dataset q and decimal(38, 2) in the dataset p;",
            "q: g is double in the dataset q and long in the dataset p;",
            "q: Price differs from price in case alone",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn maps_of_other_keys_conflict() {
        let columns = ColumnNames::default();
        let schemas = ["string", "int"]
            .map(|key| Schema { schema_id: 0, fields: vec![optional("m", Kind::map_of(plain(key), plain("long")))] });
        let [p, q] = &schemas;
        let inputs = [("p", p), ("q", q)].map(|(id, schema)| Input { id, columns: &columns, schema });
        let mut found = Vec::new();
        export_schema(&inputs, &[], &mut found);
        let [conflict] = found.as_slice() else { panic!("{found:#?}") };
        assert_eq!(conflict.dataset_id, "q");
        assert!(
            conflict.what.starts_with("m is a map in the dataset q and a map in the dataset p"),
            "{}",
            conflict.what
        );
    }

    #[test]
    fn events_stand_in_a_list_only_where_there_are_event_datasets() {
        let profile = json!({"profileId": "string", "ingestTime": "timestamptz"});
        assert!(union(std::slice::from_ref(&profile), &[]).0.field("timeSeriesEvents").is_none());
        let (schema, found) =
            union(&[profile], &[json!({"profileId": "string", "timestamp": "timestamptz", "eventType": "string"})]);
        assert_eq!(found, Vec::<String>::new());
        assert!(schema.has_path(["timeSeriesEvents", "eventType"]));
    }

    #[test]
    fn mapped_columns_stand_under_our_names() {
        let columns = ColumnNames { profile_id: "customer_id".into(), ..ColumnNames::default() };
        let schema = schema(json!({"customer_id": "string", "profileId": "long", "age": "int"}));
        let mut found = Vec::new();
        let input = Input { id: "p", columns: &columns, schema: &schema };
        let union = export_schema(&[input], &[], &mut found);
        assert_eq!(found, Vec::<Conflict>::new());
        assert!(union.field("customer_id").is_none() && union.field("age").is_some());
        assert_eq!(union.field("profileId").unwrap().kind, plain("string"));
    }

    #[test]
    fn the_time_of_events_stands_under_our_name_too() {
        let columns = ColumnNames { timestamp: "happened".into(), ..ColumnNames::default() };
        let schema = schema(json!({"profileId": "string", "happened": "timestamptz"}));
        let mut found = Vec::new();
        let union = export_schema(&[], &[Input { id: "e", columns: &columns, schema: &schema }], &mut found);
        assert_eq!(found, Vec::<Conflict>::new());
        assert!(union.has_path(["timeSeriesEvents", "timestamp"]));
        assert!(!union.has_path(["timeSeriesEvents", "happened"]));
    }
}
