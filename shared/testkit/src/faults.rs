//! Faults that a test orders of a twin.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What goes wrong with a call. The caller sees "unavailable" in both cases, as it would in production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is lost: nothing happens.
    BeforeEffect,
    /// The answer is lost: what the call does has happened.
    AfterEffect,
}

/// Faults that are ordered and have not struck yet, each for a call by its port method's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Vec<(String, Fault)>>>);

impl Faults {
    /// The next call of that name meets this fault; several for one name strike one call each, in order.
    pub(crate) fn order(&self, call: &str, fault: Fault) {
        lock(&self.0).push((call.to_owned(), fault));
    }

    /// Runs a call's effect, unless and until a fault strikes.
    pub(crate) fn around<T, E>(
        &self,
        call: &str,
        unavailable: impl FnOnce(String) -> E,
        effect: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let struck = {
            let mut ordered = lock(&self.0);
            ordered.iter().position(|(name, _)| name == call).map(|at| ordered.remove(at).1)
        };
        match struck {
            None => effect(),
            Some(Fault::BeforeEffect) => Err(unavailable(format!("{call}: the request was lost"))),
            Some(Fault::AfterEffect) => {
                effect()?;
                Err(unavailable(format!("{call}: the answer was lost")))
            }
        }
    }
}

/// Locks, also after another test thread's panic: the twins' state is whole between calls.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_the_named_call_once() {
        let faults = Faults::default();
        let mut effects = 0;
        let mut call = |name: &str| {
            faults.around(
                name,
                |why| why,
                || {
                    effects += 1;
                    Ok(effects)
                },
            )
        };
        faults.order("write", Fault::BeforeEffect);
        faults.order("write", Fault::AfterEffect);
        assert_eq!(call("read"), Ok(1));
        assert!(call("write").is_err_and(|why| why.contains("request")));
        assert!(call("write").is_err_and(|why| why.contains("answer")));
        assert_eq!(call("write"), Ok(3));
    }
}
