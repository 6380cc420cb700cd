//! The fuzz targets over their corpora, as they stand and changed at random. `PROPTEST_CASES=1000000` changes them more often.
//!
//! What a fuzzer finds goes into the corpus, under a name that says what it is.
#![allow(clippy::unwrap_used)]

use hostile::{TARGETS, Target, is_accepted, sample};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// A target's corpus by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder().join(target)).unwrap().map(|file| file.unwrap().path());
    let mut read: Vec<_> =
        files.map(|at| (at.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&at).unwrap())).collect();
    read.sort();
    assert!(!read.is_empty(), "{target} has no corpus");
    read
}

#[test]
fn every_target_has_a_corpus() {
    let names = |folder: PathBuf| -> BTreeSet<String> {
        fs::read_dir(folder)
            .unwrap()
            .map(|at| at.unwrap().path().file_stem().unwrap().to_str().unwrap().into())
            .collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).into()).collect();
    assert_eq!(names(folder()), targets);
}

/// `UPDATE_CORPUS=1` writes it anew.
#[test]
fn the_corpus_holds_the_sample_files() {
    for (name, body) in sample::files() {
        let at = folder().join("data_file").join(name);
        if std::env::var_os("UPDATE_CORPUS").is_some() {
            fs::write(&at, &body).unwrap();
        }
        assert_eq!(fs::read(&at).unwrap(), body, "{name}");
    }
}

#[test]
fn the_corpus_has_requests_that_are_accepted_and_such_as_are_not() {
    let accepted = corpus("request_body").into_iter().filter(|(_, bytes)| is_accepted(bytes)).map(|(name, _)| name);
    assert_eq!(accepted.collect::<Vec<_>>(), ["policy_of_unknown", "smallest", "whole"]);
}

#[test]
fn the_corpus_breaks_nothing() {
    for (target, run) in TARGETS {
        for (name, bytes) in corpus(target) {
            println!("{target}/{name}");
            run(&bytes);
        }
    }
}

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// From there on it is as another of the corpus is from there on.
    Splice(Index, Index, Index),
    Repeat(Index, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    // Bytes that mean something in JSON, in paths and in footers.
    let byte = prop_oneof![any::<u8>(), prop::sample::select(&b"\"\\{}[]:,._#/*0-9e \x00\x80\xff"[..])];
    prop_oneof![
        (at(), byte.clone()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (at(), prop::collection::vec(byte, 1..8)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (at(), 1..64usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        (at(), at(), at()).prop_map(|(at, other, from)| Edit::Splice(at, other, from)),
        (at(), 1..16usize, 2..40usize).prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
    ]
}

fn edited(corpus: &[(String, Vec<u8>)], seed: Index, edits: &[Edit]) -> Vec<u8> {
    let mut bytes = seed.get(corpus).1.clone();
    for edit in edits {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match edit {
            Edit::Set(at, byte) => {
                let at = place(at);
                bytes.splice(at..(at + 1).min(bytes.len()), [*byte]);
            }
            Edit::Insert(at, more) => {
                let at = place(at);
                bytes.splice(at..at, more.iter().copied());
            }
            Edit::Remove(at, length) => {
                let at = place(at);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Edit::Splice(at, other, from) => {
                let other = &other.get(corpus).1;
                bytes.truncate(place(at));
                bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
            Edit::Repeat(at, length, times) => {
                let at = place(at);
                let piece = bytes[at..(at + length).min(bytes.len())].repeat(*times);
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

fn changes_break_nothing(target: &str, run: Target) {
    let corpus = corpus(target);
    proptest!(|(seed: Index, edits in prop::collection::vec(edit(), 1..6))| run(&edited(&corpus, seed, &edits)));
}

#[test]
fn a_changed_request_body_breaks_nothing() {
    changes_break_nothing("request_body", hostile::request_body);
}

#[test]
fn a_changed_cursor_breaks_nothing() {
    changes_break_nothing("cursor", hostile::cursor);
}

#[test]
fn changed_field_paths_break_nothing() {
    changes_break_nothing("field_paths", hostile::field_paths);
}

#[test]
fn a_changed_name_mapping_breaks_nothing() {
    changes_break_nothing("name_mapping", hostile::name_mapping);
}

#[test]
fn a_changed_queue_message_breaks_nothing() {
    changes_break_nothing("queue_message", hostile::queue_message);
}

#[test]
fn a_changed_plan_breaks_nothing() {
    changes_break_nothing("plan", hostile::plan);
}

#[test]
fn a_changed_data_file_breaks_nothing() {
    changes_break_nothing("data_file", hostile::data_file);
}
