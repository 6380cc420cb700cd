//! The columns that equality deletes may compare: those of any schema that the table ever had, since a delete holds though
//! its column was dropped.

use crate::schema::to_domain;
use domain::plan::{DeleteFile, DeleteKind};
use domain::schema::Field;
use iceberg::Result;
use iceberg::spec::{Schema, SchemaRef, StructType, TableMetadata, Type};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// A table's plain columns, and fields of structs, by id.
pub(crate) struct Compared {
    /// The schema that is read, then the others, the youngest first.
    schemas: Vec<(SchemaRef, BTreeSet<i32>)>,
}

impl Compared {
    /// Those of a table that is read by one of its schemas.
    pub(crate) fn of(metadata: &TableMetadata, schema: &SchemaRef) -> Self {
        let others = metadata.schemas_iter().filter(|s| s.schema_id() != schema.schema_id());
        let mut schemas: Vec<_> = others.collect();
        schemas.sort_by_key(|s| Reverse(s.schema_id()));
        schemas.insert(0, schema);
        Self { schemas: schemas.into_iter().map(|s| (s.clone(), plain(s))).collect() }
    }

    /// Whether any of the schemas has a plain column of that id.
    pub(crate) fn has(&self, id: i32) -> bool {
        self.schemas.iter().any(|(_, ids)| ids.contains(&id))
    }

    /// The top-level columns of other schemas in which those are that the delete files compare and that the schema that is
    /// read lacks.
    pub(crate) fn former(&self, deletes: &[DeleteFile]) -> Result<Vec<Field>> {
        let compared: BTreeSet<i32> = deletes.iter().flat_map(field_ids).copied().collect();
        let mut former: Vec<Field> = Vec::new();
        for id in compared {
            let at = self.schemas.iter().position(|(_, ids)| ids.contains(&id));
            let Some((schema, _)) = at.filter(|at| *at > 0).and_then(|at| self.schemas.get(at)) else { continue };
            let within = |top: i32| schema.as_struct().field_by_id(top).is_some_and(|f| holds(&f.field_type, top, id));
            let column = to_domain(schema)?.fields.into_iter().find(|field| within(field.id));
            former.extend(column.filter(|column| !former.contains(column)));
        }
        Ok(former)
    }
}

fn field_ids(file: &DeleteFile) -> &[i32] {
    match &file.kind {
        DeleteKind::Equality { field_ids } => field_ids,
        DeleteKind::Position => &[],
    }
}

/// The ids of a schema's plain fields, in structs too, but not in lists and maps: there a row has no one value.
fn plain(schema: &Schema) -> BTreeSet<i32> {
    let mut ids = BTreeSet::new();
    collect(schema.as_struct(), &mut ids);
    ids
}

fn collect(fields: &StructType, ids: &mut BTreeSet<i32>) {
    for field in fields.fields() {
        match field.field_type.as_ref() {
            Type::Primitive(_) => {
                ids.insert(field.id);
            }
            Type::Struct(below) => collect(below, ids),
            Type::List(_) | Type::Map(_) => {}
        }
    }
}

/// Whether a field of that id and type is, or has in structs, the one that is looked for.
fn holds(field_type: &Type, own: i32, id: i32) -> bool {
    match field_type {
        Type::Struct(below) => below.fields().iter().any(|f| holds(&f.field_type, f.id, id)),
        Type::Primitive(_) | Type::List(_) | Type::Map(_) => own == id,
    }
}
