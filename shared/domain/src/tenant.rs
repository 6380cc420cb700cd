//! Whose data it is.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An organization's sandbox: the unit of isolation. Every table key and every object key starts with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tenant {
    organization: String,
    sandbox: String,
}

impl Tenant {
    /// A tenant, or `None` where a name is empty or holds a character that could leave its place in a key
    /// (`#`, `/`, control characters) or is longer than 128 bytes.
    pub fn new(organization: &str, sandbox: &str) -> Option<Self> {
        let sound = |name: &str| {
            !name.is_empty()
                && name.len() <= 128
                && !matches!(name, "." | "..")
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@'))
        };
        (sound(organization) && sound(sandbox))
            .then(|| Self { organization: organization.to_owned(), sandbox: sandbox.to_owned() })
    }

    /// The organization, e.g. `1BD6382559DF0C130A49422D@AdobeOrg`.
    pub fn organization(&self) -> &str {
        &self.organization
    }

    /// The sandbox, e.g. `prod`.
    pub fn sandbox(&self) -> &str {
        &self.sandbox
    }

    /// The start of every table key: `{org}#{sandbox}`.
    pub fn key(&self) -> String {
        format!("{}#{}", self.organization, self.sandbox)
    }

    /// The start of every object key that this tenant owns: `{org}/{sandbox}/`.
    pub fn object_prefix(&self) -> String {
        format!("{}/{}/", self.organization, self.sandbox)
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.organization, self.sandbox)
    }
}
