//! Who is compared, and how each is started.

use crate::Outcome;
use crate::cases::Case;
use crate::measure::Cost;
use crate::store::{Store, Table};
use domain::instant::Micros;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contestant {
    /// What it is called.
    pub name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The engine, in one of its forms.
    Ours(Form),
    /// A Python script, and which form of the export it is to take.
    Script(&'static str, &'static str),
}

/// What this program does itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// The export, by the engine.
    Export,
    /// The same where it is not promised that a profile is one row, so that its rows are looked for.
    Merging,
    /// The same once an earlier job has seen that no file holds a profile twice.
    Seen,
    /// What no engine does without.
    Floor,
}

/// All of them.
pub const CONTESTANTS: [Contestant; 8] = [
    Contestant { name: OURS, kind: Kind::Ours(Form::Export) },
    Contestant { name: "ours-merging", kind: Kind::Ours(Form::Merging) },
    Contestant { name: "ours-seen", kind: Kind::Ours(Form::Seen) },
    Contestant { name: "floor", kind: Kind::Ours(Form::Floor) },
    Contestant { name: "duckdb", kind: Kind::Script("duckdb_export.py", "plain") },
    Contestant { name: "duckdb-one-pass", kind: Kind::Script("duckdb_export.py", "one-pass") },
    Contestant { name: "polars", kind: Kind::Script("polars_export.py", "plain") },
    Contestant { name: "spark", kind: Kind::Script("spark_export.py", "plain") },
];

/// The engine's name among the contestants.
pub const OURS: &str = "ours";

/// The competitors' packages, each in the version that is compared.
pub const REQUIREMENTS: &str = include_str!("../competitors/requirements.txt");

/// The scripts, which are written into the data folder.
const SCRIPTS: [(&str, &str); 4] = [
    ("measure.py", include_str!("../competitors/measure.py")),
    ("duckdb_export.py", include_str!("../competitors/duckdb_export.py")),
    ("polars_export.py", include_str!("../competitors/polars_export.py")),
    ("spark_export.py", include_str!("../competitors/spark_export.py")),
];

/// What a contestant's process says at its end.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// It has exported.
    Done(Cost),
    /// It cannot, for that reason.
    Unsupported {
        /// Why.
        unsupported: String,
    },
}

impl Contestant {
    /// Whether it takes part in a case: a second form only where there is one, the floor where every row group holds members
    /// and something is decoded.
    pub fn takes_part(&self, case: &Case) -> bool {
        match self.kind {
            Kind::Script(_, "one-pass") => case.segment_per_batch(),
            Kind::Ours(Form::Merging | Form::Seen) => case.tables.len() == 1,
            Kind::Ours(Form::Floor) => case.has_floor(),
            Kind::Ours(Form::Export) | Kind::Script(..) => true,
        }
    }

    /// Whether it needs Python.
    pub fn is_script(&self) -> bool {
        matches!(self.kind, Kind::Script(..))
    }

    /// Exports a case into a folder, in a process of its own.
    pub fn run(&self, case: &Case, store: &Store, data: &Path, out: &Path) -> Outcome<Answer> {
        let mut command = match self.kind {
            Kind::Ours(form) => {
                let form = clap::ValueEnum::to_possible_value(&form).ok_or("a form without a name")?;
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["one", "--case", case.name, "--form", form.get_name()]);
                command.args(["--threads", &crate::cores().to_string(), "--data"]);
                command.arg(data).arg("--out").arg(out).env(ALLOCATION, allocation());
                command
            }
            Kind::Script(script, form) => {
                let mut command = Command::new(python(data));
                command.arg(data.join("competitors").join(script)).arg(task(case, store, out, form).to_string());
                command
            }
        };
        let output = command.stderr(Stdio::piped()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().last().and_then(|line| serde_json::from_str(line).ok()) {
            Some(answer) if output.status.success() => Ok(answer),
            _ => {
                let told = String::from_utf8_lossy(&output.stderr);
                let told: Vec<_> = told.lines().rev().take(12).collect();
                let told: Vec<_> = told.into_iter().rev().collect();
                Err(format!("{} failed at {}:\n{}", self.name, case.name, told.join("\n")).into())
            }
        }
    }
}

/// The export, as the scripts read it.
fn task(case: &Case, store: &Store, out: &Path, form: &str) -> Value {
    let files = |table: Table| case.tables.contains(&table).then(|| store.files(table));
    let segments = case.segments(&store.parameters);
    let batches = case.batches().into_iter().enumerate().map(|(n, id)| {
        let segment = segments.get(n).map(|entry| &entry.segment_id);
        json!({ "batchId": id, "segmentId": segment })
    });
    let window = case.window();
    json!({
        "case": case.name,
        "form": form,
        "profiles": files(Table::Profiles),
        "crm": files(Table::Crm),
        "events": files(Table::Events),
        "paths": case.paths(),
        "batches": batches.collect::<Vec<_>>(),
        "segmentPerBatch": case.segment_per_batch(),
        "from": window.start.map(Micros::to_rfc3339),
        "to": window.end.map(Micros::to_rfc3339),
        "threads": crate::cores(),
        "out": out,
    })
}

fn python(data: &Path) -> PathBuf {
    data.join("venv/bin/python")
}

/// Writes the scripts and installs what they need, unless that is done.
pub fn install(data: &Path) -> Outcome<()> {
    let scripts = data.join("competitors");
    fs::create_dir_all(&scripts)?;
    for (name, text) in SCRIPTS {
        fs::write(scripts.join(name), text)?;
    }
    let installed = data.join("venv/requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(());
    }
    eprintln!("Installing {} …", REQUIREMENTS.lines().collect::<Vec<_>>().join(", "));
    let wanted = scripts.join("requirements.txt");
    fs::write(&wanted, REQUIREMENTS)?;
    succeed(Command::new("python3").args(["-m", "venv"]).arg(data.join("venv")))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    succeed(Command::new(python(data)).args(pip).arg(&wanted))?;
    fs::copy(&wanted, &installed)?;
    Ok(())
}

/// The variable that tells the C library which memory to keep.
const ALLOCATION: &str = "GLIBC_TUNABLES";

/// What it says in a worker.
fn allocation() -> &'static str {
    let template = include_str!("../../../infra/template.yaml");
    let said = |line: &'static str| line.trim().strip_prefix(ALLOCATION)?.strip_prefix(": ");
    template.lines().find_map(said).unwrap_or_default()
}

fn succeed(command: &mut Command) -> Outcome<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}").into()) }
}
