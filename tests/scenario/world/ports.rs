//! The worker's ports over the twins.

use super::{TestLake, World};
use domain::ports::{Clock, Random};
use export_worker::{Engine, Ports, Settings};
use testkit::{MemoryJobs, MemoryObjects, MemoryQueue, MemoryRegistry};

impl Ports for World {
    type Jobs = MemoryJobs;
    type Lake = TestLake;
    type Objects = MemoryObjects;
    type Engine = Engine<MemoryObjects>;
    type Queue = MemoryQueue;
    type Registry = MemoryRegistry;

    fn jobs(&self) -> &MemoryJobs {
        &self.jobs
    }
    fn lake(&self) -> &TestLake {
        &self.lake
    }
    fn objects(&self) -> &MemoryObjects {
        &self.objects
    }
    fn engine(&self) -> &Engine<MemoryObjects> {
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
