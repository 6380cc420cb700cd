//! What no engine does without that reads these files and writes that result: every page of the columns that are looked at
//! is unpacked, and every page of the result is packed. Nothing is judged, decoded or encoded, no byte read or written.

use crate::Outcome;
use crate::cases::Case;
use crate::measure::{Cost, measured};
use crate::ours::{self, Known};
use crate::store::Store;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaDataReader};
use parquet::file::serialized_reader::SerializedPageReader;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::get_frame_content_size;

/// The column that tells who is exported.
const MEMBERSHIPS: &str = "segmentMembership";

/// Packs what the engine exports of the case, and leaves it in the folder.
pub fn run(case: &Case, store: &Store, out: &Path, threads: usize) -> Outcome<Cost> {
    ours::run(case, store, out, Known::Promised, threads)?;
    let tables = case.tables.iter().flat_map(|table| store.files(*table));
    let roots: Vec<&str> = case.paths().into_iter().filter_map(|path| path.split('.').next()).collect();
    let is_read = |root: &str| roots.is_empty() || root == MEMBERSHIPS || roots.contains(&root);
    let packed = tables.map(|file| pages(&file, is_read)).collect::<Outcome<Vec<_>>>()?;
    let mut result = Vec::new();
    for file in files_below(out)? {
        result.extend(pages(&file, |_| true)?);
    }
    let result = result.iter().map(|page| unpack(&mut Decompressor::new()?, page)).collect::<Outcome<Vec<_>>>()?;
    let packed: Vec<_> = packed.into_iter().flatten().collect();
    measured(|| {
        each(&packed, threads, Decompressor::new, |codec, page| unpack(codec, page).map(drop))?;
        each(
            &result,
            threads,
            || Compressor::new(1),
            |codec, page| {
                codec.compress(page)?;
                Ok(())
            },
        )
    })
}

/// Does the work for each page, with a codec for each thread.
fn each<C>(
    pages: &[Vec<u8>],
    threads: usize,
    codec: impl Fn() -> std::io::Result<C> + Sync,
    work: impl Fn(&mut C, &[u8]) -> Outcome<()> + Sync,
) -> Outcome<()> {
    let next = AtomicUsize::new(0);
    let on_a_thread = || -> Outcome<()> {
        let mut codec = codec()?;
        while let Some(page) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(&mut codec, page)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(on_a_thread)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })
}

fn unpack(codec: &mut Decompressor<'_>, page: &[u8]) -> Outcome<Vec<u8>> {
    let bytes = get_frame_content_size(page).ok().flatten().ok_or("a page does not tell its size")?;
    Ok(codec.decompress(page, bytes as usize)?)
}

/// The pages of a file's columns as they are stored.
fn pages(file: &Path, is_read: impl Fn(&str) -> bool) -> Outcome<Vec<Vec<u8>>> {
    let bytes = bytes::Bytes::from(fs::read(file)?);
    let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes)?;
    let mut pages = Vec::new();
    for group in footer.row_groups() {
        let columns =
            group.columns().iter().filter(|it| it.column_path().parts().first().is_some_and(|it| is_read(it)));
        for column in columns {
            let stored = as_stored(column)?;
            let mut reader =
                SerializedPageReader::new(Arc::new(bytes.clone()), &stored, group.num_rows() as usize, None)?;
            while let Some(page) = reader.get_next_page()? {
                match page {
                    Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => pages.push(buf.to_vec()),
                    Page::DataPageV2 { .. } => return Err("pages of the second version are not expected".into()),
                }
            }
        }
    }
    Ok(pages)
}

/// A chunk as one that is not compressed, so that its pages are handed out as they are.
fn as_stored(column: &ColumnChunkMetaData) -> Outcome<ColumnChunkMetaData> {
    Ok(column.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?)
}

fn files_below(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
