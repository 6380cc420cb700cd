//! Rows of a file, brought into the form of the export: fields picked, nulls for what the file lacks, types widened.

use crate::shape::{Column, MapShape, Shape};
use crate::tree::{FileColumn, FileKind, find};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, ListArray, MapArray, PrimitiveArray, StringArray, StructArray, new_null_array,
};
use arrow_buffer::OffsetBuffer;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Fields};
use arrow_select::concat::concat;
use arrow_select::filter::filter;
use arrow_select::take::take;
use std::sync::Arc;

/// Adds the leaves that columns of the export need of a file's columns. The error is a clause that says what differs.
pub(crate) fn leaves(columns: &[Column], file: &[FileColumn], into: &mut Vec<usize>) -> Result<(), String> {
    for column in columns {
        if let Some(origin) = origin(column, file) {
            value_leaves(&column.shape, origin, into)?;
        }
    }
    Ok(())
}

fn origin<'f>(column: &Column, file: &'f [FileColumn]) -> Option<&'f FileColumn> {
    column.source.as_ref().and_then(|field| find(file, field))
}

fn value_leaves(shape: &Shape, file: &FileColumn, into: &mut Vec<usize>) -> Result<(), String> {
    match (shape, &file.kind) {
        (Shape::Leaf(to), FileKind::Leaf(leaf, from)) if widens(from, to) => into.push(*leaf),
        (Shape::Struct(columns), FileKind::Struct(fields)) => {
            let before = into.len();
            leaves(columns, fields, into)?;
            if into.len() == before {
                file.witness(into);
            }
        }
        (Shape::List(_, element), FileKind::List(below)) => value_leaves(element, below, into)?,
        (Shape::Map(map), FileKind::Map(key, value)) => {
            value_leaves(&Shape::Leaf(map.key.clone()), key, into)?;
            for class in &map.values {
                value_leaves(class, value, into)?;
            }
        }
        _ => {
            let wanted = shape.data_type();
            let wanted = if wanted.is_nested() { "another nesting".to_owned() } else { wanted.to_string() };
            return Err(format!("its field {} is {} where the table has {wanted}", file.name, file.describe()));
        }
    }
    Ok(())
}

/// Whether every value of one type is one of the other. Iceberg's promotions, and forms that writers differ in.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    from == to
        || matches!(
            (from, to),
            (Null, _)
                | (Int8 | Int16 | UInt8 | UInt16, Int32 | Int64)
                | (Int32 | UInt32, Int64)
                | (Float32, Float64)
                | (Timestamp(..), Timestamp(..))
                | (Time32(_) | Time64(_), Time64(_))
                | (Binary, Utf8)
        )
        || matches!((from, to), (Decimal128(p, s), Decimal128(q, t)) if s <= t && i16::from(*p) - i16::from(*s) <= i16::from(*q) - i16::from(*t))
}

/// Columns of the export from a file's columns, as read with at least the leaves of [`leaves`].
pub(crate) fn columns(
    columns: &[Column],
    file: &[FileColumn],
    rows: &StructArray,
) -> Result<Vec<ArrayRef>, ArrowError> {
    columns
        .iter()
        .map(|column| match origin(column, file) {
            Some(origin) => {
                let values = rows.column_by_name(&origin.name).ok_or_else(|| unread(origin))?;
                value(&column.shape, origin, values)
            }
            None => Ok(new_null_array(column.field.data_type(), rows.len())),
        })
        .collect()
}

fn value(shape: &Shape, file: &FileColumn, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match (shape, &file.kind) {
        (Shape::Leaf(to), _) => cast_to(values, to),
        (Shape::Struct(below), FileKind::Struct(fields)) => {
            let rows = values.as_struct_opt().ok_or_else(|| unread(file))?;
            let names: Fields = below.iter().map(|c| c.field.clone()).collect();
            let arrays = columns(below, fields, rows)?;
            Ok(Arc::new(StructArray::try_new(names, arrays, rows.nulls().cloned())?))
        }
        (Shape::List(field, element), FileKind::List(below)) => {
            let lists = values.as_list_opt::<i32>().ok_or_else(|| unread(file))?;
            let elements = value(element, below, lists.values())?;
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(field.clone(), offsets, elements, nulls)?))
        }
        (Shape::Map(map), FileKind::Map(_, below)) => {
            let maps = values.as_map_opt().ok_or_else(|| unread(file))?;
            map_value(map, below, maps)
        }
        _ => Err(unread(file)),
    }
}

fn map_value(shape: &MapShape, below: &FileColumn, maps: &MapArray) -> Result<ArrayRef, ArrowError> {
    let pair = match shape.entries.data_type() {
        DataType::Struct(fields) => fields.clone(),
        _ => Fields::from(Vec::<ArrowField>::new()),
    };
    let (mut offsets, mut keys, mut values) = (maps.offsets().clone(), maps.keys().clone(), maps.values().clone());
    let mut classes = None;
    if !shape.named.is_empty() {
        let (first, last) = (offsets[0] as usize, offsets[maps.len()] as usize);
        (keys, values) = (keys.slice(first, last - first), values.slice(first, last - first));
        let found = classify(shape, &keys)?;
        let kept: BooleanArray = found.iter().map(|class| Some(class.is_some())).collect();
        offsets = kept_offsets(&offsets, &kept);
        (keys, values) = (filter(&keys, &kept)?, filter(&values, &kept)?);
        classes = Some(found.into_iter().flatten().collect::<Vec<_>>());
    }
    let keys = cast_to(&keys, &shape.key)?;
    let values = match (&shape.values[..], classes) {
        ([only], _) => value(only, below, &values)?,
        (_, Some(classes)) => values_by_class(shape, below, &values, &classes)?,
        (several, None) => value(&several[shape.others.unwrap_or(0)], below, &values)?,
    };
    let entries = StructArray::try_new(pair, vec![keys, values], None)?;
    let nulls = maps.nulls().cloned();
    Ok(Arc::new(MapArray::try_new(shape.entries.clone(), offsets, entries, nulls, false)?))
}

/// The form of each entry's value; `None`: the entry is left out.
fn classify(shape: &MapShape, keys: &ArrayRef) -> Result<Vec<Option<usize>>, ArrowError> {
    let keys = strings(keys)?;
    Ok(keys.iter().map(|key| key.and_then(|k| shape.named.get(k).copied()).or(shape.others)).collect())
}

/// The offsets after entries have been left out. `kept` starts with the first map's first entry.
fn kept_offsets(offsets: &OffsetBuffer<i32>, kept: &BooleanArray) -> OffsetBuffer<i32> {
    let first = offsets[0];
    OffsetBuffer::from_lengths(offsets.windows(2).map(|w| {
        let (start, end) = ((w[0] - first) as usize, (w[1] - first) as usize);
        kept.values().slice(start, end - start).count_set_bits()
    }))
}

/// Values of several forms: each form's values together, then brought back into order.
fn values_by_class(
    shape: &MapShape,
    below: &FileColumn,
    values: &ArrayRef,
    classes: &[usize],
) -> Result<ArrayRef, ArrowError> {
    let mut order = vec![0u32; classes.len()];
    let (mut arrays, mut placed) = (Vec::new(), 0u32);
    for (class, form) in shape.values.iter().enumerate() {
        let mine: Vec<u32> = (0u32..).zip(classes).filter(|(_, c)| **c == class).map(|(i, _)| i).collect();
        for &at in &mine {
            order[at as usize] = placed;
            placed += 1;
        }
        let mine = PrimitiveArray::<UInt32Type>::from(mine);
        arrays.push(value(form, below, &take(values, &mine, None)?)?);
    }
    let all = concat(&arrays.iter().map(|a| a.as_ref()).collect::<Vec<_>>())?;
    take(&all, &PrimitiveArray::<UInt32Type>::from(order), None)
}

/// The values as strings.
pub(crate) fn strings(values: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(cast_to(values, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// The values in another type; an error where one does not fit.
pub(crate) fn cast_to(values: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if values.data_type() == to {
        return Ok(values.clone());
    }
    cast_with_options(values, to, &CastOptions { safe: false, ..CastOptions::default() })
}

fn unread(file: &FileColumn) -> ArrowError {
    ArrowError::SchemaError(format!("{} was not read as its schema says", file.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::BinaryArray;

    #[test]
    fn a_decimal_widens_where_it_loses_no_digit() {
        let fits = |from: (u8, i8), to: (u8, i8)| {
            widens(&DataType::Decimal128(from.0, from.1), &DataType::Decimal128(to.0, to.1))
        };
        assert!(fits((9, 2), (38, 2)) && fits((9, 2), (10, 3)));
        assert!(!fits((9, 2), (9, 3)) && !fits((12, 2), (9, 2)) && !fits((9, 3), (38, 2)));
    }

    #[test]
    fn a_value_that_does_not_fit_is_an_error_and_no_null() {
        let values: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"\xff"]));
        assert!(cast_to(&values, &DataType::Utf8).is_err());
    }

    #[test]
    fn entries_of_a_slice_are_counted_from_its_first_one() {
        let offsets = OffsetBuffer::from_lengths([2, 1, 2]).slice(1, 2);
        let kept = BooleanArray::from(vec![true, false, true]);
        assert_eq!(&*kept_offsets(&offsets, &kept), &[0, 1, 2]);
    }
}
