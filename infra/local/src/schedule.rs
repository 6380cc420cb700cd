//! EventBridge's side of a schedule: a function is invoked at a rate, first at once.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::emulators::{ACCOUNT, REGION};
use crate::lambda::Invoke;
use crate::template::Schedule;

/// Invokes `function` every `every` until `stopping` fires or closes. Unlike EventBridge it waits for an invocation to
/// end before the next one, so that a short rate cannot pile them up.
pub async fn run<I: Invoke>(schedule: Schedule, every: Duration, function: I, mut stopping: watch::Receiver<bool>) {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopping.changed() => return,
            _ = ticks.tick() => {}
        }
        let event = schedule.input.clone().unwrap_or_else(|| event(&schedule.name, Utc::now()));
        tokio::select! {
            _ = stopping.changed() => return,
            // What failed stands in the log of the function and of its pool; the next tick tries again.
            _ = function.invoke(event.to_string().into()) => {}
        }
    }
}

fn event(rule: &str, at: DateTime<Utc>) -> Value {
    json!({
        "version": "0",
        "id": uuid::Uuid::new_v4().to_string(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "region": REGION,
        "resources": [format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}")],
        "detail": {},
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::lambda::fake::Fake;
    use tokio::sync::mpsc;

    async fn first_two(input: Option<Value>) -> (Value, Value) {
        let (sender, mut events) = mpsc::unbounded_channel();
        // The first invocation fails; the second comes all the same.
        let function = Fake::new(move |event| sender.send(event).ok().and(None));
        let (stop, stopping) = watch::channel(false);
        let every = Duration::from_millis(1);
        let schedule = Schedule { name: "Tick".into(), every, input };
        let running = tokio::spawn(run(schedule, every, function, stopping));
        let seen = (events.recv().await.unwrap(), events.recv().await.unwrap());
        stop.send_replace(true);
        running.await.unwrap();
        seen
    }

    #[tokio::test]
    async fn a_function_is_invoked_again_and_again_with_a_scheduled_event() {
        let (first, second) = first_two(None).await;
        assert_eq!(first["detail-type"], "Scheduled Event");
        assert!(first["time"].as_str().unwrap().ends_with('Z'));
        assert_ne!(first["id"], second["id"]);
    }

    #[tokio::test]
    async fn the_templates_input_replaces_the_event() {
        let (first, _) = first_two(Some(json!({ "mine": true }))).await;
        assert_eq!(first, json!({ "mine": true }));
    }
}
