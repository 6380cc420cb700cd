//! The sample events of `infra/events/`: one per function, in the shape that AWS sends.

use crate::routes;
use crate::template::{FUNCTIONS, logical_id, root};
use domain::message::Message;
use serde_json::Value;

fn event(folder: &str) -> Value {
    let path = root().join(format!("infra/events/{folder}.json"));
    serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

#[test]
fn every_function_has_a_sample_event_and_no_other_has() {
    let entries = std::fs::read_dir(root().join("infra/events")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, FUNCTIONS.map(|folder| format!("{folder}.json")));
}

#[test]
fn the_routes_events_stand_on_their_routes_behind_an_allowing_verdict() {
    let expected = routes::expected();
    for folder in ["create_export_job", "list_export_jobs", "get_export_job", "cancel_export_job"] {
        let event = event(folder);
        let key = event["routeKey"].as_str().unwrap();
        assert_eq!(expected.get(key), Some(&logical_id(folder)), "{folder}");
        let id = event["pathParameters"]["id"].as_str().unwrap_or_default();
        let (method, path) = key.split_once(' ').unwrap();
        assert_eq!(event["rawPath"], path.replace("{id}", id), "{folder}");
        let context = &event["requestContext"];
        assert_eq!(
            (&context["routeKey"], &context["http"]["path"]),
            (&event["routeKey"], &event["rawPath"]),
            "{folder}"
        );
        assert_eq!(context["http"]["method"], method, "{folder}");
        let verdict = &context["authorizer"]["lambda"];
        assert_eq!(verdict["verdict"], "allow", "{folder}");
        for name in ["organization", "sandbox", "client", "permissions"] {
            assert!(verdict[name].is_string(), "{folder}: {name}");
        }
    }
}

#[test]
fn the_authorizers_event_is_a_request_without_a_verdict() {
    let event = event("authorizer");
    assert_eq!((&event["version"], &event["type"]), (&"2.0".into(), &"REQUEST".into()));
    assert!(event["requestContext"]["authorizer"].is_null() && event["headers"]["authorization"].is_string());
}

#[test]
fn the_workers_event_holds_one_message_that_it_understands() {
    let event = event("export_worker");
    let records = event["Records"].as_array().unwrap();
    assert_eq!(records.len(), 1);
    assert!(Message::from_json(records[0]["body"].as_str().unwrap()).is_some());
}

#[test]
fn the_sweepers_event_is_a_scheduled_one() {
    assert_eq!(event("sweeper")["detail-type"], "Scheduled Event");
}

/// Why `sam local invoke` cannot be run here, if it cannot.
fn lacking() -> Option<&'static str> {
    let engine = std::process::Command::new("docker").arg("info").output();
    match engine.is_ok_and(|said| said.status.success()) {
        false => Some("no container engine answers"),
        true if !root().join(".venv/bin/sam").exists() => Some(".ci/run has not installed the SAM CLI"),
        true if !root().join(".aws-sam/build/template.yaml").exists() => Some("sam build has made no packages"),
        true => None,
    }
}

#[test]
fn sam_local_invoke_answers_each_event_where_there_is_a_container_engine() {
    if let Some(reason) = lacking() {
        println!("skipped: {reason}");
        return;
    }
    let ran = std::process::Command::new(root().join(".ci/events")).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && !said.contains("skipped"), "{said}");
}
