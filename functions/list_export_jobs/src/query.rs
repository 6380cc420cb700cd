//! The list's query parameters.

use domain::cursor;
use domain::id::JobId;
use domain::problem::{Code, Problem, Violation};
use domain::state::ShownStatus;
use edge::http::Request;

/// Jobs on a page where the request does not say.
const DEFAULT_LIMIT: usize = 100;
/// Most jobs on a page; more is taken for this.
const MAX_LIMIT: usize = 1_000;

/// What a list asks for. Of a repeated parameter the last one counts, unknown ones are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Most jobs on the page.
    pub limit: usize,
    /// Only jobs older than this one.
    pub after: Option<JobId>,
    /// Only jobs that show this status.
    pub status: Option<ShownStatus>,
}

impl Query {
    /// Reads the query; the problem lists every parameter that cannot be understood.
    pub fn read(request: &Request) -> Result<Self, Problem> {
        let mut found = Vec::new();
        let mut refuse = |name: &str, what: String| found.push(Violation::at(name, Code::InvalidQuery, what));
        let limit = request.parameter("limit").map_or(Some(DEFAULT_LIMIT), limit);
        if limit.is_none() {
            refuse("limit", format!("must be a whole number of at least 1; more than {MAX_LIMIT} is taken for that."));
        }
        let after = request.parameter("offset").filter(|text| !matches!(*text, "" | "0"));
        let cursor = after.and_then(cursor::parse);
        if after.is_some() && cursor.is_none() {
            refuse("offset", "must be page.pageOffset of another page: {creationTime}_{id}.".into());
        }
        let named = request.parameter("status");
        let status = named.and_then(ShownStatus::parse);
        if named.is_some() && status.is_none() {
            refuse("status", format!("must be one of {}.", ShownStatus::ALL.map(ShownStatus::as_str).join(", ")));
        }
        match limit {
            Some(limit) if found.is_empty() => Ok(Self { limit, after: cursor, status }),
            _ => Err(Problem::invalid(found)),
        }
    }

    /// The relative link to the page that starts after a job.
    pub fn link_after(&self, last: JobId) -> String {
        let status = self.status.map(|s| format!("&status={}", s.as_str())).unwrap_or_default();
        format!("/export/jobs/?limit={}&offset={}{status}", self.limit, cursor::of(last))
    }
}

/// A limit of any number of digits; `None` for anything that is no whole number from 1 up.
fn limit(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let limit = text.trim_start_matches('0').parse().unwrap_or(MAX_LIMIT).min(MAX_LIMIT);
    (digits && text.bytes().any(|b| b != b'0')).then_some(limit)
}
