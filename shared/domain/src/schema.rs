//! A table's schema, in Iceberg's own JSON form, as the registry keeps a copy of it and a plan carries it.

mod differences;

pub use differences::{Differences, differences};

use serde::{Deserialize, Serialize};

/// The fields of a table, each with its Iceberg field id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Schema {
    /// Iceberg's schema id within the table.
    #[serde(default)]
    pub schema_id: i32,
    /// Top-level columns in order.
    pub fields: Vec<Field>,
}

/// A column, or a field of a struct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Iceberg field id: what a column is, whatever its name.
    pub id: i32,
    /// The name, unique within its parent.
    pub name: String,
    /// Whether null is forbidden.
    pub required: bool,
    /// The type below the name.
    #[serde(rename = "type")]
    pub kind: Kind,
}

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Kind {
    /// An Iceberg primitive by its name: `string`, `long`, `timestamptz`, `decimal(9, 2)` …
    Primitive(String),
    /// A struct, list or map.
    Nested(Nested),
}

/// A type with types below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Nested {
    /// Named fields.
    Struct {
        /// The fields in order.
        fields: Vec<Field>,
    },
    /// An array.
    #[serde(rename_all = "kebab-case")]
    List {
        /// Field id of the element.
        element_id: i32,
        /// Whether a null element is forbidden.
        element_required: bool,
        /// Type of the element.
        element: Box<Kind>,
    },
    /// Keys to values; keys are never null.
    #[serde(rename_all = "kebab-case")]
    Map {
        /// Field id of the key.
        key_id: i32,
        /// Type of the key.
        key: Box<Kind>,
        /// Field id of the value.
        value_id: i32,
        /// Whether a null value is forbidden.
        value_required: bool,
        /// Type of the value.
        value: Box<Kind>,
    },
}

impl Schema {
    /// The top-level column of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// Gives every field an id, in Iceberg's order: all names of a level before what lies below them.
    pub fn number(&mut self) {
        number_fields(&mut self.fields, &mut 0);
    }

    /// Whether a dot path names something here. A path goes through struct fields by name, through a list to its
    /// element without a step of its own, and through a map by any key.
    pub fn has_path<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> bool {
        let mut steps = path.into_iter();
        let Some(field) = steps.next().and_then(|first| self.field(first)) else { return false };
        let mut at = &field.kind;
        for step in steps {
            match at.child(step) {
                Some(below) => at = below,
                None => return false,
            }
        }
        true
    }
}

fn number_fields(fields: &mut [Field], last: &mut i32) {
    for field in fields.iter_mut() {
        *last += 1;
        field.id = *last;
    }
    for field in fields {
        number_kind(&mut field.kind, last);
    }
}

fn number_kind(kind: &mut Kind, last: &mut i32) {
    match kind {
        Kind::Primitive(_) => {}
        Kind::Nested(Nested::Struct { fields }) => number_fields(fields, last),
        Kind::Nested(Nested::List { element_id, element, .. }) => {
            *last += 1;
            *element_id = *last;
            number_kind(element, last);
        }
        Kind::Nested(Nested::Map { key_id, key, value_id, value, .. }) => {
            (*key_id, *value_id) = (*last + 1, *last + 2);
            *last += 2;
            number_kind(key, last);
            number_kind(value, last);
        }
    }
}

impl Kind {
    /// An array of a type, elements optional, not numbered yet.
    pub fn list_of(element: Kind) -> Kind {
        Kind::Nested(Nested::List { element_id: 0, element_required: false, element: Box::new(element) })
    }

    /// A map of types, values optional, not numbered yet.
    pub fn map_of(key: Kind, value: Kind) -> Kind {
        let (key, value) = (Box::new(key), Box::new(value));
        Kind::Nested(Nested::Map { key_id: 0, key, value_id: 0, value_required: false, value })
    }

    /// Precision and scale of a decimal of at most 38 digits.
    pub fn decimal(&self) -> Option<(u32, u32)> {
        let Kind::Primitive(name) = self else { return None };
        let inner = name.strip_prefix("decimal(")?.strip_suffix(')')?;
        let (precision, scale) = inner.split_once(',')?;
        let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        (1..=38).contains(&precision).then_some(())?;
        (scale <= precision).then_some((precision, scale))
    }

    /// The type in few words: `string`, `a struct`, `a list`, `a map`.
    pub fn describe(&self) -> &str {
        match self {
            Kind::Primitive(name) => name,
            Kind::Nested(Nested::Struct { .. }) => "a struct",
            Kind::Nested(Nested::List { .. }) => "a list",
            Kind::Nested(Nested::Map { .. }) => "a map",
        }
    }

    /// What a further step of a path names below this type.
    pub fn child(&self, step: &str) -> Option<&Kind> {
        match self {
            Kind::Primitive(_) => None,
            Kind::Nested(Nested::Struct { fields }) => fields.iter().find(|f| f.name == step).map(|f| &f.kind),
            Kind::Nested(Nested::List { element, .. }) => element.child(step),
            Kind::Nested(Nested::Map { value, .. }) => Some(value),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"struct","schema-id":3,"fields":[
        {"id":1,"name":"profileId","required":true,"type":"string"},
        {"id":2,"name":"person","required":false,"type":{"type":"struct","fields":[
            {"id":3,"name":"name","required":false,"type":"string"}]}},
        {"id":4,"name":"identityMap","required":false,"type":{"type":"map","key-id":5,"key":"string","value-id":6,
            "value-required":false,"value":{"type":"list","element-id":7,"element-required":false,
            "element":{"type":"struct","fields":[{"id":8,"name":"id","required":false,"type":"string"}]}}}}]}"#;

    #[test]
    fn iceberg_json_is_read_and_written_back() {
        let schema: Schema = serde_json::from_str(SCHEMA).unwrap();
        let again: Schema = serde_json::from_str(&serde_json::to_string(&schema).unwrap()).unwrap();
        assert_eq!((schema.schema_id, &again), (3, &schema));
    }

    #[test]
    fn paths_go_through_structs_lists_and_maps() {
        let schema: Schema = serde_json::from_str(SCHEMA).unwrap();
        for good in
            ["person", "person.name", "identityMap", "identityMap.ECID", "identityMap.ECID.id", "identityMap.*.id"]
        {
            assert!(schema.has_path(good.split('.')), "{good}");
        }
        for bad in ["", "Person", "person.age", "person.name.x", "identityMap.ECID.age", "profileId.x"] {
            assert!(!schema.has_path(bad.split('.')), "{bad}");
        }
    }
}
