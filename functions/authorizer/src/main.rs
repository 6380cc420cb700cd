//! The gateway's authorizer as a Lambda function.

use std::error::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    authorizer::run().await
}
