//! How long built functions take from their start until they ask for an event, and how large their packages are.

use crate::Outcome;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A function that has not asked by then never will.
const PATIENCE: Duration = Duration::from_secs(20);

/// What functions are told; none of it is used before the first event.
const SETTINGS: [(&str, &str); 19] = [
    ("AWS_REGION", "eu-west-1"),
    ("AWS_ACCESS_KEY_ID", "none"),
    ("AWS_SECRET_ACCESS_KEY", "none"),
    ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
    ("TABLE_NAME", "jobs"),
    ("QUEUE_URL", "http://localhost/work"),
    ("STATE_BUCKET", "state"),
    ("MAX_RUNNING_JOBS", "100"),
    ("LEASE_SECONDS", "60"),
    ("MAX_ATTEMPTS", "5"),
    ("PART_TARGET_BYTES", "67108864"),
    ("SPLIT_AFTER_SECONDS", "120"),
    ("COLLECT_GRACE_SECONDS", "3600"),
    ("AUTH_JWKS", r#"{"keys":[]}"#),
    ("AUTH_CLIENT_CLAIM", "client_id"),
    ("AUTH_ISSUER", ""),
    ("AUTH_AUDIENCE", ""),
];

/// A line for each function that was built below a folder.
pub fn table(built: &Path, rounds: usize) -> Outcome<String> {
    let folders = std::fs::read_dir(built).map_err(|e| format!("{}: {e}; run sam build", built.display()))?;
    let bootstraps = folders.map(|entry| Ok(entry?.path().join("bootstrap")));
    let mut bootstraps = bootstraps.collect::<Outcome<Vec<PathBuf>>>()?;
    bootstraps.retain(|bootstrap| bootstrap.is_file());
    bootstraps.sort();
    let mut table = format!("{:<28} {:>9} {:>9} {:>9}\n", "function", "ms", "MB", "MB zipped");
    for bootstrap in bootstraps {
        let mut millis = (0..rounds.max(1)).map(|_| until_first_poll(&bootstrap)).collect::<Outcome<Vec<f64>>>()?;
        millis.sort_by(f64::total_cmp);
        let bytes = std::fs::read(&bootstrap)?;
        let name = bootstrap.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let (median, whole, zipped) = (millis[millis.len() / 2], megabytes(bytes.len()), megabytes(zipped(&bytes)?));
        writeln!(table, "{name:<28} {median:>9.1} {whole:>9.1} {zipped:>9.1}")?;
    }
    Ok(table)
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// The bytes that they take in a package.
fn zipped(bytes: &[u8]) -> Outcome<usize> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}

/// Milliseconds from the start of a process until it asks the runtime for its first event.
fn until_first_poll(bootstrap: &Path) -> Outcome<f64> {
    let runtime = TcpListener::bind("127.0.0.1:0")?;
    runtime.set_nonblocking(true)?;
    let mut command = Command::new(bootstrap);
    command.env_clear().envs(SETTINGS).env("AWS_LAMBDA_RUNTIME_API", runtime.local_addr()?.to_string());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut function = Function(command.spawn()?);
    loop {
        match runtime.accept() {
            Ok((call, _)) => {
                call.set_nonblocking(false)?;
                let mut line = String::new();
                BufReader::new(call).read_line(&mut line)?;
                if line.contains("/runtime/invocation/next") {
                    return Ok(began.elapsed().as_secs_f64() * 1e3);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
        if function.0.try_wait()?.is_some() || began.elapsed() > PATIENCE {
            return Err(format!("{} asks for no event", bootstrap.display()).into());
        }
    }
}

/// A started function; ends with its value.
struct Function(Child);

impl Drop for Function {
    fn drop(&mut self) {
        // Gone already, or goes now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
