//! What a function says of itself: logs, one JSON object a line with the fields of the request's or message's span, and one
//! record of metrics an invocation. No personal data, no bodies.

pub mod metrics;

use crate::clock::SystemClock;
use crate::settings::LOG_LEVEL;
use domain::ports::Clock;
use std::error::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Where Lambda says the function's name on AWS.
const FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";

/// Starts the process's logging at `LOG_LEVEL` (`info` where it is absent or no level), and its metrics, which no level
/// turns off. Later calls change nothing.
pub fn init(function: &'static str) {
    let named = std::env::var(LOG_LEVEL).ok();
    let level = named.as_deref().and_then(|text| text.parse::<LevelFilter>().ok());
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
    let name = std::env::var(FUNCTION_NAME).unwrap_or_else(|_| function.to_owned());
    let records = metrics::Records::new(name, || SystemClock.now(), std::io::stdout);
    let started = tracing_subscriber::registry()
        .with(lines.with_filter(level.unwrap_or(LevelFilter::INFO)))
        .with(records.with_filter(filter_fn(metrics::is_invocation)))
        .try_init();
    if started.is_ok() && named.is_some() && level.is_none() {
        tracing::warn!(function, "LOG_LEVEL is none of off, error, warn, info, debug, trace; taking info");
    }
}

/// Tells a tick's record what it picked up: jobs, parts, jobs that it gave up, ended jobs that are cleaned up after.
pub fn record_sweep(picked_up: [usize; 4]) {
    let names = ["resent_jobs", "resent_parts", "given_up", "collected"];
    for (name, count) in names.into_iter().zip(picked_up) {
        tracing::Span::current().record(name, count as u64);
    }
}

/// Logs an error with the whole chain of its sources, once, where it leaves the program.
pub fn log_chain(what: &str, error: &dyn Error) {
    tracing::error!(cause = chain(error), "{what}");
}

/// An error and its sources in one line, outermost first.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        line = format!("{line}: {source}");
        next = source.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn a_chain_names_every_source_in_order() {
        assert_eq!(chain(&Outer(std::fmt::Error)), format!("outer: {}", std::fmt::Error));
    }
}
