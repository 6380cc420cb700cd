//! The machine's clock.

use domain::instant::Millis;
use domain::ports::Clock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The machine's clock. One set before 1970 shows 1970.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    async fn sleep_until(&self, until: Millis) {
        let left = until.0.saturating_sub(self.now().0);
        tokio::time::sleep(Duration::from_millis(u64::try_from(left).unwrap_or_default())).await;
    }
}
