//! The job ports over one DynamoDB table.

mod collecting;
mod items;
mod listing;
mod overdue;
mod parts;

use crate::dynamodb::{Change, Item, Key, Outcome, Table, n, number, opt_text, text};
use domain::id::JobId;
use domain::instant::Millis;
use domain::job::{Job, JobRecord, Progress};
use domain::ports::jobs::{CreateJobs, Created, FirstUse, IdempotencyKey, MoveJobs, ReadJobs, StoreError, Swap};
use domain::tenant::Tenant;

/// Jobs, shards and parts in a DynamoDB table with the indexes `due` and `status`.
#[derive(Clone, Debug)]
pub struct DynamoJobs {
    table: Table,
}

impl DynamoJobs {
    /// The jobs in that table.
    pub fn new(client: aws_sdk_dynamodb::Client, table: &str) -> Self {
        Self { table: Table::new(client, table) }
    }

    /// Writes under guards whose failure all means the same.
    async fn swap_if(&self, changes: Vec<Change>) -> Result<Swap, StoreError> {
        match self.table.write(changes).await? {
            Outcome::Written => Ok(Swap::Done),
            Outcome::Refused(_) => Ok(Swap::Moved),
        }
    }
}

/// Tells the invocation's record which state a job came to; only what is known to be written is told.
fn moved(job: &Job) {
    tracing::Span::current().record("moved", 1_u64).record("state", job.state.shown().as_str());
}

impl CreateJobs for DynamoJobs {
    async fn create(&self, job: &Job, key: Option<&IdempotencyKey>, now: Millis) -> Result<Created, StoreError> {
        let mut changes = vec![Change::put(items::job(job)).only_if_new().telling()];
        if let Some(key) = key {
            let free = "attribute_not_exists(#PK) OR #expires <= :now";
            let item = items::idempotency(job, key);
            changes.push(Change::put(item).only_if(free).with("now", n(now.0)).telling());
        }
        match self.table.write(changes).await? {
            Outcome::Written => {
                moved(job);
                Ok(Created::Stored)
            }
            Outcome::Refused(told) => refused(job, &told),
        }
    }

    async fn first_use(&self, tenant: &Tenant, key: &str, now: Millis) -> Result<Option<FirstUse>, StoreError> {
        match self.table.get(&Key::idempotency(tenant, key)).await? {
            Some(item) if number::<i64>(&item, "expires")? > now.0 => first_use(&item).map(Some),
            _ => Ok(None),
        }
    }
}

/// What a refusal of C1 means: of the job's item and, where a key came, of the key's.
fn refused(job: &Job, told: &[Option<Item>]) -> Result<Created, StoreError> {
    let there = told.first().and_then(Option::as_ref);
    if there.is_some_and(|item| opt_text(item, "nonce") == Some(&job.nonce)) {
        return Ok(Created::Stored);
    }
    match told.get(1).and_then(Option::as_ref) {
        Some(key) => first_use(key).map(Created::KeyTaken),
        None => Ok(Created::IdTaken),
    }
}

fn first_use(item: &Item) -> Result<FirstUse, StoreError> {
    let digits: u64 = number(item, "jobId")?;
    let job = JobId::parse(&digits.to_string()).ok_or_else(|| StoreError::Damaged("jobId is no id".into()))?;
    Ok(FirstUse { body_hash: text(item, "bodyHash")?.to_owned(), job })
}

impl ReadJobs for DynamoJobs {
    async fn job(&self, tenant: &Tenant, id: JobId) -> Result<Option<JobRecord>, StoreError> {
        self.table.get(&Key::job(tenant, id)).await?.as_ref().map(items::record).transpose()
    }
}

impl MoveJobs for DynamoJobs {
    async fn swap(&self, next: &Job) -> Result<Swap, StoreError> {
        let mut changes = vec![items::step(next)];
        if next.state.is_terminal() {
            changes.push(Change::put(items::collect(next)));
        }
        let swapped = self.swap_if(changes).await?;
        if swapped == Swap::Done {
            moved(next);
        }
        Ok(swapped)
    }

    async fn delete(&self, job: &Job) -> Result<Swap, StoreError> {
        let delete = Change::delete(Key::job(&job.tenant, job.id)).only_if("#version = :version");
        self.swap_if(vec![delete.with("version", n(job.version))]).await
    }

    async fn report(&self, tenant: &Tenant, id: JobId, progress: Progress) -> Result<(), StoreError> {
        // A refusal means that the job is gone or that more was told before: both well.
        self.swap_if(vec![items::report(tenant, id, progress)]).await.map(drop)
    }

    async fn report_seen(&self, tenant: &Tenant, id: JobId, weight_seen: u64) -> Result<(), StoreError> {
        // As above.
        self.swap_if(vec![items::report_seen(tenant, id, weight_seen)]).await.map(drop)
    }
}
