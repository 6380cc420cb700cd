//! The columns of one data file, as a tree that knows field ids and leaf numbers.

use arrow_schema::{DataType, Field as ArrowField, Fields, Schema as ArrowSchema};
use domain::name_mapping::{NameMapping, NamedField};
use domain::schema::Field;
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

/// A column of a data file, or a field below one.
#[derive(Debug)]
pub(crate) struct FileColumn {
    /// What the file calls it, which may be an older name.
    pub(crate) name: String,
    /// Whether it may hold nulls.
    pub(crate) nullable: bool,
    /// What is below it.
    pub(crate) kind: FileKind,
    /// Which field of the table it is; `None`: none, and it is not read.
    id: Option<i32>,
}

/// What a column of a data file is.
#[derive(Debug)]
pub(crate) enum FileKind {
    /// Values, at the leaf of that number.
    Leaf(usize, DataType),
    /// Named fields.
    Struct(Vec<FileColumn>),
    /// The element of a list.
    List(Box<FileColumn>),
    /// Key and value of a map.
    Map(Box<FileColumn>, Box<FileColumn>),
}

/// The top-level columns of a file, as the field ids in its footer tell them; one without an id is never found. The schema
/// is derived from Parquet's own, so that its leaves in depth-first order are the file's leaf columns.
pub(crate) fn file_columns(schema: &ArrowSchema) -> Vec<FileColumn> {
    columns(schema.fields(), None, &mut 0)
}

/// The same of a file that carries no field ids, as a name mapping tells them. The error is a clause.
pub(crate) fn named_columns(schema: &ArrowSchema, names: &NameMapping) -> Result<Vec<FileColumn>, String> {
    let columns = columns(schema.fields(), Some(&names.fields), &mut 0);
    check(&columns)?;
    Ok(columns)
}

/// Whether any column of a file carries a field id.
pub(crate) fn carries_ids(schema: &ArrowSchema) -> bool {
    schema.fields().iter().any(|f| carries_id(f))
}

fn carries_id(field: &ArrowField) -> bool {
    field_id(field).is_some()
        || match field.data_type() {
            DataType::Struct(fields) => fields.iter().any(|f| carries_id(f)),
            DataType::List(below) | DataType::Map(below, _) => carries_id(below),
            _ => false,
        }
}

fn field_id(field: &ArrowField) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}

/// The columns of one level. `names` is the level of a name mapping; `None`: the fields carry their ids themselves.
fn columns(fields: &Fields, names: Option<&[NamedField]>, next_leaf: &mut usize) -> Vec<FileColumn> {
    fields.iter().map(|f| column(f, f.name(), names, next_leaf)).collect()
}

fn column(field: &ArrowField, name: &str, names: Option<&[NamedField]>, next_leaf: &mut usize) -> FileColumn {
    let named = names.and_then(|level| NamedField::called(level, name));
    let below = names.map(|_| named.map_or(&[][..], |n| n.fields.as_slice()));
    let kind = match field.data_type() {
        DataType::Struct(fields) => FileKind::Struct(columns(fields, below, next_leaf)),
        DataType::List(element) => FileKind::List(Box::new(column(element, "element", below, next_leaf))),
        DataType::Map(entries, _) if let DataType::Struct(pair) = entries.data_type() => {
            let key = column(&pair[0], "key", below, next_leaf);
            FileKind::Map(Box::new(key), Box::new(column(&pair[1], "value", below, next_leaf)))
        }
        leaf => {
            *next_leaf += 1;
            FileKind::Leaf(*next_leaf - 1, leaf.clone())
        }
    };
    let id = if names.is_some() { named.and_then(|n| n.field_id) } else { field_id(field) };
    FileColumn { name: field.name().clone(), nullable: field.is_nullable(), kind, id }
}

/// Two columns of a level that are one field tell nothing.
fn check(columns: &[FileColumn]) -> Result<(), String> {
    for (at, column) in columns.iter().enumerate() {
        if let Some(other) = columns[..at].iter().find(|c| c.id.is_some() && c.id == column.id) {
            let (one, other) = (&other.name, &column.name);
            return Err(format!("its columns {one} and {other} are one field by its table's name mapping"));
        }
        column.check()?;
    }
    Ok(())
}

/// The column that is a field of the table's schema, if the file has it.
pub(crate) fn find<'f>(columns: &'f [FileColumn], field: &Field) -> Option<&'f FileColumn> {
    columns.iter().find(|c| c.id == Some(field.id))
}

impl FileColumn {
    fn check(&self) -> Result<(), String> {
        match &self.kind {
            FileKind::Leaf(..) => Ok(()),
            FileKind::Struct(fields) => check(fields),
            FileKind::List(element) => element.check(),
            FileKind::Map(key, value) => key.check().and_then(|()| value.check()),
        }
    }

    /// Adds the fewest leaves that tell how often this column occurs and where it is null. A map is only read with both
    /// its key and its value.
    pub(crate) fn witness(&self, leaves: &mut Vec<usize>) {
        match &self.kind {
            FileKind::Leaf(leaf, _) => leaves.push(*leaf),
            FileKind::Struct(fields) => fields.iter().take(1).for_each(|f| f.witness(leaves)),
            FileKind::List(element) => element.witness(leaves),
            FileKind::Map(key, value) => {
                key.witness(leaves);
                value.witness(leaves);
            }
        }
    }

    /// What the column is, for people.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            FileKind::Leaf(_, data_type) => data_type.to_string(),
            FileKind::Struct(_) => "a struct".into(),
            FileKind::List(_) => "a list".into(),
            FileKind::Map(..) => "a map".into(),
        }
    }
}
