//! A table's schema, in Iceberg's own JSON form, as the registry keeps a copy of it and a plan carries it.

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

impl Kind {
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
