//! The first pass, to begin with: which rows belong to which profile, and when they were ingested.

use super::grouping::Grouping;
use super::hash::iceberg_hash;
use super::kept::Kept;
use super::mentions::{Mentioned, Mentions};
use super::order::Order;
use super::rank::NO_TIME;
use super::reach::{Beyond, Reach};
use super::rows::Rows;
use super::standing::Standing;
use super::{Halt, NUMBERED, Work};
use crate::deletes::Deleted;
use crate::error::EngineError;
use crate::gathered::Gathering;
use crate::input::InputFile;
use crate::layout::ProfileIds;
use crate::leaf::PageView;
use crate::membership::micros;
use crate::part::{Progress, Step, Tally};
use crate::project::strings;
use crate::row_group::RowGroup;
use crate::tree::{FileColumn, find};
use arrow_array::{Array, StructArray, TimestampMicrosecondArray};
use domain::ports::objects::{ReadObjects, WriteObjects};
use domain::registry::IdentityGraph;
use futures::StreamExt;
use std::collections::BTreeSet;
use std::ops::Range;

/// Stands for a row that is not meant.
pub(super) const NO_ROW: u32 = u32::MAX;

/// What is known of the rows.
pub(super) struct Index {
    /// The rows that are meant.
    pub(super) rows: Rows,
    /// The rows that mention a wanted segment; `None`: everybody is exported.
    pub(super) mentions: Option<Mentions>,
    /// Number of profiles; they are numbered in order of their first rows.
    pub(super) profiles: usize,
    /// Number of profile ids, which profiles share where identities stand alone.
    pub(super) ids: usize,
    /// Whether the part is one file of fragments, whose rows were all seen to have different ids.
    pub(super) are_distinct: bool,
}

impl Index {
    /// Reads the deciding columns of all files; keeps what it reads of ids where that is all it reads,
    /// and some will be read again.
    pub(super) async fn read<O: ReadObjects + WriteObjects>(
        work: &Work<'_, O>,
        kept: &mut Kept,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<Self, Halt> {
        let mentions = match work.part.wanted {
            Some(wanted) => Some(Mentions::read(work, wanted, kept, tally).await?),
            None => None,
        };
        let reach = match &mentions {
            Some(mentions) => Reach::of(work, mentions).await?,
            None => None,
        };
        let (mut grouped, told) = (None, (mentions.as_ref(), reach.as_ref()));
        if work.order != Order::None {
            let reading = Reading::new(told, Grouping::order());
            grouped = reading.all(work, kept, tally).await?;
        }
        let (mut rows, ids, are_distinct) = match grouped {
            Some(grouped) => grouped,
            None => {
                let reading = Reading::new(told, Grouping::hash(work, mentions.as_ref()));
                reading.all(work, kept, tally).await?.unwrap_or_default()
            }
        };
        let profiles = match work.part.task.plan.merge_policy.identity_graph {
            IdentityGraph::None => Standing::new(&rows, ids).tell_apart(work, &mut rows, kept, tally).await?,
            IdentityGraph::Pdg => ids,
        };
        rows.read_times(work, profiles, tally).await?;
        Ok(Self { rows, mentions, profiles, ids, are_distinct })
    }
}

/// Whether the times of a file are asked of all its rows: for a filter by time, and to choose and order events.
fn all_are_timed<O: ReadObjects>(work: &Work<'_, O>, file: usize) -> bool {
    let source = work.part.task.part.files[file].source;
    work.part.task.plan.filter.updated_after.is_some() || work.part.sources[source].holds_events()
}

/// Where a file keeps when its rows were ingested.
fn time_column<'f, O: ReadObjects>(work: &Work<'_, O>, file: usize, input: &'f InputFile<O>) -> Option<&'f FileColumn> {
    let source = &work.part.sources[work.part.task.part.files[file].source];
    source.ingest_time.as_ref().and_then(|field| find(&input.columns, field))
}

impl Rows {
    /// Reads the times that were left out: only rows that share their profile with others stand in an order.
    async fn read_times<O: ReadObjects + WriteObjects>(
        &mut self,
        work: &Work<'_, O>,
        profiles: usize,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(), EngineError> {
        let untimed = || (0..work.inputs.len()).filter(|file| !all_are_timed(work, *file));
        let mut rows_of_profile = vec![0u8; profiles];
        for row in untimed().flat_map(|file| self.of_file(file)) {
            let rows = &mut rows_of_profile[self.profile[row] as usize];
            *rows = rows.saturating_add(1);
        }
        for file in untimed() {
            let input = &work.inputs[file];
            let Some(column) = time_column(work, file, input) else { continue };
            let mut leaves = Vec::new();
            column.witness(&mut leaves);
            for &group in &input.groups {
                let of_group = self.of_group(file, input, group);
                let shares = |row: &u32| rows_of_profile[self.profile[*row as usize] as usize] > 1;
                let rows: Vec<u32> = (of_group.start as u32..of_group.end as u32).filter(shares).collect();
                if rows.is_empty() {
                    continue;
                }
                let wanted = Gathering::new(&leaves, self.numbers(input, group, &rows));
                let mut stream = input.read_rows(group, wanted, work.part.task.settings.row_batch).await?;
                let mut unread = rows.as_slice();
                while let Some(batch) = stream.next().await {
                    let batch = StructArray::from(batch?);
                    let times = times(input, Some(column), &batch)?;
                    let read;
                    (read, unread) = unread.split_at_checked(batch.len()).ok_or_else(|| input.damage())?;
                    for (at, row) in read.iter().enumerate() {
                        self.ingest_time[*row as usize] = time(times.as_ref(), at);
                    }
                    tally.report(0)?;
                }
                if !unread.is_empty() {
                    return Err(input.lacks_rows());
                }
            }
        }
        Ok(())
    }
}

struct Reading<'m> {
    rows: Rows,
    mentions: Option<&'m Mentions>,
    /// Rows whose ids lie beyond it are passed over.
    reach: Option<&'m Reach>,
    grouping: Grouping,
}

impl<'m> Reading<'m> {
    fn new((mentions, reach): (Option<&'m Mentions>, Option<&'m Reach>), grouping: Grouping) -> Self {
        Self { rows: Rows::default(), mentions, reach, grouping }
    }

    /// Reads all files: the rows, how many ids they have, and whether all rows of the part's one file of fragments were seen to
    /// have different ones. `None`: they are not in the order that was hoped for.
    async fn all<O: ReadObjects + WriteObjects>(
        mut self,
        work: &Work<'_, O>,
        kept: &mut Kept,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<Option<(Rows, usize, bool)>, Halt> {
        let nobody = self.mentions.is_some_and(Mentions::is_empty);
        for (file, input) in work.inputs.iter().enumerate() {
            if !nobody {
                self.file(work, file, input, kept, tally).await?;
            }
            if self.grouping.is_lost() {
                return Ok(None);
            }
            self.grouping.end_file(&mut self.rows);
            work.report(tally, NUMBERED * (file as u64 + 1) / work.inputs.len() as u64)?;
        }
        let ids = self.grouping.settle(&mut self.rows, work.inputs, self.mentions);
        self.admit(work, 0, kept)?;
        let are_distinct = self.are_distinct(work);
        Ok(Some((self.rows, ids, are_distinct)))
    }

    /// Whether the part is one whole file of fragments, and each of its rows was seen with an id greater than the one before.
    fn are_distinct<O: ReadObjects>(&self, work: &Work<'_, O>) -> bool {
        let ([file], [input]) = (&work.part.task.part.files[..], work.inputs) else { return false };
        let is_whole = file.range.is_none() && !work.part.sources[file.source].holds_events();
        is_whole && self.grouping.ascending_ids() == Some(input.all_rows())
    }

    async fn file<O: ReadObjects + WriteObjects>(
        &mut self,
        work: &Work<'_, O>,
        at: usize,
        input: &InputFile<O>,
        kept: &mut Kept,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(), Halt> {
        let file = &work.part.task.part.files[at];
        let source = &work.part.sources[file.source];
        let deleted = work.part.deletes.of(file, input);
        let profile = ProfileIds::bind(source, input);
        let ingest_time = time_column(work, at, input).filter(|_| all_are_timed(work, at));
        let mut others = deleted.leaves.clone();
        ingest_time.iter().for_each(|column| column.witness(&mut others));
        // Without a filter by segments whole row groups are copied; of events no ids are exported.
        let reads_again = work.part.wanted.is_some() && !source.holds_events();
        let again: BTreeSet<usize> = profile.leaf().into_iter().filter(|_| reads_again).collect();
        for &group in &input.groups {
            self.check_size(input, group)?;
            match profile.leaf_of_texts().filter(|_| others.is_empty()) {
                Some(leaf) => {
                    let mut of_group = RowGroup::new(input, group, &again);
                    self.pages(work, (at, &mut of_group), leaf, &deleted, kept, tally).await?;
                    kept.put((at, group), of_group.into_kept());
                }
                None => {
                    let leaves: Vec<usize> = profile.leaf().into_iter().chain(others.iter().copied()).collect();
                    let columns = (&profile, ingest_time, &deleted);
                    self.rows(work, (at, input, group), &leaves, columns, kept, tally).await?;
                }
            }
            if self.grouping.is_lost() {
                break;
            }
        }
        Ok(())
    }

    /// Fails if positions and numbers of a row group's rows would be too great.
    fn check_size<O: ReadObjects>(&self, input: &InputFile<O>, group: usize) -> Result<(), EngineError> {
        let (rows, most) = (input.rows(group), u64::from(NO_ROW));
        let known = self.rows.len() as u64;
        match input.first_row(group).checked_add(rows).is_none_or(|end| end > most) || known + rows > most {
            true => Err(input.error("it has more rows than a part can hold")),
            false => Ok(()),
        }
    }

    /// Numbers the profiles of a row group of which nothing but the ids is asked. That they are texts is seen to where they
    /// are exported.
    async fn pages<O: ReadObjects + WriteObjects>(
        &mut self,
        work: &Work<'_, O>,
        (at, group): (usize, &mut RowGroup<'_, O>),
        leaf: usize,
        deleted: &Deleted<'_>,
        kept: &mut Kept,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(), Halt> {
        let (input, first_row) = (group.input, group.input.first_row(group.number));
        let mentions = Mentioned::of(self.mentions, at, group.number);
        let beyond = self.reach.and_then(|reach| reach.beyond(at, group.number));
        if beyond.is_some_and(Beyond::is_all) {
            return Ok(());
        }
        let mut chunk = group.chunks(&[leaf]).await?.pop().ok_or_else(|| input.damage())?;
        let all_are_meant = deleted.is_nothing() && work.part.task.part.slice.is_none() && work.share.is_whole();
        let may_be_distinct = all_are_meant && self.grouping.hopes_for_order();
        let is_within = |here: Range<usize>| !beyond.is_some_and(|beyond| beyond.has(&here));
        while let Some((begun, page)) = chunk.next(is_within).map_err(|_| input.damage())? {
            let view = PageView::new(&page, chunk.dictionary.as_ref(), chunk.form());
            let first = begun.start;
            let at = ((first_row + first as u64) as u32, first);
            if may_be_distinct
                && let Some(ids) = view.distinct().map_err(|_| input.damage())?
                && self.grouping.take_distinct(&mut self.rows, at, &mentions, &ids)
            {
                self.admit(work, chunk.kept_bytes(), kept)?;
                tally.report(0)?;
                continue;
            }
            let mut alive = vec![true; page.levels];
            let nothing = StructArray::new_empty_fields(page.levels, None);
            deleted.bury(first_row + first as u64, &nothing, &mut alive).map_err(|_| input.unfit())?;
            let (mut row, mut value) = (0, 0);
            for alive in alive.chunks(work.part.task.settings.row_batch) {
                for alive in alive {
                    let is_there = view.def(row) == chunk.form().max_def;
                    if *alive && !is_there {
                        return Err(ProfileIds::missing(input).into());
                    }
                    if *alive {
                        let id = view.get(value).map_err(|_| input.damage())?;
                        self.number(work, (first_row, first + row), mentions.hold(first + row), id, NO_TIME);
                    }
                    (row, value) = (row + 1, value + usize::from(is_there));
                }
                self.admit(work, chunk.kept_bytes(), kept)?;
            }
            tally.report(0)?;
            if self.grouping.is_lost() {
                return Ok(());
            }
        }
        group.keep(leaf, chunk);
        Ok(())
    }

    /// Numbers the profiles of a row group by these leaves.
    async fn rows<O: ReadObjects + WriteObjects>(
        &mut self,
        work: &Work<'_, O>,
        (at, input, group): (usize, &InputFile<O>, usize),
        leaves: &[usize],
        (profile, ingest_time, deleted): (&ProfileIds<'_>, Option<&FileColumn>, &Deleted<'_>),
        kept: &mut Kept,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(), Halt> {
        let mut read = 0;
        let first_row = input.first_row(group);
        let mentions = Mentioned::of(self.mentions, at, group);
        let mut stream = input.stream(group, leaves, None, work.part.task.settings.row_batch)?;
        while let Some(batch) = stream.next().await {
            let batch = StructArray::from(batch?);
            let mut alive = vec![true; batch.len()];
            deleted.bury(first_row + read as u64, &batch, &mut alive).map_err(|_| input.unfit())?;
            // Of rows that are deleted nothing is asked.
            let ids = strings(&profile.ids(input, &batch, |row| alive[row])?).map_err(|_| input.unfit())?;
            let times = times(input, ingest_time, &batch)?;
            for row in (0..batch.len()).filter(|row| alive[*row]) {
                let id = ids.value(row).as_bytes();
                self.number(work, (first_row, read + row), mentions.hold(read + row), id, time(times.as_ref(), row));
            }
            read += batch.len();
            self.admit(work, 0, kept)?;
            tally.report(0)?;
            if self.grouping.is_lost() {
                return Ok(());
            }
        }
        if read as u64 == input.rows(group) { Ok(()) } else { Err(input.lacks_rows().into()) }
    }

    /// As [`Work::admit`]; so many bytes of ids are about to be kept.
    fn admit<O: ReadObjects + WriteObjects>(
        &self,
        work: &Work<'_, O>,
        more: usize,
        kept: &mut Kept,
    ) -> Result<(), Halt> {
        let bytes = self.rows.bytes() + self.grouping.bytes();
        work.admit(bytes, self.grouping.profiles(&self.rows), kept)?;
        kept.fit(work.part.task.settings.index_bytes.saturating_sub(bytes + more as u64));
        Ok(())
    }

    /// Takes a row in, if its profile is meant.
    fn number<O: ReadObjects + WriteObjects>(
        &mut self,
        work: &Work<'_, O>,
        (first_row, row): (u64, usize),
        is_mentioned: bool,
        id: &[u8],
        time: i64,
    ) {
        let slice = work.part.task.part.slice;
        if slice.is_none_or(|slice| slice.holds(iceberg_hash(id))) && work.share.holds(id) {
            self.grouping.take(&mut self.rows, ((first_row + row as u64) as u32, time), is_mentioned, id);
        }
    }
}

fn time(times: Option<&TimestampMicrosecondArray>, row: usize) -> i64 {
    times.filter(|times| times.is_valid(row)).map_or(NO_TIME, |times| times.value(row))
}

fn times<O: ReadObjects>(
    input: &InputFile<O>,
    column: Option<&FileColumn>,
    batch: &StructArray,
) -> Result<Option<TimestampMicrosecondArray>, EngineError> {
    let times = column.and_then(|column| batch.column_by_name(&column.name)).map(micros).transpose();
    times.map_err(|_| input.unfit())
}
