//! Maps that are united where rows are merged: identities, and memberships.

use super::merge::{At, Candidates, gather, unfit};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StringArray, StructArray, TimestampMicrosecondArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType};
use std::cmp::Reverse;
use std::sync::Arc;

/// Unites maps of namespaces to identities: each identity of a namespace once, as the first candidate tells it. A row of one
/// candidate keeps its map as it stands.
pub(super) fn unite_identities(arrays: &[ArrayRef], candidates: &Candidates) -> Result<ArrayRef, ArrowError> {
    unite(arrays, candidates, identities)
}

/// Unites maps of namespaces to memberships by segment: of two memberships in one segment the one that was qualified later.
/// A row of one candidate keeps its map as it stands.
pub(super) fn unite_memberships(arrays: &[ArrayRef], candidates: &Candidates) -> Result<ArrayRef, ArrowError> {
    unite(arrays, candidates, |values, groups| unite(values, groups, memberships))
}

/// The values that the united map has under one key.
#[derive(Clone, Debug)]
struct Group {
    values: Vec<At>,
    /// It is a value of a map that is kept as it stands.
    as_it_stands: bool,
}

/// What merged maps are made of.
trait Groups {
    fn each(&self) -> impl Iterator<Item = (&[At], bool)>;
}

impl Groups for Candidates {
    fn each(&self) -> impl Iterator<Item = (&[At], bool)> {
        self.iter().map(|rows| (rows, rows.len() == 1))
    }
}

impl Groups for [Group] {
    fn each(&self) -> impl Iterator<Item = (&[At], bool)> {
        self.iter().map(|group| (&group.values[..], group.as_it_stands))
    }
}

/// Unites maps key by key, in order of first appearance; `below` unites the values of a key. All null = null.
fn unite(
    arrays: &[ArrayRef],
    groups: &(impl Groups + ?Sized),
    below: impl Fn(&[ArrayRef], &[Group]) -> Result<ArrayRef, ArrowError>,
) -> Result<ArrayRef, ArrowError> {
    let maps = arrays.iter().map(|a| a.as_map_opt().ok_or_else(unfit)).collect::<Result<Vec<&MapArray>, _>>()?;
    let keys = maps.iter().map(|m| m.keys().as_string_opt().ok_or_else(unfit));
    let keys: Vec<&StringArray> = keys.collect::<Result<_, _>>()?;
    let (mut united, mut firsts, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (candidates, as_it_stands) in groups.each() {
        let before = united.len();
        let present = || candidates.iter().filter(|(array, row)| maps[*array].is_valid(*row));
        for (array, row) in present() {
            let offsets = maps[*array].offsets();
            for entry in offsets[*row] as usize..offsets[*row + 1] as usize {
                let key = keys[*array].value(entry);
                let same = |first: &At| keys[first.0].value(first.1) == key;
                match firsts[before..].iter().position(same).filter(|_| !as_it_stands) {
                    Some(at) => {
                        let group: &mut Group = &mut united[before + at];
                        group.values.push((*array, entry));
                    }
                    None => {
                        firsts.push((*array, entry));
                        united.push(Group { values: vec![(*array, entry)], as_it_stands });
                    }
                }
            }
        }
        lengths.push(united.len() - before);
        valid.push(present().next().is_some());
    }
    let DataType::Map(entries, sorted) = arrays[0].data_type() else { return Err(unfit()) };
    let DataType::Struct(pair) = entries.data_type() else { return Err(unfit()) };
    let key_arrays: Vec<ArrayRef> = maps.iter().map(|m| m.keys().clone()).collect();
    let value_arrays: Vec<ArrayRef> = maps.iter().map(|m| m.values().clone()).collect();
    let keys = gather(&key_arrays, firsts.into_iter().map(Some))?;
    let values = below(&value_arrays, &united)?;
    let pairs = StructArray::try_new(pair.clone(), vec![keys, values], None)?;
    let (offsets, nulls) = (OffsetBuffer::from_lengths(lengths), NullBuffer::from(valid));
    Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, Some(nulls), *sorted)?))
}

/// The membership that was qualified last; one without a time is the earliest, and none at all comes last.
fn memberships(arrays: &[ArrayRef], groups: &[Group]) -> Result<ArrayRef, ArrowError> {
    let time = |array: &ArrayRef| -> Option<TimestampMicrosecondArray> {
        let times = array.as_struct_opt()?.column_by_name("lastQualificationTime")?;
        times.as_primitive_opt::<TimestampMicrosecondType>().cloned()
    };
    let times: Vec<_> = arrays.iter().map(time).collect();
    let latest = |(place, at): &(usize, At)| {
        let (array, row) = *at;
        let present = arrays[array].is_valid(row);
        let times = times[array].as_ref().filter(|t| present && t.is_valid(row));
        (present, times.map(|t| t.value(row)), Reverse(*place))
    };
    let chosen = groups.iter().map(|group| group.values.iter().copied().enumerate().max_by_key(latest));
    gather(arrays, chosen.map(|chosen| chosen.map(|(_, at)| at)))
}

/// Lists of identities: every id once, in order; nulls are left out. All null = null.
fn identities(arrays: &[ArrayRef], groups: &[Group]) -> Result<ArrayRef, ArrowError> {
    let lists = arrays.iter().map(|a| a.as_list_opt::<i32>().ok_or_else(unfit));
    let lists: Vec<&ListArray> = lists.collect::<Result<_, _>>()?;
    let ids = lists.iter().map(|list| {
        let ids = list.values().as_struct_opt()?.column_by_name("id")?;
        ids.as_string_opt::<i32>()
    });
    let ids: Vec<Option<&StringArray>> = ids.collect();
    let id = |(array, at): At| ids[array].filter(|ids| ids.is_valid(at)).map(|ids| ids.value(at));
    let (mut elements, mut lengths, mut valid) = (Vec::<At>::new(), Vec::new(), Vec::new());
    for group in groups {
        let before = elements.len();
        let present = || group.values.iter().filter(|(array, row)| lists[*array].is_valid(*row));
        for (array, row) in present() {
            let offsets = lists[*array].offsets();
            for at in offsets[*row] as usize..offsets[*row + 1] as usize {
                let known = || {
                    lists[*array].values().is_null(at)
                        || elements[before..].iter().any(|other| id(*other) == id((*array, at)))
                };
                if group.as_it_stands || !known() {
                    elements.push((*array, at));
                }
            }
        }
        lengths.push(elements.len() - before);
        valid.push(present().next().is_some());
    }
    let DataType::List(element) = arrays[0].data_type() else { return Err(unfit()) };
    let values: Vec<ArrayRef> = lists.iter().map(|list| list.values().clone()).collect();
    let values = gather(&values, elements.into_iter().map(Some))?;
    let (offsets, nulls) = (OffsetBuffer::from_lengths(lengths), NullBuffer::from(valid));
    Ok(Arc::new(ListArray::try_new(element.clone(), offsets, values, Some(nulls))?))
}
