//! The functions that this program can be: `local function <operation>`.

use std::error::Error;

/// Runs a function against the Runtime API that its environment names, until that goes away.
pub async fn run(operation: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    match operation {
        "authorizer" => authorizer::run().await,
        "cancel_export_job" => cancel_export_job::run().await,
        "create_export_job" => create_export_job::run().await,
        "export_worker" => export_worker::run().await,
        "get_export_job" => get_export_job::run().await,
        "list_export_jobs" => list_export_jobs::run().await,
        "sweeper" => sweeper::run().await,
        other => Err(format!("There is no function {other}.").into()),
    }
}
