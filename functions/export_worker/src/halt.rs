//! Why a step stopped, and whether another try may go further.

use domain::invariant::Broken;
use domain::job::JobError;
use domain::plan::{Plan, PlannedPart};
use domain::ports::jobs::StoreError;
use domain::ports::lake::LakeError;
use domain::ports::objects::ObjectError;
use domain::ports::queue::QueueError;
use domain::problem::Code;
use engine::EngineError;
use std::error::Error;

/// Why a step stopped.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// Something outside did not answer: deliver the message again.
    #[error("a step could not be finished; it will be tried again")]
    Later(#[source] Box<dyn Error + Send + Sync>),
    /// No repetition can help: the job fails with this.
    #[error("the job cannot be done: {}", .0.msg)]
    Permanent(JobError),
}

impl Halt {
    /// A permanent refusal in one sentence.
    pub fn permanent(code: Code, msg: impl Into<String>) -> Self {
        Self::Permanent(JobError { code: code.text(), msg: msg.into(), call_stack: Vec::new() })
    }

    /// A bug: told to the log, counted so that an alarm rings, and nothing of the job becomes visible.
    pub fn broken(invariant: Broken) -> Self {
        tracing::error!(%invariant, "an invariant is violated");
        tracing::Span::current().record("invariant_violated", 1_u64);
        Self::permanent(
            Code::Internal,
            "What was counted of the export does not agree, so nothing of it was committed.",
        )
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Later(Box::new(error))
    }
}

impl From<QueueError> for Halt {
    fn from(error: QueueError) -> Self {
        Self::Later(Box::new(error))
    }
}

impl From<ObjectError> for Halt {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::NotFound(_) => Self::permanent(
                Code::DatasetUnfit,
                "A file that the plan names is gone; was the table's history cleaned?",
            ),
            ObjectError::Occupied(_) | ObjectError::Denied(_) | ObjectError::Unavailable(_) => {
                Self::Later(Box::new(error))
            }
        }
    }
}

impl From<LakeError> for Halt {
    fn from(error: LakeError) -> Self {
        match error {
            LakeError::NoTable(_)
            | LakeError::OtherTable(_)
            | LakeError::SnapshotGone(_)
            | LakeError::Unsupported(_) => Self::permanent(Code::DatasetUnfit, sentence(&error.to_string())),
            LakeError::Damaged(table, cause) => {
                tracing::error!(cause = %cause, "table metadata cannot be read");
                Self::permanent(Code::DatasetUnfit, format!("The metadata of the table {table} cannot be read."))
            }
            LakeError::Unavailable(_) | LakeError::Denied(..) => Self::Later(Box::new(error)),
        }
    }
}

impl Halt {
    /// What a failure of the engine means for the job whose part it was at. Files are named as their tables name them, without
    /// the way to them.
    pub fn of_engine(error: EngineError, plan: &Plan, part: &PlannedPart) -> Self {
        let file = |location: &str| {
            let of = part.files.iter().find(|file| file.location == location);
            let dataset = of.and_then(|file| plan.sources.get(file.source)).map(|source| &source.pin.dataset_id);
            let name = location.rsplit('/').next().unwrap_or_default();
            dataset.map_or_else(|| format!("file {name}"), |dataset| format!("file {name} of the dataset {dataset}"))
        };
        match error {
            EngineError::Objects(ObjectError::NotFound(at)) => {
                let what = format!("The {} is gone; was the table's history cleaned?", file(&at.to_string()));
                Self::permanent(Code::DatasetUnfit, what)
            }
            EngineError::Objects(error) => error.into(),
            EngineError::Input { ref location, ref meaning, .. } => {
                tracing::error!(cause = %error, "an input file cannot be read");
                Self::permanent(Code::DatasetUnfit, format!("The {} cannot be read: {meaning}.", file(location)))
            }
            EngineError::Unsupported(what) => Self::permanent(Code::DatasetUnfit, sentence(&what)),
            EngineError::Encode(cause) => {
                tracing::error!(%cause, "rows could not be encoded");
                Self::permanent(Code::Internal, "The rows could not be encoded.")
            }
            EngineError::Stopped => Self::Later(Box::new(EngineError::Stopped)),
        }
    }
}

/// The text as a sentence: a capital first, a full stop last.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
