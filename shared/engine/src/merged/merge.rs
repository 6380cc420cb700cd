//! One row out of several, column by column: conflicts are settled per leaf field.

use super::unite::{unite_identities, unite_memberships};
use crate::layout::{IDENTITY_MAP, INGEST_TIME, SEGMENT_MEMBERSHIP};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StructArray, new_null_array};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType};
use arrow_select::interleave::interleave;
use std::sync::Arc;

/// A value's place: which of several arrays, and where in it.
pub(super) type At = (usize, usize);

/// For each merged row, the rows that it is made of: the winner first.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidates {
    ends: Vec<usize>,
    rows: Vec<At>,
}

impl Candidates {
    /// Adds a merged row, made of these.
    pub(super) fn push(&mut self, rows: impl IntoIterator<Item = At>) {
        self.rows.extend(rows);
        self.ends.push(self.rows.len());
    }

    /// Number of merged rows.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The candidates of a merged row.
    pub(super) fn of(&self, row: usize) -> &[At] {
        &self.rows[row.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[row]]
    }

    /// The candidates of each merged row.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[At]> {
        (0..self.len()).map(|row| self.of(row))
    }
}

/// Merges rows of one form. Maps of identities and of memberships are united; the update time is the latest.
pub(super) fn merge(batches: &[RecordBatch], candidates: &Candidates) -> Result<RecordBatch, ArrowError> {
    let Some(first) = batches.first() else { return Err(unfit()) };
    let schema = first.schema();
    let columns = schema.fields().iter().enumerate().map(|(at, field)| {
        let arrays: Vec<ArrayRef> = batches.iter().map(|batch| batch.column(at).clone()).collect();
        match (field.name().as_str(), field.data_type()) {
            (IDENTITY_MAP, DataType::Map(..)) => unite_identities(&arrays, candidates),
            (SEGMENT_MEMBERSHIP, DataType::Map(..)) => unite_memberships(&arrays, candidates),
            (INGEST_TIME, DataType::Timestamp(..)) => latest(&arrays, candidates),
            _ => settle(&arrays, candidates),
        }
    });
    let columns = columns.collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(candidates.len()));
    RecordBatch::try_new_with_options(schema, columns, &options)
}

/// The first value that is not null; of structs, field by field.
fn settle(arrays: &[ArrayRef], candidates: &Candidates) -> Result<ArrayRef, ArrowError> {
    let valid = |(array, row): &At| arrays[*array].is_valid(*row);
    let DataType::Struct(fields) = arrays[0].data_type() else {
        let chosen = candidates.iter().map(|rows| rows.iter().copied().find(valid));
        return gather(arrays, chosen);
    };
    let mut present = Candidates::default();
    candidates.iter().for_each(|rows| present.push(rows.iter().copied().filter(valid)));
    let nulls = NullBuffer::from_iter(present.iter().map(|rows| !rows.is_empty()));
    let structs =
        arrays.iter().map(|a| a.as_struct_opt().ok_or_else(unfit)).collect::<Result<Vec<&StructArray>, _>>()?;
    let below = (0..fields.len()).map(|field| {
        let arrays: Vec<ArrayRef> = structs.iter().map(|s| s.column(field).clone()).collect();
        settle(&arrays, &present)
    });
    let below = below.collect::<Result<Vec<_>, _>>()?;
    if below.is_empty() {
        return Ok(Arc::new(StructArray::new_empty_fields(candidates.len(), Some(nulls))));
    }
    Ok(Arc::new(StructArray::try_new(fields.clone(), below, Some(nulls))?))
}

/// The latest time.
fn latest(arrays: &[ArrayRef], candidates: &Candidates) -> Result<ArrayRef, ArrowError> {
    let times = arrays.iter().map(|a| a.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(unfit));
    let times = times.collect::<Result<Vec<_>, _>>()?;
    let time = |(array, row): &At| times[*array].is_valid(*row).then(|| times[*array].value(*row));
    gather(arrays, candidates.iter().map(|rows| rows.iter().copied().filter(|at| time(at).is_some()).max_by_key(time)))
}

/// The values at these places; null where there is none.
pub(super) fn gather(arrays: &[ArrayRef], places: impl Iterator<Item = Option<At>>) -> Result<ArrayRef, ArrowError> {
    let data_type = arrays.first().ok_or_else(unfit)?.data_type();
    let null = new_null_array(data_type, 1);
    let places: Vec<At> = places.map(|at| at.unwrap_or((arrays.len(), 0))).collect();
    if places.is_empty() {
        return Ok(new_null_array(data_type, 0));
    }
    let all: Vec<&dyn Array> = arrays.iter().chain([&null]).map(|a| a.as_ref()).collect();
    interleave(&all, &places)
}

pub(super) fn unfit() -> ArrowError {
    ArrowError::SchemaError("held rows are not of one form".into())
}
