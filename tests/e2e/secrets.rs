//! Nothing that is somebody's gets into a log or a metric: canaries in every place that a client or a table can put them.

use crate::world::World;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn no_log_line_holds_personal_data_a_token_or_a_key() {
    let world = World::start(400).await;
    let mut request = World::request(&world.segments()[0]);
    // Every field of every member, addresses and names among them.
    request.as_object_mut().unwrap().remove("fields");
    let job = world.api().create(&request).await.unwrap();
    let job = world.watch(&job, |_, _| {}).await;
    assert_eq!(job["status"], "SUCCEEDED");
    assert!(job["metrics"]["totalExportedProfileCounter"].as_u64() > Some(0), "{job}");

    let refused = [
        json!({"fields": "personalEmail.canary@example.org", "schema": {"name": "canary"}, "destination": {"datasetId": "canary"}}),
        json!({"filter": {"segments": [{"segmentId": "canary", "status": ["canary"]}]}, "mergePolicy": {"id": "canary"}}),
    ];
    for body in refused {
        assert!(world.api().create(&body).await.unwrap_err().to_string().contains("400"));
    }
    assert!(world.api().list("status=canary&limit=canary&offset=canary").await.is_err());

    let mut logs = String::new();
    for entry in std::fs::read_dir(world.stack().data().join("logs")).unwrap() {
        logs.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    assert!(
        logs.contains(r#""status":400"#) && logs.contains(r#""task":"part""#),
        "the logs are those of these requests"
    );
    let token = world.token();
    let secrets = ["canary", "@example.", "Bearer", "local-secret", token.rsplit('.').next().unwrap()];
    for secret in secrets {
        let line = logs.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
    world.stop().await;
}
