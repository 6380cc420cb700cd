//! What the job store does, without I/O: the protocol's guards, one function each.

use domain::guard::Guard;
use domain::id::JobId;
use domain::instant::Millis;
use domain::job::{Collect, Job, JobRecord, Progress, Work};
use domain::plan::Counts;
use domain::ports::jobs::*;
use domain::state::State;
use domain::tenant::Tenant;
use std::collections::BTreeMap;

/// The items, by the keys of the protocol.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Jobs.
    pub jobs: BTreeMap<(Tenant, JobId), JobRecord>,
    keys: BTreeMap<(Tenant, String), KeyItem>,
    /// Shards by their number in the job.
    pub shards: BTreeMap<(Tenant, JobId, u32), Shard>,
    /// Parts.
    pub parts: BTreeMap<PartRef, PartItem>,
    /// What is left of jobs that have ended, and when it is due.
    pub collect: BTreeMap<(Tenant, JobId), (Collect, Millis)>,
    /// What the due index showed last.
    shown: Vec<Due>,
    /// Jobs that have not ended, as the status index showed them last.
    running: BTreeMap<Tenant, usize>,
}

#[derive(Clone, Debug)]
struct KeyItem {
    body_hash: String,
    job: JobId,
    expires: Millis,
}

/// A part and when it is due.
#[derive(Clone, Debug)]
pub struct PartItem {
    /// The part.
    pub part: Part,
    /// `None` unless PENDING.
    pub due: Option<Millis>,
}

impl Tables {
    /// C1.
    pub fn create(&mut self, job: &Job, key: Option<&IdempotencyKey>, now: Millis) -> Created {
        let at = (job.tenant.clone(), job.id);
        let standing = self.jobs.get(&at);
        if standing.is_some_and(|r| r.job.nonce == job.nonce) {
            return Created::Stored;
        }
        let key_at = key.map(|k| (job.tenant.clone(), k.key.clone()));
        if let Some(old) = key_at.as_ref().and_then(|k| self.keys.get(k)).filter(|old| old.expires > now) {
            return Created::KeyTaken(FirstUse { body_hash: old.body_hash.clone(), job: old.job });
        }
        if standing.is_some() {
            return Created::IdTaken;
        }
        if let (Some(key_at), Some(key)) = (key_at, key) {
            let item = KeyItem { body_hash: key.body_hash.clone(), job: job.id, expires: key.expires };
            self.keys.insert(key_at, item);
        }
        self.jobs.insert(at, JobRecord { job: job.clone(), progress: Progress::default() });
        Created::Stored
    }

    pub(super) fn first_use(&self, tenant: &Tenant, key: &str, now: Millis) -> Option<FirstUse> {
        let item = self.keys.get(&(tenant.clone(), key.to_owned())).filter(|item| item.expires > now)?;
        Some(FirstUse { body_hash: item.body_hash.clone(), job: item.job })
    }

    /// A job as it stands.
    pub fn job(&self, tenant: &Tenant, id: JobId) -> Option<JobRecord> {
        self.jobs.get(&(tenant.clone(), id)).cloned()
    }

    pub(super) fn page(&self, tenant: &Tenant, page: &PageRequest) -> JobPage {
        let fits = |r: &&JobRecord| {
            r.job.tenant == *tenant
                && page.after.is_none_or(|after| r.job.id < after)
                && page.status.is_none_or(|status| r.job.state.shown() == status)
        };
        let mut records: Vec<JobRecord> = self.jobs.values().rev().filter(fits).take(page.limit + 1).cloned().collect();
        let more = records.len() > page.limit;
        records.truncate(page.limit);
        JobPage { records, more }
    }

    /// How many jobs have not ended; where the index lags, how many it showed before.
    pub(super) fn running(&mut self, tenant: &Tenant, lags: bool) -> usize {
        let runs = |r: &&JobRecord| r.job.tenant == *tenant && !r.job.state.is_terminal();
        let shown = self.running.entry(tenant.clone()).or_default();
        if !lags {
            *shown = self.jobs.values().filter(runs).count();
        }
        *shown
    }

    /// Any step of the record.
    pub fn swap(&mut self, next: &Job) -> Swap {
        let at = (next.tenant.clone(), next.id);
        let fits = |r: &&mut JobRecord| Guard::Version.allows(r.job.version + 1 == next.version);
        let Some(record) = self.jobs.get_mut(&at).filter(fits) else {
            return Swap::Moved;
        };
        record.job = next.clone();
        let early = next.state == State::Committing && !Guard::CollectAfterEnd.stands();
        if next.state.is_terminal() || early {
            self.collect.insert(at, (Collect { job: next.clone(), looks: 0 }, next.update_time));
        }
        Swap::Done
    }

    pub(super) fn delete(&mut self, job: &Job) -> Swap {
        let at = (job.tenant.clone(), job.id);
        if self.jobs.get(&at).is_none_or(|r| r.job.version != job.version) {
            return Swap::Moved;
        }
        self.jobs.remove(&at);
        Swap::Done
    }

    pub(super) fn report(&mut self, tenant: &Tenant, id: JobId, new: Progress) {
        let Some(record) = self.jobs.get_mut(&(tenant.clone(), id)) else { return };
        let old = record.progress;
        let upward = old.parts_done <= new.parts_done
            && old.weight_done <= new.weight_done
            && old.rows <= new.rows
            && old.bytes <= new.bytes;
        if upward {
            record.progress = Progress { weight_seen: old.weight_seen, ..new };
        }
    }

    pub(super) fn report_seen(&mut self, tenant: &Tenant, id: JobId, weight_seen: u64) {
        if let Some(JobRecord { progress, .. }) = self.jobs.get_mut(&(tenant.clone(), id)) {
            progress.weight_seen = progress.weight_seen.max(weight_seen);
        }
    }

    /// P2: the shards.
    pub fn create_shards(&mut self, job: &Job, totals: &[u32]) -> Swap {
        let new = |r: JobRecord| Guard::ShardsOfNewJobs.allows(r.job.state == State::New);
        if !self.job(&job.tenant, job.id).is_some_and(new) {
            return Swap::Moved;
        }
        for (k, &total) in (0..).zip(totals) {
            let shard = Shard { gate: Gate::Open, total, done: 0, weight_done: 0, counts: Counts::default() };
            self.shards.entry((job.tenant.clone(), job.id, k)).or_insert(shard);
        }
        Swap::Done
    }

    /// P2: the parts.
    pub fn create_parts(&mut self, job: &Job, shards: u32, weights: &[u64], due: Millis) {
        for (number, &weight) in (0..).zip(weights) {
            let item = PartItem::pending(number, weight, due);
            let shard = Work::shard_of(number, shards);
            let at = PartRef { tenant: job.tenant.clone(), job: job.id, shard, part: number };
            self.parts.entry(at).or_insert(item);
        }
    }

    /// W1.
    pub fn claim(&mut self, at: &PartRef, owner: &str, now: Millis, lease_until: Millis) -> Claim {
        let open = self.is_open(at);
        let Some(item) = self.pending(at) else { return Claim::NotNow };
        let leased = item.part.lease_until > now;
        if leased && !Guard::OwnClaim.stands() {
            return Claim::NotNow;
        }
        if leased && item.part.owner.as_deref() == Some(owner) {
            return Claim::Mine(item.part.clone());
        }
        if leased || !open {
            return Claim::NotNow;
        }
        item.part.attempt += 1;
        item.part.owner = Some(owner.to_owned());
        item.part.lease_until = lease_until;
        item.due = Some(lease_until);
        Claim::Mine(item.part.clone())
    }

    /// W3.
    pub fn renew(&mut self, at: &PartRef, owner: &str, attempt: u32, lease_until: Millis) -> Swap {
        let open = self.is_open(at);
        let held = self.pending(at).filter(|i| i.part.attempt == attempt && i.part.owner.as_deref() == Some(owner));
        let (Some(item), true) = (held, open) else { return Swap::Moved };
        item.part.lease_until = lease_until;
        item.due = Some(lease_until);
        Swap::Done
    }

    /// W4.
    pub fn finish(&mut self, at: &PartRef, done: &PartDone) -> Swap {
        let open = Guard::GateOpen.allows(self.is_open(at));
        let Some(item) = self.parts.get_mut(at) else { return Swap::Moved };
        let mine = item.part.is_held(&done.owner, done.attempt);
        if !Guard::PartPending.allows(item.part.state == PartState::Pending) {
            let same = mine && item.part.output.as_ref() == Some(&done.output);
            return if same { Swap::Done } else { Swap::Moved };
        }
        if !Guard::PartHeld.allows(mine) || !open {
            return Swap::Moved;
        }
        item.part.state = PartState::Done;
        item.part.output = Some(done.output.clone());
        item.due = None;
        if let Some(shard) = self.shards.get_mut(&home(at)).filter(|_| Guard::CountedTogether.stands()) {
            shard.done += 1;
            shard.weight_done += done.weight;
            shard.counts.add(&done.counts);
        }
        Swap::Done
    }

    /// W5.
    pub fn split(&mut self, at: &PartRef, split: &PartSplit) -> Swap {
        let open = self.is_open(at);
        let Some(item) = self.parts.get_mut(at) else { return Swap::Moved };
        let mine = item.part.is_held(&split.owner, split.attempt);
        match item.part.state {
            PartState::Pending if mine && open => {}
            PartState::Split if mine => return Swap::Done,
            _ => return Swap::Moved,
        }
        item.part.state = PartState::Split;
        item.due = None;
        for (part, weight) in split.halves {
            let item = PartItem::pending(part, weight, split.due);
            self.parts.insert(PartRef { part, ..at.clone() }, item);
        }
        if let Some(shard) = self.shards.get_mut(&home(at)) {
            shard.total += 1;
        }
        Swap::Done
    }

    pub(super) fn part(&self, at: &PartRef) -> Option<Part> {
        self.parts.get(at).map(|i| i.part.clone())
    }

    pub(super) fn postpone_part(&mut self, at: &PartRef, due: Option<Millis>) {
        if let Some(item) = self.pending(at) {
            item.due = due;
        }
    }

    pub(super) fn shards(&self, tenant: &Tenant, job: JobId, shards: u32) -> Vec<Shard> {
        (0..shards).filter_map(|k| self.shards.get(&(tenant.clone(), job, k)).cloned()).collect()
    }

    /// X2: the gates of so many shards.
    pub fn close_gates(&mut self, tenant: &Tenant, job: JobId, shards: u32) {
        for k in 0..shards {
            if let Some(shard) = self.shards.get_mut(&(tenant.clone(), job, k)) {
                shard.gate = Gate::Closed;
            }
        }
    }

    /// All parts of a job, by number.
    pub fn parts(&self, tenant: &Tenant, job: JobId) -> Vec<Part> {
        let of_job = self.parts.iter().filter(|(at, _)| at.tenant == *tenant && at.job == job);
        let mut parts: Vec<Part> = of_job.map(|(_, i)| i.part.clone()).collect();
        parts.sort_by_key(|p| p.number);
        parts
    }

    pub(super) fn remains(&self, tenant: &Tenant, job: JobId) -> Option<Collect> {
        self.collect.get(&(tenant.clone(), job)).map(|(collect, _)| collect.clone())
    }

    pub(super) fn postpone_collect(&mut self, tenant: &Tenant, job: JobId, looks: u32, due: Millis) {
        let item = self.collect.get_mut(&(tenant.clone(), job));
        if let Some((collect, at)) = item.filter(|(collect, _)| collect.looks <= looks) {
            (collect.looks, *at) = (looks, due);
        }
    }

    pub(super) fn forget(&mut self, tenant: &Tenant, job: JobId) {
        self.shards.retain(|(t, id, _), _| (t, *id) != (tenant, job));
        self.parts.retain(|at, _| (&at.tenant, at.job) != (tenant, job));
        self.collect.remove(&(tenant.clone(), job));
    }

    /// What is due; where the index lags, what it showed before.
    pub(super) fn due(&mut self, now: Millis, limit: usize, lags: bool) -> Vec<Due> {
        if !lags {
            self.shown = self.due_now(now);
        }
        self.shown.iter().take(limit).cloned().collect()
    }

    fn due_now(&self, now: Millis) -> Vec<Due> {
        let jobs = self.jobs.values().filter_map(|r| Some((r.job.due?, Due::Job(r.job.tenant.clone(), r.job.id))));
        let parts = self.parts.iter().filter_map(|(at, i)| Some((i.due?, Due::Part(at.clone()))));
        let left = self.collect.iter().map(|((tenant, id), (_, at))| (*at, Due::Collect(tenant.clone(), *id)));
        let mut due: Vec<_> = jobs.chain(parts).chain(left).filter(|(at, _)| *at <= now).collect();
        due.sort();
        due.into_iter().map(|(_, what)| what).collect()
    }

    pub(super) fn collectable(&self) -> Vec<Job> {
        self.collect.values().map(|(collect, _)| collect.job.clone()).collect()
    }

    fn pending(&mut self, at: &PartRef) -> Option<&mut PartItem> {
        self.parts.get_mut(at).filter(|i| Guard::PartPending.allows(i.part.state == PartState::Pending))
    }

    fn is_open(&self, at: &PartRef) -> bool {
        self.shards.get(&home(at)).is_some_and(|s| s.gate == Gate::Open)
    }
}

impl PartItem {
    fn pending(number: u32, weight: u64, due: Millis) -> Self {
        let (state, lease_until) = (PartState::Pending, Millis(0));
        Self {
            part: Part { number, state, attempt: 0, owner: None, lease_until, weight, output: None },
            due: Some(due),
        }
    }
}

/// The place of the part's shard.
fn home(at: &PartRef) -> (Tenant, JobId, u32) {
    (at.tenant.clone(), at.job, at.shard)
}
