//! Which profiles are exported, and into which batches: judged on the merged profile.

use super::index::Index;
use super::kept::Kept;
use super::members::Members;
use super::rank::NO_TIME;
use super::{Halt, Work};
use crate::batches::Targets;
use crate::part::{Progress, Step, Tally};
use domain::ports::objects::{ReadObjects, WriteObjects};

/// What is decided about every profile.
pub(super) struct Verdict {
    /// Whether it is exported, as far as filters tell.
    pub(super) exported: Vec<bool>,
    /// Where it goes.
    pub(super) targets: Targets,
    /// Its rows in profile datasets.
    pub(super) fragments: Vec<u32>,
    /// Its rows in event datasets.
    pub(super) events: Vec<u32>,
    /// Profiles that are left out for having events and no fragment.
    pub(super) empty_left_out: u64,
}

impl Verdict {
    /// Judges all profiles; keeps what it reads of memberships.
    pub(super) async fn read<O: ReadObjects + WriteObjects>(
        work: &Work<'_, O>,
        index: &Index,
        kept: &mut Kept,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<Self, Halt> {
        let filter = &work.part.task.plan.filter;
        let Counted { fragments, events, updated } = Counted::new(work, index);
        let late = |profile: usize| filter.updated_after.is_none_or(|after| updated[profile] > after.0);
        if let Some(wanted) = work.part.wanted {
            let asked_for = |profile: u32| late(profile as usize);
            let mut members = Members::read(work, wanted, index, (&fragments, asked_for), kept, tally).await?;
            members.settle(work);
            let targets = members.targets();
            return Ok(Self { exported: members.members, targets, fragments, events, empty_left_out: 0 });
        }
        let mut empty_left_out = 0;
        let exported = (0..index.profiles).map(|profile| {
            // A number whose rows all went to other identities is no profile.
            let exists = fragments[profile] + events[profile] > 0;
            let left_out = fragments[profile] == 0 && !filter.empty_profiles;
            empty_left_out += u64::from(late(profile) && exists && left_out);
            late(profile) && exists && !left_out
        });
        let exported = exported.collect();
        let targets = Targets::none(work.part.task.plan.segment_per_batch);
        Ok(Self { exported, targets, fragments, events, empty_left_out })
    }

    /// Whether a profile's one row is all that is exported of it.
    pub(super) fn is_lone(&self, profile: usize, with_events: bool) -> bool {
        self.fragments[profile] == 1 && !(with_events && self.events[profile] > 0)
    }

    /// Whether a profile has events and no fragment.
    pub(super) fn is_empty(&self, profile: usize) -> bool {
        self.fragments[profile] == 0
    }
}

/// What is known of each profile: its rows in profile and in event datasets, and the latest time that tells of an update.
struct Counted {
    fragments: Vec<u32>,
    events: Vec<u32>,
    updated: Vec<i64>,
}

impl Counted {
    fn new<O: ReadObjects>(work: &Work<'_, O>, index: &Index) -> Self {
        let counts = || vec![0; index.profiles];
        let mut counted = Self { fragments: counts(), events: counts(), updated: vec![NO_TIME; index.profiles] };
        let (rows, files) = (&index.rows, &work.part.task.part.files);
        // Events tell only of profiles that have nothing else: what has is known by then.
        for of_events in [false, true] {
            let is_meant = |file: &usize| work.part.sources[files[*file].source].holds_events() == of_events;
            for row in (0..files.len()).filter(is_meant).flat_map(|file| rows.of_file(file)) {
                let profile = rows.profile[row] as usize;
                if !of_events || counted.fragments[profile] == 0 {
                    counted.updated[profile] = counted.updated[profile].max(rows.ingest_time[row]);
                }
                let count = if of_events { &mut counted.events } else { &mut counted.fragments };
                count[profile] += 1;
            }
        }
        counted
    }
}
