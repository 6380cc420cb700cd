//! Grants that were found lately. Only grants: who is refused may be granted the next moment.

use domain::instant::Millis;
use edge::verdict::Caller;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long a grant is remembered at most, in seconds: as long as its removal may stay unnoticed.
const MEMORY_SECONDS: i64 = 300;
/// Most grants that are remembered; beyond them all are forgotten.
const MOST_GRANTS: usize = 1_000;

/// The headers that a verdict depends on, absent ones empty.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `Authorization`.
    pub authorization: &'a str,
    /// `x-api-key`.
    pub api_key: &'a str,
    /// `x-gw-ims-org-id`.
    pub organization: &'a str,
    /// `x-sandbox-name`.
    pub sandbox: &'a str,
}

/// The process's memory of grants; holds hashes of tokens, never tokens.
#[derive(Debug, Default)]
pub struct Grants {
    found: Mutex<HashMap<[u8; 32], (Caller, Millis)>>,
}

impl Grants {
    /// The grant that was found for the very same headers, while it holds.
    pub fn remembered(&self, asked: &Asked<'_>, now: Millis) -> Option<Caller> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(&asked.hash()).filter(|(_, until)| now < *until).map(|(caller, _)| caller.clone())
    }

    /// Remembers a grant, never beyond the end of its token.
    pub fn remember(&self, asked: &Asked<'_>, caller: &Caller, token_expires: Millis, now: Millis) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= MOST_GRANTS {
            found.clear();
        }
        let until = now.plus_seconds(MEMORY_SECONDS).min(token_expires);
        found.insert(asked.hash(), (caller.clone(), until));
    }
}

impl Asked<'_> {
    /// Each header with its length before it, so that no two requests share a hash by moving text from one to another.
    fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for text in [self.authorization, self.api_key, self.organization, self.sandbox] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.finalize().into()
    }
}
