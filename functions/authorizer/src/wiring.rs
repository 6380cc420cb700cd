//! What the function is made of.

use crate::{Expected, Grants, Issuer, KeySet, Keys};
use edge::authorizer::serve_authorizer;
use edge::clock::SystemClock;
use edge::settings::{self, AUTH_AUDIENCE, AUTH_CLIENT_CLAIM, AUTH_ISSUER, AUTH_JWKS, LOG_LEVEL, TABLE_NAME};
use edge::telemetry;
use std::error::Error;

/// The settings that the function reads.
pub const SETTINGS: &[&str] = &[LOG_LEVEL, TABLE_NAME, AUTH_JWKS, AUTH_ISSUER, AUTH_AUDIENCE, AUTH_CLIENT_CLAIM];

/// Serves until the process ends.
pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    telemetry::init("authorizer");
    let (table, keys, expected) = settings::read(SETTINGS, |s| {
        let expected = Expected {
            client_claim: s.text(AUTH_CLIENT_CLAIM),
            issuer: s.optional(AUTH_ISSUER),
            audience: s.optional(AUTH_AUDIENCE),
        };
        (s.text(TABLE_NAME), s.parsed(AUTH_JWKS, Keys::parse), expected)
    })?;
    let keys = keys.unwrap_or_else(|| Keys::Given(KeySet::default()));
    let issuer = Issuer { keys, expected };
    let aws = aws::connect().await;
    let clients = aws.registry(&table);
    let grants = Grants::default();
    serve_authorizer(|headers| crate::handle(&clients, &SystemClock, &issuer, &grants, headers)).await
}
