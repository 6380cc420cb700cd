//! What can be wrong with a request: one stable code each, listed in `docs/errors.md`.

use serde::{Deserialize, Serialize};

/// A kind of problem. Its code on the wire ends with the HTTP status: this is the one place where that is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Code {
    /// Unknown id, no id, or another tenant's.
    JobNotFound,
    /// No such path.
    PathNotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// The job is past the point where it could be cancelled.
    TooLateToCancel,
    /// The body is no JSON.
    NotJson,
    /// A required property is absent.
    MissingProperty,
    /// A property has the wrong type.
    WrongType,
    /// A property has a value that is not one of those allowed.
    InvalidValue,
    /// A reference to something that is not registered.
    UnknownReference,
    /// A path that the schema lacks.
    UnknownPath,
    /// Segments of several merge policies, and none named for the export.
    MergePolicyConflict,
    /// A window that ends before it starts.
    ReversedWindow,
    /// More than a limit allows.
    LimitExceeded,
    /// A registered dataset cannot serve the export as it is.
    DatasetUnfit,
    /// A query parameter that cannot be understood.
    InvalidQuery,
    /// A header that cannot be understood.
    InvalidHeader,
    /// The idempotency key was used with another body.
    KeyReused,
    /// The idempotency key's job was deleted.
    KeyOfDeletedJob,
    /// The body is too large.
    BodyTooLarge,
    /// Too many requests.
    TooManyRequests,
    /// The client lacks the permission.
    NotPermitted,
    /// Specified, not built yet.
    NotImplemented,
    /// A store or queue is out of reach.
    Unavailable,
    /// A bug or damaged data on our side.
    Internal,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 24] = [
        Self::JobNotFound,
        Self::PathNotFound,
        Self::MethodNotAllowed,
        Self::TooLateToCancel,
        Self::NotJson,
        Self::MissingProperty,
        Self::WrongType,
        Self::InvalidValue,
        Self::UnknownReference,
        Self::UnknownPath,
        Self::MergePolicyConflict,
        Self::ReversedWindow,
        Self::LimitExceeded,
        Self::DatasetUnfit,
        Self::InvalidQuery,
        Self::InvalidHeader,
        Self::KeyReused,
        Self::KeyOfDeletedJob,
        Self::BodyTooLarge,
        Self::TooManyRequests,
        Self::NotPermitted,
        Self::NotImplemented,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The code's number and HTTP status.
    fn numbers(self) -> (u32, u16) {
        match self {
            Self::JobNotFound => (113_000, 404),
            Self::PathNotFound => (113_001, 404),
            Self::MethodNotAllowed => (113_002, 405),
            Self::TooLateToCancel => (113_003, 409),
            Self::NotJson => (113_010, 400),
            Self::MissingProperty => (113_011, 400),
            Self::WrongType => (113_012, 400),
            Self::InvalidValue => (113_013, 400),
            Self::UnknownReference => (113_014, 400),
            Self::UnknownPath => (113_015, 400),
            Self::MergePolicyConflict => (113_016, 400),
            Self::ReversedWindow => (113_017, 400),
            Self::LimitExceeded => (113_018, 400),
            Self::DatasetUnfit => (113_019, 400),
            Self::InvalidQuery => (113_020, 400),
            Self::InvalidHeader => (113_021, 400),
            Self::KeyReused => (113_030, 422),
            Self::KeyOfDeletedJob => (113_031, 404),
            Self::BodyTooLarge => (113_040, 413),
            Self::TooManyRequests => (113_041, 429),
            Self::NotPermitted => (113_042, 403),
            Self::NotImplemented => (113_050, 501),
            Self::Unavailable => (113_060, 503),
            Self::Internal => (113_061, 500),
        }
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.numbers().1
    }

    /// The code on the wire, e.g. `UPAPI-113000-404`.
    pub fn text(self) -> String {
        let (number, status) = self.numbers();
        format!("UPAPI-{number}-{status}")
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// What kind.
    pub code: Code,
    /// What and where, with the JSON path first where there is one, and what to do.
    pub message: String,
}

impl Violation {
    /// A violation at a JSON path.
    pub fn at(path: &str, code: Code, what: impl AsRef<str>) -> Self {
        Self { code, message: format!("{path}: {}", what.as_ref()) }
    }
}

/// An answer other than success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind of the whole.
    pub code: Code,
    /// What happened, in one sentence.
    pub title: String,
    /// What to do about it; may be empty.
    pub detail: String,
    /// Every single violation, where there are several things to say.
    pub violations: Vec<Violation>,
}

impl Problem {
    /// A problem of one sentence and what to do about it.
    pub fn new(code: Code, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code, title: title.into(), detail: detail.into(), violations: Vec::new() }
    }

    /// The one answer for unknown ids, non-numeric ids and other tenants' ids.
    pub fn job_not_found(id: &str) -> Self {
        let shown: String = id.chars().filter(|c| !c.is_control()).take(64).collect();
        let detail = "Check the id; GET /export/jobs lists the jobs of this organization and sandbox.";
        Self::new(Code::JobNotFound, format!("The export job {shown} is not found."), detail)
    }

    /// A store or queue is out of reach.
    pub fn unavailable() -> Self {
        Self::new(
            Code::Unavailable,
            "The service is temporarily unavailable.",
            "Nothing was half-made. Repeat the request after the time in Retry-After; an Idempotency-Key makes that safe.",
        )
    }

    /// Our own fault.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "The request could not be served.", "Repeat it later; name the requestId to support.")
    }

    /// The answer to a request with these violations. What can never work (400) comes before what does not work yet (501).
    pub fn invalid(mut violations: Vec<Violation>) -> Self {
        let refused = violations.iter().any(|v| v.code != Code::NotImplemented);
        if refused {
            violations.retain(|v| v.code != Code::NotImplemented);
        }
        let code = violations.first().map_or(Code::Internal, |v| v.code);
        let title = match (refused, violations.len()) {
            (false, _) => "The request asks for something that is not implemented yet.".to_owned(),
            (true, 1) => "The request is not valid: 1 problem.".to_owned(),
            (true, n) => format!("The request is not valid: {n} problems."),
        };
        let detail = "Every problem is listed under errors; correct them all and send the request again.";
        Self { code, title, detail: detail.into(), violations }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_end_with_their_status() {
        let texts: BTreeSet<_> = Code::ALL.iter().map(|c| c.text()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert_eq!(Code::JobNotFound.text(), "UPAPI-113000-404");
        assert!(Code::ALL.iter().all(|c| c.text().ends_with(&format!("-{}", c.status()))));
    }

    #[test]
    fn what_can_never_work_hides_what_does_not_work_yet() {
        let later = Violation::at("a", Code::NotImplemented, "later");
        let wrong = Violation::at("b", Code::WrongType, "wrong");
        assert_eq!(Problem::invalid(vec![later.clone()]).code.status(), 501);
        let both = Problem::invalid(vec![later, wrong.clone()]);
        assert_eq!((both.code.status(), both.violations), (400, vec![wrong]));
    }
}
