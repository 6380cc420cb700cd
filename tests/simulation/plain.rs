//! One job of three parts and two batches, alone, in a calm world, step by step in the same order each time; and what is done
//! to it: the same call fails, is cut off or sleeps, or a client cancels.

use crate::checks::Seen;
use crate::tasks::{Done, Task};
use crate::world::{GRACE_SECONDS, MAX_ATTEMPTS, World};
use domain::id::JobId;
use domain::message::Message;
use domain::state::State;
use domain::tenant::Tenant;
use edge::http::Request;
use edge::verdict::Caller;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use testkit::Fault;

/// Rounds of a minute, and then of half an hour, after which what has not come to rest never will.
const MOST_ROUNDS: usize = 400;
const MINUTES: usize = 120;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The request is lost, or refused with an error.
    RequestLost,
    /// The request is refused, and so are the calls after it for a while, whoever makes them.
    Throttled,
    /// The answer is lost.
    AnswerLost,
    /// The process is killed before the call has an effect.
    KilledBefore,
    /// The process is killed before it has the answer.
    KilledAfter,
    /// The process sleeps past every lease before the call has an effect.
    AsleepBefore,
    /// It sleeps so before it has the answer.
    AsleepAfter,
}

impl Trouble {
    pub const ALL: [Self; 7] = [
        Self::RequestLost,
        Self::Throttled,
        Self::AnswerLost,
        Self::KilledBefore,
        Self::KilledAfter,
        Self::AsleepBefore,
        Self::AsleepAfter,
    ];

    fn fault(self) -> Option<Fault> {
        match self {
            Self::RequestLost | Self::Throttled | Self::KilledBefore => Some(Fault::BeforeEffect),
            Self::AnswerLost => Some(Fault::AfterEffect),
            Self::KilledAfter | Self::AsleepBefore | Self::AsleepAfter => None,
        }
    }

    /// How many calls it strikes, one after the other.
    fn calls(self) -> u64 {
        if self == Self::Throttled { 4 } else { 1 }
    }
}

/// The job's way.
pub struct Plain {
    pub world: World,
    /// Whose job it is.
    tenant: usize,
    pub seen: Seen,
    tasks: VecDeque<Task>,
    asleep: Vec<Task>,
    messages: VecDeque<(u64, Message)>,
    /// Messages that were received and not acknowledged.
    held: BTreeMap<u64, Message>,
    troubles: BTreeMap<u64, Trouble>,
    sent: u64,
    /// Calls made when the job was seen COMMITTING first.
    pub commits_from: Option<u64>,
    /// The status of the answer to the DELETE.
    pub answer: Option<u16>,
}

impl Plain {
    /// The job as a client has just sent it, with what is to happen to the calls of those numbers.
    pub fn new(troubles: &[(u64, Trouble)]) -> Self {
        Self::over(World::plain(), troubles)
    }

    /// The same in another world.
    pub fn over(world: World, troubles: &[(u64, Trouble)]) -> Self {
        Self::of(world, 0, troubles)
    }

    /// The job of another tenant.
    pub fn of(world: World, tenant: usize, troubles: &[(u64, Trouble)]) -> Self {
        for (call, trouble) in troubles {
            if let Some(fault) = trouble.fault() {
                (*call..call + trouble.calls()).for_each(|call| world.storm.strike_at(call, fault));
            }
        }
        let create = Task::create(world.machine(), 0, post(&world.tenants[tenant]));
        Self {
            world,
            tenant,
            seen: Seen::default(),
            tasks: VecDeque::from([create]),
            asleep: Vec::new(),
            messages: VecDeque::new(),
            held: BTreeMap::new(),
            troubles: troubles.iter().copied().collect(),
            sent: 0,
            commits_from: None,
            answer: None,
        }
    }

    pub fn job(&self) -> Option<(Tenant, JobId)> {
        self.seen.jobs.keys().next().cloned()
    }

    pub fn state(&self) -> Option<State> {
        self.seen.jobs.values().next().map(|known| known.job.state)
    }

    /// Whether a process sleeps.
    pub fn is_asleep(&self) -> bool {
        !self.asleep.is_empty()
    }

    /// What sleeps wakes, and goes on before all others.
    pub fn wake(&mut self) {
        self.asleep.drain(..).for_each(|task| self.tasks.push_front(task));
    }

    /// A client cancels the job, or deletes it.
    pub fn cancel(&mut self) {
        if let Some((_, id)) = self.job() {
            let request = request(&self.world.tenants[self.tenant], &id.to_string(), Vec::new());
            self.tasks.push_front(Task::delete(self.world.machine(), 1, request));
        }
    }

    /// Somebody drops the export table and makes another.
    pub fn recreate_table(&mut self) {
        self.world.recreate(self.tenant);
        self.seen.forget_table(&self.world.table(self.tenant, "exports"), &self.world.tenants[self.tenant]);
    }

    /// One step of whatever comes first; `false` = nothing is to be done now.
    pub fn step(&mut self) -> Result<bool, String> {
        if self.tasks.is_empty() {
            let Some((id, message)) = self.messages.pop_front() else { return Ok(false) };
            self.held.insert(id, message.clone());
            self.tasks.push_back(Task::batch(self.world.machine(), vec![(id, message)]));
        }
        let Some(mut task) = self.tasks.pop_front() else { return Ok(false) };
        let before = self.world.storm.calls();
        let done = task.step();
        let after = self.world.storm.calls();
        let at = |call: u64| self.troubles.get(&call).copied();
        let of_effect = (before + 1..=after).find_map(at);
        let of_next = Some(after + 1).filter(|_| before == after).and_then(at);
        match (done, of_effect, of_next) {
            (_, Some(Trouble::KilledBefore | Trouble::KilledAfter), _) => {}
            (None, Some(Trouble::AsleepAfter), _) | (None, _, Some(Trouble::AsleepBefore)) => {
                self.troubles.remove(&(after + 1));
                self.asleep.push(task);
            }
            (None, ..) => self.tasks.push_front(task),
            (Some(done), ..) => self.end(done)?,
        }
        for message in self.world.queue.take() {
            self.sent += 1;
            self.messages.push_back((self.sent, message));
        }
        self.seen.judge(&self.world)?;
        if self.state() == Some(State::Committing) {
            self.commits_from.get_or_insert(self.world.storm.calls());
        }
        Ok(true)
    }

    fn end(&mut self, done: Done) -> Result<(), String> {
        match done {
            Done::Batch { handled, again, panicked } if !panicked => {
                for (id, _) in handled.iter().filter(|(id, _)| !again.contains(id)) {
                    self.held.remove(id);
                }
            }
            Done::Batch { .. } => return Err("a handler panicked".into()),
            Done::Reply(1, reply) => self.answer = Some(reply.map_or_else(|status| status, |reply| reply.status)),
            Done::Reply(..) | Done::Sweep => {}
        }
        Ok(())
    }

    /// Does all that can be done without time going on.
    pub fn settle(&mut self) -> Result<(), String> {
        for _ in 0..20_000 {
            if !self.step()? {
                return Ok(());
            }
        }
        Err("I9: it runs in circles".into())
    }

    /// Time goes on until nothing is left to do. What sleeps wakes once everybody else has come to an end.
    pub fn come_to_rest(&mut self) -> Result<(), String> {
        let mut verdict = Ok(());
        for round in 0..MOST_ROUNDS {
            self.settle()?;
            // Within the first minutes messages come again, and what slept wakes.
            self.messages.extend(std::mem::take(&mut self.held));
            if round == MINUTES / 2 {
                self.world.refuse(self.tenant, None);
                self.tasks.extend(self.asleep.drain(..));
                self.settle()?;
            }
            verdict = self.seen.judge_at_rest(&self.world, false);
            if verdict.is_ok() && self.asleep.is_empty() {
                break;
            }
            self.sweep_in(if round < MINUTES { 60 } else { 1_800 });
        }
        verdict
    }

    /// So many seconds go on; then a sweep is to be done.
    pub fn sweep_in(&mut self, seconds: i64) {
        self.world.clock.advance_seconds(seconds);
        let settings = sweeper::Settings { max_attempts: MAX_ATTEMPTS, collect_grace_seconds: GRACE_SECONDS };
        self.tasks.push_back(Task::sweep(self.world.machine(), settings));
    }
}

/// `POST /export/jobs` of a job of two batches.
pub fn post(tenant: &Tenant) -> Request {
    let body = json!({
        "destination": {"datasetId": "exports", "segmentPerBatch": true},
        "schema": {"name": "_xdm.context.profile"},
        "mergePolicy": {"id": "by-time"},
        "filter": {"segments": [{"segmentId": "gold"}, {"segmentId": "silver"}]},
    });
    request(tenant, "", body.to_string().into_bytes())
}

fn request(tenant: &Tenant, id: &str, body: Vec<u8>) -> Request {
    // A client that gets no answer comes again with the same key; here it comes once.
    Request {
        id: id.into(),
        query: Vec::new(),
        headers: serde_json::from_value(json!({"idempotency-key": "key"})).expect("they are headers"),
        body,
        request_id: "request".into(),
        caller: Caller { tenant: tenant.clone(), client: "client".into(), permissions: Vec::new() },
    }
}
