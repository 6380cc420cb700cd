//! What is left of jobs that have ended.

use super::parts::AT_ONCE;
use super::{DynamoJobs, items};
use crate::dynamodb::{Change, Key, Query, keys, n, s, text};
use domain::id::JobId;
use domain::instant::Millis;
use domain::job::Collect;
use domain::ports::jobs::{CollectJobs, StoreError};
use domain::tenant::Tenant;
use futures::{StreamExt, TryStreamExt, stream};

impl CollectJobs for DynamoJobs {
    async fn remains(&self, tenant: &Tenant, job: JobId) -> Result<Option<Collect>, StoreError> {
        self.table.get(&Key::collect(tenant, job)).await?.as_ref().map(items::read_collect).transpose()
    }

    async fn postpone_collect(&self, tenant: &Tenant, job: JobId, looks: u32, due: Millis) -> Result<(), StoreError> {
        let change = Change::update(Key::collect(tenant, job), "SET #looks = :looks, #nextActionAt = :due")
            .only_if("#looks <= :looks")
            .with("looks", n(looks))
            .with("due", n(due.0));
        self.swap_if(vec![change]).await.map(drop)
    }

    async fn forget(&self, tenant: &Tenant, job: JobId, shards: u32) -> Result<(), StoreError> {
        for shard in 0..shards {
            let query = Query {
                condition: "#PK = :shard",
                values: vec![("shard", s(keys::shard_partition(tenant, job, shard)))],
                ..Query::default()
            };
            let items = self.table.query(&query, usize::MAX).await?;
            let found: Result<Vec<_>, StoreError> = items
                .iter()
                .map(|item| Ok(Key { pk: text(item, "PK")?.into(), sk: text(item, "SK")?.into() }))
                .collect();
            let drop_item = |key| async move { self.swap_if(vec![Change::delete(key)]).await.map(drop) };
            stream::iter(found?).map(drop_item).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        }
        self.swap_if(vec![Change::delete(Key::collect(tenant, job))]).await.map(drop)
    }
}
