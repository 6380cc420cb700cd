//! What the function is made of.

use crate::Settings;
use edge::clock::SystemClock;
use edge::http::{Operation, serve_http};
use edge::random::OsRandom;
use edge::settings::{self, LOG_LEVEL, MAX_RUNNING_JOBS, QUEUE_URL, TABLE_NAME};
use edge::telemetry;
use std::error::Error;

/// The settings that the function reads.
pub const SETTINGS: &[&str] = &[LOG_LEVEL, TABLE_NAME, QUEUE_URL, MAX_RUNNING_JOBS];

/// Serves until the process ends.
pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    telemetry::init("create_export_job");
    let (table, queue_url, settings) = settings::read(SETTINGS, |from| {
        let settings = Settings { max_running_jobs: from.number(MAX_RUNNING_JOBS, 1..=100_000) as usize };
        (from.text(TABLE_NAME), from.text(QUEUE_URL), settings)
    })?;
    let aws = aws::connect().await;
    let jobs = aws.jobs(&table);
    let registry = aws.registry(&table);
    let queue = aws.queue(&queue_url);
    serve_http(Operation::Create, |request| {
        crate::handle(&jobs, &registry, &queue, &SystemClock, &OsRandom, &settings, request)
    })
    .await
}
