//! The worker, wired to AWS.

use crate::{Engine, Ports, Settings};
use aws::{DynamoJobs, DynamoRegistry, S3Objects, SqsQueue};
use domain::ports::{Clock, Random};
use edge::clock::SystemClock;
use edge::random::OsRandom;
use edge::settings::{
    self, COLLECT_GRACE_SECONDS, FUNCTION_MEMORY_MB, LEASE_SECONDS, LOG_LEVEL, MAX_ATTEMPTS, PART_TARGET_BYTES,
    QUEUE_URL, SPLIT_AFTER_SECONDS, STATE_BUCKET, TABLE_NAME,
};
use lake::{Glue, Lake};
use std::error::Error;

/// The environment variables that the function reads.
pub const SETTINGS: &[&str] = &[
    LOG_LEVEL,
    TABLE_NAME,
    QUEUE_URL,
    STATE_BUCKET,
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    PART_TARGET_BYTES,
    SPLIT_AFTER_SECONDS,
    COLLECT_GRACE_SECONDS,
];

/// Memory that comes with one whole processor; a function with less has less of that too.
const MEMORY_OF_A_PROCESSOR_MB: u64 = 1_769;

/// The ports over AWS.
struct AwsPorts {
    jobs: DynamoJobs,
    lake: Lake<S3Objects>,
    objects: S3Objects,
    engine: Engine<S3Objects>,
    queue: SqsQueue,
    registry: DynamoRegistry,
    settings: Settings,
}

impl Ports for AwsPorts {
    type Jobs = DynamoJobs;
    type Lake = Lake<S3Objects>;
    type Objects = S3Objects;
    type Engine = Engine<S3Objects>;
    type Queue = SqsQueue;
    type Registry = DynamoRegistry;

    fn jobs(&self) -> &DynamoJobs {
        &self.jobs
    }
    fn lake(&self) -> &Lake<S3Objects> {
        &self.lake
    }
    fn objects(&self) -> &S3Objects {
        &self.objects
    }
    fn engine(&self) -> &Engine<S3Objects> {
        &self.engine
    }
    fn queue(&self) -> &SqsQueue {
        &self.queue
    }
    fn registry(&self) -> &DynamoRegistry {
        &self.registry
    }
    fn clock(&self) -> &impl Clock {
        &SystemClock
    }
    fn random(&self) -> &impl Random {
        &OsRandom
    }
    fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// The size of a part for a function of so much memory: a part is one thread's work, and takes no longer on a slower one.
fn part_bytes(target: u64, memory_mb: u64) -> u64 {
    (target / MEMORY_OF_A_PROCESSOR_MB * memory_mb.min(MEMORY_OF_A_PROCESSOR_MB)).max(1)
}

/// Serves the work queue until the process ends.
pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    edge::telemetry::init("export_worker");
    let memory_mb = settings::read(&[FUNCTION_MEMORY_MB], |from| from.number(FUNCTION_MEMORY_MB, 128..=10_240))?;
    let (table, queue_url, settings) = settings::read(SETTINGS, |from| {
        let settings = Settings {
            state_bucket: from.text(STATE_BUCKET),
            lease_seconds: from.number(LEASE_SECONDS, 1..=900) as u32,
            max_attempts: from.number(MAX_ATTEMPTS, 1..=100) as u32,
            part_target_bytes: part_bytes(from.number(PART_TARGET_BYTES, 1..=1 << 40), memory_mb),
            split_after_seconds: from.number(SPLIT_AFTER_SECONDS, 1..=900) as u32,
            collect_grace_seconds: from.number(COLLECT_GRACE_SECONDS, 1..=604_800) as u32,
        };
        (from.text(TABLE_NAME), from.text(QUEUE_URL), settings)
    })?;
    let clients = aws::connect().await;
    let region = clients.region().ok_or("no region is set")?;
    let credentials = clients.credentials().ok_or("no credentials are set")?;
    let objects = clients.objects();
    let ports = AwsPorts {
        jobs: clients.jobs(&table),
        lake: Lake::new(Glue::new(region, clients.glue_endpoint(), credentials), objects.clone()),
        engine: Engine { objects: objects.clone(), settings: engine::Settings::within(memory_mb << 20) },
        objects,
        queue: clients.queue(&queue_url),
        registry: clients.registry(&table),
        settings,
    };
    edge::queue::serve_queue(async |message| crate::handle(&ports, &message).await).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_shrinks_with_its_function_and_grows_no_further_than_one_processor_serves() {
        let target = MEMORY_OF_A_PROCESSOR_MB * 1_000;
        assert_eq!([512, 1_769, 10_240].map(|memory| part_bytes(target, memory)), [512_000, 1_769_000, 1_769_000]);
        assert_eq!(part_bytes(1, 128), 1);
    }
}
