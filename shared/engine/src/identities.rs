//! The identities of exported profiles: the limit on their number, and the counters by namespace.

use crate::project::strings;
use crate::tree::{FileColumn, FileKind, find};
use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, ListArray, StringArray, StructArray};
use arrow_schema::ArrowError;
use domain::plan::Counts;
use domain::schema::{Field, Kind, Nested};

/// A profile with more identities than this is left out.
pub(crate) const MAX_IDENTITIES: usize = 50;

/// Where a file keeps identities.
pub(crate) struct BoundIdentities<'f> {
    column: &'f str,
    /// The leaves to read.
    pub(crate) leaves: Vec<usize>,
}

/// Whether a source's column can be counted: a map of namespaces to lists. The error is a sentence.
pub(crate) fn check(column: &Field) -> Result<(), String> {
    match &column.kind {
        Kind::Nested(Nested::Map { value, .. }) if matches!(**value, Kind::Nested(Nested::List { .. })) => Ok(()),
        _ => Err(format!("the column {} does not map namespaces to lists of identities", column.name)),
    }
}

/// Finds the source's column in a file. `None`: the file keeps no identities.
pub(crate) fn bind<'f>(column: Option<&Field>, file: &'f [FileColumn]) -> Result<Option<BoundIdentities<'f>>, String> {
    let Some(column) = column.and_then(|field| find(file, field)) else { return Ok(None) };
    match &column.kind {
        FileKind::Map(_, value) if matches!(value.kind, FileKind::List(_)) => {
            let mut leaves = Vec::new();
            column.witness(&mut leaves);
            Ok(Some(BoundIdentities { column: &column.name, leaves }))
        }
        _ => Err("its identities are not kept as the table's schema says".into()),
    }
}

impl BoundIdentities<'_> {
    /// Which rows have no more than [`MAX_IDENTITIES`]. Counts those rows by namespace, and the others as left out.
    pub(crate) fn judge(&self, rows: &StructArray, counts: &mut Counts) -> Result<BooleanArray, ArrowError> {
        let unread = || ArrowError::SchemaError("identities were not read as their schema says".into());
        let maps = rows.column_by_name(self.column).and_then(|c| c.as_map_opt()).ok_or_else(unread)?;
        let lists = maps.values().as_list_opt::<i32>().ok_or_else(unread)?;
        let namespaces = strings(maps.keys())?;
        let mut kept = BooleanBufferBuilder::new(rows.len());
        for row in 0..rows.len() {
            let entries = maps.offsets()[row] as usize..maps.offsets()[row + 1] as usize;
            let entries = if maps.is_null(row) { 0..0 } else { entries };
            let held: Vec<_> = entries.map(|e| (e, identities(lists, e))).filter(|(_, count)| *count > 0).collect();
            let fits = held.iter().map(|(_, count)| count).sum::<usize>() <= MAX_IDENTITIES;
            kept.append(fits);
            if fits {
                count(&held, &namespaces, counts);
            } else {
                counts.too_many_identities += 1;
            }
        }
        Ok(BooleanArray::new(kept.finish(), None))
    }
}

/// Identities in a list; a null is none.
fn identities(lists: &ListArray, at: usize) -> usize {
    if lists.is_null(at) {
        return 0;
    }
    let (start, end) = (lists.offsets()[at] as usize, lists.offsets()[at + 1] as usize);
    match lists.values().nulls() {
        Some(nulls) => (start..end).filter(|&i| nulls.is_valid(i)).count(),
        None => end - start,
    }
}

/// Counts a profile once for each namespace, even where its map holds one twice.
fn count(held: &[(usize, usize)], namespaces: &StringArray, counts: &mut Counts) {
    for (i, (entry, _)) in held.iter().enumerate() {
        let namespace = namespaces.value(*entry);
        if held[..i].iter().any(|(earlier, _)| namespaces.value(*earlier) == namespace) {
            continue;
        }
        match counts.by_namespace.get_mut(namespace) {
            Some(count) => *count += 1,
            None => drop(counts.by_namespace.insert(namespace.to_owned(), 1)),
        }
    }
}
