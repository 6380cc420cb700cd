//! The commands.

use crate::failure::Failure;
use crate::import::{self, read_files};
use crate::inspect;
use crate::jobs::{self, Submit};
use crate::oauth;
use crate::registry::{self, RegistryFile};
use crate::sample::{self, Sample};
use crate::stack::{Place, Stack};
use crate::token;
use clap::{Parser, Subcommand};
use domain::instant::{Micros, Millis};
use domain::ports::lake::ReadTables;
use domain::state::ShownStatus;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

/// How often `job watch` looks.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// Environment variable that holds a client's secret, so that it need not stand on a command line.
const SECRET_VARIABLE: &str = "EXPORT_API_CLIENT_SECRET";

/// Administers segment exports: the registry, data, tokens, jobs.
#[derive(Debug, Parser)]
#[command(name = "admin", version)]
pub struct Cli {
    /// Which stack, and for whom.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What an organization has registered
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// A dataset's rows
    #[command(subcommand)]
    Dataset(DatasetCommand),
    /// Read a dataset through and say whether it keeps what it promises
    Check {
        /// The dataset
        dataset: String,
    },
    /// Load the sample: profiles with their history, CRM records and events, the same ones every time
    SampleData {
        /// How many profiles
        #[arg(long, default_value_t = Sample::default().profiles, value_parser = clap::value_parser!(u32).range(1..))]
        profiles: u32,
        /// Seed
        #[arg(long, default_value_t = Sample::default().seed)]
        seed: u64,
        /// Only into this dataset: the sample's own, or another with the same columns
        #[arg(long, value_name = "ID")]
        dataset: Option<String>,
        /// Load it even if there are rows already
        #[arg(long)]
        append: bool,
    },
    /// Print a bearer token
    Token {
        /// Sign it with this RSA private key (PEM, PKCS #8) [default: the key of the stack on this machine]
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Print the key's key set instead, as AuthJwks takes it
        #[arg(long)]
        key_set: bool,
        /// How long a token that is signed here is good for, in seconds
        #[arg(long, default_value_t = 86_400, value_parser = clap::value_parser!(i64).range(1..=31_536_000))]
        expires_in: i64,
        /// Get it from this URL for the client and its secret in $EXPORT_API_CLIENT_SECRET: the TokenUrl output of a
        /// deployment with Cognito, or the token endpoint of another issuer
        #[arg(long, value_name = "URL", conflicts_with_all = ["key", "key_set", "expires_in"])]
        token_url: Option<String>,
        /// Scopes to ask for, as the issuer names them
        #[arg(long, requires = "token_url")]
        scope: Option<String>,
    },
    /// Export jobs, over the API
    #[command(subcommand)]
    Job(JobCommand),
}

/// What an organization has registered.
#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Make the registry and the tables as a file says; shows what would change first
    Apply {
        /// The registry file (YAML)
        file: PathBuf,
        /// Only show what would change
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// A dataset's rows.
#[derive(Debug, Subcommand)]
pub enum DatasetCommand {
    /// Load Parquet and NDJSON files of this machine into a profile or event dataset, as one snapshot
    Import {
        /// The dataset
        dataset: String,
        /// Files: .parquet, or .ndjson with times as RFC 3339 texts or numbers of microseconds
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Ingestion time of rows that have none: NOW or RFC 3339
        #[arg(long, value_name = "TIME", value_parser = ingest_time)]
        ingest_time: Option<Micros>,
        /// The rows take the place of all that their profiles have in the dataset (an upsert, as equality deletes)
        #[arg(long)]
        replace: bool,
    },
}

/// Export jobs.
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Create a job
    Submit {
        /// What to export
        #[command(flatten)]
        submit: Submit,
        /// Follow it until it has ended
        #[arg(long)]
        watch: bool,
    },
    /// Follow a job until it has ended, an event for each status that is seen; fails unless it SUCCEEDED
    Watch {
        /// The job
        id: u64,
    },
    /// List jobs, newest first
    List {
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Only those with that status
        #[arg(long)]
        status: Option<String>,
    },
    /// Cancel a job, or delete it where it has ended
    Cancel {
        /// The job
        id: u64,
    },
}

fn ingest_time(text: &str) -> Result<Micros, String> {
    if text.eq_ignore_ascii_case("now") {
        return Ok(Micros(chrono::Utc::now().timestamp_micros()));
    }
    Micros::parse_rfc3339(text)
        .ok_or_else(|| "must be NOW or an RFC 3339 date-time such as 2026-01-31T12:00:00Z".into())
}

/// Runs a command; what it has to say goes to standard output.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let mut stack = Stack::find(cli.place)?;
    match cli.command {
        Command::Registry(RegistryCommand::Apply { file, dry_run, yes }) => {
            apply(&mut stack, &file, dry_run, yes).await
        }
        Command::Dataset(DatasetCommand::Import { dataset, files, ingest_time, replace }) => {
            let dataset = stack.dataset(&dataset).await?;
            let (tables, objects) = (stack.tables().await?, stack.objects().await);
            let state = tables.look(&dataset.table, &dataset.columns.profile_id).await?;
            let batches = read_files(&files, &state.copy.schema)?;
            let imported = match replace {
                true => import::replace(&dataset, batches, ingest_time, &tables, &objects).await?,
                false => import::load(&dataset, batches, ingest_time, &tables, &objects).await?,
            };
            println!("{imported}");
            Ok(())
        }
        Command::Check { dataset } => {
            let dataset = stack.dataset(&dataset).await?;
            let checked = inspect::check(&dataset, &stack.tables().await?, &stack.objects().await).await?;
            println!("{checked}");
            if checked.problems.is_empty() { Ok(()) } else { Err(Failure::say("the dataset is not fit.")) }
        }
        Command::SampleData { profiles, seed, dataset, append } => {
            let own =
                || [sample::profile_dataset(), sample::crm_dataset(), sample::event_dataset()].into_iter().collect();
            let ids: Vec<String> = dataset.map_or_else(own, |id| Ok(vec![id]))?;
            for id in ids {
                load_sample(&mut stack, &Sample { profiles, seed }, &id, append).await?;
            }
            Ok(())
        }
        Command::Token { token_url: Some(url), scope, .. } => {
            let secret = std::env::var(SECRET_VARIABLE)
                .map_err(|_| Failure::say(format!("the client's secret must stand in ${SECRET_VARIABLE}.")))?;
            println!("{}", oauth::token(&url, &stack.api_key()?, &secret, scope.as_deref()).await?);
            Ok(())
        }
        Command::Token { key, key_set, expires_in, .. } => print_token(&stack, key, key_set, expires_in),
        Command::Job(command) => job(&stack, command).await,
    }
}

async fn apply(stack: &mut Stack, file: &PathBuf, dry_run: bool, yes: bool) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| Failure::file(file, e))?;
    let file = RegistryFile::read(&text)?;
    let (registry, tables) = (stack.registry().await?, stack.tables().await?);
    let plan = registry::plan(&file, &registry, &tables, &stack.warehouse()?).await?;
    println!("{plan}");
    if dry_run || plan.is_empty() {
        return Ok(());
    }
    if !yes && !confirmed()? {
        return Err(Failure::say("nothing was changed."));
    }
    plan.carry_out(&registry, &tables).await?;
    println!("applied");
    Ok(())
}

fn confirmed() -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::say("nobody is there to be asked; give --yes to apply this."));
    }
    print!("Apply this? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdout().flush().and_then(|()| stdin.lock().read_line(&mut answer));
    read.map_err(|_| Failure::say("the answer could not be read."))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn load_sample(stack: &mut Stack, sample: &Sample, id: &str, append: bool) -> Result<(), Failure> {
    let dataset = stack.dataset(id).await?;
    let (tables, objects) = (stack.tables().await?, stack.objects().await);
    match sample::load(sample, &dataset, append, &tables, &objects).await? {
        Some(imported) => println!("{}: {imported}", dataset.table),
        None => println!("{} has rows already; --append loads the sample beside them.", dataset.table),
    }
    Ok(())
}

fn print_token(stack: &Stack, key: Option<PathBuf>, key_set: bool, expires_in_seconds: i64) -> Result<(), Failure> {
    let key = match (key, stack.key_folder()) {
        (Some(path), _) => token::read_key(&path)?,
        (None, Some(folder)) => token::local_key(&folder)?,
        (None, None) => return Err(Failure::say("there is no key to sign with; give --key FILE.")),
    };
    if key_set {
        println!("{}", key.jwks_json);
        return Ok(());
    }
    let now = Millis(chrono::Utc::now().timestamp_millis());
    println!("{}", key.token(&stack.api_key()?, now, expires_in_seconds * 1_000)?);
    Ok(())
}

async fn job(stack: &Stack, command: JobCommand) -> Result<(), Failure> {
    let api = stack.api()?;
    match command {
        JobCommand::Submit { submit, watch } => {
            let job = api.create(&submit.request()?).await?;
            println!("{}", jobs::line(&job));
            match job["id"].as_u64() {
                Some(id) if watch => follow(&api, id).await,
                _ => Ok(()),
            }
        }
        JobCommand::Watch { id } => follow(&api, id).await,
        JobCommand::List { limit, status } => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("limit", &limit.to_string());
            if let Some(status) = &status {
                query.append_pair("status", status);
            }
            let page = api.list(&query.finish()).await?;
            page["records"].as_array().into_iter().flatten().for_each(|job| println!("{}", jobs::line(job)));
            Ok(())
        }
        JobCommand::Cancel { id } => {
            let answer = api.delete(id).await?;
            println!("{}", answer["message"].as_str().unwrap_or("done"));
            Ok(())
        }
    }
}

async fn follow(api: &crate::api::Api, id: u64) -> Result<(), Failure> {
    let bar = progress_bar();
    let mut told = Vec::new();
    let job = jobs::watch(api, id, WATCH_EVERY, |job| {
        for status in jobs::statuses(job) {
            if !told.contains(&status) {
                told.push(status);
                bar.suspend(|| println!("{}", jobs::event(job, status)));
            }
        }
        show(&bar, job);
    });
    let job = job.await;
    bar.finish_and_clear();
    let job = job?;
    println!("{}", jobs::line(&job));
    match jobs::status_of(&job) {
        Some(ShownStatus::Succeeded) => Ok(()),
        _ => {
            let status = job["status"].as_str().unwrap_or("unknown");
            Err(Failure::say(format!("job {id} is {status}. {}", jobs::errors_of(&job).join(" ")).trim_end()))
        }
    }
}

/// A bar for a job's progress, on standard error; invisible where that is no terminal.
pub fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:<10} [{bar:40}] {pos:>3} %  {prefix}");
    let bar = ProgressBar::new(100);
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

/// Shows a job, as the API gives it, on a bar.
pub fn show(bar: &ProgressBar, job: &Value) {
    let progress = &job["progress"];
    let number = |name: &str| progress[name].as_u64().unwrap_or_default();
    bar.set_message(job["status"].as_str().unwrap_or("?").to_owned());
    bar.set_prefix(format!("{}/{} parts, {} rows", number("partsDone"), number("partsTotal"), number("rows")));
    bar.set_position(number("percent"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn usage_is_judged_before_anything_is_done() {
        let cases = [
            ("admin job submit --dataset d --segment a --segment aam/b --watch", true),
            ("admin job submit --body request.json --stack s.json", true),
            ("admin job submit", false),
            ("admin job submit --dataset d --body request.json", false),
            ("admin job watch 42 --base-url http://localhost:8080", true),
            ("admin job watch abc", false),
            ("admin dataset import crm a.parquet b.ndjson --ingest-time now", true),
            ("admin dataset import crm a.parquet --replace", true),
            ("admin dataset import crm", false),
            ("admin dataset import crm a.parquet --ingest-time yesterday", false),
            ("admin registry apply r.yaml --dry-run", true),
            ("admin token --expires-in 0", false),
            ("admin token --token-url https://issuer.example/token --scope export/jobs", true),
            ("admin token --token-url https://issuer.example/token --key k.pem", false),
            ("admin token --scope export/jobs", false),
            ("admin token --key k.pem --key-set", true),
            ("admin sample-data --profiles 0", false),
            ("admin check crm --aws --stack s.json", false),
        ];
        for (line, fits) in cases {
            let parsed = Cli::try_parse_from(line.split(' '));
            assert_eq!(parsed.is_ok(), fits, "{line}: {:?}", parsed.err().map(|e| e.to_string()));
            if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                assert_eq!(error.exit_code(), 2, "{line}");
            }
        }
    }
}
