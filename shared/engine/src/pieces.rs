//! The bytes of a file in the making, until they are sent.

use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{Error, Result, Write};

/// Chunks of fewer bytes are put together.
const SMALL: usize = 64 << 10;

/// Bytes in order. Chunks that are known before they are written are not copied.
#[derive(Default)]
pub(crate) struct Pieces {
    whole: Vec<Bytes>,
    /// What comes behind these.
    open: Vec<u8>,
    /// What will be written next.
    expected: VecDeque<Bytes>,
    /// How many bytes of the first of these are written.
    met: usize,
}

impl Pieces {
    /// Says that these chunks will be written next, and nothing between them.
    pub(crate) fn expect(&mut self, chunks: impl Iterator<Item = Bytes>) {
        self.expected.extend(chunks.filter(|chunk| !chunk.is_empty()));
    }

    /// Takes what is written.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.end_open();
        std::mem::take(&mut self.whole)
    }

    fn end_open(&mut self) {
        if !self.open.is_empty() {
            self.whole.push(std::mem::take(&mut self.open).into());
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let Some(chunk) = self.expected.front() else {
            self.open.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        let end = chunk.len().min(self.met + bytes.len());
        let taken = end - self.met;
        if bytes[..taken] != chunk[self.met..end] {
            return Err(Error::other("another chunk is written than was announced"));
        }
        self.met = end;
        if end == chunk.len()
            && let Some(chunk) = self.expected.pop_front()
        {
            self.met = 0;
            if chunk.len() < SMALL {
                self.open.extend_from_slice(&chunk);
            } else {
                self.end_open();
                self.whole.push(chunk);
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn chunks_that_are_expected_are_taken_as_they_are_and_everything_stays_in_order() {
        let [large, small] = [vec![1; SMALL], vec![2; 9]].map(Bytes::from);
        let mut pieces = Pieces::default();
        pieces.write_all(b"before").unwrap();
        pieces.expect([&large, &Bytes::new(), &small, &large].into_iter().cloned());
        for chunk in [&large, &small, &large] {
            chunk.chunks(1_000).for_each(|some| pieces.write_all(some).unwrap());
        }
        pieces.write_all(b"behind").unwrap();
        let taken = pieces.take();
        assert_eq!(taken.concat(), [b"before", &large[..], &small, &large, b"behind"].concat());
        assert_eq!(taken.iter().filter(|piece| piece.as_ptr() == large.as_ptr()).count(), 2);
        assert!(pieces.take().is_empty());
    }

    #[test]
    fn what_is_not_the_chunk_that_was_announced_is_not_taken_for_it() {
        let mut pieces = Pieces::default();
        pieces.expect([Bytes::from_static(b"chunk")].into_iter());
        assert!(pieces.write_all(b"other").is_err());
    }
}
