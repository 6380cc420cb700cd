//! Tables that PyIceberg wrote (`tests/tables/generate.py`), as PyIceberg itself tells them.

use super::*;
use crate::glue::GlueTable;
use bytes::Bytes;
use domain::plan::TableFiles;
use domain::ports::objects::{Location, WriteObjects};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A lake with that table, and what PyIceberg says of it.
async fn with_table(name: &str) -> (TestLake, TableName, Value) {
    let lake = lake();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables");
    let mut open: Vec<PathBuf> = vec![folder.join(name)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let key = path.strip_prefix(&folder).unwrap().to_str().unwrap().replace('\\', "/");
        let at = Location::parse(&format!("s3://lake/{key}")).unwrap();
        lake.objects.create(&at, Bytes::from(std::fs::read(path).unwrap())).await.unwrap();
    }
    let told = std::fs::read(folder.join(name).join("expected.json")).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    let table = TableName { database: "lake".into(), table: name.into() };
    let mut entry = GlueTable { version_id: Some("0".into()), ..GlueTable::default() };
    entry.input.name = name.into();
    let parameters = [("table_type", "ICEBERG"), ("metadata_location", told["metadata"].as_str().unwrap())];
    entry.input.parameters = parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    lake.glue.put(&table, entry);
    (lake, table, told)
}

fn shown(mut files: TableFiles) -> Value {
    files.data.sort_by(|a, b| a.location.cmp(&b.location));
    let file = |f: &domain::plan::DataFile| json!({"location": f.location, "bytes": f.bytes, "rows": f.rows, "bucket": f.bucket});
    assert_eq!(files.deletes, []);
    files.data.iter().map(file).collect()
}

#[tokio::test]
async fn live_files_and_their_buckets_are_those_that_pyiceberg_tells() {
    for name in ["evolved", "events"] {
        let (lake, table, told) = with_table(name).await;
        let state = look(&lake, &table).await;
        assert_eq!((state.copy.format_version, state.copy.buckets), (2, Some(4)), "{name}");
        assert_eq!(shown(lake.files(&pin(&table, &state), "profileId").await.unwrap()), told["files"], "{name}");
    }
}

#[tokio::test]
async fn an_evolved_schema_is_told_with_its_ids_names_order_and_types() {
    let (lake, table, told) = with_table("evolved").await;
    let schema = look(&lake, &table).await.copy.schema;
    let told: Vec<_> = told["columns"].as_array().unwrap().iter().map(|c| (c[0].as_i64(), c[1].as_str())).collect();
    let ours: Vec<_> = schema.fields.iter().map(|f| (Some(i64::from(f.id)), Some(f.name.as_str()))).collect();
    assert_eq!(ours, told);
    assert_eq!(schema.field("age").unwrap().kind.describe(), "long");
    for (path, stands) in [("person.alias", true), ("person.city", true), ("person.nick", false), ("obsolete", false)] {
        assert_eq!(schema.has_path(path.split('.')), stands, "{path}");
    }
}

#[tokio::test]
async fn deletes_that_are_loaded_reach_the_files_of_pyiceberg() {
    let (lake, table, _) = with_table("evolved").await;
    let location = "s3://lake/evolved/data/deletes.parquet".to_owned();
    let kind = domain::plan::DeleteKind::Equality { field_ids: vec![1] };
    let deletes = NewDeleteFile { location, bytes: 1, rows: 1, bucket: Some(2), kind };
    lake.append_changes(&table, vec![], vec![deletes]).await.unwrap();
    let files = lake.files(&pin(&table, &look(&lake, &table).await), "profileId").await.unwrap();
    assert_eq!(files.deletes.len(), 1);
    assert!(files.data.iter().all(|f| f.deletes.is_empty() == (f.bucket != Some(2))));
}
