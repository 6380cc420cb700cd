//! The keys that tokens may be signed with: given once, or fetched from the issuer.

mod fetch;
mod remote;
mod set;

pub use fetch::{FetchError, FetchKeys, HttpKeys};
pub use remote::RemoteKeys;
pub use set::{BadKeySet, KeySet};

use crate::claims::Claims;
use domain::instant::Millis;

/// Where the keys come from.
#[derive(Debug)]
pub enum Keys<F> {
    /// They are known and stay so.
    Given(KeySet),
    /// The issuer publishes them, and may change them at any time.
    Fetched(RemoteKeys<F>),
}

/// The issuer's keys cannot be had, so nobody can say whether it signed a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoKeys;

impl Keys<HttpKeys> {
    /// Reads a setting: a key set as JSON, or the URL of one. The error says what it should be.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('{') {
            return KeySet::parse(text).map(Self::Given).map_err(|error| error.to_string());
        }
        let keys = HttpKeys::at(text).ok_or("a JSON Web Key Set, or the https URL of one")?;
        Ok(Self::Fetched(RemoteKeys::new(keys)))
    }
}

impl<F: FetchKeys> Keys<F> {
    /// The claims of a token that one of the keys has signed with RS256; `None` for any other. Says nothing of its time.
    pub async fn verify(&self, token: &str, now: Millis) -> Result<Option<Claims>, NoKeys> {
        match self {
            Self::Given(set) => Ok(set.verify(token)),
            Self::Fetched(keys) => keys.verify(token, now).await,
        }
    }
}
