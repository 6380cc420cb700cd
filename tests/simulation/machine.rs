//! A process of the product: the real handlers' ports over the twins, with a clock of its own.

use crate::rows::Rows;
use domain::ports::{Clock, Random};
use export_worker::{Ports, Settings};
use testkit::{ManualClock, MemoryJobs, MemoryLake, MemoryObjects, MemoryQueue, MemoryRegistry, SeededRandom};

/// One process.
#[derive(Clone)]
pub struct Machine {
    pub jobs: MemoryJobs,
    pub lake: MemoryLake,
    pub objects: MemoryObjects,
    pub engine: Rows,
    pub queue: MemoryQueue,
    pub registry: MemoryRegistry,
    pub clock: ManualClock,
    pub random: SeededRandom,
    pub settings: Settings,
    /// The settings of the route that creates jobs.
    pub limits: create_export_job::Settings,
}

impl Ports for Machine {
    type Jobs = MemoryJobs;
    type Lake = MemoryLake;
    type Objects = MemoryObjects;
    type Engine = Rows;
    type Queue = MemoryQueue;
    type Registry = MemoryRegistry;

    fn jobs(&self) -> &MemoryJobs {
        &self.jobs
    }
    fn lake(&self) -> &MemoryLake {
        &self.lake
    }
    fn objects(&self) -> &MemoryObjects {
        &self.objects
    }
    fn engine(&self) -> &Rows {
        &self.engine
    }
    fn queue(&self) -> &MemoryQueue {
        &self.queue
    }
    fn registry(&self) -> &MemoryRegistry {
        &self.registry
    }
    fn clock(&self) -> &impl Clock {
        &self.clock
    }
    fn random(&self) -> &impl Random {
        &self.random
    }
    fn settings(&self) -> &Settings {
        &self.settings
    }
}
