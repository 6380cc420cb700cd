//! The object ports over S3.

mod upload;

pub use upload::S3Upload;

use crate::patience::{pause, told};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use domain::ports::objects::{CollectObjects, Location, ObjectError, ReadObjects, WriteObjects};
use std::error::Error;
use std::ops::Range;

/// Times that a write is begun anew after somebody else was writing to the same key.
const TRIES: u32 = 5;

/// Objects of all buckets. Nothing is ever overwritten.
#[derive(Clone, Debug)]
pub struct S3Objects {
    client: Client,
}

impl S3Objects {
    /// The objects that a client reaches.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn get(&self, at: &Location, range: Option<String>) -> Result<GetObjectOutput, ObjectError> {
        let get = self.client.get_object().bucket(&at.bucket).key(&at.key).set_range(range);
        Box::pin(get.send()).await.map_err(|error| fault(at, &error))
    }

    /// Frees the parts of an upload; well if there is none.
    async fn abort_upload(&self, at: &Location, id: &str) -> Result<(), ObjectError> {
        let abort = self.client.abort_multipart_upload().bucket(&at.bucket).key(&at.key).upload_id(id);
        match Box::pin(abort.send()).await {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            Err(error) => Err(fault(at, &error)),
        }
    }

    /// After a refusal: well if what is there is what was to be written, since then an earlier answer was lost.
    async fn settle(&self, at: &Location, mine: &Sum) -> Result<(), ObjectError> {
        if self.size(at).await? == mine.len() && self.sum(at).await? == *mine {
            return Ok(());
        }
        Err(ObjectError::Occupied(at.clone()))
    }

    /// The sum of an object's bytes as they are read back: it does not trust what the store keeps beside them.
    async fn sum(&self, at: &Location) -> Result<Sum, ObjectError> {
        let mut body = self.get(at, None).await?.body;
        let mut sum = Sum::default();
        while let Some(piece) = body.try_next().await.map_err(|error| broken(at, &error))? {
            sum.add(&piece);
        }
        Ok(sum)
    }
}

impl ReadObjects for S3Objects {
    async fn size(&self, at: &Location) -> Result<u64, ObjectError> {
        let head = self.client.head_object().bucket(&at.bucket).key(&at.key);
        let answer = Box::pin(head.send()).await.map_err(|error| fault(at, &error))?;
        let size = answer.content_length().and_then(|len| u64::try_from(len).ok());
        size.ok_or_else(|| ObjectError::Unavailable(format!("{at} came without its length")))
    }

    async fn read_range(&self, at: &Location, range: Range<u64>) -> Result<Bytes, ObjectError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let asked = format!("bytes={}-{}", range.start, range.end - 1);
        let body = collect(at, self.get(at, Some(asked)).await?).await?;
        if body.len() as u64 == range.end - range.start {
            Ok(body)
        } else {
            Err(ObjectError::Unavailable(format!("{at} gave {} bytes for {range:?}", body.len())))
        }
    }

    async fn read(&self, at: &Location) -> Result<Bytes, ObjectError> {
        collect(at, self.get(at, None).await?).await
    }

    async fn list(&self, prefix: &Location) -> Result<Vec<(Location, u64)>, ObjectError> {
        let mut pages =
            self.client.list_objects_v2().bucket(&prefix.bucket).prefix(&prefix.key).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            for object in page.map_err(|error| fault(prefix, &error))?.contents.unwrap_or_default() {
                let size = object.size.and_then(|size| u64::try_from(size).ok());
                if let (Some(key), Some(size)) = (object.key, size) {
                    found.push((Location::new(&prefix.bucket, key), size));
                }
            }
        }
        // S3 lists by key already; not all who speak its language do.
        found.sort();
        Ok(found)
    }
}

impl WriteObjects for S3Objects {
    type Upload = S3Upload;

    async fn create(&self, at: &Location, body: Bytes) -> Result<(), ObjectError> {
        for tried in 1..=TRIES {
            let put = self.client.put_object().bucket(&at.bucket).key(&at.key).if_none_match("*");
            match Box::pin(put.body(body.clone().into()).send()).await {
                Ok(_) => return Ok(()),
                Err(error) => match status(&error) {
                    Some(412) => return self.settle(at, &Sum::of(&body)).await,
                    Some(409) => pause(tried).await,
                    _ => return Err(fault(at, &error)),
                },
            }
        }
        Err(ObjectError::Unavailable(format!("somebody else keeps writing to {at}")))
    }

    async fn begin(&self, at: &Location) -> Result<S3Upload, ObjectError> {
        Ok(S3Upload::new(self.clone(), at.clone()))
    }

    async fn delete(&self, at: &Location) -> Result<(), ObjectError> {
        let delete = self.client.delete_object().bucket(&at.bucket).key(&at.key);
        match Box::pin(delete.send()).await {
            Ok(_) => Ok(()),
            Err(error) => match fault(at, &error) {
                ObjectError::NotFound(_) => Ok(()),
                other => Err(other),
            },
        }
    }
}

impl CollectObjects for S3Objects {
    async fn abort_uploads(
        &self,
        prefix: &Location,
        ours: impl Fn(&Location) -> bool + Send + Sync,
    ) -> Result<(), ObjectError> {
        let list = self.client.list_multipart_uploads().bucket(&prefix.bucket).prefix(&prefix.key);
        let (mut after_key, mut after_upload) = (None, None);
        loop {
            let page = list.clone().set_key_marker(after_key).set_upload_id_marker(after_upload);
            let answer = Box::pin(page.send()).await.map_err(|error| fault(prefix, &error))?;
            for upload in answer.uploads.unwrap_or_default() {
                let (Some(key), Some(id)) = (upload.key, upload.upload_id) else { continue };
                let at = Location::new(&prefix.bucket, key);
                if ours(&at) {
                    self.abort_upload(&at, &id).await?;
                }
            }
            if answer.is_truncated != Some(true) {
                return Ok(());
            }
            (after_key, after_upload) = (answer.next_key_marker, answer.next_upload_id_marker);
        }
    }
}

/// Length and CRC-64 of some bytes: tells two bodies apart without holding either.
#[derive(Clone, Debug)]
struct Sum(Digest);

impl Default for Sum {
    fn default() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Nvme))
    }
}

impl PartialEq for Sum {
    fn eq(&self, other: &Self) -> bool {
        (self.len(), self.0.finalize()) == (other.len(), other.0.finalize())
    }
}

impl Sum {
    fn of(body: &[u8]) -> Self {
        let mut sum = Self::default();
        sum.add(body);
        sum
    }

    fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    fn len(&self) -> u64 {
        self.0.get_amount()
    }
}

async fn collect(at: &Location, answer: GetObjectOutput) -> Result<Bytes, ObjectError> {
    let body = answer.body.collect().await.map_err(|error| broken(at, &error))?;
    Ok(body.into_bytes())
}

/// An answer that broke off.
fn broken(at: &Location, error: &(dyn Error + 'static)) -> ObjectError {
    ObjectError::Unavailable(format!("{at} broke off: {error}"))
}

/// The HTTP status of a failed call, where there was an answer.
fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// What a failed call means.
fn fault<E>(at: &Location, error: &SdkError<E>) -> ObjectError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match status(error) {
        Some(404) => ObjectError::NotFound(at.clone()),
        Some(401 | 403) => ObjectError::Denied(at.clone()),
        _ => ObjectError::Unavailable(told(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_of_the_bytes_however_they_come() {
        let mut pieces = Sum::default();
        pieces.add(b"abc");
        pieces.add(b"");
        pieces.add(b"def");
        assert!(pieces == Sum::of(b"abcdef"));
        assert!(pieces != Sum::of(b"abcdeg") && pieces != Sum::of(b"abcde") && Sum::of(b"") != Sum::of(b"\0"));
        assert_eq!(pieces.len(), 6);
    }
}
