//! The states of a job, and which may follow which (I3).

use serde::{Deserialize, Serialize};

/// Where a job stands. Clients see [`State::shown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Accepted; not planned yet.
    New,
    /// Planned; its parts are worked on.
    Processing,
    /// All parts are done; the snapshot is being appended. Too late to cancel.
    Committing,
    /// The commit was refused for good; its undoing is being made certain.
    Aborting,
    /// It will end as failed, once no part can be committed any more.
    Failing,
    /// Cancelled by a client; it ends once no part can be committed any more.
    Cancelling,
    /// Its rows are visible.
    Succeeded,
    /// It ended without a visible row.
    Failed,
    /// It was cancelled without a visible row.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::New,
        Self::Processing,
        Self::Committing,
        Self::Aborting,
        Self::Failing,
        Self::Cancelling,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// What clients see: the inner states show as PROCESSING.
    pub fn shown(self) -> ShownStatus {
        match self {
            Self::New => ShownStatus::New,
            Self::Processing | Self::Committing | Self::Aborting | Self::Failing => ShownStatus::Processing,
            Self::Cancelling => ShownStatus::Cancelling,
            Self::Succeeded => ShownStatus::Succeeded,
            Self::Failed => ShownStatus::Failed,
            Self::Cancelled => ShownStatus::Cancelled,
        }
    }

    /// Whether the job has ended. A terminal state never changes.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Whether the status table has a step from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use State::*;
        match self {
            New => matches!(next, Processing | Cancelling | Failing),
            Processing => matches!(next, Committing | Cancelling | Failing),
            Committing => matches!(next, Succeeded | Aborting | Failed),
            Aborting => matches!(next, Succeeded | Failed),
            Failing => matches!(next, Failed),
            Cancelling => matches!(next, Cancelled),
            Succeeded | Failed | Cancelled => false,
        }
    }
}

/// A job's status on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ShownStatus {
    /// Accepted.
    New,
    /// Under way.
    Processing,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// About to end as cancelled.
    Cancelling,
    /// Ended by a client.
    Cancelled,
}

impl ShownStatus {
    /// Every status, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::New, Self::Processing, Self::Succeeded, Self::Failed, Self::Cancelling, Self::Cancelled];

    /// What jobs show that have not ended.
    pub const RUNNING: [Self; 3] = [Self::New, Self::Processing, Self::Cancelling];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Processing => "PROCESSING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelling => "CANCELLING",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The status of that name, exactly.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_states_never_change() {
        for state in State::ALL {
            let leaves = State::ALL.into_iter().any(|next| state.may_become(next));
            assert_eq!(leaves, !state.is_terminal(), "{state:?}");
        }
    }

    #[test]
    fn a_job_that_has_not_ended_shows_that_it_runs() {
        for state in State::ALL {
            assert_eq!(ShownStatus::RUNNING.contains(&state.shown()), !state.is_terminal(), "{state:?}");
        }
    }

    #[test]
    fn shown_statuses_round_trip() {
        for status in ShownStatus::ALL {
            assert_eq!(ShownStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(ShownStatus::parse("new"), None);
    }
}
