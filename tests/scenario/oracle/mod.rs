//! What an export must be, by the rules alone: plain loops over rows of JSON, as slow as it gets. Nothing here knows of
//! Arrow, the engine, or how the domain reads a request.

mod filter;
mod groups;
mod merge;
mod project;
mod request;
mod rows;

use crate::store::Store;
use crate::types::{Type, format_micros, micros, normal};
use filter::matches;
use groups::{Group, groups};
use merge::{latest, merged, unite_identities};
use project::project;
use request::{EventList, Request};
use rows::{Row, event_type, load, profile_type};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Identities of a profile above which it is left out.
const MOST_IDENTITIES: usize = 50;
/// Whether the identities of an empty profile with one event alone stand as they are, repetitions and nulls included, as
/// those of a profile with one fragment alone do: a union of one thing is the thing.
const LONE_EVENT_STANDS: bool = true;

/// All that an export shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The rows of each batch, sorted by their text.
    pub batches: Vec<Vec<Value>>,
    /// `totalExportedProfileCounter`.
    pub rows: u64,
    /// `exportedProfileByNamespaceCounter`.
    pub by_namespace: BTreeMap<String, u64>,
    /// `tooManyIdentitiesCounter`.
    pub too_many_identities: u64,
    /// `emptyProfilesCounter`, where it is shown.
    pub empty_profiles: Option<u64>,
}

/// What the request must export from the store.
pub fn export(store: &Store, body: &Value) -> Outcome {
    let request = Request::read(body, store);
    let fragments = load(store, "profile", |id| request.policy.takes(id));
    let events = if request.reads_events() { load(store, "event", |_| true) } else { Vec::new() };
    let reads_events = request.reads_events() && store.datasets.values().any(|d| d.kind == "event");
    let types = Types { profile: profile_type(store, |id| request.policy.takes(id)), event: event_type(store) };
    let mut outcome = Outcome {
        batches: vec![Vec::new(); if request.per_batch { request.segments.len() } else { 1 }],
        empty_profiles: reads_events.then_some(0),
        ..Outcome::default()
    };
    for group in groups(fragments, events, &request.policy) {
        judge(&group, &request, &types, &mut outcome);
    }
    for batch in &mut outcome.batches {
        sort(batch);
    }
    outcome
}

/// Rows in the one order in which they are compared.
pub fn sort(rows: &mut [Value]) {
    rows.sort_by_cached_key(text);
}

/// A value as text, with the fields of objects by name.
fn text(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let sorted: BTreeMap<_, _> = object.iter().map(|(k, v)| (k, text(v))).collect();
            format!("{sorted:?}")
        }
        Value::Array(items) => format!("{:?}", items.iter().map(text).collect::<Vec<_>>()),
        other => other.to_string(),
    }
}

struct Types {
    profile: Type,
    event: Type,
}

fn judge(group: &Group, request: &Request, types: &Types, outcome: &mut Outcome) {
    let empty = group.fragments.is_empty();
    let mut profile = if empty { empty_profile(group) } else { merged(&types.profile, &group.fragments) };
    if empty && !request.segments.is_empty() {
        return;
    }
    let batches = batches_of(&profile, request);
    if batches.is_empty() || !is_updated(&profile, request) {
        return;
    }
    let identities = identities(&profile);
    let too_many = identities.values().sum::<usize>() > MOST_IDENTITIES;
    if empty && !request.empty_profiles {
        *outcome.empty_profiles.get_or_insert(0) += 1;
        return;
    }
    if too_many {
        outcome.too_many_identities += 1;
        return;
    }
    if let Some(fields) = &request.fields {
        profile = project(&types.profile, &profile, fields);
    }
    if let Some(list) = &request.events {
        profile["timeSeriesEvents"] = events_of(group, list, &types.event);
    }
    for batch in batches {
        outcome.batches[batch].push(profile.clone());
        outcome.rows += 1;
        for namespace in identities.iter().filter(|(_, n)| **n > 0).map(|(name, _)| name) {
            *outcome.by_namespace.entry(namespace.clone()).or_default() += 1;
        }
    }
}

/// The batches that a profile goes to.
fn batches_of(profile: &Value, request: &Request) -> Vec<usize> {
    if request.segments.is_empty() {
        return vec![0];
    }
    let memberships = &profile["segmentMembership"];
    let matched = request.segments.iter().enumerate().filter(|(_, s)| matches(memberships, s, request.window));
    let matched = matched.map(|(i, _)| i);
    if request.per_batch { matched.collect() } else { matched.take(1).map(|_| 0).collect() }
}

fn is_updated(profile: &Value, request: &Request) -> bool {
    match request.updated_after {
        None => true,
        Some(after) => micros(&profile["ingestTime"]).is_some_and(|time| time > after),
    }
}

/// Identities by namespace.
fn identities(profile: &Value) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (namespace, list) in profile["identityMap"].as_object().into_iter().flatten() {
        let count = list.as_array().into_iter().flatten().filter(|identity| !identity.is_null()).count();
        found.insert(namespace.clone(), count);
    }
    found
}

/// The profile of events alone.
fn empty_profile(group: &Group) -> Value {
    let mut events: Vec<&Row> = group.events.iter().collect();
    events.sort_by_key(|e| (e.time_rank(), e.dataset.clone(), e.file.clone(), e.position));
    let maps: Vec<_> = events.iter().map(|e| e.get("identityMap")).collect();
    let identities = match maps.as_slice() {
        [one] if LONE_EVENT_STANDS => one.clone(),
        _ => unite_identities(&maps),
    };
    let all = json!({
        "profileId": events[0].get("profileId"),
        "identityMap": identities,
        "ingestTime": latest(&group.events).map(format_micros),
    });
    let given = all.as_object().unwrap().iter().filter(|(_, v)| !v.is_null());
    Value::Object(given.map(|(k, v)| (k.clone(), v.clone())).collect::<Map<_, _>>())
}

/// The column `timeSeriesEvents`.
fn events_of(group: &Group, list: &EventList, kind: &Type) -> Value {
    let mut events: Vec<&Row> = group.events.iter().filter(|e| list.takes(micros(&e.get("ingestTime")))).collect();
    events.sort_by_key(|e| (micros(&e.get("timestamp")), e.dataset.clone(), e.file.clone(), e.position));
    let shown = events.iter().map(|e| {
        let event = normal(kind, &Value::Object(e.values.clone()));
        list.fields.as_ref().map_or(event.clone(), |fields| project(kind, &event, fields))
    });
    shown.collect()
}
