//! The object ports over the files below a folder. Nothing is ever overwritten.

use bytes::Bytes;
use domain::ports::objects::{Location, ObjectError, ReadObjects, UploadObject, WriteObjects};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files, each at its bucket's folder and its key below it.
#[derive(Clone, Debug)]
pub struct LocalObjects {
    /// Folders by bucket.
    buckets: Arc<[(&'static str, PathBuf)]>,
}

impl LocalObjects {
    /// The objects of these folders, named as buckets.
    pub fn new(buckets: impl Into<Arc<[(&'static str, PathBuf)]>>) -> Self {
        Self { buckets: buckets.into() }
    }

    fn path(&self, at: &Location) -> Result<PathBuf, ObjectError> {
        let folder = self.buckets.iter().find(|(name, _)| *name == at.bucket);
        folder.map(|(_, folder)| folder.join(&at.key)).ok_or_else(|| ObjectError::NotFound(at.clone()))
    }

    fn open(&self, at: &Location) -> Result<File, ObjectError> {
        File::open(self.path(at)?).map_err(|error| failed(at, &error))
    }
}

fn failed(at: &Location, error: &std::io::Error) -> ObjectError {
    match error.kind() {
        ErrorKind::NotFound => ObjectError::NotFound(at.clone()),
        ErrorKind::AlreadyExists => ObjectError::Occupied(at.clone()),
        ErrorKind::PermissionDenied => ObjectError::Denied(at.clone()),
        _ => ObjectError::Unavailable(error.to_string()),
    }
}

impl ReadObjects for LocalObjects {
    async fn size(&self, at: &Location) -> Result<u64, ObjectError> {
        Ok(fs::metadata(self.path(at)?).map_err(|error| failed(at, &error))?.len())
    }

    async fn read_range(&self, at: &Location, range: Range<u64>) -> Result<Bytes, ObjectError> {
        // Not into zeros: these would be written for nothing.
        let mut read = Vec::with_capacity((range.end - range.start) as usize);
        let mut file = self.open(at)?;
        let whole = file.seek(SeekFrom::Start(range.start)).and_then(|start| {
            let bytes = file.take(range.end - start).read_to_end(&mut read)?;
            if bytes as u64 == range.end - start { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
        });
        whole.map_err(|error| failed(at, &error))?;
        Ok(read.into())
    }

    async fn read(&self, at: &Location) -> Result<Bytes, ObjectError> {
        Ok(fs::read(self.path(at)?).map_err(|error| failed(at, &error))?.into())
    }

    async fn list(&self, prefix: &Location) -> Result<Vec<(Location, u64)>, ObjectError> {
        Err(ObjectError::Unavailable(format!("nothing here lists {prefix}")))
    }
}

impl WriteObjects for LocalObjects {
    type Upload = LocalUpload;

    async fn create(&self, at: &Location, body: Bytes) -> Result<(), ObjectError> {
        let mut upload = self.begin(at).await?;
        upload.write(body).await?;
        upload.complete().await
    }

    async fn begin(&self, at: &Location) -> Result<LocalUpload, ObjectError> {
        let path = self.path(at)?;
        let open = |path: &Path| {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            File::create_new(path.with_extension("upload"))
        };
        let file = open(&path).map_err(|error| failed(at, &error))?;
        Ok(LocalUpload { at: at.clone(), path, file })
    }

    async fn delete(&self, at: &Location) -> Result<(), ObjectError> {
        match fs::remove_file(self.path(at)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(at, &error)),
            _ => Ok(()),
        }
    }
}

/// A file under way, beside its place.
#[derive(Debug)]
pub struct LocalUpload {
    at: Location,
    path: PathBuf,
    file: File,
}

impl UploadObject for LocalUpload {
    async fn write(&mut self, piece: Bytes) -> Result<(), ObjectError> {
        self.file.write_all(&piece).map_err(|error| failed(&self.at, &error))
    }

    async fn complete(self) -> Result<(), ObjectError> {
        let under_way = self.path.with_extension("upload");
        let placed = fs::hard_link(&under_way, &self.path).and_then(|()| fs::remove_file(&under_way));
        placed.map_err(|error| failed(&self.at, &error))
    }

    async fn abort(self) -> Result<(), ObjectError> {
        fs::remove_file(self.path.with_extension("upload")).map_err(|error| failed(&self.at, &error))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_again_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let objects = LocalObjects::new([("lake", folder.path().to_owned())]);
        let at = Location::new("lake", "a/b.parquet");
        objects.create(&at, Bytes::from_static(b"hello")).await.unwrap();
        assert_eq!(objects.size(&at).await.unwrap(), 5);
        assert_eq!(&objects.read_range(&at, 1..3).await.unwrap()[..], b"el");
        let again = objects.create(&at, Bytes::from_static(b"other")).await;
        assert!(matches!(again, Err(ObjectError::Occupied(_))), "{again:?}");
        assert_eq!(&objects.read(&at).await.unwrap()[..], b"hello");
        objects.delete(&at).await.unwrap();
        assert!(matches!(objects.size(&at).await, Err(ObjectError::NotFound(_))));
    }
}
