//! Why a part could not be exported.

use domain::ports::objects::ObjectError;
use parquet::errors::ParquetError;
use std::error::Error;

/// Why a part could not be exported. Whatever the kind, nothing of the attempt is left behind where the store allows it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A data file is unreadable, or its contents are not what the table's schema says. Trying again does not help.
    #[error("the data file {location} cannot be exported: {meaning}")]
    Input {
        /// The file.
        location: String,
        /// What is wrong with it; a clause without personal data.
        meaning: String,
        /// The decoder's own words, for logs.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The caller asked to stop.
    #[error("the export was stopped")]
    Stopped,
    /// The source or the target table is of a form that the engine does not handle.
    #[error("{0}")]
    Unsupported(String),
    /// The rows could not be encoded: a fault of this engine.
    #[error("the rows could not be encoded")]
    Encode(#[source] ParquetError),
}

impl EngineError {
    /// A file whose contents are not as they should be.
    pub(crate) fn input(location: &str, meaning: impl Into<String>) -> Self {
        Self::Input { location: location.to_owned(), meaning: meaning.into(), source: None }
    }

    /// A failure on reading a file: the store's, or else the file's own, for which `meaning` stands.
    pub(crate) fn reading(location: &str, meaning: &str, error: ParquetError) -> Self {
        let source: Box<dyn Error + Send + Sync> = match error {
            ParquetError::External(inner) => match inner.downcast::<ObjectError>() {
                Ok(objects) => return Self::Objects(*objects),
                Err(other) => other,
            },
            other => Box::new(other),
        };
        Self::Input { location: location.to_owned(), meaning: meaning.to_owned(), source: Some(source) }
    }
}
