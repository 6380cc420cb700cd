//! The shapes of bodies.

use super::paths::reference;
use crate::verdict::Refusal;
use domain::filter::MembershipStatus;
use domain::problem::Code;
use domain::request::{MAX_SEGMENTS, PROFILE_SCHEMA};
use domain::state::ShownStatus;
use serde_json::{Map, Value, json};

pub(super) fn all() -> Value {
    json!({
        "CreateRequest": create_request(),
        "Destination": destination(),
        "Filter": filter(),
        "SegmentEntry": segment_entry(),
        "AdditionalFields": additional_fields(),
        "Job": job(),
        "Metrics": metrics(),
        "Progress": progress(),
        "Page": page(),
        "Cancelled": cancelled(),
        "Problem": problem(),
        "Refusal": refusal(),
        "NoContentType": no_content_type(),
        "Message": object(&["message"], json!({ "message": text("What AWS says itself, before or instead of this service.") })),
    })
}

fn create_request() -> Value {
    let policy = json!({
        "id": { "type": ["string", "null"], "minLength": 1, "description": "A registered policy." },
        "version": { "type": ["integer", "null"], "minimum": 0, "maximum": u32::MAX, "description": "The latest, where it is absent." },
    });
    let segmentation =
        json!({ "segmentation": flag("Evaluate the segments as part of the job. Not implemented yet.") });
    let schema = json!({ "name": { "const": PROFILE_SCHEMA } });
    let mut request = object(
        &["destination", "schema"],
        json!({
            "destination": reference("schemas", "Destination"),
            "schema": object(&["name"], schema),
            "fields": nullable_text("Comma-separated dot paths; a parent keeps its subtree. Absent or blank: all."),
            "mergePolicy": nullable(object(&[], policy)),
            "filter": nullable(reference("schemas", "Filter")),
            "additionalFields": nullable(reference("schemas", "AdditionalFields")),
            "evaluationInfo": nullable(object(&[], segmentation)),
        }),
    );
    request["description"] = json!("Unknown properties are ignored. The body has at most 256 KiB.");
    request["examples"] = json!([{
        "fields": "identityMap, personalEmail.address",
        "schema": { "name": PROFILE_SCHEMA },
        "filter": { "segments": [{ "segmentId": "05c214d1-b24d-56b1-83e5-492e10f0cc14" }] },
        "destination": { "datasetId": "5b7c86968f7b6501e21ba9df" },
    }]);
    request
}

fn destination() -> Value {
    let id = json!({ "type": "string", "pattern": "\\S", "description": "A registered export dataset." });
    let mut destination = object(
        &[],
        json!({
            "datasetId": id,
            "dataSetId": { "description": "An older spelling of datasetId; ignored where that stands." },
            "segmentPerBatch": flag("A batch for each entry of filter.segments, else one for all."),
        }),
    );
    let alias = json!({ "type": "string", "pattern": "\\S" });
    destination["anyOf"] =
        json!([{ "required": ["datasetId"] }, { "required": ["dataSetId"], "properties": { "dataSetId": alias } }]);
    destination
}

fn filter() -> Value {
    let window = json!({
        "startTime": time("The earliest lastQualificationTime; it lies in the window."),
        "endTime": time("The latest; it lies in the window, too."),
    });
    object(
        &[],
        json!({
            "segments": {
                "type": ["array", "null"], "maxItems": MAX_SEGMENTS, "items": reference("schemas", "SegmentEntry"),
                "description": "Members of any of these. Absent: every profile.",
            },
            "segmentQualificationTime": nullable(object(&[], window)),
            "fromIngestTimestamp": time("Only profiles that were updated after it."),
            "emptyProfiles": flag("Also profiles that have events and no record."),
        }),
    )
}

fn segment_entry() -> Value {
    let statuses = [MembershipStatus::Realized, MembershipStatus::Existing, MembershipStatus::Exited]
        .map(MembershipStatus::as_str);
    object(
        &["segmentId"],
        json!({
            "segmentId": { "type": "string", "pattern": "\\S" },
            "segmentNs": { "type": ["string", "null"], "default": "ups", "description": "Case does not matter." },
            "status": {
                "type": ["array", "null"], "items": { "enum": statuses }, "default": ["realized"],
                "description": "realized also takes a stored existing.",
            },
        }),
    )
}

fn additional_fields() -> Value {
    let window = json!({
        "fromIngestTimestamp": time("Only events ingested after it."),
        "toIngestTimestamp": time("Only events ingested before it."),
    });
    let list = json!({
        "fields": nullable_text("Comma-separated dot paths of an event. Absent or blank: all."),
        "filter": nullable(object(&[], window)),
    });
    let mut list = nullable(object(&[], list));
    list["description"] = json!("Events of the exported profiles, in timeSeriesEvents. Absent: none.");
    object(&[], json!({ "eventList": list }))
}

fn job() -> Value {
    let batch = json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" });
    let entry = json!({ "segmentId": plain("string"), "segmentNs": plain("string"), "status": { "type": "array" }, "batchId": batch });
    let destination = json!({
        "batchId": batch,
        "batches": { "type": "array", "items": object(&["segmentId", "segmentNs", "status", "batchId"], entry) },
    });
    let sent =
        |what: &str| json!({ "type": "object", "description": format!("The request's {what}, as it was sent.") });
    let policy = object(&["id", "version"], json!({ "id": plain("string"), "version": plain("integer") }));
    let run = object(&["exportJob"], json!({ "exportJob": text("The run; empty until the job is under way.") }));
    let error = json!({ "code": plain("string"), "msg": plain("string"), "callStack": { "type": "array", "items": plain("string") } });
    let always = [
        "id",
        "jobType",
        "destination",
        "schema",
        "imsOrgId",
        "status",
        "mergePolicy",
        "profileInstanceId",
        "metrics",
        "computeGatewayJobId",
        "progress",
        "creationTime",
        "updateTime",
        "requestId",
    ];
    let destination = json!({ "allOf": [sent("destination"), object(&[], destination)] });
    object(
        &always,
        json!({
            "id": { "type": "integer", "minimum": 0, "maximum": (1_u64 << 53) - 1 },
            "jobType": { "const": "BATCH" },
            "destination": destination,
            "fields": plain("string"),
            "schema": sent("schema"),
            "filter": sent("filter"),
            "additionalFields": sent("additionalFields"),
            "evaluationInfo": sent("evaluationInfo"),
            "imsOrgId": plain("string"),
            "status": { "enum": ShownStatus::ALL.map(ShownStatus::as_str) },
            "mergePolicy": policy,
            "profileInstanceId": plain("string"),
            "errors": {
                "type": "array", "items": object(&["code", "msg", "callStack"], error),
                "description": "Why it FAILED; else absent.",
            },
            "metrics": reference("schemas", "Metrics"),
            "computeGatewayJobId": run,
            "progress": reference("schemas", "Progress"),
            "creationTime": millis(),
            "updateTime": millis(),
            "requestId": plain("string"),
        }),
    )
}

fn metrics() -> Value {
    let ends = json!({ "startTimeInMs": millis(), "endTimeInMs": millis(), "totalTimeInMs": count() });
    let span = object(&["startTimeInMs"], ends);
    object(
        &["totalTime"],
        json!({
            "totalTime": span,
            "profileExportTime": span,
            "aCPDatasetWriteTime": span,
            "totalExportedProfileCounter": count(),
            "exportedProfileByNamespaceCounter": { "type": "object", "additionalProperties": count() },
            "tooManyIdentitiesCounter": count(),
            "emptyProfilesCounter": count(),
        }),
    )
}

fn progress() -> Value {
    let percent = json!({ "type": "integer", "minimum": 0, "maximum": 100, "description": "By planned bytes; 100 only when SUCCEEDED." });
    object(
        &["percent", "partsTotal", "partsDone", "rows", "bytes"],
        json!({ "percent": percent, "partsTotal": count(), "partsDone": count(), "rows": count(), "bytes": count() }),
    )
}

fn page() -> Value {
    let position = json!({
        "sortField": { "const": "createdTime" },
        "sort": { "const": "desc" },
        "pageOffset": text("The last job's cursor; empty on an empty page."),
        "pageSize": count(),
    });
    let next = json!({ "next": text("The next page, relative; empty on the last one.") });
    object(
        &["page", "link", "records"],
        json!({
            "page": object(&["sortField", "sort", "pageOffset", "pageSize"], position),
            "link": object(&["next"], next),
            "records": { "type": "array", "items": reference("schemas", "Job") },
        }),
    )
}

fn cancelled() -> Value {
    object(&["status", "message"], json!({ "status": { "const": true }, "message": plain("string") }))
}

fn problem() -> Value {
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.text()).collect();
    let one = json!({ "code": { "enum": codes }, "message": text("What and where: its JSON path comes first.") });
    let errors = json!({
        "type": "object",
        "additionalProperties": { "type": "array", "minItems": 1, "items": object(&["code", "message"], one) },
        "description": "Every problem that was found, by its own status.",
    });
    object(
        &["requestId", "type", "title", "status", "errors"],
        json!({
            "requestId": plain("string"),
            "type": text("https://ns.adobe.com/aep/errors/ and the code."),
            "title": plain("string"),
            "status": plain("integer"),
            "detail": text("What to do about it, where there is something to do."),
            "errors": errors,
        }),
    )
}

fn refusal() -> Value {
    let known: Vec<_> = Refusal::ALL.into_iter().filter_map(Refusal::answer).map(|(_, body)| body).collect();
    let of = |name: &str| known.iter().map(|body| body[name].clone()).collect::<Vec<_>>();
    let mut refusal = object(
        &["error_code", "message"],
        json!({ "error_code": { "enum": of("error_code") }, "message": { "enum": of("message") } }),
    );
    refusal["description"] = json!("The gateway's own answer, as AEP's gives it.");
    refusal
}

fn no_content_type() -> Value {
    object(
        &["type", "status", "title", "detail"],
        json!({
            "type": { "const": "/placeholder/type/uri" },
            "status": { "const": 400 },
            "title": { "const": "BadRequestError" },
            "detail": { "const": "A valid content-type must be specified" },
        }),
    )
}

fn object(required: &[&str], properties: Value) -> Value {
    let mut object = Map::from_iter([("type".to_owned(), json!("object"))]);
    if !required.is_empty() {
        object.insert("required".into(), json!(required));
    }
    object.insert("properties".into(), properties);
    Value::Object(object)
}

/// A null property is an absent one.
fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn plain(kind: &str) -> Value {
    json!({ "type": kind })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn nullable_text(description: &str) -> Value {
    json!({ "type": ["string", "null"], "description": description })
}

fn flag(description: &str) -> Value {
    json!({ "type": ["boolean", "null"], "default": false, "description": description })
}

fn time(description: &str) -> Value {
    json!({ "type": ["string", "null"], "format": "date-time", "description": description })
}

fn millis() -> Value {
    json!({ "type": "integer", "description": "Milliseconds since 1970." })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}
