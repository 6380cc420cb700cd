//! Maps that are united as they are stored: identities by namespace, and memberships by namespace and segment.
//!
//! Both are maps whose values hold things of their own, in a list or in a map. What a profile has of them is put together
//! of pieces of its rows' levels, the same for all leaves: those of the keys, and those of the things.

use super::settled::{HeldRows, SettledLeaf, stored, time, to_leaves};
use crate::error::EngineError;
use crate::identities;
use crate::input::InputFile;
use crate::layout::{IDENTITY_MAP, SEGMENT_MEMBERSHIP};
use crate::leaf::{Damaged, EncodeError, HeldLeaf, LeafEncoder, LeafForm, def_down_to};
use crate::moved::is_alike;
use crate::part::Part;
use crate::shape::{Column, MapShape, Shape};
use crate::tree::{FileColumn, FileKind, find};
use crate::writer::leaves_of_columns;
use domain::plan::Counts;
use domain::ports::objects::ReadObjects;
use parquet::basic::Type as PhysicalType;
use std::collections::BTreeSet;
use std::iter::repeat;
use std::ops::Range;

/// The field of a membership that tells when it was qualified last.
const TIME: &str = "lastQualificationTime";

/// Nodes from the top on: the map, its entries, their values (lists or maps), what these repeat, and the things in them.
const MAP: usize = 1;
const ENTRY: usize = 2;
const VALUE: usize = 3;
const THING: usize = 5;

/// A column that is united so.
pub(super) struct Map {
    /// Its name.
    pub(super) name: &'static str,
    /// Where each of the part's files keeps it; `None`: it does not.
    files: Vec<Option<Stored>>,
    /// Which of the export's columns it is, with its leaves, that of the keys first; `None`: it is not exported.
    pub(super) exported: Option<(usize, Vec<SettledLeaf>)>,
    /// The definition levels in the export at which there is a map, an entry, and a value.
    defs: [u8; 3],
}

/// Where a file keeps a map.
struct Stored {
    /// The leaf of the keys, and the definition level from which on there is a map.
    keys: (usize, u8),
    /// A leaf of the things; of identities, that of their ids.
    things: usize,
    /// Its definition levels from which on there is a value, and a thing.
    defs: [u8; 2],
    /// Of memberships: the leaf of segments, and that of times, where these are asked for.
    memberships: Option<(usize, Option<usize>)>,
}

/// What profiles have of a map.
#[derive(Default)]
pub(super) struct United {
    keys: Pieces,
    things: Pieces,
    /// Which profiles may be exported.
    pub(super) fits: Vec<bool>,
}

#[derive(Default)]
struct Pieces {
    pieces: Vec<Piece>,
    /// Where those of each profile end.
    ends: Vec<usize>,
}

/// Levels that follow one another.
struct Piece {
    from: From,
    /// The repetition level of the first.
    rep: u8,
}

enum From {
    /// Those of held rows of that number.
    Levels(usize, Range<usize>),
    /// One, of a definition level at which there is nothing.
    Nothing(u8),
}

/// A key of a profile's maps, and where it stands first.
struct Key<'h> {
    value: &'h [u8],
    among: usize,
    level: usize,
    keys: &'h HeldLeaf,
}

/// A map's entry, of the rows of one profile.
struct Entry<'h> {
    /// Its key, by position among the profile's.
    key: usize,
    among: usize,
    stored: &'h Stored,
    things: &'h HeldLeaf,
    levels: Range<usize>,
}

impl Map {
    /// Finds those maps that all files of a part keep in the export's form, or not at all.
    pub(super) fn of<O: ReadObjects>(part: &Part<'_, O>, inputs: &[InputFile<O>]) -> Result<Vec<Self>, EngineError> {
        let mut maps = Vec::new();
        for name in [IDENTITY_MAP, SEGMENT_MEMBERSHIP] {
            maps.extend(Self::named(name, part, inputs)?);
        }
        Ok(maps)
    }

    fn named<O: ReadObjects>(
        name: &'static str,
        part: &Part<'_, O>,
        inputs: &[InputFile<O>],
    ) -> Result<Option<Self>, EngineError> {
        let layout = part.layout;
        let Ok(at) = layout.fragments.schema.index_of(name) else { return Ok(None) };
        let slot = layout.schema.index_of(name).ok();
        let exported = slot.and_then(|slot| Some((slot, leaves_of_columns(&layout.parquet).nth(slot)?)));
        let (mut files, mut of_export) = (Vec::new(), Vec::new());
        for (input, file) in inputs.iter().zip(&part.task.part.files) {
            let (fragments, export) =
                (layout.fragments.bind(file.source, input)?, layout.export.bind(file.source, input)?);
            let Some(column) = fragments.source(at) else { return Ok(None) };
            match column.source.as_ref().and_then(|field| find(&input.columns, field)) {
                None => files.push(None),
                Some(found) => match Stored::of(column, found, input) {
                    None => return Ok(None),
                    kept => files.push(kept),
                },
            }
            if let Some((_, exported)) = &exported {
                let column = layout.export.schema.index_of(name).ok().and_then(|at| export.source(at));
                let Some(leaves) = column.and_then(|c| stored(c, input, &layout.parquet, exported.clone())) else {
                    return Ok(None);
                };
                of_export.push(leaves);
            }
        }
        let Some((slot, exported)) = exported else {
            return Ok(Some(Self { name, files, exported: None, defs: [0; 3] }));
        };
        let reps = exported.clone().map(|leaf| layout.parquet.column(leaf).max_rep_level());
        if !reps.eq([1].into_iter().chain((1..exported.len()).map(|_| 2))) {
            return Ok(None);
        }
        let thing = exported.end - 1;
        let defs = [MAP, ENTRY, VALUE].map(|depth| def_down_to(&layout.parquet, thing, depth));
        let leaves = to_leaves(of_export, &layout.parquet, exported);
        Ok(leaves.map(|leaves| Self { name, files, exported: Some((slot, leaves)), defs }))
    }

    /// Adds the leaves of a file that are needed.
    pub(super) fn leaves_of(&self, file: usize, leaves: &mut BTreeSet<usize>) {
        if let Some(Stored { keys, things, memberships, .. }) = &self.files[file] {
            leaves.extend([keys.0, *things]);
            leaves.extend(memberships.iter().flat_map(|(segments, times)| [Some(*segments), *times]).flatten());
        }
        let exported = self.exported.iter().flat_map(|(_, leaves)| leaves);
        leaves.extend(exported.filter_map(|leaf| leaf.leaf_of(file)));
    }

    /// Unites the maps of profiles, which are given by their rows in order of precedence, each by the held rows that it is
    /// among and its position there. Of identities, those are judged and counted that a profile is exported with, as many
    /// times as `copies` says.
    pub(super) fn unite(
        &self,
        held: &[HeldRows],
        profiles: impl Iterator<Item = Vec<(usize, usize)>>,
        copies: impl Fn(usize) -> u64,
        counts: &mut Counts,
    ) -> Result<United, Damaged> {
        let mut united = United::default();
        for (profile, rows) in profiles.enumerate() {
            let (keys, entries, is_there) = self.entries(held, &rows)?;
            if keys.is_empty() {
                let nothing = if is_there { self.defs[0] } else { 0 };
                united.keys.add_nothing(nothing, 0);
                united.things.add_nothing(nothing, 0);
            }
            let mut counted = Vec::new();
            for (number, key) in keys.iter().enumerate() {
                let rep = u8::from(number > 0);
                united.keys.add((key.among, key.level, key.keys), rep);
                let of_key = || entries.iter().filter(|entry| entry.key == number);
                let things = match (self.name, rows.len()) {
                    (_, 1) => of_key().flat_map(Entry::things).collect(),
                    (SEGMENT_MEMBERSHIP, _) => latest(of_key(), held)?,
                    _ => distinct(of_key())?,
                };
                let mut count = 0;
                for ((among, level, leaf), rep) in things.iter().zip([rep].into_iter().chain(repeat(2))) {
                    united.things.add((*among, *level, leaf), rep);
                    let of_file = self.files[held[*among].file].as_ref().ok_or(Damaged)?;
                    count += usize::from(leaf.def(*level)? >= of_file.defs[1]);
                }
                if things.is_empty() {
                    let [_, entry, value] = self.defs;
                    let has_value = of_key().map(Entry::has_value).collect::<Result<Vec<bool>, _>>()?.contains(&true);
                    united.things.add_nothing(if has_value { value } else { entry }, rep);
                }
                counted.extend((count > 0).then_some((key.value, count)));
            }
            united.keys.end();
            united.things.end();
            united.fits.push(match self.name {
                IDENTITY_MAP => identities::admit(&counted, copies(profile), counts).map_err(|_| Damaged)?,
                _ => true,
            });
        }
        Ok(united)
    }

    /// The entries of the maps of one profile's rows: their keys, in order of first appearance, and what they hold. Tells
    /// whether any row has a map. A row that is alone keeps its map as it stands, even where that has a key twice.
    fn entries<'h>(
        &'h self,
        held: &'h [HeldRows],
        rows: &[(usize, usize)],
    ) -> Result<(Vec<Key<'h>>, Vec<Entry<'h>>, bool), Damaged> {
        let (mut keys, mut entries, mut is_there) = (Vec::<Key<'_>>::new(), Vec::new(), false);
        for (among, row) in rows {
            let of_file = held.get(*among).ok_or(Damaged)?;
            let Some(stored) = &self.files[of_file.file] else { continue };
            let (of_keys, things) = (of_file.leaf(stored.keys.0)?, of_file.leaf(stored.things)?);
            let (levels, mut left) = (of_keys.levels(*row), things.levels(*row));
            is_there |= of_keys.def(levels.start)? >= stored.keys.1;
            let before = entries.len();
            for level in levels {
                // Where nothing is in a map, a level says so.
                let Some(value) = of_keys.value(level)? else { continue };
                let known = keys.iter().position(|known| known.value == value).filter(|_| rows.len() > 1);
                let key = known.unwrap_or_else(|| {
                    keys.push(Key { value, among: *among, level, keys: of_keys });
                    keys.len() - 1
                });
                let levels = things.next_entry(&mut left).ok_or(Damaged)?;
                entries.push(Entry { key, among: *among, stored, things, levels });
            }
            if entries.len() > before && !left.is_empty() {
                return Err(Damaged);
            }
        }
        Ok((keys, entries, is_there))
    }

    /// Adds what profiles, given by number, have on one of the exported leaves.
    pub(super) fn write(
        &self,
        leaf: usize,
        (united, held): (&United, &[HeldRows]),
        profiles: impl Iterator<Item = usize>,
        encoder: &mut LeafEncoder,
        error: &impl Fn(Option<usize>, EncodeError) -> EngineError,
    ) -> Result<(), EngineError> {
        let damaged = || error(None, Damaged.into());
        let (_, leaves) = self.exported.as_ref().ok_or_else(damaged)?;
        let columns = leaves.get(leaf).and_then(|leaf| leaf.held(held)).ok_or_else(damaged)?;
        let pieces = if leaf == 0 { &united.keys } else { &united.things };
        encoder.begin_held(held.len());
        for profile in profiles {
            encoder.begin_row().map_err(EngineError::Encode)?;
            for Piece { from, rep } in pieces.of(profile) {
                match from {
                    From::Nothing(def) => encoder.push_nothing(*rep, *def).map_err(|e| error(None, e))?,
                    From::Levels(among, levels) => {
                        let (held, how) = columns.column(*among).ok_or_else(damaged)?;
                        let pushed = encoder.push_held((*among, held), (levels.clone(), *rep), how);
                        pushed.map_err(|e| error(Some(*among), e))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Stored {
    /// Where a file keeps a map of the form of fragments; `None`: not in the form in which it is united here.
    fn of<O: ReadObjects>(column: &Column, file: &FileColumn, input: &InputFile<O>) -> Option<Self> {
        let Shape::Map(map) = &column.shape else { return None };
        let FileKind::Map(key, value) = &file.kind else { return None };
        let FileKind::Leaf(keys, _) = key.kind else { return None };
        let (things, memberships) = match (of_any_key(map)?, &value.kind) {
            (Shape::List(_, element), FileKind::List(of_file)) => {
                let (Shape::Struct(columns), FileKind::Struct(fields)) = (&**element, &of_file.kind) else {
                    return None;
                };
                (field("id", columns, fields)??, None)
            }
            (Shape::Map(segments), FileKind::Map(segment, of_file)) => {
                let (Shape::Struct(columns), FileKind::Struct(fields)) = (of_any_key(segments)?, &of_file.kind) else {
                    return None;
                };
                let FileKind::Leaf(segment, _) = segment.kind else { return None };
                let times = field(TIME, columns, fields)?;
                let is_number = |leaf| input.schema().column(leaf).physical_type() == PhysicalType::INT64;
                if times.is_some_and(|times| !is_number(times)) {
                    return None;
                }
                let things = columns.iter().find_map(|column| field(column.field.name(), columns, fields).flatten())?;
                (things, Some((segment, times)))
            }
            _ => return None,
        };
        let schema = input.schema();
        let is_of_form = |leaf: usize, reps: u8| LeafForm::of(&schema.column(leaf)).is_some_and(|f| f.max_rep == reps);
        let is_deep_enough = schema.column(things).path().parts().len() == THING + 1;
        if !is_of_form(keys, 1) || !is_of_form(things, 2) || !is_deep_enough {
            return None;
        }
        let defs = [VALUE, THING].map(|depth| def_down_to(schema, things, depth));
        Some(Self { keys: (keys, def_down_to(schema, keys, MAP)), things, defs, memberships })
    }
}

/// The form of a map's values, where it does not depend on the key.
fn of_any_key(map: &MapShape) -> Option<&Shape> {
    match &map.values[..] {
        [of_any_key] if map.named.is_empty() && map.others.is_some() => Some(of_any_key),
        _ => None,
    }
}

/// The leaf of a field, `Some(None)` where it is not asked for.
fn field(name: &str, columns: &[Column], fields: &[FileColumn]) -> Option<Option<usize>> {
    let Some(column) = columns.iter().find(|column| column.field.name() == name) else { return Some(None) };
    match (&column.shape, &find(fields, column.source.as_ref()?)?.kind) {
        (Shape::Leaf(to), FileKind::Leaf(leaf, from)) if is_alike(from, to) => Some(Some(*leaf)),
        _ => None,
    }
}

impl<'h> Entry<'h> {
    /// Everything that it holds, as it stands.
    fn things(&self) -> impl Iterator<Item = Thing<'h>> + use<'h> {
        let (among, things) = (self.among, self.things);
        self.levels.clone().map(move |level| (among, level, things))
    }

    /// Whether it has a value, however empty.
    fn has_value(&self) -> Result<bool, Damaged> {
        Ok(self.things.def(self.levels.start)? >= self.stored.defs[0])
    }
}

/// A level: the held rows that it is among, its number there, and a leaf that has it.
type Thing<'h> = (usize, usize, &'h HeldLeaf);

/// The identities of one namespace: every id once, in order.
fn distinct<'e, 'h: 'e>(entries: impl Iterator<Item = &'e Entry<'h>>) -> Result<Vec<Thing<'h>>, Damaged> {
    let mut known: Vec<Option<&[u8]>> = Vec::new();
    let mut distinct = Vec::new();
    for entry in entries {
        for level in entry.levels.clone() {
            if entry.things.def(level)? < entry.stored.defs[1] {
                continue;
            }
            let id = entry.things.value(level)?;
            if !known.contains(&id) {
                known.push(id);
                distinct.push((entry.among, level, entry.things));
            }
        }
    }
    Ok(distinct)
}

/// The memberships of one namespace: of two in one segment the one that was qualified later. One without a time is the
/// earliest, and none at all comes last.
fn latest<'e, 'h: 'e>(
    entries: impl Iterator<Item = &'e Entry<'h>>,
    held: &'h [HeldRows],
) -> Result<Vec<Thing<'h>>, Damaged> {
    let mut latest: Vec<(&[u8], (bool, Option<i64>), Thing<'h>)> = Vec::new();
    for entry in entries {
        let of_file = held.get(entry.among).ok_or(Damaged)?;
        let (segments, times) = entry.stored.memberships.ok_or(Damaged)?;
        let (segments, times) = (of_file.leaf(segments)?, times.map(|times| of_file.leaf(times)).transpose()?);
        for level in entry.levels.clone() {
            let Some(segment) = segments.value(level)? else { continue };
            let is_there = entry.things.def(level)? >= entry.stored.defs[1];
            let time = time(times.map(|times| times.value(level)).transpose()?.flatten());
            let (rank, thing) = ((is_there, time), (entry.among, level, entry.things));
            match latest.iter_mut().find(|(known, ..)| *known == segment) {
                None => latest.push((segment, rank, thing)),
                Some(known) if known.1 < rank => (known.1, known.2) = (rank, thing),
                Some(_) => {}
            }
        }
    }
    Ok(latest.into_iter().map(|(.., thing)| thing).collect())
}

impl Pieces {
    /// Adds a level, as it is held but for its repetition level.
    fn add(&mut self, (among, level, held): Thing<'_>, rep: u8) {
        let begun = self.ends.last().copied().unwrap_or(0);
        if let Some(Piece { from: From::Levels(of, levels), .. }) = self.pieces[begun..].last_mut()
            && (*of, levels.end) == (among, level)
            && held.rep(level) == rep
        {
            levels.end += 1;
        } else {
            self.pieces.push(Piece { from: From::Levels(among, level..level + 1), rep });
        }
    }

    fn add_nothing(&mut self, def: u8, rep: u8) {
        self.pieces.push(Piece { from: From::Nothing(def), rep });
    }

    fn end(&mut self) {
        self.ends.push(self.pieces.len());
    }

    fn of(&self, profile: usize) -> &[Piece] {
        &self.pieces[profile.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[profile]]
    }
}
