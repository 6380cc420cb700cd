//! Maps that are united as they are stored: identities by namespace, and memberships by namespace and segment.
//!
//! Both are maps whose values hold things of their own, in a list or in a map. What a profile has of them is put together
//! of pieces of its rows' levels, the same for all leaves: those of the keys, and those of the things.

mod stored;

use super::settled::{HeldRows, SettledLeaf, file_leaves, time, to_leaves};
use crate::error::EngineError;
use crate::identities;
use crate::input::InputFile;
use crate::layout::{IDENTITY_MAP, SEGMENT_MEMBERSHIP};
use crate::leaf::{Damaged, EncodeError, HeldLeaf, LeafEncoder, def_down_to};
use crate::part::Part;
use crate::tree::find;
use crate::writer::leaves_of_columns;
use domain::plan::Counts;
use domain::ports::objects::ReadObjects;
use std::collections::BTreeSet;
use std::iter::repeat;
use std::ops::Range;
use stored::Stored;

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
    levels: Levels,
    /// The repetition level of the first.
    rep: u8,
}

enum Levels {
    /// Those of held rows of that number.
    Held(usize, Range<usize>),
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
                let Some(leaves) = column.and_then(|c| file_leaves(c, input, &layout.parquet, exported.clone())) else {
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

    /// Whether the leaves of a file's rows nest alike: one level of all of them stands for one thing.
    pub(super) fn is_whole(&self, rows: &HeldRows) -> bool {
        let Some(Stored { things, memberships, .. }) = &self.files[rows.file] else { return true };
        let asked_for = memberships.iter().flat_map(|(segments, times)| [Some(*segments), *times]).flatten();
        let exported = self.exported.iter().flat_map(|(_, leaves)| leaves.iter().skip(1));
        let mut others = asked_for.chain(exported.filter_map(|leaf| leaf.leaf_of(rows.file)));
        let Ok(things) = rows.leaf(*things) else { return false };
        others.all(|leaf| rows.leaf(leaf).is_ok_and(|leaf| leaf.nests_as(things)))
    }

    /// Unites the maps of profiles, which are given by their rows in order of precedence, each by the held rows that it is
    /// among and its position there. Of identities, those are judged and counted that a profile is exported with, as many
    /// times as `copies` says. Fails with the number of the held rows that are not what they should be, if that is known.
    pub(super) fn unite(
        &self,
        held: &[HeldRows],
        profiles: impl Iterator<Item = Vec<(usize, usize)>>,
        copies: impl Fn(usize) -> u64,
        counts: &mut Counts,
    ) -> Result<United, Option<usize>> {
        let mut united = United::default();
        for (profile, rows) in profiles.enumerate() {
            let counted = self.unite_one(held, &rows, &mut united)?;
            united.fits.push(match self.name {
                IDENTITY_MAP => identities::admit(&counted, copies(profile), counts).map_err(|_| None)?,
                _ => true,
            });
        }
        Ok(united)
    }

    /// Unites the maps of a profile's rows; tells how many things it has under each key.
    fn unite_one<'h>(
        &'h self,
        held: &'h [HeldRows],
        rows: &[(usize, usize)],
        united: &mut United,
    ) -> Result<Vec<(&'h [u8], usize)>, Option<usize>> {
        let damaged = |_: Damaged| None;
        let (keys, entries, is_there) = self.entries(held, rows).map_err(Some)?;
        if keys.is_empty() {
            let nothing = if is_there { self.defs[0] } else { 0 };
            united.keys.add_nothing(nothing, 0);
            united.things.add_nothing(nothing, 0);
        }
        let mut counts = Vec::new();
        for (number, key) in keys.iter().enumerate() {
            let rep = u8::from(number > 0);
            united.keys.add((key.among, key.level, key.keys), rep);
            let of_key = || entries.iter().filter(|entry| entry.key == number);
            let things = match (self.name, rows.len()) {
                (_, 1) => of_key().flat_map(Entry::things).collect(),
                (SEGMENT_MEMBERSHIP, _) => latest(of_key(), held).map_err(damaged)?,
                _ => distinct(of_key()).map_err(damaged)?,
            };
            let mut count = 0;
            for ((among, level, leaf), rep) in things.iter().zip([rep].into_iter().chain(repeat(2))) {
                united.things.add((*among, *level, leaf), rep);
                let of_file = self.files[held[*among].file].as_ref().ok_or(Some(*among))?;
                count += usize::from(leaf.def(*level).map_err(damaged)? >= of_file.defs[1]);
            }
            if things.is_empty() {
                let [_, entry, value] = self.defs;
                let has_value = of_key().map(Entry::has_value).collect::<Result<Vec<bool>, _>>();
                let nothing = if has_value.map_err(damaged)?.contains(&true) { value } else { entry };
                united.things.add_nothing(nothing, rep);
            }
            counts.extend((count > 0).then_some((key.value, count)));
        }
        united.keys.end();
        united.things.end();
        Ok(counts)
    }

    /// The entries of the maps of one profile's rows: their keys, in order of first appearance, and what they hold. Tells
    /// whether any row has a map. A row that is alone keeps its map as it stands, even where that has a key twice.
    fn entries<'h>(
        &'h self,
        held: &'h [HeldRows],
        rows: &[(usize, usize)],
    ) -> Result<(Vec<Key<'h>>, Vec<Entry<'h>>, bool), usize> {
        let (mut keys, mut entries, mut is_there) = (Vec::<Key<'_>>::new(), Vec::new(), false);
        for (among, row) in rows {
            let damaged = |_: Damaged| *among;
            let of_file = held.get(*among).ok_or(*among)?;
            let Some(stored) = &self.files[of_file.file] else { continue };
            let leaf = |number| of_file.leaf(number).map_err(damaged);
            let (of_keys, things) = (leaf(stored.keys.0)?, leaf(stored.things)?);
            let (levels, mut left) = (of_keys.levels(*row), things.levels(*row));
            is_there |= of_keys.def(levels.start).map_err(damaged)? >= stored.keys.1;
            let before = entries.len();
            for level in levels {
                // Where nothing is in a map, a level says so.
                let Some(value) = of_keys.value(level).map_err(damaged)? else { continue };
                let known = keys.iter().position(|known| known.value == value).filter(|_| rows.len() > 1);
                let key = known.unwrap_or_else(|| {
                    keys.push(Key { value, among: *among, level, keys: of_keys });
                    keys.len() - 1
                });
                let levels = things.next_entry(&mut left).ok_or(*among)?;
                entries.push(Entry { key, among: *among, stored, things, levels });
            }
            if entries.len() > before && !left.is_empty() {
                return Err(*among);
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
            for Piece { levels, rep } in pieces.of(profile) {
                match levels {
                    Levels::Nothing(def) => encoder.push_nothing(*rep, *def).map_err(|e| error(None, e))?,
                    Levels::Held(among, levels) => {
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
        if let Some(Piece { levels: Levels::Held(of, levels), .. }) = self.pieces[begun..].last_mut()
            && (*of, levels.end) == (among, level)
            && held.rep(level) == rep
        {
            levels.end += 1;
        } else {
            self.pieces.push(Piece { levels: Levels::Held(among, level..level + 1), rep });
        }
    }

    fn add_nothing(&mut self, def: u8, rep: u8) {
        self.pieces.push(Piece { levels: Levels::Nothing(def), rep });
    }

    fn end(&mut self) {
        self.ends.push(self.pieces.len());
    }

    fn of(&self, profile: usize) -> &[Piece] {
        &self.pieces[profile.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[profile]]
    }
}
