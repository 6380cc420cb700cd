//! The `admin` command.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

use admin::cli::{Cli, run};
use clap::Parser;
use std::error::Error;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(failure) = run(Cli::parse()).await else { return ExitCode::SUCCESS };
    eprintln!("error: {failure}");
    let mut cause = failure.source();
    while let Some(source) = cause {
        eprintln!("  because: {source}");
        cause = source.source();
    }
    ExitCode::FAILURE
}
