//! The ports' promises, a named case each. A suite runs on a twin and on its real adapter alike; what it finds broken it
//! names at the end, all at once. Cases make their own tenants or keys, so that one store serves many.
#![allow(clippy::unwrap_used)]

mod collecting;
mod creating;
mod listing;
mod moving;
mod objects;
mod overdue;
mod parts;
mod registry;
mod splitting;

use domain::instant::Millis;
use domain::message::{Message, Task};
use domain::ports::jobs::{CollectJobs, CountJobs, CreateJobs, FindDue, ListJobs, PlanParts};
use domain::ports::objects::{CollectObjects, Location};
use domain::ports::queue::SendMessages;
use domain::ports::registry::WriteRegistry;
use domain::tenant::Tenant;
use std::any::type_name;
use std::sync::atomic::{AtomicU32, Ordering};

/// All the job ports together.
pub trait JobStore: CreateJobs + ListJobs + CountJobs + CollectJobs + PlanParts + FindDue {}
impl<S: CreateJobs + ListJobs + CountJobs + CollectJobs + PlanParts + FindDue> JobStore for S {}

/// The object ports together.
pub trait ObjectStore: CollectObjects {}
impl<S: CollectObjects> ObjectStore for S {}

/// Holds a job store to the promises of all job ports.
pub async fn jobs<S: JobStore>(store: S) {
    let mut suite = Suite::default();
    creating::run(&mut suite, &store).await;
    listing::run(&mut suite, &store).await;
    moving::run(&mut suite, &store).await;
    parts::run(&mut suite, &store).await;
    splitting::run(&mut suite, &store).await;
    collecting::run(&mut suite, &store).await;
    overdue::run(&mut suite, &store).await;
    suite.end();
}

/// Holds an object store to its promises, below a prefix (an empty key, or one that ends with a slash) that is its own.
pub async fn objects<S: ObjectStore>(store: S, prefix: Location) {
    let mut suite = Suite::default();
    objects::run(&mut suite, &store, &prefix).await;
    suite.end();
}

/// Holds a registry to its promises.
pub async fn registry<S: WriteRegistry>(store: S) {
    let mut suite = Suite::default();
    registry::run(&mut suite, &store).await;
    suite.end();
}

/// Holds a queue to its promise: whatever is sent can be received, each at least once. `receive` gives what has come since
/// it was asked last, and nothing only when all has been given.
pub async fn queue<Q, F>(queue: Q, receive: impl Fn() -> F)
where
    Q: SendMessages,
    F: Future<Output = Vec<Message>>,
{
    queue.send(&[]).await.unwrap();
    let job = crate::fixtures::job_id(1);
    let tenants = [fresh_tenant(), fresh_tenant(), Tenant::new(&"o".repeat(128), &"s".repeat(128)).unwrap()];
    let mut sent = Vec::new();
    for tenant in &tenants {
        sent.extend([Message::new(tenant, job, Task::Plan), Message::new(tenant, job, Task::Commit)]);
        sent.extend((0..23).map(|part| Message::new(tenant, job, Task::Part { part })));
    }
    queue.send(&sent).await.unwrap();
    let mut received = Vec::new();
    loop {
        let batch = receive().await;
        if batch.is_empty() {
            break;
        }
        received.extend(batch);
    }
    for message in &sent {
        assert!(received.contains(message), "{message:?} never came");
    }
    assert!(received.iter().all(|m| sent.contains(m)), "something came that was not sent");
}

/// A sandbox that no other case of this process has.
pub fn fresh_tenant() -> Tenant {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    Tenant::new(&format!("CASE{n}@AdobeOrg"), "prod").unwrap()
}

/// An instant some seconds after the fixtures' [`NOW`](crate::fixtures::NOW).
fn later(seconds: i64) -> Millis {
    crate::fixtures::NOW.plus_seconds(seconds)
}

/// Runs cases one after another and remembers which failed.
#[derive(Default)]
struct Suite {
    failed: Vec<&'static str>,
}

impl Suite {
    /// Runs one case, named by its function.
    async fn case<S, T, F>(&mut self, case: impl Fn(S, T) -> F, store: &S, own: T)
    where
        S: Clone,
        F: Future<Output = ()> + Send + 'static,
    {
        let name = name_of(&case);
        // A task of its own, so that a failed case does not end the suite.
        if tokio::spawn(case(store.clone(), own)).await.is_err() {
            self.failed.push(name);
        }
    }

    fn end(self) {
        assert!(self.failed.is_empty(), "broken promises:\n  {}", self.failed.join("\n  "));
    }
}

/// A function's own name, without path and type parameters.
fn name_of<F>(_: &F) -> &'static str {
    let path = type_name::<F>();
    let path = path.split_once('<').map_or(path, |(path, _)| path);
    path.rsplit_once("::").map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn holds(_: (), _: ()) {}
    async fn breaks(_: (), _: ()) {
        panic!("on purpose");
    }

    #[tokio::test]
    async fn a_suite_goes_on_after_a_failed_case_and_names_it() {
        let mut suite = Suite::default();
        suite.case(breaks, &(), ()).await;
        suite.case(holds, &(), ()).await;
        assert_eq!(suite.failed, ["breaks"]);
    }
}
