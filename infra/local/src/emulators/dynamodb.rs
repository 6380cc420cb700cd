//! DynamoDB by dynoxide: one SQLite file, its wire protocol on a loopback port, and the same database in process.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use dynoxide::{Database, DynoxideError};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::StartError;

/// How long requests in flight may go on at a stop.
const GRACE: Duration = Duration::from_secs(1);

/// The running emulator; dropping it stops it without waiting.
pub struct DynamoDb {
    address: SocketAddr,
    database: Database,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDb").field("address", &self.address).finish_non_exhaustive()
    }
}

impl DynamoDb {
    /// Opens or makes the database `file` and serves it on `listener`.
    pub fn start(listener: TcpListener, file: &Path) -> Result<Self, StartError> {
        let database = open(file)?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { port: 0, source })?;
        let (stop, stopped) = oneshot::channel();
        let served = database.clone();
        let serving = tokio::spawn(async move {
            let stopped = async move {
                // A dropped sender stops the server too.
                let _ = stopped.await;
            };
            if let Err(error) = dynoxide::server::serve_with_shutdown(listener, served, stopped).await {
                tracing::error!(error, "the DynamoDB emulator failed");
            }
        });
        Ok(Self { address, database, stop, serving })
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The database behind the port; a clone shares it.
    pub fn database(&self) -> Database {
        self.database.clone()
    }

    /// Creates the table of a `CreateTable` request unless one of that name is there. `ttl_attribute` is switched on
    /// at creation. A table that is there is not compared: its keys are not changed by a changed template.
    pub fn create_table_if_absent(&self, definition: &Value, ttl_attribute: Option<&str>) -> Result<(), DynoxideError> {
        create_table_if_absent(&self.database, definition, ttl_attribute)
    }

    /// Stops serving and closes the file.
    pub async fn stop(self) {
        // The receiver is gone only if the server failed before.
        let _ = self.stop.send(());
        let mut serving = self.serving;
        if tokio::time::timeout(GRACE, &mut serving).await.is_err() {
            serving.abort();
        }
    }
}

fn open(file: &Path) -> Result<Database, StartError> {
    let refused = |source| StartError::Database { path: file.to_owned(), source };
    let path = file.to_str().ok_or_else(|| StartError::Folder {
        path: file.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8"),
    })?;
    let database = Database::new(path).map_err(refused)?;
    // Without a flush per write a crash of this program still loses nothing; only one of the machine may.
    database.enable_bulk_loading().map_err(refused)?;
    Ok(database)
}

/// As [`DynamoDb::create_table_if_absent`].
pub(super) fn create_table_if_absent(
    database: &Database,
    definition: &Value,
    ttl_attribute: Option<&str>,
) -> Result<(), DynoxideError> {
    match database.create_table(request(definition.clone())?) {
        Ok(_) => {}
        Err(DynoxideError::ResourceInUseException(_)) => return Ok(()),
        Err(error) => return Err(error),
    }
    if let Some(attribute) = ttl_attribute {
        let specification = json!({
            "TableName": definition["TableName"],
            "TimeToLiveSpecification": { "Enabled": true, "AttributeName": attribute },
        });
        database.update_time_to_live(request(specification)?)?;
    }
    Ok(())
}

/// A typed request out of the JSON that the wire would carry.
pub(super) fn request<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, DynoxideError> {
    serde_json::from_value(body).map_err(|error| DynoxideError::ValidationException(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::server::listen;

    fn definition() -> Value {
        json!({
            "TableName": "jobs",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{ "AttributeName": "PK", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "PK", "AttributeType": "S" }],
        })
    }

    #[tokio::test]
    async fn items_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db.sqlite");
        let first = DynamoDb::start(listen(0).await.unwrap(), &file).unwrap();
        first.create_table_if_absent(&definition(), Some("expiresAt")).unwrap();
        let put = json!({ "TableName": "jobs", "Item": { "PK": { "S": "a" } } });
        first.database().put_item(request(put).unwrap()).unwrap();
        first.stop().await;

        let second = DynamoDb::start(listen(0).await.unwrap(), &file).unwrap();
        second.create_table_if_absent(&definition(), Some("expiresAt")).unwrap();
        let get = json!({ "TableName": "jobs", "Key": { "PK": { "S": "a" } } });
        assert!(second.database().get_item(request(get).unwrap()).unwrap().item.is_some());
        second.stop().await;
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db.sqlite");
        std::fs::write(&file, "not a database, but long enough to be read as the header of one").unwrap();
        let error = DynamoDb::start(listen(0).await.unwrap(), &file).unwrap_err();
        assert!(matches!(error, StartError::Database { .. }), "{error:?}");
    }
}
