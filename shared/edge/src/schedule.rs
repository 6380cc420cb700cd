//! The schedule's ticks.

use crate::telemetry::log_chain;
use crate::telemetry::metrics::INVOCATION;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::de::IgnoredAny;
use std::error::Error;
use tracing::Instrument;
use tracing::field::Empty;

/// Serves a schedule until the process ends: `handler` at every tick. A failure shows as the invocation's own, with its
/// meaning only; the next tick tries again.
pub async fn serve_schedule<H, F, E>(handler: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn() -> F,
    F: Future<Output = Result<(), E>>,
    E: Error + 'static,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<IgnoredAny>| async move {
        let span = tracing::info_span!(
            target: INVOCATION, "tick",
            request_id = event.context.request_id,
            resent_jobs = Empty, resent_parts = Empty, given_up = Empty, collected = Empty, failed = Empty,
        );
        tick(handler).instrument(span).await
    }))
    .await
}

async fn tick<H, F, E>(handler: &H) -> Result<(), lambda_runtime::Error>
where
    H: Fn() -> F,
    F: Future<Output = Result<(), E>>,
    E: Error + 'static,
{
    let ticked = handler().await;
    tracing::Span::current().record("failed", u64::from(ticked.is_err()));
    ticked.map_err(|error| {
        log_chain("the tick failed; the next one tries again", &error);
        error.to_string().into()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_tick_fails_its_invocation() {
        assert!(tick(&async || Ok::<_, std::fmt::Error>(())).await.is_ok());
        assert!(tick(&async || Err(std::fmt::Error)).await.is_err());
    }
}
