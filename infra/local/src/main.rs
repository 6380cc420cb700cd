//! `local`: the stack on one machine; `local function <operation>`: one of its functions, started by the stack itself.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

mod demo;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use admin::token::{LocalKey, local_key};
use clap::{Parser, Subcommand};
use demo::{API_KEY, Demo, ORGANIZATION, SANDBOX};
use domain::instant::Millis;
use domain::ports::Clock;
use edge::clock::SystemClock;
use local::{Options, Stack, StartError, functions};
use serde_json::Value;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The only description of the stack.
const TEMPLATE: &str = include_str!("../../template.yaml");

/// The template's parameters that one machine wants otherwise: parts small enough to see several at work, leases short
/// enough to watch a killed worker's part be taken over, and tokens of a key of its own.
const PARAMETERS: [(&str, &str); 3] = [("PartTargetBytes", "1048576"), ("LeaseSeconds", "10"), ("Auth", "jwks")];
/// How long the printed token is good for.
const TOKEN_DAYS: i64 = 30;

/// Runs the whole stack on this machine.
#[derive(Parser)]
struct Arguments {
    /// The folder of all state; kept across restarts.
    #[arg(long, default_value = ".local")]
    data: PathBuf,
    /// The gateway's port; 0 takes any free one.
    #[arg(long, default_value_t = 8480)]
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
    let key = local_key(&arguments.data.join("auth"))?;
    let mut options = Options::new(&arguments.data, TEMPLATE);
    options.port = arguments.port;
    options.parameters.extend(PARAMETERS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    options.parameters.insert("AuthJwks".to_owned(), key.jwks_json.clone());
    let stack = Stack::start(options).await?;
    let outcome = serve(arguments, &stack, &key).await;
    stack.stop().await;
    outcome.map_err(|error| StartError::full_disk(&arguments.data).map_or(error, Into::into))
}

/// The demo, and then whatever comes until somebody asks for an end.
async fn serve(arguments: &Arguments, stack: &Stack, key: &LocalKey) -> Result<(), Box<dyn Error + Send + Sync>> {
    let now = SystemClock.now();
    let token = key.token(API_KEY, Millis(now.0), TOKEN_DAYS * 24 * 3_600 * 1_000)?;
    let caller = [("token", token.as_str()), ("apiKey", API_KEY), ("organization", ORGANIZATION), ("sandbox", SANDBOX)];
    stack.describe(caller.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())?;
    println!("The stack serves {}; its state is in {}.", stack.url(), stack.data().display());
    let mut demo = Demo::on(stack)?;
    let exported = tokio::select! {
        exported = show(&mut demo, stack) => exported?,
        stopped = asked_to_stop() => return Ok(stopped?),
    };
    if arguments.once {
        return Ok(exported.verdict()?);
    }
    if let Err(sentence) = exported.verdict() {
        eprintln!("{sentence}");
    }
    let id = exported.job["id"].as_u64().unwrap_or_default();
    demo::print_how_to_go_on(stack, &token, &exported.table, id)?;
    Ok(asked_to_stop().await?)
}

/// Prepares, exports, prints, and leaves the finished job in `<data>/job.json` for other readers.
async fn show(demo: &mut Demo, stack: &Stack) -> Result<demo::Exported, Box<dyn Error + Send + Sync>> {
    let (created, took) = demo.prepare().await?;
    match created.is_empty() {
        true => println!("Found the sample data that was there."),
        false => println!("Created in {:.1} s\n  {}", took.as_secs_f64(), created.join("\n  ")),
    }
    let exported = demo.export().await?;
    exported.print();
    let path = stack.data().join("job.json");
    std::fs::write(&path, format!("{:#}\n", exported.job)).map_err(StartError::folder(&path))?;
    Ok(exported)
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
