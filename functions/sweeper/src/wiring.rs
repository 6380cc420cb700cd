//! The sweeper, wired to AWS.

use crate::SweepError;
use edge::clock::SystemClock;
use edge::settings::{self, LOG_LEVEL, MAX_ATTEMPTS, QUEUE_URL, TABLE_NAME};
use std::error::Error;

/// The environment variables that the function reads.
pub const SETTINGS: &[&str] = &[LOG_LEVEL, TABLE_NAME, QUEUE_URL, MAX_ATTEMPTS];

/// Serves the schedule until the process ends.
pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    edge::telemetry::init("sweeper");
    let (table, queue_url, max_attempts) = settings::read(SETTINGS, |from| {
        (from.text(TABLE_NAME), from.text(QUEUE_URL), from.number(MAX_ATTEMPTS, 1..=100) as u32)
    })?;
    let clients = aws::connect().await;
    let (jobs, queue) = (clients.jobs(&table), clients.queue(&queue_url));
    edge::schedule::serve_schedule(async || {
        let swept = crate::handle(&jobs, &queue, &SystemClock, max_attempts).await?;
        edge::telemetry::record_sweep(swept.jobs, swept.parts, swept.given_up);
        Ok::<_, SweepError>(())
    })
    .await
}
