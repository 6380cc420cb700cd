//! Packing pages.

use bytes::Bytes;
use parquet::basic::ZstdLevel;
use std::cell::RefCell;
use zstd::bulk::Compressor;

thread_local! {
    /// One for all columns that a thread writes, and its level: it takes half a megabyte, and there may be thousands of columns
    /// in the making.
    static COMPRESSOR: RefCell<Option<(ZstdLevel, Compressor<'static>)>> = const { RefCell::new(None) };
}

/// Packs a page.
pub(super) fn pack(level: ZstdLevel, page: &[u8]) -> std::io::Result<Bytes> {
    COMPRESSOR.with_borrow_mut(|made| {
        let codec = match made.take().filter(|(of_level, _)| *of_level == level) {
            Some(codec) => codec,
            None => (level, Compressor::new(level.compression_level())?),
        };
        Ok(made.insert(codec).1.compress(page)?.into())
    })
}
