//! Whose tokens are taken.

use crate::claims::{Expected, Token};
use crate::keys::{FetchKeys, Keys, NoKeys};
use domain::instant::Millis;

/// The issuer of tokens: its keys, and what its tokens must say.
#[derive(Debug)]
pub struct Issuer<F> {
    /// What its tokens are signed with.
    pub keys: Keys<F>,
    /// What they must say.
    pub expected: Expected,
}

impl<F: FetchKeys> Issuer<F> {
    /// The token, if the issuer has signed it and it holds now; `None` for any other.
    pub(crate) async fn judge(&self, token: &str, now: Millis) -> Result<Option<Token>, NoKeys> {
        let claims = self.keys.verify(token, now).await?;
        Ok(claims.and_then(|claims| claims.judge(&self.expected, now)))
    }
}
