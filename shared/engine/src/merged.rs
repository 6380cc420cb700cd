//! Rows that become profiles by merging.
//!
//! A first pass over few leaf columns tells which rows belong together ([`index`], [`standing`]) and which profiles are
//! exported ([`members`], [`verdict`]). Where everybody is exported, it may tell that nothing is to be merged ([`order`]).
//! A second one reads the rows of those alone: a profile of a single row is written as it stands, the rows of all others
//! are held until they are merged, as many profiles in a round as fit the memory ([`round`]). Where what the first pass
//! knows outgrows the memory, both are done for half of the profiles at a time ([`share`]).

mod grouping;
mod hash;
mod index;
mod kept;
mod maps;
mod members;
mod mentions;
mod merge;
mod numbers;
mod order;
mod rank;
mod reach;
mod round;
mod rows;
mod settled;
mod share;
mod standing;
mod unite;
mod verdict;

#[cfg(test)]
mod tests;

use crate::alone;
use crate::batches::Batches;
use crate::error::EngineError;
use crate::input::InputFile;
use crate::lone::LoneRows;
use crate::part::{Part, Progress, Step, Tally};
use domain::id::BatchId;
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use index::Index;
use kept::Kept;
use order::Order;
use round::Round;
use settled::Settled;
use share::Share;
use std::collections::BTreeSet;
use verdict::Verdict;

/// Thousandths of a share's weight that are done once the rows are numbered, and once the first pass is through.
const NUMBERED: u64 = 150;
const JUDGED: u64 = 300;

/// Exports a part that holds every row of its profiles. Tells whether they are all rows of one file of fragments, and it was
/// seen that no two of them have the same id.
pub(crate) async fn export<O: ReadObjects + WriteObjects, F: Fn(&BatchId, usize) -> Location + Send + Sync>(
    part: &Part<'_, O>,
    batches: &mut Batches<'_, O, F>,
    tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
) -> Result<bool, EngineError> {
    let mut inputs = Vec::with_capacity(part.task.part.files.len());
    for file in &part.task.part.files {
        inputs.push(part.open(file).await?);
    }
    let order = Order::of(part, &inputs, tally).await?;
    if let (Order::Distinct, [input], [file]) = (order, &inputs[..], &part.task.part.files[..]) {
        alone::export_file(part, (file, input), 0, batches, tally).await?;
        return Ok(true);
    }
    let mut are_distinct = false;
    let mut left = vec![Share::WHOLE];
    while let Some(share) = left.pop() {
        let work = Work { part, inputs: &inputs, order, share };
        match work.export(batches, tally).await {
            Err(Halt::TooMuch) => left.extend(share.halves()),
            Err(Halt::Failed(error)) => return Err(error),
            Ok(distinct) => are_distinct |= distinct,
        }
    }
    Ok(are_distinct)
}

/// Why the first pass came to no end.
enum Halt {
    /// It would have to hold more than it may.
    TooMuch,
    /// The part fails.
    Failed(EngineError),
}

impl From<EngineError> for Halt {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

/// What is done at a time: some of a part's profiles.
struct Work<'a, O> {
    part: &'a Part<'a, O>,
    inputs: &'a [InputFile<O>],
    order: Order,
    share: Share,
}

impl<O: ReadObjects + WriteObjects> Work<'_, O> {
    async fn export<F: Fn(&BatchId, usize) -> Location + Send + Sync>(
        &self,
        batches: &mut Batches<'_, O, F>,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<bool, Halt> {
        let mut kept = Kept::default();
        let index = Index::read(self, &mut kept, tally).await?;
        let verdict = Verdict::read(self, &index, &mut kept, tally).await?;
        // Nothing was written so far; from here on nothing outgrows the memory.
        tally.counts.empty_profiles += verdict.empty_left_out;
        let settled = Settled::of(self.part, self.inputs)?;
        let rounds = round::plan(self.part, self.inputs, &index, &verdict)?;
        let count = rounds.len() as u64;
        for (done, profiles) in (0..).zip(rounds) {
            let round = Round::new(self.part, self.inputs, &index, &verdict, &settled, profiles);
            round.export(&mut kept, batches, tally).await?;
            self.report(tally, JUDGED + (1_000 - JUDGED) * (done + 1) / count)?;
        }
        Ok(index.are_distinct)
    }

    /// The leaves of a file that the second pass reads: of rows that stand alone, and of those that are merged, too.
    fn read_again(&self, source: usize, input: &InputFile<O>) -> Result<[BTreeSet<usize>; 2], EngineError> {
        let alone = LoneRows::bind(self.part, source, input)?.leaves();
        let mut all = alone.clone();
        all.extend(self.part.layout.fragments.bind(source, input)?.leaves);
        Ok([alone, all])
    }

    /// Gives up if the first pass, which knows so many profiles, holds too many bytes. A single profile is held whatever
    /// it takes, as is what no halving makes smaller. What is kept has the room that is left.
    fn admit(&self, bytes: u64, profiles: usize, kept: &mut Kept) -> Result<(), Halt> {
        let fits = bytes <= self.part.task.settings.index_bytes;
        kept.fit(self.part.task.settings.index_bytes.saturating_sub(bytes));
        if fits || profiles < 2 || self.share.is_least() { Ok(()) } else { Err(Halt::TooMuch) }
    }

    /// Tells that so many thousandths of this share are done.
    fn report(&self, tally: &mut Tally<impl FnMut(Progress) -> Step + Send>, done: u64) -> Result<(), EngineError> {
        tally.report(self.share.thousandths(done))
    }
}

/// Adds one more, with room made in steps that leave little of it unused.
fn push<T>(items: &mut Vec<T>, item: T) {
    if items.len() == items.capacity() {
        items.reserve_exact((items.len() / 4).max(64));
    }
    items.push(item);
}

/// The bytes that a list holds, with its room.
fn bytes_of<T>(items: &Vec<T>) -> u64 {
    (items.capacity() * size_of::<T>()) as u64
}
