//! Reading the create request: types, values and limits, each violation with its JSON path.

use crate::fields::Projection;
use crate::filter::{EventList, MembershipStatus, ProfileFilter, SegmentEntry, Window};
use crate::instant::Micros;
use crate::problem::{Code, Violation};
use serde_json::{Map, Value};

/// Most entries of `filter.segments`.
pub const MAX_SEGMENTS: usize = 500;
/// Largest body, in bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// The one schema that is exported.
pub const PROFILE_SCHEMA: &str = "_xdm.context.profile";
/// The properties that a job shows again, in the order it shows them.
const ECHOED: [&str; 6] = ["destination", "fields", "schema", "filter", "additionalFields", "evaluationInfo"];

/// A create request, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreateRequest {
    /// `destination.datasetId`.
    pub dataset_id: String,
    /// `destination.segmentPerBatch`.
    pub segment_per_batch: bool,
    /// `fields`.
    pub projection: Projection,
    /// `mergePolicy`, where it names one.
    pub merge_policy: Option<(String, Option<u32>)>,
    /// `filter`.
    pub filter: ProfileFilter,
    /// `additionalFields.eventList`, where it is there.
    pub events: Option<EventList>,
    /// `evaluationInfo.segmentation`.
    pub segmentation: bool,
    /// What the job shows again, as it was sent.
    pub echo: Map<String, Value>,
}

/// Reads a body; adds to `found` whatever is wrong with it and takes the rest as if it were not there.
pub fn read(body: &Value, found: &mut Vec<Violation>) -> CreateRequest {
    let Value::Object(properties) = body else {
        found.push(Violation::at("$", Code::WrongType, "the body must be a JSON object."));
        return CreateRequest::default();
    };
    let root = At { path: String::new(), object: Some(properties) };
    let mut request = CreateRequest::default();
    read_destination(&root, &mut request, found);
    request.projection = Projection::parse(root.string("fields", found).unwrap_or_default());
    read_schema(&root, found);
    request.merge_policy = read_policy(&root, found);
    read_filter(&root.object("filter", found), &mut request, found);
    let additional = root.object("additionalFields", found);
    request.events = read_events(&additional.object("eventList", found), request.filter.updated_after, found);
    request.segmentation = root.object("evaluationInfo", found).flag("segmentation", found);
    for name in ECHOED {
        if let Some(value) = properties.get(name).filter(|v| !v.is_null()) {
            request.echo.insert(name.to_owned(), value.clone());
        }
    }
    request
}

fn read_destination(root: &At<'_>, request: &mut CreateRequest, found: &mut Vec<Violation>) {
    let destination = root.object("destination", found);
    let spelling = ["datasetId", "dataSetId"].into_iter().find(|name| destination.value(name).is_some());
    let name = spelling.unwrap_or("datasetId");
    match destination.string(name, found).map(str::trim) {
        Some(id) if !id.is_empty() => request.dataset_id = id.to_owned(),
        Some(_) => found.push(destination.missing(name, "name a registered export dataset.")),
        None if destination.value(name).is_none() => {
            found.push(destination.missing(name, "name a registered export dataset."));
        }
        None => {}
    }
    request.segment_per_batch = destination.flag("segmentPerBatch", found);
}

fn read_schema(root: &At<'_>, found: &mut Vec<Violation>) {
    let schema = root.object("schema", found);
    let what = format!("must be \"{PROFILE_SCHEMA}\".");
    match schema.value("name") {
        None => found.push(schema.missing("name", &what)),
        Some(Value::String(name)) if name == PROFILE_SCHEMA => {}
        Some(Value::String(_)) => found.push(Violation::at(&schema.at("name"), Code::InvalidValue, what)),
        Some(_) => found.push(schema.wrong("name", "a string")),
    }
}

fn read_policy(root: &At<'_>, found: &mut Vec<Violation>) -> Option<(String, Option<u32>)> {
    let policy = root.object("mergePolicy", found);
    let version = policy.value("version").and_then(|value| {
        let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
        if number.is_none() {
            found.push(policy.wrong("version", "a whole number"));
        }
        number
    });
    match policy.string("id", found) {
        Some(id) if !id.is_empty() => Some((id.to_owned(), version)),
        Some(_) => {
            found.push(Violation::at(&policy.at("id"), Code::InvalidValue, "must not be empty."));
            None
        }
        None => {
            if policy.value("version").is_some() && policy.value("id").is_none() {
                found.push(policy.missing("id", "a version needs the policy's id."));
            }
            None
        }
    }
}

fn read_filter(filter: &At<'_>, request: &mut CreateRequest, found: &mut Vec<Violation>) {
    if let Some(list) = filter.array("segments", found) {
        if list.len() > MAX_SEGMENTS {
            let what = format!("has {} entries; at most {MAX_SEGMENTS} are allowed. Split the export.", list.len());
            found.push(Violation::at(&filter.at("segments"), Code::LimitExceeded, what));
        }
        for (i, value) in list.iter().enumerate().take(MAX_SEGMENTS) {
            let path = format!("{}[{i}]", filter.at("segments"));
            match value {
                Value::Object(object) => {
                    let entry = At { path, object: Some(object) };
                    request.filter.segments.extend(read_segment(&entry, found));
                }
                _ => found.push(Violation::at(&path, Code::WrongType, "must be an object.")),
            }
        }
    }
    let window = filter.object("segmentQualificationTime", found);
    let (start, end) = (window.time("startTime", found), window.time("endTime", found));
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        let what = "startTime must not be after endTime.";
        found.push(Violation::at(&filter.at("segmentQualificationTime"), Code::ReversedWindow, what));
    }
    request.filter.window = Window { start, end };
    request.filter.updated_after = filter.time("fromIngestTimestamp", found);
    request.filter.empty_profiles = filter.flag("emptyProfiles", found);
}

fn read_segment(entry: &At<'_>, found: &mut Vec<Violation>) -> Option<SegmentEntry> {
    let id = match entry.value("segmentId") {
        Some(Value::String(id)) if !id.trim().is_empty() => Some(id.as_str()),
        Some(Value::String(_)) | None => {
            found.push(entry.missing("segmentId", "name the segment."));
            None
        }
        Some(_) => {
            found.push(entry.wrong("segmentId", "a string"));
            None
        }
    };
    let namespace = entry.string("segmentNs", found).filter(|ns| !ns.is_empty()).unwrap_or("ups");
    let mut asked = Vec::new();
    for (i, value) in entry.array("status", found).unwrap_or_default().iter().enumerate() {
        match value.as_str().and_then(MembershipStatus::parse) {
            Some(status) => asked.push(status),
            None => found.push(Violation::at(
                &format!("{}[{i}]", entry.at("status")),
                Code::InvalidValue,
                "must be one of realized, existing, exited.",
            )),
        }
    }
    id.map(|id| SegmentEntry::new(id, namespace, &asked))
}

/// Profiles' own lower end holds for their events too, unless the list has one of its own.
fn read_events(events: &At<'_>, updated_after: Option<Micros>, found: &mut Vec<Violation>) -> Option<EventList> {
    let projection = Projection::parse(events.string("fields", found).unwrap_or_default());
    let filter = events.object("filter", found);
    let (after, before) = (filter.time("fromIngestTimestamp", found), filter.time("toIngestTimestamp", found));
    if let (Some(after), Some(before)) = (after, before)
        && after > before
    {
        let what = "fromIngestTimestamp must not be after toIngestTimestamp.";
        found.push(Violation::at(&events.at("filter"), Code::ReversedWindow, what));
    }
    events.object.map(|_| EventList { projection, after: after.or(updated_after), before })
}

/// An object of the body, or its absence, and where it stands. A null property is an absent one.
struct At<'a> {
    path: String,
    object: Option<&'a Map<String, Value>>,
}

impl<'a> At<'a> {
    fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.object?.get(name).filter(|v| !v.is_null())
    }

    fn wrong(&self, name: &str, kind: &str) -> Violation {
        Violation::at(&self.at(name), Code::WrongType, format!("must be {kind}."))
    }

    fn missing(&self, name: &str, what: &str) -> Violation {
        Violation::at(&self.at(name), Code::MissingProperty, format!("is required; {what}"))
    }

    fn object(&self, name: &str, found: &mut Vec<Violation>) -> At<'a> {
        let object = self.typed(name, "an object", Value::as_object, found);
        At { path: self.at(name), object }
    }

    fn string(&self, name: &str, found: &mut Vec<Violation>) -> Option<&'a str> {
        self.typed(name, "a string", Value::as_str, found)
    }

    fn array(&self, name: &str, found: &mut Vec<Violation>) -> Option<&'a [Value]> {
        self.typed(name, "an array", Value::as_array, found).map(Vec::as_slice)
    }

    fn flag(&self, name: &str, found: &mut Vec<Violation>) -> bool {
        self.typed(name, "true or false", |v| v.as_bool().map(|b| if b { &true } else { &false }), found)
            .is_some_and(|b| *b)
    }

    fn time(&self, name: &str, found: &mut Vec<Violation>) -> Option<Micros> {
        let text = self.string(name, found)?;
        let time = Micros::parse_rfc3339(text);
        if time.is_none() {
            let what = "must be an RFC 3339 date-time such as 2018-01-01T00:00:00Z.";
            found.push(Violation::at(&self.at(name), Code::InvalidValue, what));
        }
        time
    }

    fn typed<T: ?Sized>(
        &self,
        name: &str,
        kind: &str,
        take: impl Fn(&'a Value) -> Option<&'a T>,
        found: &mut Vec<Violation>,
    ) -> Option<&'a T> {
        let value = self.value(name)?;
        let taken = take(value);
        if taken.is_none() {
            found.push(self.wrong(name, kind));
        }
        taken
    }
}
