//! What failures mean: Iceberg's errors, and what lies beneath them, in the terms of the lake's port.

use crate::glue::GlueError;
use domain::plan::TableName;
use domain::ports::lake::LakeError;
use domain::ports::objects::ObjectError;
use iceberg::ErrorKind;
use std::error::Error;

pub(crate) use domain::ports::lake::Source;

/// A table that we cannot serve, in one sentence for the user. Travels as the source of an Iceberg error.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(pub(crate) String);

impl From<Refusal> for iceberg::Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::FeatureUnsupported, "refused").with_source(refusal)
    }
}

/// A metadata file that could not be read, by its name. Travels as the source of an Iceberg error.
#[derive(Debug, thiserror::Error)]
#[error("the metadata file {name} cannot be read")]
struct InFile {
    name: String,
    #[source]
    cause: iceberg::Error,
}

/// The error, of the metadata file at that path.
pub(crate) fn in_file(path: &str, cause: iceberg::Error) -> iceberg::Error {
    let name = file_name(path).to_owned();
    iceberg::Error::new(cause.kind(), "a metadata file cannot be read").with_source(InFile { name, cause })
}

/// A file's name without the way to it, which is nobody's business.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// What an error about that table means.
pub(crate) fn lake_error(table: &TableName, error: iceberg::Error) -> LakeError {
    if let Some(Refusal(sentence)) = beneath(&error) {
        return LakeError::Unsupported(sentence.clone());
    }
    if let Some(cause) = beneath::<GlueError>(&error) {
        return match cause {
            GlueError::NotFound => LakeError::NoTable(table.clone()),
            GlueError::Denied(_) => LakeError::Denied(table.clone(), Box::new(error)),
            GlueError::Unavailable(_) | GlueError::VersionMismatch => LakeError::Unavailable(Box::new(error)),
            GlueError::AlreadyExists => LakeError::Unsupported(format!("{table} exists already")),
            GlueError::Invalid(_) => {
                tracing::error!(error = &error as &dyn Error, "the catalog takes a request for invalid");
                LakeError::Unsupported(format!("the catalog refuses what was asked of {table} as invalid"))
            }
        };
    }
    if let Some(cause) = beneath::<ObjectError>(&error) {
        return match cause {
            ObjectError::Denied(_) => LakeError::Denied(table.clone(), Box::new(error)),
            ObjectError::NotFound(_) => damaged(table, "is gone", error),
            // Names of metadata files are drawn afresh: the next attempt has others.
            ObjectError::Unavailable(_) | ObjectError::Occupied(_) => LakeError::Unavailable(Box::new(error)),
        };
    }
    match error.kind() {
        ErrorKind::TableNotFound | ErrorKind::NamespaceNotFound => LakeError::NoTable(table.clone()),
        ErrorKind::FeatureUnsupported => {
            tracing::error!(error = &error as &dyn Error, "an Iceberg feature is not supported");
            LakeError::Unsupported(format!("{table} uses a feature of Iceberg that is not supported"))
        }
        _ => damaged(table, "is damaged", error),
    }
}

/// Metadata that cannot be read; `how` says what is wrong with the file.
fn damaged(table: &TableName, how: &str, error: iceberg::Error) -> LakeError {
    let what = match beneath::<InFile>(&error) {
        Some(InFile { name, .. }) => format!("its file {name} {how}"),
        None => "it contradicts itself".into(),
    };
    LakeError::Damaged(table.clone(), what, Box::new(error))
}

/// The first error of that type on the way down to the cause.
fn beneath<E: Error + 'static>(error: &iceberg::Error) -> Option<&E> {
    std::iter::successors(error.source(), |e| (*e).source()).find_map(|e| e.downcast_ref())
}
