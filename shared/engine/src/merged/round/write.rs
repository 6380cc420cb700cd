//! The way of merged profiles into the files of their batches.

use super::super::maps::{Map, United};
use super::super::merge::{At, Candidates, unfit};
use super::super::settled::{Choice, SettledLeaf};
use super::Round;
use crate::batches::{Batches, broken};
use crate::bounds::Bounds;
use crate::error::EngineError;
use crate::identities;
use crate::layout::{IDENTITY_MAP, PROFILE_ID};
use crate::leaf::{Damaged, EncodeError, LeafEncoder};
use crate::writer::OpenGroup;
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, StructArray, UInt32Array};
use arrow_select::filter::{filter, filter_record_batch};
use arrow_select::take::take;
use domain::id::BatchId;
use domain::plan::Counts;
use domain::ports::objects::{Location, ReadObjects, WriteObjects};

/// Profiles that are exported, of those that were merged at a time.
struct Slice<'s> {
    /// Their positions among these.
    kept: Vec<usize>,
    /// The rows that each of these is made of.
    candidates: &'s Candidates,
    /// What is made from arrays, by column of the export.
    arrays: Vec<(usize, ArrayRef)>,
    /// What is united.
    united: Vec<(&'s Map, United)>,
}

impl<'a, O: ReadObjects + WriteObjects> Round<'a, O> {
    /// Writes profiles, but for those with too many identities: what of them is merged already, and the rows that the rest
    /// is taken from.
    pub(super) async fn write<F: Fn(&BatchId, usize) -> Location + Send + Sync>(
        &self,
        (merged, events): (RecordBatch, Option<ArrayRef>),
        (profiles, candidates): (&[u32], &Candidates),
        batches: &mut Batches<'_, O, F>,
        counts: &mut Counts,
    ) -> Result<(), EngineError> {
        let copies = |row: usize| self.verdict.targets.of(profiles[row] as usize).len() as u64;
        let united = self.unite((profiles.len(), candidates), copies, counts)?;
        let of_identities = united.iter().find(|(map, _)| map.name == IDENTITY_MAP);
        let maps = merged.column_by_name(IDENTITY_MAP).and_then(|column| column.as_map_opt());
        let fits = match (of_identities, maps) {
            (Some((_, united)), _) => BooleanArray::from(united.fits.clone()),
            (None, Some(maps)) => identities::judge(maps, copies, counts).map_err(broken)?,
            (None, None) => BooleanArray::from(vec![true; profiles.len()]),
        };
        let kept: Vec<usize> = (0..fits.len()).filter(|row| fits.value(*row)).collect();
        if kept.is_empty() {
            return Ok(());
        }
        counts.rows += kept.iter().map(|row| copies(*row)).sum::<u64>();
        let targets = self.verdict.targets.pick(kept.iter().map(|row| profiles[*row] as usize));
        let (all, arrays) = ((0..kept.len() as u32).collect::<Vec<_>>(), self.arrays(&merged, events, &fits)?);
        let slice = Slice { kept, candidates, arrays, united };
        let layout = self.part.layout;
        let columns = 0..layout.schema.fields().len();
        let from_leaves = columns.map(|column| column == layout.batch_column || self.settled.makes(column));
        let from_leaves: Vec<bool> = from_leaves.collect();
        for (batch, mine) in batches.divide(&all, &targets) {
            let writer = batches.writer(batch)?;
            let bounds = self.fill(writer.group(&from_leaves).await?, &slice, &mine)?;
            writer.added(mine.len(), &bounds).await?;
        }
        batches.make_room().await
    }

    /// Unites the maps of so many profiles.
    fn unite(
        &self,
        (profiles, candidates): (usize, &Candidates),
        copies: impl Fn(usize) -> u64 + Copy,
        counts: &mut Counts,
    ) -> Result<Vec<(&'a Map, United)>, EngineError> {
        let rows = |row: usize| candidates.of(row).iter().map(|at| self.place(at)).collect();
        let unite = |map: &'a Map| {
            let united = map.unite(&self.leaves, (0..profiles).map(rows), copies, counts);
            united.map(|united| (map, united)).map_err(|among| self.held_damage(among, Damaged.into()))
        };
        self.settled.maps.iter().map(unite).collect()
    }

    /// The columns of the export that are made from arrays, of profiles that may be exported.
    fn arrays(
        &self,
        merged: &RecordBatch,
        events: Option<ArrayRef>,
        fits: &BooleanArray,
    ) -> Result<Vec<(usize, ArrayRef)>, EngineError> {
        let layout = self.part.layout;
        let merged = StructArray::from(filter_record_batch(merged, fits).map_err(broken)?);
        let events = events.map(|events| filter(&events, fits)).transpose().map_err(broken)?;
        let mut arrays = Vec::new();
        for column in (0..layout.schema.fields().len()).filter(|column| !self.settled.makes(*column)) {
            let events = || events.clone().filter(|_| layout.events_column == Some(column));
            let made = layout.finish(&merged, column).transpose().map_err(broken)?;
            arrays.extend(made.or_else(events).map(|made| (column, made)));
        }
        Ok(arrays)
    }

    /// Adds some profiles of a slice to a row group; tells the bounds of their ids.
    fn fill(&self, group: &mut OpenGroup, slice: &Slice<'_>, mine: &[u32]) -> Result<Bounds, EngineError> {
        let schema = &self.part.layout.schema;
        let mut bounds = Bounds::default();
        for (column, array) in &slice.arrays {
            let array = match mine.len() == slice.kept.len() {
                true => array.clone(),
                false => take(array, &UInt32Array::from(mine.to_vec()), None).map_err(broken)?,
            };
            if let (PROFILE_ID, Some(ids)) = (schema.field(*column).name().as_str(), array.as_string_opt::<i32>()) {
                ids.iter().flatten().for_each(|id| bounds.widen(id));
            }
            group.write_array((*column, schema.field(*column)), &array)?;
        }
        let mine = || mine.iter().map(|row| slice.kept[*row as usize]);
        for (column, leaves) in self.settled.columns.iter().enumerate() {
            let (Some(leaves), Some(encoders)) = (leaves, group.leaves(column)) else { continue };
            let is_id = schema.field(column).name() == PROFILE_ID;
            for (leaf, encoder) in leaves.iter().zip(encoders) {
                let bounds = is_id.then_some(&mut bounds);
                self.settle(leaf, mine().map(|row| slice.candidates.of(row)), encoder, bounds)?;
            }
        }
        for (map, united) in &slice.united {
            let column = map.exported.as_ref().map(|(column, _)| *column);
            let encoders = column.and_then(|column| group.leaves(column)).into_iter().flatten();
            for (leaf, encoder) in encoders.enumerate() {
                let damage = |among, error| self.held_damage(among, error);
                map.write(leaf, (united, &self.leaves), mine(), encoder, &damage)?;
            }
        }
        Ok(bounds)
    }

    /// Which of the held rows a fragment is among, and its position there.
    fn place(&self, (batch, row): &At) -> (usize, usize) {
        let (among, first) = self.places[*batch];
        (among, first + row)
    }

    /// The error for leaves that are not what they should be: of the held rows of that number, if it is known which.
    fn held_damage(&self, among: Option<usize>, error: EncodeError) -> EngineError {
        match (among.and_then(|among| self.leaves.get(among)), error) {
            (Some(rows), error) => self.inputs[rows.file].encoding(error),
            (None, EncodeError::Damaged(_)) => broken(unfit()),
            (None, EncodeError::Parquet(error)) => EngineError::Encode(error),
        }
    }

    /// Adds a leaf of profiles that are made of these rows. Values widen bounds, where there are any.
    fn settle<'c>(
        &self,
        leaf: &SettledLeaf,
        profiles: impl Iterator<Item = &'c [At]>,
        encoder: &mut LeafEncoder,
        mut bounds: Option<&mut Bounds>,
    ) -> Result<(), EngineError> {
        let damaged = |damaged: Damaged| self.held_damage(None, damaged.into());
        let held = leaf.held(&self.leaves).ok_or(Damaged).map_err(damaged)?;
        encoder.begin_held(self.leaves.len());
        for candidates in profiles {
            encoder.begin_row().map_err(EngineError::Encode)?;
            match held.choose(candidates.iter().map(|at| self.place(at))).map_err(damaged)? {
                Choice::Nothing(def) => encoder.push_nothing(0, def).map_err(|e| self.held_damage(None, e))?,
                Choice::Levels((among, leaf), levels, how) => {
                    let damage = |error| self.held_damage(Some(among), error);
                    if let Some(bounds) = &mut bounds {
                        let id = leaf.value(levels.start).map_err(|d| damage(d.into()))?.unwrap_or_default();
                        bounds.widen(std::str::from_utf8(id).map_err(|_| damage(Damaged.into()))?);
                    }
                    encoder.push_held((among, leaf), (levels, 0), how).map_err(damage)?;
                }
            }
        }
        Ok(())
    }
}
