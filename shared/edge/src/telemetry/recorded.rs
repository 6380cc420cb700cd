//! What tests see of records: what was written, line by line.

use super::metrics::Records;
use domain::instant::Millis;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tracing_subscriber::layer::SubscriberExt;

/// What was written.
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

/// A clock that is 250 ms later at each look.
fn clock() -> Millis {
    static LOOKS: AtomicI64 = AtomicI64::new(0);
    Millis(1_790_000_000_000 + 250 * LOOKS.fetch_add(1, Ordering::Relaxed))
}

/// The records of what `invoke` does, in order.
pub fn records(invoke: impl FnOnce()) -> Vec<Value> {
    let lines = Lines::default();
    let written = lines.clone();
    let records = Records::new("stack-ExportWorker".into(), clock, move || written.clone());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(records), || {
        // Who met a span first just when this began to listen took it for one that nobody wants, for everybody.
        tracing::callsite::rebuild_interest_cache();
        invoke();
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The records of what a future does, in order.
pub fn records_of(invoke: impl Future) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    records(|| {
        runtime.block_on(invoke);
    })
}

/// A record without its times, which hang on what other tests do meanwhile; they agree with one another.
pub fn steady(mut record: Value) -> Value {
    let ended = record["ended_at"].clone();
    assert!(ended.as_i64().unwrap() > 1_790_000_000_000);
    assert!(record["duration_ms"].as_i64().unwrap() >= 250);
    if let Some(metrics) = record.get_mut("_aws") {
        assert_eq!(metrics["Timestamp"], ended);
        metrics["Timestamp"] = json!("…");
    }
    record["ended_at"] = json!("…");
    record["duration_ms"] = json!(250);
    record
}
