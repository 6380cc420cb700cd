//! The worker's process.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    export_worker::run().await
}
