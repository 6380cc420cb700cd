//! `GET /export/jobs` as a Lambda function.

use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    list_export_jobs::run().await
}
