//! For tests only: in-memory twins of the ports with real semantics, a clock and a source of randomness in the test's
//! hands, injected faults, sample data, and the conformance suites that hold twins and real adapters to one promise.

mod clock;
pub mod conformance;
mod faults;
pub mod fixtures;
mod jobs;
mod lake;
mod objects;
mod queue;
mod registry;

pub use clock::{ManualClock, SeededRandom};
pub use faults::{Calls, Fault, Weather};
pub use jobs::{MemoryJobs, PartItem, Tables};
pub use lake::{MemoryLake, MemoryTable, Snapshot};
pub use objects::{MemoryObjects, MemoryUpload};
pub use queue::MemoryQueue;
pub use registry::MemoryRegistry;
