//! Rows that are profiles of their own: judged on a few leaf columns, then read and written as they stand.

use crate::batches::{Batches, Targets};
use crate::deletes::Deleted;
use crate::error::EngineError;
use crate::identities::{self, BoundIdentities};
use crate::input::InputFile;
use crate::layout::{BoundForm, ProfileIds};
use crate::membership::{BoundMemberships, micros};
use crate::part::{Part, Progress, Step, Tally};
use crate::source::Source;
use crate::tree::{FileColumn, FileKind, find};
use arrow_array::{Array, BooleanArray, RecordBatch, StructArray};
use arrow_select::filter::filter_record_batch;
use domain::id::BatchId;
use domain::instant::Micros;
use domain::plan::Counts;
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use futures::StreamExt;
use parquet::arrow::arrow_reader::RowSelection;

/// Exports a part in which every row is a profile: file by file, row group by row group, in order.
pub(crate) async fn export<O: ReadObjects + WriteObjects, F: Fn(&BatchId, usize) -> Location + Send + Sync>(
    part: &Part<'_, O>,
    batches: &mut Batches<'_, O, F>,
    tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
) -> Result<(), EngineError> {
    let weight = part.task.part.weight();
    let mut before = 0;
    for file in &part.task.part.files {
        let input = part.open(file).await?;
        let source = &part.sources[file.source];
        let judge = Judge::bind(part, source, &input, part.deletes.of(file, &input))?;
        let rows = LoneRows::bind(part, file.source, &input)?;
        let all: u64 = input.groups.iter().map(|&group| input.rows(group)).sum();
        let mut read = 0;
        for &group in &input.groups {
            if let Some((selection, targets)) = judge.choose(part, &input, group, tally).await? {
                let mut at = 0;
                let mut stream = input.stream(group, &rows.leaves, selection, part.task.settings.row_batch)?;
                while let Some(batch) = stream.next().await {
                    let batch = batch?;
                    let of_batch = targets.pick(at..at + batch.num_rows());
                    at += batch.num_rows();
                    rows.write(&input, batch, of_batch, batches, &mut tally.counts).await?;
                    tally.report(0)?;
                }
            }
            read += input.rows(group);
            tally.report(thousandths(before, weight) + thousandths(file.weight(), weight) * read / all.max(1))?;
        }
        before += file.weight();
    }
    Ok(())
}

fn thousandths(part: u64, of: u64) -> u64 {
    (u128::from(part) * 1_000 / u128::from(of.max(1))) as u64
}

/// What the rows of a file are judged by.
struct Judge<'a> {
    deleted: Deleted<'a>,
    /// `None` where none are asked for, or the file keeps none.
    memberships: Option<BoundMemberships<'a>>,
    nobody: bool,
    updated: Option<(&'a FileColumn, Micros)>,
}

impl<'a> Judge<'a> {
    fn bind<O: ReadObjects>(
        part: &'a Part<'_, O>,
        source: &Source<'_>,
        input: &'a InputFile<O>,
        deleted: Deleted<'a>,
    ) -> Result<Self, EngineError> {
        let memberships = match (part.wanted, &source.memberships) {
            (Some(wanted), Some(column)) => {
                column.bind(wanted, &input.columns, false).map_err(|what| input.error(what))?
            }
            _ => None,
        };
        let ingest_time = source.ingest_time.as_ref().and_then(|field| find(&input.columns, field));
        let after = part.task.plan.filter.updated_after;
        let nobody = part.wanted.is_some() && memberships.is_none() || after.is_some() && ingest_time.is_none();
        Ok(Self { deleted, memberships, nobody, updated: ingest_time.zip(after) })
    }

    /// The rows of a row group that are exported, and where each of them goes; `None` = no row. A selection of `None` is
    /// all rows.
    async fn choose<O: ReadObjects>(
        &self,
        part: &Part<'_, O>,
        input: &InputFile<O>,
        group: usize,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<Option<(Option<RowSelection>, Targets)>, EngineError> {
        if self.nobody {
            return Ok(None);
        }
        if self.memberships.is_none() && self.updated.is_none() && self.deleted.is_nothing() {
            return Ok(Some((None, Targets::TheOne)));
        }
        let mut leaves = self.deleted.leaves.clone();
        leaves.extend(self.memberships.iter().flat_map(|m| &m.leaves));
        leaves.extend(self.updated.and_then(|(column, _)| leaf(column)));
        let mut targets = Targets::none(part.task.plan.segment_per_batch);
        let (mut filters, mut first_row) = (Vec::new(), input.first_row(group));
        let mut stream = input.stream(group, &leaves, None, part.task.settings.row_batch)?;
        while let Some(batch) = stream.next().await {
            let rows = StructArray::from(batch?);
            let chosen = self.judge(part, input, first_row, &rows, &mut targets)?;
            first_row += rows.len() as u64;
            filters.push(chosen);
            tally.report(0)?;
        }
        let (rows, chosen) = filters.iter().fold((0, 0), |(rows, chosen), f| (rows + f.len(), chosen + f.true_count()));
        match chosen {
            _ if rows as u64 != input.rows(group) => Err(input.error("a row group lacks rows that its footer counts")),
            0 => Ok(None),
            all if all == rows => Ok(Some((None, targets))),
            _ => Ok(Some((Some(RowSelection::from_filters(&filters)), targets))),
        }
    }

    fn judge<O: ReadObjects>(
        &self,
        part: &Part<'_, O>,
        input: &InputFile<O>,
        first_row: u64,
        rows: &StructArray,
        targets: &mut Targets,
    ) -> Result<BooleanArray, EngineError> {
        let mut chosen = vec![true; rows.len()];
        self.deleted.bury(first_row, rows, &mut chosen).map_err(|_| input.unfit())?;
        if let Some((column, after)) = self.updated {
            let times = rows.column_by_name(&column.name).map(micros).transpose().map_err(|_| input.unfit())?;
            let later = |row: usize| times.as_ref().is_some_and(|t| t.is_valid(row) && t.value(row) > after.0);
            chosen.iter_mut().enumerate().for_each(|(row, chosen)| *chosen &= later(row));
        }
        let Some((wanted, memberships)) = part.wanted.zip(self.memberships.as_ref()) else {
            return Ok(BooleanArray::from(chosen));
        };
        let mut matched: Vec<(usize, u16)> = Vec::new();
        let tell = |row: usize, m: crate::membership::Membership<'_>| {
            matched.extend(wanted.matched(m.asked, m.status, m.time).map(|entry| (row, entry)));
        };
        memberships.each(rows, tell).map_err(|_| input.unfit())?;
        matched.sort_unstable();
        matched.dedup();
        let (mut at, mut of_row) = (0, Vec::new());
        for (row, chosen) in chosen.iter_mut().enumerate() {
            of_row.clear();
            while let Some((_, entry)) = matched.get(at).filter(|(of, _)| *of == row) {
                of_row.push(*entry);
                at += 1;
            }
            *chosen &= !of_row.is_empty();
            if *chosen {
                targets.push(&of_row);
            }
        }
        Ok(BooleanArray::from(chosen))
    }
}

fn leaf(column: &FileColumn) -> Option<usize> {
    match column.kind {
        FileKind::Leaf(leaf, _) => Some(leaf),
        FileKind::Struct(_) | FileKind::List(_) | FileKind::Map(..) => None,
    }
}

/// Rows of a file that are exported as they stand.
pub(crate) struct LoneRows<'a> {
    form: BoundForm<'a>,
    identities: Option<BoundIdentities<'a>>,
    profile: ProfileIds<'a>,
    /// The leaves to read.
    pub(crate) leaves: Vec<usize>,
}

impl<'a> LoneRows<'a> {
    /// Finds in a file what the export takes.
    pub(crate) fn bind<O: ReadObjects>(
        part: &Part<'a, O>,
        source: usize,
        input: &'a InputFile<O>,
    ) -> Result<Self, EngineError> {
        let form = part.layout.export.bind(source, input)?;
        let identity_map = part.sources[source].identity_map.as_ref();
        let identities = identities::bind(identity_map, &input.columns).map_err(|what| input.error(what))?;
        let profile = ProfileIds::bind(&part.sources[source], input);
        let mut leaves = form.leaves.clone();
        leaves.extend(identities.iter().flat_map(|i| &i.leaves));
        leaves.extend(profile.leaf().filter(|_| profile.may_be_null()));
        Ok(Self { form, identities, profile, leaves })
    }

    /// Exports rows that were read with the leaves, but for those with too many identities.
    pub(crate) async fn write<O: ReadObjects + WriteObjects, F: Fn(&BatchId, usize) -> Location + Send + Sync>(
        &self,
        input: &InputFile<O>,
        batch: RecordBatch,
        targets: Targets,
        batches: &mut Batches<'_, O, F>,
        counts: &mut Counts,
    ) -> Result<(), EngineError> {
        let (rows, targets) = self.within_limit(input, batch, targets, counts)?;
        self.profile.check(input, &rows)?;
        let columns = self.form.columns(&rows).map_err(|_| input.unfit())?;
        counts.rows += (0..rows.len()).map(|row| targets.of(row).len() as u64).sum::<u64>();
        batches.write(&columns, None, rows.len(), &targets).await
    }

    fn within_limit<O: ReadObjects>(
        &self,
        input: &InputFile<O>,
        batch: RecordBatch,
        targets: Targets,
        counts: &mut Counts,
    ) -> Result<(StructArray, Targets), EngineError> {
        let rows = StructArray::from(batch.clone());
        let Some(identities) = &self.identities else { return Ok((rows, targets)) };
        let maps = identities.of(&rows).map_err(|_| input.unfit())?;
        let copies = |row| targets.of(row).len() as u64;
        let fits = identities::judge(maps, copies, counts).map_err(|_| input.unfit())?;
        if fits.true_count() == fits.len() {
            return Ok((rows, targets));
        }
        let targets = targets.pick((0..fits.len()).filter(|row| fits.value(*row)));
        Ok((filter_record_batch(&batch, &fits).map_err(|_| input.unfit())?.into(), targets))
    }
}
