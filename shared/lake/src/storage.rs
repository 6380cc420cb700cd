//! Iceberg's storage over the object ports: metadata files are small, immutable, and created whole.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use domain::ports::objects::{Location, ObjectError, ReadObjects, WriteObjects};
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::io::{
    FileIO, FileIOBuilder, FileMetadata, FileRead, FileWrite, InputFile, OutputFile, Storage, StorageConfig,
    StorageFactory,
};
use iceberg::{Error, ErrorKind, Result};
use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Iceberg's file access over these objects.
pub(crate) fn file_io<O: ReadObjects + WriteObjects>(objects: O) -> FileIO {
    FileIOBuilder::new(Arc::new(ObjectStorage(objects))).build()
}

/// The objects as Iceberg's storage. Iceberg wants a storage to be serialisable, to ship it to other processes; ours holds
/// open connections and says no, which is why the two hidden methods below stand here in place of typetag's attribute.
#[derive(Clone)]
struct ObjectStorage<O>(O);

impl<O> fmt::Debug for ObjectStorage<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectStorage")
    }
}

impl<O> Serialize for ObjectStorage<O> {
    fn serialize<S: Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("an object storage holds open connections and cannot be serialised"))
    }
}

impl<O: ReadObjects + WriteObjects> StorageFactory for ObjectStorage<O> {
    fn build(&self, _: &StorageConfig) -> Result<Arc<dyn Storage>> {
        Ok(Arc::new(self.clone()))
    }

    fn typetag_name(&self) -> &'static str {
        "objects"
    }

    fn typetag_deserialize(&self) {}
}

#[async_trait]
impl<O: ReadObjects + WriteObjects> Storage for ObjectStorage<O> {
    async fn exists(&self, path: &str) -> Result<bool> {
        match self.0.size(&location(path)?).await {
            Ok(_) => Ok(true),
            Err(ObjectError::NotFound(_)) => Ok(false),
            Err(error) => Err(failure(error)),
        }
    }

    async fn metadata(&self, path: &str) -> Result<FileMetadata> {
        let size = self.0.size(&location(path)?).await.map_err(failure)?;
        Ok(FileMetadata { size })
    }

    async fn read(&self, path: &str) -> Result<Bytes> {
        self.0.read(&location(path)?).await.map_err(failure)
    }

    async fn reader(&self, path: &str) -> Result<Box<dyn FileRead>> {
        Ok(Box::new(Reader { objects: self.0.clone(), at: location(path)? }))
    }

    async fn write(&self, path: &str, body: Bytes) -> Result<()> {
        self.0.create(&location(path)?, body).await.map_err(failure)
    }

    async fn writer(&self, path: &str) -> Result<Box<dyn FileWrite>> {
        Ok(Box::new(Writer { objects: self.0.clone(), at: location(path)?, body: Some(BytesMut::new()) }))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.0.delete(&location(path)?).await.map_err(failure)
    }

    async fn delete_prefix(&self, _: &str) -> Result<()> {
        Err(Error::new(ErrorKind::FeatureUnsupported, "folders are never deleted"))
    }

    async fn delete_stream(&self, mut paths: BoxStream<'static, String>) -> Result<()> {
        while let Some(path) = paths.next().await {
            self.delete(&path).await?;
        }
        Ok(())
    }

    fn new_input(&self, path: &str) -> Result<InputFile> {
        Ok(InputFile::new(Arc::new(self.clone()), path.into()))
    }

    fn new_output(&self, path: &str) -> Result<OutputFile> {
        Ok(OutputFile::new(Arc::new(self.clone()), path.into()))
    }

    fn typetag_name(&self) -> &'static str {
        "objects"
    }

    fn typetag_deserialize(&self) {}
}

struct Reader<O> {
    objects: O,
    at: Location,
}

// Nothing in these two is ever pinned.
impl<O> Unpin for Reader<O> {}
impl<O> Unpin for Writer<O> {}

#[async_trait]
impl<O: ReadObjects> FileRead for Reader<O> {
    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        self.objects.read_range(&self.at, range).await.map_err(failure)
    }
}

/// A file that is created, whole, when it is closed.
struct Writer<O> {
    objects: O,
    at: Location,
    body: Option<BytesMut>,
}

#[async_trait]
impl<O: WriteObjects> FileWrite for Writer<O> {
    async fn write(&mut self, piece: Bytes) -> Result<()> {
        self.body.as_mut().ok_or_else(closed)?.extend_from_slice(&piece);
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        let body = self.body.take().ok_or_else(closed)?;
        self.objects.create(&self.at, body.freeze()).await.map_err(failure)
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unexpected, "the file is closed already")
}

fn location(path: &str) -> Result<Location> {
    Location::parse(path)
        .ok_or_else(|| Error::new(ErrorKind::DataInvalid, "a path is no S3 location").with_context("path", path))
}

fn failure(error: ObjectError) -> Error {
    Error::new(ErrorKind::Unexpected, "an object call failed").with_source(error)
}
