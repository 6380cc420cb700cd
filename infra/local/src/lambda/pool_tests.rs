#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::lambda::fake;

/// Not a test: the function's process. It does what the event says: echo, fail, die, or never answer.
#[test]
#[ignore = "the function process of the other tests"]
fn function_process() {
    fake::serve(|_, event| async move {
        match event["do"].as_str().unwrap() {
            "die" => std::process::exit(3),
            "hang" => std::future::pending().await,
            "fail" => Err(json!({ "errorType": "Told", "errorMessage": "to fail" })),
            _ => Ok(json!({ "pid": std::process::id(), "greeting": std::env::var("GREETING").ok() })),
        }
    });
}

fn pool(max_concurrency: usize, timeout: Duration) -> (Pool, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch {
        function: "greeter".into(),
        arn: "arn:aws:lambda:us-east-1:123456789012:function:greeter".into(),
        command: fake::command("lambda::pool::tests::function_process"),
        environment: BTreeMap::from([("GREETING".to_owned(), "hello".to_owned())]),
        timeout,
        memory_mb: 128,
        max_concurrency,
        log: folder.path().join("greeter.log"),
    };
    (Pool::new(launch), folder)
}

async fn invoke(pool: &Pool, what: &str) -> Result<Value, InvokeError> {
    let result = pool.invoke(json!({ "do": what }).to_string().into()).await?;
    Ok(serde_json::from_slice(&result).unwrap())
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_process_serves_one_invocation_after_another_with_its_environment() {
    let (pool, _folder) = pool(4, LONG);
    let first = invoke(&pool, "echo").await.unwrap();
    assert_eq!(first["greeting"], "hello");
    assert_eq!(invoke(&pool, "echo").await.unwrap(), first, "the same process");
    assert_eq!(pool.pids(), [first["pid"].as_u64().unwrap() as u32]);
    pool.stop().await;
    assert!(pool.pids().is_empty());
}

#[tokio::test]
async fn a_process_that_reports_an_error_stays_in_use() {
    let (pool, _folder) = pool(1, LONG);
    let InvokeError::Function { reported, .. } = invoke(&pool, "fail").await.unwrap_err() else { panic!() };
    assert_eq!(reported.error_type, "Told");
    let pids = pool.pids();
    invoke(&pool, "echo").await.unwrap();
    assert_eq!(pool.pids(), pids);
    pool.stop().await;
}

#[tokio::test]
async fn a_process_that_dies_fails_its_invocation_and_is_replaced() {
    let (pool, _folder) = pool(1, LONG);
    let before = invoke(&pool, "echo").await.unwrap();
    let InvokeError::Exited { status, .. } = invoke(&pool, "die").await.unwrap_err() else { panic!() };
    assert_eq!(status.unwrap().code(), Some(3));
    let after = invoke(&pool, "echo").await.unwrap();
    assert_ne!(before["pid"], after["pid"]);
    pool.stop().await;
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_killed() {
    let (pool, _folder) = pool(1, Duration::from_millis(200));
    assert!(matches!(invoke(&pool, "hang").await.unwrap_err(), InvokeError::TimedOut { .. }));
    assert!(pool.pids().is_empty());
}

#[tokio::test]
async fn stopping_ends_invocations_at_work_and_refuses_new_ones() {
    let (pool, _folder) = pool(1, LONG);
    invoke(&pool, "echo").await.unwrap();
    let working = tokio::spawn({
        let pool = pool.clone();
        async move { invoke(&pool, "hang").await }
    });
    // Polling the pool's own state, not the clock: the hanging invocation has the only permit.
    while pool.0.permits.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    pool.stop().await;
    assert!(matches!(working.await.unwrap(), Err(InvokeError::Stopped { .. })));
    assert!(pool.pids().is_empty());
    assert!(matches!(invoke(&pool, "echo").await, Err(InvokeError::Stopped { .. })));
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_an_error_of_starting() {
    let (pool, folder) = pool(1, LONG);
    let launch = Launch { command: vec![folder.path().join("absent").into()], ..pool.0.launch.clone() };
    assert!(matches!(invoke(&Pool::new(launch), "echo").await, Err(InvokeError::Start { .. })));
}
