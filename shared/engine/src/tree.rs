//! The columns of one data file, as a tree that knows field ids and leaf numbers.

use arrow_schema::{DataType, Field as ArrowField, Fields, Schema as ArrowSchema};
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
    known_by: KnownBy,
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

/// How a field of the table's schema finds its column in a file.
#[derive(Clone, Copy, Debug)]
enum KnownBy {
    /// By field id.
    Id(i32),
    /// By name, as no column of the file carries an id.
    Name,
    /// Not at all: other columns carry ids and this one does not.
    Nothing,
}

/// The top-level columns of a file. The schema is derived from Parquet's own, so that its leaves in depth-first order
/// are the file's leaf columns.
pub(crate) fn file_columns(schema: &ArrowSchema) -> Vec<FileColumn> {
    let named = !schema.fields().iter().any(|f| carries_id(f));
    columns(schema.fields(), named, &mut 0)
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

fn columns(fields: &Fields, named: bool, next_leaf: &mut usize) -> Vec<FileColumn> {
    fields.iter().map(|f| column(f, named, next_leaf)).collect()
}

fn column(field: &ArrowField, named: bool, next_leaf: &mut usize) -> FileColumn {
    let kind = match field.data_type() {
        DataType::Struct(fields) => FileKind::Struct(columns(fields, named, next_leaf)),
        DataType::List(element) => FileKind::List(Box::new(column(element, named, next_leaf))),
        DataType::Map(entries, _) if let DataType::Struct(pair) = entries.data_type() => {
            let key = column(&pair[0], named, next_leaf);
            FileKind::Map(Box::new(key), Box::new(column(&pair[1], named, next_leaf)))
        }
        leaf => {
            *next_leaf += 1;
            FileKind::Leaf(*next_leaf - 1, leaf.clone())
        }
    };
    let known_by = match field_id(field) {
        Some(id) => KnownBy::Id(id),
        None if named => KnownBy::Name,
        None => KnownBy::Nothing,
    };
    FileColumn { name: field.name().clone(), nullable: field.is_nullable(), kind, known_by }
}

/// The column that is a field of the table's schema, if the file has it.
pub(crate) fn find<'f>(columns: &'f [FileColumn], field: &Field) -> Option<&'f FileColumn> {
    columns.iter().find(|c| match c.known_by {
        KnownBy::Id(id) => id == field.id,
        KnownBy::Name => c.name == field.name,
        KnownBy::Nothing => false,
    })
}

impl FileColumn {
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
