//! Where the Glue emulator keeps its catalog: one item a database or table, in a table of its own in the local DynamoDB.

use dynoxide::{AttributeValue, Database, DynoxideError, Item};
use serde_json::{Value, json};

use super::super::dynamodb::{create_table_if_absent, request};

/// The table's name; the stack's own tables never have it.
pub(super) const TABLE: &str = "local-glue-catalog";

const DATABASES: &str = "DATABASES";

/// The item was not as the write demanded.
#[derive(Debug)]
pub(super) struct Conflict;

/// Conditional reads and writes of catalog documents.
#[derive(Clone)]
pub(super) struct Store {
    database: Database,
}

type Stored<T> = Result<T, DynoxideError>;

impl Store {
    pub(super) fn open(database: Database) -> Stored<Self> {
        let definition = json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [
                { "AttributeName": "PK", "KeyType": "HASH" }, { "AttributeName": "SK", "KeyType": "RANGE" }],
            "AttributeDefinitions": [
                { "AttributeName": "PK", "AttributeType": "S" }, { "AttributeName": "SK", "AttributeType": "S" }],
        });
        create_table_if_absent(&database, &definition, None)?;
        Ok(Self { database })
    }

    pub(super) fn databases(&self) -> Stored<Vec<Value>> {
        Ok(self.all(DATABASES)?.into_iter().map(|(document, _)| document).collect())
    }

    pub(super) fn database(&self, name: &str) -> Stored<Option<Value>> {
        Ok(self.get(DATABASES, name)?.map(|(document, _)| document))
    }

    pub(super) fn insert_database(&self, name: &str, document: &Value) -> Stored<Result<(), Conflict>> {
        self.put(DATABASES, name, 0, document, Some(json!({ "ConditionExpression": "attribute_not_exists(PK)" })))
    }

    pub(super) fn replace_database(&self, name: &str, document: &Value) -> Stored<()> {
        self.put(DATABASES, name, 0, document, None).map(drop)
    }

    pub(super) fn remove_database(&self, name: &str) -> Stored<()> {
        self.remove(DATABASES, name)
    }

    /// Tables by name, each with its `VersionId`.
    pub(super) fn tables(&self, database: &str) -> Stored<Vec<Value>> {
        let tables = self.all(&tables_of(database))?;
        Ok(tables.into_iter().map(|(document, version)| with_version(document, version)).collect())
    }

    /// The table's document with its `VersionId`, and that version as a number.
    pub(super) fn table(&self, database: &str, name: &str) -> Stored<Option<(Value, u64)>> {
        let found = self.get(&tables_of(database), name)?;
        Ok(found.map(|(document, version)| (with_version(document, version), version)))
    }

    pub(super) fn insert_table(&self, database: &str, name: &str, document: &Value) -> Stored<Result<(), Conflict>> {
        let absent = json!({ "ConditionExpression": "attribute_not_exists(PK)" });
        self.put(&tables_of(database), name, 0, document, Some(absent))
    }

    /// Replaces version `current`, and no other, by `current + 1`.
    pub(super) fn replace_table(
        &self,
        database: &str,
        name: &str,
        current: u64,
        document: &Value,
    ) -> Stored<Result<(), Conflict>> {
        let unchanged = json!({
            "ConditionExpression": "version = :current",
            "ExpressionAttributeValues": { ":current": { "N": current.to_string() } },
        });
        self.put(&tables_of(database), name, current + 1, document, Some(unchanged))
    }

    pub(super) fn remove_table(&self, database: &str, name: &str) -> Stored<()> {
        self.remove(&tables_of(database), name)
    }

    fn get(&self, partition: &str, sort: &str) -> Stored<Option<(Value, u64)>> {
        let get = json!({ "TableName": TABLE, "Key": key(partition, sort), "ConsistentRead": true });
        self.database.get_item(request(get)?)?.item.map(parsed).transpose()
    }

    fn all(&self, partition: &str) -> Stored<Vec<(Value, u64)>> {
        let mut found = Vec::new();
        let mut query = json!({
            "TableName": TABLE,
            "KeyConditionExpression": "PK = :pk",
            "ExpressionAttributeValues": { ":pk": { "S": partition } },
        });
        loop {
            let page = self.database.query(request(query.clone())?)?;
            for item in page.items.unwrap_or_default() {
                found.push(parsed(item)?);
            }
            let Some(last) = page.last_evaluated_key else { return Ok(found) };
            query["ExclusiveStartKey"] = serde_json::to_value(last).map_err(damaged)?;
        }
    }

    fn put(
        &self,
        partition: &str,
        sort: &str,
        version: u64,
        document: &Value,
        condition: Option<Value>,
    ) -> Stored<Result<(), Conflict>> {
        let mut put = condition.unwrap_or_else(|| json!({}));
        put["TableName"] = TABLE.into();
        put["Item"] = key(partition, sort);
        put["Item"]["version"] = json!({ "N": version.to_string() });
        put["Item"]["document"] = json!({ "S": document.to_string() });
        match self.database.put_item(request(put)?) {
            Ok(_) => Ok(Ok(())),
            Err(DynoxideError::ConditionalCheckFailedException(..)) => Ok(Err(Conflict)),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, partition: &str, sort: &str) -> Stored<()> {
        let delete = json!({ "TableName": TABLE, "Key": key(partition, sort) });
        self.database.delete_item(request(delete)?).map(drop)
    }
}

fn key(partition: &str, sort: &str) -> Value {
    json!({ "PK": { "S": partition }, "SK": { "S": sort } })
}

fn tables_of(database: &str) -> String {
    format!("TABLES#{database}")
}

fn with_version(mut document: Value, version: u64) -> Value {
    document["VersionId"] = version.to_string().into();
    document
}

fn parsed(item: Item) -> Stored<(Value, u64)> {
    match (item.get("document"), item.get("version")) {
        (Some(AttributeValue::S(document)), Some(AttributeValue::N(version))) => {
            let document = serde_json::from_str(document).map_err(damaged)?;
            let version = version.parse().map_err(|_| damaged("version is no number"))?;
            Ok((document, version))
        }
        _ => Err(damaged("an attribute is missing")),
    }
}

fn damaged(cause: impl std::fmt::Display) -> DynoxideError {
    DynoxideError::InternalServerError(format!("an item of {TABLE} is damaged: {cause}"))
}
