//! `local`: the stack on one machine; `local function <operation>`: one of its functions, started by the stack itself.

mod functions;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use local::{Options, Stack, StartError};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The only description of the stack.
const TEMPLATE: &str = include_str!("../../template.yaml");

/// Runs the whole stack on this machine.
#[derive(Parser)]
struct Arguments {
    /// The folder of all state; kept across restarts.
    #[arg(long, default_value = ".local")]
    data: PathBuf,
    /// The gateway's port; 0 takes any free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Run the demo once and stop.
    #[arg(long)]
    once: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Be one of the stack's functions (the stack starts these itself).
    Function {
        /// The operation.
        name: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ran = match &arguments.command {
        Some(Command::Function { name }) => functions::run(name).await,
        None => run(&arguments).await,
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(?error, "stopped by an error");
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn Error + Send + Sync>> {
    log_to(&arguments.data)?;
    let mut options = Options::new(&arguments.data, TEMPLATE);
    options.port = arguments.port;
    let stack = Stack::start(options).await?;
    println!("{}", stack.url());
    // LEAD: the demo goes here: `demo::run(&stack, …).await?`, which also calls `stack.describe(token, api key …)`.
    if !arguments.once {
        asked_to_stop().await?;
    }
    stack.stop().await;
    Ok(())
}

/// Ctrl-C, or the signal that service managers send.
async fn asked_to_stop() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// The stack's own log; functions have theirs beside it.
fn log_to(data: &Path) -> Result<(), StartError> {
    let logs = data.join("logs");
    std::fs::create_dir_all(&logs).map_err(StartError::folder(&logs))?;
    let log = logs.join("local.log");
    let file = std::fs::File::options().create(true).append(true).open(&log).map_err(StartError::folder(&log))?;
    let ours = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("local", LevelFilter::INFO)
        // To these a failed condition and an absent object, which are daily work, are warnings and errors.
        .with_target("dynoxide", LevelFilter::ERROR)
        .with_target("s3s", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::sync::Mutex::new(file));
    tracing_subscriber::registry().with(lines).with(ours).init();
    Ok(())
}
