//! Authorizer events in, verdicts out.

use crate::http::{Event, Headers};
use crate::telemetry::metrics::INVOCATION;
use crate::verdict::{Refusal, Verdict};
use futures::FutureExt;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use tracing::Instrument;
use tracing::field::Empty;

/// Serves an HTTP API's authorizer until the process ends: `judge` sees the request's headers.
pub async fn serve_authorizer<H, F>(judge: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Headers) -> F,
    F: Future<Output = Verdict>,
{
    let judge = &judge;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        Ok::<_, lambda_runtime::Error>(answer(event.payload, judge).await)
    }))
    .await
}

/// The simple response (payload 2.0) to an authorizer event: always authorized, with the verdict in the context. An event
/// that cannot be read and a panic grant nothing.
pub async fn answer<H, F>(event: Value, judge: &H) -> Value
where
    H: Fn(Headers) -> F,
    F: Future<Output = Verdict>,
{
    let verdict = match serde_json::from_value::<Event>(event) {
        Ok(event) => {
            let span = tracing::info_span!(
                target: INVOCATION, "authorize",
                request_id = event.request_context.request_id, verdict = Empty, refused = Empty,
            );
            let judged = AssertUnwindSafe(async { judge(event.headers).await }).catch_unwind().instrument(span.clone());
            let verdict = judged.await.unwrap_or_else(|_| {
                span.in_scope(|| tracing::error!("the authorizer panicked"));
                Verdict::Refuse(Refusal::Unavailable)
            });
            let refusal = verdict.refusal();
            span.record("verdict", refusal.map_or("allow", Refusal::name));
            span.record("refused", u64::from(refusal.is_some()));
            verdict
        }
        Err(error) => {
            tracing::error!(%error, "an authorizer event that cannot be read");
            Verdict::Refuse(Refusal::Unavailable)
        }
    };
    json!({ "isAuthorized": true, "context": verdict.to_context() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_event_is_authorized_and_carries_its_verdict() {
        let judge = async |headers: Headers| match headers.get("x-api-key") {
            Some("panic") => panic!("on purpose"),
            Some(_) => Verdict::Refuse(Refusal::KeyUnknown),
            None => Verdict::Refuse(Refusal::KeyMissing),
        };
        let cases = [
            (json!({"headers": {"X-Api-Key": "k"}}), "403003"),
            (json!({"headers": {}}), "403000"),
            (json!({"headers": null}), "403000"),
            (json!({"headers": {"x-api-key": "panic"}}), "unavailable"),
            (json!({"headers": 7}), "unavailable"),
        ];
        for (event, verdict) in cases {
            let answered = answer(event, &judge).await;
            assert_eq!((&answered["isAuthorized"], &answered["context"]["verdict"]), (&json!(true), &json!(verdict)));
        }
    }
}
