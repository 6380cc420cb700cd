//! The worker: takes a message, does the step of the protocol that it asks for, and may be killed at any instruction.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

mod abandon;
mod collect;
mod commit;
mod distinct;
mod end;
mod export_parts;
mod halt;
mod part;
mod plan;
mod step;
mod stored_plan;
mod wiring;

pub use commit::COMMITS_BEGIN_WITH;
pub use distinct::marks_of;
pub use export_parts::{Engine, ExportParts};
pub use halt::Halt;
pub use wiring::{SETTINGS, run};

use domain::message::{Message, Task};
use domain::ports::jobs::{CollectJobs, PlanParts, ReadJobs};
use domain::ports::lake::{AppendOnce, WidenTables};
use domain::ports::objects::CollectObjects;
use domain::ports::queue::SendMessages;
use domain::ports::registry::WriteRegistry;
use domain::ports::{Clock, Random};

/// What the worker is told at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The bucket of plans and output lists.
    pub state_bucket: String,
    /// How long a claim of a part holds without a sign of life.
    pub lease_seconds: u32,
    /// Attempts at a part after which the job fails.
    pub max_attempts: u32,
    /// Input bytes of a part, where the data can be cut.
    pub part_target_bytes: u64,
    /// How long a worker works on a part before it leaves it as two halves.
    pub split_after_seconds: u32,
    /// How long what an ended job left behind is left alone.
    pub collect_grace_seconds: u32,
}

/// Everything outside that the worker works with.
pub trait Ports: Send + Sync {
    /// The job store.
    type Jobs: PlanParts + CollectJobs;
    /// Tables.
    type Lake: WidenTables + AppendOnce;
    /// Objects.
    type Objects: CollectObjects;
    /// The engine.
    type Engine: ExportParts;
    /// The work queue.
    type Queue: SendMessages;
    /// The registry, whose copies of tables every plan refreshes.
    type Registry: WriteRegistry;

    /// The job store.
    fn jobs(&self) -> &Self::Jobs;
    /// Tables.
    fn lake(&self) -> &Self::Lake;
    /// Objects.
    fn objects(&self) -> &Self::Objects;
    /// The engine.
    fn engine(&self) -> &Self::Engine;
    /// The work queue.
    fn queue(&self) -> &Self::Queue;
    /// The registry.
    fn registry(&self) -> &Self::Registry;
    /// The clock.
    fn clock(&self) -> &impl Clock;
    /// Randomness.
    fn random(&self) -> &impl Random;
    /// What the worker was told at start.
    fn settings(&self) -> &Settings;
}

/// Does what a message asks for. `Err` only where the same message is worth another delivery; what can never work has
/// failed the job, and what is no longer due is done.
pub async fn handle<P: Ports>(ports: &P, message: &Message) -> Result<(), Halt> {
    if message.task == Task::Collect {
        return collect::collect(ports, &message.tenant, message.job_id).await;
    }
    let Some(record) = ports.jobs().job(&message.tenant, message.job_id).await? else {
        tracing::info!("the job's record is gone; nothing to do");
        return Ok(());
    };
    let job = &record.job;
    let step = match message.task {
        Task::Plan => plan::plan(ports, job).await,
        Task::Part { part } => part::export(ports, &record, part).await,
        Task::Commit | Task::Collect => commit::advance(ports, job).await,
    };
    match step {
        Err(Halt::Permanent(error)) => end::fail(ports, job, error).await,
        other => other,
    }
}
