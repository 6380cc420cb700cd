//! What a pin holds, and what a table tells besides its files.

use super::*;
use domain::name_mapping::{NAME_MAPPING, NamedField};
use domain::plan::{DeleteKind, TableFiles};
use domain::schema::{Field, Kind, Nested};
use iceberg::spec::DataContentType::EqualityDeletes;
use std::collections::HashMap;

async fn planned(lake: &TestLake) -> TableFiles {
    let state = look(lake, &profiles()).await;
    lake.files(&pin(&profiles(), &state), "profileId").await.unwrap()
}

async fn set(lake: &TestLake, name_mapping: &str) {
    let properties = HashMap::from([(NAME_MAPPING.to_owned(), name_mapping.to_owned())]);
    change(lake, &profiles(), |b| b.set_properties(properties)).await;
}

/// Makes these the current columns.
async fn evolve(lake: &TestLake, change: impl FnOnce(&mut Vec<Field>)) {
    let mut schema = look(lake, &profiles()).await.copy.schema;
    change(&mut schema.fields);
    lake.evolve(&profiles(), &schema).await.unwrap();
}

fn text(id: i32, name: &str) -> Field {
    Field { id, name: name.into(), required: false, kind: Kind::Primitive("string".into()) }
}

#[tokio::test]
async fn a_name_mapping_is_told_with_the_files() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
    assert_eq!(planned(&lake).await.name_mapping, None);
    set(&lake, r#"[{"names":["id","profileId"],"field-id":1,"comment":"renamed"}]"#).await;
    let field = NamedField { names: vec!["id".into(), "profileId".into()], field_id: Some(1), fields: Vec::new() };
    assert_eq!(planned(&lake).await.name_mapping.unwrap().fields, [field]);
    assert_eq!(look(&lake, &profiles()).await.copy.name_mapping_flaw, None);
}

#[tokio::test]
async fn a_damaged_name_mapping_is_refused_in_a_sentence() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
    for damaged in ["", "[{", r#"[{"names":["a"]},{"names":["a"]}]"#] {
        set(&lake, damaged).await;
        let state = look(&lake, &profiles()).await;
        assert!(state.copy.name_mapping_flaw.is_some(), "POST refuses the table already");
        let sentence = refusal(lake.files(&pin(&profiles(), &state), "profileId").await);
        for part in ["lake.profiles", NAME_MAPPING, "set the property anew"] {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
    }
}

#[tokio::test]
async fn a_pin_holds_its_schema_whatever_the_table_becomes() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![new_file("a", Some(3))]).await.unwrap();
    let before = look(&lake, &profiles()).await;
    let pinned = pin(&profiles(), &before);
    evolve(&lake, |fields| {
        fields[0].name = "customer".into();
        fields.push(text(50, "more"));
    })
    .await;
    let now = look(&lake, &profiles()).await;
    assert_ne!(now.copy.schema, before.copy.schema);
    assert_eq!(lake.look_pinned(&pinned, "profileId").await.unwrap(), before);
    assert_eq!(lake.look_pinned(&pin(&profiles(), &now), "profileId").await.unwrap(), now);
    assert_eq!(lake.files(&pinned, "profileId").await.unwrap().data[0].bucket, Some(3), "by the column's name then");
    assert_eq!(lake.files(&pin(&profiles(), &now), "customer").await.unwrap().data[0].bucket, Some(3));
    let of_older_release = Pin { schema_id: None, ..pinned };
    assert_eq!(lake.look_pinned(&of_older_release, "profileId").await.unwrap(), now);
}

#[tokio::test]
async fn a_column_that_came_without_a_snapshot_is_pinned() {
    let lake = with_profiles().await;
    lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
    let before = look(&lake, &profiles()).await;
    evolve(&lake, |fields| fields.push(text(50, "more"))).await;
    let now = look(&lake, &profiles()).await;
    assert_eq!(now.snapshot_id, before.snapshot_id);
    let pinned = lake.look_pinned(&pin(&profiles(), &now), "profileId").await.unwrap();
    assert!(pinned.copy.schema.field("more").is_some());
}

#[tokio::test]
async fn a_pinned_schema_that_is_gone_and_another_table_are_told() {
    let lake = with_profiles().await;
    let pinned = pin(&profiles(), &look(&lake, &profiles()).await);
    evolve(&lake, |fields| fields.push(text(50, "more"))).await;
    change(&lake, &profiles(), |b| b.remove_schemas(&[pinned.schema_id.unwrap()])).await;
    let sentences =
        [refusal(lake.look_pinned(&pinned, "profileId").await), refusal(lake.files(&pinned, "profileId").await)];
    for sentence in sentences {
        assert!(sentence.contains("lake.profiles") && sentence.contains("create the job again"), "{sentence}");
    }
    let other = Pin { table_uuid: "another".into(), ..pinned };
    let told = lake.look_pinned(&other, "profileId").await;
    assert!(matches!(told, Err(LakeError::OtherTable(_))), "{told:?}");
}

#[tokio::test]
async fn columns_that_deletes_compare_are_told_though_they_were_dropped() {
    let lake = with_profiles().await;
    evolve(&lake, |fields| {
        let below = Nested::Struct { fields: vec![text(51, "email"), text(52, "phone")] };
        fields.push(Field { kind: Kind::Nested(below), ..text(50, "person") });
        fields.push(text(53, "region"));
    })
    .await;
    let whole = look(&lake, &profiles()).await.copy.schema;
    lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
    for (name, ids) in [("p", vec![51]), ("q", vec![1, 53]), ("r", vec![1])] {
        let file = bucket_file(name, EqualityDeletes).equality_ids(Some(ids)).build().unwrap();
        commit_files(&lake, &profiles(), 0, vec![file]).await;
    }
    assert_eq!(planned(&lake).await.former, []);
    evolve(&lake, |fields| {
        fields.retain(|field| field.name != "region");
        let person = fields.iter_mut().find(|f| f.name == "person").unwrap();
        person.kind = Kind::Nested(Nested::Struct { fields: vec![text(52, "phone")] });
    })
    .await;
    let files = planned(&lake).await;
    assert_eq!(files.former, [whole.field("person").unwrap().clone(), whole.field("region").unwrap().clone()]);
    assert_eq!(files.deletes.len(), 3);
    let of_values = DeleteKind::Equality { field_ids: vec![1, 53] };
    assert!(files.deletes.iter().any(|f| f.kind == of_values), "{:?}", files.deletes);
}

#[tokio::test]
async fn a_dropped_column_that_deletes_compare_is_told_as_it_was_last() {
    let lake = with_profiles().await;
    evolve(&lake, |fields| fields.push(text(53, "region"))).await;
    evolve(&lake, |fields| fields.iter_mut().filter(|f| f.id == 53).for_each(|f| f.name = "area".into())).await;
    lake.append_files(&profiles(), vec![new_file("a", Some(0))]).await.unwrap();
    let file = bucket_file("p", EqualityDeletes).equality_ids(Some(vec![53])).build().unwrap();
    commit_files(&lake, &profiles(), 0, vec![file]).await;
    evolve(&lake, |fields| fields.retain(|field| field.id != 53)).await;
    assert_eq!(planned(&lake).await.former, [text(53, "area")]);
}
