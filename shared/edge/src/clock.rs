//! The machine's clock.

use domain::instant::Millis;
use domain::ports::Clock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's clock. One set before 1970 shows 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
