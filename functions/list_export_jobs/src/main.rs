//! `GET /export/jobs` as a Lambda function.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    list_export_jobs::run().await
}
