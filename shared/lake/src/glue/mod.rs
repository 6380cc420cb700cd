//! Glue's Data Catalog, as far as Iceberg tables need it.

mod columns;
mod http;

pub use http::Glue;

use crate::error::Source;
use domain::plan::TableName;
use iceberg::spec::TableMetadata;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;

/// Table parameter: which kind of table an external table is.
const TABLE_TYPE: &str = "table_type";
/// Table parameter: the metadata file that is current.
const METADATA_LOCATION: &str = "metadata_location";
/// Table parameter: the metadata file that was current before.
const PREVIOUS_METADATA_LOCATION: &str = "previous_metadata_location";

/// Why a catalog call failed. The source's own text is for logs only.
#[derive(Debug, thiserror::Error)]
pub enum GlueError {
    /// There is no such database or table.
    #[error("the catalog has no such database or table")]
    NotFound,
    /// There is one of that name already.
    #[error("the catalog has one of that name already")]
    AlreadyExists,
    /// The table is no longer at that version; nothing was changed.
    #[error("the table is no longer at that version")]
    VersionMismatch,
    /// The catalog forbids it.
    #[error("the catalog denies access")]
    Denied(#[source] Source),
    /// The catalog did not answer, or asked to come later. Whether a write took effect is unknown.
    #[error("the catalog is unavailable")]
    Unavailable(#[source] Source),
    /// The catalog takes the request for wrong.
    #[error("the catalog refuses the request as invalid")]
    Invalid(#[source] Source),
}

/// A database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Database {
    /// The name; Glue folds it to lower case.
    pub name: String,
    /// The folder of its tables, `s3://bucket/key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_uri: Option<String>,
    /// Properties.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

/// A table as the catalog keeps it, at one of its versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GlueTable {
    /// The version; every update draws another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// What was written.
    #[serde(flatten)]
    pub input: TableInput,
}

/// A table as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TableInput {
    /// The name; Glue folds it to lower case.
    pub name: String,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// `EXTERNAL_TABLE` for Iceberg tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_type: Option<String>,
    /// Properties; an Iceberg table's metadata file is one of them.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Columns and folder, for display only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_descriptor: Option<StorageDescriptor>,
}

/// Columns and folder of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StorageDescriptor {
    /// Columns with Hive's types.
    #[serde(default)]
    pub columns: Vec<Column>,
    /// The table's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// A column, for display only: the schema that counts is in the metadata file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Column {
    /// The name.
    pub name: String,
    /// Hive's name of the type.
    #[serde(default, rename = "Type")]
    pub kind: String,
    /// `iceberg.field.id`, `.optional` and `.current`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

impl GlueTable {
    /// The current metadata file; `None` where the table is no Iceberg table.
    pub fn metadata_location(&self) -> Option<&str> {
        let kind = self.input.parameters.get(TABLE_TYPE)?;
        kind.eq_ignore_ascii_case("iceberg").then(|| self.input.parameters.get(METADATA_LOCATION))?.map(String::as_str)
    }

    /// The metadata file before that, as whoever moved the table said.
    pub fn previous_metadata_location(&self) -> Option<&str> {
        self.input.parameters.get(PREVIOUS_METADATA_LOCATION).map(String::as_str)
    }
}

impl TableInput {
    /// A new Iceberg table's entry.
    pub fn new(name: &str, metadata: &TableMetadata, metadata_location: &str) -> Self {
        let bare = Self { name: name.into(), ..Self::default() };
        bare.pointing_at(metadata, metadata_location)
    }

    /// This entry, moved on to another metadata file. What others wrote beside it stays.
    pub fn pointing_at(mut self, metadata: &TableMetadata, metadata_location: &str) -> Self {
        let previous = self.parameters.insert(METADATA_LOCATION.into(), metadata_location.into());
        if let Some(previous) = previous {
            self.parameters.insert(PREVIOUS_METADATA_LOCATION.into(), previous);
        }
        self.parameters.insert(TABLE_TYPE.into(), "ICEBERG".into());
        self.table_type = Some("EXTERNAL_TABLE".into());
        self.storage_descriptor = Some(StorageDescriptor {
            columns: columns::of(metadata),
            location: Some(metadata.location().trim_end_matches('/').into()),
        });
        self
    }
}

/// The catalog's calls, one request each.
pub trait GlueApi: Clone + Debug + Send + Sync + 'static {
    /// A database by name.
    fn database(&self, name: &str) -> impl Future<Output = Result<Database, GlueError>> + Send;

    /// Creates a database.
    fn create_database(&self, database: &Database) -> impl Future<Output = Result<(), GlueError>> + Send;

    /// A table with its current version.
    fn table(&self, name: &TableName) -> impl Future<Output = Result<GlueTable, GlueError>> + Send;

    /// All tables of a database, Iceberg or not.
    fn tables(&self, database: &str) -> impl Future<Output = Result<Vec<GlueTable>, GlueError>> + Send;

    /// Creates a table.
    fn create_table(&self, database: &str, input: &TableInput) -> impl Future<Output = Result<(), GlueError>> + Send;

    /// Replaces a table's entry, if it still is at that version. Is sent once: [`GlueError::VersionMismatch`] means that
    /// this very call changed nothing.
    fn update_table(
        &self,
        database: &str,
        input: &TableInput,
        version_id: &str,
    ) -> impl Future<Output = Result<(), GlueError>> + Send;
}
