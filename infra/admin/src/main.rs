//! The `admin` command.

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
