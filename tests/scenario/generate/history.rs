//! What was committed to a dataset: files, deletes, and changes of its columns on the way.

use super::rows::{Table, comparable};
use crate::store::{Commit, Dataset, Equal, Evolution, Fields, File};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most commits of a dataset, and most files of a commit.
const COMMITS: usize = 3;
const FILES: usize = 2;

/// A commit that has not been fitted to the dataset's history yet.
#[derive(Clone, Debug)]
struct Drawn {
    files: Vec<(Option<usize>, Vec<Fields>)>,
    positions: Vec<Index>,
    equal: Vec<(usize, Vec<[Value; 2]>)>,
}

/// How a dataset's columns came to be what they are. All of it happens before the commit of that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    /// `x` is newer.
    Added,
    /// `n` was an int.
    Promoted,
    /// `x` was called `old`.
    Renamed,
    /// There was another `x` before.
    Replaced,
}

/// The columns that equality deletes compare.
const COMPARED: [&[&str]; 5] = [&["profileId"], &["x"], &["profileId", "n"], &["n"], &["ingestTime"]];

/// A dataset with its history.
pub(super) fn dataset(_: &str, table: Table) -> BoxedStrategy<Dataset> {
    let changes = [Change::None, Change::None, Change::Added, Change::Promoted, Change::Renamed, Change::Replaced];
    let change = (select(changes.to_vec()), 0..=COMMITS);
    let names: Vec<_> = (0..COMMITS * FILES).map(|n| format!("f{n}")).collect();
    let commits = vec(drawn(table), 0..=COMMITS);
    (commits, Just(names).prop_shuffle(), change, prop::bool::weighted(0.2), prop::bool::weighted(0.2))
        .prop_map(move |(commits, names, (change, at), otherwise, bare)| {
            let mut made = fitted(table, commits, names, change, at);
            // A name that was two columns tells neither.
            made.bare = bare && change != Change::Replaced;
            if otherwise { called_otherwise(made) } else { made }
        })
        .boxed()
}

fn drawn(table: Table) -> impl Strategy<Value = Drawn> {
    let file = (prop::option::weighted(0.3, 1..3usize), vec(table.row(), 1..5));
    let on = 0..COMPARED.len();
    let equal = on.prop_flat_map(|on| {
        let value = |i: usize| comparable(COMPARED[on].get(i).unwrap_or(&"x"));
        (Just(on), vec([value(0), value(1)], 1..3))
    });
    let positions = prop_oneof![2 => Just(Vec::new()), 1 => vec(any::<Index>(), 1..3)];
    let equal = prop_oneof![3 => Just(Vec::new()), 1 => vec(equal, 1..2)];
    (vec(file, 0..=FILES), positions, equal).prop_map(|(files, positions, equal)| Drawn { files, positions, equal })
}

fn fitted(table: Table, drawn: Vec<Drawn>, names: Vec<String>, change: Change, at: usize) -> Dataset {
    let change = if change == Change::Promoted && table.columns()["n"] != "long" { Change::None } else { change };
    let (columns, evolution) = before(table.columns(), change);
    let mut names = names.into_iter();
    let (mut rows, mut commits) = (Vec::new(), Vec::new());
    for (number, drawn) in drawn.into_iter().enumerate() {
        let early = number < at;
        let mut commit = Commit::default();
        if number == at {
            commit.columns = evolution.clone();
        }
        for (group, drawn) in drawn.files {
            let file = names.next().unwrap();
            rows.extend((0..drawn.len()).map(|row| (file.clone(), row)));
            let drawn = drawn.into_iter().map(|row| if early { as_before(row, change) } else { row });
            commit.append.push(File { file, group, rows: drawn.collect() });
        }
        if !rows.is_empty() {
            commit.positions = drawn.positions.iter().map(|at| at.get(&rows).clone()).collect();
        }
        commit.equal = drawn.equal.into_iter().map(|(on, rows)| equal(on, rows, early, change)).collect();
        commits.push(commit);
    }
    if commits.len() <= at {
        commits.push(Commit { columns: evolution, ..Commit::default() });
    }
    let kind = table.kind().to_owned();
    Dataset { kind, columns, names: BTreeMap::new(), unique: false, bare: false, buckets: None, commits }
}

/// The columns before the change, and the change.
fn before(mut columns: Fields, change: Change) -> (Fields, Vec<Evolution>) {
    let x = || json!({"x": "string"}).as_object().unwrap().clone();
    let evolution = match change {
        Change::None => return (columns, Vec::new()),
        Change::Added => {
            columns.remove("x");
            vec![Evolution::Add(x())]
        }
        Change::Promoted => {
            columns["n"] = json!("int");
            vec![Evolution::Promote("n".into(), json!("long"))]
        }
        Change::Renamed => {
            columns.remove("x");
            columns.insert("old".into(), json!("string"));
            vec![Evolution::Rename("old".into(), "x".into())]
        }
        Change::Replaced => vec![Evolution::Drop("x".into()), Evolution::Add(x())],
    };
    (columns, evolution)
}

/// A row as it was before the change.
fn as_before(mut row: Fields, change: Change) -> Fields {
    match change {
        Change::None | Change::Promoted | Change::Replaced => {}
        Change::Added => drop(row.remove("x")),
        Change::Renamed => {
            if let Some(value) = row.remove("x") {
                row.insert("old".into(), value);
            }
        }
    }
    row
}

/// An equality delete. Before the change it compares no `x`, which is not yet that of the end.
fn equal(on: usize, rows: Vec<[Value; 2]>, early: bool, change: Change) -> Equal {
    let compares_x = COMPARED[on].contains(&"x");
    let unfit = compares_x && early && change != Change::None && change != Change::Promoted;
    let on: Vec<String> = if unfit { vec!["n".into()] } else { COMPARED[on].iter().map(|c| (*c).to_owned()).collect() };
    let row = |values: [Value; 2]| {
        let values = values.into_iter().map(|v| if unfit { json!(1) } else { v });
        on.iter().cloned().zip(values).collect()
    };
    Equal { rows: rows.into_iter().map(row).collect(), on: on.clone(), bucket: None }
}

/// The same dataset whose table has names of its own.
fn called_otherwise(mut dataset: Dataset) -> Dataset {
    let names =
        [("profileId", "customer"), ("ingestTime", "updated"), ("identityMap", "ids"), ("timestamp", "happened")];
    let named = |name: &str| names.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, own)| own).to_owned();
    let renamed = |fields: &Fields| fields.iter().map(|(name, v)| (named(name), v.clone())).collect::<Fields>();
    dataset.columns = renamed(&dataset.columns);
    for commit in &mut dataset.commits {
        commit.append.iter_mut().flat_map(|f| &mut f.rows).for_each(|row| *row = renamed(row));
        for equal in &mut commit.equal {
            equal.on = equal.on.iter().map(|name| named(name)).collect();
            equal.rows.iter_mut().for_each(|row| *row = renamed(row));
        }
    }
    let used = names.iter().filter(|(ours, _)| *ours != "timestamp" || dataset.kind == "event");
    dataset.names = used.map(|(ours, own)| ((*ours).to_owned(), (*own).to_owned())).collect();
    dataset
}
