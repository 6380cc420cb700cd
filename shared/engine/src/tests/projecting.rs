//! Which fields are exported, and in what form.

use super::table::*;
use arrow_schema::{DataType, Field as ArrowField};
use domain::fields::Projection;
use domain::schema::{Field, Kind, Nested};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use serde_json::{Value, json};
use testkit::MemoryObjects;

fn row() -> Value {
    json!({
        "profileId": "p1",
        "ingestTime": "2020-01-01T00:00:00Z",
        "identityMap": {
            "ECID": [{ "id": "e1", "authenticatedState": "ambiguous", "primary": true }, { "id": "e2" }],
            "Email": [{ "id": "m1", "primary": false }],
            "Phone": [] },
        "segmentMembership": {
            "ups": { "s1": { "status": "realized", "version": 1 }, "s2": { "status": "exited", "version": 2 } },
            "aam": { "s1": { "status": "existing", "version": 3 } } },
        "personalEmail": { "address": "a@example.com", "label": "home" },
        "score": 7,
        "orders": [{ "sku": "x", "quantity": 2, "price": 1.5 }, { "sku": "y" }],
        "ratio": 0.5,
        "tags": ["t1", "t2"],
    })
}

async fn exported_row(paths: &str) -> Value {
    let (mut rows, _) = Job::fields(paths).rows(&[row()]).await;
    assert_eq!(rows.len(), 1, "{paths}");
    rows.remove(0)
}

#[tokio::test]
async fn without_a_projection_everything_that_the_source_has_is_exported() {
    assert_eq!(exported_row("").await, canonical(&[row()])[0]);
}

#[tokio::test]
async fn a_path_into_a_struct_keeps_that_child_only() {
    assert_eq!(
        exported_row("personalEmail.address,score").await,
        json!({
        "personalEmail": { "address": "a@example.com" }, "score": 7 })
    );
}

#[tokio::test]
async fn a_path_through_a_list_keeps_that_child_of_every_element() {
    assert_eq!(
        exported_row("orders.sku,tags").await,
        json!({
        "orders": [{ "sku": "x" }, { "sku": "y" }], "tags": ["t1", "t2"] })
    );
}

#[tokio::test]
async fn a_path_into_a_map_keeps_that_key_only() {
    assert_eq!(
        exported_row("identityMap.ECID").await,
        json!({
        "identityMap": { "ECID": row()["identityMap"]["ECID"] } })
    );
    assert_eq!(exported_row("identityMap.ecid").await, json!({ "identityMap": {} }));
    assert_eq!(
        exported_row("segmentMembership.ups.s2.status").await,
        json!({
        "segmentMembership": { "ups": { "s2": { "status": "exited" } } } })
    );
}

#[tokio::test]
async fn a_star_stands_for_every_key() {
    let ids =
        json!({ "identityMap": { "ECID": [{ "id": "e1" }, { "id": "e2" }], "Email": [{ "id": "m1" }], "Phone": [] } });
    assert_eq!(exported_row("identities.id").await, ids);
    assert_eq!(exported_row("identityMap.*.id").await, ids);
    assert_eq!(exported_row("identityMap.*").await["identityMap"], row()["identityMap"]);
}

#[tokio::test]
async fn what_is_kept_of_a_value_may_depend_on_its_key() {
    assert_eq!(
        exported_row("identityMap.ECID.id,identityMap.Email.primary").await,
        json!({
        "identityMap": { "ECID": [{ "id": "e1" }, { "id": "e2" }], "Email": [{ "primary": false }] } })
    );
    assert_eq!(
        exported_row("segmentMembership.ups.s1,segmentMembership.*.*.version").await,
        json!({
        "segmentMembership": {
            "ups": { "s1": { "status": "realized", "version": 1 }, "s2": { "version": 2 } },
            "aam": { "s1": { "version": 3 } } } })
    );
}

#[tokio::test]
async fn nulls_stay_where_they_are() {
    let rows = [
        json!({ "profileId": "a", "personalEmail": {}, "orders": [null, {}], "identityMap": {}, "tags": [null] }),
        json!({ "profileId": "b" }),
    ];
    for paths in ["", "profileId,personalEmail.address,orders.sku,identityMap.ECID.id,tags"] {
        assert_eq!(Job::fields(paths).rows(&rows).await.0, canonical(&rows), "{paths}");
    }
}

#[tokio::test]
async fn a_projection_of_nothing_but_the_batch_still_exports_each_row() {
    let (rows, outputs) = Job::fields("elsewhere").rows(&[row(), row()]).await;
    assert_eq!(rows, [json!({}), json!({})]);
    assert_eq!((outputs.counts.rows, outputs.files[0].profile_id_bounds.clone()), (2, None));
}

#[tokio::test]
async fn columns_come_in_the_targets_order_with_its_field_ids_at_every_level() {
    let store = MemoryObjects::default();
    let source = batch(&arrow_schema(&source_schema()), &[row()]);
    let file = put(&store, "a", parquet(&source, 10)).await;
    let (_, outputs) = Job::default().files(&store, vec![file]).await;
    let batch = &exported(&store, &outputs).await[0];
    let target: Vec<_> = target_schema().fields.into_iter().filter(|f| f.name != "elsewhere").collect();
    let schema = batch.schema();
    assert_eq!(schema.fields().len(), target.len());
    for (field, wanted) in schema.fields().iter().zip(&target) {
        same_ids(field, wanted);
        assert_eq!(field.is_nullable(), wanted.name != "batchId", "{}", wanted.name);
    }
    assert_eq!(schema.field_with_name("score").unwrap().data_type(), &DataType::Int64);
    assert_eq!(schema.field_with_name("ratio").unwrap().data_type(), &DataType::Float64);
    assert_eq!(schema.field_with_name("batchId").unwrap().data_type(), &DataType::Utf8);
    assert!(schema.metadata().is_empty(), "no Arrow schema is embedded");
}

fn same_ids(field: &ArrowField, wanted: &Field) {
    assert_eq!(field.name(), &wanted.name);
    assert_eq!(id(field), wanted.id, "{}", wanted.name);
    same_ids_below(field.data_type(), &wanted.kind);
}

fn same_ids_below(data_type: &DataType, wanted: &Kind) {
    match (data_type, wanted) {
        (DataType::Struct(fields), Kind::Nested(Nested::Struct { fields: wanted })) => {
            assert_eq!(fields.len(), wanted.len());
            fields.iter().zip(wanted).for_each(|(field, wanted)| same_ids(field, wanted));
        }
        (DataType::List(field), Kind::Nested(Nested::List { element_id, element, .. })) => {
            assert_eq!((field.name().as_str(), id(field)), ("element", *element_id));
            same_ids_below(field.data_type(), element);
        }
        (DataType::Map(entries, _), Kind::Nested(Nested::Map { key_id, key, value_id, value, .. })) => {
            assert_eq!(entries.name(), "key_value");
            let DataType::Struct(pair) = entries.data_type() else { panic!("{entries}") };
            assert_eq!((pair[0].name().as_str(), id(&pair[0]), pair[0].is_nullable()), ("key", *key_id, false));
            assert_eq!((pair[1].name().as_str(), id(&pair[1])), ("value", *value_id));
            same_ids_below(pair[0].data_type(), key);
            same_ids_below(pair[1].data_type(), value);
        }
        (leaf, Kind::Primitive(_)) => assert!(!leaf.is_nested(), "{leaf}"),
        (other, wanted) => panic!("{other} where {wanted:?} is wanted"),
    }
}

fn id(field: &ArrowField) -> i32 {
    field.metadata()[PARQUET_FIELD_ID_META_KEY].parse().unwrap()
}

#[tokio::test]
async fn a_tables_own_names_are_mapped_to_the_standard_ones() {
    let mut job =
        Job { projection: Projection::parse("profileId,identityMap.ECID.id"), ..Job::segment("ups", "s1", &[]) };
    job.columns.profile_id = "customer_id".into();
    job.columns.identity_map = "ids".into();
    job.columns.segment_membership = "audiences".into();
    for (field, name) in [(0, "customer_id"), (2, "ids"), (3, "audiences")] {
        job.source.fields[field].name = name.into();
    }
    let store = MemoryObjects::default();
    let rows = [json!({ "customer_id": "c1", "ids": { "ECID": [{ "id": "e" }] },
                        "audiences": { "ups": { "s1": { "status": "realized" } } } })];
    let file = put(&store, "a", parquet(&batch(&arrow_schema(&job.source), &rows), 10)).await;
    let (rows, outputs) = job.files(&store, vec![file]).await;
    assert_eq!(rows, [json!({ "identityMap": { "ECID": [{ "id": "e" }] }, "profileId": "c1" })]);
    assert_eq!(outputs.files[0].profile_id_bounds, Some(("c1".into(), "c1".into())));
}
