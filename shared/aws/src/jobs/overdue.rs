//! The due index.

use super::DynamoJobs;
use crate::dynamodb::{Item, Key, Query, keys, n, number, s, text};
use domain::instant::Millis;
use domain::ports::jobs::{Due, FindDue, StoreError};
use futures::future::try_join_all;

impl FindDue for DynamoJobs {
    async fn due(&self, now: Millis, limit: usize) -> Result<Vec<Due>, StoreError> {
        let partitions = (0..keys::DUE_PARTITIONS).map(|partition| async move {
            let query = Query {
                index: Some("due"),
                condition: "#duePartition = :partition AND #nextActionAt <= :now",
                values: vec![("partition", s(keys::due_partition(partition))), ("now", n(now.0))],
                backwards: false,
            };
            self.table.query(&query, limit).await
        });
        let named = try_join_all(partitions).await?;
        let mut due =
            named.concat().iter().filter_map(|item| due_of(item).transpose()).collect::<Result<Vec<_>, _>>()?;
        due.sort();
        due.truncate(limit);
        Ok(due.into_iter().map(|(_, due)| due).collect())
    }
}

/// What an entry of the index stands for, and since when it is due.
fn due_of(item: &Item) -> Result<Option<(i64, Due)>, StoreError> {
    let key = Key { pk: text(item, "PK")?.to_owned(), sk: text(item, "SK")?.to_owned() };
    let Some(due) = key.due() else {
        tracing::warn!(key = key.sk, "an entry of the due index is not understood and left to another release");
        return Ok(None);
    };
    Ok(Some((number(item, "nextActionAt")?, due)))
}
