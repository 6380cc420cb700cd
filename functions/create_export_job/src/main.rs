//! `POST /export/jobs` as a Lambda function.

use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    create_export_job::run().await
}
