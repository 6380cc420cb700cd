//! Databases, tables, and how they stand in the catalog.

use super::*;
use domain::ports::lake::AppendOnce;

#[tokio::test]
async fn a_database_is_created_once() {
    let lake = lake();
    for _ in 0..2 {
        lake.ensure_database("lake", "s3://lake/").await.unwrap();
    }
    assert_eq!(lake.glue.databases_created(), 1);
    assert_eq!(lake.glue.database("lake").await.unwrap().location_uri.as_deref(), Some("s3://lake"));
}

#[tokio::test]
async fn a_table_stands_in_the_catalog_as_other_engines_expect_it() {
    let lake = with_exports().await;
    let entry = lake.glue.table(&exports()).await.unwrap();
    let first = entry.metadata_location().unwrap().to_owned();
    assert!(first.starts_with("s3://lake/exports/metadata/00000-") && first.ends_with(".metadata.json"), "{first}");
    let json = serde_json::to_value(&entry.input).unwrap();
    assert_eq!(json["TableType"], "EXTERNAL_TABLE");
    assert_eq!(json["Parameters"]["table_type"], "ICEBERG");
    assert_eq!(json["StorageDescriptor"]["Location"], "s3://lake/exports");
    let membership = &json["StorageDescriptor"]["Columns"][1];
    assert_eq!(membership["Type"], "map<string,map<string,struct<lastQualificationTime:timestamp,status:string>>>");
    assert_eq!(membership["Parameters"]["iceberg.field.id"], "2");
    assert_eq!(membership["Parameters"]["iceberg.field.optional"], "true");
    assert_eq!(membership["Parameters"]["iceberg.field.current"], "true");

    let mut entry = entry;
    entry.input.description = Some("ours".into());
    entry.input.parameters.insert("classification".into(), "parquet".into());
    lake.glue.put(&exports(), entry);
    let commit = commit(7, &[1], &look(&lake, &exports()).await);
    lake.append(&commit, || async { true }).await.unwrap();
    let entry = lake.glue.table(&exports()).await.unwrap();
    assert_eq!(entry.input.parameters["previous_metadata_location"], first);
    assert_eq!(entry.input.parameters["classification"], "parquet");
    assert_eq!(entry.input.description.as_deref(), Some("ours"));
}

#[tokio::test]
async fn a_name_that_is_taken_and_a_partition_of_nothing_are_refused() {
    let lake = with_exports().await;
    let taken = refusal(lake.create_export_table(&exports(), "s3://lake/other", &columns()).await);
    assert!(taken.contains("exists already"), "{taken}");
    for (n, column) in [(4, "nobody"), (0, "profileId")] {
        refusal(lake.create_profile_table(&profiles(), "s3://lake/p", &columns(), Some(n), column).await);
    }
}

#[tokio::test]
async fn the_catalog_lists_iceberg_tables_and_tells_what_exists() {
    let lake = with_exports().await;
    lake.ensure_database("lake", "s3://lake").await.unwrap();
    let other = TableName { database: "lake".into(), table: "csv".into() };
    lake.glue.put(&other, crate::glue::GlueTable::default());
    let catalog = lake.catalog();
    let namespace = iceberg::NamespaceIdent::new("lake".into());
    let exports = crate::catalog::ident(&exports());
    assert_eq!(catalog.list_tables(&namespace).await.unwrap(), std::slice::from_ref(&exports));
    assert!(catalog.table_exists(&exports).await.unwrap());
    assert!(!catalog.table_exists(&crate::catalog::ident(&profiles())).await.unwrap());
    assert!(!catalog.namespace_exists(&iceberg::NamespaceIdent::new("none".into())).await.unwrap());
    let namespace = catalog.get_namespace(&namespace).await.unwrap();
    assert_eq!(namespace.properties()["location"], "s3://lake");
    let never = catalog.drop_table(&exports).await.unwrap_err();
    assert_eq!(never.kind(), iceberg::ErrorKind::FeatureUnsupported);
}
