//! A row group under way: leaf columns that were read to judge it are not read again to move them.

use crate::error::EngineError;
use crate::gathered::Gathering;
use crate::input::InputFile;
use crate::leaf::LeafChunk;
use domain::ports::objects::ReadObjects;
use std::collections::{BTreeSet, HashMap};

/// Leaves of a row group that were kept.
pub(crate) type KeptLeaves = HashMap<usize, LeafChunk>;

/// A row group of a file.
pub(crate) struct RowGroup<'i, O> {
    /// The file.
    pub(crate) input: &'i InputFile<O>,
    /// Its number in the file.
    pub(crate) number: usize,
    /// The leaves that are worth keeping, as they are read again.
    again: &'i BTreeSet<usize>,
    kept: KeptLeaves,
    /// Other rows, which are taken off the same pages.
    pub(crate) beside: Gathering,
}

impl<'i, O: ReadObjects> RowGroup<'i, O> {
    /// A row group of which these leaves will be read again.
    pub(crate) fn new(input: &'i InputFile<O>, number: usize, again: &'i BTreeSet<usize>) -> Self {
        Self { input, number, again, kept: HashMap::new(), beside: Gathering::default() }
    }

    /// The same with leaves that were kept earlier.
    pub(crate) fn with(self, kept: KeptLeaves) -> Self {
        Self { kept, ..self }
    }

    /// The leaves that were kept.
    pub(crate) fn into_kept(self) -> KeptLeaves {
        self.kept
    }

    /// Leaf columns, page by page.
    pub(crate) async fn chunks(&mut self, leaves: &[usize]) -> Result<Vec<LeafChunk>, EngineError> {
        let mut chunks = self.input.chunks(self.number, leaves).await?;
        for (leaf, chunk) in leaves.iter().zip(&mut chunks).filter(|(leaf, _)| self.again.contains(leaf)) {
            chunk.keep_pages();
            debug_assert!(!self.kept.contains_key(leaf), "a leaf is judged once");
        }
        Ok(chunks)
    }

    /// Keeps what was read of a leaf, if that is worth it: at least the pages of all rows that will be moved.
    pub(crate) fn keep(&mut self, leaf: usize, chunk: LeafChunk) {
        self.kept.extend(chunk.rewound().map(|chunk| (leaf, chunk)));
    }

    /// Gives a leaf up, unless the pages of all rows were kept.
    pub(crate) fn keep_if_whole(&mut self, leaf: usize) {
        self.kept.retain(|kept, chunk| *kept != leaf || chunk.is_whole());
    }

    /// Takes the rows beside off the pages that were kept.
    pub(crate) fn gather(&mut self) -> Result<(), EngineError> {
        for leaf in self.beside.missing() {
            if let Some(chunk) = self.kept.remove(&leaf).filter(|chunk| chunk.holds(self.beside.rows())) {
                self.beside.read(self.input, leaf, chunk)?;
            }
        }
        Ok(())
    }

    /// What was kept of a leaf.
    pub(crate) fn take(&mut self, leaf: usize) -> Option<LeafChunk> {
        self.kept.remove(&leaf)
    }

    /// Whether something was kept of a leaf.
    pub(crate) fn has(&self, leaf: usize) -> bool {
        self.kept.contains_key(&leaf)
    }
}
