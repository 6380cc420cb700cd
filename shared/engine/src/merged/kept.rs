//! What the first pass has read and would read again, or the second one would.

use crate::membership::Place;
use crate::row_group::KeptLeaves;
use std::collections::HashMap;

/// What was kept of row groups, as far as there is room for it; by file and number of the row group.
#[derive(Default)]
pub(super) struct Kept {
    leaves: HashMap<(usize, usize), KeptLeaves>,
    /// Where wanted segments stand.
    places: HashMap<(usize, usize), Vec<Vec<Place>>>,
    bytes: u64,
    room: u64,
}

impl Kept {
    /// Keeps leaves of a row group.
    pub(super) fn put(&mut self, at: (usize, usize), leaves: KeptLeaves) {
        let of_group = self.leaves.entry(at).or_default();
        for (number, leaf) in leaves {
            self.bytes += leaf.kept_bytes() as u64;
            if let Some(before) = of_group.insert(number, leaf) {
                self.bytes = self.bytes.saturating_sub(before.kept_bytes() as u64);
            }
        }
    }

    /// Keeps where wanted segments stand in a row group.
    pub(super) fn put_places(&mut self, at: (usize, usize), places: Vec<Vec<Place>>) {
        self.bytes += bytes_of_places(&places);
        self.places.insert(at, places);
    }

    /// Whether so many more places can be kept.
    pub(super) fn has_room(&self, places: &[Vec<Place>]) -> bool {
        self.bytes + bytes_of_places(places) <= self.room
    }

    /// Gives everything up if it takes more than so many bytes: it can be read again.
    pub(super) fn fit(&mut self, bytes: u64) {
        if self.bytes > bytes {
            *self = Self::default();
        }
        self.room = bytes;
    }

    /// What was kept of a row group's leaves.
    pub(super) fn take(&mut self, at: (usize, usize)) -> KeptLeaves {
        self.leaves.remove(&at).unwrap_or_default()
    }

    /// Where wanted segments stand in a row group, if that was kept.
    pub(super) fn take_places(&mut self, at: (usize, usize)) -> Option<Vec<Vec<Place>>> {
        let places = self.places.remove(&at)?;
        self.bytes = self.bytes.saturating_sub(bytes_of_places(&places));
        Some(places)
    }
}

fn bytes_of_places(places: &[Vec<Place>]) -> u64 {
    places.iter().map(|some| size_of_val(some.as_slice()) as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(count: u32) -> Vec<Vec<Place>> {
        vec![(0..count).map(|row| Place { row, level: 0, namespace: 0, segment: 0 }).collect()]
    }

    #[test]
    fn places_are_counted_kept_while_there_is_room_and_given_up_together() {
        let mut kept = Kept::default();
        assert!(!kept.has_room(&places(1)), "nobody has told how much there is");
        kept.fit(16 * 100);
        assert!(kept.has_room(&places(100)) && !kept.has_room(&places(101)));
        kept.put_places((0, 0), places(60));
        kept.put_places((0, 1), places(30));
        assert!(kept.has_room(&places(10)) && !kept.has_room(&places(11)));
        assert_eq!(kept.take_places((0, 0)).map(|places| places[0].len()), Some(60));
        assert!(kept.take_places((0, 0)).is_none());
        assert!(kept.has_room(&places(70)) && !kept.has_room(&places(71)));
        kept.fit(16 * 30 - 1);
        assert!(kept.take_places((0, 1)).is_none());
    }
}
