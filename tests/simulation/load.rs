//! One tenant's flood, another's small job, and a few workers for both.

use crate::checks::Seen;
use crate::inbox::{Habits, Inbox};
use crate::plain::post;
use crate::tasks::{Done, Task};
use crate::world::World;
use domain::state::State;

/// Parts of the flood, and of the small job.
const PARTS: [usize; 2] = [300, 3];
const WORKERS: usize = 4;

/// A calm world, its queue, and workers that take a message each.
struct Crowd {
    world: World,
    seen: Seen,
    inbox: Inbox,
    tasks: Vec<Task>,
    delivered: usize,
}

impl Crowd {
    fn new(fair: usize) -> Self {
        let inbox = Inbox::new(Habits { late: 0, twice: 0, fair });
        Self { world: World::of_parts(&PARTS), seen: Seen::default(), inbox, tasks: Vec::new(), delivered: 0 }
    }

    fn post(&mut self, tenant: usize) {
        let request = post(&self.world.tenants[tenant]);
        self.tasks.push(Task::create(self.world.machine(), 0, request));
    }

    /// Every worker goes one step on, or takes a message.
    fn step(&mut self) {
        while self.tasks.len() < WORKERS {
            let messages = self.inbox.receive(1, self.world.now(), &self.world.dice);
            if messages.is_empty() {
                break;
            }
            self.delivered += 1;
            self.tasks.push(Task::batch(self.world.machine(), messages));
        }
        for mut task in std::mem::take(&mut self.tasks) {
            match task.step() {
                None => self.tasks.push(task),
                Some(Done::Batch { handled, again, .. }) => {
                    assert!(again.is_empty(), "nothing fails here");
                    handled.iter().for_each(|(id, _)| self.inbox.acknowledge(*id));
                }
                Some(Done::Reply(_, reply)) => assert!(reply.is_ok()),
                Some(Done::Sweep) => {}
            }
        }
        self.inbox.put(self.world.queue.take(), self.world.now(), &self.world.dice);
        self.seen.judge(&self.world).unwrap();
    }

    fn state(&self, tenant: usize) -> Option<State> {
        let of_tenant = |((owner, _), _): &(&_, &_)| *owner == self.world.tenants[tenant];
        self.seen.jobs.iter().find(of_tenant).map(|(_, known)| known.job.state)
    }
}

/// How many messages workers take from the small job's POST to its end.
fn deliveries(fair: usize) -> usize {
    let mut crowd = Crowd::new(fair);
    crowd.post(0);
    while crowd.inbox.len() < PARTS[0] {
        crowd.step();
    }
    let before = crowd.delivered;
    crowd.post(1);
    while crowd.state(1) != Some(State::Succeeded) {
        crowd.step();
    }
    crowd.delivered - before
}

/// SQS is told the tenant as message group, by which it tells a flood from others (`a_message_goes_into_its_tenants_group`).
#[test]
fn a_tenants_flood_does_not_starve_another() {
    let (alone, fair, unfair) = (5, deliveries(1_000), deliveries(0));
    assert!(fair <= alone * WORKERS, "{fair} messages were handled until the small job had ended");
    assert!(unfair > 5 * fair, "without groups it is {unfair}, and with them {fair}");
}
