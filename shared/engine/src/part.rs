//! The export of one part.

use crate::alone;
use crate::batches::Batches;
use crate::deletes::Deletes;
use crate::error::EngineError;
use crate::input::InputFile;
use crate::layout::Layout;
use crate::membership::Wanted;
use crate::merged;
use crate::source::Source;
use domain::id::BatchId;
use domain::plan::{Counts, DataFile, OutputList, PLAN_VERSION, Plan, PlannedPart};
use domain::ports::objects::{Location, ReadObjects, WriteObjects};

/// What is to be exported, and how.
#[derive(Clone, Copy, Debug)]
pub struct PartTask<'a> {
    /// The job's plan.
    pub plan: &'a Plan,
    /// The part of it that is to be done.
    pub part: &'a PlannedPart,
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
    /// Stored bytes from which on a row group that is exported whole is copied; a smaller one is put together with others.
    pub copied_bytes: i64,
    /// Bytes that the open files of several batches may hold together; beyond it the largest is completed.
    pub open_bytes: u64,
    /// Bytes of decoded rows that are held at a time for merging; what is more is merged in several rounds.
    pub merge_bytes: u64,
    /// Bytes of what is known about the rows that are merged; where it is more, the part is done in several goes.
    pub index_bytes: u64,
    /// Bytes of the rows that are decoded at a time, as far as a file's footer tells them; one row is decoded whatever it takes.
    pub batch_bytes: u64,
    /// Most rows of values that the equality delete files of a part may hold.
    pub delete_keys: usize,
}

impl Settings {
    /// The sizes for a process of so many bytes of memory: what grows with the input takes three fifths of it at most.
    pub fn within(memory_bytes: u64) -> Self {
        let sixteenths = |count: u64| memory_bytes / 16 * count;
        let usual = Self::default();
        Self {
            row_group_bytes: usual.row_group_bytes.min(usize::try_from(sixteenths(1)).unwrap_or(usize::MAX)),
            open_bytes: sixteenths(5) / 2,
            merge_bytes: sixteenths(4),
            index_bytes: sixteenths(3),
            batch_bytes: usual.batch_bytes.min(sixteenths(1)),
            ..usual
        }
    }
}

/// Those for a gigabyte of memory.
impl Default for Settings {
    fn default() -> Self {
        Self {
            row_batch: 8_192,
            row_group_bytes: 64 << 20,
            file_bytes: 192 << 20,
            zstd_level: 1,
            copied_bytes: 1 << 20,
            open_bytes: 160 << 20,
            merge_bytes: 256 << 20,
            index_bytes: 192 << 20,
            batch_bytes: 16 << 20,
            delete_keys: 8_000_000,
        }
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

/// Exports a part and tells what it wrote. `file_at` names the output files by batch and position; the names are this
/// attempt's alone. `progress` is told after every batch of rows. The same input gives the same rows in the same order.
///
/// On any error the files already written are deleted again, as far as the store allows.
pub async fn export_part<O: ReadObjects + WriteObjects>(
    objects: &O,
    task: &PartTask<'_>,
    file_at: impl Fn(&BatchId, usize) -> Location + Send + Sync,
    progress: impl FnMut(Progress) -> Step + Send,
) -> Result<OutputList, EngineError> {
    let plan = task.plan;
    let sources = plan.sources.iter().map(Source::new).collect::<Result<Vec<_>, _>>()?;
    let rows_stand_alone = plan.rows_stand_alone(task.part);
    let layout = Layout::new(plan, &sources, !rows_stand_alone)?;
    let wanted = Wanted::new(&plan.filter);
    let deletes = Deletes::read(objects, task.part, &sources, task.settings).await?;
    let part = Part { objects, task, sources: &sources, layout: &layout, wanted: wanted.as_ref(), deletes: &deletes };
    let mut batches = Batches::new(objects, &file_at, task, &layout);
    let mut tally = Tally::new(task.part.weight(), progress);
    let exported = match rows_stand_alone {
        true => alone::export(&part, &mut batches, &mut tally).await.map(|()| false),
        false => merged::export(&part, &mut batches, &mut tally).await,
    };
    let finished = match exported.and_then(|distinct| tally.whole().map(|()| distinct)) {
        Ok(distinct) => batches.finish().await.map(|files| (files, distinct)),
        Err(error) => Err(error),
    };
    match finished {
        Ok((files, distinct)) => {
            let counts = Counts { bytes: files.iter().map(|f| f.bytes).sum(), ..tally.counts };
            Ok(OutputList { version: PLAN_VERSION, files, counts, distinct })
        }
        Err(error) => {
            batches.abandon().await;
            Err(error)
        }
    }
}

/// A part and all that is settled about it before the first row is read.
pub(crate) struct Part<'a, O> {
    pub(crate) objects: &'a O,
    pub(crate) task: &'a PartTask<'a>,
    pub(crate) sources: &'a [Source<'a>],
    pub(crate) layout: &'a Layout,
    /// The wanted segments; `None`: everybody is exported.
    pub(crate) wanted: Option<&'a Wanted>,
    pub(crate) deletes: &'a Deletes,
}

impl<O: ReadObjects> Part<'_, O> {
    /// Opens one of the part's data files.
    pub(crate) async fn open(&self, file: &DataFile) -> Result<InputFile<O>, EngineError> {
        let names = self.sources.get(file.source).and_then(|source| source.planned.name_mapping.as_ref());
        let input = InputFile::open(self.objects, file, names).await?;
        Ok(input.with_batch_bytes(self.task.settings.batch_bytes))
    }
}

/// What a part has come to: its counters and its progress.
pub(crate) struct Tally<P> {
    pub(crate) counts: Counts,
    weight: u64,
    done: u64,
    progress: P,
}

impl<P: FnMut(Progress) -> Step> Tally<P> {
    /// Nothing done of a part that weighs so much.
    pub(crate) fn new(weight: u64, progress: P) -> Self {
        Self { counts: Counts::default(), weight, done: 0, progress }
    }

    /// Tells the caller how far the part is, and obeys. `share` of the part's weight is done, in thousandths; less than was
    /// told before changes nothing.
    pub(crate) fn report(&mut self, share: u64) -> Result<(), EngineError> {
        let done = (u128::from(self.weight) * u128::from(share.min(1_000)) / 1_000) as u64;
        self.done = self.done.max(done);
        match (self.progress)(Progress { weight: self.done, rows: self.counts.rows }) {
            Step::Continue => Ok(()),
            Step::Stop => Err(EngineError::Stopped),
        }
    }

    fn whole(&mut self) -> Result<(), EngineError> {
        self.report(1_000)
    }
}
