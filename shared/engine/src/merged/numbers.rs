//! Numbers for things that are known by their hashes.

use super::{bytes_of, push};
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Numbers hashes in order of appearance, from 0. Takes 16 bytes for each hash and 6 to 12 for finding it.
pub(super) struct Numbers {
    found: HashTable<u32>,
    hashes: Vec<u128>,
}

impl Numbers {
    /// Room for finding about so many hashes.
    pub(super) fn with_room(count: usize) -> Self {
        Self { found: HashTable::with_capacity(count), hashes: Vec::new() }
    }

    /// The number of a hash.
    pub(super) fn of(&mut self, hash: u128) -> u32 {
        let hashes = &self.hashes;
        let is_it = |number: &u32| hashes[*number as usize] == hash;
        match self.found.entry(hash as u64, is_it, |number| hashes[*number as usize] as u64) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let number = hashes.len() as u32;
                new.insert(number);
                push(&mut self.hashes, hash);
                number
            }
        }
    }

    /// The number of a hash, if it has one.
    pub(super) fn known(&self, hash: u128) -> Option<u32> {
        self.found.find(hash as u64, |number| self.hashes[*number as usize] == hash).copied()
    }

    /// How many hashes have numbers.
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The bytes that it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.found.allocation_size() as u64 + bytes_of(&self.hashes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashes::Hashes;

    #[test]
    fn equal_values_have_one_number_and_numbers_are_given_in_order() {
        let (hashes, mut numbers) = (Hashes::new(), Numbers::with_room(0));
        let given = ["a", "b", "a", "c", "b"].map(|id| numbers.of(hashes.of(id)));
        assert_eq!((given, numbers.len()), ([0, 1, 0, 2, 1], 3));
    }

    #[test]
    fn a_number_takes_at_most_33_bytes() {
        let (hashes, mut numbers) = (Hashes::new(), Numbers::with_room(0));
        for n in 0..200_000u64 {
            numbers.of(hashes.of(&n));
            let (least, most) = (n * 21, (n + 1) * 33 + (16 << 10));
            assert!((least..=most).contains(&numbers.bytes()), "{} bytes for {n}", numbers.bytes());
        }
    }
}
