//! One seed: clients, workers and sweepers at once, in any order, killed and delayed as the dice fall, until all faults stop
//! and everything must come to rest.

use crate::checks::Seen;
use crate::dice::Dice;
use crate::inbox::{Habits, Inbox};
use crate::tally::Tally;
use crate::tasks::{Done, Task};
use crate::world::{GRACE_SECONDS, MAX_ATTEMPTS, World};
use domain::guard::Guard;
use domain::state::State;
use domain::tenant::Tenant;
use edge::http::Request;
use edge::verdict::Caller;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Most workers at once.
const MOST_WORKERS: usize = 6;
/// Rounds after which what has not come to rest never will: some hours by minutes, then days by half hours.
const MOST_ROUNDS: usize = 600;
/// Rounds of one minute.
const MINUTES: usize = 240;

/// How long a process may run that surely sees the last look come, in milliseconds.
const LONG_SLEEP: i64 = GRACE_SECONDS as i64 * 12 * 1_000;

/// How long a key holds in any case, in milliseconds: a day, but for clocks that go wrong.
const KEY_LIFE: u64 = (24 * 60 - 10) * 60 * 1_000;

/// A client's request.
struct Asked {
    tenant: Tenant,
    key: Option<String>,
    /// The job that a DELETE is about.
    deletes: Option<domain::id::JobId>,
}

/// A seed under way.
pub struct Run {
    world: World,
    dice: Dice,
    seen: Seen,
    inbox: Inbox,
    tasks: Vec<Task>,
    /// Processes that sleep, whatever happens meanwhile.
    asleep: Vec<Task>,
    asked: Vec<Asked>,
    /// The job that each idempotency key has made.
    keys: BTreeMap<(Tenant, String), u64>,
    /// Whether a process ran so long that it may have missed a last look.
    overslept: bool,
    /// Jobs that are still to be created.
    to_create: usize,
    judged: u64,
    tally: Tally,
    tells: bool,
}

/// Runs a seed; what it has come to, or the first broken promise.
pub fn run(seed: u64, tells: bool) -> Result<Tally, String> {
    let dice = Dice::new(seed);
    let jobs = match dice.below(100) {
        0 => 50,
        1..10 => dice.from(8, 16),
        _ => dice.from(1, 5),
    };
    let world = World::new(&dice, dice.from(2, 5));
    (0..world.tenants.len()).for_each(|tenant| world.grow(tenant));
    let fair = *dice.one_of(&[0, 500, 950]).unwrap_or(&0);
    let inbox = Inbox::new(Habits { late: 50, twice: 80, fair });
    let mut run = Run {
        world,
        dice,
        seen: Seen::default(),
        inbox,
        tasks: Vec::new(),
        asleep: Vec::new(),
        asked: Vec::new(),
        keys: BTreeMap::new(),
        overslept: false,
        to_create: jobs,
        judged: 0,
        tally: Tally::default(),
        tells,
    };
    for _ in 0..200 + jobs * 150 {
        run.step()?;
    }
    run.come_to_rest()?;
    Ok(run.sum())
}

impl Run {
    /// Whatever the dice say happens next.
    fn step(&mut self) -> Result<(), String> {
        self.tally.steps += 1;
        match self.dice.below(1_000) {
            0..760 => self.poll()?,
            760..870 => self.deliver(),
            870..905 => self.ask(),
            905..925 => self.sweep(),
            925..965 => self.wait(),
            965..975 => self.kill(),
            975..982 => self.doze(),
            982..985 => self.wake(),
            985..999 => self.meddle(),
            _ => self.recreate(),
        }
        self.judge()
    }

    fn poll(&mut self) -> Result<(), String> {
        if self.tasks.is_empty() {
            self.deliver();
            return Ok(());
        }
        let at = self.dice.below(self.tasks.len());
        self.overslept |= self.world.now() - self.tasks[at].since > LONG_SLEEP;
        if let Some(done) = self.tasks[at].step() {
            let task = self.tasks.swap_remove(at);
            self.tell(|| format!("{} ends", task.name));
            self.end(done)?;
        }
        self.inbox.put(self.world.queue.take(), self.world.now(), &self.dice);
        Ok(())
    }

    fn deliver(&mut self) {
        if self.tasks.len() >= MOST_WORKERS {
            return;
        }
        let most = self.dice.from(1, 3);
        let messages = self.inbox.receive(most, self.world.now(), &self.dice);
        if !messages.is_empty() {
            self.begin(Task::batch(self.world.machine(), messages));
        }
    }

    fn sweep(&mut self) {
        if Guard::Sweeper.stands() {
            let settings = sweeper::Settings { max_attempts: MAX_ATTEMPTS, collect_grace_seconds: GRACE_SECONDS };
            self.begin(Task::sweep(self.world.machine(), settings));
        }
    }

    fn begin(&mut self, mut task: Task) {
        self.tell(|| format!("{} begins", task.name));
        task.since = self.world.now();
        self.tasks.push(task);
    }

    fn wait(&mut self) {
        let seconds = match self.dice.below(100) {
            0..70 => self.dice.from(0, 5),
            70..90 => self.dice.from(10, 100),
            90..98 => self.dice.from(100, 900),
            _ => self.dice.from(3_600, 20_000),
        };
        self.world.clock.advance_seconds(seconds as i64);
    }

    fn kill(&mut self) {
        if !self.tasks.is_empty() {
            let task = self.tasks.swap_remove(self.dice.below(self.tasks.len()));
            self.tally.killed += 1;
            self.tell(|| format!("{} is killed", task.name));
        }
    }

    fn doze(&mut self) {
        if !self.tasks.is_empty() {
            // Rather one that may be committing: there is more to be missed.
            let committing = self.tasks.iter().position(|task| task.name.contains("Commit"));
            let at = committing.filter(|_| self.dice.chance(500)).unwrap_or_else(|| self.dice.below(self.tasks.len()));
            let task = self.tasks.swap_remove(at);
            self.tell(|| format!("{} falls asleep", task.name));
            self.asleep.push(task);
        }
    }

    fn wake(&mut self) {
        if !self.asleep.is_empty() {
            let task = self.asleep.swap_remove(self.dice.below(self.asleep.len()));
            self.tell(|| format!("{} wakes", task.name));
            self.tasks.push(task);
        }
    }

    /// Somebody else does something to a table.
    fn meddle(&mut self) {
        let tenant = self.dice.below(self.world.tenants.len());
        match self.dice.below(10) {
            0..5 => self.world.write(tenant),
            5 => self.world.grow(tenant),
            6 => self.world.refuse(tenant, Some("the table takes no commits")),
            _ => self.world.refuse(tenant, None),
        }
    }

    fn recreate(&mut self) {
        if self.dice.chance(100) {
            let tenant = self.dice.below(self.world.tenants.len());
            self.tell(|| format!("the exports of tenant {tenant} are dropped"));
            self.world.recreate(tenant);
            self.seen.forget_table(&self.world.table(tenant, "exports"), &self.world.tenants[tenant]);
        }
    }

    /// A client creates a job, repeats a request, or cancels or deletes a job.
    fn ask(&mut self) {
        let number = self.asked.len();
        let jobs: Vec<_> = self.seen.jobs.keys().cloned().collect();
        let machine = self.world.machine();
        if self.to_create == 0 || self.dice.chance(300) {
            if let Some((tenant, id)) = self.dice.one_of(&jobs).filter(|_| self.dice.chance(80)) {
                let request = self.request(tenant, number, None, Value::Null, &id.to_string());
                self.asked.push(Asked { tenant: tenant.clone(), key: None, deletes: Some(*id) });
                self.begin(Task::delete(machine, number, request));
            }
            return;
        }
        let tenant = self.world.tenants[self.dice.below(self.world.tenants.len())].clone();
        // Some requests repeat the key of one before.
        let key = self.dice.chance(500).then(|| format!("key-{}", self.dice.below(4)));
        let per_batch = key.as_ref().map_or(self.dice.chance(300), |key| key.ends_with('1'));
        let segments = if per_batch {
            json!([{"segmentId": "gold"}, {"segmentId": "silver"}])
        } else {
            json!([{"segmentId": "gold"}])
        };
        let body = json!({
            "destination": {"datasetId": "exports", "segmentPerBatch": per_batch},
            "schema": {"name": "_xdm.context.profile"},
            "mergePolicy": {"id": "by-time"},
            "filter": {"segments": segments},
        });
        let request = self.request(&tenant, number, key.as_deref(), body, "");
        self.to_create -= 1;
        self.asked.push(Asked { tenant, key, deletes: None });
        self.begin(Task::create(machine, number, request));
    }

    fn request(&self, tenant: &Tenant, number: usize, key: Option<&str>, body: Value, id: &str) -> Request {
        let headers = key.map_or(json!({}), |key| json!({"idempotency-key": key}));
        Request {
            id: id.into(),
            query: Vec::new(),
            headers: serde_json::from_value(headers).expect("they are headers"),
            body: body.to_string().into_bytes(),
            request_id: format!("request-{number}"),
            caller: Caller { tenant: tenant.clone(), client: "client".into(), permissions: Vec::new() },
        }
    }

    fn end(&mut self, done: Done) -> Result<(), String> {
        match done {
            Done::Sweep => Ok(()),
            Done::Batch { handled, again, panicked } => {
                if panicked {
                    return Err("a handler panicked".into());
                }
                let failed: Vec<u64> = handled.iter().filter(|(_, well)| !well).map(|(id, _)| *id).collect();
                if failed != again {
                    return Err(format!("the queue: {failed:?} failed, {again:?} come again"));
                }
                for (id, well) in handled {
                    match well {
                        true => self.inbox.acknowledge(id),
                        false => self.inbox.give_back(id, self.world.now() + self.dice.below(60_000) as i64),
                    }
                }
                Ok(())
            }
            Done::Reply(number, reply) => self.reply(number, reply),
        }
    }

    /// I12 and I4, as a client sees them.
    fn reply(&mut self, number: usize, reply: Result<edge::http::Reply, u16>) -> Result<(), String> {
        let asked = &self.asked[number];
        let reply = match reply {
            Ok(reply) => reply,
            Err(429) => {
                // The client comes again.
                self.tally.refused += 1;
                self.to_create += 1;
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        if let Some(id) = asked.deletes {
            let key = (asked.tenant.clone(), id);
            let state = self.world.jobs.inspect(|tables| tables.jobs.get(&key).map(|record| record.job.state));
            return match state {
                None | Some(State::Cancelling | State::Cancelled) => Ok(()),
                Some(state) => Err(format!("I4: {id} was cancelled, says the answer, and is {state:?}")),
            };
        }
        let id = reply.body.as_ref().and_then(|body| body["id"].as_u64()).ok_or("a job without id")?;
        let Some(key) = &asked.key else { return Ok(()) };
        let first = self.keys.entry((asked.tenant.clone(), key.clone())).or_insert(id);
        // A key is forgotten after a day; clocks go wrong by some minutes. Answers may overtake one another by more than that.
        if id >> 12 > (*first >> 12) + KEY_LIFE {
            *first = id;
        }
        let first = *first;
        if first >> 12 > (id >> 12) + KEY_LIFE {
            return Ok(());
        }
        if first == id { Ok(()) } else { Err(format!("I12: {key} has made {first} and {id}")) }
    }

    fn judge(&mut self) -> Result<(), String> {
        let calls = self.world.storm.calls();
        if calls == self.judged {
            return Ok(());
        }
        self.judged = calls;
        self.seen.judge(&self.world)
    }

    /// I9: with all faults gone every job ends, and nothing is left behind.
    fn come_to_rest(&mut self) -> Result<(), String> {
        self.world.storm.calm_down();
        let mut verdict = Ok(());
        for round in 0..MOST_ROUNDS {
            self.sweep();
            // What sleeps wakes sooner or later, some of it long after everything else has ended.
            if self.dice.chance(100) || round >= MINUTES {
                self.wake();
            }
            self.settle()?;
            verdict = self.seen.judge_at_rest(&self.world, self.overslept);
            if verdict.is_ok() && self.inbox.is_empty() && self.asleep.is_empty() {
                break;
            }
            self.world.clock.advance_seconds(if round < MINUTES { 60 } else { 1_800 });
        }
        verdict
    }

    /// Lets all that runs end, and all that is to be seen in the queue be handled.
    fn settle(&mut self) -> Result<(), String> {
        let mut steps = 0;
        loop {
            while !self.tasks.is_empty() {
                self.poll()?;
                self.judge()?;
                steps += 1;
                if steps > 200_000 {
                    return Err(format!("I9: {} runs in circles", self.tasks[0].name));
                }
            }
            self.inbox.put(self.world.queue.take(), self.world.now(), &self.dice);
            self.deliver();
            if self.tasks.is_empty() {
                return Ok(());
            }
        }
    }

    fn sum(mut self) -> Tally {
        for known in self.seen.jobs.values() {
            match known.job.state {
                State::Succeeded => self.tally.succeeded += 1,
                State::Cancelled => self.tally.cancelled += 1,
                _ => self.tally.failed += 1,
            }
        }
        let Seen { splits, abandoned, .. } = self.seen;
        let known = self.world.known_distinct.load(Ordering::Relaxed);
        Tally { splits, abandoned, known, dead_letters: self.inbox.dead, ..self.tally }
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            println!("{:>9} s  {}", (self.world.now() - testkit::fixtures::NOW.0) / 1_000, what());
        }
    }
}
