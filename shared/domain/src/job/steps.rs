//! The steps of the protocol on the job's record: P1, P3, P4, F1–F4, X1, X3, E1.

use super::{Job, JobError, Widening, Work};
use crate::guard::Guard;
use crate::id::JobId;
use crate::instant::Millis;
use crate::plan::{Counts, Pin};
use crate::state::State;
use crate::tenant::Tenant;

/// How long a step may take before the sweeper sends it on its way again, in seconds.
const PATIENCE_SECONDS: i64 = 60;
/// Longest wait of the sweeper between two tries of one step, in seconds.
const LONGEST_WAIT_SECONDS: i64 = 1_800;
/// Attempts of one kind that the record remembers, so that it stays small however often the table moves.
const ATTEMPTS_REMEMBERED: usize = 64;

/// The step does not apply to the record as it stands: somebody was faster, or the job went another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the job is {0:?} and takes no such step")]
pub struct Refused(pub State);

/// What a DELETE does to a job.
#[derive(Clone, Debug, PartialEq)]
pub enum CancelVerdict {
    /// X1: write this record, then send its message.
    Cancel(Box<Job>),
    /// It is being cancelled already.
    Already,
    /// It has ended: its record goes.
    Delete,
    /// It is past its commit point, or about to end as failed.
    TooLate,
}

impl Job {
    /// A job as it is created: NEW, due at once.
    pub fn new(
        tenant: Tenant,
        id: JobId,
        nonce: String,
        echo: super::Echo,
        resolved: super::Resolved,
        now: Millis,
    ) -> Self {
        Self {
            tenant,
            id,
            version: 1,
            nonce,
            state: State::New,
            due: Some(now),
            resent: 0,
            update_time: id.creation_time(),
            echo,
            resolved,
            pins: None,
            work: None,
            export_times: (None, None),
            commit_times: (None, None),
            commit_uuids: Vec::new(),
            widenings: Vec::new(),
            counts: None,
            errors: Vec::new(),
        }
    }

    /// P1: the snapshots that the job reads. Refused unless NEW and not pinned.
    pub fn pin(&self, pins: Vec<Pin>, now: Millis) -> Result<Self, Refused> {
        match (self.state, &self.pins) {
            (State::New, None) => Ok(Self { pins: Some(pins), ..self.next(State::New, now) }),
            _ => Err(Refused(self.state)),
        }
    }

    /// P2: before an attempt at widening the export table writes its file, and after it has looked at the table: records the
    /// file. Refused unless NEW.
    pub fn attempt_widening(&self, widening: Widening, now: Millis) -> Result<Self, Refused> {
        self.only_from(State::New)?;
        let mut next = self.next(State::New, now);
        remember(&mut next.widenings, widening);
        Ok(next)
    }

    /// P2: the table was moved by that attempt, so its file is nothing to be cleaned up. Refused where the job has ended.
    pub fn keep_widening(&self, widening: &Widening, now: Millis) -> Result<Self, Refused> {
        if self.state.is_terminal() || !self.widenings.contains(widening) {
            return Err(Refused(self.state));
        }
        let mut next = self.next(self.state, now);
        next.widenings.retain(|other| other != widening);
        Ok(next)
    }

    /// P3: NEW → PROCESSING.
    pub fn start(&self, work: Work, now: Millis) -> Result<Self, Refused> {
        self.only_from(State::New)?;
        let mut next = self.next(State::Processing, now);
        next.work = Some(work);
        next.export_times.0 = Some(next.update_time);
        Ok(next)
    }

    /// P4: the message of each part has been sent; refused unless PROCESSING and not yet told.
    pub fn fan_out(&self, now: Millis) -> Result<Self, Refused> {
        let work = self.work_to_fan_out().ok_or(Refused(self.state))?;
        let work = Work { fanned_out: true, ..work.clone() };
        Ok(Self { work: Some(work), ..self.next(State::Processing, now) })
    }

    /// F1: PROCESSING → COMMITTING. The caller has read every shard complete. Competes with [`Job::cancel`]: whose write
    /// comes first decides between success and cancel.
    pub fn begin_commit(&self, now: Millis) -> Result<Self, Refused> {
        self.only_from(State::Processing)?;
        let mut next = self.next(State::Committing, now);
        next.export_times.1 = Some(next.update_time);
        next.commit_times.0 = Some(next.update_time);
        Ok(next)
    }

    /// Before each attempt of F2: records the fresh UUID that its files are named by.
    pub fn attempt_commit(&self, commit_uuid: String, now: Millis) -> Result<Self, Refused> {
        self.only_from(State::Committing)?;
        Ok(self.attempt(commit_uuid, now))
    }

    /// F3: COMMITTING, or ABORTING where the commit had gone through after all → SUCCEEDED, after the job's snapshot was
    /// seen in the table.
    pub fn succeed(&self, counts: Counts, now: Millis) -> Result<Self, Refused> {
        self.only_past_the_commit_point()?;
        let mut next = self.next(State::Succeeded, now);
        next.commit_times.1 = Some(next.update_time);
        next.counts = Some(counts);
        next.errors = Vec::new();
        Ok(next)
    }

    /// F4: COMMITTING → ABORTING, where the commit was refused for good.
    pub fn abandon(&self, errors: Vec<JobError>, now: Millis) -> Result<Self, Refused> {
        self.only_from(State::Committing)?;
        Ok(Self { errors, ..self.next(State::Aborting, now) })
    }

    /// Before each attempt of F4 at moving the table: records the fresh UUID that its files are named by.
    pub fn attempt_abandon(&self, commit_uuid: String, now: Millis) -> Result<Self, Refused> {
        self.only_from(State::Aborting)?;
        Ok(self.attempt(commit_uuid, now))
    }

    /// F4: COMMITTING or ABORTING → FAILED. The caller knows that nothing can become visible any more: the table is gone, or
    /// every committer that still sleeps has been defeated.
    pub fn fail_commit(&self, errors: Vec<JobError>, now: Millis) -> Result<Self, Refused> {
        self.only_past_the_commit_point()?;
        Ok(Self { errors, ..self.next(State::Failed, now) })
    }

    /// X1: what a DELETE means for the job as it stands.
    pub fn cancel(&self, now: Millis) -> CancelVerdict {
        match self.state {
            State::New | State::Processing => CancelVerdict::Cancel(Box::new(self.next(State::Cancelling, now))),
            State::Cancelling => CancelVerdict::Already,
            State::Committing if !Guard::CancelInTime.stands() => {
                CancelVerdict::Cancel(Box::new(Self { state: State::Cancelling, ..self.next(State::Committing, now) }))
            }
            State::Committing | State::Aborting | State::Failing => CancelVerdict::TooLate,
            State::Succeeded | State::Failed | State::Cancelled => CancelVerdict::Delete,
        }
    }

    /// X3: CANCELLING → CANCELLED. The caller has read every gate CLOSED.
    pub fn end_cancel(&self, now: Millis) -> Result<Self, Refused> {
        self.only_from(State::Cancelling)?;
        Ok(self.next(State::Cancelled, now))
    }

    /// E1: NEW or PROCESSING → FAILING.
    pub fn fail(&self, errors: Vec<JobError>, now: Millis) -> Result<Self, Refused> {
        match self.state {
            State::New | State::Processing => Ok(Self { errors, ..self.next(State::Failing, now) }),
            _ => Err(Refused(self.state)),
        }
    }

    /// E1: FAILING → FAILED. The caller has read every gate CLOSED.
    pub fn end_fail(&self, now: Millis) -> Result<Self, Refused> {
        self.only_from(State::Failing)?;
        Ok(self.next(State::Failed, now))
    }

    /// S: the present step has been sent on its way again; the sweeper waits longer each time.
    pub fn postpone(&self, now: Millis) -> Result<Self, Refused> {
        if self.state.is_terminal() {
            return Err(Refused(self.state));
        }
        let wait = (PATIENCE_SECONDS << self.resent.min(10)).min(LONGEST_WAIT_SECONDS);
        Ok(Self {
            version: self.version + 1,
            due: Some(now.plus_seconds(wait)),
            resent: self.resent + 1,
            ..self.clone()
        })
    }

    fn only_from(&self, state: State) -> Result<(), Refused> {
        if self.state == state { Ok(()) } else { Err(Refused(self.state)) }
    }

    fn only_past_the_commit_point(&self) -> Result<(), Refused> {
        match self.state {
            State::Committing | State::Aborting => Ok(()),
            _ => Err(Refused(self.state)),
        }
    }

    fn attempt(&self, commit_uuid: String, now: Millis) -> Self {
        let mut next = self.next(self.state, now);
        remember(&mut next.commit_uuids, commit_uuid);
        next
    }

    /// The record after a step. Time never runs backwards in it, whatever the clocks of two machines say.
    fn next(&self, state: State, now: Millis) -> Self {
        debug_assert!(state == self.state || self.state.may_become(state), "I3: {:?} → {state:?}", self.state);
        Self {
            version: self.version + 1,
            state,
            due: (!state.is_terminal()).then(|| now.plus_seconds(PATIENCE_SECONDS)),
            resent: if state == self.state { self.resent } else { 0 },
            update_time: now.max(self.update_time),
            ..self.clone()
        }
    }
}

/// Adds an attempt; the earliest is forgotten where there are too many.
fn remember<T>(attempts: &mut Vec<T>, latest: T) {
    attempts.push(latest);
    let forgotten = attempts.len().saturating_sub(ATTEMPTS_REMEMBERED);
    attempts.drain(..forgotten);
}
