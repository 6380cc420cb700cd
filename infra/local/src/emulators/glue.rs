//! A small Glue catalog: databases and tables, with the `VersionId` comparison on UpdateTable that a commit relies on.
//!
//! The state lies in the local DynamoDB, so that it survives a restart and every write is one conditional write.

mod store;

use std::fmt;

use bytes::Bytes;
use chrono::Utc;
use dynoxide::Database;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use super::ACCOUNT;
use crate::StartError;
use crate::server::{Server, json as json_answer};
use store::{Conflict, Store};

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// The running emulator.
#[derive(Debug)]
pub struct Glue {
    server: Server,
}

impl Glue {
    /// Serves the catalog kept in `database` on `listener`.
    pub fn start(listener: TcpListener, database: Database) -> Result<Self, StartError> {
        let store = Store::open(database).map_err(|source| StartError::Resource {
            kind: "table",
            name: store::TABLE.to_owned(),
            source: source.into(),
        })?;
        let catalog = Catalog { store };
        let server = Server::start(listener, move |request| answer(catalog.clone(), request))
            .map_err(|source| StartError::Listen { port: 0, source })?;
        Ok(Self { server })
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Stops serving; the catalog stays.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

async fn answer(catalog: Catalog, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix("AWSGlue.").unwrap_or_default().to_owned();
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let answered = match serde_json::from_slice(&body) {
        Ok(input) => catalog.call(&operation, &input),
        Err(_) => Err(Refusal::Invalid("The request is not JSON.".to_owned())),
    };
    match answered {
        Ok(output) => json_answer(StatusCode::OK, CONTENT_TYPE, output.to_string()),
        Err(refusal) => {
            let status = match refusal {
                Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            let body = json!({ "__type": refusal.kind(), "Message": refusal.to_string() });
            json_answer(status, CONTENT_TYPE, body.to_string())
        }
    }
}

/// What Glue answers instead of doing it.
#[derive(Debug)]
enum Refusal {
    NotFound(&'static str, String),
    AlreadyExists(&'static str, String),
    ConcurrentModification,
    Invalid(String),
    UnknownOperation(String),
    Internal,
}

impl Refusal {
    fn kind(&self) -> &'static str {
        match self {
            Self::NotFound(..) => "EntityNotFoundException",
            Self::AlreadyExists(..) => "AlreadyExistsException",
            Self::ConcurrentModification => "ConcurrentModificationException",
            Self::Invalid(_) => "InvalidInputException",
            Self::UnknownOperation(_) => "UnknownOperationException",
            Self::Internal => "InternalServiceException",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(what, name) => write!(f, "{what} {name} not found."),
            Self::AlreadyExists(what, name) => write!(f, "{what} {name} already exists."),
            Self::ConcurrentModification => f.write_str(
                "Update table failed due to concurrent modifications: the VersionId is not the current one.",
            ),
            Self::Invalid(message) => f.write_str(message),
            Self::UnknownOperation(name) => write!(f, "The local Glue does not know the operation {name}."),
            Self::Internal => f.write_str("The local Glue could not reach its store."),
        }
    }
}

impl From<dynoxide::DynoxideError> for Refusal {
    fn from(error: dynoxide::DynoxideError) -> Self {
        tracing::error!(%error, "the Glue emulator's store failed");
        Self::Internal
    }
}

/// The catalog's operations; JSON in, JSON out, as on the wire.
#[derive(Clone)]
struct Catalog {
    store: Store,
}

impl Catalog {
    fn call(&self, operation: &str, input: &Value) -> Result<Value, Refusal> {
        match operation {
            "CreateDatabase" => self.create_database(input),
            "GetDatabase" => Ok(json!({ "Database": self.database(&name(input, "Name")?)? })),
            "GetDatabases" => Ok(json!({ "DatabaseList": self.store.databases()? })),
            "UpdateDatabase" => self.update_database(input),
            "DeleteDatabase" => self.delete_database(input),
            "CreateTable" => self.create_table(input),
            "GetTable" => self.get_table(input),
            "GetTables" => self.get_tables(input),
            "UpdateTable" => self.update_table(input),
            "DeleteTable" => self.delete_table(input),
            other => Err(Refusal::UnknownOperation(other.to_owned())),
        }
    }

    fn database(&self, database: &str) -> Result<Value, Refusal> {
        self.store.database(database)?.ok_or_else(|| Refusal::NotFound("Database", database.to_owned()))
    }

    fn create_database(&self, input: &Value) -> Result<Value, Refusal> {
        let (database, mut document) = named(input, "DatabaseInput")?;
        document.insert("CreateTime".into(), now());
        document.insert("CatalogId".into(), ACCOUNT.into());
        match self.store.insert_database(&database, &document.into())? {
            Ok(()) => Ok(json!({})),
            Err(Conflict) => Err(Refusal::AlreadyExists("Database", database)),
        }
    }

    fn update_database(&self, input: &Value) -> Result<Value, Refusal> {
        let database = name(input, "Name")?;
        let (_, mut document) = named(input, "DatabaseInput")?;
        let before = self.database(&database)?;
        document.insert("Name".into(), database.clone().into());
        document.insert("CreateTime".into(), before["CreateTime"].clone());
        document.insert("CatalogId".into(), ACCOUNT.into());
        self.store.replace_database(&database, &document.into())?;
        Ok(json!({}))
    }

    fn delete_database(&self, input: &Value) -> Result<Value, Refusal> {
        let database = name(input, "Name")?;
        self.database(&database)?;
        // As Glue does: its tables go with it.
        for table in self.store.tables(&database)? {
            if let Some(table) = table["Name"].as_str() {
                self.store.remove_table(&database, table)?;
            }
        }
        self.store.remove_database(&database)?;
        Ok(json!({}))
    }

    fn create_table(&self, input: &Value) -> Result<Value, Refusal> {
        let database = name(input, "DatabaseName")?;
        if input.get("OpenTableFormatInput").is_some() {
            return Err(Refusal::Invalid("The local Glue takes no OpenTableFormatInput.".to_owned()));
        }
        let (table, document) = named(input, "TableInput")?;
        self.database(&database)?;
        let time = now();
        match self.store.insert_table(&database, &table, &stored(document, &database, time.clone(), time))? {
            Ok(()) => Ok(json!({})),
            Err(Conflict) => Err(Refusal::AlreadyExists("Table", table)),
        }
    }

    fn get_table(&self, input: &Value) -> Result<Value, Refusal> {
        let (database, table) = (name(input, "DatabaseName")?, name(input, "Name")?);
        self.database(&database)?;
        let (document, _) = self.store.table(&database, &table)?.ok_or(Refusal::NotFound("Table", table))?;
        Ok(json!({ "Table": document }))
    }

    fn get_tables(&self, input: &Value) -> Result<Value, Refusal> {
        let database = name(input, "DatabaseName")?;
        if input.get("Expression").is_some() {
            return Err(Refusal::Invalid("The local Glue takes no Expression.".to_owned()));
        }
        self.database(&database)?;
        Ok(json!({ "TableList": self.store.tables(&database)? }))
    }

    /// Replaces the table if the request's `VersionId` is the current one, or it has none. Each update adds one.
    fn update_table(&self, input: &Value) -> Result<Value, Refusal> {
        let database = name(input, "DatabaseName")?;
        let (table, document) = named(input, "TableInput")?;
        let wished = input.get("VersionId").map(version).transpose()?;
        self.database(&database)?;
        loop {
            let found = self.store.table(&database, &table)?;
            let (before, current) = found.ok_or_else(|| Refusal::NotFound("Table", table.clone()))?;
            if wished.is_some_and(|wished| wished != current) {
                return Err(Refusal::ConcurrentModification);
            }
            let after = stored(document.clone(), &database, before["CreateTime"].clone(), now());
            match self.store.replace_table(&database, &table, current, &after)? {
                Ok(()) => return Ok(json!({})),
                Err(Conflict) if wished.is_some() => return Err(Refusal::ConcurrentModification),
                // No version was asked for: last writer wins, over whatever is there now.
                Err(Conflict) => {}
            }
        }
    }

    fn delete_table(&self, input: &Value) -> Result<Value, Refusal> {
        let (database, table) = (name(input, "DatabaseName")?, name(input, "Name")?);
        self.store.table(&database, &table)?.ok_or_else(|| Refusal::NotFound("Table", table.clone()))?;
        self.store.remove_table(&database, &table)?;
        Ok(json!({}))
    }
}

/// A required name; Glue folds names to lower case.
fn name(input: &Value, field: &str) -> Result<String, Refusal> {
    match input[field].as_str() {
        Some(name) if !name.is_empty() => Ok(name.to_lowercase()),
        _ => Err(Refusal::Invalid(format!("{field} is required."))),
    }
}

/// The `…Input` document of a request, and the name in it.
fn named(input: &Value, field: &str) -> Result<(String, Map<String, Value>), Refusal> {
    let document = input[field].as_object().ok_or_else(|| Refusal::Invalid(format!("{field} is required.")))?;
    let name = name(&input[field], "Name")?;
    let mut document = document.clone();
    document.insert("Name".into(), name.clone().into());
    Ok((name, document))
}

fn version(value: &Value) -> Result<u64, Refusal> {
    let parsed = value.as_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Refusal::Invalid("VersionId is not a version of this table.".to_owned()))
}

fn stored(mut document: Map<String, Value>, database: &str, created: Value, updated: Value) -> Value {
    document.insert("DatabaseName".into(), database.into());
    document.insert("CreateTime".into(), created);
    document.insert("UpdateTime".into(), updated);
    document.insert("CatalogId".into(), ACCOUNT.into());
    document.insert("IsRegisteredWithLakeFormation".into(), false.into());
    document.into()
}

/// Seconds since 1970, as JSON 1.1 carries times.
fn now() -> Value {
    Utc::now().timestamp().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn catalog() -> Catalog {
        let catalog = Catalog { store: Store::open(Database::memory().unwrap()).unwrap() };
        catalog.call("CreateDatabase", &json!({ "DatabaseInput": { "Name": "lake" } })).unwrap();
        catalog.call("CreateTable", &with_location("s3://0")).unwrap();
        catalog
    }

    fn with_location(location: &str) -> Value {
        json!({ "DatabaseName": "lake", "TableInput": {
            "Name": "profiles", "Parameters": { "metadata_location": location } } })
    }

    fn update(location: &str, version: &str) -> Value {
        let mut input = with_location(location);
        input["VersionId"] = version.into();
        input["SkipArchive"] = true.into();
        input
    }

    fn table(catalog: &Catalog) -> Value {
        catalog.call("GetTable", &json!({ "DatabaseName": "lake", "Name": "profiles" })).unwrap()["Table"].clone()
    }

    #[test]
    fn versions_start_at_zero_and_grow_by_one() {
        let catalog = catalog();
        assert_eq!(table(&catalog)["VersionId"], "0");
        catalog.call("UpdateTable", &update("s3://1", "0")).unwrap();
        catalog.call("UpdateTable", &with_location("s3://2")).unwrap();
        assert_eq!(table(&catalog)["VersionId"], "2");
    }

    #[test]
    fn an_update_of_a_stale_version_is_refused_and_changes_nothing() {
        let catalog = catalog();
        catalog.call("UpdateTable", &update("s3://1", "0")).unwrap();
        let before = table(&catalog);
        let refusal = catalog.call("UpdateTable", &update("s3://2", "0")).unwrap_err();
        assert_eq!(refusal.kind(), "ConcurrentModificationException");
        assert_eq!(table(&catalog), before);
    }

    #[test]
    fn of_many_updates_of_one_version_exactly_one_wins() {
        let catalog = catalog();
        let won: usize = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..16)
                .map(|n| {
                    let catalog = catalog.clone();
                    scope.spawn(move || catalog.call("UpdateTable", &update(&format!("s3://{n}"), "0")).is_ok())
                })
                .collect();
            racers.into_iter().map(|racer| usize::from(racer.join().unwrap())).sum()
        });
        assert_eq!(won, 1);
        assert_eq!(table(&catalog)["VersionId"], "1");
    }

    #[test]
    fn updates_without_a_version_all_succeed() {
        let catalog = catalog();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let catalog = catalog.clone();
                scope.spawn(move || catalog.call("UpdateTable", &with_location(&format!("s3://{n}"))).unwrap());
            }
        });
        assert_eq!(table(&catalog)["VersionId"], "8");
    }

    #[test]
    fn what_is_missing_is_not_found() {
        let catalog = catalog();
        let kind = |operation, input| catalog.call(operation, &input).unwrap_err().kind();
        assert_eq!(kind("GetDatabase", json!({ "Name": "none" })), "EntityNotFoundException");
        assert_eq!(kind("GetTable", json!({ "DatabaseName": "lake", "Name": "none" })), "EntityNotFoundException");
        assert_eq!(kind("GetTables", json!({ "DatabaseName": "none" })), "EntityNotFoundException");
        assert_eq!(kind("DeleteTable", json!({ "DatabaseName": "lake", "Name": "none" })), "EntityNotFoundException");
        assert_eq!(kind("CreateTable", with_location("s3://again")), "AlreadyExistsException");
        assert_eq!(kind("GetPartitions", json!({})), "UnknownOperationException");
    }

    #[test]
    fn a_deleted_database_takes_its_tables_along() {
        let catalog = catalog();
        catalog.call("DeleteDatabase", &json!({ "Name": "lake" })).unwrap();
        catalog.call("CreateDatabase", &json!({ "DatabaseInput": { "Name": "lake" } })).unwrap();
        let tables = catalog.call("GetTables", &json!({ "DatabaseName": "lake" })).unwrap();
        assert_eq!(tables, json!({ "TableList": [] }));
    }

    #[test]
    fn names_are_folded_to_lower_case() {
        let catalog = catalog();
        let found = catalog.call("GetTable", &json!({ "DatabaseName": "LAKE", "Name": "Profiles" })).unwrap();
        assert_eq!(found["Table"]["Name"], "profiles");
    }
}
