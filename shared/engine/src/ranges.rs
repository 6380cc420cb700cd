//! Byte ranges of one object, as Parquet's reader asks for them: close ones are fetched together.

use bytes::Bytes;
use domain::ports::objects::{Location, ReadObjects};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use std::ops::Range;
use std::sync::Arc;

/// Bytes read at the end of a file before its footer's size is known.
const TAIL_BYTES: usize = 256 * 1024;
/// Ranges with a gap of at most this between them are one request: reading the gap is cheaper than asking again.
const GAP_BYTES: u64 = 512 * 1024;
/// No request grows beyond this by joining ranges.
const REQUEST_BYTES: u64 = 16 * 1024 * 1024;
/// Requests under way at a time.
const REQUESTS: usize = 8;

/// One object of known size.
pub(crate) struct ObjectRanges<O> {
    /// Shared, as Parquet's stream wants a reader that may be moved.
    pub(crate) objects: Arc<O>,
    pub(crate) at: Location,
    pub(crate) bytes: u64,
}

impl<O> Clone for ObjectRanges<O> {
    fn clone(&self) -> Self {
        Self { objects: self.objects.clone(), at: self.at.clone(), bytes: self.bytes }
    }
}

impl<O: ReadObjects> ObjectRanges<O> {
    async fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        if range.start > range.end || range.end > self.bytes {
            return Err(ParquetError::EOF(format!("bytes {range:?} of a file of {} bytes", self.bytes)));
        }
        let wanted = range.end - range.start;
        let bytes = self.objects.read_range(&self.at, range).await.map_err(|e| ParquetError::External(Box::new(e)))?;
        if bytes.len() as u64 == wanted {
            Ok(bytes)
        } else {
            Err(ParquetError::EOF(format!("{} bytes where {wanted} were asked for", bytes.len())))
        }
    }
}

impl<O: ReadObjects> AsyncFileReader for ObjectRanges<O> {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.fetch(range).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move {
            let this = &*self;
            let requests = coalesce(&ranges);
            let answers: Vec<Bytes> = stream::iter(requests.iter().cloned().map(|request| this.fetch(request).boxed()))
                .buffered(REQUESTS)
                .try_collect()
                .await?;
            ranges.iter().map(|range| slice(range, &requests, &answers)).collect()
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.bytes;
            let reader = ParquetMetaDataReader::new()
                .with_metadata_options(options.map(|o| o.metadata_options().clone()))
                .with_column_index_policy(PageIndexPolicy::Skip)
                .with_offset_index_policy(PageIndexPolicy::Optional)
                .with_prefetch_hint(Some(TAIL_BYTES));
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}

/// Disjoint requests in order that cover all of the ranges.
fn coalesce(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<_> = ranges.to_vec();
    sorted.sort_by_key(|r| (r.start, r.end));
    let mut requests: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match requests.last_mut() {
            Some(open) if joins(open, &range) => open.end = open.end.max(range.end),
            _ => requests.push(range),
        }
    }
    requests
}

/// Whether a range belongs to the request before it: it overlaps it, or is close to it while the whole stays small.
fn joins(open: &Range<u64>, range: &Range<u64>) -> bool {
    let near = range.start <= open.end.saturating_add(GAP_BYTES);
    range.start < open.end || near && range.end.max(open.end) - open.start <= REQUEST_BYTES
}

fn slice(range: &Range<u64>, requests: &[Range<u64>], answers: &[Bytes]) -> Result<Bytes> {
    let after = requests.partition_point(|request| request.start <= range.start);
    let found = after.checked_sub(1).and_then(|i| Some((requests.get(i)?, answers.get(i)?)));
    match found {
        Some((request, bytes)) if range.start <= range.end && range.end <= request.end => {
            let start = (range.start - request.start) as usize;
            Ok(bytes.slice(start..start + (range.end - range.start) as usize))
        }
        _ => Err(ParquetError::EOF(format!("bytes {range:?} were not fetched"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn close_ranges_are_one_request_and_far_ones_are_not() {
        let far = 10 * GAP_BYTES;
        assert_eq!(coalesce(&[500..600, 0..100, far..far + 1]), [0..600, far..far + 1]);
        assert_eq!(coalesce(&[0..REQUEST_BYTES, REQUEST_BYTES..REQUEST_BYTES + 5]).len(), 2);
    }

    proptest! {
        #[test]
        fn every_range_is_cut_from_the_request_that_covers_it(
            ranges in prop::collection::vec((0..4_000_000u64, 0..100_000u64), 1..20),
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(start, len)| start..start + len).collect();
            let byte = |at: u64| (at % 251) as u8;
            let requests = coalesce(&ranges);
            prop_assert!(requests.windows(2).all(|w| w[0].end <= w[1].start));
            let answers: Vec<Bytes> = requests.iter().map(|r| r.clone().map(byte).collect()).collect();
            for range in &ranges {
                let bytes = slice(range, &requests, &answers).unwrap();
                prop_assert!(bytes.iter().copied().eq(range.clone().map(byte)));
            }
        }
    }
}
