//! The results, as a table for the terminal, as raw data, and as a page of the documentation.

use crate::Outcome;
use crate::cases::{CASES, Case};
use crate::contestants::{OURS, REQUIREMENTS};
use crate::measure::Cost;
use crate::plot;
use crate::race::{Entry, ratio};
use crate::store::{Parameters, Store, Table};
use domain::instant::Micros;
use serde::Serialize;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const HEADING: &str = "# Performance

What an export costs with this engine, and what the same export costs with others on the same Parquet files.
Made by `cargo run --release -p bench -- run --publish`; what is compared is in `tests/bench`.

![CPU seconds as multiples of ours](ratios.svg)
";

const HEADS: [&str; 9] = ["case", "contestant", "CPU s", "× ours", "wall s", "× ours", "rows", "output MB", "peak MB"];

/// What a run found, and under which circumstances.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The day it was made, in UTC.
    pub date: String,
    /// Rounds; figures are medians over them.
    pub rounds: usize,
    /// The processor, and how many threads everybody had.
    pub machine: String,
    /// Runnable tasks of others, as an average over the last minute before the first round.
    pub load: String,
    /// The competitors' versions.
    pub versions: Vec<&'static str>,
    /// What the store is made of.
    pub store: Parameters,
    /// Bytes of each of its tables.
    pub table_bytes: Vec<(&'static str, u64)>,
    /// Every contestant at every case.
    pub entries: Vec<Entry>,
}

/// The machine before a run: what it is, and how busy others keep it.
pub fn machine() -> (String, String) {
    let first = |path: &str, start: &str| -> Option<String> {
        let text = fs::read_to_string(path).ok()?;
        Some(text.lines().find_map(|line| line.strip_prefix(start))?.trim_start_matches(['\t', ' ', ':']).to_owned())
    };
    let processor = first("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_ascii_whitespace().next().unwrap_or("unknown").to_owned();
    (format!("{processor}, {} threads", crate::cores()), load)
}

impl Report {
    /// The report of a run.
    pub fn new(entries: Vec<Entry>, rounds: usize, (machine, load): (String, String), store: &Store) -> Outcome<Self> {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as i64;
        let bytes = |table: Table| -> Outcome<(&'static str, u64)> {
            let sizes = store.files(table).into_iter().map(|file| Ok(fs::metadata(file)?.len()));
            Ok((table.name(), sizes.sum::<Outcome<u64>>()?))
        };
        // `duckdb-one-pass` is of `duckdb`, `spark` of `pyspark`.
        let takes_part = |requirement: &&str| {
            let package = requirement.split("==").next().unwrap_or_default();
            entries.iter().any(|e| e.contestant.split('-').next().is_some_and(|name| package.ends_with(name)))
        };
        let versions = REQUIREMENTS.lines().filter(takes_part).collect();
        Ok(Self {
            date: Micros(micros).to_rfc3339().chars().take(10).collect(),
            rounds,
            machine,
            load,
            versions,
            store: store.parameters.clone(),
            table_bytes: [Table::Profiles, Table::Crm, Table::Events].into_iter().map(bytes).collect::<Outcome<_>>()?,
            entries,
        })
    }

    /// A row for each contestant at each case, its cells in the order of [`HEADS`].
    fn rows(&self) -> Vec<[String; 9]> {
        self.entries.iter().map(|entry| self.row(entry)).collect()
    }

    fn row(&self, entry: &Entry) -> [String; 9] {
        let cost = |figure: fn(&Cost) -> f64, digits: usize| {
            entry.median(figure).map_or_else(|| "–".to_owned(), |it| format!("{it:.digits$}"))
        };
        let times = |figure: fn(&Cost) -> f64| match ratio(&self.entries, entry, figure) {
            Some(times) if entry.contestant != OURS => format!("{times:.1}"),
            _ => String::new(),
        };
        let done = !entry.costs.is_empty();
        let megabytes = |bytes: u64| if done { format!("{:.1}", bytes as f64 / 1e6) } else { "–".to_owned() };
        [
            entry.case.to_owned(),
            entry.contestant.to_owned(),
            cost(|it| it.cpu_seconds, 2),
            times(|it| it.cpu_seconds),
            cost(|it| it.wall_seconds, 2),
            times(|it| it.wall_seconds),
            if done { entry.output.rows.to_string() } else { "–".to_owned() },
            megabytes(entry.output.bytes),
            cost(|it| it.peak_rss_bytes as f64 / 1e6, 0),
        ]
    }

    fn unsupported(&self) -> impl Iterator<Item = String> {
        let told = |entry: &Entry| {
            entry.unsupported.as_ref().map(|why| format!("{} cannot do {}: {why}", entry.contestant, entry.case))
        };
        self.entries.iter().filter_map(told)
    }

    /// The table, aligned for a terminal.
    pub fn table(&self) -> String {
        let rows = self.rows();
        let cells = || std::iter::once(HEADS.map(str::to_owned)).chain(rows.iter().cloned());
        let width = |column: usize| cells().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
        let mut table = String::new();
        let mut before = String::new();
        for mut row in cells() {
            let case = row[0].clone();
            if case == before {
                row[0].clear();
            } else if !before.is_empty() {
                table.push('\n');
            }
            before = case;
            let aligned = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 | 1 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            let line = aligned.collect::<Vec<_>>().join("  ");
            table.push_str(line.trim_end());
            table.push('\n');
        }
        for line in self.unsupported() {
            let _ = writeln!(table, "{line}");
        }
        table
    }

    /// The page of the documentation.
    fn page(&self) -> String {
        let mut page = format!("{HEADING}\n{}\n", self.circumstances());
        for case in CASES.iter().filter(|case| self.entries.iter().any(|entry| entry.case == case.name)) {
            self.section(case, &mut page);
        }
        for line in self.unsupported() {
            let _ = writeln!(page, "* {line}");
        }
        page
    }

    fn circumstances(&self) -> String {
        let Self { date, machine, rounds, load, .. } = self;
        let versions: Vec<_> = self.versions.iter().map(|version| version.replace("==", " ")).collect();
        let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
        let tables: Vec<_> =
            self.table_bytes.iter().map(|(name, bytes)| format!("{name} {}", megabytes(*bytes))).collect();
        let lines = [
            format!("{date}: {machine}; {rounds} rounds, medians. Load before the first: {load}."),
            format!("{}.", versions.join(", ")),
            format!(
                "{} profiles (seed {}) in 16 buckets: {}.",
                self.store.profiles,
                self.store.seed,
                tables.join(", ")
            ),
            "CPU is user and system time of all threads around the export alone: starting up is not counted."
                .to_owned(),
            "All write ZSTD level 1. The files are in the page cache for everybody.".to_owned(),
            "Everybody exported the same: rows agree, and the hashes of profile ids, identities and events.".to_owned(),
        ];
        lines.iter().map(|line| format!("* {line}\n")).collect()
    }

    fn section(&self, case: &Case, page: &mut String) {
        let _ = writeln!(page, "## {}: {}\n", case.name, case.about);
        let _ = writeln!(page, "| {} |\n|---|{}", HEADS[1..].join(" | "), "---:|".repeat(HEADS.len() - 2));
        for row in self.rows().iter().filter(|row| row[0] == case.name) {
            let _ = writeln!(page, "| {} |", row[1..].join(" | "));
        }
        page.push('\n');
    }

    /// Writes the raw data into a folder.
    pub fn save(&self, data: &Path) -> Outcome<()> {
        Ok(fs::write(data.join("results.json"), serde_json::to_vec_pretty(self)?)?)
    }

    /// Writes page and picture into the documentation.
    pub fn publish(&self, docs: &Path) -> Outcome<()> {
        fs::create_dir_all(docs)?;
        fs::write(docs.join("results.md"), self.page())?;
        fs::write(docs.join("results.json"), serde_json::to_vec_pretty(self)?)?;
        Ok(fs::write(docs.join("ratios.svg"), plot::ratios(&self.entries))?)
    }
}
