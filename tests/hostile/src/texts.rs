//! Texts: what clients ask, what the queue brings, what a table's owner sets.

use crate::sample;
use domain::cursor;
use domain::fields::{MAX_PATH_DEPTH, MAX_PATHS, Projection};
use domain::id::BatchId;
use domain::message::Message;
use domain::name_mapping::NameMapping;
use domain::problem::Problem;
use domain::request::MAX_SEGMENTS;
use domain::tenant::Tenant;
use domain::validation::{Accepted, judge};
use serde_json::Value;

/// A body is refused by naming what is wrong with it, or what its job shows again means the same.
pub fn request_body(bytes: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else { return };
    let Accepted { echo, resolved } = match judged(&body) {
        Ok(accepted) => accepted,
        Err(problem) => return is_told(&problem),
    };
    assert!(resolved.projection.paths.len() <= MAX_PATHS && resolved.filter.segments.len() <= MAX_SEGMENTS);
    assert!(resolved.projection.paths.iter().all(|path| path.len() <= MAX_PATH_DEPTH));
    assert!(resolved.filter.window.start.is_none_or(|start| resolved.filter.window.end.is_none_or(|end| start <= end)));
    let again = Value::Object(echo.clone());
    // The policy is shown as it was resolved, so that it is no part of the echo.
    let again = match body.get("mergePolicy") {
        Some(policy) => with(again, "mergePolicy", policy.clone()),
        None => again,
    };
    let again = judged(&again).expect("what a job shows again is a request");
    assert_eq!((again.echo, again.resolved), (echo, resolved));
}

/// Whether a body is one that a job is made of.
pub fn is_accepted(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Value>(bytes).is_ok_and(|body| judged(&body).is_ok())
}

fn judged(body: &Value) -> Result<Accepted, Problem> {
    let mut drawn = 0;
    let draw = || {
        drawn += 1;
        BatchId::new(drawn)
    };
    judge(body, &sample::registry(), draw)
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object.as_object_mut().unwrap().insert(name.into(), value);
    object
}

fn is_told(problem: &Problem) {
    assert!(!problem.violations.is_empty(), "{problem:?}");
    assert!(problem.violations.iter().all(|violation| !violation.message.trim().is_empty()));
    assert!((400..=501).contains(&problem.code.status()), "{problem:?}");
}

/// A cursor is none, or leads to the very job again.
pub fn cursor(bytes: &[u8]) {
    let Some(id) = str::from_utf8(bytes).ok().and_then(cursor::parse) else { return };
    assert_eq!(cursor::parse(&cursor::of(id)), Some(id));
}

/// Paths are never blank nor named twice, and read again they are the same.
pub fn field_paths(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let read = Projection::parse(text);
    assert!(read.paths.iter().all(|path| !path.is_empty() && !path.join(".").is_empty()));
    let written: Vec<_> = read.paths.iter().map(|path| path.join(".")).collect();
    assert_eq!(Projection::parse(&written.join(",")), read);
}

/// A message is poison, or says the same once it is sent again; a tenant in it is no way out of its keys.
pub fn queue_message(bytes: &[u8]) {
    let Some(message) = str::from_utf8(bytes).ok().and_then(Message::from_json) else { return };
    assert_eq!(Message::from_json(&message.to_json()), Some(message.clone()));
    let tenant = &message.tenant;
    assert_eq!(Tenant::new(tenant.organization(), tenant.sandbox()).as_ref(), Some(tenant));
    assert_eq!(tenant.key().matches('#').count(), 1);
    assert_eq!(tenant.object_prefix().matches('/').count(), 2);
}

/// A table's name mapping is refused in a clause, or tells columns.
pub fn name_mapping(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match NameMapping::parse(text) {
        Ok(mapping) => {
            let again = serde_json::to_string(&mapping).unwrap();
            assert_eq!(NameMapping::parse(&again), Ok(mapping));
        }
        Err(what) => assert!(!what.is_empty()),
    }
}
