//! Which profiles are exported, and into which batches: judged on the merged profile.

use super::index::{Fact, Index, NOBODY};
use super::rank::{NO_TIME, Rank};
use crate::batches::Targets;
use crate::part::Part;
use domain::ports::objects::ReadObjects;
use std::cmp::Reverse;
use std::ops::Range;

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
    /// Judges all profiles of a part.
    pub(super) fn new<O: ReadObjects>(part: &Part<'_, O>, index: &Index) -> Self {
        let filter = &part.task.plan.filter;
        let (fragments, events, updated) = count(part, index);
        let late = |profile: usize| filter.updated_after.is_none_or(|after| updated[profile] > after.0);
        let mut targets = Targets::none(part.task.plan.segment_per_batch);
        let mut exported = vec![false; index.profiles];
        let mut empty_left_out = 0;
        if part.wanted.is_some() {
            let facts = facts_by_profile(index);
            let mut at = 0;
            for (profile, exported) in exported.iter_mut().enumerate() {
                let start = at;
                while facts.get(at).is_some_and(|(of, _)| *of as usize == profile) {
                    at += 1;
                }
                let mut entries = matched(part, index, &facts, start..at);
                if !late(profile) {
                    entries.clear();
                }
                *exported = !entries.is_empty();
                targets.push(&entries);
            }
        } else {
            for (profile, exported) in exported.iter_mut().enumerate() {
                let empty = fragments[profile] == 0;
                *exported = late(profile) && (!empty || filter.empty_profiles);
                // A number whose rows all went to other identities, or were never counted, is no profile.
                *exported &= fragments[profile] + events[profile] > 0;
                empty_left_out += u64::from(late(profile) && empty && events[profile] > 0 && !filter.empty_profiles);
            }
        }
        Self { exported, targets, fragments, events, empty_left_out }
    }

    /// Whether a profile has events and no fragment.
    pub(super) fn is_empty(&self, profile: usize) -> bool {
        self.fragments[profile] == 0
    }
}

/// For each profile: its fragments, its events, and the latest time that tells of an update.
fn count<O: ReadObjects>(part: &Part<'_, O>, index: &Index) -> (Vec<u32>, Vec<u32>, Vec<i64>) {
    let mut fragments = vec![0; index.profiles];
    let mut events = vec![0; index.profiles];
    let mut updated = vec![(false, NO_TIME); index.profiles];
    for (file, rows) in part.task.part.files.iter().zip(&index.files) {
        let is_fragment = !part.sources[file.source].holds_events();
        let counted = if is_fragment { &mut fragments } else { &mut events };
        for (profile, time) in rows.profile.iter().zip(&rows.ingest_time).filter(|(p, _)| **p != NOBODY) {
            counted[*profile as usize] += 1;
            // Events tell only of profiles that have nothing else.
            let latest = &mut updated[*profile as usize];
            *latest = (*latest).max((is_fragment, *time));
        }
    }
    (fragments, events, updated.into_iter().map(|(_, time)| time).collect())
}

/// The facts with their profiles, together by profile and slot.
fn facts_by_profile(index: &Index) -> Vec<(u32, &Fact)> {
    let profile = |fact: &Fact| index.files[fact.file as usize].profile[fact.row as usize];
    let mut facts: Vec<_> = index.facts.iter().map(|fact| (profile(fact), fact)).collect();
    facts.sort_by_key(|(profile, fact)| (*profile, fact.slot));
    facts
}

/// The entries that one profile matches, in order. Of the facts of one slot the best one counts, as maps are united.
fn matched<O: ReadObjects>(
    part: &Part<'_, O>,
    index: &Index,
    facts: &[(u32, &Fact)],
    of_profile: Range<usize>,
) -> Vec<u16> {
    let Some(wanted) = part.wanted else { return Vec::new() };
    let merge = &part.task.plan.merge_policy.attribute_merge;
    let rank = |fact: &Fact| {
        let (file, row) = (fact.file as usize, fact.row as usize);
        let sequence = (u64::from(fact.file) << 32) | u64::from(fact.row);
        Rank::new(merge, part.task.part.files[file].source, index.files[file].ingest_time[row], sequence)
    };
    let mut entries = Vec::new();
    for slot in facts[of_profile].chunk_by(|(_, a), (_, b)| a.slot == b.slot) {
        let best = slot.iter().map(|(_, f)| *f).max_by_key(|f| (f.present, f.time, Reverse(rank(f))));
        if let Some(best) = best {
            entries.extend(wanted.matched(&index.slots[best.slot as usize], best.status, best.time));
        }
    }
    entries.sort_unstable();
    entries.dedup();
    entries
}
