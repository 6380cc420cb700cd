//! What a process does between two calls of a port: the worker's handlers and the route that cancels, call by call. What a
//! call does is the twins' and the state machine's own code.

use super::state::{NOW, Read, SHARDS, State, list_key, output};
use crate::rows::of_part;
use domain::guard::Guard;
use domain::job::{CancelVerdict, Job, JobError, Refused, Work};
use domain::plan::{Counts, OutputFile};
use domain::ports::jobs::{Claim, Gate, PartDone, PartSplit, PartState, Swap};
use domain::problem::Code;
use domain::state::State as JobState;
use std::sync::Arc;
use testkit::{MemoryTable, Snapshot, fixtures};

/// Attempts at a part after which its job fails.
const MAX_ATTEMPTS: u32 = 2;

/// A process under way.
#[derive(Clone, Debug, Hash)]
pub struct Process {
    /// Its number: no two ever have the same.
    pub id: u8,
    /// The call that it makes next.
    pub at: At,
}

/// What a process begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    Plan,
    Part(u32),
    Commit,
    Cancel,
}

/// A claim of a part.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Mine {
    part: u32,
    attempt: u32,
    weight: u64,
}

/// A call.
#[derive(Clone, Debug, Hash)]
pub enum At {
    /// P1, with the source's snapshot as it was looked at.
    Pin(Read<Job>, usize),
    /// P2: the plan object.
    Settle(Read<Job>, usize),
    /// P2: shards, then parts.
    Shards(Read<Job>),
    Parts(Read<Job>),
    /// W1.
    Claim(u32),
    /// W2.
    Write(Mine),
    /// W4; instead of it W3 or W5.
    HandIn(Mine),
    /// The files of an attempt that lost.
    Drop(Mine),
    /// F1's guard: the shards from that one on.
    Complete(Read<Job>, u32),
    /// F2: the output lists.
    Outputs(Read<Job>),
    /// F2: the attempt on the record.
    Attempt(Read<Job>, Vec<String>),
    /// F2: the look.
    Look(Read<Job>, Vec<String>),
    /// F2: whether the job is still committing.
    Still(Read<Job>, Vec<String>, Read<MemoryTable>),
    /// F2: the swap.
    Swap(Read<Job>, Vec<String>, Read<MemoryTable>),
    /// F4: look and swap.
    LookToAbandon(Read<Job>),
    Abandon(Read<Job>, Read<MemoryTable>),
    /// X2: the gates from that one on; X3: whether all are closed.
    Close(Read<Job>, u32),
    Closed(Read<Job>),
    /// A step of the record, from what was read of it.
    Take(Read<Job>, Step),
}

/// The steps of the record that are taken again wherever the job has moved meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Start,
    FanOut,
    BeginCommit,
    Succeed,
    Abandon,
    FailCommit,
    Cancel,
    Fail,
    End,
}

fn read<T>(thing: T) -> Read<T> {
    Read(Arc::new(thing))
}

impl State {
    /// A process begins: it reads the job, and goes where that leads. `None`: there is nothing to do.
    pub fn deliver(&self, message: Message) -> Option<Self> {
        let job = self.job();
        let at = match message {
            Message::Plan if job.state == JobState::New => match self.plan {
                Some(_) => At::Shards(read(job)),
                None => At::Pin(read(job), self.source),
            },
            Message::Plan if job.fan_out(NOW).is_ok() => At::Take(read(job), Step::FanOut),
            Message::Part(part) if job.state == JobState::Processing => At::Claim(part),
            Message::Commit => advance(job)?,
            Message::Cancel => At::Take(read(job), Step::Cancel),
            Message::Plan | Message::Part(_) => return None,
        };
        let mut next = self.clone();
        next.begun += 1;
        next.processes.push(Process { id: next.begun, at });
        Some(next)
    }

    /// The call of a process, and where it goes on; several where it may go either way.
    pub fn call(&self, process: usize) -> Vec<Self> {
        let Process { id, at } = self.processes[process].clone();
        let mut next = self.clone();
        let on = match at {
            At::Pin(job, seen) => next.pin(&job.0, seen),
            At::Settle(job, pinned) => next.settle(job, pinned, usize::from(id) % 2),
            At::Shards(job) => next.make_shards(job),
            At::Parts(job) => next.make_parts(job),
            At::Claim(part) => next.claim(part, id),
            At::Write(mine) => next.write(mine, id),
            At::HandIn(mine) => return self.hand_in(process, mine, id),
            At::Drop(mine) => {
                next.lists.remove(&list_key(mine.part, mine.attempt, &owner(id)));
                None
            }
            At::Complete(job, shard) => next.complete(job, shard),
            At::Outputs(job) => next.outputs(job),
            At::Attempt(job, files) => next.attempt(&job.0, files),
            At::Look(job, files) => next.look(job, files),
            At::Still(job, files, judged) => {
                let still = Guard::StillCommitting.allows(next.job_state() == JobState::Committing);
                let refuses = judged.0.refuses.is_some();
                match (still, refuses) {
                    (false, _) => None,
                    (true, true) => Some(At::Take(job, Step::Abandon)),
                    (true, false) => Some(At::Swap(job, files, judged)),
                }
            }
            At::Swap(job, files, judged) => next.swap(job, files, &judged.0),
            At::LookToAbandon(job) => next.look_to_abandon(job),
            At::Abandon(job, judged) => {
                let snapshot = Snapshot { abandoned: Some(job.0.id), ..Snapshot::default() };
                match next.target.swap(&judged.0, snapshot) {
                    true => Some(At::Take(job, Step::FailCommit)),
                    false => Some(At::LookToAbandon(job)),
                }
            }
            At::Close(job, gate) => {
                next.tables.close_gates(&job.0.tenant, job.0.id, gate + 1);
                Some(if gate + 1 < SHARDS { At::Close(job, gate + 1) } else { At::Closed(job) })
            }
            At::Closed(job) => {
                let open = next.tables.shards.values().any(|shard| shard.gate != Gate::Closed);
                (!open).then_some(At::Take(job, Step::End))
            }
            At::Take(job, step) => next.take(&job.0, step),
        };
        next.go_on(process, on);
        vec![next]
    }

    fn go_on(&mut self, process: usize, on: Option<At>) {
        match on {
            Some(at) => self.processes[process].at = at,
            None => drop(self.processes.remove(process)),
        }
    }

    fn pin(&mut self, job: &Job, seen: usize) -> Option<At> {
        let pinned = |job: &Job| job.pins.as_ref().and_then(|pins| pins[0].snapshot_id).map(|id| id as usize);
        if let Some(pinned) = pinned(job) {
            return Some(At::Settle(read(job.clone()), pinned));
        }
        let pin = domain::plan::Pin { snapshot_id: Some(seen as i64), ..fixtures::pin() };
        let pinning = job.pin(vec![pin], NOW).ok()?;
        match self.tables.swap(&pinning) {
            Swap::Done => Some(At::Settle(read(job.clone()), seen)),
            Swap::Moved => Some(At::Pin(read(self.job()), seen)),
        }
    }

    /// Each release cuts the source in its own way; whoever comes second takes the first one's plan.
    fn settle(&mut self, job: Read<Job>, pinned: usize, release: usize) -> Option<At> {
        let pinned = if Guard::PinnedSnapshot.stands() { pinned } else { self.source };
        if self.plan.is_none() || !Guard::CreateIfAbsent.stands() {
            self.plan = Some((pinned, release));
        }
        Some(At::Shards(job))
    }

    fn make_shards(&mut self, job: Read<Job>) -> Option<At> {
        let parts = self.planned()?.parts.len() as u32;
        let made = self.tables.create_shards(&job.0, &Work::shard_totals(parts, SHARDS));
        (made == Swap::Done).then_some(At::Parts(job))
    }

    fn make_parts(&mut self, job: Read<Job>) -> Option<At> {
        let weights: Vec<u64> = self.planned()?.parts.iter().map(|part| part.weight()).collect();
        self.tables.create_parts(&job.0, SHARDS, &weights, NOW);
        Some(At::Take(read(self.job()), Step::Start))
    }

    fn claim(&mut self, part: u32, id: u8) -> Option<At> {
        let at = self.part_ref(part);
        match self.tables.claim(&at, &owner(id), NOW, domain::instant::Millis(0)) {
            Claim::Mine(claimed) if claimed.attempt > MAX_ATTEMPTS => Some(At::Take(read(self.job()), Step::Fail)),
            Claim::Mine(claimed) => Some(At::Write(Mine { part, attempt: claimed.attempt, weight: claimed.weight })),
            Claim::NotNow => None,
        }
    }

    fn rows(&self, part: u32) -> Vec<u64> {
        self.planned().and_then(|plan| plan.part(part, SHARDS)).map(|part| of_part(&part)).unwrap_or_default()
    }

    fn write(&mut self, mine: Mine, id: u8) -> Option<At> {
        let key = list_key(mine.part, mine.attempt, &owner(id));
        let rows = self.rows(mine.part);
        self.lists.entry(key).or_insert(rows);
        Some(At::HandIn(mine))
    }

    /// The part is done, or it takes too long, or a renewal says that it is lost.
    fn hand_in(&self, process: usize, mine: Mine, id: u8) -> Vec<Self> {
        let (at, owner) = (self.part_ref(mine.part), owner(id));
        let key = list_key(mine.part, mine.attempt, &owner);
        let mut done = self.clone();
        let counts = Counts { rows: self.lists.get(&key).map_or(0, |rows| rows.len() as u64), ..Counts::default() };
        let (attempt, weight) = (mine.attempt, mine.weight);
        let finish = PartDone { attempt, owner: owner.clone(), weight, output: key, counts };
        let lost = done.tables.finish(&at, &finish) == Swap::Moved;
        done.go_on(process, lost.then_some(At::Drop(mine)));
        let mut ways = vec![done];
        let mut kept = self.clone();
        if kept.tables.renew(&at, &owner, mine.attempt, domain::instant::Millis(0)) == Swap::Moved {
            kept.go_on(process, Some(At::Drop(mine)));
            ways.push(kept);
        }
        let halves = self.planned().and_then(|plan| plan.halves(mine.part, SHARDS));
        if let Some(halves) = halves.filter(|_| self.left.splits > 0) {
            let halves = [(halves[0], weight - weight / 2), (halves[1], weight / 2)];
            let mut split = self.clone();
            split.left.splits -= 1;
            split.tables.split(&at, &PartSplit { attempt, owner, halves, due: NOW });
            split.go_on(process, Some(At::Drop(mine)));
            ways.push(split);
        }
        ways
    }

    fn complete(&mut self, job: Read<Job>, number: u32) -> Option<At> {
        let shard = self.tables.shards.get(&(job.0.tenant.clone(), job.0.id, number));
        let is_complete = shard.is_some_and(|shard| shard.gate == Gate::Open && shard.done == shard.total);
        match Guard::Complete.allows(is_complete) {
            true if number + 1 < SHARDS => Some(At::Complete(job, number + 1)),
            true => Some(At::Take(job, Step::BeginCommit)),
            false => None,
        }
    }

    fn outputs(&mut self, job: Read<Job>) -> Option<At> {
        let mut parts = self.tables.parts(&job.0.tenant, job.0.id);
        parts.retain(|part| part.state != PartState::Split);
        let planned = job.0.work.as_ref().map_or(0, |work| work.parts as usize);
        if parts.len() < planned || parts.iter().any(|part| part.state != PartState::Done) {
            // With its guard gone, F1 lets the job come here too early.
            parts.retain(|part| part.state == PartState::Done);
            if Guard::Complete.stands() {
                return None;
            }
        }
        Some(At::Attempt(job, parts.into_iter().filter_map(|part| part.output).collect()))
    }

    fn attempt(&mut self, job: &Job, files: Vec<String>) -> Option<At> {
        let attempt = job.attempt_commit("uuid".into(), NOW).ok()?;
        Some(match self.tables.swap(&attempt) {
            Swap::Done => At::Look(read(attempt), files),
            Swap::Moved => At::Attempt(read(self.job()), files),
        })
    }

    fn look(&mut self, job: Read<Job>, files: Vec<String>) -> Option<At> {
        if self.target.is_committed(job.0.id) && Guard::JobCommittedOnce.stands() {
            return Some(At::Take(job, Step::Succeed));
        }
        Some(At::Still(job, files, read(self.target.clone())))
    }

    fn swap(&mut self, job: Read<Job>, files: Vec<String>, judged: &MemoryTable) -> Option<At> {
        let rows = |list: &String| self.lists.get(list).map_or(0, |rows| rows.len() as u64);
        let added: Vec<OutputFile> = files.iter().map(|list| output(list, rows(list), &job.0)).collect();
        let snapshot = Snapshot { job: Some(job.0.id), added, ..Snapshot::default() };
        Some(match self.target.swap(judged, snapshot) {
            true => At::Take(job, Step::Succeed),
            false => At::Attempt(job, files),
        })
    }

    fn look_to_abandon(&mut self, job: Read<Job>) -> Option<At> {
        if self.target.is_committed(job.0.id) {
            return Some(At::Take(job, Step::Succeed));
        }
        if self.target.is_abandoned(job.0.id) || !Guard::Abandoning.stands() {
            return Some(At::Take(job, Step::FailCommit));
        }
        Some(At::Abandon(job, read(self.target.clone())))
    }

    /// A step of the record; where the job has moved, from how it stands now.
    fn take(&mut self, job: &Job, step: Step) -> Option<At> {
        let taken = self.taken(job, step).ok()?;
        if self.tables.swap(&taken) == Swap::Moved {
            let now = self.job();
            return if step == Step::BeginCommit { advance(now) } else { Some(At::Take(read(now), step)) };
        }
        match step {
            Step::Start => Some(At::Take(read(taken), Step::FanOut)),
            Step::FanOut | Step::Succeed | Step::FailCommit | Step::End | Step::Cancel => None,
            Step::BeginCommit | Step::Abandon | Step::Fail => advance(taken),
        }
    }

    fn taken(&self, job: &Job, step: Step) -> Result<Job, Refused> {
        let why = || vec![JobError::new(Code::Internal, "")];
        match step {
            Step::Start => {
                let parts = self.planned().map_or(0, |plan| plan.parts.len() as u32);
                job.start(Work { run_id: String::new(), shards: SHARDS, parts, weight: 1, fanned_out: false }, NOW)
            }
            Step::FanOut => job.fan_out(NOW),
            Step::BeginCommit => job.begin_commit(NOW),
            Step::Succeed => {
                let rows = self.tables.shards.values().map(|shard| shard.counts.rows).sum();
                job.succeed(Counts { rows, ..Counts::default() }, NOW)
            }
            Step::Abandon => job.abandon(why(), NOW),
            Step::FailCommit => job.fail_commit(why(), NOW),
            Step::Fail => job.fail(why(), NOW),
            Step::Cancel => match job.cancel(NOW) {
                CancelVerdict::Cancel(next) => Ok(*next),
                CancelVerdict::Already | CancelVerdict::Delete | CancelVerdict::TooLate => Err(Refused(job.state)),
            },
            Step::End if job.state == JobState::Cancelling => job.end_cancel(NOW),
            Step::End => job.end_fail(NOW),
        }
    }
}

/// Where a commit message goes on with a job as it stands.
fn advance(job: Job) -> Option<At> {
    let state = job.state;
    let job = read(job);
    match state {
        JobState::Processing => Some(At::Complete(job, 0)),
        JobState::Committing => Some(At::Outputs(job)),
        JobState::Aborting => Some(At::LookToAbandon(job)),
        JobState::Cancelling | JobState::Failing if !Guard::AllGatesClosed.stands() => Some(At::Take(job, Step::End)),
        JobState::Cancelling | JobState::Failing => Some(At::Close(job, 0)),
        JobState::New | JobState::Succeeded | JobState::Failed | JobState::Cancelled => None,
    }
}

fn owner(id: u8) -> String {
    format!("owner-{id}")
}
