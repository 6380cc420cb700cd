//! The identities of profiles: the limit on their number, the counters by namespace, and which one is the primary one.

use crate::error::EngineError;
use crate::input::InputFile;
use crate::leaf::{Damaged, LeafChunk, def_of};
use crate::project::strings;
use crate::row_group::RowGroup;
use crate::tree::{FileColumn, FileKind, find};
use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray, ListArray, MapArray, StructArray};
use arrow_schema::ArrowError;
use domain::plan::Counts;
use domain::ports::objects::ReadObjects;
use domain::schema::{Field, Kind, Nested};
use std::ops::Range;

/// A profile with more identities than this is left out.
pub(crate) const MAX_IDENTITIES: usize = 50;

/// Where a file keeps identities.
pub(crate) struct BoundIdentities {
    /// The leaf of namespaces.
    namespaces: usize,
    /// The leaves of identities, each with the definition level from which on there is one.
    identities: Vec<(usize, u8)>,
}

/// Whether a source's column can be counted: a map of namespaces to lists. The error is a sentence.
pub(crate) fn check(column: &Field) -> Result<(), String> {
    match &column.kind {
        Kind::Nested(Nested::Map { value, .. }) if matches!(**value, Kind::Nested(Nested::List { .. })) => Ok(()),
        _ => Err(format!("the column {} does not map namespaces to lists of identities", column.name)),
    }
}

/// Finds the source's column in a file. `None`: the file keeps no identities.
pub(crate) fn bind<O: ReadObjects>(
    column: Option<&Field>,
    input: &InputFile<O>,
) -> Result<Option<BoundIdentities>, String> {
    let Some(column) = column.and_then(|field| find(&input.columns, field)) else { return Ok(None) };
    let ill_formed = || "its identities are not kept as the table's schema says".to_owned();
    let FileKind::Map(key, value) = &column.kind else { return Err(ill_formed()) };
    let (FileKind::Leaf(namespaces, _), FileKind::List(element)) = (&key.kind, &value.kind) else {
        return Err(ill_formed());
    };
    let mut identities = Vec::new();
    leaves_below(element, 0, &mut |leaf, above| identities.push((leaf, def_of(input.schema(), leaf, above))));
    if identities.is_empty() {
        Err(ill_formed())
    } else {
        Ok(Some(BoundIdentities { namespaces: *namespaces, identities }))
    }
}

/// Tells the leaves that a column is or has through structs alone, and how many levels below it.
fn leaves_below(column: &FileColumn, below: usize, tell: &mut impl FnMut(usize, usize)) {
    match &column.kind {
        FileKind::Leaf(leaf, _) => tell(*leaf, below),
        FileKind::Struct(fields) => fields.iter().for_each(|field| leaves_below(field, below + 1, tell)),
        FileKind::List(_) | FileKind::Map(..) => {}
    }
}

/// The namespaces of some rows.
#[derive(Default)]
struct Namespaces {
    names: Vec<String>,
    /// The namespace of each entry of the rows' maps, by position.
    of_entries: Vec<u32>,
    /// Where each row's entries end.
    ends: Vec<u32>,
}

impl BoundIdentities {
    /// Which rows of a row group, given by number in order, have no more than [`MAX_IDENTITIES`]. Counts those by namespace,
    /// each as many times as it is exported, and the others as left out. Nothing but a key and a level of each identity is
    /// looked at.
    pub(crate) async fn judge<O: ReadObjects>(
        &self,
        group: &mut RowGroup<'_, O>,
        rows: &[u32],
        copies: impl Fn(usize) -> u64,
        counts: &mut Counts,
    ) -> Result<Vec<bool>, EngineError> {
        let input = group.input;
        let smallest =
            self.identities.iter().min_by_key(|(leaf, _)| input.chunk(group.number, *leaf).compressed_size());
        let Some((leaf, there)) = smallest else { return Ok(vec![true; rows.len()]) };
        let chunks = group.chunks(&[self.namespaces, *leaf]).await?;
        let [mut keys, mut identities] = <[LeafChunk; 2]>::try_from(chunks).map_err(|_| input.damage())?;
        let namespaces = Namespaces::read(&mut keys, rows).map_err(|_| input.damage())?;
        let (totals, held) = namespaces.identities(&mut identities, rows, *there).map_err(|_| input.damage())?;
        group.keep(self.namespaces, keys);
        group.keep(*leaf, identities);
        let mut of_names = vec![0; namespaces.names.len()];
        let fits: Vec<bool> = totals.iter().map(|total| *total as usize <= MAX_IDENTITIES).collect();
        for (row, fits) in fits.iter().enumerate() {
            if !fits {
                counts.too_many_identities += 1;
                continue;
            }
            let entries = namespaces.entries(row);
            for at in entries.clone().filter(|at| held.get(*at).copied().unwrap_or_default()) {
                let name = namespaces.of_entries[at];
                // Once for each namespace, even where a map holds one twice.
                if !(entries.start..at).any(|before| held[before] && namespaces.of_entries[before] == name) {
                    of_names[name as usize] += copies(row);
                }
            }
        }
        for (name, count) in namespaces.names.into_iter().zip(of_names).filter(|(_, count)| *count > 0) {
            *counts.by_namespace.entry(name).or_default() += count;
        }
        Ok(fits)
    }
}

impl Namespaces {
    fn read(keys: &mut LeafChunk, rows: &[u32]) -> Result<Self, Damaged> {
        let mut read = Self { ends: vec![0; rows.len()], ..Self::default() };
        // The names of the dictionary's entries, by id.
        let mut known: Vec<Option<u32>> = Vec::new();
        keys.each_row(rows, |at, values, row| {
            for value in row.values {
                let name = match values.id(value) {
                    None => read.number(values.get(value)?)?,
                    Some(id) => {
                        let id = id as usize;
                        known.resize(known.len().max(id + 1), None);
                        match known[id] {
                            Some(name) => name,
                            None => *known[id].insert(read.number(values.get(value)?)?),
                        }
                    }
                };
                read.of_entries.push(name);
            }
            read.ends[at] = read.of_entries.len() as u32;
            Ok(())
        })?;
        Ok(read)
    }

    fn number(&mut self, name: &[u8]) -> Result<u32, Damaged> {
        let known = self.names.iter().position(|known| known.as_bytes() == name);
        if known.is_none() {
            self.names.push(std::str::from_utf8(name).map_err(|_| Damaged)?.to_owned());
        }
        Ok(known.unwrap_or(self.names.len() - 1) as u32)
    }

    /// The entries of a row.
    fn entries(&self, row: usize) -> Range<usize> {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..self.ends[row] as usize
    }

    /// How many identities each row has, and which entries have any.
    fn identities(&self, chunk: &mut LeafChunk, rows: &[u32], there: u8) -> Result<(Vec<u32>, Vec<bool>), Damaged> {
        let (mut totals, mut held) = (vec![0; rows.len()], vec![false; self.of_entries.len()]);
        // The row that is open, and its entries so far.
        let mut open = (usize::MAX, 0);
        chunk.each_row(rows, |at, values, row| {
            if open.0 != at {
                open = (at, self.entries(at).start);
            }
            for level in row.levels {
                open.1 += usize::from(values.rep(level) <= 1);
                if values.def(level) >= there {
                    totals[at] += 1;
                    *held.get_mut(open.1 - 1).ok_or(Damaged)? = true;
                }
            }
            Ok(())
        })?;
        Ok((totals, held))
    }
}

fn unread() -> ArrowError {
    ArrowError::SchemaError("identities were not read as their schema says".into())
}

/// Whether a profile has no more than [`MAX_IDENTITIES`], of so many under each of these namespaces. Counts it once for each
/// namespace, even where there is one twice, as many times as it is exported; else as left out.
pub(crate) fn admit(held: &[(&[u8], usize)], copies: u64, counts: &mut Counts) -> Result<bool, Damaged> {
    if held.iter().map(|(_, count)| count).sum::<usize>() > MAX_IDENTITIES {
        counts.too_many_identities += 1;
        return Ok(false);
    }
    for (at, (namespace, _)) in held.iter().enumerate() {
        if held[..at].iter().all(|(earlier, _)| earlier != namespace) {
            count(std::str::from_utf8(namespace).map_err(|_| Damaged)?, copies, counts);
        }
    }
    Ok(true)
}

/// Counts an exported profile under a namespace.
fn count(namespace: &str, copies: u64, counts: &mut Counts) {
    match counts.by_namespace.get_mut(namespace) {
        Some(count) => *count += copies,
        None => drop(counts.by_namespace.insert(namespace.to_owned(), copies)),
    }
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
        let held =
            entries.map(|e| (namespaces.value(e).as_bytes(), identities(lists, e))).filter(|(_, count)| *count > 0);
        kept.append(admit(&held.collect::<Vec<_>>(), copies(row), counts).map_err(|_| unread())?);
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
