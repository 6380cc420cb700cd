//! Following jobs over the API.

use crate::api::{Api, ApiError};
use crate::failure::Failure;
use domain::state::ShownStatus;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Calls in a row that may go unanswered before following a job gives up.
const PATIENCE: u32 = 10;

/// What to export, in few words; a whole request body can be given instead.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Submit {
    /// The export dataset
    #[arg(long, value_name = "ID", required_unless_present = "body")]
    pub dataset: Option<String>,
    /// A segment as ID or NAMESPACE/ID; may come several times; none = all profiles
    #[arg(long = "segment", value_name = "SEGMENT")]
    pub segments: Vec<String>,
    /// Membership status: realized, existing or exited; may come several times
    #[arg(long = "status")]
    pub statuses: Vec<String>,
    /// Comma-separated paths; none = all fields
    #[arg(long)]
    pub fields: Option<String>,
    /// Merge policy
    #[arg(long, value_name = "ID")]
    pub merge_policy: Option<String>,
    /// A file with the whole request body (JSON) instead
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["dataset", "segments", "statuses", "fields", "merge_policy"])]
    pub body: Option<PathBuf>,
}

impl Submit {
    /// The request's body: the file's, or made of the few words.
    pub fn request(&self) -> Result<Value, Failure> {
        let Some(path) = &self.body else { return Ok(self.short()) };
        let text = std::fs::read(path).map_err(|e| Failure::file(path, e))?;
        serde_json::from_slice(&text).map_err(|e| Failure::say(format!("{} is no JSON: {e}.", path.display())))
    }

    fn short(&self) -> Value {
        let mut body = json!({
            "destination": {"datasetId": self.dataset},
            "schema": {"name": domain::request::PROFILE_SCHEMA},
        });
        if let Some(fields) = &self.fields {
            body["fields"] = json!(fields);
        }
        if let Some(policy) = &self.merge_policy {
            body["mergePolicy"] = json!({"id": policy});
        }
        let segments: Vec<_> = self.segments.iter().map(|segment| self.segment(segment)).collect();
        if !segments.is_empty() {
            body["filter"] = json!({"segments": segments});
        }
        body
    }

    fn segment(&self, text: &str) -> Value {
        let mut segment = match text.split_once('/') {
            Some((namespace, id)) => json!({"segmentId": id, "segmentNs": namespace}),
            None => json!({"segmentId": text}),
        };
        if !self.statuses.is_empty() {
            segment["status"] = json!(self.statuses);
        }
        segment
    }
}

/// A job's status, as far as it is one.
pub fn status_of(job: &Value) -> Option<ShownStatus> {
    job["status"].as_str().and_then(ShownStatus::parse)
}

/// Looks at a job again and again until it has ended, and shows each look. Gives back the job as it ended. Calls that go
/// unanswered, or are told to come later, are made again.
pub async fn watch(api: &Api, id: u64, every: Duration, mut show: impl FnMut(&Value)) -> Result<Value, ApiError> {
    let mut unanswered = 0;
    loop {
        match api.get(id).await {
            Ok(job) => {
                unanswered = 0;
                show(&job);
                match status_of(&job) {
                    Some(ShownStatus::Succeeded | ShownStatus::Failed | ShownStatus::Cancelled) => return Ok(job),
                    Some(ShownStatus::New | ShownStatus::Processing | ShownStatus::Cancelling) | None => {}
                }
            }
            Err(ApiError::Unreachable { .. } | ApiError::Refused { status: 429 | 500..=599, .. })
                if unanswered < PATIENCE =>
            {
                unanswered += 1;
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(every).await;
    }
}

/// A job in one line: id, status, percent, rows, when it was created.
pub fn line(job: &Value) -> String {
    let created = job["creationTime"].as_i64().and_then(chrono::DateTime::from_timestamp_millis);
    let created = created.map_or_else(String::new, |t| t.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    let progress = &job["progress"];
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    format!(
        "{:>16}  {:<10}  {:>3} %  {:>12} rows  {created}",
        number(&job["id"]),
        job["status"].as_str().unwrap_or("?"),
        number(&progress["percent"]),
        number(&progress["rows"]),
    )
}

/// The statuses that a job has come to, in order. Between two looks it may have come to several.
pub fn statuses(job: &Value) -> Vec<ShownStatus> {
    use ShownStatus::*;
    let Some(now) = status_of(job) else { return Vec::new() };
    let was_planned = !job["metrics"]["profileExportTime"].is_null();
    let before: &[ShownStatus] = match now {
        New => &[],
        Processing => &[New],
        Cancelling if was_planned => &[New, Processing],
        Cancelling => &[New],
        Succeeded | Failed => &[New, Processing],
        Cancelled if was_planned => &[New, Processing, Cancelling],
        Cancelled => &[New, Cancelling],
    };
    before.iter().copied().chain([now]).collect()
}

/// The event of a job that came to a status: what a deployment puts on its bus, too.
pub fn event(job: &Value, status: ShownStatus) -> Value {
    let (id, status) = (job["id"].to_string(), status.as_str());
    json!({ "id": format!("{id}-{status}"), "jobId": id, "status": status })
}

/// Why a job failed, a sentence each.
pub fn errors_of(job: &Value) -> Vec<String> {
    let errors = job["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().filter_map(|e| e["msg"].as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_words_make_a_whole_request() {
        let submit = Submit {
            dataset: Some("d".into()),
            segments: vec!["a".into(), "aam/b".into()],
            statuses: vec!["exited".into()],
            fields: Some("person.name".into()),
            merge_policy: Some("m".into()),
            body: None,
        };
        let expected = json!({
            "destination": {"datasetId": "d"},
            "schema": {"name": "_xdm.context.profile"},
            "fields": "person.name",
            "mergePolicy": {"id": "m"},
            "filter": {"segments": [
                {"segmentId": "a", "status": ["exited"]},
                {"segmentId": "b", "segmentNs": "aam", "status": ["exited"]},
            ]},
        });
        assert_eq!(submit.short(), expected);
        let all = Submit { dataset: Some("d".into()), ..Submit::default() };
        assert_eq!(all.short().as_object().map(serde_json::Map::len), Some(2));
    }

    #[test]
    fn an_event_has_one_id_for_each_status_of_a_job() {
        let event = event(&json!({"id": 42}), ShownStatus::Failed);
        assert_eq!(event.to_string(), r#"{"id":"42-FAILED","jobId":"42","status":"FAILED"}"#);
    }

    #[test]
    fn a_look_tells_every_status_that_a_job_has_come_to() {
        let all = |status: &str, metrics: Value| {
            let found = statuses(&json!({"id": 42, "status": status, "metrics": metrics}));
            found.into_iter().map(ShownStatus::as_str).collect::<Vec<_>>()
        };
        let planned = || json!({"profileExportTime": {"startTimeInMs": 1}});
        assert_eq!(all("NEW", json!({})), ["NEW"]);
        assert_eq!(all("PROCESSING", planned()), ["NEW", "PROCESSING"]);
        assert_eq!(all("SUCCEEDED", planned()), ["NEW", "PROCESSING", "SUCCEEDED"]);
        assert_eq!(all("FAILED", json!({})), ["NEW", "PROCESSING", "FAILED"], "planning that fails shows PROCESSING");
        assert_eq!(all("CANCELLED", json!({})), ["NEW", "CANCELLING", "CANCELLED"]);
        assert_eq!(all("CANCELLED", planned()), ["NEW", "PROCESSING", "CANCELLING", "CANCELLED"]);
        assert_eq!(all("CANCELLING", planned()), ["NEW", "PROCESSING", "CANCELLING"]);
        assert_eq!(all("?", json!({})), [""; 0]);
    }

    #[test]
    fn a_job_is_one_line() {
        let job = json!({"id": 42, "status": "PROCESSING", "creationTime": 1_780_272_000_000_i64,
            "progress": {"percent": 7, "rows": 1234}});
        assert_eq!(line(&job), "              42  PROCESSING    7 %          1234 rows  2026-06-01 00:00:00 UTC");
    }
}
