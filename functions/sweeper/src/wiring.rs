//! The sweeper, wired to AWS.

use crate::{Settings, SweepError, Swept};
use edge::clock::SystemClock;
use edge::settings::{self, COLLECT_GRACE_SECONDS, LOG_LEVEL, MAX_ATTEMPTS, QUEUE_URL, TABLE_NAME};
use std::error::Error;

/// The environment variables that the function reads.
pub const SETTINGS: &[&str] = &[LOG_LEVEL, TABLE_NAME, QUEUE_URL, MAX_ATTEMPTS, COLLECT_GRACE_SECONDS];

/// Serves the schedule until the process ends.
pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    edge::telemetry::init("sweeper");
    let (table, queue_url, settings) = settings::read(SETTINGS, |from| {
        let settings = Settings {
            max_attempts: from.number(MAX_ATTEMPTS, 1..=100) as u32,
            collect_grace_seconds: from.number(COLLECT_GRACE_SECONDS, 1..=604_800) as u32,
        };
        (from.text(TABLE_NAME), from.text(QUEUE_URL), settings)
    })?;
    let clients = aws::connect().await;
    let (jobs, queue) = (clients.jobs(&table), clients.queue(&queue_url));
    edge::schedule::serve_schedule(async || {
        let Swept { jobs, parts, given_up, collected } = crate::handle(&jobs, &queue, &SystemClock, &settings).await?;
        edge::telemetry::record_sweep([jobs, parts, given_up, collected]);
        Ok::<_, SweepError>(())
    })
    .await
}
