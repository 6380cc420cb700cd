//! What can keep the stack from starting, one sentence each.

use std::io;
use std::path::{Path, PathBuf};

use crate::template::TemplateError;

/// A disk with less room than this is full: what failed for want of room has given some of it back.
const ROOM_BYTES: usize = 64 << 20;

/// Why the stack did not start. The display is the sentence for the person at the terminal; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The wished port belongs to another program.
    #[error("Port {port} is already in use; stop the program that has it, or choose another port.")]
    PortInUse {
        /// The port asked for.
        port: u16,
    },
    /// A loopback port could not be opened for another reason.
    #[error("Port {port} on the loopback address cannot be opened.")]
    Listen {
        /// The port asked for; 0 means any.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The data folder, or something in it, cannot be used.
    #[error("{} cannot be used: {}.", path.display(), meaning(source))]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another stack works on the same folder.
    #[error("The folder {} is used by another local stack that is running; stop it, or choose another folder.", path.display())]
    FolderInUse {
        /// The data folder.
        path: PathBuf,
    },
    /// The database file is damaged, of another program, or could not be written.
    #[error("The database {} cannot be opened; delete it to start afresh, or free disk space.", path.display())]
    Database {
        /// The SQLite file.
        path: PathBuf,
        /// What the emulator said.
        #[source]
        source: dynoxide::DynoxideError,
    },
    /// The template cannot be read or understood.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// An emulator refused a table, queue or bucket of the template.
    #[error("The {kind} {name} of the template cannot be created.")]
    Resource {
        /// Table, queue or bucket.
        kind: &'static str,
        /// Its physical name.
        name: String,
        /// What the emulator said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The stack needs one HTTP API to serve.
    #[error("The template has no HTTP API (AWS::ApiGatewayV2::Api); there is nothing to serve.")]
    NoApi,
    /// The path of this program, by which functions are started, is unknown.
    #[error("The path of this program is unknown, so no function can be started.")]
    NoProgram {
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StartError {
    /// The disk below a folder, if it is full: then this is the cause of whatever else has failed meanwhile.
    pub fn full_disk(folder: &Path) -> Option<Self> {
        let probe = folder.join("room");
        let written = std::fs::write(&probe, vec![0; ROOM_BYTES]);
        // What is left of the probe is of no use, and where it cannot be removed nothing is lost.
        drop(std::fs::remove_file(&probe));
        let full =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        written.err().filter(full).map(|source| Self::Folder { path: folder.to_owned(), source })
    }

    /// Gives an I/O error on `path` its meaning.
    pub fn folder(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Folder { path, source }
    }
}

fn meaning(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "this user may not read and write it",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full",
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "a file stands where a folder is needed",
        io::ErrorKind::NotFound => "it does not exist",
        // The kinds are open-ended; the source says the rest.
        _ => "the system refused it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_missing_right_read_as_sentences() {
        let full = StartError::folder(Path::new("/d"))(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.to_string(), "/d cannot be used: the disk is full.");
        let denied = StartError::folder(Path::new("/d"))(io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(denied.to_string(), "/d cannot be used: this user may not read and write it.");
    }
}
