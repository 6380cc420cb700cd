//! What a token says of itself.

use domain::instant::Millis;
use serde::Deserialize;
use serde_json::{Map, Value};

/// How far ahead of ours the issuer's clock may be, in seconds; says nothing of a token's end.
const CLOCK_SKEW_SECONDS: i64 = 60;

/// A token's claims: AEP's own (`created_at` and `expires_in` in milliseconds) or standard ones (`iat`, `nbf`, `exp` in
/// seconds). Numbers come as such or as text.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Claims(Map<String, Value>);

/// What a token must say beside its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The claim that names the client: `client_id` in AEP's and Cognito's tokens, elsewhere `azp`, `appid`, `cid` …
    pub client_claim: String,
    /// The only `iss` that is taken; `None` takes any, also none.
    pub issuer: Option<String>,
    /// What must be the `aud`, or one of them; `None` takes any, also none.
    pub audience: Option<String>,
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
    /// The token, if `now` lies in its time, it says what is expected, and it is one that gives access. One that never
    /// ends is none.
    pub fn judge(&self, expected: &Expected, now: Millis) -> Option<Token> {
        let client_id = self.text(&expected.client_claim).filter(|id| !id.is_empty())?;
        let access = self.is_or_absent("type", "access_token") && self.is_or_absent("token_use", "access");
        let issued = expected.issuer.as_deref().is_none_or(|issuer| self.text("iss") == Some(issuer));
        let meant = expected.audience.as_deref().is_none_or(|audience| self.is_for(audience));
        let started = self.starts()?.into_iter().flatten().all(|start| start <= now.plus_seconds(CLOCK_SKEW_SECONDS));
        let expires = self.expires()?;
        let sound = access && issued && meant && started && now < expires;
        sound.then(|| Token { client_id: client_id.to_owned(), expires })
    }

    /// Every instant before which the token is none; `None` where one of them is no sound number.
    fn starts(&self) -> Option<[Option<Millis>; 3]> {
        Some([self.seconds("iat")?, self.seconds("nbf")?, self.millis("created_at")?])
    }

    /// The earliest end that the token names; `None` where it names none, or one that is no sound number.
    fn expires(&self) -> Option<Millis> {
        let lasts = match (self.millis("created_at")?, self.millis("expires_in")?) {
            (Some(start), Some(length)) => Some(Millis(start.0.checked_add(length.0)?)),
            (_, None) => None,
            (None, Some(_)) => return None,
        };
        [lasts, self.seconds("exp")?].into_iter().flatten().min()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn is_or_absent(&self, name: &str, wanted: &str) -> bool {
        self.0.get(name).is_none_or(|value| value.is_null() || value == wanted)
    }

    /// Whether the audience is the token's, or one of them.
    fn is_for(&self, audience: &str) -> bool {
        match self.0.get("aud") {
            Some(Value::Array(several)) => several.iter().any(|one| one == audience),
            Some(one) => one == audience,
            None => false,
        }
    }

    /// A claim in milliseconds: `Some(None)` where it is absent, `None` where it is no sound number.
    fn millis(&self, name: &str) -> Option<Option<Millis>> {
        number(self.0.get(name), 1.0)
    }

    /// As [`Claims::millis`], of a claim in seconds.
    fn seconds(&self, name: &str) -> Option<Option<Millis>> {
        number(self.0.get(name), 1_000.0)
    }
}

fn number(claim: Option<&Value>, unit: f64) -> Option<Option<Millis>> {
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
