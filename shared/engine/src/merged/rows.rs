//! The rows of a part that the first pass has found to be meant.

use super::{bytes_of, push};
use crate::input::InputFile;
use domain::ports::objects::ReadObjects;
use std::ops::Range;

/// The rows of a part that are meant: not deleted, of profiles that are done now, and that may be exported. In order of
/// file and position.
#[derive(Default)]
pub(super) struct Rows {
    /// The position of each in its file.
    pub(super) position: Vec<u32>,
    /// The profile of each.
    pub(super) profile: Vec<u32>,
    /// When each was ingested, in microseconds; [`NO_TIME`](super::rank::NO_TIME) where that is not known, or nothing asks for it.
    pub(super) ingest_time: Vec<i64>,
    /// Where the rows of each file end.
    ends: Vec<usize>,
}

impl Rows {
    /// The rows of a file.
    pub(super) fn of_file(&self, file: usize) -> Range<usize> {
        file.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[file]
    }

    /// The file of a row.
    pub(super) fn file_of(&self, row: usize) -> usize {
        self.ends.partition_point(|end| *end <= row)
    }

    /// The rows of a row group.
    pub(super) fn of_group<O: ReadObjects>(&self, file: usize, input: &InputFile<O>, group: usize) -> Range<usize> {
        let of_file = self.of_file(file);
        let positions = &self.position[of_file.clone()];
        let before = |end: u64| of_file.start + positions.partition_point(|at| u64::from(*at) < end);
        let first = input.first_row(group);
        before(first)..before(first + input.rows(group))
    }

    /// Rows of a row group by their numbers in it.
    pub(super) fn numbers<O: ReadObjects>(&self, input: &InputFile<O>, group: usize, rows: &[u32]) -> Vec<u32> {
        let first = input.first_row(group);
        rows.iter().map(|row| self.number(first, *row as usize) as u32).collect()
    }

    /// The number of a row in its row group, which begins with that row of the file.
    pub(super) fn number(&self, first: u64, row: usize) -> usize {
        (u64::from(self.position[row]) - first) as usize
    }

    /// The bytes that it holds.
    pub(super) fn bytes(&self) -> u64 {
        bytes_of(&self.position) + bytes_of(&self.profile) + bytes_of(&self.ingest_time) + bytes_of(&self.ends)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.position.len()
    }

    /// Adds a row, but for its profile.
    pub(super) fn push(&mut self, position: u32, ingest_time: i64) {
        push(&mut self.position, position);
        push(&mut self.ingest_time, ingest_time);
    }

    /// Ends a file.
    pub(super) fn end_file(&mut self) {
        self.ends.push(self.position.len());
    }

    /// Takes the rows from that one on back.
    pub(super) fn truncate(&mut self, count: usize) {
        self.position.truncate(count);
        self.profile.truncate(count);
        self.ingest_time.truncate(count);
    }

    /// Keeps the rows of which the profile is known, and no more room than they take.
    pub(super) fn keep(&mut self, profile: impl Fn(usize) -> Option<u32>) {
        let (mut kept, mut from) = (0, 0);
        for end in &mut self.ends {
            for row in from..*end {
                if let Some(profile) = profile(row) {
                    push(&mut self.profile, profile);
                    (self.position[kept], self.ingest_time[kept]) = (self.position[row], self.ingest_time[row]);
                    kept += 1;
                }
            }
            (from, *end) = (*end, kept);
        }
        self.position.truncate(kept);
        self.ingest_time.truncate(kept);
        self.position.shrink_to_fit();
        self.ingest_time.shrink_to_fit();
    }
}
