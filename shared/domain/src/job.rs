//! The job's record and its steps: a pure state machine. Every step takes the record as it was read and gives the record
//! to be written in its place, or says why not; `ports::jobs` swaps one for the other only if nobody else did meanwhile.

mod collect;
mod steps;
mod view;

pub use collect::Collect;
pub use steps::{CancelVerdict, Refused};
pub use view::render;

use crate::fields::Projection;
use crate::filter::{EventList, ProfileFilter};
use crate::id::{BatchId, JobId};
use crate::instant::Millis;
use crate::plan::{Counts, Pin, TableName};
use crate::problem::Code;
use crate::registry::{DatasetKind, MergePolicy};
use crate::state::State;
use crate::tenant::Tenant;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A job as it is stored, but for its [`Progress`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Whose job.
    pub tenant: Tenant,
    /// Its id; tells its creation time.
    pub id: JobId,
    /// Counts the record's writes; a swap names the version that it replaces.
    pub version: u64,
    /// Drawn by the request that created it: who finds its own nonce under an id has created it.
    pub nonce: String,
    /// Where it stands.
    pub state: State,
    /// When the sweeper looks at it; `None` once it has ended.
    pub due: Option<Millis>,
    /// Times that the sweeper has sent the present step on its way again.
    pub resent: u32,
    /// The last change of state.
    pub update_time: Millis,
    /// What the client sent and sees again.
    pub echo: Echo,
    /// What the references of the request stand for.
    pub resolved: Resolved,
    /// The input tables' snapshots, once pinned.
    pub pins: Option<Vec<Pin>>,
    /// Since it was planned: the work's shape.
    pub work: Option<Work>,
    /// When the first part could start and when the last was done.
    pub export_times: (Option<Millis>, Option<Millis>),
    /// When the commit began and when it was seen.
    pub commit_times: (Option<Millis>, Option<Millis>),
    /// One for each of the last attempts at the commit or at abandoning it, the latest last.
    pub commit_uuids: Vec<String>,
    /// Of the last attempts at widening the export table those of which it is not known that they stand, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub widenings: Vec<Widening>,
    /// What was exported, once it succeeded.
    pub counts: Option<Counts>,
    /// Why it failed or is about to.
    pub errors: Vec<JobError>,
}

/// An attempt at widening an export table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Widening {
    /// Which table.
    pub table_uuid: String,
    /// The metadata file that this attempt writes, and no other, `s3://bucket/key`.
    pub metadata_file: String,
}

/// The parts of a request that stand in the job as they were sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Echo {
    /// The request's known top-level properties, but `mergePolicy`, which is shown resolved.
    pub body: serde_json::Map<String, Value>,
    /// `x-request-id` of the creating request.
    pub request_id: String,
    /// `x-profile-instance-id`.
    pub profile_instance_id: String,
}

/// A request's references, resolved at POST.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// The datasets that are read: profile datasets in the order in which they win ties, then event datasets.
    pub sources: Vec<ResolvedDataset>,
    /// The export dataset that is written.
    pub target: ResolvedDataset,
    /// The merge policy, as it stood.
    pub merge_policy: MergePolicy,
    /// Which fields.
    pub projection: Projection,
    /// Which profiles.
    pub filter: ProfileFilter,
    /// Which events go along; `None` = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventList>,
    /// One batch, or one for each segment entry.
    pub batches: Vec<BatchId>,
    /// Whether the batches are one for each segment entry.
    pub segment_per_batch: bool,
}

impl Resolved {
    /// Whether event datasets take part: for the events themselves, or for the profiles that have nothing else.
    pub fn reads_events(&self) -> bool {
        self.sources.iter().any(|source| source.kind == DatasetKind::Event)
    }
}

/// A dataset as it was when the job was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedDataset {
    /// Its id.
    pub id: String,
    /// What it is for.
    pub kind: DatasetKind,
    /// Its table.
    pub table: TableName,
}

/// The shape of a planned job's work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Work {
    /// The UUID under which the work runs: `computeGatewayJobId.exportJob`.
    pub run_id: String,
    /// Number of shards: clamp(parts / 16, 1, 64).
    pub shards: u32,
    /// Number of parts in the plan.
    pub parts: u32,
    /// Planned bytes of all parts.
    pub weight: u64,
    /// Whether P4 has come to its end: the message of each part has been sent at least once.
    #[serde(default)]
    pub fanned_out: bool,
}

impl Work {
    /// How many hundredths of the work so many planned bytes are; 99 at most, since a job is whole only once it is visible.
    pub fn percent(&self, weight: u64) -> u64 {
        let whole = u128::from(self.weight.max(1));
        (u128::from(weight) * 100 / whole).min(99) as u64
    }
}

impl Job {
    /// The work of which not every part is known to have its message (P4); the sweeper has them sent again.
    pub fn work_to_fan_out(&self) -> Option<&Work> {
        self.work.as_ref().filter(|work| self.state == State::Processing && !work.fanned_out)
    }

    /// How many shards the job can have: as many as any job, before it is known.
    pub fn shards(&self) -> u32 {
        self.work.as_ref().map_or(Work::MOST_SHARDS, |work| work.shards)
    }
}

impl Work {
    /// Most shards that a job can have.
    pub const MOST_SHARDS: u32 = 64;

    /// Shards for a number of parts.
    pub fn shards_for(parts: u32) -> u32 {
        (parts / 16).clamp(1, Self::MOST_SHARDS)
    }

    /// The shard in which a part lies.
    pub fn shard_of(part: u32, shards: u32) -> u32 {
        part % shards.max(1)
    }

    /// How many parts each shard holds.
    pub fn shard_totals(parts: u32, shards: u32) -> Vec<u32> {
        (0..shards).map(|k| (parts + shards - 1 - k) / shards).collect()
    }
}

/// Why a job failed, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobError {
    /// A stable code of the table in `docs/errors.md`.
    pub code: String,
    /// What happened, and what to do.
    pub msg: String,
    /// The chain of causes in plain words, without paths or stack frames, the outermost first; empty where the message is
    /// all there is to say.
    pub call_stack: Vec<String>,
}

impl JobError {
    /// An error in one sentence.
    pub fn new(code: Code, msg: impl Into<String>) -> Self {
        Self { code: code.text(), msg: msg.into(), call_stack: Vec::new() }
    }

    /// The same with its chain of causes.
    pub fn because(self, causes: impl IntoIterator<Item = String>) -> Self {
        Self { call_stack: causes.into_iter().collect(), ..self }
    }
}

/// How far a job has come. Kept beside the record, so that progress never contends with a step; only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// How many parts there are, halves counted each; 0 = as many as were planned.
    #[serde(default)]
    pub parts: u32,
    /// Parts that are done.
    pub parts_done: u32,
    /// Planned bytes of the parts that are done.
    pub weight_done: u64,
    /// Planned bytes that were seen done while a part was at work, by a worker that knew of its own part and of those that
    /// were done when it began: never more than is done, unless an attempt came to nothing. Stored apart from all others.
    #[serde(default)]
    pub weight_seen: u64,
    /// Exported rows so far.
    pub rows: u64,
    /// Bytes written so far.
    pub bytes: u64,
    /// When it was told last, by the clock of who did; `None` = never. Only tells the sweeper whether the job moves.
    #[serde(default)]
    pub told: Option<Millis>,
}

/// A job and how far it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRecord {
    /// The record.
    pub job: Job,
    /// Its progress.
    pub progress: Progress,
}
