//! Two tenants on one stack: nothing of one answers, lists or counts for the other.

use crate::world::{ORGANIZATION, World};
use admin::api::ApiError;
use domain::registry::{Client, Grant};
use serde_json::{Value, json};
use std::path::Path;

/// Who may do everything, in a tenant of its own.
fn neighbour(organization: &str, sandbox: &str) -> Client {
    let permissions = vec![edge::http::EXPORT_PERMISSION.into()];
    let grant = Grant { organization: organization.into(), sandboxes: vec![sandbox.into()], permissions };
    Client { api_key: format!("{organization}-{sandbox}"), grants: vec![grant] }
}

/// What a refusal says, an id in it left out.
fn told(answer: Result<Value, ApiError>, id: impl ToString) -> String {
    answer.unwrap_err().to_string().replace(&id.to_string(), "…")
}

/// The keys of all objects below a folder of the object store; names with a dot are the store's own notes.
fn keys(bucket: &Path, below: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path());
    let entries = entries.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
    let of = |path: std::path::PathBuf| match path.is_dir() {
        true => keys(bucket, &path),
        false => vec![path.strip_prefix(bucket).unwrap().to_string_lossy().into_owned()],
    };
    entries.flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_sees_of_a_job_what_is_to_be_seen_of_one_that_never_was() {
    let mut world = World::start(400).await;
    let request = World::request(&world.segments()[0]);
    let job = world.api().create(&request).await.unwrap();
    let job = world.watch(&job, |_, _| {}).await;
    assert_eq!(job["status"], "SUCCEEDED");
    let (id, created) = (job["id"].as_u64().unwrap(), &job["creationTime"]);
    for (organization, sandbox) in [("OTHER@AdobeOrg", "prod"), (ORGANIZATION, "dev"), ("prod", ORGANIZATION)] {
        let api = world.as_client(&neighbour(organization, sandbox)).await;
        let never = id ^ 1;
        assert_eq!(told(api.get(id).await, id), told(api.get(never).await, never));
        assert_eq!(told(api.delete(id).await, id), told(api.delete(never).await, never));
        for query in ["".into(), "status=SUCCEEDED".into(), "status=NEW".into(), format!("offset={created}_{}", id + 1)]
        {
            let page = api.list(&query).await.unwrap();
            let empty = (&json!([]), &json!(""), &json!(0));
            assert_eq!((&page["records"], &page["link"]["next"], &page["page"]["pageSize"]), empty, "{query}");
        }
        let (mut invented, dataset) = (request.clone(), request["destination"]["datasetId"].as_str().unwrap());
        invented["destination"]["datasetId"] = json!("never");
        assert_eq!(told(api.create(&request).await, dataset), told(api.create(&invented).await, "never"));
    }
    assert_eq!(world.api().get(id).await.unwrap(), job);
    assert_eq!(world.api().list("").await.unwrap()["page"]["pageSize"], 1);

    let state = world.stack().template().buckets.iter().find(|bucket| bucket.id == "StateBucket").unwrap();
    let bucket = world.stack().data().join("s3").join(&state.name);
    let keys = keys(&bucket, &bucket);
    assert!(
        !keys.is_empty() && keys.iter().all(|key| key.starts_with(&format!("{ORGANIZATION}/prod/"))),
        "I11: {keys:?}"
    );
    world.stop().await;
}
