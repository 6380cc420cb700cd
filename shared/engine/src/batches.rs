//! The batches of a part: which rows go to which of them, and their writers.

use crate::error::EngineError;
use crate::layout::Layout;
use crate::part::PartTask;
use crate::writer::BatchWriter;
use arrow_schema::ArrowError;
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
    /// Bytes that all batches together hold in memory before the largest file is completed.
    open_bytes: u64,
    writers: Vec<BatchWriter<'a, O, F>>,
}

impl<'a, O: WriteObjects, F: Fn(&BatchId, usize) -> Location> Batches<'a, O, F> {
    /// Writers that have written nothing.
    pub(crate) fn new(objects: &'a O, file_at: &'a F, task: &PartTask<'a>, layout: &'a Layout) -> Self {
        let writer = |batch| BatchWriter::new(objects, file_at, batch, task, layout);
        Self { open_bytes: task.settings.open_bytes, writers: task.plan.batches.iter().map(writer).collect() }
    }

    /// The rows of a list that go to each batch, for those that get any; `rows` are numbers, `targets` stand beside them.
    pub(crate) fn divide(&self, rows: &[u32], targets: &Targets) -> Vec<(usize, Vec<u32>)> {
        let Targets::Several { .. } = targets else { return vec![(0, rows.to_vec())] };
        let mut of_batch: Vec<Vec<u32>> = vec![Vec::new(); self.writers.len()];
        for (at, row) in rows.iter().enumerate() {
            for batch in targets.of(at) {
                if let Some(of_batch) = of_batch.get_mut(usize::from(*batch)) {
                    of_batch.push(*row);
                }
            }
        }
        of_batch.into_iter().enumerate().filter(|(_, mine)| !mine.is_empty()).collect()
    }

    /// The writer of a batch.
    pub(crate) fn writer(&mut self, batch: usize) -> Result<&mut BatchWriter<'a, O, F>, EngineError> {
        let absent = || EngineError::Unsupported("a row is meant for a batch that the plan does not have".into());
        self.writers.get_mut(batch).ok_or_else(absent)
    }

    /// Completes the largest files as long as all of them together hold too much.
    pub(crate) async fn make_room(&mut self) -> Result<(), EngineError> {
        loop {
            let held: Vec<u64> = self.writers.iter().map(BatchWriter::memory).collect();
            let largest = (0..held.len()).max_by_key(|at| held[*at]).filter(|at| held[*at] > 0);
            match largest.and_then(|at| self.writers.get_mut(at)) {
                Some(writer) if self.open_bytes < held.iter().sum() && held.len() > 1 => writer.complete().await?,
                _ => return Ok(()),
            }
        }
    }

    /// Completes the last file of each batch and tells all of them, in order of batch and then of writing.
    pub(crate) async fn finish(&mut self) -> Result<Vec<OutputFile>, EngineError> {
        let mut files = Vec::new();
        for writer in &mut self.writers {
            files.extend(writer.finish().await?);
        }
        Ok(files)
    }

    /// Gives up: aborts the uploads under way and deletes what is complete, as far as the store allows.
    pub(crate) async fn abandon(self) {
        for writer in self.writers {
            writer.abandon().await;
        }
    }
}

/// A fault of this engine: what it made itself does not fit together.
pub(crate) fn broken(error: ArrowError) -> EngineError {
    EngineError::Encode(error.into())
}
