//! Faults that a test orders of a twin.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

/// What goes wrong with a call. The caller sees "unavailable" in both cases, as it would in production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is lost: nothing happens.
    BeforeEffect,
    /// The answer is lost: what the call does has happened.
    AfterEffect,
}

/// What every call of a twin goes through. A twin under a weather lets others take a turn before and after the effect of
/// each call, and asks it how the call fares.
pub trait Weather: Send + Sync {
    /// What strikes a call of that port method.
    fn strike(&self, call: &str) -> Option<Fault>;

    /// Whether what an index shows now is what it showed before.
    fn lags(&self) -> bool;
}

/// A calm weather that notes which port methods are called, in order.
#[derive(Debug, Default)]
pub struct Calls(Mutex<Vec<String>>);

impl Calls {
    /// What was called since this was asked last.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl Weather for Calls {
    fn strike(&self, call: &str) -> Option<Fault> {
        lock(&self.0).push(call.to_owned());
        None
    }

    fn lags(&self) -> bool {
        false
    }
}

/// Faults that are ordered and have not struck yet, each for a call by its port method's name; and the weather.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    ordered: Arc<Mutex<Vec<(String, Fault)>>>,
    weather: Option<Arc<dyn Weather>>,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("ordered", &self.ordered).finish_non_exhaustive()
    }
}

impl Faults {
    /// As the weather has it.
    pub(crate) fn under(weather: Arc<dyn Weather>) -> Self {
        Self { weather: Some(weather), ..Self::default() }
    }

    /// The next call of that name meets this fault; several for one name strike one call each, in order.
    pub(crate) fn order(&self, call: &str, fault: Fault) {
        lock(&self.ordered).push((call.to_owned(), fault));
    }

    /// Whether an index lags now.
    pub(crate) fn lags(&self) -> bool {
        self.weather.as_ref().is_some_and(|weather| weather.lags())
    }

    /// Runs a call's effect, unless and until a fault strikes.
    pub(crate) async fn around<T, E>(
        &self,
        call: &str,
        unavailable: impl FnOnce(String) -> E,
        effect: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.turn().await;
        match self.struck(call) {
            Some(Fault::BeforeEffect) => Err(unavailable(format!("{call}: the request was lost"))),
            Some(Fault::AfterEffect) => {
                let answer = effect();
                self.turn().await;
                answer.and_then(|_| Err(unavailable(format!("{call}: the answer was lost"))))
            }
            None => {
                let answer = effect();
                self.turn().await;
                answer
            }
        }
    }

    fn struck(&self, call: &str) -> Option<Fault> {
        let mut ordered = lock(&self.ordered);
        match ordered.iter().position(|(name, _)| name == call) {
            Some(at) => Some(ordered.remove(at).1),
            None => self.weather.as_ref()?.strike(call),
        }
    }

    /// Lets others go first.
    async fn turn(&self) {
        if self.weather.is_none() {
            return;
        }
        let mut waited = false;
        poll_fn(|context| match waited {
            true => Poll::Ready(()),
            false => {
                waited = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await;
    }
}

/// Locks, also after another test thread's panic: the twins' state is whole between calls.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fault_strikes_the_named_call_once() {
        let faults = Faults::default();
        let mut effects = 0;
        let mut call = async |name: &str| {
            let effect = || {
                effects += 1;
                Ok(effects)
            };
            faults.around(name, |why| why, effect).await
        };
        faults.order("write", Fault::BeforeEffect);
        faults.order("write", Fault::AfterEffect);
        assert_eq!(call("read").await, Ok(1));
        assert!(call("write").await.is_err_and(|why| why.contains("request")));
        assert!(call("write").await.is_err_and(|why| why.contains("answer")));
        assert_eq!(call("write").await, Ok(3));
    }
}
