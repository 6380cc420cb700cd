//! Keys that the issuer publishes: fetched when they are needed, kept, and asked for again when a token names another one.

use super::{FetchKeys, KeySet, NoKeys};
use crate::claims::Claims;
use domain::instant::Millis;
use edge::telemetry::log_chain;
use tokio::sync::Mutex;

/// After how long the set is fetched anew, in seconds: as long as a withdrawn key may go on signing.
const FRESH_SECONDS: i64 = 3_600;
/// How long a set serves while the issuer does not answer, in seconds.
const KEPT_SECONDS: i64 = 24 * 3_600;
/// Least time between two fetches, in seconds, so that tokens with invented key ids cost the issuer nothing.
const COOL_DOWN_SECONDS: i64 = 60;
/// As [`COOL_DOWN_SECONDS`], while there is no set at all.
const RETRY_SECONDS: i64 = 5;

/// The published keys, as this process knows them.
#[derive(Debug)]
pub struct RemoteKeys<F> {
    source: F,
    // Held over a fetch: whoever comes meanwhile needs its result too.
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// The set and when it was fetched.
    set: Option<(KeySet, Millis)>,
    /// The first instant at which the issuer may be asked again.
    ask_from: Millis,
}

impl<F: FetchKeys> RemoteKeys<F> {
    /// Keys of a source; nothing is fetched before the first token comes.
    pub fn new(source: F) -> Self {
        Self { source, known: Mutex::new(Known { set: None, ask_from: Millis(i64::MIN) }) }
    }

    /// As [`super::Keys::verify`].
    pub(super) async fn verify(&self, token: &str, now: Millis) -> Result<Option<Claims>, NoKeys> {
        let mut known = self.known.lock().await;
        if known.is_in_doubt(token, now) && now >= known.ask_from {
            self.refresh(&mut known, now).await;
        }
        known.usable(now).map(|set| set.verify(token)).ok_or(NoKeys)
    }

    async fn refresh(&self, known: &mut Known, now: Millis) {
        match self.source.fetch().await.map(|text| KeySet::parse(&text)) {
            Ok(Ok(set)) => known.set = Some((set, now)),
            Ok(Err(error)) => log_chain("the issuer's key set is none", &error),
            Err(error) => log_chain("the issuer's key set could not be fetched", &error),
        }
        let pause = if known.usable(now).is_some() { COOL_DOWN_SECONDS } else { RETRY_SECONDS };
        known.ask_from = now.plus_seconds(pause);
    }
}

impl Known {
    /// Whether the issuer may know more: no set, an old one, or one without the token's key.
    fn is_in_doubt(&self, token: &str, now: Millis) -> bool {
        match &self.set {
            Some((set, fetched)) => now >= fetched.plus_seconds(FRESH_SECONDS) || !set.names_key_of(token),
            None => true,
        }
    }

    fn usable(&self, now: Millis) -> Option<&KeySet> {
        self.set.as_ref().filter(|(_, fetched)| now < fetched.plus_seconds(KEPT_SECONDS)).map(|(set, _)| set)
    }
}
