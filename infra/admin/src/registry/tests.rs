#![allow(clippy::unwrap_used)]

use super::*;
use crate::Failure;
use crate::fakes::MemoryTables;
use crate::sample::REGISTRY;
use domain::ports::registry::{ReadClients, ReadRegistry, WriteRegistry};
use domain::registry::{Client, Grant};
use domain::schema::Schema;
use domain::tenant::Tenant;
use testkit::MemoryRegistry;

const WAREHOUSE: &str = "s3://lake";

const SMALL: &str = r#"
organization: ORG@AdobeOrg
clients:
  - {apiKey: key, sandboxes: [prod]}
sandboxes:
  prod:
    datasets:
      - {id: crm, kind: profile, table: shop.crm, buckets: 4, schema: {profileId!: string, ingestTime!: timestamptz, age: int}}
      - {id: out, kind: export, table: shop.out}
    mergePolicies:
      - {id: first, identityGraph: pdg, attributeMerge: {type: dataSetPrecedence, order: [crm]}, default: true}
    segments:
      - {id: s1, name: Buyers, mergePolicyId: first}
      - {id: s2, ns: aam}
    strictNamespaces: [ups]
"#;

fn tenant() -> Tenant {
    Tenant::new("ORG@AdobeOrg", "prod").unwrap()
}

fn found(result: Result<impl std::fmt::Debug, Failure>) -> Vec<String> {
    match result {
        Err(Failure::Findings(found)) => found.iter().map(|f| f.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

fn schema(yaml: &str) -> Schema {
    let value = serde_yaml_ng::from_str(yaml).unwrap();
    types::read_schema(&crate::yaml::Node::root(&value), &mut Vec::new()).unwrap()
}

async fn apply(text: &str, registry: &MemoryRegistry, tables: &MemoryTables) -> String {
    let file = RegistryFile::read(text).unwrap();
    let plan = plan(&file, registry, tables, WAREHOUSE).await.unwrap();
    plan.carry_out(registry, tables).await.unwrap();
    plan.to_string()
}

#[tokio::test]
async fn applying_creates_everything_and_applying_again_changes_nothing() {
    let (registry, tables) = (MemoryRegistry::default(), MemoryTables::default());
    let first = apply(SMALL, &registry, &tables).await;
    let expected = "\
+ table shop.crm, 4 buckets of profileId, at s3://lake/ORG@AdobeOrg/prod/shop/crm
+ table shop.out, partitioned by batchId, at s3://lake/ORG@AdobeOrg/prod/shop/out
+ profile dataset crm (shop.crm)
+ export dataset out (shop.out)
+ merge policy first version 1
+ segment ups/s1 (Buyers)
+ segment aam/s2
+ strict namespaces
+ client key
9 created, 0 changed, 0 unchanged";
    assert_eq!(first, expected);
    let stored = registry.registry(&tenant()).await.unwrap();
    let copy = stored.dataset("crm").unwrap().copy.clone().unwrap();
    assert_eq!((copy.buckets, copy.schema.fields.len()), (Some(4), 3));
    assert!(stored.dataset("out").unwrap().copy.as_ref().unwrap().schema.has_path(["age"]));

    let file = RegistryFile::read(SMALL).unwrap();
    let again = plan(&file, &registry, &tables, WAREHOUSE).await.unwrap();
    assert!(again.is_empty(), "{again}");
    assert!(again.to_string().ends_with("0 created, 0 changed, 7 unchanged"), "{again}");
}

#[tokio::test]
async fn planning_writes_nothing() {
    let (registry, tables) = (MemoryRegistry::default(), MemoryTables::default());
    let file = RegistryFile::read(SMALL).unwrap();
    assert!(!plan(&file, &registry, &tables, WAREHOUSE).await.unwrap().is_empty());
    assert_eq!(tables.names(), Vec::<String>::new());
    assert_eq!(registry.registry(&tenant()).await.unwrap(), domain::registry::Registry::default());
    assert_eq!(registry.client("key").await.unwrap(), None);
}

#[tokio::test]
async fn a_change_is_shown_and_what_the_file_leaves_out_stays() {
    let (registry, tables) = (MemoryRegistry::default(), MemoryTables::default());
    apply(SMALL, &registry, &tables).await;
    let changed = SMALL.replace("Buyers", "Sellers").replace("      - {id: s2, ns: aam}\n", "");
    let diff = apply(&changed, &registry, &tables).await;
    assert!(diff.contains("~ segment ups/s1 (Sellers): name: \"Buyers\" → \"Sellers\"\n"), "{diff}");
    assert!(diff.contains("? segment aam/s2: not in the file; it stays registered\n"), "{diff}");
    let stored = registry.registry(&tenant()).await.unwrap();
    assert_eq!(stored.segment("ups", "s1").unwrap().name, "Sellers");
    assert!(stored.segment("aam", "s2").is_some());
}

#[tokio::test]
async fn a_table_that_another_tool_altered_refreshes_the_copy() {
    let (registry, tables) = (MemoryRegistry::default(), MemoryTables::default());
    apply(SMALL, &registry, &tables).await;
    let altered = schema("profileId!: string\ningestTime!: timestamptz\nage: int\ncity: string");
    let crm = domain::plan::TableName { database: "shop".into(), table: "crm".into() };
    tables.put(&crm, &altered, Some(4), None);
    let diff = apply(SMALL, &registry, &tables).await;
    assert!(diff.contains("~ profile dataset crm (shop.crm): its table has changed\n"), "{diff}");
    assert!(diff.contains("! shop.out lacks city; the next export adds the columns to it.\n"), "{diff}");
    let copy = registry.registry(&tenant()).await.unwrap().dataset("crm").unwrap().copy.clone().unwrap();
    assert_eq!(copy.schema, altered);
}

#[tokio::test]
async fn a_clients_grants_of_other_organizations_stay() {
    let (registry, tables) = (MemoryRegistry::default(), MemoryTables::default());
    let other = Grant { organization: "A@AdobeOrg".into(), sandboxes: vec!["dev".into()], permissions: Vec::new() };
    registry.put_client(&Client { api_key: "key".into(), grants: vec![other.clone()] }).await.unwrap();
    apply(SMALL, &registry, &tables).await;
    let grants = registry.client("key").await.unwrap().unwrap().grants;
    assert_eq!(grants.iter().map(|g| g.organization.as_str()).collect::<Vec<_>>(), ["A@AdobeOrg", "ORG@AdobeOrg"]);
    assert_eq!(grants[0], other);
}

#[test]
fn every_problem_of_a_file_is_named_at_once() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "organization: ORG@AdobeOrg",
            "organisation: ORG@AdobeOrg",
            &[
                "organisation: is no known key; known are organization, clients, sandboxes.",
                "organization: is required.",
            ],
        ),
        ("sandboxes: [prod]", "sandboxes: [prod, stage]", &["clients[0].sandboxes[1]: names the sandbox stage, which"]),
        ("apiKey: key", "apiKey: 17", &["clients[0].apiKey: must be a text; put numbers in quotes."]),
        (
            "  prod:",
            "  \"pr/od\":",
            &[
                "sandboxes.pr/od: organization and sandbox must be of letters",
                "clients[0].sandboxes[0]: names the sandbox prod",
            ],
        ),
        (
            "order: [crm]",
            "order: [crm, web, out, crm]",
            &[
                "sandboxes.prod.mergePolicies[0].attributeMerge.order[3]: says crm again;",
                "sandboxes.prod.mergePolicies[0].attributeMerge.order[1]: names web, which is no profile dataset",
                "sandboxes.prod.mergePolicies[0].attributeMerge.order[2]: names out, which is no profile dataset",
            ],
        ),
        (
            "mergePolicyId: first",
            "mergePolicyId: second",
            &["sandboxes.prod.segments[0].mergePolicyId: names second, which is no merge policy of this sandbox."],
        ),
        (
            "{id: s2, ns: aam}",
            "{id: s1, ns: UPS, nmae: x}",
            &[
                "sandboxes.prod.segments[1].nmae: is no known key; known are id, ns, name, mergePolicyId, pql.",
                "sandboxes.prod.segments[1]: says ups/s1 again; sandboxes.prod.segments[0] does already.",
            ],
        ),
        (
            "id: out, kind: export",
            "id: crm, kind: exports",
            &["sandboxes.prod.datasets[1].kind: is \"exports\"; it must be one of profile, event, export."],
        ),
        (
            "id: out, kind: export",
            "id: crm, kind: export, buckets: 3",
            &[
                "sandboxes.prod.datasets[1].buckets: belongs to no export dataset",
                "sandboxes.prod.datasets[1].id: says crm again; sandboxes.prod.datasets[0].id does already.",
            ],
        ),
        ("table: shop.out", "table: Shop.out", &["sandboxes.prod.datasets[1].table: must have a database and a table"]),
        ("table: shop.out", "table: out", &["sandboxes.prod.datasets[1].table: must be database.table."]),
        ("buckets: 4", "buckets: 0", &["sandboxes.prod.datasets[0].buckets: must be a whole number above 0."]),
        ("age: int", "age: integer", &["sandboxes.prod.datasets[0].schema.age: \"integer\" is no type"]),
        (
            "identityGraph: pdg",
            "identityGraph: private",
            &[
                "sandboxes.prod.mergePolicies[0].identityGraph: is \"private\"; it must be one of none, pdg.",
                "sandboxes.prod.segments[0].mergePolicyId: names first",
            ],
        ),
        (
            "{type: dataSetPrecedence, order: [crm]}",
            "dataSetPrecedence",
            &[
                "sandboxes.prod.mergePolicies[0].attributeMerge: needs an order",
                "sandboxes.prod.segments[0].mergePolicyId: names first",
            ],
        ),
    ];
    for (old, new, expected) in cases {
        assert!(SMALL.contains(old), "{old}");
        let found = found(RegistryFile::read(&SMALL.replace(old, new)));
        assert_eq!(found.len(), expected.len(), "{new}: {found:#?}");
        for (found, expected) in found.iter().zip(*expected) {
            assert!(found.starts_with(expected), "{new}: {found}");
        }
    }
    let error = RegistryFile::read("a: [").unwrap_err().to_string();
    assert!(error.starts_with("the registry is no YAML: "), "{error}");
}

#[tokio::test]
async fn what_the_tables_and_columns_forbid_is_named_at_once() {
    let second = "      - {id: web, kind: profile, table: shop.web, SECOND}\n      - {id: out";
    let cases: &[(&str, &[&str])] = &[
        ("buckets: 4", &["sandboxes.prod.datasets[1].table: shop.web does not exist; give its columns as schema"]),
        (
            "buckets: 8, schema: {profileId: string, ingestTime: timestamptz, age: string}",
            &[
                "sandboxes.prod.datasets[1]: has 8 buckets and crm has 4; all of a sandbox must have the same.",
                "sandboxes.prod.datasets[1]: age is string in the dataset web and long in the dataset crm;",
            ],
        ),
        (
            "buckets: 4, columns: {profileId: customer}, schema: {id: string, ingestTime: date, batchId: string}",
            &[
                "sandboxes.prod.datasets[1]: the table has no column customer; it must have one that is string",
                "sandboxes.prod.datasets[1]: the column ingestTime must be timestamptz; it is date.",
                "sandboxes.prod.datasets[1]: the column batchId cannot be exported",
                "sandboxes.prod.datasets[1]: ingestTime is date in the dataset web and timestamptz in the product;",
            ],
        ),
        (
            "buckets: 4, schema: {profileId: string, ingestTime: timestamptz, identityMap: {\"*\": string}}",
            &[
                "sandboxes.prod.datasets[1]: the column identityMap must be map<string, list<struct{id: string, …}>>;",
                "sandboxes.prod.datasets[1]: identityMap.* is string in the dataset web and a list in the product;",
            ],
        ),
    ];
    for (replacement, expected) in cases {
        let text = SMALL.replace("      - {id: out", &second.replace("SECOND", replacement));
        let file = RegistryFile::read(&text).unwrap();
        let found = found(plan(&file, &MemoryRegistry::default(), &MemoryTables::default(), WAREHOUSE).await);
        assert_eq!(found.len(), expected.len(), "{replacement}: {found:#?}");
        for (found, expected) in found.iter().zip(*expected) {
            assert!(found.starts_with(expected), "{replacement}: {found}");
        }
    }
}

#[tokio::test]
async fn a_table_that_stands_is_never_altered_and_must_fit() {
    let (registry, tables) = (MemoryRegistry::default(), MemoryTables::default());
    let name = |table: &str| domain::plan::TableName { database: "shop".into(), table: table.into() };
    tables.put(&name("crm"), &schema("profileId!: string\ningestTime!: timestamptz\nage: string"), Some(2), None);
    tables.put(&name("out"), &schema("profileId: string\nage: double\nbatchId!: string"), None, None);
    let file = RegistryFile::read(SMALL).unwrap();
    let found = found(plan(&file, &registry, &tables, WAREHOUSE).await);
    let expected = [
        "sandboxes.prod.datasets[0].schema: age is string in the table and should be int; existing tables are not altered",
        "sandboxes.prod.datasets[0].buckets: is 4, and the table has 2; existing tables are not altered",
        "sandboxes.prod.datasets[1]: the dataset's table has no partition spec that is identity on batchId alone",
        "sandboxes.prod.datasets[1]: age is double in the table and should be string; it cannot take",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
}

#[tokio::test]
async fn the_sample_registry_applies() {
    let (registry, tables) = (MemoryRegistry::default(), MemoryTables::default());
    let diff = apply(REGISTRY, &registry, &tables).await;
    assert!(diff.ends_with("61 created, 0 changed, 0 unchanged"), "{diff}");
    let tenant = Tenant::new("1BD6382559DF0C130A49422D@AdobeOrg", "prod").unwrap();
    let stored = registry.registry(&tenant).await.unwrap();
    assert_eq!(stored.segments.len(), 50);
    assert_eq!(stored.default_policy().id, "sample-default");
}
