//! The contestants, one after the other, round by round.

use crate::Outcome;
use crate::cases::Case;
use crate::contestants::{Answer, CONTESTANTS, Contestant, OURS};
use crate::measure::Cost;
use crate::output::Output;
use crate::store::{Store, Table};
use serde::Serialize;
use std::fs;
use std::path::Path;

/// One contestant at one case.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The case's name.
    pub case: &'static str,
    /// The contestant's.
    pub contestant: &'static str,
    /// What each round cost.
    pub costs: Vec<Cost>,
    /// What it wrote in the last round.
    pub output: Output,
    /// Why it cannot do the case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
}

impl Entry {
    /// The median of a figure over the rounds; `None` where the case was not done.
    pub fn median(&self, figure: impl Fn(&Cost) -> f64) -> Option<f64> {
        let mut figures: Vec<f64> = self.costs.iter().map(figure).collect();
        figures.sort_unstable_by(f64::total_cmp);
        let (low, high) = (figures.len().checked_sub(1)? / 2, figures.len() / 2);
        Some((figures[low] + figures[high]) / 2.0)
    }
}

/// How often a contestant's figure is the engine's, in the same case; `None` where either has none.
pub fn ratio(entries: &[Entry], of: &Entry, figure: impl Fn(&Cost) -> f64) -> Option<f64> {
    let ours = entries.iter().find(|entry| entry.case == of.case && entry.contestant == OURS)?;
    Some(of.median(&figure)? / ours.median(&figure)?.max(f64::MIN_POSITIVE))
}

/// Runs everything, case by case. Files are in the page cache for whoever reads them: they are read once before. Each round
/// begins with another contestant, and everybody comes behind an export of the engine that is not counted: memory that a
/// virtual machine has just used is cheap, and its host takes the rest away. Whoever came behind a contestant that starts up
/// slowly would pay for getting it back, a second where 448 MB are written.
pub fn run(
    cases: &[Case],
    contestants: &[Contestant],
    rounds: usize,
    store: &Store,
    data: &Path,
) -> Outcome<Vec<Entry>> {
    let pairs = cases.iter().flat_map(|case| contestants.iter().map(move |contestant| (case, contestant)));
    let pairs: Vec<_> = pairs.filter(|(case, contestant)| contestant.takes_part(case)).collect();
    let entry = |(case, contestant): &(&Case, &Contestant)| Entry {
        case: case.name,
        contestant: contestant.name,
        costs: Vec::new(),
        output: Output::default(),
        unsupported: None,
    };
    let mut entries: Vec<Entry> = pairs.iter().map(entry).collect();
    warm(cases, store)?;
    for round in 1..=rounds {
        for at in order(&entries, round - 1) {
            let (entry, (case, contestant)) = (&mut entries[at], pairs[at]);
            if entry.unsupported.is_none() {
                eprint!("{round}/{rounds} {:<11} {:<16} ", case.name, contestant.name);
                run_one(entry, case, contestant, store, data)?;
            }
        }
    }
    agree(&entries)?;
    Ok(entries)
}

/// The order of a round: case by case, and of each case's contestants another one first than in the round before.
fn order(entries: &[Entry], rounds_before: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    for of_case in order.chunk_by_mut(|a, b| entries[*a].case == entries[*b].case) {
        of_case.rotate_left(rounds_before % of_case.len());
    }
    order
}

fn run_one(entry: &mut Entry, case: &Case, contestant: &Contestant, store: &Store, data: &Path) -> Outcome<()> {
    let out = data.join("out");
    let empty = || -> Outcome<()> {
        if out.exists() {
            fs::remove_dir_all(&out)?;
        }
        Ok(fs::create_dir_all(&out)?)
    };
    empty()?;
    if let Some(ours) = CONTESTANTS.iter().find(|contestant| contestant.name == OURS) {
        ours.run(case, store, data, &out)?;
    }
    empty()?;
    match contestant.run(case, store, data, &out)? {
        Answer::Done(cost) => {
            entry.output = Output::below(&out)?;
            let Output { rows, files, .. } = entry.output;
            let Cost { cpu_seconds, wall_seconds, .. } = cost;
            eprintln!("{cpu_seconds:7.2} CPU s {wall_seconds:7.2} s {rows:>9} rows {files:>4} files");
            entry.costs.push(cost);
        }
        Answer::Unsupported { unsupported } => {
            eprintln!("cannot: {unsupported}");
            entry.unsupported = Some(unsupported);
        }
    }
    fs::remove_dir_all(&out)?;
    Ok(())
}

/// Reads the files of the cases once.
fn warm(cases: &[Case], store: &Store) -> Outcome<()> {
    for table in [Table::Profiles, Table::Crm, Table::Events] {
        if cases.iter().any(|case| case.tables.contains(&table)) {
            for file in store.files(table) {
                std::io::copy(&mut fs::File::open(file)?, &mut std::io::sink())?;
            }
        }
    }
    Ok(())
}

/// Whether all contestants of a case exported the same.
fn agree(entries: &[Entry]) -> Outcome<()> {
    let mut differences = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.costs.is_empty()) {
        let first = entries.iter().find(|other| other.case == entry.case && !other.costs.is_empty());
        if let Some(first) = first.filter(|first| !first.output.agrees(&entry.output)) {
            let told = |entry: &Entry| {
                let Output { rows, content, .. } = entry.output;
                format!("{} wrote {rows} rows (content {content:x})", entry.contestant)
            };
            differences.push(format!("{}: {} and {}", entry.case, told(first), told(entry)));
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(format!("the exports differ: {}", differences.join("; ")).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(contestant: &'static str, cpu: &[f64], rows: u64) -> Entry {
        let cost = |cpu: &f64| Cost { cpu_seconds: *cpu, wall_seconds: 1.0, peak_rss_bytes: 0 };
        let output = Output { rows, ..Output::default() };
        Entry { case: "c", contestant, costs: cpu.iter().map(cost).collect(), output, unsupported: None }
    }

    #[test]
    fn every_round_begins_each_case_with_another_contestant() {
        let of_case = |case| ["a", "b", "c"].map(|contestant| Entry { case, ..entry(contestant, &[], 0) });
        let entries = [of_case("x").as_slice(), &of_case("y")[..2]].concat();
        let orders = [0, 1, 2, 3].map(|rounds_before| order(&entries, rounds_before));
        assert_eq!(orders, [[0, 1, 2, 3, 4], [1, 2, 0, 4, 3], [2, 0, 1, 3, 4], [0, 1, 2, 4, 3]]);
    }

    #[test]
    fn medians_and_ratios_are_of_the_rounds() {
        let entries = [entry(OURS, &[3.0, 1.0, 2.0], 5), entry("other", &[4.0, 8.0], 5), entry("none", &[], 0)];
        let cpu = |cost: &Cost| cost.cpu_seconds;
        let ratios: Vec<_> = entries.iter().map(|entry| ratio(&entries, entry, cpu)).collect();
        assert_eq!(ratios, [Some(1.0), Some(3.0), None]);
    }

    #[test]
    fn exports_that_differ_are_named() {
        assert!(agree(&[entry(OURS, &[1.0], 5), entry("none", &[], 0), entry("other", &[1.0], 5)]).is_ok());
        let told = agree(&[entry(OURS, &[1.0], 5), entry("other", &[1.0], 6)]).err().map(|e| e.to_string());
        let expected = "the exports differ: c: ours wrote 5 rows (content 0) and other wrote 6 rows (content 0)";
        assert_eq!(told.as_deref(), Some(expected));
    }
}
