//! Columns that go into the export as they are stored: their leaves nest in the same way, with values of the same form.

use crate::leaf::{Raise, Widening};
use crate::shape::{Column, Shape};
use crate::tree::{FileColumn, FileKind, find};
use arrow_schema::DataType;
use parquet::schema::types::SchemaDescriptor;
use std::ops::Range;

/// A leaf column that goes into the export as it is stored.
#[derive(Debug)]
pub(crate) struct MovedLeaf {
    /// Its number in the file.
    pub(crate) leaf: usize,
    /// Its definition levels in terms of the exported leaf.
    pub(crate) raise: Raise,
    /// How its values become the exported leaf's.
    pub(crate) widening: Widening,
}

impl MovedLeaf {
    /// Whether it is the exported leaf to the byte.
    pub(crate) fn is_the_same(&self) -> bool {
        self.raise.is_nothing() && self.widening == Widening::None
    }
}

/// The leaves that become a column's exported leaves, in their order. `None`: the column is made from decoded rows.
pub(crate) fn moved(
    column: &Column,
    file: &[FileColumn],
    schema: &SchemaDescriptor,
    export: &SchemaDescriptor,
    exported: Range<usize>,
) -> Option<Vec<MovedLeaf>> {
    let mut leaves = Vec::new();
    of_column(column, file, &mut leaves)?;
    if leaves.len() != exported.len() {
        return None;
    }
    let pairs = leaves.into_iter().zip(exported);
    pairs
        .map(|(leaf, to)| {
            let widening = Widening::between(&schema.column(leaf), &export.column(to))?;
            let raise = Raise::between((schema, leaf), (export, to))?;
            Some(MovedLeaf { leaf, raise, widening })
        })
        .collect()
}

fn of_column(column: &Column, file: &[FileColumn], leaves: &mut Vec<usize>) -> Option<()> {
    of_value(&column.shape, find(file, column.source.as_ref()?)?, leaves)
}

/// Adds the leaves that become a value's exported leaves, in their order; `None`: it is made from decoded rows.
pub(crate) fn of_value(shape: &Shape, file: &FileColumn, leaves: &mut Vec<usize>) -> Option<()> {
    match (shape, &file.kind) {
        (Shape::Leaf(to), FileKind::Leaf(leaf, from)) if is_alike(from, to) => leaves.push(*leaf),
        (Shape::Struct(columns), FileKind::Struct(fields)) => {
            columns.iter().try_for_each(|column| of_column(column, fields, leaves))?;
        }
        (Shape::List(_, element), FileKind::List(below)) => of_value(element, below, leaves)?,
        (Shape::Map(map), FileKind::Map(key, value)) => {
            let of_any_key = map.of_any_key()?;
            of_value(&Shape::Leaf(map.key.clone()), key, leaves)?;
            of_value(of_any_key, value, leaves)?;
        }
        _ => return None,
    }
    Some(())
}

/// Whether stored values of one type are those of the other, but for their width.
pub(crate) fn is_alike(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => from == to,
        (DataType::Int32, DataType::Int64) | (DataType::Float32, DataType::Float64) => true,
        _ => from == to,
    }
}
