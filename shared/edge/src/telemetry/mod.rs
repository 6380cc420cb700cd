//! What a function says of itself: logs, one JSON object a line with the fields of the request's or message's span, and one
//! record of metrics an invocation. No personal data, no bodies.

pub mod metrics;

use crate::clock::SystemClock;
use crate::settings::LOG_LEVEL;
use domain::ports::Clock;
use std::error::Error;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Where Lambda says the function's name on AWS.
const FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";

/// Our own crates that functions are made of: the only ones that are logged beyond `info`.
const OURS: [&str; 12] = [
    "domain",
    "engine",
    "lake",
    "aws",
    "edge",
    "create_export_job",
    "list_export_jobs",
    "get_export_job",
    "cancel_export_job",
    "export_worker",
    "sweeper",
    "authorizer",
];

/// Starts the process's logging at `LOG_LEVEL` (`info` where it is absent or no level), and its metrics, which no level
/// turns off. Other crates are logged up to `info`, whatever the level is. Later calls change nothing.
pub fn init(function: &'static str) {
    let named = std::env::var(LOG_LEVEL).ok();
    let level = named.as_deref().and_then(|text| text.parse::<LevelFilter>().ok());
    let chosen = level.unwrap_or(LevelFilter::INFO);
    let told = filter_fn(move |metadata| is_told(chosen, metadata.target(), *metadata.level()));
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
    let name = std::env::var(FUNCTION_NAME).unwrap_or_else(|_| function.to_owned());
    let records = metrics::Records::new(name, || SystemClock.now(), std::io::stdout);
    let started = tracing_subscriber::registry()
        .with(lines.with_filter(told.with_max_level_hint(chosen)))
        .with(records.with_filter(filter_fn(metrics::is_invocation)))
        .try_init();
    if started.is_ok() && named.is_some() && level.is_none() {
        tracing::warn!(function, "LOG_LEVEL is none of off, error, warn, info, debug, trace; taking info");
    }
}

/// Whether what a target says at a level is logged where `chosen` is. Beyond `info` the Lambda runtime tells events
/// whole, tokens among them, and the AWS SDK requests and answers: no level lets that out.
fn is_told(chosen: LevelFilter, target: &str, level: Level) -> bool {
    let package = target.split("::").next().unwrap_or_default();
    let most = if OURS.contains(&package) { chosen } else { chosen.min(LevelFilter::INFO) };
    level <= most
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
    use std::collections::BTreeSet;

    const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

    #[test]
    fn what_other_crates_say_beyond_info_is_logged_at_no_level() {
        let others = [
            "lambda_runtime::layers::api_response",
            "aws_smithy_runtime::client::orchestrator",
            "aws_sigv4::http_request::sign",
            "edges",
            "",
        ];
        for target in others {
            for chosen in [LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE] {
                let told = |level| is_told(chosen, target, level);
                assert!(told(Level::ERROR) && told(Level::INFO), "{target} at {chosen}");
                assert!(!told(Level::DEBUG) && !told(Level::TRACE), "{target} at {chosen}");
            }
            assert!(!is_told(LevelFilter::WARN, target, Level::INFO), "{target}");
            assert!(!is_told(LevelFilter::OFF, target, Level::ERROR), "{target}");
        }
    }

    #[test]
    fn our_own_crates_are_logged_at_the_chosen_level() {
        for target in ["edge", "edge::http::respond", "aws::jobs", "export_worker::halt"] {
            assert!(is_told(LevelFilter::TRACE, target, Level::TRACE), "{target}");
            assert!(is_told(LevelFilter::DEBUG, target, Level::DEBUG), "{target}");
            assert!(!is_told(LevelFilter::DEBUG, target, Level::TRACE), "{target}");
            assert!(!is_told(LevelFilter::ERROR, target, Level::WARN), "{target}");
        }
    }

    #[test]
    fn our_own_crates_are_those_of_the_workspace() {
        let listed = WORKSPACE.lines().filter_map(|line| {
            let (name, path) = line.split_once(" = { path = \"")?;
            ["shared/", "functions/"].iter().any(|folder| path.starts_with(folder)).then_some(name)
        });
        let functions_are_made_of: BTreeSet<_> = listed.filter(|name| *name != "testkit").collect();
        assert_eq!(functions_are_made_of, BTreeSet::from(OURS));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn a_chain_names_every_source_in_order() {
        assert_eq!(chain(&Outer(std::fmt::Error)), format!("outer: {}", std::fmt::Error));
    }
}
