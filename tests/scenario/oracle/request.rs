//! The request, as far as the rows depend on it. It is taken to be valid.

use crate::store::Store;
use crate::types::micros;
use serde_json::{Value, json};

/// Paths by their steps.
pub(super) type Paths = Vec<Vec<String>>;

pub(super) struct Request {
    pub fields: Option<Paths>,
    pub policy: Policy,
    pub segments: Vec<Segment>,
    pub window: (Option<i64>, Option<i64>),
    pub updated_after: Option<i64>,
    pub empty_profiles: bool,
    pub events: Option<EventList>,
    pub per_batch: bool,
}

pub(super) struct Policy {
    /// Whether each identity stands alone.
    pub by_identity: bool,
    /// Dataset ids, where they rule.
    pub order: Option<Vec<String>>,
}

pub(super) struct Segment {
    pub id: String,
    pub namespace: String,
    pub statuses: Vec<String>,
}

pub(super) struct EventList {
    pub fields: Option<Paths>,
    after: Option<i64>,
    before: Option<i64>,
}

impl Request {
    pub(super) fn read(body: &Value, store: &Store) -> Self {
        let filter = &body["filter"];
        let updated_after = micros(&filter["fromIngestTimestamp"]);
        let window = &filter["segmentQualificationTime"];
        Self {
            fields: paths(&body["fields"]),
            policy: policy(body, store),
            segments: filter["segments"].as_array().into_iter().flatten().map(Segment::read).collect(),
            window: (micros(&window["startTime"]), micros(&window["endTime"])),
            updated_after,
            empty_profiles: filter["emptyProfiles"] == true,
            events: EventList::read(&body["additionalFields"]["eventList"], updated_after),
            per_batch: body["destination"]["segmentPerBatch"] == true,
        }
    }

    /// Whether event datasets take part.
    pub(super) fn reads_events(&self) -> bool {
        self.events.is_some() || self.empty_profiles
    }
}

impl Policy {
    /// Whether a profile dataset takes part.
    pub(super) fn takes(&self, dataset: &str) -> bool {
        self.order.as_ref().is_none_or(|order| order.iter().any(|id| id == dataset))
    }
}

impl Segment {
    fn read(entry: &Value) -> Self {
        let statuses = entry["status"].as_array().into_iter().flatten().map(|s| s.as_str().unwrap().to_owned());
        let mut statuses: Vec<_> = statuses.collect();
        if statuses.is_empty() {
            statuses.push("realized".into());
        }
        if statuses.iter().any(|s| s == "realized") {
            statuses.push("existing".into());
        }
        let namespace = entry["segmentNs"].as_str().unwrap_or("ups").to_owned();
        Self { id: entry["segmentId"].as_str().unwrap().to_owned(), namespace, statuses }
    }
}

impl EventList {
    fn read(list: &Value, updated_after: Option<i64>) -> Option<Self> {
        if list.is_null() {
            return None;
        }
        let filter = &list["filter"];
        Some(Self {
            fields: paths(&list["fields"]),
            after: micros(&filter["fromIngestTimestamp"]).or(updated_after),
            before: micros(&filter["toIngestTimestamp"]),
        })
    }

    /// Whether an event of that ingestion time lies in the window, whose ends are not part of it.
    pub(super) fn takes(&self, time: Option<i64>) -> bool {
        match time {
            None => self.after.is_none() && self.before.is_none(),
            Some(time) => self.after.is_none_or(|after| time > after) && self.before.is_none_or(|before| time < before),
        }
    }
}

/// A list of paths; `None` = everything.
fn paths(text: &Value) -> Option<Paths> {
    let split = text.as_str()?.split(',').map(str::trim).filter(|path| !path.is_empty());
    let paths: Paths = split
        .map(|path| {
            let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
            match (steps[0].as_str(), steps.len()) {
                ("identities", 1) => vec!["identityMap".to_owned()],
                ("identities", _) => [vec!["identityMap".to_owned(), "*".to_owned()], steps[1..].to_vec()].concat(),
                _ => steps,
            }
        })
        .collect();
    (!paths.is_empty()).then_some(paths)
}

/// The policy that the request names, else the one of its segments, else the default one.
fn policy(body: &Value, store: &Store) -> Policy {
    let built_in = json!({"id": "timestampOrdered-none-mp", "version": 1, "identityGraph": "none",
        "attributeMerge": {"type": "timestampOrdered"}});
    let all = || store.policies.iter().chain([&built_in]);
    let latest = |wanted: &dyn Fn(&Value) -> bool| all().filter(|p| wanted(p)).max_by_key(|p| p["version"].as_u64());
    let asked = &body["mergePolicy"];
    let of_segment = body["filter"]["segments"].as_array().into_iter().flatten().find_map(|entry| {
        let namespace = entry["segmentNs"].as_str().unwrap_or("ups");
        let registered = store.segments.iter().find(|s| {
            s["id"] == entry["segmentId"] && s["ns"].as_str().unwrap_or("ups").eq_ignore_ascii_case(namespace)
        });
        registered.and_then(|s| s["mergePolicyId"].as_str())
    });
    let found = match (asked["id"].as_str(), of_segment) {
        (Some(id), _) => {
            latest(&|p| p["id"] == id && (asked["version"].is_null() || p["version"] == asked["version"])).unwrap()
        }
        (None, Some(id)) => latest(&|p| p["id"] == id).unwrap(),
        (None, None) => latest(&|p| p["default"] == true).unwrap_or(&built_in),
    };
    let order = found["attributeMerge"]["order"].as_array();
    Policy {
        by_identity: found["identityGraph"] == "none",
        order: order.map(|ids| ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect()),
    }
}
