//! The folder behind S3: s3s-fs, but for the beginning of an upload and the list of those under way.
//!
//! s3s-fs keeps what an upload began with in a file that is named by bucket, key and upload, and so refuses keys of more
//! than about 120 bytes. Here an upload begins under a short key, which nothing but that file is named by. And it does not
//! list uploads: here each has a note of its bucket and key beside s3s-fs's own file, as long as that is there.

use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The key that all uploads begin under.
const BEGINNING: &str = "upload";

/// The folder.
pub struct Files {
    objects: s3s_fs::FileSystem,
    folder: PathBuf,
}

/// What an upload was begun for.
#[derive(Serialize, Deserialize)]
struct Note {
    bucket: String,
    key: String,
}

impl Files {
    /// The objects in a folder.
    pub fn new(objects: s3s_fs::FileSystem, folder: &Path) -> Self {
        Self { objects, folder: folder.to_owned() }
    }

    fn note(&self, upload: &str) -> PathBuf {
        self.folder.join(format!(".note-{upload}.json"))
    }

    /// The uploads under way, each with what it is for. Notes of those that have ended are cleared away.
    fn uploads(&self) -> std::io::Result<Vec<(String, Note)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(id) = name.strip_prefix(".note-").and_then(|rest| rest.strip_suffix(".json")) else { continue };
            if !self.folder.join(format!(".upload-{id}.json")).exists() {
                std::fs::remove_file(entry.path()).ok();
            } else if let Ok(note) = serde_json::from_slice(&std::fs::read(entry.path())?) {
                found.push((id.to_owned(), note));
            }
        }
        Ok(found)
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> S3Error {
    S3Error::with_source(S3ErrorCode::InternalError, Box::new(error))
}

#[async_trait::async_trait]
impl S3 for Files {
    async fn create_multipart_upload(
        &self,
        mut request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let key = std::mem::replace(&mut request.input.key, BEGINNING.to_owned());
        let note = Note { bucket: request.input.bucket.clone(), key: key.clone() };
        let mut begun = self.objects.create_multipart_upload(request).await?;
        let id = begun.output.upload_id.as_deref().unwrap_or_default();
        std::fs::write(self.note(id), serde_json::to_vec(&note).map_err(failed)?).map_err(failed)?;
        begun.output.key = Some(key);
        Ok(begun)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let ListMultipartUploadsInput { bucket, prefix, .. } = request.input;
        let prefix = prefix.unwrap_or_default();
        let mut uploads = self.uploads().map_err(failed)?;
        uploads.retain(|(_, note)| note.bucket == bucket && note.key.starts_with(&prefix));
        uploads.sort_by(|(a, one), (b, other)| (&one.key, a).cmp(&(&other.key, b)));
        let upload = |(id, note): (String, Note)| MultipartUpload {
            key: Some(note.key),
            upload_id: Some(id),
            ..Default::default()
        };
        let uploads = uploads.into_iter().map(upload).collect();
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(bucket),
            prefix: Some(prefix),
            is_truncated: Some(false),
            uploads: Some(uploads),
            ..Default::default()
        }))
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        self.objects.create_bucket(request).await
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        self.objects.copy_object(request).await
    }

    async fn delete_bucket(&self, request: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.objects.delete_bucket(request).await
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.objects.delete_object(request).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.objects.delete_objects(request).await
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.objects.get_bucket_location(request).await
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.objects.get_object(request).await
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.objects.head_bucket(request).await
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.objects.head_object(request).await
    }

    async fn list_buckets(&self, request: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        self.objects.list_buckets(request).await
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
        self.objects.list_objects(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.objects.list_objects_v2(request).await
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.objects.put_object(request).await
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        self.objects.upload_part(request).await
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.objects.upload_part_copy(request).await
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.objects.list_parts(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.objects.complete_multipart_upload(request).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.objects.abort_multipart_upload(request).await
    }
}
