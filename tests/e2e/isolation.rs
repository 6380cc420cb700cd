//! Two tenants on one stack: nothing of one answers, lists or counts for the other. Who may only look can do no more.

use crate::wire::{Answer, BASES, Headers, headers, ours, send};
use crate::world::{ORGANIZATION, World};
use admin::api::{Api, ApiError};
use admin::stack::{Place, Stack};
use admin::{jobs, registry, sample};
use domain::registry::{Client, Grant};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Another organization.
pub const OTHER: &str = "OTHER@AdobeOrg";

/// Who may do everything, in a tenant of its own.
pub fn neighbour(organization: &str, sandbox: &str) -> Client {
    let permissions = vec![edge::http::EXPORT_PERMISSION.into()];
    let grant = Grant { organization: organization.into(), sandboxes: vec![sandbox.into()], permissions };
    Client { api_key: format!("{organization}-{sandbox}"), grants: vec![grant] }
}

/// The API as another client, registered now, sees it, and the headers of its requests.
async fn registered(world: &mut World, client: &Client) -> (Api, Headers) {
    let caller = world.caller(client).await;
    (Api::new(&world.stack().url(), &caller), headers(&caller))
}

/// Registers for a client's tenant what the sample registers: the same ids, with tables of its own that hold nothing.
async fn register(world: &World, client: &Client) {
    let file = sample::REGISTRY.replace(ORGANIZATION, &client.grants[0].organization);
    let file = file.replace("segment-export-local", &client.api_key).replace("table: ", "table: neighbours_");
    let file = registry::RegistryFile::read(&file).unwrap();
    let place = Place { stack: Some(world.folder().join("stack.json")), ..Place::default() };
    let mut stack = Stack::find(place).unwrap();
    let (store, tables) = (stack.registry().await.unwrap(), stack.tables().await.unwrap());
    let plan = registry::plan(&file, &store, &tables, &stack.warehouse().unwrap()).await.unwrap();
    plan.carry_out(&store, &tables).await.unwrap();
}

/// What a refusal says, an id in it left out.
fn told(answer: Result<Value, ApiError>, id: impl ToString) -> String {
    answer.unwrap_err().to_string().replace(&id.to_string(), "…")
}

/// What every way to ask for a job, and to end it, is answered, its id left out.
async fn asked(world: &World, client: &Headers, id: u64) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    for path in BASES.iter().flat_map(|base| [format!("{base}/{id}"), format!("{base}/{id}/")]) {
        for method in ["GET", "HEAD", "DELETE"] {
            let answer = send(world, method, &path, client, "").await;
            answers.push((answer.status, answer.body.replace(&id.to_string(), "…")));
        }
    }
    answers
}

/// A POST with an idempotency key.
async fn post(world: &World, client: &Headers, key: &str, request: &Value) -> Answer {
    let mut sent = client.clone();
    sent.insert("idempotency-key", key.to_owned());
    send(world, "POST", "/export/jobs", &sent, &request.to_string()).await
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

/// The keys of all objects of a bucket of the template.
fn objects(world: &World, bucket: &str) -> Vec<String> {
    let bucket = world.stack().template().buckets.iter().find(|known| known.id == bucket).unwrap();
    let folder = world.stack().data().join("s3").join(&bucket.name);
    keys(&folder, &folder)
}

/// All that is stored: its key's first two names, which are its owner's, and what else it says.
fn stored(world: &World) -> Vec<(String, String)> {
    let owner = |key: &str, between: char| key.split(between).take(2).collect::<Vec<_>>().join("#");
    let objects = ["StateBucket", "LakeBucket"].into_iter().flat_map(|bucket| objects(world, bucket));
    let objects = objects.map(|key| (owner(&key, '/'), key));
    let items = world.items().into_iter().map(|item| (owner(item["PK"]["S"].as_str().unwrap(), '#'), item.to_string()));
    objects.chain(items).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_sees_of_a_job_what_is_to_be_seen_of_one_that_never_was() {
    let mut world = World::start(400).await;
    let request = World::request(&world.segments()[0]);
    let job = post(&world, &ours(&world), "key", &request).await.json();
    let job = world.watch(&job, |_, _| {}).await;
    assert_eq!(job["status"], "SUCCEEDED");
    let (id, created) = (job["id"].as_u64().unwrap(), &job["creationTime"]);
    for (organization, sandbox) in [(OTHER, "prod"), (ORGANIZATION, "dev"), ("prod", ORGANIZATION)] {
        let client = neighbour(organization, sandbox);
        let (api, theirs) = registered(&mut world, &client).await;
        let never = id ^ 1;
        assert_eq!(told(api.get(id).await, id), told(api.get(never).await, never));
        assert_eq!(told(api.delete(id).await, id), told(api.delete(never).await, never));
        let answers = asked(&world, &theirs, id).await;
        assert!(answers.iter().all(|(status, _)| *status == 404), "{answers:?}");
        assert_eq!(answers, asked(&world, &theirs, never).await);
        for query in ["".into(), "status=SUCCEEDED".into(), "status=NEW".into(), format!("offset={created}_{}", id + 1)]
        {
            let page = api.list(&query).await.unwrap();
            let empty = (&json!([]), &json!(""), &json!(0));
            assert_eq!((&page["records"], &page["link"]["next"], &page["page"]["pageSize"]), empty, "{query}");
        }
        for path in BASES.iter().flat_map(|base| [(*base).to_owned(), format!("{base}/")]) {
            let page = send(&world, "GET", &path, &theirs, "").await;
            assert_eq!((page.status, &page.json()["records"]), (200, &json!([])), "{path}");
            let head = send(&world, "HEAD", &path, &theirs, "").await;
            assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        }
        let (mut invented, dataset) = (request.clone(), request["destination"]["datasetId"].as_str().unwrap());
        invented["destination"]["datasetId"] = json!("invented");
        assert_eq!(told(api.create(&request).await, dataset), told(api.create(&invented).await, "invented"));
        let refused = post(&world, &theirs, "key", &request).await;
        let expected = post(&world, &theirs, "key", &invented).await;
        assert_eq!((refused.status, expected.status), (400, 400), "{refused:?}");
        assert_eq!(refused.body.replace(dataset, "…"), expected.body.replace("invented", "…"));
    }
    assert_eq!(world.api().get(id).await.unwrap(), job);
    assert_eq!(world.api().list("").await.unwrap()["page"]["pageSize"], 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_tenants_make_of_the_same_keys_and_datasets_is_each_tenants_own() {
    let mut world = World::start(400).await;
    let request = World::request(&world.segments()[0]);
    let mut other = request.clone();
    other["fields"] = json!("identityMap");
    let client = neighbour(OTHER, "prod");
    register(&world, &client).await;
    let (their_api, theirs) = registered(&mut world, &client).await;
    let (our_api, ours) = (world.api(), ours(&world));
    let mut made = Vec::new();
    // The neighbour uses both of our keys: one with the same request, one with another.
    for (organization, api, client, requests) in
        [(ORGANIZATION, &our_api, &ours, [&request, &request]), (OTHER, &their_api, &theirs, [&request, &other])]
    {
        for (key, request) in ["one", "two"].into_iter().zip(requests) {
            let answer = post(&world, client, key, request).await;
            assert_eq!(answer.status, 200, "{organization}, {key}: {answer:?}");
            let id = answer.json()["id"].as_u64().unwrap();
            let job = jobs::watch(api, id, Duration::from_millis(50), |_| {}).await.unwrap();
            assert_eq!((&job["status"], &job["imsOrgId"]), (&json!("SUCCEEDED"), &json!(organization)), "{job}");
            let rows = job["metrics"]["totalExportedProfileCounter"].as_u64().unwrap();
            assert_eq!(rows > 0, organization == ORGANIZATION, "the neighbour's tables hold nothing: {job}");
            assert_eq!(post(&world, client, key, request).await.json()["id"], id, "the first job again");
            made.push((organization, job));
        }
    }
    assert_eq!(made.iter().map(|(_, job)| job["id"].to_string()).collect::<BTreeSet<_>>().len(), 4);
    for (organization, api) in [(ORGANIZATION, &our_api), (OTHER, &their_api)] {
        let own = made.iter().rev().filter(|(of, _)| *of == organization).map(|(_, job)| job.clone());
        assert_eq!(api.list("").await.unwrap()["records"], own.collect::<Value>());
        for bucket in ["StateBucket", "LakeBucket"] {
            let keys = objects(&world, bucket);
            assert!(keys.iter().any(|key| key.starts_with(&format!("{organization}/prod/"))), "{bucket}: {keys:?}");
        }
    }
    let (stored, tenants) = (stored(&world), [ORGANIZATION, OTHER].map(|organization| format!("{organization}#prod")));
    let is_known = |owner: &String| tenants.contains(owner) || owner.starts_with("CLIENT#");
    let strange: Vec<_> = stored.iter().filter(|(owner, _)| !is_known(owner)).collect();
    assert!(strange.is_empty(), "I11: {strange:?}");
    for (organization, job) in &made {
        let names = [job["id"].to_string(), job["destination"]["batchId"].as_str().unwrap().to_owned()];
        let about = stored.iter().filter(|(_, what)| names.iter().any(|name| what.contains(name)));
        let owners: Vec<_> = about.map(|(owner, _)| owner.as_str()).collect();
        assert!(owners.len() >= 4, "record, key, what is to be collected and plan: {owners:?}");
        assert!(owners.iter().all(|owner| *owner == format!("{organization}#prod")), "I11: {owners:?}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_the_permission_looks_and_neither_makes_nor_ends_a_job() {
    let mut world = World::start(100).await;
    let request = World::request(&world.segments()[0]);
    let job = world.api().create(&request).await.unwrap();
    let job = world.watch(&job, |_, _| {}).await;
    let id = job["id"].as_u64().unwrap();
    let mut reader = neighbour(ORGANIZATION, "prod");
    reader.grants[0].permissions = vec!["view-segments".into()];
    let (api, theirs) = registered(&mut world, &reader).await;
    let may_look = async || {
        assert_eq!(api.get(id).await.unwrap(), job);
        assert_eq!(api.list("").await.unwrap()["records"], json!([job]));
    };
    may_look().await;
    for base in BASES {
        for (method, path, body) in [
            ("POST", base.to_owned(), request.to_string()),
            ("DELETE", format!("{base}/{id}"), String::new()),
            ("DELETE", format!("{base}/{}", id ^ 1), String::new()),
        ] {
            let answer = send(&world, method, &path, &theirs, &body).await;
            let told = answer.json();
            assert_eq!((answer.status, &told["status"]), (403, &json!(403)), "{method} {path}: {told}");
            assert_eq!(told["type"], "https://ns.adobe.com/aep/errors/UPAPI-113042-403", "{method} {path}");
            assert_eq!(told["errors"]["403"][0]["code"], "UPAPI-113042-403", "{method} {path}");
        }
    }
    may_look().await;
    world.stop().await;
}
