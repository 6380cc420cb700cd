//! Compares the engine with DuckDB, Polars and Spark on the same files.

mod cases;
mod measure;
mod objects;
mod ours;
mod store;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use store::{Parameters, Store};

/// A result whose error is told to people and to nobody else.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Compares the engine with DuckDB, Polars and Spark on the same files.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    /// Where the store, the competitors and the results are
    #[arg(long, global = true, default_value = "target/bench", value_name = "DIR")]
    data: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the store
    Generate(StoreArguments),
    /// Export one case with the engine and print what it cost, as JSON
    One {
        /// The case
        #[arg(long)]
        case: String,
        /// The folder that the files go to
        #[arg(long)]
        out: PathBuf,
        /// Parts at a time
        #[arg(long, default_value_t = cores())]
        threads: usize,
    },
}

/// What the store is made of.
#[derive(Debug, clap::Args)]
struct StoreArguments {
    /// How many profiles
    #[arg(long, default_value_t = 4_000_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    profiles: u32,
    /// Seed
    #[arg(long, default_value_t = 20_260_601)]
    seed: u64,
}

/// How many threads every contestant gets.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn run(cli: Cli) -> Outcome<()> {
    match cli.command {
        Command::Generate(store) => {
            Store::at(&cli.data, Parameters::new(store.profiles, store.seed))?;
        }
        Command::One { case, out, threads } => {
            let case = cases::Case::named(&case).ok_or_else(|| format!("there is no case {case}"))?;
            let cost = ours::run(&case, &Store::open(&cli.data)?, &out, threads)?;
            println!("{}", serde_json::to_string(&cost)?);
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
