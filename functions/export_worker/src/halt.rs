//! Why a step stopped, and whether another try may go further.

use domain::invariant::Broken;
use domain::job::JobError;
use domain::plan::{DataFile, Plan, PlannedPart};
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
        Self::Permanent(JobError::new(code, msg))
    }

    /// Others moved a table under every attempt that one message makes.
    pub fn restless() -> Self {
        Self::Later("the table moved under every attempt of this message".into())
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

impl Halt {
    /// What a failure at the table of a dataset means for the job that uses it.
    pub fn of_table(error: LakeError, dataset: &str) -> Self {
        match &error {
            LakeError::Unavailable(_) | LakeError::Denied(..) => return Self::Later(Box::new(error)),
            LakeError::Damaged(_, _, cause) => tracing::error!(%cause, "table metadata cannot be read"),
            LakeError::NoTable(_)
            | LakeError::OtherTable(_)
            | LakeError::SnapshotGone(_)
            | LakeError::Unsupported(_) => {}
        }
        Self::Permanent(refused(&format!("the dataset {dataset} cannot be used"), &error))
    }

    /// What a failure of the engine means for the job whose part it was at.
    pub fn of_engine(error: EngineError, plan: &Plan, part: &PlannedPart) -> Self {
        let unfit = |what: String, why: Option<&str>| {
            let whole = why.map_or_else(|| what.clone(), |why| format!("{what}: {why}"));
            let causes = ["a part could not be exported", &what].into_iter().chain(why);
            Self::Permanent(JobError::new(Code::DatasetUnfit, sentence(&whole)).because(causes.map(sentence)))
        };
        match error {
            EngineError::Objects(ObjectError::NotFound(at)) => {
                let file = named_file(&at.to_string(), plan, part);
                unfit(format!("the file {file} is gone; was the table's history cleaned?"), None)
            }
            EngineError::Objects(error) => error.into(),
            EngineError::Input { ref location, ref meaning, .. } => {
                tracing::error!(cause = %error, "an input file cannot be read");
                unfit(format!("the file {} cannot be read", named_file(location, plan, part)), Some(meaning))
            }
            EngineError::Unsupported(what) => unfit(what, None),
            EngineError::Encode(cause) => {
                tracing::error!(%cause, "rows could not be encoded");
                Self::permanent(Code::Internal, "The rows could not be encoded.")
            }
            EngineError::Stopped => Self::Later(Box::new(EngineError::Stopped)),
        }
    }

    /// A part that was tried too often: whatever it reads ends its workers.
    pub fn never_finished(number: u32, tries: u32, plan: &Plan, part: &PlannedPart) -> Self {
        let more = part.files.len().saturating_sub(1);
        let read = part.files.first().map(|file| named_file(&file.location, plan, part)).unwrap_or_default();
        let what = format!("Part {number} was tried {tries} times and never finished.");
        let it = if more > 0 {
            format!("It reads the file {read} and {more} more.")
        } else {
            format!("It reads the file {read}.")
        };
        Self::Permanent(JobError::new(Code::Internal, format!("{what} {it}")).because([what, it]))
    }
}

/// The error of a table that cannot serve: what cannot be done, and why.
pub fn refused(what: &str, error: &LakeError) -> JobError {
    let causes = [sentence(what), sentence(&error.to_string())];
    JobError::new(Code::DatasetUnfit, sentence(&format!("{what}: {error}"))).because(causes)
}

/// A file of a part as its table names it, and of which dataset it is. The way to it is nobody's business.
fn named_file(location: &str, plan: &Plan, part: &PlannedPart) -> String {
    let delete = part.deletes.iter().position(|file| file.location == location);
    let is_of = |file: &&DataFile| file.location == location || delete.is_some_and(|at| file.deletes.contains(&at));
    let source = part.files.iter().find(is_of).and_then(|file| plan.sources.get(file.source));
    let name = location.rsplit('/').next().unwrap_or_default();
    source.map_or(name.to_owned(), |source| format!("{name} of the dataset {}", source.pin.dataset_id))
}

/// The text as a sentence: a capital first, a full stop last.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
    let end = if text.ends_with(['.', '?']) { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}
