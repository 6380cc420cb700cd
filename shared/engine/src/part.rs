//! The export of one part: file by file, row group by row group, in order.

use crate::error::EngineError;
use crate::identities::BoundIdentities;
use crate::input::InputFile;
use crate::layout::{BoundLayout, Layout};
use crate::project::strings;
use crate::writer::PartWriter;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StructArray};
use arrow_select::filter::filter_record_batch;
use domain::fields::Projection;
use domain::filter::MembershipFilter;
use domain::id::BatchId;
use domain::plan::{Counts, DataFile, OutputList, PLAN_VERSION, PlannedPart};
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use domain::registry::ColumnNames;
use domain::schema::Schema;
use futures::StreamExt;
use parquet::arrow::arrow_reader::RowSelection;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// What is to be exported, and how.
#[derive(Clone, Copy, Debug)]
pub struct PartTask<'a> {
    /// The data files.
    pub part: &'a PlannedPart,
    /// The source's schema at the pinned snapshot; files are read by its field ids.
    pub source: &'a Schema,
    /// What the source calls the columns that the product needs.
    pub columns: &'a ColumnNames,
    /// Whether the owner promises one row per profile. Else the part must hold every row of its profiles, and a second row
    /// of one is [`EngineError::Fragments`].
    pub unique_profiles: bool,
    /// The export table's schema; its field ids go into the files.
    pub target: &'a Schema,
    /// Which fields, by the export's names.
    pub projection: &'a Projection,
    /// Which profiles.
    pub filter: &'a MembershipFilter,
    /// The batch that the rows belong to.
    pub batch_id: &'a BatchId,
    /// Sizes.
    pub settings: Settings,
}

/// The sizes that the engine works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Rows decoded and encoded at a time.
    pub row_batch: usize,
    /// Encoded bytes at which a row group of the output is closed; bounds the writer's memory.
    pub row_group_bytes: usize,
    /// Encoded bytes at which an output file is closed and the next begun.
    pub file_bytes: u64,
    /// ZSTD level.
    pub zstd_level: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { row_batch: 8_192, row_group_bytes: 64 << 20, file_bytes: 192 << 20, zstd_level: 1 }
    }
}

/// How far a part has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Of the part's weight, what has been read; never falls, and reaches the whole where nothing fails.
    pub weight: u64,
    /// Rows exported so far.
    pub rows: u64,
}

/// What is to happen after a report of progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    Continue,
    /// Leave nothing behind and return [`EngineError::Stopped`].
    Stop,
}

/// Exports a part and tells what it wrote. `file_at` names the output files by their position; the names are this attempt's
/// alone. `progress` is told after every batch of rows. The same input gives the same rows in the same order.
///
/// On any error the files already written are deleted again, as far as the store allows.
pub async fn export_part<O: ReadObjects + WriteObjects>(
    objects: &O,
    task: &PartTask<'_>,
    file_at: impl Fn(usize) -> Location + Send + Sync,
    progress: impl FnMut(Progress) -> Step + Send,
) -> Result<OutputList, EngineError> {
    let layout = Layout::new(task)?;
    let mut writer = PartWriter::new(objects, file_at, task, &layout);
    let seen = (!task.unique_profiles).then(SeenProfiles::default);
    let mut export = Export { objects, task, layout: &layout, progress, weight: 0, counts: Counts::default(), seen };
    let files = match export.run(&mut writer).await {
        Ok(()) => writer.finish().await,
        Err(error) => Err(error),
    };
    match files {
        Ok(files) => {
            let bytes = files.iter().map(|f| f.bytes).sum();
            Ok(OutputList { version: PLAN_VERSION, files, counts: Counts { bytes, ..export.counts } })
        }
        Err(error) => {
            writer.abandon().await;
            Err(error)
        }
    }
}

/// A part under way.
struct Export<'a, O, P> {
    objects: &'a O,
    task: &'a PartTask<'a>,
    layout: &'a Layout,
    progress: P,
    /// Of the part's weight, what has been read.
    weight: u64,
    counts: Counts,
    /// The profiles of all rows so far, where the owner promises nothing about them.
    seen: Option<SeenProfiles>,
}

/// Which rows of a row group are read.
enum Chosen {
    All,
    These(RowSelection),
    Nothing,
}

impl<O: ReadObjects + WriteObjects, P: FnMut(Progress) -> Step + Send> Export<'_, O, P> {
    async fn run<F: Fn(usize) -> Location + Send + Sync>(
        &mut self,
        writer: &mut PartWriter<'_, O, F>,
    ) -> Result<(), EngineError> {
        for file in &self.task.part.files {
            self.file(file, writer).await?;
        }
        self.weight = self.task.part.weight();
        self.report()
    }

    async fn file<F: Fn(usize) -> Location + Send + Sync>(
        &mut self,
        file: &DataFile,
        writer: &mut PartWriter<'_, O, F>,
    ) -> Result<(), EngineError> {
        let input = InputFile::open(self.objects, file).await?;
        let bound = self.layout.bind(&input)?;
        let before = self.weight;
        let rows: u64 = input.groups.iter().map(|&group| input.rows(group)).sum();
        let mut rows_read = 0;
        for &group in &input.groups {
            match self.choose(&input, &bound, group).await? {
                Chosen::All => self.rows(&input, &bound, group, None, writer).await?,
                Chosen::These(selection) => self.rows(&input, &bound, group, Some(selection), writer).await?,
                Chosen::Nothing => {}
            }
            rows_read += input.rows(group);
            self.weight = before + share(file.weight(), rows_read, rows);
            self.report()?;
        }
        self.weight = before + file.weight();
        Ok(())
    }

    /// Judges the rows of a row group on the leaf columns that decide.
    async fn choose(
        &mut self,
        input: &InputFile<O>,
        bound: &BoundLayout<'_>,
        group: usize,
    ) -> Result<Chosen, EngineError> {
        let judged = self.layout.membership.is_some();
        if self.seen.is_none() && (!judged || bound.membership.is_none()) {
            return Ok(if judged { Chosen::Nothing } else { Chosen::All });
        }
        let mut leaves = bound.membership.as_ref().map_or_else(Vec::new, |m| m.leaves.clone());
        if self.seen.is_some() {
            leaves.extend(bound.profile.leaf());
        }
        let mut members = Vec::new();
        let mut batches = input.stream(group, &leaves, None, self.task.settings.row_batch)?;
        while let Some(batch) = batches.next().await {
            let rows = StructArray::from(batch?);
            if let Some(seen) = &mut self.seen {
                seen.add(input, &bound.profile.ids(input, &rows)?)?;
            }
            members.push(match &bound.membership {
                Some(membership) => {
                    let members = membership.judge(&rows).map_err(|_| input.unfit())?;
                    BooleanArray::new(members, None)
                }
                None => BooleanArray::from(vec![!judged; rows.len()]),
            });
            self.report()?;
        }
        let (rows, chosen) = members.iter().fold((0, 0), |(rows, chosen), m| (rows + m.len(), chosen + m.true_count()));
        match chosen {
            _ if rows as u64 != input.rows(group) => Err(input.error("a row group lacks rows that its footer counts")),
            0 => Ok(Chosen::Nothing),
            all if all == rows => Ok(Chosen::All),
            _ => Ok(Chosen::These(RowSelection::from_filters(&members))),
        }
    }

    /// Exports the selected rows of a row group.
    async fn rows<F: Fn(usize) -> Location + Send + Sync>(
        &mut self,
        input: &InputFile<O>,
        bound: &BoundLayout<'_>,
        group: usize,
        selection: Option<RowSelection>,
        writer: &mut PartWriter<'_, O, F>,
    ) -> Result<(), EngineError> {
        let mut batches = input.stream(group, &bound.leaves, selection, self.task.settings.row_batch)?;
        while let Some(batch) = batches.next().await {
            let kept = self.within_limit(input, bound.identities.as_ref(), batch?)?;
            bound.profile.check(input, &kept)?;
            let exported = self.layout.export(input, &kept, self.task.batch_id)?;
            writer.write(&exported).await?;
            self.counts.rows += exported.num_rows() as u64;
            self.report()?;
        }
        Ok(())
    }

    /// The rows whose profiles do not have too many identities.
    fn within_limit(
        &mut self,
        input: &InputFile<O>,
        identities: Option<&BoundIdentities<'_>>,
        batch: RecordBatch,
    ) -> Result<StructArray, EngineError> {
        let Some(identities) = identities else { return Ok(batch.into()) };
        let rows = StructArray::from(batch.clone());
        let fits = identities.judge(&rows, &mut self.counts).map_err(|_| input.unfit())?;
        if fits.true_count() == fits.len() {
            return Ok(rows);
        }
        Ok(filter_record_batch(&batch, &fits).map_err(|_| input.unfit())?.into())
    }

    fn report(&mut self) -> Result<(), EngineError> {
        match (self.progress)(Progress { weight: self.weight, rows: self.counts.rows }) {
            Step::Continue => Ok(()),
            Step::Stop => Err(EngineError::Stopped),
        }
    }
}

/// The part of a file's weight that some of its rows stand for.
fn share(weight: u64, rows: u64, of: u64) -> u64 {
    (u128::from(weight) * u128::from(rows)).checked_div(u128::from(of)).map_or(weight, |share| share as u64)
}

/// The profiles that rows have been seen of, as 128-bit hashes: two of a billion ids share one with odds of 1 in 10^20.
#[derive(Default)]
struct SeenProfiles {
    hashes: HashSet<u128>,
    keys: (RandomState, RandomState),
}

impl SeenProfiles {
    fn add<O: ReadObjects>(&mut self, input: &InputFile<O>, ids: &ArrayRef) -> Result<(), EngineError> {
        for id in strings(ids).map_err(|_| input.unfit())?.iter().flatten() {
            let hash = u128::from(self.keys.0.hash_one(id)) << 64 | u128::from(self.keys.1.hash_one(id));
            if !self.hashes.insert(hash) {
                return Err(EngineError::Fragments { location: input.location.clone() });
            }
        }
        Ok(())
    }
}
