//! The authorizer: token → client → the organization and sandbox that it may act for.

// The futures of the AWS SDK are nested deeper than the default allows for.
#![recursion_limit = "256"]

mod claims;
mod grants;
mod issuer;
mod keys;
mod wiring;

pub use claims::Expected;
pub use grants::Grants;
pub use issuer::Issuer;
pub use keys::{BadKeySet, FetchError, FetchKeys, HttpKeys, KeySet, Keys, RemoteKeys};
pub use wiring::{SETTINGS, run};

use domain::instant::Millis;
use domain::ports::Clock;
use domain::ports::registry::ReadClients;
use domain::registry::Client;
use domain::tenant::Tenant;
use edge::http::Headers;
use edge::telemetry::log_chain;
use edge::verdict::{Caller, Refusal, Verdict};
use grants::Asked;
use keys::NoKeys;

/// The sandbox of a request that names none.
const DEFAULT_SANDBOX: &str = "prod";
/// Longest api key that can be registered, in characters.
const MAX_API_KEY: usize = 256;
/// Longest `Authorization` header that is looked at, in bytes; a gateway passes no longer headers anyway.
const MAX_AUTHORIZATION: usize = 8 * 1024;

/// Judges a request by its headers, in the order of the contract's table. A registry or an issuer that does not answer
/// grants nothing.
pub async fn handle<C: ReadClients>(
    clients: &C,
    clock: &impl Clock,
    issuer: &Issuer<impl FetchKeys>,
    grants: &Grants,
    headers: Headers,
) -> Verdict {
    match judge(clients, clock.now(), issuer, grants, &headers).await {
        Ok(caller) => Verdict::Allow(caller),
        Err(refusal) => Verdict::Refuse(refusal),
    }
}

async fn judge<C: ReadClients>(
    clients: &C,
    now: Millis,
    issuer: &Issuer<impl FetchKeys>,
    grants: &Grants,
    headers: &Headers,
) -> Result<Caller, Refusal> {
    let asked = Asked {
        authorization: headers.get("authorization").unwrap_or_default(),
        api_key: headers.get("x-api-key").unwrap_or_default(),
        organization: headers.get("x-gw-ims-org-id").unwrap_or_default(),
        sandbox: headers.get("x-sandbox-name").unwrap_or(DEFAULT_SANDBOX),
    };
    if let Some(caller) = grants.remembered(&asked, now) {
        return Ok(caller);
    }
    let token = bearer(asked.authorization)?;
    let token = issuer.judge(token, now).await.map_err(|NoKeys| Refusal::Unavailable)?;
    let token = token.ok_or(Refusal::TokenInvalid)?;
    if asked.api_key.is_empty() {
        return Err(Refusal::KeyMissing);
    }
    if asked.api_key.len() > MAX_API_KEY {
        return Err(Refusal::KeyUnknown);
    }
    let client = clients.client(asked.api_key).await.map_err(|error| {
        log_chain("the registry did not answer", &error);
        Refusal::Unavailable
    })?;
    let client = client.ok_or(Refusal::KeyUnknown)?;
    if token.client_id != client.api_key {
        return Err(Refusal::TokenInvalid);
    }
    if asked.organization.is_empty() {
        return Err(Refusal::OrganizationMissing);
    }
    let caller = granted(&client, asked.organization, asked.sandbox).ok_or(Refusal::NotGranted)?;
    grants.remember(&asked, &caller, token.expires, now);
    Ok(caller)
}

/// The token of an `Authorization: Bearer …` header. Two headers arrive joined with a comma, which no token holds.
fn bearer(authorization: &str) -> Result<&str, Refusal> {
    if authorization.is_empty() {
        return Err(Refusal::TokenMissing);
    }
    let (scheme, token) = authorization.split_once(' ').ok_or(Refusal::TokenInvalid)?;
    let token = token.trim();
    let sound = token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let taken = scheme.eq_ignore_ascii_case("Bearer") && sound && authorization.len() <= MAX_AUTHORIZATION;
    taken.then_some(token).ok_or(Refusal::TokenInvalid)
}

/// What a client may do for an organization's sandbox, over all of its grants.
fn granted(client: &Client, organization: &str, sandbox: &str) -> Option<Caller> {
    let tenant = Tenant::new(organization, sandbox)?;
    let of_tenant = |org: &str, sandboxes: &[String]| org == organization && sandboxes.iter().any(|s| s == sandbox);
    let mut grants = client.grants.iter().filter(|g| of_tenant(&g.organization, &g.sandboxes)).peekable();
    grants.peek()?;
    let mut permissions: Vec<String> = grants.flat_map(|g| g.permissions.iter().cloned()).collect();
    permissions.sort();
    permissions.dedup();
    Some(Caller { tenant, client: client.api_key.clone(), permissions })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
