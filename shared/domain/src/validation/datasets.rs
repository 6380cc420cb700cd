//! Whether datasets can serve an export: judged at POST on the registry's copies, and by the plan on the tables.

use crate::name_mapping::damaged;
use crate::registry::{AttributeMerge, Dataset, DatasetKind, MergePolicy, Registry, TableCopy};
use crate::schema::Kind;

/// Kinds of delete files that are applied.
const DELETE_KINDS: [&str; 2] = ["position", "equality"];

/// The datasets that an export reads, in the order in which they win ties: the profile datasets that take part in the merge
/// policy, and event datasets where they are wanted.
pub fn sources<'r>(registry: &'r Registry, policy: &MergePolicy, with_events: bool) -> Vec<&'r Dataset> {
    let of_kind = |kind| {
        let mut datasets: Vec<_> = registry.of_kind(kind).collect();
        datasets.sort_by(|a, b| a.id.cmp(&b.id));
        datasets
    };
    let mut sources = of_kind(DatasetKind::Profile);
    if let AttributeMerge::DataSetPrecedence { order } = &policy.attribute_merge {
        let place = |dataset: &Dataset| order.iter().position(|id| *id == dataset.id);
        sources.retain(|d| place(d).is_some());
        sources.sort_by_key(|d| place(d));
    }
    if with_events {
        sources.extend(of_kind(DatasetKind::Event));
    }
    sources
}

/// Whether an export dataset's table can take a job's snapshot; else the sentence that says what to do.
pub fn target_fitness(copy: Option<&TableCopy>) -> Result<(), String> {
    let Some(copy) = copy else {
        return Err("the dataset's table has not been looked at; run `admin registry apply`.".into());
    };
    judge_format(copy)?;
    if copy.batch_spec_id.is_none() {
        return Err("the dataset's table has no partition spec that is identity on batchId alone; add it again.".into());
    }
    Ok(())
}

/// Whether a dataset's table can be read at all; else the sentence that says what to do.
pub fn source_fitness(dataset: &Dataset, copy: Option<&TableCopy>) -> Result<(), String> {
    let named = named(dataset);
    let Some(copy) = copy else {
        return Err(format!("{named} has not been looked at; run `admin registry apply`."));
    };
    judge_format(copy).map_err(|what| format!("{named} cannot be read: {what}"))?;
    if let Some(kind) = copy.delete_kinds.iter().find(|kind| !DELETE_KINDS.contains(&kind.as_str())) {
        return Err(format!(
            "{named} has live delete files of the kind {kind}, which is not supported; compact the table \
             (rewrite_data_files with delete-file-threshold 1) first."
        ));
    }
    if let Some(format) = copy.foreign_formats.first() {
        return Err(format!(
            "{named} has live data files of the format {format}; only Parquet is read: rewrite the table's data files as Parquet."
        ));
    }
    if let Some(what) = &copy.name_mapping_flaw {
        return Err(format!("{named} {}.", damaged(what)));
    }
    let needed = [&dataset.columns.profile_id, &dataset.columns.timestamp];
    let needed = &needed[..if dataset.kind == DatasetKind::Event { 2 } else { 1 }];
    if let Some(name) = needed.iter().find(|name| copy.schema.field(name).is_none()) {
        return Err(format!("{named} has no column {name}."));
    }
    let timestamp = copy.schema.field(&dataset.columns.timestamp).filter(|_| dataset.kind == DatasetKind::Event);
    match timestamp {
        Some(field) if field.kind != Kind::Primitive("timestamptz".into()) => {
            Err(format!("{named} has the column {} as {}; it must be timestamptz.", field.name, field.kind.describe()))
        }
        _ => Ok(()),
    }
}

/// What the rows of the sources need for becoming profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeNeeds {
    /// Every row is a profile of its own.
    Nothing,
    /// All of a profile's rows in one part: buckets, of which all tables have as many.
    Buckets(u32),
}

/// Whether the sources can be merged, each of them being fit by itself; else the one that cannot, and the sentence that
/// says what to do. `with_times`: whether update times are asked for.
pub fn merge_fitness<'d>(sources: &[&'d Dataset], with_times: bool) -> Result<MergeNeeds, (&'d Dataset, String)> {
    let without_times =
        sources.iter().find(|d| table(d).is_some_and(|t| t.schema.field(&d.columns.ingest_time).is_none()));
    if let [only] = sources
        && only.unique_profiles
    {
        return match without_times {
            Some(dataset) if with_times => Err(no_times(dataset)),
            _ => Ok(MergeNeeds::Nothing),
        };
    }
    if let Some(dataset) = without_times {
        return Err(no_times(dataset));
    }
    let mut first: Option<(&Dataset, u32)> = None;
    for dataset in sources {
        let named = named(dataset);
        match (table(dataset).and_then(|t| t.buckets), first) {
            (None, _) if sources.len() == 1 => {
                let what = format!(
                    "{named} is neither bucketed by {} nor registered with uniqueProfiles: true; merging needs buckets.",
                    dataset.columns.profile_id
                );
                return Err((dataset, what));
            }
            (None, _) => {
                let what = format!(
                    "{named} is not bucketed by {}; merging several datasets, or events, needs buckets: rewrite it with \
                     bucket(N, {0}), the same N for all.",
                    dataset.columns.profile_id
                );
                return Err((dataset, what));
            }
            (Some(n), Some((other, m))) if n != m => {
                let what = format!(
                    "{named} has {n} buckets and {} has {m}; merging needs the same number in all: rewrite one of them.",
                    other.id
                );
                return Err((dataset, what));
            }
            (Some(n), _) => first = Some((dataset, n)),
        }
    }
    Ok(first.map_or(MergeNeeds::Nothing, |(_, n)| MergeNeeds::Buckets(n)))
}

fn table(dataset: &Dataset) -> Option<&TableCopy> {
    dataset.copy.as_ref()
}

fn no_times(dataset: &Dataset) -> (&Dataset, String) {
    (
        dataset,
        format!(
            "{} has no column {}, which tells when a row was updated.",
            named(dataset),
            dataset.columns.ingest_time
        ),
    )
}

fn named(dataset: &Dataset) -> String {
    let kind = match dataset.kind {
        DatasetKind::Profile => "profile",
        DatasetKind::Event => "event",
        DatasetKind::Export => "export",
    };
    format!("the {kind} dataset {}", dataset.id)
}

fn judge_format(copy: &TableCopy) -> Result<(), String> {
    match copy.format_version {
        2 => Ok(()),
        other => Err(format!("the table has Iceberg format version {other}; version 2 is supported.")),
    }
}
