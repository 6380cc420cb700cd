//! Unclear answers: waited out here, so that nobody takes "somebody else is writing" for "somebody else has won".

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;
use std::time::{Duration, Instant};

/// Tries of one call, the SDK's own retries within each.
const TRIES: u32 = 12;
/// After this long the caller is told.
const ENOUGH: Duration = Duration::from_secs(5);
/// Longest first wait; each further one may be twice as long.
const FIRST_WAIT_MS: u64 = 25;
/// Longest wait.
const LONGEST_WAIT_MS: u64 = 800;

/// Makes a call until its answer is clear or patience ends; then the last answer, as it came.
pub(crate) async fn patiently<T, E, F>(call: impl Fn() -> F, is_unclear: impl Fn(&E) -> bool) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    until_clear(call, is_unclear, pause).await
}

async fn until_clear<T, E, F, P>(
    call: impl Fn() -> F,
    is_unclear: impl Fn(&E) -> bool,
    pause: impl Fn(u32) -> P,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    P: Future<Output = ()>,
{
    let begun = Instant::now();
    let mut tried = 1;
    loop {
        // Boxed, as every call of an SDK here: their futures are kilobytes large and nested deep.
        match Box::pin(call()).await {
            Err(error) if is_unclear(&error) && tried < TRIES && begun.elapsed() < ENOUGH => {
                pause(tried).await;
                tried += 1;
            }
            clear => return clear,
        }
    }
}

/// Waits a random while, longer after each try, so that those who collided once do not collide again.
pub(crate) async fn pause(tried: u32) {
    let most = (FIRST_WAIT_MS << tried.min(10)).min(LONGEST_WAIT_MS);
    tokio::time::sleep(Duration::from_millis(rand::random_range(1..=most))).await;
}

/// Whether a service's error code asks to come again and says nothing about the call itself.
pub(crate) fn asks_to_come_again(error: &impl ProvideErrorMetadata) -> bool {
    matches!(
        error.code(),
        Some(
            "TransactionConflictException"
                | "TransactionInProgressException"
                | "ProvisionedThroughputExceededException"
                | "RequestLimitExceeded"
                | "Throttling"
                | "ThrottlingException"
                | "ThrottlingError"
                | "InternalServerError"
        )
    )
}

/// Whether a service's error code says that the caller may not.
pub(crate) fn forbids(error: &impl ProvideErrorMetadata) -> bool {
    matches!(
        error.code(),
        Some(
            "AccessDenied"
                | "AccessDeniedException"
                | "UnrecognizedClientException"
                | "InvalidSignatureException"
                | "ExpiredTokenException"
                | "MissingAuthenticationTokenException"
        )
    )
}

/// What went wrong, for logs: the service's code and message, or the chain of causes. Never a raw response, which could
/// hold somebody's data.
pub(crate) fn told(error: &(impl ProvideErrorMetadata + Error)) -> String {
    if let Some(code) = error.code() {
        return format!("{code}: {}", error.message().unwrap_or("no message"));
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn unclear_answers_are_waited_out() {
        let calls = AtomicU32::new(0);
        let call = || async {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            if call < 3 { Err("conflict") } else { Ok(call) }
        };
        assert_eq!(until_clear(call, |e| *e == "conflict", |_| std::future::ready(())).await, Ok(3));
    }

    #[tokio::test]
    async fn patience_ends_and_clear_answers_go_out_at_once() {
        let calls = AtomicU32::new(0);
        let call = || async {
            calls.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>("conflict")
        };
        let no_pause = |_| std::future::ready(());
        assert_eq!(until_clear(call, |e| *e == "conflict", no_pause).await, Err("conflict"));
        assert_eq!(calls.swap(0, Ordering::Relaxed), TRIES);
        assert_eq!(until_clear(call, |_| false, no_pause).await, Err("conflict"));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}
