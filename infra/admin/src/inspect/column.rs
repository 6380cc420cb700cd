//! One text column of a Parquet file in the object store.

use crate::failure::Failure;
use arrow_array::cast::AsArray;
use arrow_cast::cast;
use arrow_schema::{DataType, FieldRef};
use bytes::Bytes;
use domain::name_mapping::{NO_MAPPING, NameMapping};
use domain::ports::objects::{Location, ReadObjects};
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::arrow::{PARQUET_FIELD_ID_META_KEY, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use std::ops::Range;
use std::sync::Arc;

/// Calls `each` with every value of the top-level column of that field id and name. In a file without ids the table's name
/// mapping tells which column that is.
pub async fn read_column(
    objects: &impl ReadObjects,
    at: &Location,
    bytes: u64,
    (field_id, name): (i32, &str),
    mapping: Option<&NameMapping>,
    mut each: impl FnMut(Option<&str>),
) -> Result<(), Failure> {
    let unreadable = |e: &dyn std::fmt::Display| Failure::say(format!("{at} cannot be read: {e}."));
    let object = Object { objects: Box::new(objects.clone()), at: at.clone(), bytes };
    let builder = ParquetRecordBatchStreamBuilder::new(object).await.map_err(|e| unreadable(&e))?;
    let fields = builder.schema().fields();
    let id = |field: &FieldRef| field.metadata().get(PARQUET_FIELD_ID_META_KEY).cloned();
    let position = match (fields.iter().any(|f| id(f).is_some()), mapping) {
        (true, _) => fields.iter().position(|f| id(f) == Some(field_id.to_string())),
        (false, Some(mapping)) => fields.iter().position(|f| mapping.names_of(field_id).any(|n| n == f.name())),
        (false, None) => return Err(unreadable(&NO_MAPPING)),
    };
    let position = position.ok_or_else(|| unreadable(&format!("it has no column {name}")))?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), [position]);
    let mut batches = builder.with_projection(mask).build().map_err(|e| unreadable(&e))?;
    while let Some(batch) = batches.try_next().await.map_err(|e| unreadable(&e))? {
        let texts = cast(batch.column(0), &DataType::Utf8).map_err(|e| unreadable(&e))?;
        texts.as_string::<i32>().iter().for_each(&mut each);
    }
    Ok(())
}

struct Object<O> {
    // Boxed, so that it may be moved while it is read, which the reader asks for.
    objects: Box<O>,
    at: Location,
    bytes: u64,
}

impl<O: ReadObjects> AsyncFileReader for Object<O> {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { self.objects.read_range(&self.at, range).await.map_err(|e| ParquetError::External(Box::new(e))) }
            .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let bytes = self.bytes;
        async move { ParquetMetaDataReader::new().load_and_finish(self, bytes).await.map(Arc::new) }.boxed()
    }
}
