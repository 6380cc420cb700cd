//! The registry.

use super::{Suite, fresh_tenant};
use crate::fixtures;
use domain::ports::registry::{Entry, WriteRegistry};
use domain::registry::{Dataset, Grant, MergePolicy, Registry, Segment};
use domain::tenant::Tenant;

pub(super) async fn run<S: WriteRegistry>(suite: &mut Suite, store: &S) {
    suite.case(what_was_never_registered_is_not_there::<S>, store, fresh_tenant()).await;
    suite.case(what_is_put_is_read_back_as_it_was::<S>, store, fresh_tenant()).await;
    suite.case(a_thing_put_again_is_replaced::<S>, store, fresh_tenant()).await;
    suite.case(every_version_of_a_policy_is_kept::<S>, store, fresh_tenant()).await;
    suite.case(segments_are_told_apart_by_namespace_and_id::<S>, store, fresh_tenant()).await;
    suite.case(no_tenant_sees_what_another_registered::<S>, store, fresh_tenant()).await;
    suite.case(a_client_is_found_by_its_key_and_replaced::<S>, store, fresh_tenant()).await;
    suite.case(a_registry_may_be_larger_than_one_answer::<S>, store, fresh_tenant()).await;
}

/// The registry with its things in order, since none is promised.
async fn read<S: WriteRegistry>(store: &S, tenant: &Tenant) -> Registry {
    let mut registry = store.registry(tenant).await.unwrap();
    registry.datasets.sort_by(|a, b| a.id.cmp(&b.id));
    registry.policies.sort_by(|a, b| (&a.id, a.version).cmp(&(&b.id, b.version)));
    registry.segments.sort_by(|a, b| (&a.ns, &a.id).cmp(&(&b.ns, &b.id)));
    registry
}

fn segment(ns: &str, id: &str, name: &str) -> Segment {
    Segment { id: id.into(), ns: ns.into(), name: name.into(), merge_policy_id: None, pql: None }
}

async fn what_was_never_registered_is_not_there<S: WriteRegistry>(store: S, tenant: Tenant) {
    assert_eq!(store.registry(&tenant).await.unwrap(), Registry::default());
    assert_eq!(store.client(&tenant.key()).await.unwrap(), None);
}

async fn what_is_put_is_read_back_as_it_was<S: WriteRegistry>(store: S, tenant: Tenant) {
    let mut sample = fixtures::registry();
    sample.strict_namespaces = vec!["ups".into(), "CRM".into()];
    sample.datasets.sort_by(|a, b| a.id.cmp(&b.id));
    let datasets = sample.datasets.iter().cloned().map(|d| Entry::Dataset(d.into()));
    let policies = sample.policies.iter().cloned().map(Entry::Policy);
    let segments = sample.segments.iter().cloned().map(Entry::Segment);
    let strict = Entry::StrictNamespaces(sample.strict_namespaces.clone());
    for entry in datasets.chain(policies).chain(segments).chain([strict]) {
        store.put_entry(&tenant, &entry).await.unwrap();
    }
    assert_eq!(read(&store, &tenant).await, sample);
}

async fn a_thing_put_again_is_replaced<S: WriteRegistry>(store: S, tenant: Tenant) {
    let renamed = Dataset { name: "Renamed".into(), copy: None, ..fixtures::profile_dataset() };
    for dataset in [fixtures::profile_dataset(), renamed.clone()] {
        store.put_entry(&tenant, &Entry::Dataset(dataset.into())).await.unwrap();
    }
    let demoted = MergePolicy { default: false, ..fixtures::policy("p", 1) };
    for policy in [fixtures::policy("p", 1), demoted.clone()] {
        store.put_entry(&tenant, &Entry::Policy(policy)).await.unwrap();
    }
    for strict in [vec!["a".into(), "b".into()], vec![]] {
        store.put_entry(&tenant, &Entry::StrictNamespaces(strict)).await.unwrap();
    }
    let expected = Registry { datasets: vec![renamed], policies: vec![demoted], ..Registry::default() };
    assert_eq!(read(&store, &tenant).await, expected);
}

async fn every_version_of_a_policy_is_kept<S: WriteRegistry>(store: S, tenant: Tenant) {
    for version in [2, 10, 1] {
        store.put_entry(&tenant, &Entry::Policy(fixtures::policy("p", version))).await.unwrap();
    }
    let registry = read(&store, &tenant).await;
    assert_eq!(registry.policies.iter().map(|p| p.version).collect::<Vec<_>>(), [1, 2, 10]);
    assert_eq!(registry.policy("p", None).map(|p| p.version), Some(10));
}

async fn segments_are_told_apart_by_namespace_and_id<S: WriteRegistry>(store: S, tenant: Tenant) {
    let kept = [segment("a", "b#c", "3"), segment("a#b", "c", "2"), segment("ups", "1", "1")];
    store.put_entry(&tenant, &Entry::Segment(segment("UPS", "1", "old"))).await.unwrap();
    for segment in &kept {
        store.put_entry(&tenant, &Entry::Segment(segment.clone())).await.unwrap();
    }
    assert_eq!(read(&store, &tenant).await.segments, kept, "namespaces compare without regard to case");
}

async fn no_tenant_sees_what_another_registered<S: WriteRegistry>(store: S, tenant: Tenant) {
    store.put_entry(&tenant, &Entry::Dataset(fixtures::profile_dataset().into())).await.unwrap();
    let sibling = Tenant::new(tenant.organization(), "prod2").unwrap();
    for other in [sibling, fresh_tenant()] {
        assert_eq!(store.registry(&other).await.unwrap(), Registry::default());
    }
}

async fn a_client_is_found_by_its_key_and_replaced<S: WriteRegistry>(store: S, tenant: Tenant) {
    let api_key = format!("key of {tenant}");
    let mut client = fixtures::client(&tenant, &api_key);
    store.put_client(&client).await.unwrap();
    assert_eq!(store.client(&api_key).await.unwrap().as_ref(), Some(&client));
    client.grants.push(Grant { organization: "OTHER".into(), sandboxes: vec!["dev".into()], permissions: vec![] });
    store.put_client(&client).await.unwrap();
    assert_eq!(store.client(&api_key).await.unwrap(), Some(client));
    assert_eq!(store.client(&api_key[1..]).await.unwrap(), None);
}

async fn a_registry_may_be_larger_than_one_answer<S: WriteRegistry>(store: S, tenant: Tenant) {
    for n in 0..12 {
        let name = "n".repeat(150_000);
        let dataset = Dataset { id: format!("d{n:02}"), name, ..fixtures::profile_dataset() };
        store.put_entry(&tenant, &Entry::Dataset(dataset.into())).await.unwrap();
    }
    let ids: Vec<String> = read(&store, &tenant).await.datasets.into_iter().map(|d| d.id).collect();
    assert_eq!(ids, (0..12).map(|n| format!("d{n:02}")).collect::<Vec<_>>());
}
