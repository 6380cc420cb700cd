//! A key set, and the tokens that one of its keys has signed.

use crate::claims::Claims;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;

/// A key set (RFC 7517), of which the RSA signing keys count.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    key: DecodingKey,
}

/// Why a key set cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a JSON Web Key Set: {{\"keys\": […]}}, its RSA keys with n and e")]
pub struct BadKeySet;

#[derive(Deserialize)]
struct Sent {
    keys: Vec<SentKey>,
}

#[derive(Deserialize)]
struct SentKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

impl KeySet {
    /// Reads a key set. Keys of other kinds and for other uses are left out; none at all means that no token is valid.
    pub fn parse(json: &str) -> Result<Self, BadKeySet> {
        let sent: Sent = serde_json::from_str(json).map_err(|_| BadKeySet)?;
        let keys = sent.keys.into_iter().filter(SentKey::signs_with_rs256).map(|sent| {
            let sound = !sent.n.is_empty() && !sent.e.is_empty();
            let key = sound.then(|| DecodingKey::from_rsa_components(&sent.n, &sent.e).ok()).flatten();
            Ok(Key { id: sent.kid, key: key.ok_or(BadKeySet)? })
        });
        Ok(Self { keys: keys.collect::<Result<_, _>>()? })
    }

    /// The claims of a token that one of the keys has signed with RS256; `None` for any other. Says nothing of its time.
    pub fn verify(&self, token: &str) -> Option<Claims> {
        let key = self.find(header(token)?.kid.as_deref())?;
        let mut rules = Validation::new(Algorithm::RS256);
        // Time is judged by `Claims`, on our own clock and by AEP's claims too; AEP's tokens have neither iss nor aud.
        rules.required_spec_claims.clear();
        rules.validate_exp = false;
        rules.validate_nbf = false;
        rules.validate_aud = false;
        decode::<Claims>(token, &key.key, &rules).ok().map(|token| token.claims)
    }

    /// Whether one of the keys may be the one that a token names; also where nobody can have signed the token.
    pub fn names_key_of(&self, token: &str) -> bool {
        header(token).is_none_or(|header| self.find(header.kid.as_deref()).is_some())
    }

    /// The key of that id. An only key serves where either side names no id.
    fn find(&self, id: Option<&str>) -> Option<&Key> {
        match (&self.keys[..], id) {
            ([only], None) => Some(only),
            ([only], Some(_)) if only.id.is_none() => Some(only),
            (keys, Some(id)) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
            (_, None) => None,
        }
    }
}

/// A token's header, if it is one that is taken at all: RS256, whatever else the token would like.
fn header(token: &str) -> Option<Header> {
    // Extensions that must be understood (RFC 7515 §4.1.11): none is.
    decode_header(token).ok().filter(|header| header.alg == Algorithm::RS256 && header.crit.is_none())
}

impl SentKey {
    fn signs_with_rs256(&self) -> bool {
        let algorithm = self.alg.as_deref().is_none_or(|alg| alg == "RS256");
        self.kty == "RSA" && algorithm && self.usage.as_deref().is_none_or(|usage| usage == "sig")
    }
}
