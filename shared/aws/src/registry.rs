//! The registry ports over DynamoDB.

use crate::dynamodb::{Change, Key, Outcome, Query, Table, from_doc, keys, s, text, to_doc};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::ports::jobs::StoreError;
use domain::ports::registry::{Entry, ReadClients, ReadRegistry, WriteRegistry};
use domain::registry::{Client, Registry};
use domain::tenant::Tenant;

const DATASET: &str = "DATASET";
const POLICY: &str = "POLICY";
const SEGMENT: &str = "SEGMENT";
const STRICT: &str = "STRICT";

/// Clients and registered things in a DynamoDB table, an item each.
#[derive(Clone, Debug)]
pub struct DynamoRegistry {
    table: Table,
}

impl DynamoRegistry {
    /// The registry in that table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: &str) -> Self {
        Self { table: Table::new(client, table) }
    }

    async fn put(&self, key: Key, doc: AttributeValue) -> Result<(), StoreError> {
        let mut item = key.item();
        item.insert("doc".into(), doc);
        match self.table.write(vec![Change::put(item)]).await? {
            Outcome::Written => Ok(()),
            Outcome::Refused(_) => Err(StoreError::Unavailable("a put without a guard was refused".into())),
        }
    }
}

impl ReadClients for DynamoRegistry {
    async fn client(&self, api_key: &str) -> Result<Option<Client>, StoreError> {
        self.table.get(&Key::client(api_key)).await?.as_ref().map(from_doc).transpose()
    }
}

impl ReadRegistry for DynamoRegistry {
    async fn registry(&self, tenant: &Tenant) -> Result<Registry, StoreError> {
        let query = Query {
            condition: "#PK = :registry",
            values: vec![("registry", s(keys::registry_partition(tenant)))],
            ..Query::default()
        };
        let mut registry = Registry::default();
        for item in self.table.query(&query, usize::MAX).await? {
            let kind = text(&item, "SK")?.split('#').next().unwrap_or_default();
            match kind {
                DATASET => registry.datasets.push(from_doc(&item)?),
                POLICY => registry.policies.push(from_doc(&item)?),
                SEGMENT => registry.segments.push(from_doc(&item)?),
                STRICT => registry.strict_namespaces = from_doc(&item)?,
                other => tracing::warn!(kind = other, "the registry holds a thing of another release"),
            }
        }
        Ok(registry)
    }
}

impl WriteRegistry for DynamoRegistry {
    async fn put_client(&self, client: &Client) -> Result<(), StoreError> {
        self.put(Key::client(&client.api_key), to_doc(client)).await
    }

    async fn put_entry(&self, tenant: &Tenant, entry: &Entry) -> Result<(), StoreError> {
        let (key, doc) = match entry {
            Entry::Dataset(dataset) => (Key::registered(tenant, DATASET, &[&dataset.id]), to_doc(dataset)),
            Entry::Policy(policy) => {
                let version = format!("{:010}", policy.version);
                (Key::registered(tenant, POLICY, &[&policy.id, &version]), to_doc(policy))
            }
            Entry::Segment(segment) => {
                let namespace = segment.ns.to_ascii_lowercase();
                (Key::registered(tenant, SEGMENT, &[&namespace, &segment.id]), to_doc(segment))
            }
            Entry::StrictNamespaces(namespaces) => (Key::registered(tenant, STRICT, &[]), to_doc(namespaces)),
        };
        self.put(key, doc).await
    }
}
