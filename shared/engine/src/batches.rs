//! The batches of a part: which rows go to which of them, and their writers.

use crate::error::EngineError;
use crate::layout::Layout;
use crate::part::PartTask;
use crate::writer::BatchWriter;
use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use arrow_select::take::take;
use domain::id::BatchId;
use domain::plan::OutputFile;
use domain::ports::objects::{Location, WriteObjects};

/// For each of some rows, the batches that it goes to, by position in the plan.
#[derive(Clone, Debug)]
pub(crate) enum Targets {
    /// Every row goes to the plan's one batch.
    TheOne,
    /// Each row goes to some of several.
    Several {
        /// Where each row's batches end.
        ends: Vec<u32>,
        /// The batches of all rows, in order of row.
        batches: Vec<u16>,
    },
}

impl Targets {
    /// No rows yet, of a job with one batch or with one for each entry.
    pub(crate) fn none(segment_per_batch: bool) -> Self {
        match segment_per_batch {
            true => Self::Several { ends: Vec::new(), batches: Vec::new() },
            false => Self::TheOne,
        }
    }

    /// Adds a row with its batches.
    pub(crate) fn push(&mut self, of_row: &[u16]) {
        if let Self::Several { ends, batches } = self {
            batches.extend(of_row);
            ends.push(batches.len() as u32);
        }
    }

    /// The batches of a row.
    pub(crate) fn of(&self, row: usize) -> &[u16] {
        match self {
            Self::TheOne => &[0],
            Self::Several { ends, batches } => {
                let start = row.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
                let end = ends.get(row).copied().unwrap_or(start);
                batches.get(start as usize..end as usize).unwrap_or_default()
            }
        }
    }

    /// Those of the rows that these positions name, in their order.
    pub(crate) fn pick(&self, rows: impl Iterator<Item = usize>) -> Self {
        let mut picked = Self::none(matches!(self, Self::Several { .. }));
        if matches!(self, Self::Several { .. }) {
            rows.for_each(|row| picked.push(self.of(row)));
        }
        picked
    }
}

/// The writers of a part's batches.
pub(crate) struct Batches<'a, O: WriteObjects, F> {
    layout: &'a Layout,
    /// Rows of a batch that are encoded at a time, where there are several batches.
    least_rows: usize,
    writers: Vec<(BatchWriter<'a, O, F>, Pending)>,
}

/// Rows that wait until it is worth encoding them.
#[derive(Default)]
struct Pending {
    rows: Vec<RecordBatch>,
    count: usize,
}

impl<'a, O: WriteObjects, F: Fn(&BatchId, usize) -> Location> Batches<'a, O, F> {
    /// Writers that have written nothing.
    pub(crate) fn new(objects: &'a O, file_at: &'a F, task: &PartTask<'a>, layout: &'a Layout) -> Self {
        let writer = |batch| (BatchWriter::new(objects, file_at, batch, task, layout), Pending::default());
        let writers: Vec<_> = task.plan.batches.iter().map(writer).collect();
        let least_rows = if writers.len() > 1 { task.settings.row_batch } else { 0 };
        Self { layout, least_rows, writers }
    }

    /// Adds rows at the end of each batch that they go to.
    pub(crate) async fn write(
        &mut self,
        columns: &[ArrayRef],
        events: Option<&ArrayRef>,
        rows: usize,
        targets: &Targets,
    ) -> Result<(), EngineError> {
        let Targets::Several { .. } = targets else {
            return self.add(0, columns, events, rows).await;
        };
        let mut of_batch: Vec<Vec<u32>> = vec![Vec::new(); self.writers.len()];
        for row in 0..rows {
            for batch in targets.of(row) {
                if let Some(of_batch) = of_batch.get_mut(usize::from(*batch)) {
                    of_batch.push(row as u32);
                }
            }
        }
        for (batch, mine) in of_batch.into_iter().enumerate().filter(|(_, mine)| !mine.is_empty()) {
            let mine = UInt32Array::from(mine);
            let columns: Result<Vec<_>, ArrowError> = columns.iter().map(|column| take(column, &mine, None)).collect();
            let events = events.map(|events| take(events, &mine, None)).transpose().map_err(broken)?;
            self.add(batch, &columns.map_err(broken)?, events.as_ref(), mine.values().len()).await?;
        }
        Ok(())
    }

    async fn add(
        &mut self,
        batch: usize,
        columns: &[ArrayRef],
        events: Option<&ArrayRef>,
        rows: usize,
    ) -> Result<(), EngineError> {
        let Some((writer, pending)) = self.writers.get_mut(batch) else { return Ok(()) };
        let constant = writer.constant(rows).map_err(broken)?;
        let rows = self.layout.assemble(columns, events, &constant).map_err(broken)?;
        pending.count += rows.num_rows();
        pending.rows.push(rows);
        if pending.count >= self.least_rows { pending.flush(writer).await } else { Ok(()) }
    }

    /// Completes the last file of each batch and tells all of them, in order of batch and then of writing.
    pub(crate) async fn finish(&mut self) -> Result<Vec<OutputFile>, EngineError> {
        let mut files = Vec::new();
        for (writer, pending) in &mut self.writers {
            pending.flush(writer).await?;
            files.extend(writer.finish().await?);
        }
        Ok(files)
    }

    /// Gives up: aborts the uploads under way and deletes what is complete, as far as the store allows.
    pub(crate) async fn abandon(self) {
        for (writer, _) in self.writers {
            writer.abandon().await;
        }
    }
}

impl Pending {
    async fn flush<O: WriteObjects, F: Fn(&BatchId, usize) -> Location>(
        &mut self,
        writer: &mut BatchWriter<'_, O, F>,
    ) -> Result<(), EngineError> {
        self.count = 0;
        match std::mem::take(&mut self.rows).as_slice() {
            [] => Ok(()),
            [only] => writer.write(only).await,
            several => writer.write(&concat_batches(&several[0].schema(), several).map_err(broken)?).await,
        }
    }
}

/// A fault of this engine: what it made itself does not fit together.
pub(crate) fn broken(error: ArrowError) -> EngineError {
    EngineError::Encode(error.into())
}
