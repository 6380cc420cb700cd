//! `GET /export/jobs`: a page of a tenant's jobs, newest first.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

mod query;
mod wiring;

pub use wiring::{SETTINGS, run};

use domain::cursor;
use domain::id::JobId;
use domain::job::render;
use domain::ports::jobs::{ListJobs, PageRequest};
use domain::problem::Problem;
use domain::tenant::Tenant;
use edge::failure;
use edge::http::{Reply, Request};
use query::Query;
use serde_json::{Value, json};

/// Jobs that are read at a time, so that a page of large ones is not held in memory whole before it is cut.
const CHUNK: usize = 100;
/// Where a page ends, in bytes of its records.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Where it ends at the latest, in bytes of its records as a string in Lambda's reply, which ends at 6 MB.
const REPLY_BYTES: usize = 5 * 1024 * 1024 + 512 * 1024;

/// A page of the caller's jobs, with the link to the next one.
pub async fn handle<J: ListJobs>(jobs: &J, request: Request) -> Result<Reply, Problem> {
    let query = Query::read(&request)?;
    let page = fill(jobs, &request.caller.tenant, &query).await?;
    let next = match page.last {
        Some(last) if page.more => query.link_after(last),
        _ => String::new(),
    };
    Ok(Reply::ok(json!({
        "page": {
            "sortField": "createdTime",
            "sort": "desc",
            "pageOffset": page.last.map(cursor::of).unwrap_or_default(),
            "pageSize": page.records.len(),
        },
        "link": { "next": next },
        "records": page.records,
    })))
}

/// A page in the making.
#[derive(Default)]
struct Page {
    records: Vec<Value>,
    last: Option<JobId>,
    more: bool,
    bytes: usize,
    reply_bytes: usize,
}

async fn fill<J: ListJobs>(jobs: &J, tenant: &Tenant, query: &Query) -> Result<Page, Problem> {
    let mut page = Page::default();
    let mut after = query.after;
    while page.records.len() < query.limit {
        let limit = (query.limit - page.records.len()).min(CHUNK);
        let chunk = jobs.page(tenant, &PageRequest { status: query.status, after, limit }).await;
        let chunk = chunk.map_err(failure::of_store)?;
        page.more = chunk.more;
        for record in &chunk.records {
            if !page.take(record.job.id, render(record)) {
                page.more = true;
                return Ok(page);
            }
        }
        if !chunk.more || chunk.records.is_empty() {
            break;
        }
        after = page.last;
    }
    Ok(page)
}

impl Page {
    /// Takes a record in, unless the page would grow beyond its bounds; the first one always.
    fn take(&mut self, id: JobId, record: Value) -> bool {
        let text = record.to_string();
        let escapes = text.bytes().filter(|b| matches!(b, b'"' | b'\\')).count();
        self.bytes += text.len() + 1;
        self.reply_bytes += text.len() + 1 + escapes;
        if !self.records.is_empty() && (self.bytes > PAGE_BYTES || self.reply_bytes > REPLY_BYTES) {
            return false;
        }
        self.records.push(record);
        self.last = Some(id);
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
