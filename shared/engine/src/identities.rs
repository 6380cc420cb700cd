//! The identities of profiles: the limit on their number, the counters by namespace, and which one is the primary one.

use crate::project::strings;
use crate::tree::{FileColumn, FileKind, find};
use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, ListArray, MapArray, StringArray, StructArray};
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
    /// The identities of rows that were read with the leaves.
    pub(crate) fn of<'r>(&self, rows: &'r StructArray) -> Result<&'r MapArray, ArrowError> {
        rows.column_by_name(self.column).and_then(|c| c.as_map_opt()).ok_or_else(unread)
    }
}

fn unread() -> ArrowError {
    ArrowError::SchemaError("identities were not read as their schema says".into())
}

/// Which profiles have no more than [`MAX_IDENTITIES`]. Counts those by namespace, each as many times as it is exported, and
/// the others as left out.
pub(crate) fn judge(
    maps: &MapArray,
    copies: impl Fn(usize) -> u64,
    counts: &mut Counts,
) -> Result<BooleanArray, ArrowError> {
    let lists = maps.values().as_list_opt::<i32>().ok_or_else(unread)?;
    let namespaces = strings(maps.keys())?;
    let mut kept = BooleanBufferBuilder::new(maps.len());
    for row in 0..maps.len() {
        let entries = maps.offsets()[row] as usize..maps.offsets()[row + 1] as usize;
        let entries = if maps.is_null(row) { 0..0 } else { entries };
        let held: Vec<_> = entries.map(|e| (e, identities(lists, e))).filter(|(_, count)| *count > 0).collect();
        let fits = held.iter().map(|(_, count)| count).sum::<usize>() <= MAX_IDENTITIES;
        kept.append(fits);
        if fits {
            count(&held, &namespaces, copies(row), counts);
        } else {
            counts.too_many_identities += 1;
        }
    }
    Ok(BooleanArray::new(kept.finish(), None))
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

/// Counts an exported profile once for each namespace, even where its map holds one twice.
fn count(held: &[(usize, usize)], namespaces: &StringArray, copies: u64, counts: &mut Counts) {
    for (i, (entry, _)) in held.iter().enumerate() {
        let namespace = namespaces.value(*entry);
        if held[..i].iter().any(|(earlier, _)| namespaces.value(*earlier) == namespace) {
            continue;
        }
        match counts.by_namespace.get_mut(namespace) {
            Some(count) => *count += copies,
            None => drop(counts.by_namespace.insert(namespace.to_owned(), copies)),
        }
    }
}

/// Where a file keeps what tells a row's primary identity.
pub(crate) struct BoundPrimary<'f> {
    column: &'f str,
    id: &'f str,
    primary: Option<&'f str>,
    /// The leaves to read.
    pub(crate) leaves: Vec<usize>,
}

impl<'f> BoundPrimary<'f> {
    /// Finds the source's column in a file. `None`: the file tells no identities.
    pub(crate) fn bind(column: Option<&Field>, file: &'f [FileColumn]) -> Result<Option<Self>, String> {
        let ill_formed = || "its identities are not kept as the table's schema says".to_owned();
        let Some((source, column)) = column.and_then(|field| Some((field, find(file, field)?))) else {
            return Ok(None);
        };
        let FileKind::Map(key, value) = &column.kind else { return Err(ill_formed()) };
        let FileKind::List(element) = &value.kind else { return Err(ill_formed()) };
        let FileKind::Struct(fields) = &element.kind else { return Err(ill_formed()) };
        let field = |name: &str| element_field(source, name).and_then(|field| find(fields, field));
        let Some(id) = field("id") else { return Ok(None) };
        let primary = field("primary");
        let mut leaves = Vec::new();
        for column in [Some(&**key), Some(id), primary].into_iter().flatten() {
            column.witness(&mut leaves);
        }
        let primary = primary.map(|p| p.name.as_str());
        Ok(Some(Self { column: &column.name, id: &id.name, primary, leaves }))
    }

    /// Tells the primary identity of each row, as namespace and id: one that says so, else any; of several the first by
    /// namespace and id. `None` for a row without identities.
    pub(crate) fn each(
        &self,
        rows: &StructArray,
        mut tell: impl FnMut(usize, Option<(&str, &str)>),
    ) -> Result<(), ArrowError> {
        let maps = rows.column_by_name(self.column).and_then(|c| c.as_map_opt()).ok_or_else(unread)?;
        let lists = maps.values().as_list_opt::<i32>().ok_or_else(unread)?;
        let elements = lists.values().as_struct_opt().ok_or_else(unread)?;
        let namespaces = strings(maps.keys())?;
        let ids = strings(elements.column_by_name(self.id).ok_or_else(unread)?)?;
        let primary = self.primary.map(|name| elements.column_by_name(name).ok_or_else(unread)).transpose()?;
        let primary = primary.map(|p| p.as_boolean_opt().ok_or_else(unread)).transpose()?;
        for row in 0..rows.len() {
            let mut best: Option<(bool, &str, &str)> = None;
            for entry in span(maps.offsets(), maps, row) {
                for at in span(lists.offsets(), lists, entry) {
                    if elements.is_null(at) || ids.is_null(at) {
                        continue;
                    }
                    let secondary = !primary.is_some_and(|p| p.is_valid(at) && p.value(at));
                    let identity = (secondary, namespaces.value(entry), ids.value(at));
                    best = Some(best.map_or(identity, |best| best.min(identity)));
                }
            }
            tell(row, best.map(|(_, namespace, id)| (namespace, id)));
        }
        Ok(())
    }
}

/// The entries of a map or list; none where it is null.
fn span(offsets: &[i32], of: &dyn Array, at: usize) -> std::ops::Range<usize> {
    if of.is_null(at) { 0..0 } else { offsets[at] as usize..offsets[at + 1] as usize }
}

/// A field of an identity.
fn element_field<'s>(column: &'s Field, name: &str) -> Option<&'s Field> {
    let Kind::Nested(Nested::Map { value, .. }) = &column.kind else { return None };
    let Kind::Nested(Nested::List { element, .. }) = &**value else { return None };
    let Kind::Nested(Nested::Struct { fields }) = &**element else { return None };
    fields.iter().find(|f| f.name == name)
}
