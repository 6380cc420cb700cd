//! Which fragments and events are one profile, and the rank of its fragments.

use super::request::Policy;
use super::rows::Row;
use serde_json::Value;
use std::collections::BTreeMap;

/// A profile's rows: its fragments by rank, its events in no order.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub fragments: Vec<Row>,
    pub events: Vec<Row>,
}

/// The profiles of fragments and events.
pub(super) fn groups(fragments: Vec<Row>, events: Vec<Row>, policy: &Policy) -> Vec<Group> {
    let mut groups: BTreeMap<(String, Option<(String, String)>), Group> = BTreeMap::new();
    let key = |row: &Row| {
        let identity = policy.by_identity.then(|| primary_identity(&row.get("identityMap"))).flatten();
        (row.get("profileId").as_str().unwrap().to_owned(), identity)
    };
    for row in fragments {
        groups.entry(key(&row)).or_default().fragments.push(row);
    }
    for row in events {
        groups.entry(key(&row)).or_default().events.push(row);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    for group in &mut groups {
        group.fragments.sort_by_key(|row| {
            let place = policy.order.as_ref().map(|order| order.iter().position(|id| *id == row.dataset));
            (place, row.time_rank(), row.dataset.clone(), row.file.clone(), row.position)
        });
    }
    groups
}

/// Namespace and id of the identity that a row is known by: the least of the primary ones, else of all.
fn primary_identity(map: &Value) -> Option<(String, String)> {
    let mut all = Vec::new();
    for (namespace, list) in map.as_object().into_iter().flatten() {
        for identity in list.as_array().into_iter().flatten() {
            if let Some(id) = identity["id"].as_str() {
                all.push((identity["primary"] != true, namespace.clone(), id.to_owned()));
            }
        }
    }
    all.into_iter().min().map(|(_, namespace, id)| (namespace, id))
}
