//! The job store's twin.

mod tables;

use crate::faults::{Faults, lock};
use crate::{Fault, Weather};
use domain::id::JobId;
use domain::instant::Millis;
use domain::job::{Collect, Job, JobRecord, Progress};
use domain::ports::jobs::*;
use domain::tenant::Tenant;
use std::sync::{Arc, Mutex};
pub use tables::{PartItem, Tables};

/// The job store in memory. Every call is one atomic step; an index never lags. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct MemoryJobs {
    tables: Arc<Mutex<Tables>>,
    faults: Faults,
}

impl MemoryJobs {
    /// A store whose calls go through that weather.
    pub fn under(weather: Arc<dyn Weather>) -> Self {
        Self { faults: Faults::under(weather), ..Self::default() }
    }

    /// Looks at all that is stored.
    pub fn inspect<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&lock(&self.tables))
    }

    /// The next call of that port method (`"swap"`, `"finish"` …) fails as unavailable, before or after its effect.
    pub fn fail_next(&self, call: &str, fault: Fault) {
        self.faults.order(call, fault);
    }

    /// The jobs whose `collect` item was written, by tenant and id; it outlives the job's record.
    pub fn collectable(&self) -> Vec<Job> {
        lock(&self.tables).collectable()
    }

    async fn call<T>(&self, name: &str, effect: impl FnOnce(&mut Tables) -> T) -> Result<T, StoreError> {
        self.faults.around(name, StoreError::Unavailable, || Ok(effect(&mut lock(&self.tables)))).await
    }
}

impl CreateJobs for MemoryJobs {
    async fn create(&self, job: &Job, key: Option<&IdempotencyKey>, now: Millis) -> Result<Created, StoreError> {
        self.call("create", |t| t.create(job, key, now)).await
    }

    async fn first_use(&self, tenant: &Tenant, key: &str, now: Millis) -> Result<Option<FirstUse>, StoreError> {
        self.call("first_use", |t| t.first_use(tenant, key, now)).await
    }
}

impl ReadJobs for MemoryJobs {
    async fn job(&self, tenant: &Tenant, id: JobId) -> Result<Option<JobRecord>, StoreError> {
        self.call("job", |t| t.job(tenant, id)).await
    }
}

impl ListJobs for MemoryJobs {
    async fn page(&self, tenant: &Tenant, page: &PageRequest) -> Result<JobPage, StoreError> {
        self.call("page", |t| t.page(tenant, page)).await
    }
}

impl CountJobs for MemoryJobs {
    async fn running(&self, tenant: &Tenant, most: usize) -> Result<usize, StoreError> {
        let lags = self.faults.lags();
        self.call("running", |t| t.running(tenant, lags).min(most)).await
    }
}

impl MoveJobs for MemoryJobs {
    async fn swap(&self, next: &Job) -> Result<Swap, StoreError> {
        self.call("swap", |t| t.swap(next)).await
    }

    async fn delete(&self, job: &Job) -> Result<Swap, StoreError> {
        self.call("delete", |t| t.delete(job)).await
    }

    async fn report(&self, tenant: &Tenant, id: JobId, progress: Progress) -> Result<(), StoreError> {
        self.call("report", |t| t.report(tenant, id, progress)).await
    }

    async fn report_seen(&self, tenant: &Tenant, id: JobId, weight_seen: u64) -> Result<(), StoreError> {
        self.call("report_seen", |t| t.report_seen(tenant, id, weight_seen)).await
    }
}

impl PlanParts for MemoryJobs {
    async fn create_shards(&self, job: &Job, totals: &[u32]) -> Result<Swap, StoreError> {
        self.call("create_shards", |t| t.create_shards(job, totals)).await
    }

    async fn create_parts(&self, job: &Job, shards: u32, weights: &[u64], due: Millis) -> Result<(), StoreError> {
        self.call("create_parts", |t| t.create_parts(job, shards, weights, due)).await
    }
}

impl WorkParts for MemoryJobs {
    async fn claim(&self, part: &PartRef, owner: &str, now: Millis, lease_until: Millis) -> Result<Claim, StoreError> {
        self.call("claim", |t| t.claim(part, owner, now, lease_until)).await
    }

    async fn renew(&self, part: &PartRef, owner: &str, attempt: u32, lease_until: Millis) -> Result<Swap, StoreError> {
        self.call("renew", |t| t.renew(part, owner, attempt, lease_until)).await
    }

    async fn finish(&self, part: &PartRef, done: &PartDone) -> Result<Swap, StoreError> {
        self.call("finish", |t| t.finish(part, done)).await
    }

    async fn split(&self, part: &PartRef, split: &PartSplit) -> Result<Swap, StoreError> {
        self.call("split", |t| t.split(part, split)).await
    }

    async fn part(&self, part: &PartRef) -> Result<Option<Part>, StoreError> {
        self.call("part", |t| t.part(part)).await
    }

    async fn postpone_part(&self, part: &PartRef, due: Option<Millis>) -> Result<(), StoreError> {
        self.call("postpone_part", |t| t.postpone_part(part, due)).await
    }
}

impl EndJobs for MemoryJobs {
    async fn shards(&self, tenant: &Tenant, job: JobId, shards: u32) -> Result<Vec<Shard>, StoreError> {
        self.call("shards", |t| t.shards(tenant, job, shards)).await
    }

    async fn close_gates(&self, tenant: &Tenant, job: JobId, shards: u32) -> Result<(), StoreError> {
        self.call("close_gates", |t| t.close_gates(tenant, job, shards)).await
    }

    async fn parts(&self, tenant: &Tenant, job: JobId, _shards: u32) -> Result<Vec<Part>, StoreError> {
        self.call("parts", |t| t.parts(tenant, job)).await
    }
}

impl CollectJobs for MemoryJobs {
    async fn remains(&self, tenant: &Tenant, job: JobId) -> Result<Option<Collect>, StoreError> {
        self.call("remains", |t| t.remains(tenant, job)).await
    }

    async fn postpone_collect(&self, tenant: &Tenant, job: JobId, looks: u32, due: Millis) -> Result<(), StoreError> {
        self.call("postpone_collect", |t| t.postpone_collect(tenant, job, looks, due)).await
    }

    async fn forget(&self, tenant: &Tenant, job: JobId, _shards: u32) -> Result<(), StoreError> {
        self.call("forget", |t| t.forget(tenant, job)).await
    }
}

impl FindDue for MemoryJobs {
    async fn due(&self, now: Millis, limit: usize) -> Result<Vec<Due>, StoreError> {
        let lags = self.faults.lags();
        self.call("due", |t| t.due(now, limit, lags)).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{conformance, fixtures};

    #[tokio::test]
    async fn the_twin_keeps_the_promises_of_the_job_ports() {
        conformance::jobs(MemoryJobs::default()).await;
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_effect_and_a_lost_request_does_not() {
        let jobs = MemoryJobs::default();
        let job = fixtures::job(&fixtures::tenant(), 1);
        jobs.fail_next("create", Fault::BeforeEffect);
        assert!(matches!(jobs.create(&job, None, Millis(0)).await, Err(StoreError::Unavailable(_))));
        assert_eq!(jobs.job(&job.tenant, job.id).await.unwrap(), None);
        jobs.fail_next("create", Fault::AfterEffect);
        assert!(matches!(jobs.create(&job, None, Millis(0)).await, Err(StoreError::Unavailable(_))));
        assert_eq!(jobs.create(&job, None, Millis(0)).await.unwrap(), Created::Stored);
    }

    #[tokio::test]
    async fn a_collect_item_outlives_its_job() {
        let jobs = MemoryJobs::default();
        let job = fixtures::job(&fixtures::tenant(), 1);
        jobs.create(&job, None, Millis(0)).await.unwrap();
        let failing = job.fail(Vec::new(), Millis(1)).unwrap();
        jobs.swap(&failing).await.unwrap();
        assert_eq!(jobs.collectable(), []);
        let failed = failing.end_fail(Millis(2)).unwrap();
        jobs.swap(&failed).await.unwrap();
        jobs.delete(&failed).await.unwrap();
        assert_eq!(jobs.collectable(), [failed]);
    }
}
