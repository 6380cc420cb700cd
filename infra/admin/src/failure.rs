//! Why a command failed: one clear sentence each.

use crate::api::ApiError;
use crate::yaml::Finding;
use domain::ports::jobs::StoreError;
use domain::ports::lake::LakeError;
use domain::ports::objects::ObjectError;

/// Why a command failed. Displays as what a person should read; the source is for who wants to dig.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something that the caller gave is wrong; the sentence says what to do.
    #[error("{0}")]
    Sentence(String),
    /// Everything that is wrong with a registry file, or with it against its tables.
    #[error("the registry was refused:{}", lines(.0))]
    Findings(Vec<Finding>),
    /// A file of this machine could not be read or written.
    #[error("{path}: {reason}.")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The registry's store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog or a table.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The object store.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The API.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl Failure {
    /// A sentence.
    pub fn say(sentence: impl Into<String>) -> Self {
        Self::Sentence(sentence.into())
    }

    /// A file of this machine.
    pub fn file(path: &std::path::Path, reason: std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), reason }
    }
}

fn lines(found: &[Finding]) -> String {
    found.iter().map(|f| format!("\n  {f}")).collect()
}
