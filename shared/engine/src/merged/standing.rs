//! Without an identity graph every identity stands alone: rows of one profile id with different primary identities are
//! different profiles.

use super::kept::Kept;
use super::numbers::Numbers;
use super::rows::Rows;
use super::{Halt, Work, bytes_of, push};
use crate::gathered::Gathering;
use crate::hashes::Hashes;
use crate::identities::BoundPrimary;
use crate::part::{Progress, Step, Tally};
use arrow_array::StructArray;
use domain::ports::objects::{ReadObjects, WriteObjects};
use futures::StreamExt;

/// The profiles that rows of one id fall into by their primary identities. Only rows that share their id with others are
/// looked at.
pub(super) struct Standing {
    hashes: Hashes,
    /// What is known of each id's rows.
    ids: Vec<Sharing>,
    /// Numbers of pairs of id and identity.
    known: Numbers,
    /// The profile of each such pair.
    profiles: Vec<u32>,
    /// How many profiles there are.
    count: u32,
}

/// How the rows of one id share it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sharing {
    /// There is none yet.
    Nobody,
    /// There is only one.
    Alone,
    /// There are several.
    Several,
    /// There are several, and one of their identities has taken the id's number.
    Taken,
}

impl Standing {
    /// Looks which of so many ids are shared.
    pub(super) fn new(rows: &Rows, ids: usize) -> Self {
        let mut sharing = vec![Sharing::Nobody; ids];
        for id in &rows.profile {
            let sharing = &mut sharing[*id as usize];
            *sharing = if *sharing == Sharing::Nobody { Sharing::Alone } else { Sharing::Several };
        }
        let hashes = Hashes::new();
        Self { hashes, ids: sharing, known: Numbers::with_room(0), profiles: Vec::new(), count: ids as u32 }
    }

    /// Gives rows of one id and several identities several profiles; tells how many profiles there are then.
    pub(super) async fn tell_apart<O: ReadObjects + WriteObjects>(
        mut self,
        work: &Work<'_, O>,
        rows: &mut Rows,
        kept: &mut Kept,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<usize, Halt> {
        for (at, (input, file)) in work.inputs.iter().zip(&work.part.task.part.files).enumerate() {
            let column = work.part.sources[file.source].identity_map.as_ref();
            let primary = BoundPrimary::bind(column, &input.columns).map_err(|what| input.error(what))?;
            for &group in &input.groups {
                let shares = |row: &u32| self.ids[rows.profile[*row as usize] as usize] > Sharing::Alone;
                let of_group = rows.of_group(at, input, group);
                let sharing: Vec<u32> = (of_group.start as u32..of_group.end as u32).filter(shares).collect();
                let mut unread = sharing.iter().map(|row| *row as usize);
                let Some(primary) = primary.as_ref().filter(|_| !sharing.is_empty()) else {
                    unread.for_each(|row| rows.profile[row] = self.profile(rows.profile[row], None));
                    work.admit(rows.bytes() + self.bytes(), self.ids.len(), kept)?;
                    continue;
                };
                let numbers = rows.numbers(input, group, &sharing);
                let row_batch = work.part.task.settings.row_batch;
                let mut stream = input.read_rows(group, Gathering::new(&primary.leaves, numbers), row_batch).await?;
                while let Some(batch) = stream.next().await {
                    let tell = |_: usize, identity: Option<(&str, &str)>| {
                        if let Some(row) = unread.next() {
                            rows.profile[row] = self.profile(rows.profile[row], identity);
                        }
                    };
                    primary.each(&StructArray::from(batch?), tell).map_err(|_| input.unfit())?;
                    work.admit(rows.bytes() + self.bytes(), self.ids.len(), kept)?;
                    tally.report(0)?;
                }
                if unread.next().is_some() {
                    return Err(input.lacks_rows().into());
                }
            }
        }
        Ok(self.count as usize)
    }

    /// The profile of an identity under an id: the first one of an id keeps its number.
    fn profile(&mut self, id: u32, identity: Option<(&str, &str)>) -> u32 {
        let number = self.known.of(self.hashes.of(&(id, identity))) as usize;
        if number == self.profiles.len() {
            let sharing = &mut self.ids[id as usize];
            let profile = if *sharing == Sharing::Taken { self.count } else { id };
            self.count += u32::from(*sharing == Sharing::Taken);
            *sharing = Sharing::Taken;
            push(&mut self.profiles, profile);
        }
        self.profiles[number]
    }

    fn bytes(&self) -> u64 {
        bytes_of(&self.ids) + self.known.bytes() + bytes_of(&self.profiles)
    }
}
