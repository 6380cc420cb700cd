//! Dictionary ids that stay packed: few of a page are asked for.

use super::Damaged;
use super::hybrid::{Piece, pieces, value_at};
use bytes::Bytes;
use std::ops::Range;

/// Of ids that stand in smaller pieces than this on average, the pieces would take more than they do unpacked.
const LEAST_STRETCH: usize = 16;

/// Ids as a page stores them.
#[derive(Clone, Debug)]
pub(crate) struct PackedIds {
    bytes: Bytes,
    /// Bits that an id takes.
    width: u8,
    count: usize,
    /// The last entry of the dictionary.
    last: u32,
    /// Of each stretch the number of its first id, and what it is.
    stretches: Vec<(u32, Piece)>,
}

impl PackedIds {
    /// So many ids, of that width, of entries up to the last one; `None` where they are better unpacked.
    pub(super) fn new(bytes: Bytes, width: u8, count: usize, last: u32) -> Result<Option<Self>, Damaged> {
        let (mut stretches, mut first) = (Vec::new(), 0);
        for piece in pieces(&bytes, width, count) {
            let (piece, values) = piece?;
            if values == 0 {
                continue;
            }
            if stretches.len() > count / LEAST_STRETCH {
                return Ok(None);
            }
            stretches.push((first, piece));
            first += values as u32;
        }
        Ok(Some(Self { bytes, width, count, last, stretches }))
    }

    /// An id; `None`: there is none, or it is no entry's.
    pub(crate) fn get(&self, at: usize) -> Option<u32> {
        let stretch = self.stretches.partition_point(|(first, _)| *first as usize <= at).checked_sub(1)?;
        let (first, piece) = self.stretches.get(stretch).filter(|_| at < self.count)?;
        let id = match piece {
            Piece::Same(value) => *value as u32,
            Piece::Packed(start) => value_at(&self.bytes[*start..], self.width, at - *first as usize) as u32,
        };
        (id <= self.last).then_some(id)
    }

    /// Adds some of them.
    pub(crate) fn unpack(&self, range: Range<usize>, out: &mut Vec<u32>) -> Result<(), Damaged> {
        for at in range {
            out.push(self.get(at).ok_or(Damaged)?);
        }
        Ok(())
    }

    /// Bytes that they take in memory.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + self.stretches.capacity() * size_of::<(u32, Piece)>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::leaf::hybrid::{decode, encode};
    use proptest::prelude::*;

    /// A width, and ids of it in runs and out of them.
    fn ids() -> impl Strategy<Value = (u8, Vec<u32>)> {
        (0u8..=32).prop_flat_map(|width| {
            let id = (0..1u64 << width).prop_map(|id| id as u32);
            let run = (id, prop_oneof![3 => 1..4usize, 1 => 5..40usize]);
            let runs = prop::collection::vec(run, 0..40);
            runs.prop_map(move |runs| (width, runs.into_iter().flat_map(|(id, n)| vec![id; n]).collect()))
        })
    }

    proptest! {
        #[test]
        fn ids_are_those_that_were_encoded((width, ids) in ids(), last: u32) {
            let mut bytes = Vec::new();
            encode(&ids, width, &mut bytes);
            let stretches = pieces(&bytes, width, ids.len()).count();
            let packed = PackedIds::new(bytes.into(), width, ids.len(), last).unwrap();
            prop_assert_eq!(packed.is_none(), stretches > ids.len() / LEAST_STRETCH + 1);
            let Some(packed) = packed else { return Ok(()) };
            for (at, id) in ids.iter().enumerate() {
                prop_assert_eq!(packed.get(at), Some(*id).filter(|id| *id <= last));
            }
            prop_assert_eq!(packed.get(ids.len()), None);
        }

        #[test]
        fn any_bytes_are_the_ids_that_they_unpack_to_or_damaged(bytes: Vec<u8>, width in 0u8..40, count in 0usize..200) {
            let unpacked = decode::<u32>(&bytes, width, count);
            let is_damaged = unpacked.is_err();
            let packed = PackedIds::new(bytes.into(), width, count, u32::MAX);
            // Of what is better unpacked not all is read.
            if !matches!(packed, Ok(None)) {
                prop_assert_eq!(packed.is_err(), is_damaged);
            }
            for (packed, at) in packed.iter().flatten().flat_map(|packed| (0..count).map(move |at| (packed, at))) {
                prop_assert_eq!(packed.get(at).ok_or(Damaged), unpacked.as_ref().map(|ids| ids[at]).map_err(|_| Damaged));
            }
        }

        #[test]
        fn empty_pieces_take_nothing(count in 1usize..1_000, width in 1u8..=8) {
            // Packed stretches of no groups, then one run.
            let bytes = [vec![1; count], vec![2, 0]].concat();
            let packed = PackedIds::new(bytes.into(), width, 1, 0).unwrap().unwrap();
            prop_assert_eq!((packed.stretches.len(), packed.get(0), packed.get(1)), (1, Some(0), None));
        }
    }
}
