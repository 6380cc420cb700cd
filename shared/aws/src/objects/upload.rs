//! Writes of unknown length: one PUT if little comes, a multipart upload otherwise.

use super::{S3Objects, Sum, fault, status};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use domain::ports::objects::{Location, ObjectError, UploadObject, WriteObjects};
use tokio::task::JoinSet;

/// Bytes of the first parts.
const PART_BYTES: usize = 8 << 20;
/// After so many parts their size doubles: 484 GiB lie within the 10,000 parts that S3 allows.
const PARTS_OF_A_SIZE: i32 = 2_000;
/// Most parts of an upload.
const MAX_PARTS: i32 = 10_000;
/// Parts on their way at once; one more is being filled.
const IN_FLIGHT: usize = 2;

/// A write under way. Holds at most `IN_FLIGHT + 1` parts in memory. Dropped, its parts stay invisible until the bucket's
/// lifecycle rule, or the sweeper, clears them away.
#[derive(Debug)]
pub struct S3Upload {
    objects: S3Objects,
    at: Location,
    filling: BytesMut,
    sum: Sum,
    multipart: Option<Multipart>,
}

#[derive(Debug)]
struct Multipart {
    id: String,
    begun: i32,
    sending: JoinSet<Result<CompletedPart, ObjectError>>,
    sent: Vec<CompletedPart>,
}

impl S3Upload {
    pub(super) fn new(objects: S3Objects, at: Location) -> Self {
        Self { objects, at, filling: BytesMut::new(), sum: Sum::default(), multipart: None }
    }

    /// Sends a part on its way, after room was made for it.
    async fn send_part(&mut self, body: Bytes) -> Result<(), ObjectError> {
        if self.multipart.is_none() {
            self.multipart = Some(Multipart::begin(&self.objects, &self.at).await?);
        }
        let Some(multipart) = &mut self.multipart else { unreachable!("it was begun just now") };
        while multipart.sending.len() >= IN_FLIGHT {
            multipart.land().await?;
        }
        multipart.begun += 1;
        if multipart.begun > MAX_PARTS {
            return Err(ObjectError::Unavailable(format!("{} is larger than an object can be", self.at)));
        }
        multipart.sending.spawn(send(
            self.objects.clone(),
            self.at.clone(),
            multipart.id.clone(),
            multipart.begun,
            body,
        ));
        Ok(())
    }

    /// Makes the parts one object, unless the key was taken.
    async fn join(&self, id: &str, parts: Vec<CompletedPart>) -> Result<(), ObjectError> {
        let complete = self.objects.client.complete_multipart_upload().bucket(&self.at.bucket).key(&self.at.key);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = complete.upload_id(id).multipart_upload(parts).if_none_match("*");
        match Box::pin(complete.send()).await {
            Ok(_) => Ok(()),
            Err(error) => match status(&error) {
                // Taken, or the upload is gone: by this very call, whose first answer was lost?
                Some(412 | 404) => match self.objects.settle(&self.at, &self.sum).await {
                    Err(ObjectError::NotFound(_)) => {
                        Err(ObjectError::Unavailable(format!("the upload to {} is gone", self.at)))
                    }
                    settled => settled,
                },
                // 409 asks for a new upload, for which the bytes are no longer here: the caller begins anew.
                _ => match fault(&self.at, &error) {
                    ObjectError::Denied(at) => Err(ObjectError::Denied(at)),
                    other => Err(ObjectError::Unavailable(other.to_string())),
                },
            },
        }
    }
}

impl UploadObject for S3Upload {
    async fn write(&mut self, piece: Bytes) -> Result<(), ObjectError> {
        self.sum.add(&piece);
        let mut piece = piece.as_ref();
        while !piece.is_empty() {
            let size = part_bytes(self.multipart.as_ref().map_or(0, |m| m.begun));
            let fits = piece.len().min(size - self.filling.len());
            self.filling.extend_from_slice(&piece[..fits]);
            piece = &piece[fits..];
            // A full part goes only once more follows: so an upload that fits in one part is one PUT.
            if self.filling.len() == size && !piece.is_empty() {
                let full = self.filling.split().freeze();
                self.send_part(full).await?;
            }
        }
        Ok(())
    }

    async fn complete(mut self) -> Result<(), ObjectError> {
        let rest = self.filling.split().freeze();
        if self.multipart.is_none() {
            return self.objects.create(&self.at, rest).await;
        }
        if !rest.is_empty() {
            self.send_part(rest).await?;
        }
        let Some(mut multipart) = self.multipart.take() else { unreachable!("it was begun before") };
        while !multipart.sending.is_empty() {
            multipart.land().await?;
        }
        let mut parts = std::mem::take(&mut multipart.sent);
        parts.sort_by_key(CompletedPart::part_number);
        let joined = self.join(&multipart.id, parts).await;
        if matches!(joined, Err(ObjectError::Occupied(_))) {
            multipart.abort(&self.objects, &self.at).await?;
        }
        joined
    }

    async fn abort(mut self) -> Result<(), ObjectError> {
        match self.multipart.take() {
            Some(multipart) => multipart.abort(&self.objects, &self.at).await,
            None => Ok(()),
        }
    }
}

impl Multipart {
    async fn begin(objects: &S3Objects, at: &Location) -> Result<Self, ObjectError> {
        let create = objects.client.create_multipart_upload().bucket(&at.bucket).key(&at.key);
        let create = create.checksum_algorithm(ChecksumAlgorithm::Crc32);
        let answer = Box::pin(create.send()).await.map_err(|error| fault(at, &error))?;
        let id = answer.upload_id.ok_or_else(|| ObjectError::Unavailable("an upload came without id".into()))?;
        Ok(Self { id, begun: 0, sending: JoinSet::new(), sent: Vec::new() })
    }

    /// Waits for one of the parts that are on their way.
    async fn land(&mut self) -> Result<(), ObjectError> {
        match self.sending.join_next().await {
            Some(Ok(part)) => self.sent.push(part?),
            Some(Err(error)) => return Err(ObjectError::Unavailable(format!("a part's task ended: {error}"))),
            None => {}
        }
        Ok(())
    }

    /// Frees the parts; none is on its way any more when they are freed.
    async fn abort(mut self, objects: &S3Objects, at: &Location) -> Result<(), ObjectError> {
        self.sending.shutdown().await;
        objects.abort_upload(at, &self.id).await
    }
}

async fn send(
    objects: S3Objects,
    at: Location,
    upload: String,
    number: i32,
    body: Bytes,
) -> Result<CompletedPart, ObjectError> {
    let part = objects.client.upload_part().bucket(&at.bucket).key(&at.key).upload_id(upload).part_number(number);
    let part = part.checksum_algorithm(ChecksumAlgorithm::Crc32).body(body.into());
    match Box::pin(part.send()).await {
        Ok(answer) => Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(answer.e_tag)
            .set_checksum_crc32(answer.checksum_crc32)
            .build()),
        Err(error) => Err(fault(&at, &error)),
    }
}

/// Bytes of the part after so many.
fn part_bytes(begun: i32) -> usize {
    PART_BYTES << (begun / PARTS_OF_A_SIZE).clamp(0, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_so_that_a_large_object_fits() {
        assert_eq!((part_bytes(0), part_bytes(1_999), part_bytes(2_000)), (8 << 20, 8 << 20, 16 << 20));
        let all: usize = (0..MAX_PARTS).map(part_bytes).sum();
        assert_eq!(all >> 30, 484);
    }
}
