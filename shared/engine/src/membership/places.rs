//! Where the wanted segments of a row group stand.

use super::Wanted;
use crate::leaf::{Damaged, Ids, LeafChunk, LeafPage, Small, Values, count_of};

/// Ids that are looked at together.
const STRETCH: usize = 32;

/// Places that are told at a time, or those of one row where it has more. Tests have few rows, and many times.
const PLACES: usize = if cfg!(test) { 3 } else { 1 << 18 };

/// Where a membership stands: its row, its level within the row, and which of the row's namespaces it is under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The row, by position in the row group.
    pub(crate) row: u32,
    /// The level, by position among those of the row.
    pub(crate) level: u32,
    /// The namespace, by position among those of the row.
    pub(crate) namespace: u32,
    /// The number of the segment.
    pub(crate) segment: u32,
}

/// Finds the places of all wanted segments, whatever the namespace.
pub(crate) struct Places<'w> {
    chunk: LeafChunk,
    wanted: &'w Wanted,
    /// The segments of the dictionary's entries.
    segments: Vec<Option<u32>>,
    /// The dictionary's id of the one segment of it that is wanted, where there is one.
    only: Option<u32>,
    is_done: bool,
    /// The row that is open: its number, and its levels and namespaces so far.
    row: Option<u32>,
    levels: u32,
    namespaces: u32,
    /// Places that are found and not told.
    found: Vec<Place>,
}

impl<'w> Places<'w> {
    /// The places in a chunk of segment ids.
    pub(super) fn new(mut chunk: LeafChunk, wanted: &'w Wanted) -> Result<Self, Damaged> {
        let entries = chunk.read_dictionary()?;
        let segments: Vec<Option<u32>> =
            entries.map_or_else(Vec::new, |entries| entries.iter().map(|entry| wanted.segment(entry)).collect());
        let is_done = !segments.is_empty() && chunk.is_all_ids() && segments.iter().all(Option::is_none);
        let mut ids = (0..).zip(&segments).filter(|(_, segment)| segment.is_some()).map(|(id, _)| id);
        let only = ids.next().filter(|_| ids.next().is_none());
        let (row, levels, namespaces, found) = (None, 0, 0, Vec::new());
        Ok(Self { chunk, wanted, segments, only, is_done, row, levels, namespaces, found })
    }

    /// The places of the next rows that have any, all of each; none at the end.
    pub(crate) fn next(&mut self) -> Result<Vec<Place>, Damaged> {
        while !self.is_done {
            let whole = self.found.partition_point(|place| Some(place.row) < self.row);
            if whole >= PLACES {
                let rest = self.found.split_off(whole);
                return Ok(std::mem::replace(&mut self.found, rest));
            }
            match self.chunk.next(|_| true)? {
                Some((_, page)) => self.read(&page)?,
                None => self.is_done = true,
            }
        }
        Ok(std::mem::take(&mut self.found))
    }

    /// The chunk, after all places were told.
    pub(crate) fn into_chunk(self) -> LeafChunk {
        self.chunk
    }

    fn read(&mut self, page: &LeafPage) -> Result<(), Damaged> {
        let mut hits: Vec<(usize, u32)> = Vec::new();
        match &page.values {
            Values::Ids(Ids::Small(ids)) => self.hits(ids, &mut hits),
            Values::Ids(Ids::Large(ids)) => self.hits(ids, &mut hits),
            Values::Ids(Ids::Packed(ids)) => {
                let mut all = Vec::new();
                ids.unpack(0..page.count, &mut all)?;
                self.hits(&all, &mut hits);
            }
            Values::Plain(bytes) => {
                let mut at = 0;
                LeafPage::each_text(bytes, page.count, |text| {
                    hits.extend(self.wanted.segment(text).map(|segment| (at, segment)));
                    at += 1;
                })?;
            }
            Values::Bits(_) => return Err(Damaged),
        }
        let max_def = self.chunk.form().max_def;
        let reps = page.repetitions();
        let (mut level, mut value) = (0, 0);
        for (hit, segment) in hits {
            let mut at = if page.defs.is_empty() { hit } else { level };
            for stretch in page.defs.get(at..).unwrap_or_default().chunks(STRETCH) {
                let values = count_of(stretch, max_def);
                if value + values > hit {
                    break;
                }
                (at, value) = (at + stretch.len(), value + values);
            }
            while !page.defs.is_empty() && at < page.levels && (value < hit || page.defs[at] != max_def) {
                value += usize::from(page.defs[at] == max_def);
                at += 1;
            }
            self.pass(reps.get(level..=at).ok_or(Damaged)?);
            (level, value) = (at + 1, hit + 1);
            let row = self.row.ok_or(Damaged)?;
            self.found.push(Place { row, level: self.levels - 1, namespace: self.namespaces - 1, segment });
        }
        self.pass(reps.get(level..).ok_or(Damaged)?);
        Ok(())
    }

    /// Where wanted segments stand among ids. Stretches without any are passed over at once where one segment is wanted, as a
    /// processor compares many bytes at a time.
    fn hits<T: Small>(&self, ids: &[T], hits: &mut Vec<(usize, u32)>) {
        let segment = |(at, id): (usize, &T)| Some((at, (*self.segments.get(id.bits() as usize)?)?));
        let Some(only) = self.only.map(|id| T::of(id.into())) else {
            return hits.extend(ids.iter().enumerate().filter_map(segment));
        };
        for (first, stretch) in (0..).step_by(STRETCH).zip(ids.chunks(STRETCH)) {
            if stretch.iter().fold(false, |any, id| any | (*id == only)) {
                hits.extend((first..).zip(stretch).filter_map(segment));
            }
        }
    }

    /// Goes over levels of a map of maps.
    fn pass(&mut self, reps: &[u8]) {
        let mut of_last_row = reps;
        if let Some(start) = reps.iter().rposition(|rep| *rep == 0) {
            let rows = count_of(reps, 0) as u32;
            self.row = Some(self.row.map_or(rows - 1, |row| row + rows));
            (self.levels, self.namespaces) = (0, 0);
            of_last_row = &reps[start..];
        }
        self.levels += of_last_row.len() as u32;
        self.namespaces += of_last_row.iter().map(|rep| u32::from(*rep <= 1)).sum::<u32>();
    }
}
