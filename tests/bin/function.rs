//! A function of the local stack as a process of its own, for tests that start and kill them.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let operation = std::env::args().nth(1).ok_or("name the operation")?;
    local::functions::run(&operation).await
}
