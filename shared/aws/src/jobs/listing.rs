//! The list: the table itself read backwards, or the status index and then the records behind it. The count of what runs:
//! the status index alone.

use super::{DynamoJobs, items};
use crate::dynamodb::{Item, Key, Query, keys, n, number, s};
use domain::id::JobId;
use domain::job::JobRecord;
use domain::ports::jobs::{CountJobs, JobPage, ListJobs, PageRequest, StoreError};
use domain::state::ShownStatus;
use domain::tenant::Tenant;
use futures::future::try_join_all;
use std::cmp::Reverse;

impl ListJobs for DynamoJobs {
    async fn page(&self, tenant: &Tenant, page: &PageRequest) -> Result<JobPage, StoreError> {
        // The first id that may be listed, and one record more than asked for, which tells whether older ones remain.
        let newest = match page.after {
            Some(after) => after.value().checked_sub(1),
            None => Some(u64::MAX >> 11),
        };
        let mut records = match (newest, page.status) {
            (None, _) => Vec::new(),
            (Some(newest), None) => self.all(tenant, newest, page.limit + 1).await?,
            (Some(newest), Some(status)) => self.of_status(tenant, status, newest, page.limit + 1).await?,
        };
        let more = records.len() > page.limit;
        records.truncate(page.limit);
        Ok(JobPage { records, more })
    }
}

impl CountJobs for DynamoJobs {
    async fn running(&self, tenant: &Tenant, most: usize) -> Result<usize, StoreError> {
        let counts = ShownStatus::RUNNING.map(|status| async move {
            let query = Query {
                index: Some("status"),
                condition: "#statusKey = :status",
                values: vec![("status", s(items::status_key(tenant, status)))],
                ..Query::default()
            };
            self.table.count(&query, most).await
        });
        Ok(try_join_all(counts).await?.into_iter().sum::<usize>().min(most))
    }
}

impl DynamoJobs {
    async fn all(&self, tenant: &Tenant, newest: u64, limit: usize) -> Result<Vec<JobRecord>, StoreError> {
        let query = Query {
            condition: "#PK = :tenant AND #SK BETWEEN :first AND :newest",
            values: vec![
                ("tenant", s(tenant.key())),
                ("first", s(keys::JOB)),
                ("newest", s(format!("{}{newest:016}", keys::JOB))),
            ],
            backwards: true,
            ..Query::default()
        };
        self.table.query(&query, limit).await?.iter().map(items::record).collect()
    }

    /// The index lags and holds keys only: what it names is read strongly, what has moved on is dropped, and the page
    /// fills on.
    async fn of_status(
        &self,
        tenant: &Tenant,
        status: ShownStatus,
        newest: u64,
        limit: usize,
    ) -> Result<Vec<JobRecord>, StoreError> {
        let query = Query {
            index: Some("status"),
            condition: "#statusKey = :status AND #jobId <= :newest",
            values: vec![("status", s(items::status_key(tenant, status))), ("newest", n(newest))],
            backwards: true,
        };
        let (mut records, mut after) = (Vec::new(), None);
        loop {
            let (named, next) = self.table.query_page(&query, limit - records.len(), after).await?;
            let ids = named.iter().map(named_id).collect::<Result<Vec<_>, _>>()?;
            let keys: Vec<Key> = ids.into_iter().map(|id| Key::job(tenant, id)).collect();
            let items = self.table.get_all(&keys).await?;
            let mut found = items.iter().map(items::record).collect::<Result<Vec<_>, _>>()?;
            found.retain(|record| record.job.state.shown() == status);
            found.sort_by_key(|record| Reverse(record.job.id));
            records.extend(found);
            after = next;
            if after.is_none() || records.len() >= limit {
                return Ok(records);
            }
        }
    }
}

fn named_id(item: &Item) -> Result<JobId, StoreError> {
    let value: u64 = number(item, "jobId")?;
    JobId::parse(&value.to_string()).ok_or_else(|| StoreError::Damaged("jobId is no id".into()))
}
