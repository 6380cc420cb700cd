//! Objects: immutable blobs under keys, invisible until whole.

use bytes::Bytes;
use std::fmt;
use std::future::Future;
use std::ops::Range;

/// Where an object is: `s3://bucket/key`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The bucket.
    pub bucket: String,
    /// The key, without a leading slash.
    pub key: String,
}

impl Location {
    /// A location from its parts.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into() }
    }

    /// Reads `s3://bucket/key` (also `s3a://`, `s3n://`); `None` for anything else.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (bucket, key) = rest.split_once('/')?;
        (matches!(scheme, "s3" | "s3a" | "s3n") && !bucket.is_empty()).then(|| Self::new(bucket, key))
    }

    /// The location `name` below this one; this one's key is empty or ends with a slash.
    pub fn join(&self, name: &str) -> Self {
        Self::new(&self.bucket, format!("{}{name}", self.key))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// Why an object call failed. The source's own text is for logs only.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object or bucket.
    #[error("there is no object at {0}")]
    NotFound(Location),
    /// Something else is at that key already, and it stays.
    #[error("another object is at {0}")]
    Occupied(Location),
    /// The store forbids it.
    #[error("access to {0} is denied")]
    Denied(Location),
    /// The store did not answer, or asked to come later; try again.
    #[error("the object store is unavailable: {0}")]
    Unavailable(String),
}

/// Reads objects.
pub trait ReadObjects: Clone + Send + Sync + 'static {
    /// The object's size in bytes.
    fn size(&self, at: &Location) -> impl Future<Output = Result<u64, ObjectError>> + Send;

    /// Exactly the bytes of a half-open range that lies within the object; empty for an empty range.
    fn read_range(&self, at: &Location, range: Range<u64>) -> impl Future<Output = Result<Bytes, ObjectError>> + Send;

    /// The whole object.
    fn read(&self, at: &Location) -> impl Future<Output = Result<Bytes, ObjectError>> + Send;

    /// All objects whose keys start with `prefix.key`, with their sizes, by key.
    fn list(&self, prefix: &Location) -> impl Future<Output = Result<Vec<(Location, u64)>, ObjectError>> + Send;
}

/// Writes objects. None is ever overwritten: every write is create-if-absent.
pub trait WriteObjects: Clone + Send + Sync + 'static {
    /// A write under way.
    type Upload: UploadObject;

    /// Creates the object in one piece. Where the key is taken by the very same bytes (an earlier answer was lost) it is
    /// ours and all is well; by others it is [`ObjectError::Occupied`].
    fn create(&self, at: &Location, body: Bytes) -> impl Future<Output = Result<(), ObjectError>> + Send;

    /// Begins a write of unknown length. Nothing is visible before [`UploadObject::complete`].
    fn begin(&self, at: &Location) -> impl Future<Output = Result<Self::Upload, ObjectError>> + Send;

    /// Deletes the object; well if there is none.
    fn delete(&self, at: &Location) -> impl Future<Output = Result<(), ObjectError>> + Send;
}

/// Clears away what was left behind.
pub trait CollectObjects: ReadObjects + WriteObjects {
    /// Frees the uploads to keys that start with `prefix.key` and are `ours`, which were begun and neither completed nor given
    /// up. None of them can be completed any more.
    fn abort_uploads(
        &self,
        prefix: &Location,
        ours: impl Fn(&Location) -> bool + Send + Sync,
    ) -> impl Future<Output = Result<(), ObjectError>> + Send;
}

/// An upload of unknown length: pieces in order, then all or nothing. Dropping it leaves nothing visible.
pub trait UploadObject: Send + 'static {
    /// Adds bytes at the end; any length.
    fn write(&mut self, piece: Bytes) -> impl Future<Output = Result<(), ObjectError>> + Send;

    /// Makes the object visible, whole; [`ObjectError::Occupied`] if the key was taken meanwhile.
    fn complete(self) -> impl Future<Output = Result<(), ObjectError>> + Send;

    /// Gives the upload up and frees what it holds.
    fn abort(self) -> impl Future<Output = Result<(), ObjectError>> + Send;
}
