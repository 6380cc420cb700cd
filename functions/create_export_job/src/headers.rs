//! The headers that say something about the job.

use domain::instant::Millis;
use domain::ports::jobs::IdempotencyKey;
use domain::problem::{Code, Problem, Violation};
use edge::http::Headers;
use sha2::{Digest, Sha256};

/// How long an idempotency key is remembered, in seconds.
const KEY_LIFE_SECONDS: i64 = 24 * 60 * 60;
/// Longest idempotency key, in characters.
const MAX_KEY: usize = 255;
/// Longest profile instance id, in characters.
const MAX_INSTANCE: usize = 128;
/// The profile instance where the request names none.
const DEFAULT_INSTANCE: &str = "ups";

/// What the headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentHeaders {
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// `x-profile-instance-id`.
    pub profile_instance_id: String,
}

impl SentHeaders {
    /// Reads them; the problem lists every one that cannot be understood.
    pub fn read(headers: &Headers) -> Result<Self, Problem> {
        let mut found = Vec::new();
        let mut visible = |name: &str, value: Option<&str>, longest: usize| {
            let sound = |v: &str| (1..=longest).contains(&v.len()) && v.bytes().all(|b| b.is_ascii_graphic());
            if value.is_some_and(|v| !sound(v)) {
                let what = format!("must be 1 to {longest} visible ASCII characters.");
                found.push(Violation::at(name, Code::InvalidHeader, what));
            }
            value.map(str::to_owned)
        };
        // A blank key is a mistake, not an absent one: its sender relies on it.
        let idempotency_key = visible("Idempotency-Key", headers.even_blank("idempotency-key"), MAX_KEY);
        let instance = visible("x-profile-instance-id", headers.get("x-profile-instance-id"), MAX_INSTANCE);
        let profile_instance_id = instance.unwrap_or_else(|| DEFAULT_INSTANCE.to_owned());
        if found.is_empty() { Ok(Self { idempotency_key, profile_instance_id }) } else { Err(Problem::invalid(found)) }
    }
}

/// A key that is used now for a body.
pub fn key_of(key: &str, body: &[u8], now: Millis) -> IdempotencyKey {
    IdempotencyKey { key: key.to_owned(), body_hash: hash_of(body), expires: now.plus_seconds(KEY_LIFE_SECONDS) }
}

/// The hash of a body as it was sent, byte by byte.
pub fn hash_of(body: &[u8]) -> String {
    format!("{:x}", Sha256::digest(body))
}
