//! Which profiles are members of the wanted segments: judged on the merged profile.

use super::index::{Index, NO_ROW};
use super::kept::Kept;
use super::mentions::Mentioned;
use super::rank::{NO_TIME, Rank};
use super::{Halt, JUDGED, NUMBERED, Work, bytes_of, push};
use crate::batches::Targets;
use crate::membership::{Asked, Found, Statuses, Wanted};
use crate::part::{Progress, Step, Tally};
use crate::row_group::RowGroup;
use domain::instant::Micros;
use domain::ports::objects::{ReadObjects, WriteObjects};
use std::cmp::Reverse;
use std::collections::HashMap;

/// What is known of memberships.
pub(super) struct Members<'a> {
    wanted: &'a Wanted,
    index: &'a Index,
    /// The rows of each profile that may be members.
    fragments: &'a [u32],
    /// Whether each profile is a member of anything wanted.
    pub(super) members: Vec<bool>,
    /// The batches of members, where there are several: profile and entry.
    matches: Option<Vec<(u32, u16)>>,
    /// Memberships of profiles of several rows.
    facts: Vec<Fact>,
    slots: Slots,
}

/// A stored membership in a wanted segment.
struct Fact {
    /// When it was qualified last; [`NO_TIME`] where that is not known.
    time: i64,
    profile: u32,
    row: u32,
    /// Namespace and segment as they are stored.
    slot: u32,
    status: Statuses,
    /// Whether anything is stored under the segment.
    present: bool,
}

impl<'a> Members<'a> {
    /// Reads the memberships of those profiles that are asked for.
    pub(super) async fn read<O: ReadObjects + WriteObjects>(
        work: &Work<'_, O>,
        wanted: &'a Wanted,
        index: &'a Index,
        (fragments, asked_for): (&'a [u32], impl Fn(u32) -> bool + Send + Sync),
        kept: &mut Kept,
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<Self, Halt> {
        let matches = work.part.task.plan.segment_per_batch.then(Vec::new);
        let (members, facts, slots) = (vec![false; index.profiles], Vec::new(), Slots::default());
        let mut found = Self { wanted, index, fragments, members, matches, facts, slots };
        for (at, input) in work.inputs.iter().enumerate() {
            let source = work.part.task.part.files[at].source;
            let Some(column) = &work.part.sources[source].memberships else { continue };
            let Some(bound) = column.bind(wanted, input, true)? else { continue };
            let [moved, merged] = work.read_again(source, input)?;
            for &group in &input.groups {
                if let Mentioned::None = Mentioned::of(index.mentions.as_ref(), at, group) {
                    continue;
                }
                let of_group = index.rows.of_group(at, input, group);
                let is_meant = |row: &u32| asked_for(index.rows.profile[*row as usize]);
                let meant: Vec<u32> = (of_group.start as u32..of_group.end as u32).filter(is_meant).collect();
                if meant.is_empty() {
                    continue;
                }
                let rows = found.spread(&meant, input.first_row(group), input.rows(group));
                let row = |m: &Found| rows.get(m.row as usize).copied().filter(|row| *row != NO_ROW);
                let shares = |row: u32| fragments[index.rows.profile[row as usize] as usize] > 1;
                let again = if meant.iter().any(|row| shares(*row)) { &merged } else { &moved };
                let mut of_group = RowGroup::new(input, group, again);
                let mut finder = bound.finder(&mut of_group, kept.take_places((at, group))).await?;
                // The time of a profile's one membership matters where a window is asked for.
                let is_timed = |row: u32| wanted.is_windowed() || shares(row);
                while let Some(stored) = finder.next(&mut of_group, |_, m| row(m).is_some_and(is_timed)).await? {
                    for m in &stored.found {
                        if let (Some(row), asked @ [_, ..]) = (row(m), stored.asked(wanted, m)) {
                            found.add(row, m, stored.namespace(m), asked);
                        }
                    }
                    work.admit(index.rows.bytes() + found.bytes(), index.ids, kept)?;
                    tally.report(0)?;
                }
                finder.finish(&mut of_group)?;
                if let Some(leaf) = bound.time_leaf().filter(|_| !wanted.is_windowed()) {
                    // Not every member's time was asked for.
                    of_group.keep_if_whole(leaf);
                }
                kept.put((at, group), of_group.into_kept());
                work.admit(index.rows.bytes() + found.bytes(), index.ids, kept)?;
            }
            let done = (JUDGED - NUMBERED) * (at as u64 + 1) / work.inputs.len() as u64;
            work.report(tally, NUMBERED + done)?;
        }
        Ok(found)
    }

    /// The meant ones of all rows of a row group; [`NO_ROW`] stands for the others.
    fn spread(&self, meant: &[u32], first: u64, count: u64) -> Vec<u32> {
        let mut rows = vec![NO_ROW; count as usize];
        for row in meant {
            rows[self.index.rows.number(first, *row as usize)] = *row;
        }
        rows
    }

    /// Takes a membership in. Those of a profile's one row say what they say; others are held against each other later.
    fn add(&mut self, row: u32, m: &Found, namespace: &str, asked: &[Asked]) {
        let profile = self.index.rows.profile[row as usize];
        if self.fragments[profile as usize] == 1 {
            return self.hit(profile, asked, m.status, m.time);
        }
        let time = m.time.map_or(NO_TIME, |time| time.0);
        let slot = self.slots.of(namespace, m.segment, asked);
        push(&mut self.facts, Fact { time, profile, row, slot, status: m.status, present: m.present });
    }

    fn hit(&mut self, profile: u32, asked: &[Asked], status: Statuses, time: Option<Micros>) {
        for entry in self.wanted.matched(asked, status, time) {
            self.members[profile as usize] = true;
            if let Some(matches) = &mut self.matches {
                push(matches, (profile, entry));
            }
        }
    }

    /// Settles what profiles of several rows are members of: of the facts of one slot the best one counts, as maps are
    /// united.
    pub(super) fn settle<O: ReadObjects>(&mut self, work: &Work<'_, O>) {
        let merge = &work.part.task.plan.merge_policy.attribute_merge;
        let rows = &self.index.rows;
        let rank = |fact: &Fact| {
            let source = work.part.task.part.files[rows.file_of(fact.row as usize)].source;
            Rank::new(merge, source, rows.ingest_time[fact.row as usize], fact.row.into())
        };
        let mut facts = std::mem::take(&mut self.facts);
        facts.sort_unstable_by_key(|fact| (fact.profile, fact.slot, fact.row));
        let slots = std::mem::take(&mut self.slots).asked;
        for slot in facts.chunk_by(|a, b| (a.profile, a.slot) == (b.profile, b.slot)) {
            if let Some(best) = slot.iter().max_by_key(|fact| (fact.present, fact.time, Reverse(rank(fact)))) {
                let time = Some(best.time).filter(|time| *time != NO_TIME).map(Micros);
                self.hit(best.profile, &slots[best.slot as usize], best.status, time);
            }
        }
    }

    /// Where the members go.
    pub(super) fn targets(&mut self) -> Targets {
        let Some(mut matches) = self.matches.take() else { return Targets::TheOne };
        matches.sort_unstable();
        matches.dedup();
        let ends = (0..self.members.len() as u32).scan(0, |end, profile| {
            *end += matches[*end..].iter().take_while(|(of, _)| *of == profile).count();
            Some(*end as u32)
        });
        Targets::Several { ends: ends.collect(), batches: matches.iter().map(|(_, entry)| *entry).collect() }
    }

    /// The bytes that it holds, and will when memberships have become matches.
    fn bytes(&self) -> u64 {
        let per_match = 10 * u64::from(self.matches.is_some());
        let matches = self.matches.as_ref().map_or(0, |m| bytes_of(m) + 2 * m.len() as u64);
        let profiles = self.members.len() as u64 * PROFILE_BYTES;
        profiles + matches + bytes_of(&self.facts) + self.facts.len() as u64 * per_match + self.slots.bytes
    }
}

/// What is decided about one profile takes so many bytes.
const PROFILE_BYTES: u64 = 24;

/// Numbers of wanted segments under the namespaces as they are stored, which may differ in case.
#[derive(Default)]
struct Slots {
    known: HashMap<String, HashMap<u32, u32>>,
    asked: Vec<Vec<Asked>>,
    bytes: u64,
}

impl Slots {
    fn of(&mut self, namespace: &str, segment: u32, asked: &[Asked]) -> u32 {
        let known = self.known.get(namespace).and_then(|segments| segments.get(&segment));
        known.copied().unwrap_or_else(|| {
            let slot = self.asked.len() as u32;
            self.asked.push(asked.to_vec());
            self.bytes += (namespace.len() + size_of_val(asked)) as u64 + SLOT_BYTES;
            self.known.entry(namespace.to_owned()).or_default().insert(segment, slot);
            slot
        })
    }
}

/// What a slot takes besides its names: its places in maps and lists.
const SLOT_BYTES: u64 = 256;
