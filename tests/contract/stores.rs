//! The emulators with the template's tables, queues and buckets, and the real SDK's clients of them.

use aws::{Clients, DynamoJobs, DynamoRegistry, Endpoints, SqsQueue};
use lake::Glue;
use local::emulators::{ACCESS_KEY, ACCOUNT, Emulators, REGION, SECRET_KEY, start_all};
use local::template::{Place, Template};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tempfile::TempDir;

/// A set of emulators of one test's own, over a folder that goes with it.
pub struct Stores {
    pub clients: Clients,
    pub emulators: Emulators,
    pub table: String,
    pub bucket: String,
    pub queue: String,
    _folder: TempDir,
}

impl Stores {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let emulators = start_all(folder.path()).await.unwrap();
        let template = template(&emulators);
        for table in &template.tables {
            emulators.dynamodb.create_table_if_absent(&table.definition, table.ttl_attribute.as_deref()).unwrap();
        }
        for bucket in &template.buckets {
            emulators.s3.create_bucket_if_absent(&bucket.name).unwrap();
        }
        for queue in &template.queues {
            emulators.sqs.queues().create(&queue.name, &queue.attributes).await.unwrap();
        }
        let endpoints = Endpoints {
            dynamodb: emulators.dynamodb.url(),
            s3: emulators.s3.url(),
            sqs: emulators.sqs.url(),
            glue: emulators.glue.url(),
            region: REGION.into(),
            access_key: ACCESS_KEY.into(),
            secret_key: SECRET_KEY.into(),
        };
        let work = template.queues.iter().find(|q| q.attributes.contains_key("RedrivePolicy")).unwrap();
        Self {
            clients: Clients::at(&endpoints).await,
            table: template.tables[0].name.clone(),
            bucket: template.buckets[0].name.clone(),
            queue: work.name.clone(),
            emulators,
            _folder: folder,
        }
    }

    pub fn jobs(&self) -> DynamoJobs {
        self.clients.jobs(&self.table)
    }

    pub fn registry(&self) -> DynamoRegistry {
        self.clients.registry(&self.table)
    }

    pub fn queue(&self) -> SqsQueue {
        self.clients.queue(&format!("{}/{ACCOUNT}/{}", self.emulators.sqs.url(), self.queue))
    }

    /// The catalog at that endpoint.
    pub fn glue(&self, endpoint: &str) -> Glue {
        Glue::new(REGION, Some(endpoint), self.clients.credentials().unwrap())
    }

    /// All items of the table, as DynamoDB's JSON.
    pub fn items(&self) -> Vec<Value> {
        let scan = serde_json::from_value(json!({ "TableName": self.table })).unwrap();
        let found = self.emulators.dynamodb.database().scan(scan).unwrap().items.unwrap_or_default();
        found.iter().map(|item| serde_json::to_value(item).unwrap()).collect()
    }

    /// Puts an item as it stands, past the adapter.
    pub fn put(&self, item: &Value) {
        let put = serde_json::from_value(json!({ "TableName": self.table, "Item": item })).unwrap();
        self.emulators.dynamodb.database().put_item(put).unwrap();
    }
}

fn template(emulators: &Emulators) -> Template {
    let text = include_str!("../../infra/template.yaml");
    let place = Place {
        region: REGION.into(),
        account: ACCOUNT.into(),
        stack: "contract".into(),
        sqs_url: emulators.sqs.url(),
        gateway_url: "http://127.0.0.1:1".into(),
    };
    Template::read(text, &place, &BTreeMap::new()).unwrap()
}
