//! The plan as an object: written once, read by every part.

use crate::{Halt, Ports};
use bytes::Bytes;
use domain::job::Job;
use domain::plan::{PLAN_VERSION, Plan};
use domain::ports::objects::{Location, ObjectError, ReadObjects, WriteObjects};
use domain::problem::Code;

/// The folder of a job's plan and output lists.
pub fn folder<P: Ports>(ports: &P, job: &Job) -> Location {
    let key = format!("{}jobs/{}/", job.tenant.object_prefix(), job.id.padded());
    Location::new(&ports.settings().state_bucket, key)
}

/// The job's plan, if one was settled.
pub async fn read<P: Ports>(ports: &P, job: &Job) -> Result<Option<Plan>, Halt> {
    let bytes = match ports.objects().read(&folder(ports, job).join("plan.json")).await {
        Ok(bytes) => bytes,
        Err(ObjectError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let plan: Plan = serde_json::from_slice(&bytes).map_err(|cause| {
        tracing::error!(%cause, "the plan cannot be read");
        Halt::permanent(Code::Internal, "The job's plan cannot be read.")
    })?;
    if plan.version != PLAN_VERSION {
        return Err(Halt::permanent(Code::Internal, "The job's plan was written by a release that is not understood."));
    }
    Ok(Some(plan))
}

/// P2: settles the plan. Whoever comes second gets the first one's.
pub async fn settle<P: Ports>(ports: &P, job: &Job, plan: Plan) -> Result<Plan, Halt> {
    let body = serde_json::to_vec(&plan).map_err(|e| Halt::Later(Box::new(e)))?;
    match ports.objects().create(&folder(ports, job).join("plan.json"), Bytes::from(body)).await {
        Ok(()) => Ok(plan),
        Err(ObjectError::Occupied(_)) => {
            read(ports, job).await?.ok_or_else(|| Halt::permanent(Code::Internal, "The job's plan has vanished."))
        }
        Err(error) => Err(error.into()),
    }
}
