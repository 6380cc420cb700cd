//! The engine as a port: a part in, its output list out.

use domain::id::BatchId;
use domain::plan::{OutputList, Plan, PlannedPart};
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use engine::{EngineError, PartTask, Progress, Step};

/// Exports parts.
pub trait ExportParts: Send + Sync {
    /// As [`engine::export_part`] does.
    fn export(
        &self,
        plan: &Plan,
        part: &PlannedPart,
        file_at: impl Fn(&BatchId, usize) -> Location + Send + Sync,
        progress: impl FnMut(Progress) -> Step + Send,
    ) -> impl Future<Output = Result<OutputList, EngineError>> + Send;
}

/// The engine over a store of objects.
#[derive(Clone, Debug)]
pub struct Engine<O> {
    /// What it reads and writes.
    pub objects: O,
    /// The sizes that it works in.
    pub settings: engine::Settings,
}

impl<O: ReadObjects + WriteObjects> ExportParts for Engine<O> {
    async fn export(
        &self,
        plan: &Plan,
        part: &PlannedPart,
        file_at: impl Fn(&BatchId, usize) -> Location + Send + Sync,
        progress: impl FnMut(Progress) -> Step + Send,
    ) -> Result<OutputList, EngineError> {
        let task = PartTask { plan, part, settings: self.settings };
        engine::export_part(&self.objects, &task, file_at, progress).await
    }
}
