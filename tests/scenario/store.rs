//! A sandbox as JSON: its datasets with everything that was ever committed to them, its policies and segments. What a
//! failing case prints is this, and a regression test is made of it. Both the tables and the oracle's rows come from here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The fields of a record.
pub type Fields = Map<String, Value>;

/// A sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Store {
    /// `bucket(N, profileId)` of every source table; `None` = they are not partitioned.
    pub buckets: Option<u32>,
    /// Profile and event datasets by id. The export dataset is always there and is called `exports`.
    pub datasets: BTreeMap<String, Dataset>,
    /// Merge policies, as the registry has them.
    pub policies: Vec<Value>,
    /// Segments, as the registry has them.
    pub segments: Vec<Value>,
    /// Bytes of a part, where data can be cut; `None` = all of it in one.
    pub part_bytes: Option<u64>,
    /// Bytes of what the engine knows about rows that it merges, where they are not the default's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_bytes: Option<u64>,
    /// Whether no worker ever has the time for a part, so that each is halved until it cannot be any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hurried: bool,
    /// Whether the export dataset is older than the columns of its sources, so that it has to gain them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub old_exports: bool,
}

/// A dataset and its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dataset {
    /// `profile` or `event`.
    pub kind: String,
    /// The columns that the table is created with: name to type, in the short form of [`crate::types::Type`].
    pub columns: Fields,
    /// What the table calls our columns, where it does otherwise: `{"ingestTime": "updated"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, String>,
    /// `uniqueProfiles`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unique: bool,
    /// Whether no file of it carries field ids, as those that a table took over. The table has a name mapping then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare: bool,
    /// Buckets, where they are not the store's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<u32>,
    /// What was committed, in order.
    #[serde(default)]
    pub commits: Vec<Commit>,
}

/// Changes of the columns, and then one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Commit {
    /// Changes of the columns, one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Evolution>,
    /// Data files; none of them without rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub append: Vec<File>,
    /// Position deletes: which row of which file. They hold for files of the same commit as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<(String, usize)>,
    /// Equality deletes. They hold for files of earlier commits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub equal: Vec<Equal>,
}

/// A change of a table's columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Evolution {
    /// Columns more.
    Add(Fields),
    /// A column under another name.
    Rename(String, String),
    /// A column of a wider type.
    Promote(String, Value),
    /// A column less.
    Drop(String),
}

/// A data file. In a bucketed table it is one file for each bucket that it has rows of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// The start of its name, unique in the dataset: files lie in the order of their names.
    pub file: String,
    /// Rows of a row group; absent = one row group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
    /// The rows.
    pub rows: Vec<Fields>,
}

/// An equality delete file, in every bucket or in one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Equal {
    /// The columns that are compared.
    pub on: Vec<String>,
    /// Their values.
    pub rows: Vec<Fields>,
    /// The one bucket whose rows are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<u32>,
}

impl Store {
    /// Reads a sandbox.
    pub fn read(value: Value) -> Self {
        serde_json::from_value(value).unwrap()
    }

    /// The buckets of one of its datasets.
    pub fn buckets_of(&self, dataset: &Dataset) -> Option<u32> {
        dataset.buckets.or(self.buckets)
    }
}

impl Dataset {
    /// What the table calls the profile's id, after its first so many commits.
    pub fn profile_id_after(&self, commits: usize) -> &str {
        let mut name = self.names.get("profileId").map_or("profileId", String::as_str);
        for change in self.commits[commits..].iter().flat_map(|c| &c.columns).rev() {
            match change {
                Evolution::Rename(old, new) if new == name => name = old,
                _ => {}
            }
        }
        name
    }
}

/// The bucket of a row, where there are buckets. One without an id lies in the first, where it should not.
pub fn bucket_of(buckets: Option<u32>, profile_id: &Value) -> Option<u32> {
    buckets.map(|n| profile_id.as_str().map_or(0, |id| lake::bucket_of(n, id)))
}
