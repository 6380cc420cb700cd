//! Rows that are exported as they stand, row group by row group: moved as they are stored where that serves, decoded where
//! it does not.

use crate::batches::{Batches, Targets, broken};
use crate::bounds::{Bounds, ids_within, widen};
use crate::copied;
use crate::error::EngineError;
use crate::gathered::{GatheredLeaf, Gathering};
use crate::identities::{self, BoundIdentities};
use crate::input::InputFile;
use crate::layout::{BATCH_ID, BoundForm, Layout, PROFILE_ID, ProfileIds};
use crate::leaf::{LeafChunk, Spans, rows_within};
use crate::moved::{MovedLeaf, moved};
use crate::part::{Part, Progress, Settings, Step, Tally};
use crate::row_group::RowGroup;
use crate::writer::{Sink, leaves_of_columns, zstd_level};
use arrow_array::{Array, StructArray, UInt32Array};
use arrow_select::take::take;
use domain::id::BatchId;
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use futures::StreamExt;
use std::collections::BTreeSet;
use std::ops::Range;

/// Rows of a file that are exported as they stand.
pub(crate) struct LoneRows<'a> {
    settings: Settings,
    layout: &'a Layout,
    form: BoundForm<'a>,
    /// For each of the export's columns, how it is made.
    columns: Vec<Made>,
    from_leaves: Vec<bool>,
    identities: Option<BoundIdentities>,
    profile: ProfileIds<'a>,
}

/// How a column of the export is made.
enum Made {
    /// The writer makes it: it is the batch's id, or the events, of which these rows have none.
    ByWriter,
    /// Of leaves as they are stored.
    Moved(Vec<MovedLeaf>),
    /// Of decoded rows, as that column of the form.
    Decoded(usize),
}

/// Rows of a row group and where they go.
struct Chosen {
    rows: Vec<u32>,
    /// The rows of each batch that gets any.
    divided: Vec<(usize, Vec<u32>)>,
    /// The bounds of each one's profile ids.
    bounds: Vec<Bounds>,
}

impl<'a> LoneRows<'a> {
    /// Finds in a file what the export takes.
    pub(crate) fn bind<O: ReadObjects>(
        part: &Part<'a, O>,
        source: usize,
        input: &'a InputFile<O>,
    ) -> Result<Self, EngineError> {
        let layout = part.layout;
        let form = layout.export.bind(source, input)?;
        let identity_map = part.sources[source].identity_map.as_ref();
        let identities = identities::bind(identity_map, input).map_err(|what| input.error(what))?;
        let profile = ProfileIds::bind(&part.sources[source], input);
        let columns = layout.schema.fields().iter().zip(leaves_of_columns(&layout.parquet)).map(|(field, exported)| {
            let Some(at) = layout.export.schema.index_of(field.name()).ok().filter(|_| field.name() != BATCH_ID) else {
                return Made::ByWriter;
            };
            match form.source(at).and_then(|c| moved(c, &input.columns, input.schema(), &layout.parquet, exported)) {
                Some(leaves) => Made::Moved(leaves),
                None => Made::Decoded(at),
            }
        });
        let columns: Vec<_> = columns.collect();
        let from_leaves = columns.iter().map(|made| !matches!(made, Made::Decoded(_))).collect();
        Ok(Self { settings: part.task.settings, layout, form, columns, from_leaves, identities, profile })
    }

    /// Exports rows of a row group, given by number in order, but for those with too many identities.
    pub(crate) async fn write<O: ReadObjects + WriteObjects, F: Fn(&BatchId, usize) -> Location + Send + Sync>(
        &self,
        group: &mut RowGroup<'_, O>,
        rows: Vec<u32>,
        targets: Targets,
        batches: &mut Batches<'_, O, F>,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(), EngineError> {
        let input = group.input;
        let (rows, targets) = match &self.identities {
            None => (rows, targets),
            Some(identities) => {
                let copies = |at: usize| targets.of(at).len() as u64;
                let fits = identities.judge(group, &rows, copies, &mut tally.counts).await?;
                match fits.iter().all(|fits| *fits) {
                    true => (rows, targets),
                    false => {
                        let kept = || (0..rows.len()).filter(|at| fits[*at]);
                        (kept().map(|at| rows[at]).collect(), targets.pick(kept()))
                    }
                }
            }
        };
        if rows.is_empty() {
            return Ok(());
        }
        tally.report(0)?;
        self.check_ids(input, group.number, &rows).await?;
        let is_whole = matches!(targets, Targets::TheOne) && rows.len() as u64 == input.rows(group.number);
        if is_whole && self.may_be_copied(input, group.number) {
            self.copy(input, group.number, batches).await?;
        } else {
            let divided = batches.divide(&rows, &targets);
            let bounds = vec![Bounds::default(); divided.len()];
            let mut chosen = Chosen { rows, divided, bounds };
            self.decode(input, group.number, &chosen, batches, tally).await?;
            self.move_leaves(group, &mut chosen, batches, tally).await?;
            for ((batch, rows), bounds) in chosen.divided.iter().zip(&chosen.bounds) {
                tally.counts.rows += rows.len() as u64;
                batches.writer(*batch)?.added(rows.len(), bounds).await?;
            }
            return batches.make_room().await;
        }
        tally.counts.rows += input.rows(group.number);
        Ok(())
    }

    /// Fails if one of the rows has no profile id.
    async fn check_ids<O: ReadObjects>(
        &self,
        input: &InputFile<O>,
        group: usize,
        rows: &[u32],
    ) -> Result<(), EngineError> {
        if !self.profile.may_be_null() {
            return Ok(());
        }
        let Some(leaf) = self.profile.leaf() else { return Err(ProfileIds::missing(input)) };
        let nulls = input.chunk(group, leaf).statistics().and_then(|statistics| statistics.null_count_opt());
        if nulls == Some(0) {
            return Ok(());
        }
        for mut chunk in input.chunks(group, &[leaf]).await? {
            while let Some((begun, page)) = chunk.next(|_| true).map_err(|_| input.damage())? {
                let spans = Spans::of(&page, begun, chunk.form(), |here| rows_within(rows, here).len());
                if spans.runs(rows).map(|rows| spans.run(rows)).any(|run| run.values.len() < run.rows.len()) {
                    return Err(ProfileIds::missing(input));
                }
            }
        }
        Ok(())
    }

    /// Adds the columns that are made of decoded rows.
    async fn decode<O: ReadObjects + WriteObjects, F: Fn(&BatchId, usize) -> Location + Send + Sync>(
        &self,
        input: &InputFile<O>,
        group: usize,
        chosen: &Chosen,
        batches: &mut Batches<'_, O, F>,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(), EngineError> {
        for (batch, _) in &chosen.divided {
            batches.writer(*batch)?.group(&self.from_leaves).await?;
        }
        let decoded: Vec<usize> = self
            .columns
            .iter()
            .filter_map(|made| if let Made::Decoded(at) = made { Some(*at) } else { None })
            .collect();
        let leaves = self.form.leaves_of(&decoded, input)?;
        if leaves.is_empty() {
            // Nothing of them is in the file: they are null.
            return self
                .decode_rows(input, StructArray::new_empty_fields(chosen.rows.len(), None), 0, chosen, batches)
                .await;
        }
        let wanted = Gathering::new(&leaves, chosen.rows.clone());
        let mut stream = input.read_rows(group, wanted, self.settings.row_batch).await?;
        let mut at = 0;
        while let Some(batch) = stream.next().await {
            let rows = StructArray::from(batch?);
            let count = rows.len();
            self.decode_rows(input, rows, at, chosen, batches).await?;
            at += count;
            tally.report(0)?;
        }
        if at != chosen.rows.len() { Err(input.damage()) } else { Ok(()) }
    }

    /// Adds decoded rows, of which the first is that one of the chosen ones.
    async fn decode_rows<O: ReadObjects + WriteObjects, F: Fn(&BatchId, usize) -> Location + Send + Sync>(
        &self,
        input: &InputFile<O>,
        rows: StructArray,
        first: usize,
        chosen: &Chosen,
        batches: &mut Batches<'_, O, F>,
    ) -> Result<(), EngineError> {
        let here = &chosen.rows[first..(first + rows.len()).min(chosen.rows.len())];
        let (Some(least), Some(greatest)) = (here.first(), here.last()) else { return Ok(()) };
        for (slot, made) in self.columns.iter().enumerate() {
            let Made::Decoded(at) = made else { continue };
            let column = self.form.column(*at, &rows).map_err(|_| input.unfit())?;
            if !self.layout.schema.field(slot).is_nullable() && column.null_count() > 0 {
                return Err(input.unfit());
            }
            for (batch, mine) in &chosen.divided {
                let mine = &mine[mine.partition_point(|row| row < least)..mine.partition_point(|row| row <= greatest)];
                let column = match mine.len() == here.len() {
                    true => column.clone(),
                    false => {
                        let position = |row: &u32| here.binary_search(row).map_or(0, |at| at as u32);
                        let mine: UInt32Array = mine.iter().map(position).collect::<Vec<_>>().into();
                        take(&column, &mine, None).map_err(broken)?
                    }
                };
                let group = batches.writer(*batch)?.group(&self.from_leaves).await?;
                group.write_array((slot, self.layout.schema.field(slot)), &column)?;
            }
        }
        Ok(())
    }

    /// Adds the columns that are moved as they are stored.
    async fn move_leaves<O: ReadObjects + WriteObjects, F: Fn(&BatchId, usize) -> Location + Send + Sync>(
        &self,
        group: &mut RowGroup<'_, O>,
        chosen: &mut Chosen,
        batches: &mut Batches<'_, O, F>,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(), EngineError> {
        let (input, number) = (group.input, group.number);
        let (kept, leaves): (Vec<_>, Vec<_>) = self.moved().partition(|(_, _, leaf)| group.has(leaf.leaf));
        for at in kept {
            if let Some(chunk) = group.take(at.2.leaf) {
                let mut beside =
                    if chunk.holds(group.beside.rows()) { group.beside.begin(input, at.2.leaf)? } else { None };
                self.move_leaf(input, (at, chunk), chosen, beside.as_mut(), batches).await?;
                beside.map_or(Ok(()), |beside| group.beside.end(beside))?;
                tally.report(0)?;
            }
        }
        let mut left = leaves.as_slice();
        while !left.is_empty() {
            let here;
            (here, left) = left.split_at(input.fetched_at_a_time(number, left.iter().map(|(_, _, leaf)| leaf.leaf)));
            let numbers: Vec<usize> = here.iter().map(|(_, _, leaf)| leaf.leaf).collect();
            for (at, bytes) in here.iter().zip(input.chunk_bytes(number, &numbers).await?) {
                let chunk = input.open_chunk(number, at.2.leaf, bytes)?;
                let mut beside = group.beside.begin(input, at.2.leaf)?;
                self.move_leaf(input, (*at, chunk), chosen, beside.as_mut(), batches).await?;
                beside.map_or(Ok(()), |beside| group.beside.end(beside))?;
                tally.report(0)?;
            }
        }
        Ok(())
    }

    /// The numbers of the moved leaves.
    pub(crate) fn leaves(&self) -> BTreeSet<usize> {
        self.moved().map(|(_, _, leaf)| leaf.leaf).collect()
    }

    /// The moved leaves, each with its column and its position in that.
    fn moved(&self) -> impl Iterator<Item = (usize, usize, &MovedLeaf)> {
        self.columns.iter().enumerate().flat_map(|(slot, made)| {
            let leaves = if let Made::Moved(leaves) = made { leaves.as_slice() } else { &[] };
            leaves.iter().enumerate().map(move |(at, leaf)| (slot, at, leaf))
        })
    }

    /// Adds a leaf of the chosen rows, and of those beside them.
    async fn move_leaf<O: ReadObjects + WriteObjects, F: Fn(&BatchId, usize) -> Location + Send + Sync>(
        &self,
        input: &InputFile<O>,
        ((slot, at, leaf), mut chunk): ((usize, usize, &MovedLeaf), LeafChunk),
        chosen: &mut Chosen,
        mut beside: Option<&mut GatheredLeaf>,
        batches: &mut Batches<'_, O, F>,
    ) -> Result<(), EngineError> {
        let is_id = self.layout.schema.field(slot).name() == PROFILE_ID;
        let mut encoders = Vec::with_capacity(chosen.divided.len());
        for (batch, _) in &chosen.divided {
            let group = batches.writer(*batch)?.group(&self.from_leaves).await?;
            let encoder = match group.sinks.get_mut(slot) {
                Some(Sink::Leaves(leaves)) => leaves.get_mut(at).and_then(Option::take),
                Some(Sink::Arrays(_)) | None => None,
            };
            let mut encoder = encoder.ok_or_else(|| input.damage())?;
            encoder.begin_chunk();
            encoders.push(encoder);
        }
        let divided = &chosen.divided;
        let asked_for = |here: Range<usize>, beside: Option<&GatheredLeaf>| {
            let of_batch = |(_, rows): &(usize, Vec<u32>)| rows_within(rows, here.clone()).len();
            divided.iter().map(of_batch).sum::<usize>() + beside.map_or(0, |beside| beside.rows_within(here.clone()))
        };
        while let Some((spans, page)) =
            chunk.next_for(|here| asked_for(here, beside.as_deref())).map_err(|_| input.damage())?
        {
            let entries = chunk.dictionary.as_ref();
            if let Some(beside) = &mut beside {
                beside.push(&page, &spans, entries).map_err(|e| input.encoding(e))?;
            }
            for ((encoder, (_, rows)), bounds) in encoders.iter_mut().zip(&chosen.divided).zip(&mut chosen.bounds) {
                if is_id {
                    widen(bounds, (&page, &spans), rows, entries).map_err(|_| input.damage())?;
                }
                encoder
                    .push(&page, &spans, rows, entries, (&leaf.raise, leaf.widening))
                    .map_err(|e| input.encoding(e))?;
            }
        }
        for ((batch, _), encoder) in chosen.divided.iter().zip(encoders) {
            let group = batches.writer(*batch)?.group(&self.from_leaves).await?;
            if let Some(Sink::Leaves(leaves)) = group.sinks.get_mut(slot)
                && let Some(place) = leaves.get_mut(at)
            {
                *place = Some(encoder);
            }
        }
        Ok(())
    }
}

impl LoneRows<'_> {
    /// Whether a row group of which every row is exported may be copied.
    fn may_be_copied<O: ReadObjects>(&self, input: &InputFile<O>, group: usize) -> bool {
        !self.from_leaves.contains(&false)
            && self.layout.events_column.is_none()
            && copied::is_worth(input, group, self.moved().map(|(_, _, leaf)| leaf), self.settings.copied_bytes)
    }

    /// Copies a row group.
    async fn copy<O: ReadObjects + WriteObjects, F: Fn(&BatchId, usize) -> Location + Send + Sync>(
        &self,
        input: &InputFile<O>,
        group: usize,
        batches: &mut Batches<'_, O, F>,
    ) -> Result<(), EngineError> {
        let leaves: Vec<_> = self.moved().map(|(_, _, leaf)| leaf).collect();
        let numbers: Vec<usize> = leaves.iter().map(|leaf| leaf.leaf).collect();
        let batch_leaves = leaves_of_columns(&self.layout.parquet).nth(self.layout.batch_column).unwrap_or_default();
        let exported = (0..self.layout.parquet.num_columns()).filter(|leaf| !batch_leaves.contains(leaf));
        let level = zstd_level(&self.settings);
        let (mut chunks, mut bounds) = (Vec::with_capacity(leaves.len()), Bounds::default());
        let bytes = input.chunk_bytes(group, &numbers).await?;
        for ((leaf, bytes), exported) in leaves.into_iter().zip(bytes).zip(exported) {
            if self.profile.leaf() == Some(leaf.leaf) {
                bounds = ids_within(input, group, leaf.leaf, bytes.clone())?;
            }
            chunks.push(copied::chunk(input, group, (leaf, bytes), self.layout.parquet.column(exported), level)?);
        }
        batches.writer(0)?.write_chunks(chunks, input.rows(group) as usize, &bounds).await
    }
}
