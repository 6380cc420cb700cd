//! What the function is made of.

use edge::http::{Operation, serve_http};
use edge::settings::{self, LOG_LEVEL, TABLE_NAME};
use edge::telemetry;
use std::error::Error;

/// The settings that the function reads.
pub const SETTINGS: &[&str] = &[LOG_LEVEL, TABLE_NAME];

/// Serves until the process ends.
pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    telemetry::init("list_export_jobs");
    let table = settings::read(SETTINGS, |s| s.text(TABLE_NAME))?;
    let aws = aws::connect().await;
    let jobs = aws.jobs(&table);
    serve_http(Operation::List, |request| crate::handle(&jobs, request)).await
}
