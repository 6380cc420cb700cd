//! What runs at once: every call of a handler is a task, a future that somebody polls or drops. A task that is dropped is a
//! process that was killed; one that nobody polls is a process that sleeps.

use crate::machine::Machine;
use domain::message::Message;
use edge::http::{Reply, Request};
use export_worker::handle;
use serde_json::json;
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// How a task ended.
pub enum Done {
    /// A batch of messages: each as its handler left it, and those that are to come again.
    Batch { handled: Vec<(u64, bool)>, again: Vec<u64>, panicked: bool },
    /// A client's request, under its number.
    Reply(usize, Result<Reply, u16>),
    /// A sweep, whether it got to its end or not.
    Sweep,
}

/// Something that runs.
pub struct Task {
    pub name: String,
    /// When it began, in milliseconds.
    pub since: i64,
    future: Pin<Box<dyn Future<Output = Done>>>,
}

impl Task {
    fn new(name: String, future: impl Future<Output = Done> + 'static) -> Self {
        Self { name, since: 0, future: Box::pin(future) }
    }

    /// Lets it run to its next call, or from there over the call's effect.
    pub fn step(&mut self) -> Option<Done> {
        match self.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    /// A worker takes messages.
    pub fn batch(machine: Machine, messages: Vec<(u64, Message)>) -> Self {
        let name = format!("worker of {:?}", messages.iter().map(|(id, m)| (id, &m.task)).collect::<Vec<_>>());
        Self::new(name, take(machine, messages))
    }

    /// A sweeper runs once.
    pub fn sweep(machine: Machine, settings: sweeper::Settings) -> Self {
        Self::new("sweeper".into(), async move {
            // What a sweep does not get to the next one does.
            sweeper::handle(&machine.jobs, &machine.queue, &machine.clock, &settings).await.ok();
            Done::Sweep
        })
    }

    /// `POST /export/jobs`.
    pub fn create(machine: Machine, number: usize, request: Request) -> Self {
        Self::new(format!("POST {number}"), async move {
            let Machine { jobs, registry, queue, clock, random, limits, .. } = &machine;
            let reply = create_export_job::handle(jobs, registry, queue, clock, random, limits, request).await;
            Done::Reply(number, reply.map_err(|problem| problem.code.status()))
        })
    }

    /// `DELETE /export/jobs/{id}`.
    pub fn delete(machine: Machine, number: usize, request: Request) -> Self {
        Self::new(format!("DELETE {} ({number})", request.id), async move {
            let reply = cancel_export_job::handle(&machine.jobs, &machine.queue, &machine.clock, request).await;
            Done::Reply(number, reply.map_err(|problem| problem.code.status()))
        })
    }
}

/// As the worker's process does: the event in, the messages that failed out.
async fn take(machine: Machine, messages: Vec<(u64, Message)>) -> Done {
    let records: Vec<_> =
        messages.iter().map(|(id, message)| json!({"messageId": id.to_string(), "body": message.to_json()})).collect();
    let event = serde_json::from_value(json!({ "Records": records })).expect("it is an event");
    let begun = Rc::new(Cell::new(0));
    let results = Rc::new(std::cell::RefCell::new(Vec::new()));
    let handler = async |message: Message| {
        begun.set(begun.get() + 1);
        let done = handle(&machine, &message).await;
        results.borrow_mut().push(done.is_ok());
        done
    };
    let reply = edge::queue::take(event, &handler).await;
    let again = reply.batch_item_failures.iter().filter_map(|failed| failed.item_identifier.parse().ok()).collect();
    let panicked = begun.get() != results.borrow().len();
    let handled = messages.iter().map(|(id, _)| *id).zip(results.borrow().iter().copied()).collect();
    Done::Batch { handled, again, panicked }
}
