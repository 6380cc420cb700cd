//! The second pass over some of the profiles: their rows are read, and those of several rows merged.

mod write;

use super::index::Index;
use super::kept::Kept;
use super::merge::{At, Candidates, gather, merge};
use super::rank::{NO_TIME, Rank};
use super::settled::{HeldRows, Settled};
use super::verdict::Verdict;
use crate::batches::{Batches, broken};
use crate::error::EngineError;
use crate::gathered::Gathering;
use crate::input::InputFile;
use crate::layout::EventLayout;
use crate::leaf::HeldLeaf;
use crate::lone::LoneRows;
use crate::membership::micros;
use crate::part::{Part, Progress, Step, Tally};
use crate::row_group::RowGroup;
use crate::tree::find;
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StructArray, new_null_array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::ArrowError;
use domain::id::BatchId;
use domain::instant::Micros;
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use futures::{Stream, StreamExt};
use std::ops::Range;
use std::sync::Arc;

/// Decoded rows take about so many times the bytes that their pages take uncompressed.
const DECODED: u64 = 2;

/// So many times the rows that are decoded at a time are merged at a time, at most.
const ROW_BATCHES: usize = 8;

/// Divides the profiles, in order, so that the rows that are held of each division fit the memory.
pub(super) fn plan<O: ReadObjects>(
    part: &Part<'_, O>,
    inputs: &[InputFile<O>],
    index: &Index,
    verdict: &Verdict,
) -> Result<Vec<Range<usize>>, EngineError> {
    let (mut fragment_bytes, mut event_bytes) = (1, 1);
    for (input, file) in inputs.iter().zip(&part.task.part.files) {
        let fragments = part.layout.fragments.bind(file.source, input)?;
        fragment_bytes = input.row_bytes(&fragments.leaves).max(fragment_bytes);
        if let (Some(events), true) = (&part.layout.events, part.sources[file.source].holds_events()) {
            event_bytes = input.row_bytes(&events.form.bind(file.source, input)?.leaves).max(event_bytes);
        }
    }
    let with_events = part.layout.events.is_some();
    let held = |profile: usize| {
        if !verdict.exported[profile] || verdict.is_lone(profile, with_events) {
            return 0;
        }
        let events = u64::from(verdict.events[profile]);
        let fragments = if verdict.is_empty(profile) { events } else { verdict.fragments[profile].into() };
        fragments * fragment_bytes + if with_events { events * event_bytes } else { 0 }
    };
    let (mut rounds, mut start, mut bytes) = (Vec::new(), 0, 0);
    for profile in 0..index.profiles {
        let more = held(profile) * DECODED;
        if bytes + more > part.task.settings.merge_bytes && profile > start {
            rounds.push(start..profile);
            (start, bytes) = (profile, 0);
        }
        bytes += more;
    }
    rounds.push(start..index.profiles);
    Ok(rounds)
}

/// A division of the profiles, and what is held of them.
pub(super) struct Round<'a, O> {
    part: &'a Part<'a, O>,
    inputs: &'a [InputFile<O>],
    index: &'a Index,
    verdict: &'a Verdict,
    settled: &'a Settled,
    /// The columns of fragments that are merged in another way.
    united: Vec<usize>,
    profiles: Range<usize>,
    fragments: Held<Rank>,
    /// The other columns of the fragments, as they are stored.
    leaves: Vec<HeldRows>,
    /// For each batch of fragments which of these its rows are among, and the position of its first.
    places: Vec<At>,
    events: Held<EventOrder>,
}

/// An event's place among those of its profile: when it happened, then where it stands.
type EventOrder = (i64, u32);

/// Rows that wait for being merged.
struct Held<K> {
    batches: Vec<RecordBatch>,
    /// Profile and order of each row, and where it is.
    rows: Vec<(u32, K, At)>,
}

impl<K> Default for Held<K> {
    fn default() -> Self {
        Self { batches: Vec::new(), rows: Vec::new() }
    }
}

impl<K> Held<K> {
    fn extend(&mut self, batches: impl IntoIterator<Item = (RecordBatch, Vec<(u32, K)>)>) {
        for (batch, rows) in batches {
            let at = self.batches.len();
            self.rows.extend(rows.into_iter().enumerate().map(|(row, (profile, key))| (profile, key, (at, row))));
            self.batches.push(batch);
        }
    }

    /// The bytes of the rows.
    fn bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.get_array_memory_size() as u64).sum()
    }
}

impl<'a, O: ReadObjects + WriteObjects> Round<'a, O> {
    pub(super) fn new(
        part: &'a Part<'a, O>,
        inputs: &'a [InputFile<O>],
        index: &'a Index,
        verdict: &'a Verdict,
        settled: &'a Settled,
        profiles: Range<usize>,
    ) -> Self {
        let fields = part.layout.fragments.schema.fields().iter().enumerate();
        let is_settled = |name: &str| {
            let column = part.layout.schema.index_of(name).ok();
            column.is_some_and(|column| settled.makes(column)) || settled.maps.iter().any(|map| map.name == name)
        };
        let united = fields.filter(|(_, field)| !is_settled(field.name())).map(|(at, _)| at).collect();
        let (leaves, places) = (Vec::new(), Vec::new());
        let (fragments, events) = (Held::default(), Held::default());
        Self { part, inputs, index, verdict, settled, united, profiles, fragments, leaves, places, events }
    }

    /// Reads and exports the round's profiles.
    pub(super) async fn export<F: Fn(&BatchId, usize) -> Location + Send + Sync>(
        mut self,
        kept: &mut Kept,
        batches: &mut Batches<'_, O, F>,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(), EngineError> {
        for file in 0..self.inputs.len() {
            self.read_fragments(file, kept, batches, tally).await?;
            self.read_events(file, tally).await?;
        }
        self.fragments.rows.sort_unstable();
        self.events.rows.sort_unstable();
        let at_a_time = self.rows_at_a_time();
        let mut events = self.events.rows.as_slice();
        let mut rows = self.fragments.rows.as_slice();
        while !rows.is_empty() {
            let mut profiles = Vec::new();
            let mut candidates = Candidates::default();
            let before = rows.len();
            while let Some((profile, ..)) = rows.first().filter(|_| before - rows.len() < at_a_time) {
                let of_profile = rows.partition_point(|(other, ..)| other <= profile);
                candidates.push(rows[..of_profile].iter().map(|(.., at)| *at));
                profiles.push(*profile);
                rows = &rows[of_profile..];
            }
            let merged = merge(&self.fragments.batches, &candidates).map_err(broken)?;
            let of_profiles = self.part.layout.events.as_ref();
            let of_profiles = of_profiles.map(|layout| self.lists(layout, &profiles, &mut events)).transpose();
            let merged = (merged, of_profiles.map_err(broken)?);
            self.write(merged, (&profiles, &candidates), batches, &mut tally.counts).await?;
            tally.report(0)?;
        }
        Ok(())
    }

    /// How many fragments are merged at a time: what comes out of them is held besides all that is held.
    fn rows_at_a_time(&self) -> usize {
        let settings = &self.part.task.settings;
        let leaves: usize = self.leaves.iter().flat_map(|rows| rows.leaves.values()).map(HeldLeaf::memory).sum();
        let bytes = (self.fragments.bytes() + leaves as u64 + self.events.bytes()).max(1);
        let fits = u128::from(settings.batch_bytes) * self.fragments.rows.len() as u128 / u128::from(bytes);
        (ROW_BATCHES * settings.row_batch).min(usize::try_from(fits).unwrap_or(usize::MAX)).max(1)
    }

    /// Whether a profile is exported in this round.
    fn takes(&self, profile: u32) -> bool {
        self.profiles.contains(&(profile as usize)) && self.verdict.exported[profile as usize]
    }

    /// Whether a profile's one row is written as it is read.
    fn is_lone(&self, profile: u32) -> bool {
        self.verdict.is_lone(profile as usize, self.part.layout.events.is_some())
    }

    /// Reads the fragments of a file; of an event dataset, the rows of profiles that have nothing else.
    async fn read_fragments<F: Fn(&BatchId, usize) -> Location + Send + Sync>(
        &mut self,
        file: usize,
        kept: &mut Kept,
        batches: &mut Batches<'_, O, F>,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(), EngineError> {
        let (input, source) = (&self.inputs[file], self.part.task.part.files[file].source);
        let of_events = self.part.sources[source].holds_events();
        let lone_rows = LoneRows::bind(self.part, source, input)?;
        let form = self.part.layout.fragments.bind(source, input)?;
        let (settled, united) = (self.settled.leaves_of(file), form.leaves_of(&self.united, input)?);
        let profile = |row: &u32| self.index.rows.profile[*row as usize];
        let is_wanted =
            |row: &u32| self.takes(profile(row)) && (!of_events || self.verdict.is_empty(profile(row) as usize));
        let again = lone_rows.leaves();
        let (mut held, mut held_leaves, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for &group in &input.groups {
            let rows = self.rows_of(file, group, is_wanted).into_iter();
            let (lone, rows): (Vec<u32>, Vec<u32>) = rows.partition(|row| !of_events && self.is_lone(profile(row)));
            if lone.is_empty() && rows.is_empty() {
                continue;
            }
            let mut of_group = RowGroup::new(input, group, &again).with(kept.take((file, group)));
            of_group.beside = Gathering::new(&united, self.index.rows.numbers(input, group, &rows)).holding(&settled);
            if !lone.is_empty() {
                let targets = self.verdict.targets.pick(lone.iter().map(|row| profile(row) as usize));
                let lone = self.index.rows.numbers(input, group, &lone);
                lone_rows.write(&mut of_group, lone, targets, batches, tally).await?;
            }
            if rows.is_empty() {
                continue;
            }
            of_group.gather()?;
            let mut gathering = of_group.beside;
            let among = self.leaves.len() + held_leaves.len();
            let rows_held = HeldRows { file, leaves: gathering.hold(input, group).await? };
            if !self.settled.maps.iter().all(|map| map.is_whole(&rows_held)) {
                return Err(input.damage());
            }
            held_leaves.push(rows_held);
            if united.is_empty() {
                let rows_alone = StructArray::new_empty_fields(rows.len(), None);
                let batch = form.batch(&self.united, &rows_alone).map_err(|_| input.unfit())?;
                held.push((batch, rows));
                places.push((among, 0));
                continue;
            }
            let row_batch = self.part.task.settings.row_batch;
            let mut stream = input.read_rows(group, gathering, row_batch).await?;
            let mut unread = rows.as_slice();
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                let read;
                places.push((among, rows.len() - unread.len()));
                (read, unread) = unread.split_at_checked(batch.num_rows()).ok_or_else(|| input.damage())?;
                held.push((form.batch(&self.united, &batch.into()).map_err(|_| input.unfit())?, read.to_vec()));
                tally.report(0)?;
            }
            if !unread.is_empty() {
                return Err(input.lacks_rows());
            }
        }
        let merge = &self.part.task.plan.merge_policy.attribute_merge;
        let times = &self.index.rows.ingest_time;
        // Event datasets stand in no order of precedence: their rows go by time.
        let dataset = if of_events { 0 } else { source };
        let rank = |row: u32| Rank::new(merge, dataset, times[row as usize], row.into());
        self.leaves.extend(held_leaves);
        self.places.extend(places);
        self.fragments.extend(
            held.into_iter()
                .map(|(batch, rows)| (batch, rows.into_iter().map(|row| (profile(&row), rank(row))).collect())),
        );
        Ok(())
    }

    /// Reads the events of a file that go along.
    async fn read_events(
        &mut self,
        file: usize,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(), EngineError> {
        let (input, source) = (&self.inputs[file], &self.part.task.part.files[file].source);
        let (Some(layout), Some(asked)) = (&self.part.layout.events, &self.part.task.plan.events) else {
            return Ok(());
        };
        if !self.part.sources[*source].holds_events() {
            return Ok(());
        }
        let form = layout.form.bind(*source, input)?;
        let all: Vec<usize> = (0..layout.form.schema.fields().len()).collect();
        let timestamp = self.part.sources[*source].timestamp.as_ref().and_then(|field| find(&input.columns, field));
        let mut leaves = form.leaves.clone();
        timestamp.iter().for_each(|column| column.witness(&mut leaves));
        let rows = &self.index.rows;
        let ingested = |row: &u32| Some(rows.ingest_time[*row as usize]).filter(|at| *at != NO_TIME).map(Micros);
        let is_wanted = |row: &u32| self.takes(rows.profile[*row as usize]) && asked.admits(ingested(row));
        let mut held = Vec::new();
        for &group in &input.groups {
            let wanted = self.rows_of(file, group, is_wanted);
            let gathering = Gathering::new(&leaves, rows.numbers(input, group, &wanted));
            let Some(mut stream) = self.stream(input, group, gathering).await? else { continue };
            let mut unread = wanted.as_slice();
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                let read;
                (read, unread) = unread.split_at(batch.num_rows());
                let times = timestamp.and_then(|column| batch.column_by_name(&column.name)).map(micros).transpose();
                let times = times.map_err(|_| input.unfit())?;
                let time = |at: usize| times.as_ref().filter(|t| t.is_valid(at)).map_or(NO_TIME, |t| t.value(at));
                let order = |(at, row): (usize, &u32)| (rows.profile[*row as usize], (time(at), *row));
                let of_batch = read.iter().enumerate().map(order).collect();
                held.push((form.batch(&all, &batch.into()).map_err(|_| input.unfit())?, of_batch));
                tally.report(0)?;
            }
        }
        self.events.extend(held);
        Ok(())
    }

    /// The rows of a row group that are wanted.
    fn rows_of(&self, file: usize, group: usize, is_wanted: impl Fn(&u32) -> bool) -> Vec<u32> {
        let of_group = self.index.rows.of_group(file, &self.inputs[file], group);
        (of_group.start as u32..of_group.end as u32).filter(is_wanted).collect()
    }

    /// Rows of a row group; `None` where none are wanted.
    async fn stream(
        &self,
        input: &'a InputFile<O>,
        group: usize,
        wanted: Gathering,
    ) -> Result<Option<impl Stream<Item = Result<RecordBatch, EngineError>> + Unpin + Send + use<'a, O>>, EngineError>
    {
        match wanted.rows() {
            [] => Ok(None),
            _ => input.read_rows(group, wanted, self.part.task.settings.row_batch).await.map(Some),
        }
    }

    /// The events of profiles, as a column beside them. Both are in order of profile; events are taken off the front.
    fn lists(
        &self,
        layout: &EventLayout,
        profiles: &[u32],
        events: &mut &[(u32, EventOrder, At)],
    ) -> Result<ArrayRef, ArrowError> {
        let (mut lengths, mut places) = (Vec::new(), Vec::new());
        for profile in profiles {
            let of_profile = events.partition_point(|(other, ..)| other <= profile);
            places.extend(events[..of_profile].iter().filter(|(of, ..)| of == profile).map(|(.., at)| Some(*at)));
            *events = &events[of_profile..];
            lengths.push(places.len());
        }
        let lengths = lengths.iter().scan(0, |before, end| Some(end - std::mem::replace(before, *end)));
        let batches: Vec<ArrayRef> =
            self.events.batches.iter().map(|b| Arc::new(StructArray::from(b.clone())) as ArrayRef).collect();
        let elements = match batches.is_empty() {
            true => new_null_array(layout.element.data_type(), 0),
            false => gather(&batches, places.into_iter())?,
        };
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(Arc::new(ListArray::try_new(layout.element.clone(), offsets, elements, None)?))
    }
}
