//! Judging a create request against the registry: what can be known at POST is a 400, never a FAILED job.

mod datasets;

pub use datasets::{MergeNeeds, merge_fitness, source_fitness, sources, target_fitness};

use crate::fields::{MAX_PATH_CHARS, MAX_PATH_DEPTH, MAX_PATHS, Projection, told};
use crate::id::BatchId;
use crate::job::{Resolved, ResolvedDataset};
use crate::problem::{Code, Problem, Violation};
use crate::registry::{ColumnNames, Dataset, DatasetKind, MergePolicy, Registry, TableCopy};
use crate::request::{self, CreateRequest};
use crate::schema::differences;
use crate::union::{Conflict, export_schema_of};
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
    if request.segmentation {
        let what = "the evaluation of segments as part of the job is planned, and not implemented yet; leave it out.";
        found.push(Violation::at("evaluationInfo.segmentation", Code::NotImplemented, what));
    }
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
    judge_segments(request, registry, found);
    if request.segment_per_batch && !request.has_segments {
        let what = "needs filter.segments: there is one batch for each of its entries.";
        found.push(Violation::at("destination.segmentPerBatch", Code::InvalidValue, what));
    }
    let policy = find_policy(request, registry, found);
    let with_events = request.events.is_some() || request.filter.empty_profiles;
    // Without a policy of its own the paths are judged all the same.
    let judged = policy.clone().unwrap_or_else(MergePolicy::built_in);
    let sources = sources(registry, &judged, with_events);
    judge_sources(request, &sources, target, found);
    judge_paths("fields", &request.projection, DatasetKind::Profile, &sources, found);
    if let Some(events) = &request.events {
        judge_paths("additionalFields.eventList.fields", &events.projection, DatasetKind::Event, &sources, found);
    }
    let (policy, target) = (policy?, target?);
    let batches = if request.segment_per_batch { request.filter.segments.len() } else { 1 };
    let resolved = |dataset: &Dataset| ResolvedDataset {
        id: dataset.id.clone(),
        kind: dataset.kind,
        table: dataset.table.clone(),
    };
    Some(Resolved {
        sources: sources.into_iter().map(resolved).collect(),
        target: resolved(target),
        merge_policy: policy,
        projection: request.projection.clone(),
        filter: request.filter.clone(),
        events: request.events.clone(),
        batches: std::iter::repeat_with(draw).take(batches).collect(),
        segment_per_batch: request.segment_per_batch,
    })
}

fn find_target<'r>(request: &CreateRequest, registry: &'r Registry, found: &mut Vec<Violation>) -> Option<&'r Dataset> {
    let path = request.dataset_at;
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

fn judge_sources(request: &CreateRequest, sources: &[&Dataset], target: Option<&Dataset>, found: &mut Vec<Violation>) {
    let none_of = |kind| !sources.iter().any(|d| d.kind == kind);
    if none_of(DatasetKind::Profile) {
        let what = "there is no profile dataset to export from: the sandbox has none, or the merge policy lists none \
                    of them; register one with `admin registry apply`.";
        found.push(Violation::at("schema.name", Code::DatasetUnfit, what));
    }
    if request.events.is_some() && none_of(DatasetKind::Event) {
        let what = "the sandbox has no event dataset; leave it out, or register one with `admin registry apply`.";
        found.push(Violation::at("additionalFields.eventList", Code::DatasetUnfit, what));
    }
    let before = found.len();
    for dataset in sources {
        if let Err(what) = source_fitness(dataset, dataset.copy.as_ref()) {
            found.push(Violation::at(path_of(dataset.kind, request), Code::DatasetUnfit, what));
        }
    }
    let with_times = request.filter.updated_after.is_some();
    if found.len() == before
        && let Err((dataset, what)) = merge_fitness(sources, with_times)
    {
        found.push(Violation::at(path_of(dataset.kind, request), Code::DatasetUnfit, what));
    }
    if found.len() == before {
        judge_columns(request, sources, target, found);
    }
}

/// Whether one table can hold the columns of all sources, and the export dataset's does.
fn judge_columns(request: &CreateRequest, sources: &[&Dataset], target: Option<&Dataset>, found: &mut Vec<Violation>) {
    let mut conflicts = Vec::new();
    let wanted = export_schema_of(sources, &mut conflicts);
    for Conflict { dataset_id, what } in &conflicts {
        let kind = sources.iter().find(|d| d.id == *dataset_id).map_or(DatasetKind::Profile, |d| d.kind);
        let what = format!("the dataset {dataset_id} cannot be exported with the others: {what}");
        found.push(Violation::at(path_of(kind, request), Code::DatasetUnfit, what));
    }
    let Some(table) = target.and_then(|dataset| dataset.copy.as_ref()).filter(|_| conflicts.is_empty()) else { return };
    for what in differences(&wanted, &table.schema).conflicting {
        let what = format!("the dataset's table cannot take what is exported: {what}; export into a new dataset.");
        found.push(Violation::at(request.dataset_at, Code::DatasetUnfit, what));
    }
}

/// The property of a request that brings a kind of dataset into the export.
fn path_of(kind: DatasetKind, request: &CreateRequest) -> &'static str {
    match kind {
        DatasetKind::Event if request.events.is_some() => "additionalFields.eventList",
        DatasetKind::Event => "filter.emptyProfiles",
        DatasetKind::Profile | DatasetKind::Export => "schema.name",
    }
}

fn judge_paths(
    property: &str,
    projection: &Projection,
    kind: DatasetKind,
    sources: &[&Dataset],
    found: &mut Vec<Violation>,
) {
    let paths = &projection.paths;
    if paths.len() > MAX_PATHS {
        let what = format!("names {} paths; at most {MAX_PATHS} are allowed.", paths.len());
        found.push(Violation::at(property, Code::LimitExceeded, what));
        return;
    }
    let tables: Vec<_> =
        sources.iter().filter(|d| d.kind == kind).filter_map(|d| Some((&d.columns, d.copy.as_ref()?))).collect();
    let schema = if kind == DatasetKind::Event { "event" } else { "profile" };
    for path in paths {
        let text = path.join(".");
        if text.chars().count() > MAX_PATH_CHARS || path.len() > MAX_PATH_DEPTH {
            let start: String = text.chars().take(40).collect();
            let what = format!(
                "the path {start}… is longer than {MAX_PATH_CHARS} characters or deeper than {MAX_PATH_DEPTH} steps."
            );
            found.push(Violation::at(property, Code::LimitExceeded, what));
        } else if !tables.is_empty() && !tables.iter().any(|(columns, copy)| names_something(path, columns, copy)) {
            found.push(Violation::at(
                property,
                Code::UnknownPath,
                format!("the {schema} schema has no path {}.", told(path)),
            ));
        }
    }
}

/// The first path of a projection that names something in none of the tables, where there are any.
pub fn unknown_path(projection: &Projection, tables: &[(&ColumnNames, &TableCopy)]) -> Option<String> {
    let known = |path: &Vec<String>| tables.iter().any(|(columns, copy)| names_something(path, columns, copy));
    projection.paths.iter().find(|path| !known(path)).map(|path| told(path))
}

/// Whether an export path names something in a source table, whose own names for our columns may differ.
fn names_something(path: &[String], columns: &ColumnNames, copy: &TableCopy) -> bool {
    let Some((first, below)) = path.split_first() else { return false };
    columns
        .in_table(first)
        .is_some_and(|first| copy.schema.has_path(std::iter::once(first).chain(below.iter().map(String::as_str))))
}

fn judge_segments(request: &CreateRequest, registry: &Registry, found: &mut Vec<Violation>) {
    for (i, entry) in request.segments_at.iter().zip(&request.filter.segments) {
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
    if request.has_policy {
        return None;
    }
    let default = registry.default_policy();
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for (i, entry) in request.segments_at.iter().zip(&request.filter.segments) {
        let registered = registry.segment(&entry.namespace, &entry.segment_id);
        let id = registered.and_then(|s| s.merge_policy_id.clone()).unwrap_or_else(|| default.id.clone());
        wanted.entry(id).or_insert(*i);
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
