//! Rows that are profiles of their own: judged on a few leaf columns, then written as they stand.

use crate::batches::{Batches, Targets};
use crate::deletes::Deleted;
use crate::error::EngineError;
use crate::input::InputFile;
use crate::lone::LoneRows;
use crate::membership::{BoundMemberships, micros};
use crate::part::{Part, Progress, Step, Tally};
use crate::row_group::RowGroup;
use crate::source::Source;
use crate::tree::{FileColumn, FileKind, find};
use arrow_array::{Array, StructArray};
use domain::id::BatchId;
use domain::instant::Micros;
use domain::plan::DataFile;
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use futures::StreamExt;

/// Exports a part in which every row is a profile: file by file, row group by row group, in order.
pub(crate) async fn export<O: ReadObjects + WriteObjects, F: Fn(&BatchId, usize) -> Location + Send + Sync>(
    part: &Part<'_, O>,
    batches: &mut Batches<'_, O, F>,
    tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
) -> Result<(), EngineError> {
    let mut before = 0;
    for file in &part.task.part.files {
        export_file(part, (file, &part.open(file).await?), before, batches, tally).await?;
        before += file.weight();
    }
    Ok(())
}

/// Exports a file of a part, of which files of that weight are done.
pub(crate) async fn export_file<O: ReadObjects + WriteObjects, F: Fn(&BatchId, usize) -> Location + Send + Sync>(
    part: &Part<'_, O>,
    (file, input): (&DataFile, &InputFile<O>),
    before: u64,
    batches: &mut Batches<'_, O, F>,
    tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
) -> Result<(), EngineError> {
    let weight = part.task.part.weight();
    let judge = Judge::bind(part, &part.sources[file.source], input, part.deletes.of(file, input))?;
    let rows = LoneRows::bind(part, file.source, input)?;
    let all = input.all_rows();
    let (mut read, again) = (0, rows.leaves());
    for &group in &input.groups {
        let mut of_group = RowGroup::new(input, group, &again);
        let (chosen, targets) = judge.choose(part, &mut of_group, tally).await?;
        if !chosen.is_empty() {
            rows.write(&mut of_group, chosen, targets, batches, tally).await?;
        }
        read += input.rows(group);
        tally.report(thousandths(before, weight) + thousandths(file.weight(), weight) * read / all.max(1))?;
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
            (Some(wanted), Some(column)) => column.bind(wanted, input, false)?,
            _ => None,
        };
        let ingest_time = source.ingest_time.as_ref().and_then(|field| find(&input.columns, field));
        let after = part.task.plan.filter.updated_after;
        let nobody = part.wanted.is_some() && memberships.is_none() || after.is_some() && ingest_time.is_none();
        Ok(Self { deleted, memberships, nobody, updated: ingest_time.zip(after) })
    }

    /// The rows of a row group that are exported, by number in order, and where each of them goes.
    async fn choose<O: ReadObjects>(
        &self,
        part: &Part<'_, O>,
        of_group: &mut RowGroup<'_, O>,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<(Vec<u32>, Targets), EngineError> {
        let (input, group) = (of_group.input, of_group.number);
        let mut targets = Targets::none(part.task.plan.segment_per_batch);
        let mut chosen = Vec::new();
        let all = u32::try_from(input.rows(group)).map_err(|_| input.error("a row group has too many rows"))?;
        let meant = part.task.part.run.map_or(0..u64::from(all), |run| run.of(all.into()));
        let meant = meant.start as u32..meant.end as u32;
        if self.nobody || meant.is_empty() {
            return Ok((chosen, targets));
        }
        let Some((wanted, memberships)) = part.wanted.zip(self.memberships.as_ref()) else {
            let eligible = self.eligible(part, input, group, tally).await?;
            chosen.extend(meant.filter(|row| eligible.as_ref().is_none_or(|eligible| eligible[*row as usize])));
            return Ok((chosen, targets));
        };
        let mut finder = memberships.finder(of_group, None).await?;
        let (mut eligible, mut of_row) = (None, Vec::new());
        while let Some(members) = finder.next(of_group, |_, found| meant.contains(&found.row)).await? {
            tally.report(0)?;
            if eligible.is_none() {
                eligible = Some(self.eligible(part, input, group, tally).await?);
            }
            let eligible: Option<&Vec<bool>> = eligible.as_ref().and_then(Option::as_ref);
            for found in members.found.chunk_by(|a, b| a.row == b.row) {
                let row = found[0].row;
                if !meant.contains(&row) || eligible.is_some_and(|eligible| !eligible[row as usize]) {
                    continue;
                }
                of_row.clear();
                of_row.extend(found.iter().flat_map(|m| wanted.matched(members.asked(wanted, m), m.status, m.time)));
                of_row.sort_unstable();
                of_row.dedup();
                if !of_row.is_empty() {
                    chosen.push(row);
                    targets.push(&of_row);
                }
            }
        }
        finder.finish(of_group)?;
        Ok((chosen, targets))
    }

    /// Which rows of a row group are neither deleted nor too old; `None`: all.
    async fn eligible<O: ReadObjects>(
        &self,
        part: &Part<'_, O>,
        input: &InputFile<O>,
        group: usize,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<Option<Vec<bool>>, EngineError> {
        if self.updated.is_none() && self.deleted.is_nothing() {
            return Ok(None);
        }
        let mut leaves = self.deleted.leaves.clone();
        leaves.extend(self.updated.and_then(|(column, _)| leaf(column)));
        let mut eligible = Vec::new();
        let mut stream = input.stream(group, &leaves, None, part.task.settings.row_batch)?;
        while let Some(batch) = stream.next().await {
            let rows = StructArray::from(batch?);
            let first = eligible.len();
            eligible.resize(first + rows.len(), true);
            let of_batch = &mut eligible[first..];
            let first_row = input.first_row(group) + first as u64;
            self.deleted.bury(first_row, &rows, of_batch).map_err(|_| input.unfit())?;
            if let Some((column, after)) = self.updated {
                let times = rows.column_by_name(&column.name).map(micros).transpose().map_err(|_| input.unfit())?;
                let later = |row: usize| times.as_ref().is_some_and(|t| t.is_valid(row) && t.value(row) > after.0);
                of_batch.iter_mut().enumerate().for_each(|(row, eligible)| *eligible &= later(row));
            }
            tally.report(0)?;
        }
        if eligible.len() as u64 != input.rows(group) {
            return Err(input.error("a row group lacks rows that its footer counts"));
        }
        Ok(Some(eligible))
    }
}

fn leaf(column: &FileColumn) -> Option<usize> {
    match column.kind {
        FileKind::Leaf(leaf, _) => Some(leaf),
        FileKind::Struct(_) | FileKind::List(_) | FileKind::Map(..) => None,
    }
}
