//! Iceberg schemas as Glue shows them. Display only; the same form that Iceberg for Java and PyIceberg write.

use super::Column;
use iceberg::spec::{NestedField, PrimitiveType, TableMetadata, Type};
use std::collections::{BTreeMap, BTreeSet};

/// The current columns, then those that only former schemas have.
pub(super) fn of(metadata: &TableMetadata) -> Vec<Column> {
    let current = metadata.current_schema();
    let mut former: Vec<_> = metadata.schemas_iter().filter(|s| s.schema_id() != current.schema_id()).collect();
    former.sort_by_key(|s| std::cmp::Reverse(s.schema_id()));
    let mut seen = BTreeSet::new();
    std::iter::once((current, true))
        .chain(former.into_iter().map(|s| (s, false)))
        .flat_map(|(schema, is_current)| schema.as_struct().fields().iter().map(move |f| (f, is_current)))
        .filter(|(field, _)| seen.insert(field.name.clone()))
        .map(|(field, is_current)| column(field, is_current))
        .collect()
}

fn column(field: &NestedField, is_current: bool) -> Column {
    let parameters = [
        ("iceberg.field.id", field.id.to_string()),
        ("iceberg.field.optional", (!field.required).to_string()),
        ("iceberg.field.current", is_current.to_string()),
    ];
    Column {
        name: field.name.clone(),
        kind: kind(&field.field_type),
        parameters: BTreeMap::from(parameters.map(|(key, value)| (key.to_owned(), value))),
    }
}

fn kind(of: &Type) -> String {
    match of {
        Type::Primitive(primitive) => primitive_kind(primitive),
        Type::Struct(fields) => {
            let fields: Vec<_> =
                fields.fields().iter().map(|f| format!("{}:{}", f.name, kind(&f.field_type))).collect();
            format!("struct<{}>", fields.join(","))
        }
        Type::List(list) => format!("array<{}>", kind(&list.element_field.field_type)),
        Type::Map(map) => format!("map<{},{}>", kind(&map.key_field.field_type), kind(&map.value_field.field_type)),
    }
}

fn primitive_kind(of: &PrimitiveType) -> String {
    let name = match of {
        PrimitiveType::Boolean => "boolean",
        PrimitiveType::Int => "int",
        PrimitiveType::Long => "bigint",
        PrimitiveType::Float => "float",
        PrimitiveType::Double => "double",
        PrimitiveType::Date => "date",
        PrimitiveType::Timestamp
        | PrimitiveType::Timestamptz
        | PrimitiveType::TimestampNs
        | PrimitiveType::TimestamptzNs => "timestamp",
        PrimitiveType::Time | PrimitiveType::String | PrimitiveType::Uuid => "string",
        PrimitiveType::Fixed(_) | PrimitiveType::Binary => "binary",
        PrimitiveType::Decimal { precision, scale } => return format!("decimal({precision},{scale})"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_show_as_hive_names_and_timestamptz_as_timestamp() {
        let cases = [
            (r#""timestamptz""#, "timestamp"),
            (r#""long""#, "bigint"),
            (r#""uuid""#, "string"),
            (r#""decimal(9, 2)""#, "decimal(9,2)"),
            (r#""fixed[4]""#, "binary"),
            (
                r#"{"type":"map","key-id":1,"key":"string","value-id":2,"value-required":false,"value":{"type":"list",
                "element-id":3,"element-required":false,"element":{"type":"struct","fields":[
                {"id":4,"name":"id","required":false,"type":"string"},
                {"id":5,"name":"primary","required":false,"type":"boolean"}]}}}"#,
                "map<string,array<struct<id:string,primary:boolean>>>",
            ),
        ];
        for (json, shown) in cases {
            let of: Type = serde_json::from_str(json).expect("a type in Iceberg's JSON form");
            assert_eq!(kind(&of), shown);
        }
    }
}
