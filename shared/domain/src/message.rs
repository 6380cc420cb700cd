//! What goes over the work queue. A message is only a hint that something may be due: every step is idempotent.

use crate::id::JobId;
use crate::tenant::Tenant;
use serde::{Deserialize, Serialize};

/// A message to the worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// What to do.
    #[serde(flatten)]
    pub task: Task,
    /// Whose job.
    #[serde(flatten)]
    pub tenant: Tenant,
    /// The job.
    pub job_id: JobId,
}

/// The kinds of work.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Task {
    /// Pin, plan, start and fan out.
    Plan,
    /// Export one part.
    Part {
        /// Its number in the plan.
        part: u32,
    },
    /// Bring the job to its end: commit it, or finish its cancelling or failing.
    Commit,
    /// Clean up after a job that has ended.
    Collect,
}

impl Message {
    /// A message about a job.
    pub fn new(tenant: &Tenant, job_id: JobId, task: Task) -> Self {
        Self { task, tenant: tenant.clone(), job_id }
    }

    /// The message as queue body.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a message is strings and numbers")
    }

    /// Reads a queue body of this or the previous release; `None` = poison.
    pub fn from_json(body: &str) -> Option<Self> {
        let message: Self = serde_json::from_str(body).ok()?;
        Tenant::new(message.tenant.organization(), message.tenant.sandbox()).map(|_| message)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_wire_form() {
        let tenant = Tenant::new("A@AdobeOrg", "prod").unwrap();
        let id = JobId::parse("123").unwrap();
        let part = Message::new(&tenant, id, Task::Part { part: 7 });
        let body = r#"{"kind":"part","part":7,"organization":"A@AdobeOrg","sandbox":"prod","jobId":123}"#;
        assert_eq!(part.to_json(), body);
        assert_eq!(Message::from_json(body), Some(part));
        assert_eq!(Message::from_json(r#"{"kind":"plan","organization":"a#b","sandbox":"prod","jobId":1}"#), None);
        assert_eq!(Message::from_json("{}"), None);
    }
}
