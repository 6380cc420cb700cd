//! What the function is made of.

use crate::{Grants, KeySet};
use edge::authorizer::serve_authorizer;
use edge::clock::SystemClock;
use edge::settings::{self, AUTH_JWKS, LOG_LEVEL, TABLE_NAME};
use edge::telemetry;
use std::error::Error;

/// The settings that the function reads.
pub const SETTINGS: &[&str] = &[LOG_LEVEL, TABLE_NAME, AUTH_JWKS];

/// Serves until the process ends.
pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    telemetry::init("authorizer");
    let (table, keys) = settings::read(SETTINGS, |s| {
        (s.text(TABLE_NAME), s.parsed(AUTH_JWKS, |text| KeySet::parse(text).map_err(|e| e.to_string())))
    })?;
    let keys = keys.unwrap_or_default();
    let aws = aws::connect().await;
    let clients = aws.registry(&table);
    let grants = Grants::default();
    serve_authorizer(|headers| crate::handle(&clients, &SystemClock, &keys, &grants, headers)).await
}
