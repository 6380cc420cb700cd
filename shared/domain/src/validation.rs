//! Judging a create request against the registry: what can be known at POST is a 400, never a FAILED job.

use crate::fields::{MAX_PATH_CHARS, MAX_PATH_DEPTH, MAX_PATHS, Projection};
use crate::id::BatchId;
use crate::job::Resolved;
use crate::problem::{Code, Problem, Violation};
use crate::registry::{AttributeMerge, ColumnNames, Dataset, DatasetKind, MergePolicy, Registry, TableCopy};
use crate::request::{self, CreateRequest};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A request that will become a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// What the job shows again.
    pub echo: Map<String, Value>,
    /// What the request's references stand for.
    pub resolved: Resolved,
}

/// Reads and judges a body. `draw` gives the batch ids. The problem lists every violation there is.
pub fn judge(body: &Value, registry: &Registry, draw: impl FnMut() -> BatchId) -> Result<Accepted, Problem> {
    let mut found = Vec::new();
    let request = request::read(body, &mut found);
    let resolved = resolve(&request, registry, draw, &mut found);
    not_yet(&request, &mut found);
    match resolved {
        Some(resolved) if found.is_empty() => Ok(Accepted { echo: request.echo, resolved }),
        _ => Err(Problem::invalid(found)),
    }
}

fn resolve(
    request: &CreateRequest,
    registry: &Registry,
    draw: impl FnMut() -> BatchId,
    found: &mut Vec<Violation>,
) -> Option<Resolved> {
    let target = find_target(request, registry, found);
    let source = find_source(registry, found);
    judge_paths(request, source, found);
    judge_segments(request, registry, found);
    if request.segment_per_batch && request.filter.segments.is_empty() {
        let what = "needs filter.segments: there is one batch for each of its entries.";
        found.push(Violation::at("destination.segmentPerBatch", Code::InvalidValue, what));
    }
    let policy = find_policy(request, registry, found)?;
    judge_precedence(&policy, source, found);
    let (source, target) = (source?, target?);
    let batches = if request.segment_per_batch { request.filter.segments.len() } else { 1 };
    Some(Resolved {
        source: source.id.clone(),
        target: target.id.clone(),
        source_table: source.table.clone(),
        target_table: target.table.clone(),
        merge_policy: policy.id,
        merge_policy_version: policy.version,
        projection: request.projection.clone(),
        filter: request.filter.clone(),
        batches: std::iter::repeat_with(draw).take(batches).collect(),
        segment_per_batch: request.segment_per_batch,
    })
}

fn find_target<'r>(request: &CreateRequest, registry: &'r Registry, found: &mut Vec<Violation>) -> Option<&'r Dataset> {
    let path = "destination.datasetId";
    if request.dataset_id.is_empty() {
        return None;
    }
    let export = registry.dataset(&request.dataset_id).filter(|d| d.kind == DatasetKind::Export);
    let Some(dataset) = export else {
        let what = "names no registered export dataset; register one with `admin registry apply`.";
        found.push(Violation::at(path, Code::UnknownReference, what));
        return None;
    };
    if let Err(what) = target_fitness(dataset.copy.as_ref()) {
        found.push(Violation::at(path, Code::DatasetUnfit, what));
    }
    Some(dataset)
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

/// Whether a profile dataset's table can be read as the semantics require; else the sentence that says what to do.
pub fn source_fitness(dataset: &Dataset, copy: Option<&TableCopy>) -> Result<(), String> {
    let Some(copy) = copy else {
        return Err(format!("the profile dataset {} has not been looked at; run `admin registry apply`.", dataset.id));
    };
    judge_format(copy)?;
    if !copy.delete_kinds.is_empty() {
        return Err(format!(
            "the profile dataset {} has live {} delete files, which are not read yet; compact the table \
             (rewrite_data_files with delete-file-threshold 1) first.",
            dataset.id,
            copy.delete_kinds.join(" and ")
        ));
    }
    if copy.buckets.is_none() && !dataset.unique_profiles {
        return Err(format!(
            "the profile dataset {} is neither bucketed by {} nor registered with uniqueProfiles: true; merging needs \
             buckets.",
            dataset.id, dataset.columns.profile_id
        ));
    }
    if copy.schema.field(&dataset.columns.profile_id).is_none() {
        return Err(format!("the profile dataset {} has no column {}.", dataset.id, dataset.columns.profile_id));
    }
    Ok(())
}

fn judge_format(copy: &TableCopy) -> Result<(), String> {
    match copy.format_version {
        2 => Ok(()),
        other => Err(format!("the table has Iceberg format version {other}; version 2 is supported.")),
    }
}

fn find_source<'r>(registry: &'r Registry, found: &mut Vec<Violation>) -> Option<&'r Dataset> {
    let profiles: Vec<_> = registry.of_kind(DatasetKind::Profile).collect();
    match profiles[..] {
        [] => {
            let what = "the sandbox has no profile dataset; register one with `admin registry apply`.";
            found.push(Violation::at("schema.name", Code::DatasetUnfit, what));
            None
        }
        [only] => {
            if let Err(what) = source_fitness(only, only.copy.as_ref()) {
                found.push(Violation::at("schema.name", Code::DatasetUnfit, what));
            }
            Some(only)
        }
        [first, ..] => {
            let what = "merging several profile datasets is not implemented yet; the sandbox must have one.";
            found.push(Violation::at("schema.name", Code::NotImplemented, what));
            Some(first)
        }
    }
}

fn judge_paths(request: &CreateRequest, source: Option<&Dataset>, found: &mut Vec<Violation>) {
    let paths = &request.projection.paths;
    if paths.len() > MAX_PATHS {
        let what = format!("names {} paths; at most {MAX_PATHS} are allowed.", paths.len());
        found.push(Violation::at("fields", Code::LimitExceeded, what));
        return;
    }
    for path in paths {
        let text = path.join(".");
        if text.chars().count() > MAX_PATH_CHARS || path.len() > MAX_PATH_DEPTH {
            let start: String = text.chars().take(40).collect();
            let what = format!(
                "the path {start}… is longer than {MAX_PATH_CHARS} characters or deeper than {MAX_PATH_DEPTH} steps."
            );
            found.push(Violation::at("fields", Code::LimitExceeded, what));
        } else if let Some((source, copy)) = source.and_then(|s| Some((s, s.copy.as_ref()?)))
            && !names_something(path, &source.columns, copy)
        {
            found.push(Violation::at("fields", Code::UnknownPath, format!("the profile schema has no path {text}.")));
        }
    }
}

/// The first path of a projection that names nothing in a source table.
pub fn unknown_path(projection: &Projection, columns: &ColumnNames, copy: &TableCopy) -> Option<String> {
    projection.paths.iter().find(|path| !names_something(path, columns, copy)).map(|path| path.join("."))
}

/// Whether an export path names something in a source table, whose own names for our columns may differ.
fn names_something(path: &[String], columns: &ColumnNames, copy: &TableCopy) -> bool {
    let Some((first, below)) = path.split_first() else { return false };
    columns
        .in_table(first)
        .is_some_and(|first| copy.schema.has_path(std::iter::once(first).chain(below.iter().map(String::as_str))))
}

fn judge_segments(request: &CreateRequest, registry: &Registry, found: &mut Vec<Violation>) {
    for (i, entry) in request.filter.segments.iter().enumerate() {
        let strict = registry.strict_namespaces.iter().any(|ns| ns.eq_ignore_ascii_case(&entry.namespace));
        if strict && registry.segment(&entry.namespace, &entry.segment_id).is_none() {
            let path = format!("filter.segments[{i}].segmentId");
            let what = "names no registered segment, and its namespace takes only registered ones.";
            found.push(Violation::at(&path, Code::UnknownReference, what));
        }
    }
}

fn find_policy(request: &CreateRequest, registry: &Registry, found: &mut Vec<Violation>) -> Option<MergePolicy> {
    if let Some((id, version)) = &request.merge_policy {
        let policy = registry.policy(id, *version);
        if policy.is_none() {
            let known = registry.policy(id, None).is_some();
            let at = if known { "mergePolicy.version" } else { "mergePolicy.id" };
            let what = "names no registered merge policy; leave mergePolicy out for the default.";
            found.push(Violation::at(at, Code::UnknownReference, what));
        }
        return policy;
    }
    let default = registry.default_policy();
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for (i, entry) in request.filter.segments.iter().enumerate() {
        let registered = registry.segment(&entry.namespace, &entry.segment_id);
        let id = registered.and_then(|s| s.merge_policy_id.clone()).unwrap_or_else(|| default.id.clone());
        wanted.entry(id).or_insert(i);
    }
    if wanted.len() > 1 {
        let ids: Vec<_> = wanted.keys().map(String::as_str).collect();
        let what = format!("the segments have different merge policies ({}); name one.", ids.join(", "));
        found.push(Violation::at("mergePolicy.id", Code::MergePolicyConflict, what));
    }
    match wanted.pop_first() {
        Some((id, i)) if id != default.id => {
            let policy = registry.policy(&id, None);
            if policy.is_none() {
                let path = format!("filter.segments[{i}].segmentId");
                let what = format!("the segment's merge policy {id} is not registered.");
                found.push(Violation::at(&path, Code::UnknownReference, what));
            }
            policy
        }
        _ => Some(default),
    }
}

fn judge_precedence(policy: &MergePolicy, source: Option<&Dataset>, found: &mut Vec<Violation>) {
    if let (AttributeMerge::DataSetPrecedence { order }, Some(source)) = (&policy.attribute_merge, source)
        && !order.contains(&source.id)
    {
        let what = "the policy's order leaves out the sandbox's profile dataset; that is not implemented yet.";
        found.push(Violation::at("mergePolicy.id", Code::NotImplemented, what));
    }
}

/// What is specified and comes with a later release: an honest 501, never a wrong result.
fn not_yet(request: &CreateRequest, found: &mut Vec<Violation>) {
    let asked = [
        (request.segment_per_batch, "destination.segmentPerBatch", "one batch for each segment"),
        (request.from_ingest.is_some(), "filter.fromIngestTimestamp", "the filter by ingestion time"),
        (request.empty_profiles, "filter.emptyProfiles", "the export of profiles that have only events"),
        (request.events, "additionalFields.eventList", "the export of events"),
        (request.segmentation, "evaluationInfo.segmentation", "the evaluation of segments as part of the job"),
    ];
    for (_, path, what) in asked.into_iter().filter(|(asked, ..)| *asked) {
        found.push(Violation::at(path, Code::NotImplemented, format!("{what} is not implemented yet; leave it out.")));
    }
}
