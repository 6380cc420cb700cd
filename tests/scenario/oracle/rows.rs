//! The live rows of datasets, under the names that exports have, after everything that was committed.

use crate::store::{Commit, Dataset, Equal, Evolution, Fields, Store, bucket_of};
use crate::types::{Type, micros};
use serde_json::{Value, json};
use std::cmp::Reverse;

/// The columns that have a name of ours.
const OURS: [&str; 5] = ["profileId", "ingestTime", "identityMap", "segmentMembership", "timestamp"];

/// A fragment or an event.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub dataset: String,
    pub file: String,
    pub position: usize,
    bucket: Option<u32>,
    pub values: Fields,
}

impl Row {
    /// A column's value; null where there is none.
    pub(super) fn get(&self, column: &str) -> Value {
        self.values.get(column).cloned().unwrap_or_default()
    }

    /// Later ingestion sorts first, and none at all last.
    pub(super) fn time_rank(&self) -> Reverse<Option<i64>> {
        Reverse(micros(&self.get("ingestTime")))
    }
}

/// The rows of the datasets of a kind that take part.
pub(super) fn load(store: &Store, kind: &str, takes: impl Fn(&str) -> bool) -> Vec<Row> {
    let wanted = store.datasets.iter().filter(|(id, d)| d.kind == kind && takes(id));
    wanted.flat_map(|(id, dataset)| rows_of(id, dataset, store.buckets_of(dataset))).collect()
}

/// The union of the columns of the profile datasets that take part.
pub(super) fn profile_type(store: &Store, takes: impl Fn(&str) -> bool) -> Type {
    let ours = json!({
        "profileId": "string",
        "ingestTime": "timestamptz",
        "identityMap": {"*": [{"id": "string", "authenticatedState": "string", "primary": "boolean"}]},
        "segmentMembership": {"*": {"*": {"lastQualificationTime": "timestamptz", "status": "string"}}},
    });
    let of_kind = store.datasets.iter().filter(|(id, d)| d.kind == "profile" && takes(id)).map(|(_, d)| d);
    union(Type::read(&ours), of_kind)
}

/// The union of the columns of the event datasets.
pub(super) fn event_type(store: &Store) -> Type {
    union(Type::Struct(Vec::new()), store.datasets.values().filter(|d| d.kind == "event"))
}

fn union<'s>(base: Type, datasets: impl Iterator<Item = &'s Dataset>) -> Type {
    datasets.fold(base, |all, dataset| {
        let named = columns_of(dataset).into_iter().filter_map(|(name, t)| Some((exported(dataset, &name)?, t)));
        unite(all, Type::Struct(named.collect()))
    })
}

/// Both types in one. Numbers and decimals are the same in JSON, however wide they are.
fn unite(one: Type, other: Type) -> Type {
    match (one, other) {
        (Type::Struct(mut fields), Type::Struct(more)) => {
            for (name, t) in more {
                match fields.iter().position(|(n, _)| *n == name) {
                    Some(at) => fields[at].1 = unite(fields[at].1.clone(), t),
                    None => fields.push((name, t)),
                }
            }
            Type::Struct(fields)
        }
        (Type::List(one), Type::List(other)) => Type::List(Box::new(unite(*one, *other))),
        (Type::Map(one), Type::Map(other)) => Type::Map(Box::new(unite(*one, *other))),
        (one, _) => one,
    }
}

/// The columns as the table has them in the end.
fn columns_of(dataset: &Dataset) -> Vec<(String, Type)> {
    let read = |fields: &Fields| fields.iter().map(|(n, t)| (n.clone(), Type::read(t))).collect::<Vec<_>>();
    let mut columns = read(&dataset.columns);
    for change in dataset.commits.iter().flat_map(|c| &c.columns) {
        match change {
            Evolution::Add(more) => columns.extend(read(more)),
            Evolution::Rename(old, new) => {
                columns.iter_mut().filter(|(n, _)| n == old).for_each(|(n, _)| *n = new.clone())
            }
            Evolution::Promote(name, t) => {
                columns.iter_mut().filter(|(n, _)| n == name).for_each(|(_, old)| *old = Type::read(t));
            }
            Evolution::Drop(name) => columns.retain(|(n, _)| n != name),
        }
    }
    columns
}

fn rows_of(id: &str, dataset: &Dataset, buckets: Option<u32>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (n, commit) in dataset.commits.iter().enumerate() {
        let profile_id = dataset.profile_id_after(n + 1);
        for change in &commit.columns {
            change_rows(&mut rows, change);
        }
        for equal in &commit.equal {
            rows.retain(|row| !is_deleted(row, equal));
        }
        for file in &commit.append {
            rows.extend(file.rows.iter().enumerate().map(|(position, values)| Row {
                dataset: id.to_owned(),
                file: file.file.clone(),
                position,
                bucket: bucket_of(buckets, values.get(profile_id).unwrap_or(&Value::Null)),
                values: values.clone(),
            }));
        }
        delete_positions(&mut rows, commit);
    }
    for row in &mut rows {
        let values = std::mem::take(&mut row.values);
        row.values = values.into_iter().filter_map(|(name, v)| Some((exported(dataset, &name)?, v))).collect();
    }
    rows
}

fn change_rows(rows: &mut [Row], change: &Evolution) {
    for row in rows {
        match change {
            Evolution::Add(_) | Evolution::Promote(..) => {}
            Evolution::Rename(old, new) => {
                if let Some(value) = row.values.remove(old) {
                    row.values.insert(new.clone(), value);
                }
            }
            Evolution::Drop(name) => drop(row.values.remove(name)),
        }
    }
}

fn delete_positions(rows: &mut Vec<Row>, commit: &Commit) {
    rows.retain(|row| !commit.positions.iter().any(|(file, at)| *file == row.file && *at == row.position));
}

/// Whether one of the delete file's rows has the same values; null equals null.
fn is_deleted(row: &Row, equal: &Equal) -> bool {
    let here = equal.bucket.is_none() || equal.bucket == row.bucket;
    let value = |fields: &Fields, column: &str| fields.get(column).cloned().unwrap_or_default();
    here && equal.rows.iter().any(|deleted| equal.on.iter().all(|c| value(deleted, c) == value(&row.values, c)))
}

/// What exports call a table's column; `None` where another column has been mapped to that name.
fn exported(dataset: &Dataset, column: &str) -> Option<String> {
    let in_table = |ours: &str| dataset.names.get(ours).cloned().unwrap_or_else(|| ours.to_owned());
    match OURS.iter().find(|ours| in_table(ours) == column) {
        Some(ours) => Some((*ours).to_owned()),
        None => (!OURS.contains(&column)).then(|| column.to_owned()),
    }
}
