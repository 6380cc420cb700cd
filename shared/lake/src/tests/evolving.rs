//! Schemas that change under their files.

use super::*;
use crate::twin::Fault;
use domain::schema::{Field, Kind};

fn plain(name: &str) -> Kind {
    Kind::Primitive(name.into())
}

fn field(id: i32, name: &str, kind: &str) -> Field {
    Field { id, name: name.into(), required: false, kind: plain(kind) }
}

/// The columns of a table of profiles, and then some.
async fn with_numbers() -> (TestLake, Schema) {
    let lake = lake();
    let mut columns = columns();
    columns.fields.push(field(10, "age", "int"));
    columns.fields.push(field(11, "email", "string"));
    lake.create_profile_table(&profiles(), "s3://lake/profiles", &columns, Some(4), "profileId").await.unwrap();
    lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
    let schema = look(&lake, &profiles()).await.copy.schema;
    (lake, schema)
}

#[tokio::test]
async fn columns_are_added_dropped_renamed_reordered_and_promoted_under_their_ids() {
    let (lake, mut schema) = with_numbers().await;
    let id = |name: &str| schema.field(name).unwrap().id;
    let (profile_id, age, email, new) = (id("profileId"), id("age"), id("email"), 100);
    schema.fields = vec![
        field(new, "score", "double"),
        field(email, "mail", "string"),
        field(profile_id, "profileId", "string"),
        field(age, "age", "long"),
    ];
    let before = look(&lake, &profiles()).await;
    lake.evolve(&profiles(), &schema).await.unwrap();
    let after = look(&lake, &profiles()).await;
    assert_eq!(after.copy.schema.fields, schema.fields);
    assert_eq!((after.snapshot_id, after.copy.buckets), (before.snapshot_id, Some(4)));
    lake.append_files(&profiles(), vec![new_file("b", Some(1))]).await.unwrap();
    let files = lake.files(&pin(&profiles(), &look(&lake, &profiles()).await), "profileId").await.unwrap();
    assert_eq!(files.data.iter().map(|f| f.bucket).collect::<Vec<_>>(), [Some(0), Some(1)]);
}

#[tokio::test]
async fn a_schema_stands_once_whoever_moves_the_table_and_whatever_is_lost() {
    for fault in [None, Some(Fault::BeforeEffect), Some(Fault::AfterEffect), Some(Fault::Overtaken)] {
        let (lake, mut schema) = with_numbers().await;
        if let Some(fault) = fault {
            lake.glue.fail_next_update(fault);
        }
        schema.fields.push(field(100, "score", "double"));
        lake.evolve(&profiles(), &schema).await.unwrap();
        let written = lake.glue.versions();
        assert_eq!(look(&lake, &profiles()).await.copy.schema.fields, schema.fields, "{fault:?}");
        lake.evolve(&profiles(), &schema).await.unwrap();
        assert_eq!(lake.glue.versions(), written, "{fault:?}");
        let judged = lake.judge(&profiles()).await.unwrap();
        assert_eq!(judged.table().metadata().schemas_iter().count(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_column_that_the_table_is_partitioned_by_is_not_dropped() {
    let (lake, mut schema) = with_numbers().await;
    schema.fields.retain(|f| f.name != "profileId");
    let sentence = refusal(lake.evolve(&profiles(), &schema).await);
    assert!(sentence.contains("partitioned by"), "{sentence}");
}
