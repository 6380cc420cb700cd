//! `GET /export/jobs/{id}`: one job as it stands.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

mod wiring;

pub use wiring::{SETTINGS, run};

use domain::job::render;
use domain::ports::jobs::ReadJobs;
use domain::problem::Problem;
use edge::failure;
use edge::http::{Reply, Request};

/// The job of the path, if it is the caller's; else the one answer for everything that is not found.
pub async fn handle<J: ReadJobs>(jobs: &J, request: Request) -> Result<Reply, Problem> {
    let id = request.job_id()?;
    let found = jobs.job(&request.caller.tenant, id).await.map_err(failure::of_store)?;
    found.map(|record| Reply::ok(render(&record))).ok_or_else(|| Problem::job_not_found(&request.id))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
