//! The list: newest first, page by page, by status; and the count of what runs.

use super::{JobStore, Suite, fresh_tenant, later};
use crate::fixtures;
use domain::id::JobId;
use domain::job::{CancelVerdict, Job};
use domain::ports::jobs::{JobPage, PageRequest, Swap};
use domain::state::ShownStatus;
use domain::tenant::Tenant;

pub(super) async fn run<S: JobStore>(suite: &mut Suite, store: &S) {
    suite.case(a_tenant_without_jobs_has_an_empty_page::<S>, store, fresh_tenant()).await;
    suite.case(pages_hold_every_job_once_newest_first::<S>, store, fresh_tenant()).await;
    suite.case(a_page_starts_after_a_job_that_need_not_exist::<S>, store, fresh_tenant()).await;
    suite.case(a_full_last_page_says_that_nothing_remains::<S>, store, fresh_tenant()).await;
    suite.case(by_status_only_jobs_that_have_it_are_listed::<S>, store, fresh_tenant()).await;
    suite.case(pages_by_status_hold_every_match_once::<S>, store, fresh_tenant()).await;
    suite.case(inner_states_are_listed_as_what_they_show::<S>, store, fresh_tenant()).await;
    suite.case(a_listed_record_carries_its_progress::<S>, store, fresh_tenant()).await;
    suite.case(a_page_may_be_larger_than_any_single_read::<S>, store, fresh_tenant()).await;
    suite.case(jobs_that_have_not_ended_are_counted_by_tenant_and_up_to_a_limit::<S>, store, fresh_tenant()).await;
}

fn request(status: Option<ShownStatus>, after: Option<JobId>, limit: usize) -> PageRequest {
    PageRequest { status, after, limit }
}

async fn create<S: JobStore>(store: &S, tenant: &Tenant, numbers: impl IntoIterator<Item = u64>) -> Vec<Job> {
    let jobs: Vec<Job> = numbers.into_iter().map(|n| fixtures::job(tenant, n)).collect();
    for job in &jobs {
        store.create(job, None, later(0)).await.unwrap();
    }
    jobs
}

async fn cancel<S: JobStore>(store: &S, job: &Job) -> Job {
    let CancelVerdict::Cancel(next) = job.cancel(later(1)) else { panic!("{:?}", job.state) };
    assert_eq!(store.swap(&next).await.unwrap(), Swap::Done);
    *next
}

fn ids(page: &JobPage) -> Vec<JobId> {
    page.records.iter().map(|r| r.job.id).collect()
}

/// All pages of a list.
async fn walk<S: JobStore>(store: &S, tenant: &Tenant, status: Option<ShownStatus>, limit: usize) -> Vec<JobId> {
    let mut seen: Vec<JobId> = Vec::new();
    loop {
        let page = store.page(tenant, &request(status, seen.last().copied(), limit)).await.unwrap();
        assert!(page.records.len() <= limit);
        assert!(!page.more || page.records.len() == limit, "a page that is not the last is full");
        seen.extend(ids(&page));
        if !page.more {
            return seen;
        }
    }
}

async fn a_tenant_without_jobs_has_an_empty_page<S: JobStore>(store: S, tenant: Tenant) {
    create(&store, &fresh_tenant(), 1..3).await;
    for status in [None, Some(ShownStatus::New)] {
        let page = store.page(&tenant, &request(status, None, 10)).await.unwrap();
        assert_eq!(page, JobPage { records: Vec::new(), more: false });
    }
}

async fn pages_hold_every_job_once_newest_first<S: JobStore>(store: S, tenant: Tenant) {
    let mut jobs = create(&store, &tenant, [3, 1, 7, 2, 6, 5, 4]).await;
    jobs.sort_by_key(|j| std::cmp::Reverse(j.id));
    let newest_first: Vec<JobId> = jobs.iter().map(|j| j.id).collect();
    for limit in [1, 2, 3, 7, 100] {
        assert_eq!(walk(&store, &tenant, None, limit).await, newest_first, "pages of {limit}");
    }
}

async fn a_page_starts_after_a_job_that_need_not_exist<S: JobStore>(store: S, tenant: Tenant) {
    create(&store, &tenant, [10, 20, 30]).await;
    for status in [None, Some(ShownStatus::New)] {
        let after = |n| request(status, Some(fixtures::job_id(n)), 10);
        let gap = store.page(&tenant, &after(25)).await.unwrap();
        assert_eq!(ids(&gap), [fixtures::job_id(20), fixtures::job_id(10)]);
        let exact = store.page(&tenant, &after(20)).await.unwrap();
        assert_eq!(ids(&exact), [fixtures::job_id(10)]);
        assert_eq!(ids(&store.page(&tenant, &after(10)).await.unwrap()), []);
        let first_of_all = request(status, JobId::parse("0"), 10);
        assert_eq!(ids(&store.page(&tenant, &first_of_all).await.unwrap()), []);
    }
}

async fn a_full_last_page_says_that_nothing_remains<S: JobStore>(store: S, tenant: Tenant) {
    let jobs = create(&store, &tenant, 1..=4).await;
    for status in [None, Some(ShownStatus::New)] {
        assert!(!store.page(&tenant, &request(status, None, 4)).await.unwrap().more);
        assert!(store.page(&tenant, &request(status, None, 3)).await.unwrap().more);
    }
    cancel(&store, &jobs[0]).await;
    assert!(!store.page(&tenant, &request(Some(ShownStatus::New), None, 3)).await.unwrap().more);
}

async fn by_status_only_jobs_that_have_it_are_listed<S: JobStore>(store: S, tenant: Tenant) {
    let jobs = create(&store, &tenant, 1..=3).await;
    cancel(&store, &jobs[1]).await;
    let page = store.page(&tenant, &request(Some(ShownStatus::New), None, 10)).await.unwrap();
    assert_eq!(ids(&page), [jobs[2].id, jobs[0].id]);
    let page = store.page(&tenant, &request(Some(ShownStatus::Cancelling), None, 10)).await.unwrap();
    assert_eq!(ids(&page), [jobs[1].id]);
    store.delete(&jobs[2]).await.unwrap();
    assert_eq!(walk(&store, &tenant, Some(ShownStatus::New), 1).await, [jobs[0].id]);
    assert_eq!(walk(&store, &tenant, Some(ShownStatus::Failed), 1).await, []);
}

async fn pages_by_status_hold_every_match_once<S: JobStore>(store: S, tenant: Tenant) {
    let jobs = create(&store, &tenant, 1..=12).await;
    for job in jobs.iter().filter(|j| j.id.value() % 3 != 0) {
        cancel(&store, job).await;
    }
    let mut left: Vec<JobId> = jobs.iter().map(|j| j.id).filter(|id| id.value() % 3 == 0).collect();
    left.reverse();
    assert!(!left.is_empty());
    for limit in [1, 2, 3, 50] {
        assert_eq!(walk(&store, &tenant, Some(ShownStatus::New), limit).await, left);
    }
}

async fn inner_states_are_listed_as_what_they_show<S: JobStore>(store: S, tenant: Tenant) {
    let job = create(&store, &tenant, [1]).await.remove(0);
    let failing = job.fail(Vec::new(), later(1)).unwrap();
    store.swap(&failing).await.unwrap();
    let page = store.page(&tenant, &request(Some(ShownStatus::Processing), None, 10)).await.unwrap();
    assert_eq!(ids(&page), [job.id]);
    store.swap(&failing.end_fail(later(2)).unwrap()).await.unwrap();
    assert_eq!(walk(&store, &tenant, Some(ShownStatus::Processing), 10).await, []);
    assert_eq!(walk(&store, &tenant, Some(ShownStatus::Failed), 10).await, [job.id]);
}

async fn a_listed_record_carries_its_progress<S: JobStore>(store: S, tenant: Tenant) {
    let job = create(&store, &tenant, [1]).await.remove(0);
    let progress = domain::job::Progress {
        parts: 6,
        parts_done: 1,
        weight_done: 2,
        weight_seen: 0,
        rows: 3,
        bytes: 4,
        told: Some(later(5)),
    };
    store.report(&tenant, job.id, progress).await.unwrap();
    for status in [None, Some(ShownStatus::New)] {
        let page = store.page(&tenant, &request(status, None, 10)).await.unwrap();
        assert_eq!((&page.records[0].job, page.records[0].progress), (&job, progress));
    }
}

async fn a_page_may_be_larger_than_any_single_read<S: JobStore>(store: S, tenant: Tenant) {
    let heavy = |n| {
        let mut job = fixtures::job(&tenant, n);
        job.echo.body.insert("note".into(), "x".repeat(30_000).into());
        job
    };
    for n in 1..=130 {
        store.create(&heavy(n), None, later(0)).await.unwrap();
    }
    for status in [None, Some(ShownStatus::New)] {
        let page = store.page(&tenant, &request(status, None, 125)).await.unwrap();
        assert_eq!((page.records.len(), page.more), (125, true));
        assert_eq!(page.records[124].job.id, fixtures::job_id(6));
    }
}

async fn jobs_that_have_not_ended_are_counted_by_tenant_and_up_to_a_limit<S: JobStore>(store: S, tenant: Tenant) {
    create(&store, &fresh_tenant(), [1]).await;
    assert_eq!(store.running(&tenant, 10).await.unwrap(), 0);
    let jobs = create(&store, &tenant, 1..=6).await;
    let started = |n: u64| fixtures::processing(&tenant, n, 2);
    store.swap(&started(1)).await.unwrap();
    cancel(&store, &jobs[1]).await;
    let cancelled = cancel(&store, &jobs[2]).await;
    store.swap(&cancelled.end_cancel(later(2)).unwrap()).await.unwrap();
    for (most, counted) in [(10, 5), (5, 5), (4, 4), (1, 1)] {
        assert_eq!(store.running(&tenant, most).await.unwrap(), counted, "at most {most}");
    }
}
