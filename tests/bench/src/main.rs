//! Compares the engine with DuckDB, Polars and Spark on the same files.

mod cases;
mod contestants;
mod floor;
mod functions;
mod measure;
mod objects;
mod ours;
mod output;
mod plot;
mod race;
mod report;
mod store;

use cases::{CASES, Case};
use clap::{Parser, Subcommand};
use contestants::{CONTESTANTS, Contestant, Form};
use ours::Known;
use report::Report;
use std::path::{Path, PathBuf};
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
    /// Run the contestants and print what their exports cost
    Run(RunArguments),
    /// Export one case with the engine and print what it cost, as JSON
    One {
        /// The case
        #[arg(long)]
        case: String,
        /// How
        #[arg(long, value_enum, default_value_t = Form::Export)]
        form: Form,
        /// The folder that the files go to
        #[arg(long)]
        out: PathBuf,
        /// Parts at a time
        #[arg(long, default_value_t = cores())]
        threads: usize,
    },
    /// Print how long built functions take to ask for their first event, and how large they are
    Functions {
        /// The folder in which each function has one of its own with its bootstrap, as `sam build` leaves them
        #[arg(default_value = ".aws-sam/build")]
        built: PathBuf,
        /// How often each is started; figures are medians
        #[arg(long, default_value_t = 21)]
        rounds: usize,
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
    /// Columns of the profile table beyond its usual ones
    #[arg(long, default_value_t = 0, value_name = "COLUMNS")]
    attributes: usize,
}

impl StoreArguments {
    fn parameters(&self) -> Parameters {
        Parameters::new(self.profiles, self.seed, self.attributes)
    }
}

/// What is run.
#[derive(Debug, clap::Args)]
struct RunArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// How often; figures are medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these cases
    #[arg(long, value_name = "NAME", value_parser = named(CASES.map(|it| it.name)))]
    case: Vec<String>,
    /// Only these contestants
    #[arg(long, value_name = "NAME", value_parser = named(CONTESTANTS.map(|it| it.name)))]
    contestant: Vec<String>,
    /// Write the results into docs/performance too
    #[arg(long)]
    publish: bool,
}

fn named<const N: usize>(names: [&'static str; N]) -> clap::builder::PossibleValuesParser {
    names.into()
}

/// How many threads every contestant gets.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn run(cli: Cli) -> Outcome<()> {
    match cli.command {
        Command::Generate(store) => {
            Store::at(&cli.data, store.parameters())?;
        }
        Command::Run(arguments) => compare(&std::path::absolute(&cli.data)?, &arguments)?,
        Command::One { case, form, out, threads } => {
            let case = Case::named(&case).ok_or_else(|| format!("there is no case {case}"))?;
            let store = Store::open(&cli.data)?;
            let cost = match form {
                Form::Export => ours::run(&case, &store, &out, Known::Promised, threads)?,
                Form::Merging => ours::run(&case, &store, &out, Known::Nothing, threads)?,
                Form::Seen => ours::run(&case, &store, &out, Known::Seen, threads)?,
                Form::Floor => floor::run(&case, &store, &out, threads)?,
            };
            println!("{}", serde_json::to_string(&cost)?);
        }
        Command::Functions { built, rounds } => print!("{}", functions::table(&built, rounds)?),
    }
    Ok(())
}

fn compare(data: &Path, arguments: &RunArguments) -> Outcome<()> {
    let all = |named: &[String], name: &str| named.is_empty() || named.iter().any(|it| it == name);
    let cases: Vec<_> = CASES.into_iter().filter(|it| all(&arguments.case, it.name)).collect();
    let contestants: Vec<_> = CONTESTANTS.into_iter().filter(|it| all(&arguments.contestant, it.name)).collect();
    let store = Store::at(data, arguments.store.parameters())?;
    if contestants.iter().any(Contestant::is_script) {
        contestants::install(data)?;
    }
    let machine = report::machine();
    let entries = race::run(&cases, &contestants, arguments.rounds, &store, data)?;
    let report = Report::new(entries, arguments.rounds, machine, &store)?;
    println!("{}", report.table());
    report.save(data)?;
    if arguments.publish { report.publish(Path::new("docs/performance")) } else { Ok(()) }
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
