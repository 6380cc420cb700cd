//! Rows that become profiles by merging.
//!
//! A first pass over few leaf columns tells which rows belong together and which profiles are exported ([`index`],
//! [`verdict`]). A second one reads the rows of those alone: a profile of a single row is written as it stands, the rows of
//! all others are held until they are merged, as many profiles in a round as fit the memory ([`round`]).

mod hash;
mod index;
mod merge;
mod rank;
mod round;
mod unite;
mod verdict;

use crate::batches::Batches;
use crate::error::EngineError;
use crate::part::{Part, Progress, Step, Tally};
use domain::id::BatchId;
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use index::Index;
use round::Round;
use verdict::Verdict;

/// Exports a part that holds every row of its profiles.
pub(crate) async fn export<O: ReadObjects + WriteObjects, F: Fn(&BatchId, usize) -> Location + Send + Sync>(
    part: &Part<'_, O>,
    batches: &mut Batches<'_, O, F>,
    tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
) -> Result<(), EngineError> {
    let mut inputs = Vec::with_capacity(part.task.part.files.len());
    for file in &part.task.part.files {
        inputs.push(part.open(file).await?);
    }
    let index = Index::read(part, &inputs, tally).await?;
    let verdict = Verdict::new(part, &index);
    tally.counts.empty_profiles += verdict.empty_left_out;
    let rounds = round::plan(part, &inputs, &index, &verdict)?;
    let count = rounds.len() as u64;
    for (done, profiles) in (0..).zip(rounds) {
        Round::new(part, &inputs, &index, &verdict, profiles).export(batches, tally).await?;
        tally.report(INDEX_SHARE + (1_000 - INDEX_SHARE) * (done + 1) / count)?;
    }
    Ok(())
}

/// Thousandths of a part's weight that the first pass stands for.
const INDEX_SHARE: u64 = 300;
