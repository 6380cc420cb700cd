//! What a token says of itself.

use domain::instant::Millis;
use serde::Deserialize;
use serde_json::Value;

/// How far ahead of ours the issuer's clock may be, in seconds; says nothing of a token's end.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// The claims that count, of AEP's own tokens (`created_at` and `expires_in` in milliseconds) and of standard ones.
/// Numbers come as such or as text.
#[derive(Clone, Debug, Deserialize)]
pub struct Claims {
    client_id: String,
    /// What kind of token AEP's is.
    #[serde(rename = "type")]
    kind: Option<String>,
    created_at: Option<Value>,
    expires_in: Option<Value>,
    iat: Option<Value>,
    nbf: Option<Value>,
    exp: Option<Value>,
}

/// A token that is in its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose it is.
    pub client_id: String,
    /// The first instant at which it is no longer valid.
    pub expires: Millis,
}

impl Claims {
    /// The token, if `now` lies in its time and it is one that gives access. One that never ends is none.
    pub fn judge(self, now: Millis) -> Option<Token> {
        if self.kind.is_some_and(|kind| kind != "access_token") || self.client_id.is_empty() {
            return None;
        }
        let starts = [seconds(self.iat)?, seconds(self.nbf)?, millis(self.created_at.clone())?];
        let latest = now.plus_seconds(CLOCK_SKEW_SECONDS);
        if starts.into_iter().flatten().any(|start| start > latest) {
            return None;
        }
        let lasts = match (millis(self.created_at)?, millis(self.expires_in)?) {
            (Some(start), Some(length)) => Some(Millis(start.0.checked_add(length.0)?)),
            (_, None) => None,
            (None, Some(_)) => return None,
        };
        let expires = [lasts, seconds(self.exp)?].into_iter().flatten().min()?;
        (now < expires).then_some(Token { client_id: self.client_id, expires })
    }
}

/// A claim in milliseconds: `Some(None)` where it is absent, `None` where it is no sound number.
fn millis(claim: Option<Value>) -> Option<Option<Millis>> {
    number(claim, 1.0)
}

/// As [`millis`], of a claim in seconds.
fn seconds(claim: Option<Value>) -> Option<Option<Millis>> {
    number(claim, 1_000.0)
}

fn number(claim: Option<Value>, unit: f64) -> Option<Option<Millis>> {
    let number = match claim {
        None | Some(Value::Null) => return Some(None),
        Some(Value::Number(number)) => number.as_f64()?,
        Some(Value::String(text)) => text.trim().parse().ok()?,
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => return None,
    };
    let millis = number * unit;
    // Below 2^53 a double is exact to the millisecond, and sums stay far from overflow.
    (0.0..9_007_199_254_740_992.0).contains(&millis).then_some(Some(Millis(millis as i64)))
}
