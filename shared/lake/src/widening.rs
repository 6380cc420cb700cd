//! What a table's schema becomes when it takes in the fields of another, by name path.

use crate::error::Refusal;
use domain::plan::TableName;
use domain::schema::{Field, Kind, Nested, Schema as Columns};
use iceberg::Result;
use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, TableMetadata, Type,
};
use std::sync::Arc;

/// The table's schema with what `wanted` has beside it, as optional fields at the end of their structs; `None` where it
/// lacks nothing. What stands in it stays as it is.
pub(crate) fn widened(metadata: &TableMetadata, wanted: &Columns, table: &TableName) -> Result<Option<Schema>> {
    let schema = metadata.current_schema();
    let mut widening = Widening { table, last_id: metadata.last_column_id() };
    let fields = widening.fields(schema.as_struct(), &wanted.fields, "")?;
    if widening.last_id == metadata.last_column_id() {
        return Ok(None);
    }
    let built = Schema::builder().with_fields(fields).with_identifier_field_ids(schema.identifier_field_ids()).build();
    built.map(Some)
}

struct Widening<'t> {
    table: &'t TableName,
    /// The greatest field id so far; whoever adds a field draws the next one.
    last_id: i32,
}

impl Widening<'_> {
    fn fields(&mut self, present: &StructType, wanted: &[Field], prefix: &str) -> Result<Vec<NestedFieldRef>> {
        let mut fields = present.fields().to_vec();
        for wanted in wanted {
            let path = format!("{prefix}{}", wanted.name);
            match fields.iter_mut().find(|f| f.name.eq_ignore_ascii_case(&wanted.name)) {
                Some(present) if present.name != wanted.name => {
                    let what = format!("{path}, and {prefix}{}, which catalogs take for the same name", present.name);
                    return Err(self.refused(&what));
                }
                Some(present) => *present = self.field(present, &wanted.kind, &path)?,
                None => fields.push(self.new_field(wanted)?),
            }
        }
        Ok(fields)
    }

    fn field(&mut self, present: &NestedFieldRef, wanted: &Kind, path: &str) -> Result<NestedFieldRef> {
        let kind = self.kind(&present.field_type, wanted, path)?;
        Ok(Arc::new(NestedField { field_type: Box::new(kind), ..present.as_ref().clone() }))
    }

    fn kind(&mut self, present: &Type, wanted: &Kind, path: &str) -> Result<Type> {
        Ok(match (present, wanted) {
            (Type::Struct(present), Kind::Nested(Nested::Struct { fields })) => {
                Type::Struct(StructType::new(self.fields(present, fields, &format!("{path}."))?))
            }
            (Type::List(present), Kind::Nested(Nested::List { element, .. })) => {
                Type::List(ListType::new(self.field(&present.element_field, element, &format!("{path}[]"))?))
            }
            (Type::Map(present), Kind::Nested(Nested::Map { key, value, .. })) => {
                let key_path = format!("{path}, its key,");
                let key = self.field(&present.key_field, key, &key_path)?;
                if key != present.key_field {
                    return Err(self.refused(&format!("{key_path} with further fields")));
                }
                let value = self.field(&present.value_field, value, &format!("{path}.*"))?;
                Type::Map(MapType::new(key, value))
            }
            (Type::Primitive(present), Kind::Primitive(name)) if primitive(name)? == *present => {
                Type::Primitive(present.clone())
            }
            (present, wanted) => {
                let what = format!("{path} as {}, and has it as {}", wanted.describe(), described(present));
                return Err(self.refused(&what));
            }
        })
    }

    fn new_field(&mut self, field: &Field) -> Result<NestedFieldRef> {
        let id = self.next_id();
        Ok(NestedField::optional(id, &field.name, self.new_kind(&field.kind)?).into())
    }

    fn new_kind(&mut self, kind: &Kind) -> Result<Type> {
        Ok(match kind {
            Kind::Primitive(name) => Type::Primitive(primitive(name)?),
            Kind::Nested(Nested::Struct { fields }) => {
                let fields = fields.iter().map(|f| self.new_field(f)).collect::<Result<_>>()?;
                Type::Struct(StructType::new(fields))
            }
            Kind::Nested(Nested::List { element, .. }) => {
                let id = self.next_id();
                Type::List(ListType::new(NestedField::list_element(id, self.new_kind(element)?, false).into()))
            }
            Kind::Nested(Nested::Map { key, value, .. }) => {
                let (key_id, value_id) = (self.next_id(), self.next_id());
                Type::Map(MapType::new(
                    NestedField::map_key_element(key_id, self.new_kind(key)?).into(),
                    NestedField::map_value_element(value_id, self.new_kind(value)?, false).into(),
                ))
            }
        })
    }

    fn next_id(&mut self) -> i32 {
        self.last_id += 1;
        self.last_id
    }

    fn refused(&self, what: &str) -> iceberg::Error {
        let table = self.table;
        Refusal(format!("{table} cannot take {what}; leave the field out, or export into a new dataset")).into()
    }
}

/// A type in few words, as [`Kind::describe`] has them.
fn described(of: &Type) -> String {
    match of {
        Type::Primitive(primitive) => primitive_name(primitive),
        Type::Struct(_) => "a struct".into(),
        Type::List(_) => "a list".into(),
        Type::Map(_) => "a map".into(),
    }
}

/// Iceberg's name of a primitive type, as it stands in schemas.
fn primitive_name(of: &PrimitiveType) -> String {
    match serde_json::to_value(of) {
        Ok(serde_json::Value::String(name)) => name,
        _ => of.to_string(),
    }
}

fn primitive(name: &str) -> Result<PrimitiveType> {
    serde_json::from_value(name.into())
        .map_err(|_| Refusal(format!("the type {name} is none that Iceberg version 2 knows")).into())
}
