//! What a table lacks of a schema that is wanted of it.

use super::{Field, Kind, Nested, Schema};

/// How a table's columns differ from those that are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Paths that the table lacks.
    pub missing: Vec<String>,
    /// In a few words each, paths that it has with another type, or under a name that differs in case alone.
    pub conflicting: Vec<String>,
}

/// Compares what is wanted with what a table has, by name path. A table may have more, and wider numbers.
pub fn differences(wanted: &Schema, table: &Schema) -> Differences {
    let mut found = Differences::default();
    found.fields("", &wanted.fields, &table.fields);
    found
}

impl Differences {
    /// Whether the table has all that is wanted.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.conflicting.is_empty()
    }

    fn fields(&mut self, prefix: &str, wanted: &[Field], table: &[Field]) {
        for field in wanted {
            let path = format!("{prefix}{}", field.name);
            let exact = table.iter().find(|f| f.name == field.name);
            match exact.or_else(|| table.iter().find(|f| f.name.eq_ignore_ascii_case(&field.name))) {
                Some(present) if present.name == field.name => self.kinds(&path, &field.kind, &present.kind),
                Some(present) => {
                    let what = format!("{path} is {prefix}{} in the table, and catalogs fold their case", present.name);
                    self.conflicting.push(what);
                }
                None => self.missing.push(path),
            }
        }
    }

    fn kinds(&mut self, path: &str, wanted: &Kind, table: &Kind) {
        match (wanted, table) {
            (Kind::Nested(Nested::Struct { fields }), Kind::Nested(Nested::Struct { fields: present })) => {
                self.fields(&format!("{path}."), fields, present);
            }
            (Kind::Nested(Nested::List { element, .. }), Kind::Nested(Nested::List { element: present, .. })) => {
                self.kinds(&format!("{path}[]"), element, present);
            }
            (
                Kind::Nested(Nested::Map { key, value, .. }),
                Kind::Nested(Nested::Map { key: present_key, value: present, .. }),
            ) if key == present_key => self.kinds(&format!("{path}.*"), value, present),
            (wanted, present) if holds(wanted, present) => {}
            (wanted, present) => {
                let what = format!("{path} is {} in the table and should be {}", present.describe(), wanted.describe());
                self.conflicting.push(what);
            }
        }
    }
}

/// Whether a table's primitive has room for the values of a wanted one: the same, or what Iceberg promotes that to.
fn holds(wanted: &Kind, table: &Kind) -> bool {
    let (Kind::Primitive(from), Kind::Primitive(to)) = (wanted, table) else { return false };
    let promoted = match (wanted.decimal(), table.decimal()) {
        (Some((digits, scale)), Some((more, same))) => digits <= more && scale == same,
        _ => from == to,
    };
    promoted || matches!((from.as_str(), to.as_str()), ("int", "long") | ("float", "double"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: &str) -> Field {
        Field { id: 0, name: name.into(), required: false, kind: Kind::Primitive(kind.into()) }
    }

    fn of(wanted: &[(&str, &str)], table: &[(&str, &str)]) -> Differences {
        let schema = |columns: &[(&str, &str)]| Schema {
            schema_id: 0,
            fields: columns.iter().map(|(name, kind)| column(name, kind)).collect(),
        };
        differences(&schema(wanted), &schema(table))
    }

    #[test]
    fn a_table_may_have_more_columns_and_wider_numbers() {
        let wanted = [("a", "int"), ("b", "float"), ("c", "decimal(9, 2)"), ("d", "string")];
        let table = [("d", "string"), ("a", "long"), ("b", "double"), ("c", "decimal(38, 2)"), ("e", "date")];
        assert_eq!(of(&wanted, &table), Differences::default());
    }

    #[test]
    fn what_is_missing_and_what_conflicts_is_told_apart() {
        let wanted = [("a", "long"), ("b", "decimal(38, 2)"), ("c", "string"), ("d", "string")];
        let found = of(&wanted, &[("a", "int"), ("b", "decimal(9, 2)"), ("C", "string")]);
        assert_eq!(found.missing, ["d"]);
        let expected = [
            "a is int in the table and should be long",
            "b is decimal(9, 2) in the table and should be decimal(38, 2)",
            "c is C in the table, and catalogs fold their case",
        ];
        assert_eq!(found.conflicting, expected);
    }
}
