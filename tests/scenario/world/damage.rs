//! What goes wrong with what others wrote: objects gone or changed, metadata that does not tell the truth, messages that
//! nobody sent.

use super::{World, table, tables};
use bytes::Bytes;
use domain::message::Message;
use domain::ports::lake::ReadTables;
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use lake::NewDataFile;
use serde_json::{Value, json};

/// Times that a message is delivered before it goes to the dead letters.
const DELIVERIES: usize = 5;

impl World {
    /// The locations that have this in them.
    pub fn located(&self, part: &str) -> Vec<Location> {
        self.objects.inspect(|all| all.keys().filter(|at| at.to_string().contains(part)).cloned().collect())
    }

    /// The one location that has this in it.
    pub fn at(&self, part: &str) -> Location {
        let found = self.located(part);
        assert_eq!(found.len(), 1, "{part}: {found:?}");
        found.into_iter().next().unwrap()
    }

    /// An object's bytes.
    pub async fn read(&self, at: &Location) -> Bytes {
        self.objects.read(at).await.unwrap()
    }

    /// Deletes an object.
    pub async fn delete(&self, at: &Location) {
        self.objects.delete(at).await.unwrap();
    }

    /// Puts other bytes in an object's place.
    pub async fn replace(&self, at: &Location, body: impl Into<Bytes>) {
        self.delete(at).await;
        self.objects.create(at, body.into()).await.unwrap();
    }

    /// Puts an object where none is.
    pub async fn put(&self, location: &str, body: Bytes) {
        tables::put(&self.objects, location, body).await;
    }

    /// Appends a file to a dataset as another writer would, who may say of it what he likes.
    pub async fn append(&self, dataset: &str, file: NewDataFile) {
        self.lake.append_files(&table(dataset), vec![file]).await.unwrap();
    }

    /// The columns of a dataset.
    pub async fn columns(&self, dataset: &str) -> domain::schema::Schema {
        self.lake.look(&table(dataset), "profileId").await.unwrap().copy.schema
    }

    /// Delivers what is in the queue by the worker's own event handler, and these bodies among it, until nothing comes again;
    /// tells the dead letters.
    pub async fn deliver(&self, more: &[String]) -> Vec<String> {
        let (mut dead, mut left) = (Vec::new(), more.iter().map(|body| (body.clone(), 0)).collect::<Vec<_>>());
        loop {
            // What was there last comes first: bad messages stand before good ones.
            left.extend(self.queue.take().iter().map(|message| (message.to_json(), 0)));
            if left.is_empty() {
                return dead;
            }
            let record = |(n, (body, _)): (usize, &(String, usize))| json!({"messageId": n.to_string(), "body": body});
            let records: Value = left.iter().enumerate().map(record).collect();
            let event = serde_json::from_value(json!({ "Records": records })).unwrap();
            let handler = async |message: Message| export_worker::handle(self, &message).await;
            let failed = edge::queue::take(event, &handler).await.batch_item_failures;
            let is_back = |n: usize| failed.iter().any(|f| f.item_identifier == n.to_string());
            let back = left.into_iter().enumerate().filter(|(n, _)| is_back(*n));
            let (gone, again) =
                back.map(|(_, (body, times))| (body, times + 1)).partition(|(_, times)| *times >= DELIVERIES);
            left = again;
            let gone: Vec<(String, usize)> = gone;
            dead.extend(gone.into_iter().map(|(body, _)| body));
        }
    }
}
