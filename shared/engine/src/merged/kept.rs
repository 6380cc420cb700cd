//! Leaf columns that the first pass has unpacked and the second one would unpack again.

use crate::row_group::KeptLeaves;
use std::collections::HashMap;

/// Leaves of row groups, as far as there is room for them.
#[derive(Default)]
pub(super) struct Kept {
    /// By file and number of the row group.
    groups: HashMap<(usize, usize), KeptLeaves>,
    bytes: u64,
}

impl Kept {
    /// Keeps leaves of a row group.
    pub(super) fn put(&mut self, at: (usize, usize), leaves: KeptLeaves) {
        self.bytes += leaves.values().map(|leaf| leaf.kept_bytes() as u64).sum::<u64>();
        self.groups.entry(at).or_default().extend(leaves);
    }

    /// Gives everything up if it takes more than so many bytes: it can be read again.
    pub(super) fn fit(&mut self, bytes: u64) {
        if self.bytes > bytes {
            *self = Self::default();
        }
    }

    /// What was kept of a row group.
    pub(super) fn take(&mut self, at: (usize, usize)) -> KeptLeaves {
        self.groups.remove(&at).unwrap_or_default()
    }
}
