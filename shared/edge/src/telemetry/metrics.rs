//! One wide record an invocation, in CloudWatch's embedded metric format: what its span was told, as one JSON line, of which
//! the numbers below become metrics. Whoever knows something more records it on the span; nobody counts anything here.

use domain::instant::Millis;
use serde_json::{Map, Value, json};
use std::io::Write;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The target of spans that stand for an invocation.
pub const INVOCATION: &str = "invocation";
/// The namespace of the metrics.
pub const NAMESPACE: &str = "SegmentExport";
/// The dimension that every metric has: the function's name on AWS, which no two stacks share.
pub const FUNCTION: &str = "FunctionName";

/// Fields that become metrics where they are numbers other than 0: name, unit, and the field of few values by which they are
/// told apart, if any. Each combination is paid for, so an idle stack has none. All other fields are properties: to be
/// searched for, not counted.
pub const METRICS: [(&str, &str, Option<&str>); 13] = [
    ("duration_ms", "Milliseconds", Some("task")),
    ("moved", "Count", Some("state")),
    ("client_errors", "Count", None),
    ("server_errors", "Count", None),
    ("failed", "Count", None),
    ("refused", "Count", None),
    ("rows", "Count", None),
    ("bytes", "Bytes", None),
    ("resent_jobs", "Count", None),
    ("resent_parts", "Count", None),
    ("given_up", "Count", None),
    ("collected", "Count", None),
    ("invariant_violated", "Count", None),
];

/// Writes the records.
pub struct Records<W> {
    function: String,
    clock: fn() -> Millis,
    writer: W,
}

impl<W> Records<W> {
    /// Records of a function's process, by a clock, line by line.
    pub fn new(function: String, clock: fn() -> Millis, writer: W) -> Self {
        Self { function, clock, writer }
    }

    /// The record of an invocation that ended at `now`.
    fn record(&self, invocation: Invocation, now: Millis) -> Value {
        let mut fields = Map::from_iter([(FUNCTION.to_owned(), json!(self.function))]);
        fields.insert("ended_at".into(), json!(now.0));
        fields.extend(invocation.fields);
        fields.insert("duration_ms".into(), json!(now.0 - invocation.began.0));
        let mut record = Map::new();
        let directives: Vec<_> = METRICS.iter().filter_map(|metric| directive(metric, &fields)).collect();
        if !directives.is_empty() {
            record.insert("_aws".into(), json!({ "Timestamp": now.0, "CloudWatchMetrics": directives }));
        }
        record.extend(fields);
        record.into()
    }
}

/// What makes a metric of a record's field; `None` where there is nothing to count.
fn directive((name, unit, by): &(&str, &str, Option<&str>), fields: &Map<String, Value>) -> Option<Value> {
    fields.get(*name).and_then(Value::as_i64).filter(|number| *number != 0)?;
    if let Some(by) = by {
        fields.get(*by).and_then(Value::as_str)?;
    }
    let dimensions: Vec<_> = [FUNCTION].into_iter().chain(*by).collect();
    let metrics = json!([{ "Name": name, "Unit": unit }]);
    Some(json!({ "Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics }))
}

/// Whether a span stands for an invocation.
pub fn is_invocation(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == INVOCATION
}

/// What an invocation's span was told so far.
struct Invocation {
    began: Millis,
    fields: Map<String, Value>,
}

impl<S, W> Layer<S> for Records<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id).filter(|span| is_invocation(span.metadata())) {
            let mut invocation = Invocation { began: (self.clock)(), fields: Map::new() };
            attributes.record(&mut invocation);
            invocation.fields.insert("invocation".into(), json!(span.name()));
            span.extensions_mut().insert(invocation);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(invocation) = span.extensions_mut().get_mut::<Invocation>()
        {
            values.record(invocation);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let invocation = context.span(&id).and_then(|span| span.extensions_mut().remove::<Invocation>());
        if let Some(invocation) = invocation {
            let line = format!("{}\n", self.record(invocation, (self.clock)()));
            // A record that cannot be written is lost; the invocation is not.
            let _ = self.writer.make_writer().write_all(line.as_bytes());
        }
    }
}

impl Visit for Invocation {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.fields.insert(field.name().to_owned(), json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name().to_owned(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.insert(field.name().to_owned(), json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.insert(field.name().to_owned(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.insert(field.name().to_owned(), json!(value));
    }
}
