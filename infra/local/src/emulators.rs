//! DynamoDB, S3, SQS and Glue on loopback ports, so that the real SDK speaks the real wire protocol to them.
//!
//! State lies under one data folder: `dynamodb.sqlite` (tables, and Glue's catalog), `s3/<bucket>/<key>`. Queues are in
//! memory: their messages are lost at a stop, which the sweeper repairs as it repairs any lost message.

mod dynamodb;
mod glue;
mod s3;
mod sqs;

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::Path;

pub use dynamodb::DynamoDb;
pub use glue::Glue;
pub use s3::S3;
pub use sqs::{QueueError, Queues, Sqs};

use crate::StartError;
use crate::server::listen;

/// The region of everything local.
pub const REGION: &str = "us-east-1";
/// The account of everything local.
pub const ACCOUNT: &str = "123456789012";
/// The access key that the S3 emulator knows; the other emulators take any.
pub const ACCESS_KEY: &str = "local";
/// The secret of [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "local-secret";

/// All four emulators, running over one data folder.
#[derive(Debug)]
pub struct Emulators {
    /// Tables in a SQLite file.
    pub dynamodb: DynamoDb,
    /// Buckets as folders.
    pub s3: S3,
    /// Queues in memory.
    pub sqs: Sqs,
    /// The Iceberg catalog.
    pub glue: Glue,
    _claim: Claim,
}

/// A folder that no other stack uses, until this is dropped.
#[derive(Debug)]
struct Claim(File);

impl Drop for Claim {
    /// Closing the file is not enough: a process that is being started has it, too, until its program runs.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the data folder stays locked");
        }
    }
}

/// Starts the four emulators over `data`, which is made if absent, on ports that the kernel chooses.
pub async fn start_all(data: &Path) -> Result<Emulators, StartError> {
    let claim = claim(data)?;
    let dynamodb = DynamoDb::start(listen(0).await?, &data.join("dynamodb.sqlite"))?;
    let s3 = S3::start(listen(0).await?, &data.join("s3"))?;
    let sqs = Sqs::start(listen(0).await?)?;
    let glue = Glue::start(listen(0).await?, dynamodb.database())?;
    Ok(Emulators { dynamodb, s3, sqs, glue, _claim: claim })
}

impl Emulators {
    /// The environment variables by which an AWS SDK, or a function's process, finds the emulators.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_REGION", REGION.into()),
            ("AWS_DEFAULT_REGION", REGION.into()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.url()),
            ("AWS_ENDPOINT_URL_S3", self.s3.url()),
            ("AWS_ENDPOINT_URL_SQS", self.sqs.url()),
            ("AWS_ENDPOINT_URL_GLUE", self.glue.url()),
        ]
    }

    /// Stops all four; what is stored stays.
    pub async fn stop(self) {
        self.glue.stop().await;
        self.sqs.stop().await;
        self.s3.stop().await;
        self.dynamodb.stop().await;
    }
}

/// Makes the folder, checks that it can be written, and keeps other stacks out of it.
fn claim(data: &Path) -> Result<Claim, StartError> {
    fs::create_dir_all(data).map_err(StartError::folder(data))?;
    let path = data.join("lock");
    let mut file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(StartError::folder(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StartError::FolderInUse { path: data.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(StartError::Folder { path, source }),
    }
    // Writing something now finds a full disk before half of the stack has started.
    writeln!(file, "{}", std::process::id()).and_then(|()| file.sync_all()).map_err(StartError::folder(&path))?;
    Ok(Claim(file))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn two_stacks_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = start_all(folder.path()).await.unwrap();
        assert!(matches!(start_all(folder.path()).await, Err(StartError::FolderInUse { .. })));
        first.stop().await;
        start_all(folder.path()).await.unwrap().stop().await;
    }

    #[test]
    fn regression_a_folder_is_free_though_a_starting_process_still_has_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let claimed = claim(folder.path()).unwrap();
        let of_a_child = claimed.0.try_clone().unwrap();
        drop(claimed);
        claim(folder.path()).unwrap();
        drop(of_a_child);
    }

    #[tokio::test]
    async fn a_file_in_the_folders_place_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::write(&path, "").unwrap();
        let error = start_all(&path).await.unwrap_err().to_string();
        assert_eq!(error, format!("{} cannot be used: a file stands where a folder is needed.", path.display()));
    }
}
