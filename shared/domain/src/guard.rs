//! The guards that the protocol's safety and liveness rest on, by name. A guard is the condition at its place; only debug
//! builds can switch one off, on the thread of a test, to prove that the suites notice.

/// A guard, named by what it keeps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// P1: the plan is of the pinned snapshots, whatever the tables are by now.
    PinnedSnapshot,
    /// P2: shards are made of a NEW job only.
    ShardsOfNewJobs,
    /// P2, W2: nothing overwrites an object.
    CreateIfAbsent,
    /// W1: an owner's claim again is its own.
    OwnClaim,
    /// W1, W4: only a PENDING part is claimed and committed.
    PartPending,
    /// W4: only the claim's holder commits.
    PartHeld,
    /// W4: behind a CLOSED gate nothing is committed.
    GateOpen,
    /// W4: a part counts exactly when it is committed.
    CountedTogether,
    /// W2: no attempt writes where another does.
    UniqueKeys,
    /// F1: all parts are done.
    Complete,
    /// F1, X1: of two steps from one record one is taken.
    Version,
    /// F2: a job that is committed is not committed again.
    JobCommittedOnce,
    /// F2: only a job that is COMMITTING is committed.
    StillCommitting,
    /// F2: a table that was moved meanwhile is looked at again.
    TableVersion,
    /// F4: an empty snapshot defeats who still sleeps.
    Abandoning,
    /// X1: past its commit point a job is not cancelled.
    CancelInTime,
    /// X3, E1: a job ends once all gates are closed.
    AllGatesClosed,
    /// G: only what has ended is cleaned up after.
    CollectAfterEnd,
    /// G: the files of a job that succeeded stay.
    KeepWhatIsNamed,
    /// G: what is deleted of an overtaken widening cannot come to be named any more.
    Overtaking,
    /// P2: what widens a table is told before, on the record of a job that is NEW.
    StillPlanning,
    /// The queue: exactly the messages that failed come again.
    FailedMessageIds,
    /// S: whatever does not move is sent on its way again.
    Sweeper,
}

impl Guard {
    /// Every guard.
    pub const ALL: [Self; 23] = [
        Self::PinnedSnapshot,
        Self::ShardsOfNewJobs,
        Self::CreateIfAbsent,
        Self::OwnClaim,
        Self::PartPending,
        Self::PartHeld,
        Self::GateOpen,
        Self::CountedTogether,
        Self::UniqueKeys,
        Self::Complete,
        Self::Version,
        Self::JobCommittedOnce,
        Self::StillCommitting,
        Self::TableVersion,
        Self::Abandoning,
        Self::CancelInTime,
        Self::AllGatesClosed,
        Self::CollectAfterEnd,
        Self::KeepWhatIsNamed,
        Self::Overtaking,
        Self::StillPlanning,
        Self::FailedMessageIds,
        Self::Sweeper,
    ];

    /// Whether to go on as if the condition held: the condition itself, unless a test has switched the guard off.
    #[inline]
    pub fn allows(self, condition: bool) -> bool {
        condition || self.is_off()
    }

    /// Whether it is not switched off: always, but in a test of mutants.
    #[inline]
    pub fn stands(self) -> bool {
        !self.is_off()
    }

    #[cfg(not(debug_assertions))]
    #[inline]
    fn is_off(self) -> bool {
        false
    }

    #[cfg(debug_assertions)]
    fn is_off(self) -> bool {
        mutants::is_off(self)
    }
}

#[cfg(debug_assertions)]
pub use mutants::{reached, switched_off};

#[cfg(debug_assertions)]
mod mutants {
    use super::Guard;
    use std::cell::Cell;

    thread_local! {
        static OFF: Cell<Option<Guard>> = const { Cell::new(None) };
        static REACHED: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs with a guard switched off on this thread.
    pub fn switched_off<T>(guard: Guard, run: impl FnOnce() -> T) -> T {
        struct Restore;
        impl Drop for Restore {
            fn drop(&mut self) {
                OFF.set(None);
            }
        }
        OFF.set(Some(guard));
        REACHED.set(false);
        let _restore = Restore;
        run()
    }

    /// Whether the guard that was switched off last on this thread has let something pass since then.
    pub fn reached() -> bool {
        REACHED.get()
    }

    pub(super) fn is_off(guard: Guard) -> bool {
        let off = OFF.get() == Some(guard);
        if off {
            REACHED.set(true);
        }
        off
    }
}
