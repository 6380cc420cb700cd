//! What the function is made of.

use edge::clock::SystemClock;
use edge::http::{Operation, serve_http};
use edge::random::OsRandom;
use edge::settings::{self, LOG_LEVEL, QUEUE_URL, TABLE_NAME};
use edge::telemetry;
use std::error::Error;

/// The settings that the function reads.
pub const SETTINGS: &[&str] = &[LOG_LEVEL, TABLE_NAME, QUEUE_URL];

/// Serves until the process ends.
pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    telemetry::init("create_export_job");
    let (table, queue_url) = settings::read(SETTINGS, |s| (s.text(TABLE_NAME), s.text(QUEUE_URL)))?;
    let aws = aws::connect().await;
    let jobs = aws.jobs(&table);
    let registry = aws.registry(&table);
    let queue = aws.queue(&queue_url);
    serve_http(Operation::Create, |request| crate::handle(&jobs, &registry, &queue, &SystemClock, &OsRandom, request))
        .await
}
