//! The whole stack: emulators with what the template puts into them, functions, gateway, queue mappings, schedules.

mod description;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::emulators::{self, ACCOUNT, Emulators, REGION};
use crate::gateway::Gateway;
use crate::lambda::{Launch, Pool};
use crate::server::listen;
use crate::template::{Function, Place, Template};
use crate::{StartError, event_sources, schedule};

/// `AWS::StackName`; physical names start with it.
const STACK: &str = "local";

/// What to start, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of all state; made if absent.
    pub data: PathBuf,
    /// The template's text.
    pub template: String,
    /// Values of template parameters in place of their defaults.
    pub parameters: BTreeMap<String, String>,
    /// The gateway's port; 0 lets the kernel choose.
    pub port: u16,
    /// The most processes of one function.
    pub max_concurrency: usize,
    /// Program and first arguments that functions are started with, the operation's name after them; by default this
    /// program with `function`.
    pub function_command: Option<Vec<OsString>>,
    /// Environment variables beside, or in place of, the template's, by operation.
    pub environment: BTreeMap<String, BTreeMap<String, String>>,
    /// Time between scheduled invocations in place of the template's rate.
    pub schedule_every: Option<Duration>,
    /// Visibility timeout of all queues in place of the template's; whole seconds.
    pub visibility_timeout: Option<Duration>,
}

impl Options {
    /// The template as it is, over `data`, on a port that the kernel chooses.
    pub fn new(data: impl Into<PathBuf>, template: impl Into<String>) -> Self {
        Self {
            data: data.into(),
            template: template.into(),
            parameters: BTreeMap::new(),
            port: 0,
            max_concurrency: std::thread::available_parallelism().map_or(2, usize::from).max(2),
            function_command: None,
            environment: BTreeMap::new(),
            schedule_every: None,
            visibility_timeout: None,
        }
    }
}

/// The running stack. [`Stack::stop`] ends it in order; dropping it kills the functions and stops the servers.
#[derive(Debug)]
pub struct Stack {
    data: PathBuf,
    template: Template,
    emulators: Emulators,
    gateway: Gateway,
    // By operation.
    pools: BTreeMap<String, Pool>,
    triggers: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Stack {
    /// Starts everything; when it returns the gateway answers. `<data>/stack.json` says where everything is.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let listener = listen(options.port).await?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { port: options.port, source })?;
        let emulators = emulators::start_all(&options.data).await?;
        let place = Place {
            region: REGION.to_owned(),
            account: ACCOUNT.to_owned(),
            stack: STACK.to_owned(),
            sqs_url: emulators.sqs.url(),
            gateway_url: format!("http://{address}"),
        };
        let template = Template::read(&options.template, &place, &options.parameters)?;
        create_stores(&emulators, &template, options.visibility_timeout).await?;
        let pools = pools(&options, &emulators, &template)?;
        let api = template.api.as_ref().ok_or(StartError::NoApi)?;
        let gateway = Gateway::start(listener, api, &pools)?;
        let (stop, stopping) = watch::channel(false);
        let triggers = triggers(&options, &emulators, &template, &pools, &stopping);
        let operation = |id: &String| template.functions.get(id).map_or_else(|| id.clone(), |f| f.operation.clone());
        let pools = pools.into_iter().map(|(id, pool)| (operation(&id), pool)).collect();
        let stack = Self { data: options.data, template, emulators, gateway, pools, triggers, stop };
        stack.describe(Map::new())?;
        Ok(stack)
    }

    /// The gateway's `http://host:port`.
    pub fn url(&self) -> String {
        self.gateway.url()
    }

    /// The folder of all state.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The emulators, for clients of their own.
    pub fn emulators(&self) -> &Emulators {
        &self.emulators
    }

    /// The template as it was deployed.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The processes of the function `operation`.
    pub fn function(&self, operation: &str) -> Option<&Pool> {
        self.pools.get(operation)
    }

    /// Writes `<data>/stack.json` anew: where everything is, and `more` (token, api key, organization, sandbox …).
    pub fn describe(&self, more: Map<String, Value>) -> Result<(), StartError> {
        let path = self.data.join("stack.json");
        let text = description::of(self, more);
        // Renamed into place, so that a reader never sees half of it.
        let unfinished = self.data.join("stack.json.new");
        fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, &path)).map_err(StartError::folder(&path))
    }

    /// Takes no more requests, kills the functions' processes, then stops the emulators. What is stored stays.
    pub async fn stop(mut self) {
        self.gateway.stop().await;
        self.stop.send_replace(true);
        futures::future::join_all(self.pools.values().map(Pool::stop)).await;
        while self.triggers.join_next().await.is_some() {}
        self.emulators.stop().await;
    }
}

async fn create_stores(
    emulators: &Emulators,
    template: &Template,
    visibility_timeout: Option<Duration>,
) -> Result<(), StartError> {
    for table in &template.tables {
        let created = emulators.dynamodb.create_table_if_absent(&table.definition, table.ttl_attribute.as_deref());
        created.map_err(|source| refused("table", &table.name, source))?;
    }
    for bucket in &template.buckets {
        let created = emulators.s3.create_bucket_if_absent(&bucket.name);
        created.map_err(|source| refused("bucket", &bucket.name, source))?;
    }
    let queues = emulators.sqs.queues();
    for queue in &template.queues {
        let mut attributes = queue.attributes.clone();
        attributes.extend(visibility_timeout.map(|v| ("VisibilityTimeout".to_owned(), v.as_secs().to_string())));
        queues.create(&queue.name, &attributes).await.map_err(|source| refused("queue", &queue.name, source))?;
    }
    Ok(())
}

fn refused(kind: &'static str, name: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StartError {
    StartError::Resource { kind, name: name.to_owned(), source: source.into() }
}

/// A pool for each function, by logical id.
fn pools(options: &Options, emulators: &Emulators, template: &Template) -> Result<BTreeMap<String, Pool>, StartError> {
    let logs = options.data.join("logs");
    fs::create_dir_all(&logs).map_err(StartError::folder(&logs))?;
    let command = match &options.function_command {
        Some(command) => command.clone(),
        None => {
            let program = std::env::current_exe().map_err(|source| StartError::NoProgram { source })?;
            vec![program.into(), "function".into()]
        }
    };
    let pool = |function: &Function| {
        let mut environment: BTreeMap<String, String> =
            emulators.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        environment.extend(function.environment.clone());
        environment.extend(options.environment.get(&function.operation).cloned().unwrap_or_default());
        let mut command = command.clone();
        command.push(function.operation.clone().into());
        Pool::new(Launch {
            function: function.name.clone(),
            arn: function.arn.clone(),
            command,
            environment,
            timeout: function.timeout,
            memory_mb: function.memory_mb,
            max_concurrency: options.max_concurrency.min(function.reserved_concurrency.unwrap_or(usize::MAX)),
            log: logs.join(format!("{}.log", function.operation)),
        })
    };
    Ok(template.functions.iter().map(|(id, function)| (id.clone(), pool(function))).collect())
}

/// What starts functions beside requests: a task for each queue mapping and each schedule.
fn triggers(
    options: &Options,
    emulators: &Emulators,
    template: &Template,
    pools: &BTreeMap<String, Pool>,
    stopping: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (id, function) in &template.functions {
        let Some(pool) = pools.get(id) else { continue };
        for mapping in &function.queues {
            let concurrency = pool.max_concurrency().min(mapping.max_concurrency.unwrap_or(usize::MAX));
            let queues = emulators.sqs.queues();
            tasks.spawn(event_sources::run(queues, mapping.clone(), pool.clone(), concurrency, stopping.clone()));
        }
        for schedule in &function.schedules {
            let every = options.schedule_every.unwrap_or(schedule.every);
            tasks.spawn(schedule::run(schedule.clone(), every, pool.clone(), stopping.clone()));
        }
    }
    tasks
}

#[cfg(test)]
#[path = "stack/tests.rs"]
mod tests;
