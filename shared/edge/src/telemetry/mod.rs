//! Logs: one JSON object a line, with the fields of the request's or message's span. No personal data, no bodies.

use crate::settings::LOG_LEVEL;
use std::error::Error;
use tracing::level_filters::LevelFilter;

/// Starts the process's logging at `LOG_LEVEL` (`info` where it is absent or no level). Later calls change nothing.
pub fn init(function: &'static str) {
    let named = std::env::var(LOG_LEVEL).ok();
    let level = named.as_deref().and_then(|text| text.parse::<LevelFilter>().ok());
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(true).with_span_list(false);
    let started = tracing_subscriber::util::SubscriberInitExt::try_init(
        lines.with_max_level(level.unwrap_or(LevelFilter::INFO)).finish(),
    );
    if started.is_ok() && named.is_some() && level.is_none() {
        tracing::warn!(function, "LOG_LEVEL is none of off, error, warn, info, debug, trace; taking info");
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
