//! The job store: conditional writes only.

use crate::id::JobId;
use crate::instant::Millis;
use crate::job::{Collect, Job, JobRecord, Progress};
use crate::plan::Counts;
use crate::state::ShownStatus;
use crate::tenant::Tenant;
use serde::{Deserialize, Serialize};
use std::future::Future;

/// Why the store did not answer. Conflicts, throttling and requests in progress are retried inside and are never taken
/// for a lost race.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Throttled, timed out or out of reach; the outcome of a write is unknown. Try again.
    #[error("the job store is unavailable: {0}")]
    Unavailable(String),
    /// The store forbids it.
    #[error("access to the job store is denied: {0}")]
    Denied(String),
    /// An item that this release cannot read.
    #[error("a stored item cannot be read: {0}")]
    Damaged(String),
}

/// The outcome of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// Written.
    Done,
    /// The guard no longer held; nothing was written. Read again and judge anew.
    Moved,
}

/// A client's `Idempotency-Key` with the hash of the body that came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key as it was sent.
    pub key: String,
    /// SHA-256 of the body, in hex.
    pub body_hash: String,
    /// When the key is forgotten.
    pub expires: Millis,
}

/// The outcome of C1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// The job is stored: by this call, or by an earlier one of the same nonce whose answer was lost.
    Stored,
    /// Another job has this id: draw another.
    IdTaken,
    /// The key came before, with a body of this hash, and made this job. It stands in `job` as long as it was not deleted.
    KeyTaken(FirstUse),
}

/// What an idempotency key was used for first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstUse {
    /// The hash of the first body.
    pub body_hash: String,
    /// The job that it made.
    pub job: JobId,
}

/// Creates jobs.
pub trait CreateJobs: Clone + Send + Sync + 'static {
    /// C1: the job, and the idempotency item where a key came, both or neither. A key that expired before `now` is free.
    fn create(
        &self,
        job: &Job,
        key: Option<&IdempotencyKey>,
        now: Millis,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// What a tenant used a key for, unless that expired before `now`.
    fn first_use(
        &self,
        tenant: &Tenant,
        key: &str,
        now: Millis,
    ) -> impl Future<Output = Result<Option<FirstUse>, StoreError>> + Send;
}

/// Reads a job.
pub trait ReadJobs: Clone + Send + Sync + 'static {
    /// The job as the last write left it.
    fn job(&self, tenant: &Tenant, id: JobId) -> impl Future<Output = Result<Option<JobRecord>, StoreError>> + Send;
}

/// What a page of the list holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Only jobs that show this status.
    pub status: Option<ShownStatus>,
    /// Only jobs older than this one, which need not exist.
    pub after: Option<JobId>,
    /// At most this many; ≥ 1.
    pub limit: usize,
}

/// A page of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPage {
    /// Newest first.
    pub records: Vec<JobRecord>,
    /// Whether older ones remain.
    pub more: bool,
}

/// Lists jobs.
pub trait ListJobs: Clone + Send + Sync + 'static {
    /// A tenant's jobs, newest first. No job is listed with a status that it no longer has; one that has just changed may
    /// be missing from a list by status for a second. Costs what the page holds, however many jobs there are.
    fn page(&self, tenant: &Tenant, page: &PageRequest) -> impl Future<Output = Result<JobPage, StoreError>> + Send;
}

/// Counts jobs.
pub trait CountJobs: Clone + Send + Sync + 'static {
    /// How many of a tenant's jobs have not ended; `most` where there are more. May lag a moment: a job that was just created
    /// may be missing, and one that has just ended may count. Costs no more than `most` allows, however many jobs there are.
    fn running(&self, tenant: &Tenant, most: usize) -> impl Future<Output = Result<usize, StoreError>> + Send;
}

/// Moves a job along.
pub trait MoveJobs: ReadJobs {
    /// Writes `next` in place of the record of version `next.version - 1`. With a terminal `next` the job's `collect` item
    /// is written in the same transaction, and the job leaves the due index. A repetition of the caller's own write whose
    /// answer was lost is `Done` only if told so by the store; otherwise `Moved`, and the caller reads.
    fn swap(&self, next: &Job) -> impl Future<Output = Result<Swap, StoreError>> + Send;

    /// Removes the record of a job that has ended, if it still has this version. Its `collect` item stays.
    fn delete(&self, job: &Job) -> impl Future<Output = Result<Swap, StoreError>> + Send;

    /// Raises the job's progress but for the weight that was seen done; lower figures than the stored ones change nothing.
    fn report(
        &self,
        tenant: &Tenant,
        id: JobId,
        progress: Progress,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// W3: raises the weight that was seen done, and nothing else; a lower one changes nothing.
    fn report_seen(
        &self,
        tenant: &Tenant,
        id: JobId,
        weight_seen: u64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Whether parts of a shard may still be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Gate {
    /// They may.
    Open,
    /// Never again.
    Closed,
}

/// A shard of a job's parts: its gate and its totals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Whether parts may be committed.
    pub gate: Gate,
    /// Parts in it that count: split ones do not, their halves do.
    pub total: u32,
    /// Parts that are DONE (I2).
    pub done: u32,
    /// Planned bytes of those.
    pub weight_done: u64,
    /// What those exported.
    pub counts: Counts,
}

/// The state of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PartState {
    /// To be worked on.
    Pending,
    /// Its output list counts.
    Done,
    /// Its halves stand in its place.
    Split,
}

/// A part's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number in the plan.
    pub number: u32,
    /// Where it stands.
    pub state: PartState,
    /// Times that it was claimed.
    pub attempt: u32,
    /// Who claimed it last.
    pub owner: Option<String>,
    /// Until when that claim holds; only spares double work.
    pub lease_until: Millis,
    /// Planned bytes.
    pub weight: u64,
    /// When DONE: where its output list is.
    pub output: Option<String>,
}

impl Part {
    /// Whether its last claim is that owner's, at that attempt.
    pub fn is_held(&self, owner: &str, attempt: u32) -> bool {
        self.attempt == attempt && self.owner.as_deref() == Some(owner)
    }
}

/// Which part, of which job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartRef {
    /// Whose job.
    pub tenant: Tenant,
    /// The job.
    pub job: JobId,
    /// The shard in which the part lies.
    pub shard: u32,
    /// The part's number.
    pub part: u32,
}

/// The outcome of W1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The part is the caller's, at this attempt.
    Mine(Part),
    /// It is leased to another, done, gated or unknown: nothing to do.
    NotNow,
}

/// What W4 writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartDone {
    /// The claim that the work was done under.
    pub attempt: u32,
    /// Who holds it.
    pub owner: String,
    /// The part's planned bytes, which count as done now.
    pub weight: u64,
    /// Where the output list is.
    pub output: String,
    /// What was exported.
    pub counts: Counts,
}

/// What W5 writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartSplit {
    /// The claim that the part is split under.
    pub attempt: u32,
    /// Who holds it.
    pub owner: String,
    /// The halves: number and planned bytes. They lie in the part's shard.
    pub halves: [(u32, u64); 2],
    /// When the sweeper looks after the halves first.
    pub due: Millis,
}

/// Plans a job's work.
pub trait PlanParts: MoveJobs {
    /// P2: all shards of a planned job in one transaction, with a check that the job is NEW. Well if they are there already
    /// and the job is still NEW.
    fn create_shards(&self, job: &Job, totals: &[u32]) -> impl Future<Output = Result<Swap, StoreError>> + Send;

    /// P2: the parts, by weight in order of number; those already there are left as they are. Each is due at `now` plus its
    /// first patience, so that a lost message does not lose it.
    fn create_parts(
        &self,
        job: &Job,
        shards: u32,
        weights: &[u64],
        due: Millis,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Works on parts.
pub trait WorkParts: MoveJobs {
    /// W1: attempt + 1, owner and lease, if the part is PENDING without a live lease and its gate is OPEN. The owner's own
    /// earlier claim whose answer was lost is its own.
    fn claim(
        &self,
        part: &PartRef,
        owner: &str,
        now: Millis,
        lease_until: Millis,
    ) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// W3: prolongs the lease, if owner and attempt still are the caller's and the gate is OPEN.
    fn renew(
        &self,
        part: &PartRef,
        owner: &str,
        attempt: u32,
        lease_until: Millis,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send;

    /// W4: part DONE with its output list and the shard's totals, in one transaction; if the part is PENDING at this
    /// attempt and the gate is OPEN. `Done` also where this very write went through before and its answer was lost.
    fn finish(&self, part: &PartRef, done: &PartDone) -> impl Future<Output = Result<Swap, StoreError>> + Send;

    /// W5: part SPLIT, its halves PENDING, one part more in the shard, in one transaction under the guards of W4. `Done` also
    /// where this very write went through before.
    fn split(&self, part: &PartRef, split: &PartSplit) -> impl Future<Output = Result<Swap, StoreError>> + Send;

    /// The part as the last write left it.
    fn part(&self, part: &PartRef) -> impl Future<Output = Result<Option<Part>, StoreError>> + Send;

    /// S: the part is due once more at `due`, or never again. Nothing happens unless it is PENDING.
    fn postpone_part(&self, part: &PartRef, due: Option<Millis>)
    -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Brings jobs to their end.
pub trait EndJobs: WorkParts {
    /// All shards of a job as the last writes left them; fewer than `shards` where some were never made.
    fn shards(
        &self,
        tenant: &Tenant,
        job: JobId,
        shards: u32,
    ) -> impl Future<Output = Result<Vec<Shard>, StoreError>> + Send;

    /// X2: closes the gates of all shards that exist.
    fn close_gates(
        &self,
        tenant: &Tenant,
        job: JobId,
        shards: u32,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// All parts of a job, strongly read, by number.
    fn parts(
        &self,
        tenant: &Tenant,
        job: JobId,
        shards: u32,
    ) -> impl Future<Output = Result<Vec<Part>, StoreError>> + Send;
}

/// Cleans up after jobs that have ended.
pub trait CollectJobs: EndJobs {
    /// What is left of a job; `None` before its end, and once nothing is.
    fn remains(&self, tenant: &Tenant, job: JobId) -> impl Future<Output = Result<Option<Collect>, StoreError>> + Send;

    /// S, G: what is left is due again at `due`, having been looked through so many times; never fewer than before. Nothing
    /// happens where nothing is left.
    fn postpone_collect(
        &self,
        tenant: &Tenant,
        job: JobId,
        looks: u32,
        due: Millis,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// G: removes a job's shards and parts, and then what tells of them.
    fn forget(&self, tenant: &Tenant, job: JobId, shards: u32) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Something whose time has come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Due {
    /// A job in any state but a terminal one.
    Job(Tenant, JobId),
    /// A part that is PENDING.
    Part(PartRef),
    /// What is left of a job that has ended.
    Collect(Tenant, JobId),
}

/// Finds what is due.
pub trait FindDue: Clone + Send + Sync + 'static {
    /// Up to `limit` things whose time came before `now`, over all tenants, the most overdue first. May lag a moment.
    fn due(&self, now: Millis, limit: usize) -> impl Future<Output = Result<Vec<Due>, StoreError>> + Send;
}
