//! Data that is not as it should be: the job that reads it fails with an error that names dataset and file, and the others
//! go on.

use super::*;
use crate::world::files;
use domain::ports::objects::Location;
use domain::schema::{Kind, Schema};
use lake::NewDataFile;

fn row(id: &str) -> Value {
    json!({"profileId": id, "ingestTime": day(1), "x": "1"})
}

/// The datasets `a` and `b`, and a policy under which `b` stands alone.
fn two() -> Store {
    let columns = json!({"x": "string"});
    let mut store = store(json!({
        "a": profiles(columns.clone(), json!([[row("p"), row("q")]])),
        "b": profiles(columns, json!([[row("p"), row("r")]])),
    }));
    let alone = json!({"type": "dataSetPrecedence", "order": ["b"]});
    store.policies.push(json!({"id": "alone", "version": 1, "identityGraph": "pdg", "attributeMerge": alone}));
    store.buckets = Some(1);
    store
}

/// Of two jobs at once, the one that reads the damaged dataset `a` fails, and all of this is said; the one that does not is
/// exported, and no message is left.
async fn fails_alone(world: &World, says: &[&str]) {
    let bad = world.post(&request(json!({}))).await.unwrap();
    let good = world.post(&request(json!({"mergePolicy": {"id": "alone"}}))).await.unwrap();
    assert_eq!(world.deliver(&[]).await, Vec::<String>::new());
    let (bad, good) = (world.get(&bad["id"]).await, world.get(&good["id"]).await);
    assert_eq!((bad["status"].as_str(), good["status"].as_str()), (Some("FAILED"), Some("SUCCEEDED")), "{bad:#}");
    assert_eq!(world.outcome(&good).await.rows, 2);
    let told = bad["errors"].to_string();
    let causes = bad["errors"][0]["callStack"].as_array().unwrap();
    assert!(!causes.is_empty() && causes.iter().all(Value::is_string), "no causes: {told}");
    for part in says {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert!(!told.contains("s3://") && !told.contains("data/"), "a path is in: {told}");
}

/// The same after something was done to the sandbox.
fn fails_after(damage: impl AsyncFnOnce(&World), says: &[&str]) {
    in_world(&two(), async |world| {
        damage(world).await;
        fails_alone(world, says).await;
    });
}

const FILE: &str = "f0-00000.parquet";

fn file_of_a(world: &World) -> Location {
    world.at(&format!("/a/data/{FILE}"))
}

#[test]
fn a_data_file_that_is_gone_is_named() {
    let gone = async |world: &World| world.delete(&file_of_a(world)).await;
    fails_after(gone, &[FILE, "dataset a", "is gone"]);
}

#[test]
fn a_data_file_that_was_cut_or_is_no_parquet_is_named() {
    let cut = async |world: &World| {
        let body = world.read(&file_of_a(world)).await;
        world.replace(&file_of_a(world), body.slice(..body.len() / 2)).await;
    };
    fails_after(cut, &[FILE, "dataset a", "cannot be read", "bytes"]);
    let text = async |world: &World| {
        let size = world.read(&file_of_a(world)).await.len();
        world.replace(&file_of_a(world), vec![b'x'; size]).await;
    };
    fails_after(text, &[FILE, "dataset a", "cannot be read", "no whole Parquet file"]);
}

#[test]
fn a_data_file_with_damaged_pages_is_named() {
    let damaged = async |world: &World| {
        let body = world.read(&file_of_a(world)).await;
        let footer = u32::from_le_bytes(body[body.len() - 8..body.len() - 4].try_into().unwrap()) as usize;
        let mut body = body.to_vec();
        let pages = 4..body.len() - 8 - footer;
        body[pages].fill(0xff);
        world.replace(&file_of_a(world), body).await;
    };
    fails_after(damaged, &[FILE, "dataset a", "cannot be read", "damaged"]);
}

/// Appends a file of one row to `a`, whose `x` is this; its metadata is what `lie` makes of the truth.
async fn append(world: &World, schema: &Schema, x: Value, lie: impl FnOnce(&mut NewDataFile)) {
    let row = json!({"profileId": "s", "ingestTime": day(2), "x": x});
    let (body, split_offsets) = files::write(schema, &[row.as_object().unwrap().clone()], None, false);
    // Paths may hold spaces.
    let location = "s3://lake/a/my data/other.parquet".to_owned();
    let mut file = NewDataFile { location, bytes: body.len() as u64, rows: 1, bucket: Some(0), split_offsets };
    world.put(&file.location, body).await;
    lie(&mut file);
    world.append("a", file).await;
}

#[test]
fn a_column_of_another_type_than_the_tables_is_named_with_its_file() {
    let surprise = async |world: &World| {
        let mut schema = world.columns("a").await;
        let x = schema.fields.iter_mut().find(|field| field.name == "x").unwrap();
        x.kind = Kind::Primitive("long".into());
        append(world, &schema, json!(2), |_| {}).await;
    };
    fails_after(surprise, &["other.parquet", "dataset a", "field x"]);
}

#[test]
fn a_size_that_is_not_the_files_is_told() {
    for (larger, smaller) in [(1, 0), (1 << 40, 0), (0, 1), (0, 400)] {
        let lie = async |world: &World| {
            let schema = world.columns("a").await;
            append(world, &schema, json!("2"), |file| file.bytes = file.bytes + larger - smaller).await;
        };
        fails_after(lie, &["other.parquet", "dataset a", "cannot be read", "bytes"]);
    }
}

#[test]
fn a_size_that_no_file_has_is_told() {
    let lie = async |world: &World| {
        let schema = world.columns("a").await;
        append(world, &schema, json!("2"), |file| file.bytes = 1 << 50).await;
    };
    fails_after(lie, &["other.parquet", "dataset a", "a size that no file has"]);
}

#[test]
fn counts_and_offsets_that_are_not_true_change_nothing() {
    let lies: [fn(&mut NewDataFile); 5] = [
        |file| file.rows = 0,
        |file| file.rows = 1 << 40,
        |file| file.split_offsets = vec![4, 5, 6, 7],
        |file| file.split_offsets = vec![1 << 40, 1 << 50],
        |file| file.split_offsets = vec![9, 3],
    ];
    for (lie, is_unique) in lies.into_iter().flat_map(|lie| [(lie, true), (lie, false)]) {
        let mut store = two();
        store.datasets.remove("b");
        store.datasets.get_mut("a").unwrap().unique = is_unique;
        store.buckets = (!is_unique).then_some(1);
        store.part_bytes = Some(1);
        in_world(&store, async |world| {
            let schema = world.columns("a").await;
            let told = |file: &mut NewDataFile| {
                lie(file);
                file.bucket = (!is_unique).then_some(0);
            };
            append(world, &schema, json!("2"), told).await;
            let outcome = world.export(&request(json!({"fields": "profileId,x"}))).await;
            let rows: Value = outcome.batches[0].iter().map(|row| json!([row["profileId"], row["x"]])).collect();
            assert_eq!(rows, json!([["p", "1"], ["q", "1"], ["s", "2"]]));
        });
    }
}

#[test]
fn table_metadata_that_is_gone_or_damaged_is_named() {
    // The newest snapshot's list of manifests; its manifest; what the catalog points at.
    for (folder, kind) in
        [("/a/metadata/snap-", "snap-"), ("/a/metadata/", "-m0.avro"), ("/a/metadata/00001-", ".json")]
    {
        for is_gone in [true, false] {
            let damage = async |world: &World| {
                let found = world.located(folder).into_iter().find(|at| at.key.contains(kind));
                let at = found.unwrap_or_else(|| panic!("{:?}", world.located("/a/metadata/")));
                match is_gone {
                    true => world.delete(&at).await,
                    false => world.replace(&at, "damaged").await,
                }
            };
            fails_after(damage, &["dataset a", "metadata", kind]);
        }
    }
}

#[test]
fn a_delete_file_that_is_gone_or_damaged_is_named() {
    let mut store = two();
    let deletes = json!({"positions": [["f0", 0]]});
    store.datasets.get_mut("a").unwrap().commits.push(serde_json::from_value(deletes).unwrap());
    for is_gone in [true, false] {
        in_world(&store, async |world| {
            let at = world.at("/a/deletes/");
            match is_gone {
                true => world.delete(&at).await,
                false => world.replace(&at, "damaged").await,
            }
            fails_alone(world, &[at.key.rsplit('/').next().unwrap(), "dataset a"]).await;
        });
    }
}

#[test]
fn messages_that_nobody_can_read_end_as_dead_letters_and_hold_nobody_up() {
    let known = |kind: &str| {
        format!(
            r#"{{"kind":"{kind}","organization":"EXAMPLE@AdobeOrg","sandbox":"prod","jobId":77,"part":4000000000}}"#
        )
    };
    let poison = [
        String::new(),
        "no json".into(),
        "{}".into(),
        "[".repeat(100_000),
        format!("\"{}\"", "x".repeat(1 << 20)),
        known("erase"),
        known("plan").replace("77", "-1"),
        known("plan").replace("prod", "../other"),
        known("part").replace("4000000000", "4294967296"),
    ];
    // Nothing is wrong with these but that there is no such job.
    let mut idle = ["plan", "part", "commit", "collect"].map(known).to_vec();
    idle.push(known("plan").replace("77", "9007199254740992"));
    in_world(&two(), async |world| {
        let good = world.post(&request(json!({}))).await.unwrap();
        let mut dead = world.deliver(&[&poison[..], &idle[..]].concat()).await;
        let mut expected = poison.to_vec();
        dead.sort();
        expected.sort();
        assert_eq!(dead, expected);
        assert_eq!(world.get(&good["id"]).await["status"], "SUCCEEDED");
    });
}

#[test]
fn messages_for_parts_that_a_job_does_not_have_do_nothing() {
    in_world(&two(), async |world| {
        let job = world.post(&request(json!({}))).await.unwrap();
        let id = job["id"].as_u64().unwrap();
        let part = |n: u32| {
            format!(r#"{{"kind":"part","part":{n},"organization":"EXAMPLE@AdobeOrg","sandbox":"prod","jobId":{id}}}"#)
        };
        let strange = [1, 2, 4_294_967_295].map(part);
        assert_eq!(world.deliver(&strange).await, Vec::<String>::new());
        let done = world.get(&job["id"]).await;
        assert_eq!(done["status"], "SUCCEEDED", "{done:#}");
        assert_eq!(world.deliver(&strange).await, Vec::<String>::new());
        assert_eq!(world.outcome(&done).await.rows, 3);
    });
}
