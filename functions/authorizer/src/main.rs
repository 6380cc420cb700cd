//! The gateway's authorizer as a Lambda function.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    authorizer::run().await
}
