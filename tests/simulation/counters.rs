//! A job whose counters disagree, as no guard should ever let it happen.

use crate::plain::Plain;
use domain::plan::OutputList;
use domain::ports::objects::WriteObjects;
use domain::state::State;
use edge::telemetry::metrics::Records;
use std::io::Write;
use std::pin::pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use testkit::fixtures;
use tracing_subscriber::layer::SubscriberExt;

/// The records of metrics.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Polls a call until it has come about.
fn at_once<T>(call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    loop {
        if let Poll::Ready(done) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

/// Set where a test has the process for itself.
const ALONE: &str = "SIMULATION_ALONE";

#[test]
fn a_job_whose_counters_disagree_shows_nothing_and_is_counted() {
    if std::env::var_os(ALONE).is_none() {
        // Another test's thread that meets a span first, without a subscriber, may settle for all that nobody wants it.
        let name = "counters::a_job_whose_counters_disagree_shows_nothing_and_is_counted";
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let ran = alone.args(["--exact", name]).env(ALONE, "").output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let lines = Lines::default();
    let written = lines.clone();
    let records = Records::new("worker".into(), || fixtures::NOW, move || written.clone());
    let _recorded = tracing::subscriber::set_default(tracing_subscriber::registry().with(records));
    let mut plain = Plain::new(&[]);
    while plain.state() != Some(State::Committing) {
        assert!(plain.step().unwrap());
    }
    let objects = &plain.world.objects;
    let is_list = |key: &str| key.contains("/outputs/");
    let (at, body) = objects
        .inspect(|all| all.iter().find(|(at, _)| is_list(&at.key)).map(|(at, body)| (at.clone(), body.clone())))
        .unwrap();
    let mut list: OutputList = serde_json::from_slice(&body).unwrap();
    list.counts.rows += 1;
    at_once(objects.delete(&at)).unwrap();
    at_once(objects.create(&at, serde_json::to_vec(&list).unwrap().into())).unwrap();

    plain.settle().unwrap();
    assert_eq!(plain.state(), Some(State::Failed));
    let told = plain.seen.jobs.values().next().unwrap().job.errors[0].msg.clone();
    assert_eq!(told, "What was counted of the export does not agree, so nothing of it was committed.");
    let records = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(records.matches(r#""invariant_violated":1"#).count(), 1, "{records}");
    plain.come_to_rest().unwrap();
    assert!(plain.seen.rows().is_empty());
}
