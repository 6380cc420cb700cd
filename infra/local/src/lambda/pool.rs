//! The processes of one function: started on demand, one invocation at a time each, replaced when they end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::runtime_api::{FunctionError, RuntimeApi};
use crate::server::listen;

/// How long a process may take from its start to its first question for work.
const INIT_LIMIT: Duration = Duration::from_secs(60);

/// How the processes of a function are started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its name, as in errors and `AWS_LAMBDA_FUNCTION_NAME`.
    pub function: String,
    /// Its ARN.
    pub arn: String,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// The whole environment, but for what the Runtime API adds; nothing else is inherited, except `PATH`.
    pub environment: BTreeMap<String, String>,
    /// What an invocation may take; then its process is killed.
    pub timeout: Duration,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, in MiB; not enforced.
    pub memory_mb: u32,
    /// The most processes at once; further invocations wait.
    pub max_concurrency: usize,
    /// Where the processes' output goes; appended to.
    pub log: PathBuf,
}

/// Why an invocation has no result.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// No process could be started.
    #[error("The function {function} cannot be started.")]
    Start {
        /// Which.
        function: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The function reported an error.
    #[error("The function {function} failed; its log says more.")]
    Function {
        /// Which.
        function: String,
        /// What it reported: for logs.
        reported: FunctionError,
    },
    /// The process ended during the invocation.
    #[error("The process of the function {function} ended before it answered.")]
    Exited {
        /// Which.
        function: String,
        /// How, where the system knows.
        status: Option<ExitStatus>,
    },
    /// The process took longer than the function's timeout, or never asked for work, and was killed.
    #[error("The function {function} did not answer in time and was stopped.")]
    TimedOut {
        /// Which.
        function: String,
    },
    /// The stack is stopping.
    #[error("The function {function} is stopped.")]
    Stopped {
        /// Which.
        function: String,
    },
}

/// The pool; a clone shares the processes.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    launch: Launch,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Environment>>,
    busy: Mutex<Vec<u32>>,
    stopping: watch::Sender<bool>,
}

/// One process and the Runtime API that it speaks to.
#[derive(Debug)]
struct Environment {
    process: Child,
    api: RuntimeApi,
    initialised: bool,
}

impl Pool {
    /// A pool without processes.
    pub fn new(launch: Launch) -> Self {
        let permits = Arc::new(Semaphore::new(launch.max_concurrency.max(1)));
        let (stopping, _) = watch::channel(false);
        Self(Arc::new(Inner { launch, permits, idle: Mutex::default(), busy: Mutex::default(), stopping }))
    }

    /// The function's name.
    pub fn function(&self) -> &str {
        &self.0.launch.function
    }

    /// The most invocations at once.
    pub fn max_concurrency(&self) -> usize {
        self.0.launch.max_concurrency.max(1)
    }

    /// Runs one invocation and waits for its result. As on Lambda it goes on where the caller stops waiting.
    pub async fn invoke(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        let inner = self.0.clone();
        match tokio::spawn(async move { inner.invoke(payload).await }).await {
            Ok(result) => result,
            // The runtime is shutting down.
            Err(_) => Err(InvokeError::Stopped { function: self.function().to_owned() }),
        }
    }

    /// The ids of its live processes: those at work, then those that wait.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids = locked(&self.0.busy).clone();
        let mut idle = locked(&self.0.idle);
        idle.retain_mut(Environment::is_alive);
        pids.extend(idle.iter().filter_map(|environment| environment.process.id()));
        pids
    }

    /// Kills all processes, also those at work, and waits for their end. Invocations after it fail.
    pub async fn stop(&self) {
        self.0.stopping.send_replace(true);
        // All permits back means that nothing is at work any more.
        let all = u32::try_from(self.max_concurrency()).unwrap_or(u32::MAX);
        let _ = self.0.permits.acquire_many(all).await;
        self.0.permits.close();
        let idle = std::mem::take(&mut *locked(&self.0.idle));
        for environment in idle {
            environment.end().await;
        }
    }
}

impl Inner {
    async fn invoke(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        let function = || self.launch.function.clone();
        let _permit = self.permits.acquire().await.map_err(|_closed| InvokeError::Stopped { function: function() })?;
        let mut stopping = self.stopping.subscribe();
        if *stopping.borrow() {
            return Err(InvokeError::Stopped { function: function() });
        }
        let mut environment =
            self.environment().await.map_err(|source| InvokeError::Start { function: function(), source })?;
        let pid = environment.process.id();
        locked(&self.busy).extend(pid);
        let result = tokio::select! {
            result = environment.run(payload, &self.launch) => result,
            _ = stopping.changed() => Err(InvokeError::Stopped { function: function() }),
        };
        locked(&self.busy).retain(|busy| Some(*busy) != pid);
        match &result {
            Ok(_) | Err(InvokeError::Function { .. }) => locked(&self.idle).push(environment),
            Err(_) => environment.end().await,
        }
        if let Err(error) = &result {
            tracing::warn!(?error, "an invocation failed");
        }
        result
    }

    /// The process that waited last, or a new one.
    async fn environment(&self) -> io::Result<Environment> {
        loop {
            let waiting = locked(&self.idle).pop();
            let Some(mut environment) = waiting else { return Environment::start(&self.launch).await };
            if environment.is_alive() {
                return Ok(environment);
            }
        }
    }
}

impl Environment {
    async fn start(launch: &Launch) -> io::Result<Self> {
        let listener = listen(0).await.map_err(io::Error::other)?;
        let api = RuntimeApi::start(listener, &launch.arn)?;
        let log = File::options().create(true).append(true).open(&launch.log)?;
        let (program, arguments) =
            launch.command.split_first().ok_or_else(|| io::Error::other("the function has no command"))?;
        let process = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(&launch.environment)
            .env("AWS_LAMBDA_RUNTIME_API", api.authority())
            .env("AWS_LAMBDA_FUNCTION_NAME", &launch.function)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", launch.memory_mb.to_string())
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", launch.function))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "local")
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { process, api, initialised: false })
    }

    /// One invocation. The process is of further use only after a result or an error that it reported.
    async fn run(&mut self, payload: Bytes, launch: &Launch) -> Result<Bytes, InvokeError> {
        let function = launch.function.clone();
        let mut invocation = self.api.invoke(payload, launch.timeout);
        let process = &mut self.process;
        let initialised = &mut self.initialised;
        let answered = async {
            // Starting is not counted; a process that has started asks at once.
            let limit = if *initialised { launch.timeout } else { INIT_LIMIT };
            if timeout(limit, &mut invocation.taken).await.is_err() {
                return Err(InvokeError::TimedOut { function: function.clone() });
            }
            *initialised = true;
            match timeout(launch.timeout, &mut invocation.outcome).await {
                Ok(Ok(Ok(result))) => Ok(result),
                Ok(Ok(Err(reported))) => Err(InvokeError::Function { function: function.clone(), reported }),
                Ok(Err(_closed)) => Err(InvokeError::Exited { function: function.clone(), status: None }),
                Err(_elapsed) => Err(InvokeError::TimedOut { function: function.clone() }),
            }
        };
        tokio::select! {
            // An answer that came before the end counts.
            biased;
            result = answered => result,
            status = process.wait() => Err(InvokeError::Exited { function: launch.function.clone(), status: status.ok() }),
        }
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Kills the process if it lives, and waits for it.
    async fn end(mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill().await;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
