//! Reading the create request: types, values and limits, each violation with its JSON path.

use crate::fields::Projection;
use crate::filter::{EventList, MembershipStatus, ProfileFilter, SegmentEntry, Window};
use crate::instant::Micros;
use crate::problem::{Code, Violation};
use serde_json::{Map, Value, json};

/// Most entries of `filter.segments`.
pub const MAX_SEGMENTS: usize = 500;
/// Largest body, in bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// Deepest nesting of a body. A job shows parts of it again, deeper within a record that has to be read back.
pub const MAX_BODY_DEPTH: usize = 64;
/// The one schema that is exported.
pub const PROFILE_SCHEMA: &str = "_xdm.context.profile";
/// The properties that a job shows again, in the order it shows them.
const ECHOED: [&str; 6] = ["destination", "fields", "schema", "filter", "additionalFields", "evaluationInfo"];

/// A create request, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreateRequest {
    /// `destination.datasetId`.
    pub dataset_id: String,
    /// The path under which that stands.
    pub dataset_at: &'static str,
    /// `destination.segmentPerBatch`.
    pub segment_per_batch: bool,
    /// `fields`.
    pub projection: Projection,
    /// `mergePolicy`, where it names one.
    pub merge_policy: Option<(String, Option<u32>)>,
    /// Whether `mergePolicy` says anything, be it of no use.
    pub has_policy: bool,
    /// `filter`.
    pub filter: ProfileFilter,
    /// The place of each of the filter's segments in `filter.segments`, where entries of no use are left out.
    pub segments_at: Vec<usize>,
    /// Whether `filter.segments` has entries, be they of no use.
    pub has_segments: bool,
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
    if depth_of(body) > MAX_BODY_DEPTH {
        let what = format!("is nested deeper than {MAX_BODY_DEPTH} levels.");
        found.push(Violation::at("$", Code::LimitExceeded, what));
    }
    let root = At { path: String::new(), object: Some(properties) };
    let mut request = CreateRequest::default();
    read_destination(&root, &mut request, found);
    request.projection = Projection::parse(root.string("fields", found).unwrap_or_default());
    read_schema(&root, found);
    read_policy(&root, &mut request, found);
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

/// How deep arrays and objects are nested.
fn depth_of(value: &Value) -> usize {
    let below = match value {
        Value::Array(elements) => elements.iter().map(depth_of).max(),
        Value::Object(properties) => properties.values().map(depth_of).max(),
        _ => return 0,
    };
    1 + below.unwrap_or(0)
}

fn read_destination(root: &At<'_>, request: &mut CreateRequest, found: &mut Vec<Violation>) {
    let destination = root.object("destination", found);
    let spellings = [("datasetId", "destination.datasetId"), ("dataSetId", "destination.dataSetId")];
    let spelling = spellings.into_iter().find(|(name, _)| destination.value(name).is_some());
    let (name, path) = spelling.unwrap_or(spellings[0]);
    request.dataset_at = path;
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

fn read_policy(root: &At<'_>, request: &mut CreateRequest, found: &mut Vec<Violation>) {
    let policy = root.object("mergePolicy", found);
    // What is unknown in it is ignored.
    request.has_policy = ["id", "version"].iter().any(|name| policy.value(name).is_some())
        || root.value("mergePolicy").is_some_and(|policy| !policy.is_object());
    let version = policy.value("version").and_then(|value| {
        // JSON has one kind of number: 1.0 is a whole one.
        let whole = value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(n));
        if whole.is_none() {
            found.push(policy.wrong("version", "a whole number from 0 to 4294967295"));
        }
        whole.map(|n| n as u32)
    });
    match policy.string("id", found) {
        Some(id) if !id.is_empty() => request.merge_policy = Some((id.to_owned(), version)),
        Some(_) => found.push(Violation::at(&policy.at("id"), Code::InvalidValue, "must not be empty.")),
        None if policy.value("version").is_some() && policy.value("id").is_none() => {
            found.push(policy.missing("id", "a version needs the policy's id."));
        }
        None => {}
    }
}

fn read_filter(filter: &At<'_>, request: &mut CreateRequest, found: &mut Vec<Violation>) {
    request.has_segments = filter.value("segments").is_some_and(|segments| *segments != json!([]));
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
                    if let Some(segment) = read_segment(&entry, found) {
                        request.filter.segments.push(segment);
                        request.segments_at.push(i);
                    }
                }
                _ => found.push(Violation::at(&path, Code::WrongType, "must be an object.")),
            }
        }
    }
    let window = filter.object("segmentQualificationTime", found);
    let (start, end) = (window.time_up("startTime", found), window.time("endTime", found));
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
    let (after, before) = (filter.time("fromIngestTimestamp", found), filter.time_up("toIngestTimestamp", found));
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
        self.time_by(Micros::parse_rfc3339, name, found)
    }

    fn time_up(&self, name: &str, found: &mut Vec<Violation>) -> Option<Micros> {
        self.time_by(Micros::parse_rfc3339_up, name, found)
    }

    fn time_by(&self, read: fn(&str) -> Option<Micros>, name: &str, found: &mut Vec<Violation>) -> Option<Micros> {
        let time = read(self.string(name, found)?);
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
