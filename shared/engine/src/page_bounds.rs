//! The least and the greatest text of each page of a leaf column, as the index of a file may tell them.

use crate::error::EngineError;
use crate::input::InputFile;
use domain::ports::objects::ReadObjects;
use futures::FutureExt;
use parquet::basic::{ColumnOrder, SortOrder};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::page_index::column_index::{ByteArrayColumnIndex, ColumnIndexMetaData};
use parquet::schema::types::{SchemaDescriptor, Type};
use std::collections::HashMap;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Bytes of a file's index that are fetched for a column at most, between the first of them and the last.
const MOST_BYTES: u64 = 4 << 20;

/// Bounds of the pages of a leaf of texts, by row group.
#[derive(Default)]
pub(crate) struct PageBounds(HashMap<usize, ByteArrayColumnIndex>);

impl PageBounds {
    /// No text on a page of a row group is less than the first of these nor greater than the second. `None` where that is not
    /// known, or a row has no text.
    pub(crate) fn of(&self, group: usize, page: usize) -> Option<(&[u8], &[u8])> {
        let index = self.0.get(&group).filter(|index| (page as u64) < index.num_pages())?;
        let bounds = index.min_value(page).zip(index.max_value(page)).filter(|_| index.null_count(page) == Some(0));
        // Some writers tell none for a text that is too long, which is no bound.
        bounds.filter(|(least, greatest)| least <= greatest && !greatest.is_empty())
    }
}

impl<O: ReadObjects> InputFile<O> {
    /// Reads the bounds of the pages of a leaf of texts, of the row groups that are read, in one request. There are none where
    /// the file's index has none that can be relied on.
    pub(crate) async fn page_bounds(&self, leaf: usize) -> std::result::Result<PageBounds, EngineError> {
        let Ok(Some(footer)) = self.footer_of(leaf) else { return Ok(PageBounds::default()) };
        let mut reader =
            ParquetMetaDataReader::new_with_metadata(footer).with_column_index_policy(PageIndexPolicy::Optional);
        let mut ranges = self.ranges.clone();
        let read = async { reader.load_page_index(&mut ranges).await.and_then(|()| reader.finish()) };
        // What decodes it may panic over damage; then nothing of it is used.
        let Ok(read) = AssertUnwindSafe(read).catch_unwind().await else { return Ok(PageBounds::default()) };
        let read = match read {
            Ok(read) => read,
            Err(error @ ParquetError::External(_)) => return Err(self.damaged(error)),
            Err(_) => return Ok(PageBounds::default()),
        };
        let of_group = |(at, group): (usize, &usize)| match read.column_index()?.get(at)?.first()? {
            ColumnIndexMetaData::BYTE_ARRAY(index) => Some((*group, index.clone())),
            _ => None,
        };
        Ok(PageBounds(self.groups.iter().enumerate().filter_map(of_group).collect()))
    }

    /// The footer as if the file had that column and those row groups alone which are read. `None` where the index tells no
    /// bounds of the column, or what is no such index.
    fn footer_of(&self, leaf: usize) -> Result<Option<ParquetMetaData>> {
        let file = self.metadata().file_metadata();
        let indexes = self.groups.iter().filter_map(|group| index_range(self.chunk(*group, leaf)));
        let hull = indexes.reduce(|all, next| all.start.min(next.start)..all.end.max(next.end));
        let is_small = hull.is_some_and(|hull| hull.end <= self.ranges.bytes && hull.end - hull.start <= MOST_BYTES);
        if file.column_order(leaf) != ColumnOrder::TYPE_DEFINED_ORDER(SortOrder::UNSIGNED) || !is_small {
            return Ok(None);
        }
        let root =
            Type::group_type_builder("footer").with_fields(vec![self.schema().column(leaf).self_type_ptr()]).build()?;
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
        let groups = self.groups.iter().map(|group| {
            let columns = vec![self.chunk(*group, leaf).clone()];
            RowGroupMetaData::builder(schema.clone()).set_column_metadata(columns).build()
        });
        let groups = groups.collect::<Result<_>>()?;
        let file = FileMetaData::new(file.version(), file.num_rows(), None, None, schema.clone(), None);
        Ok(Some(ParquetMetaData::new(file, groups)))
    }
}

/// Where the bounds of a column chunk's pages are.
fn index_range(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let start = u64::try_from(chunk.column_index_offset()?).ok()?;
    let length = u64::try_from(chunk.column_index_length()?).ok()?;
    Some(start..start.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::tests::layouts::{laid_out, pages_of_two};
    use crate::tests::table::{plain, put};
    use parquet::basic::Type as PhysicalType;
    use parquet::file::metadata::ColumnIndexBuilder;
    use serde_json::json;
    use testkit::MemoryObjects;

    #[tokio::test]
    async fn each_page_has_its_own_bounds_and_none_where_a_text_is_missing() {
        let ids = [json!("b"), json!("a"), json!("c"), json!(null), json!(""), json!(""), json!("x"), json!("y")];
        let rows: Vec<_> = ids.iter().map(|id| json!({ "profileId": id })).collect();
        let store = MemoryObjects::default();
        let file = put(&store, "a", laid_out(&plain(&rows), pages_of_two())).await;
        let input = InputFile::open(&store, &file, None).await.unwrap();
        let bounds = input.page_bounds(0).await.unwrap();
        let told = [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (2, 0)].map(|(group, page)| bounds.of(group, page));
        let [x, y] = [b"x", b"y"].map(|text| text.as_slice());
        assert_eq!(told, [Some((&b"a"[..], &b"b"[..])), None, None, Some((x, x)), None, Some((y, y)), None]);
        let times = input.page_bounds(1).await.unwrap();
        assert_eq!(times.of(0, 0), None, "those are no texts");
    }

    #[test]
    fn bounds_that_cannot_be_are_none() {
        let mut index = ColumnIndexBuilder::new(PhysicalType::BYTE_ARRAY);
        for (least, greatest) in [("a", "b"), ("b", "a"), ("a", "")] {
            index.append(false, least.into(), greatest.into(), 0);
        }
        let ColumnIndexMetaData::BYTE_ARRAY(index) = index.build().unwrap() else { panic!() };
        let bounds = PageBounds([(0, index)].into());
        assert_eq!([0, 1, 2].map(|page| bounds.of(0, page).is_some()), [true, false, false]);
    }
}
