//! What strangers, other writers and broken disks send: bodies of fuzz targets, which the tests here run over a corpus, changed
//! at random, and over data files damaged at every byte.
//!
//! A body takes any bytes. It panics where a promise is broken, and says nothing otherwise.
#![allow(clippy::unwrap_used)]

mod files;
pub mod sample;
mod texts;

pub use files::{Role, data_file, judge, plan};
pub use texts::{cursor, field_paths, is_accepted, name_mapping, queue_message, request_body};

/// A target: takes any bytes.
pub type Target = fn(&[u8]);

/// The targets by name, as their corpora are called.
pub const TARGETS: [(&str, Target); 7] = [
    ("cursor", cursor),
    ("data_file", data_file),
    ("field_paths", field_paths),
    ("name_mapping", name_mapping),
    ("plan", plan),
    ("queue_message", queue_message),
    ("request_body", request_body),
];
