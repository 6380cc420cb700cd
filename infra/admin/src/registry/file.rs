//! The registry file: one organization, its clients and its sandboxes.

use super::types::read_schema;
use crate::failure::Failure;
use crate::yaml::{Finding, Node, Object};
use domain::plan::TableName;
use domain::registry::{
    AttributeMerge, Client, ColumnNames, Dataset, DatasetKind, Grant, IdentityGraph, MergePolicy, Segment,
};
use domain::schema::Schema;
use domain::tenant::Tenant;

/// A registry file, read.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistryFile {
    /// The organization that it describes.
    pub organization: String,
    /// Its clients, each with the one grant that the file gives.
    pub clients: Vec<Placed<Client>>,
    /// Its sandboxes.
    pub sandboxes: Vec<Sandbox>,
}

/// What the file says of a sandbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its datasets.
    pub datasets: Vec<Placed<Declared>>,
    /// Its merge policies.
    pub policies: Vec<Placed<MergePolicy>>,
    /// Its segments.
    pub segments: Vec<Placed<Segment>>,
    /// Namespaces in which only registered segments may be exported.
    pub strict_namespaces: Vec<String>,
}

/// A thing of the file and where it stands, e.g. at `sandboxes.prod.datasets[2]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<T> {
    /// Its path.
    pub path: String,
    /// The thing.
    pub item: T,
}

/// A dataset, and its table where that has to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// The dataset, not looked at yet.
    pub dataset: Dataset,
    /// The columns to create the table with.
    pub schema: Option<Schema>,
    /// The number of buckets to create the table with.
    pub buckets: Option<u32>,
}

impl RegistryFile {
    /// Reads a file's text; fails with everything that is wrong with it, dangling references included.
    pub fn read(text: &str) -> Result<Self, Failure> {
        let value: serde_yaml_ng::Value =
            serde_yaml_ng::from_str(text).map_err(|e| Failure::Sentence(format!("the registry is no YAML: {e}.")))?;
        let mut found = Vec::new();
        let file = read_file(&Node::root(&value), &mut found);
        if let Some(file) = &file {
            super::check::references(file, &mut found);
        }
        match file {
            Some(file) if found.is_empty() => Ok(file),
            _ => Err(Failure::Findings(found)),
        }
    }
}

fn read_file(root: &Node<'_>, found: &mut Vec<Finding>) -> Option<RegistryFile> {
    let file = root.object(&["organization", "clients", "sandboxes"], found)?;
    let organization = file.need_text("organization", found);
    let name = organization.clone().unwrap_or_else(|| "o".into());
    let clients = read_all(&file, "clients", |node, found| read_client(node, &name, found), found);
    let mut sandboxes = Vec::new();
    for (sandbox, node) in file.need("sandboxes", found).and_then(|s| s.entries(found)).unwrap_or_default() {
        match Tenant::new(&name, &sandbox) {
            Some(tenant) => sandboxes.extend(read_sandbox(&node, tenant, found)),
            None => {
                let what = "organization and sandbox must be of letters, digits and - _ . @, at most 128 of them.";
                found.push(Finding::at(&node.path, what));
            }
        }
    }
    Some(RegistryFile { organization: organization?, clients, sandboxes })
}

fn read_client(node: &Node<'_>, organization: &str, found: &mut Vec<Finding>) -> Option<Client> {
    let client = node.object(&["apiKey", "sandboxes", "permissions"], found)?;
    let api_key = client.need_text("apiKey", found);
    let sandboxes = client.need("sandboxes", found).map(|s| s.texts(found)).unwrap_or_default();
    let permissions = client.get("permissions").map(|p| p.texts(found)).unwrap_or_default();
    let grants = vec![Grant { organization: organization.to_owned(), sandboxes, permissions }];
    Some(Client { api_key: api_key?, grants })
}

fn read_sandbox(node: &Node<'_>, tenant: Tenant, found: &mut Vec<Finding>) -> Option<Sandbox> {
    let sandbox = node.object(&["datasets", "mergePolicies", "segments", "strictNamespaces"], found)?;
    let datasets = read_all(&sandbox, "datasets", read_dataset, found);
    let policies = read_all(&sandbox, "mergePolicies", read_policy, found);
    let segments = read_all(&sandbox, "segments", read_segment, found);
    let strict_namespaces = sandbox.get("strictNamespaces").map(|s| s.texts(found)).unwrap_or_default();
    Some(Sandbox { tenant, datasets, policies, segments, strict_namespaces })
}

/// Reads a list's things; leaves out what cannot be read, which is a finding.
fn read_all<T>(
    object: &Object<'_>,
    list: &str,
    read: impl Fn(&Node<'_>, &mut Vec<Finding>) -> Option<T>,
    found: &mut Vec<Finding>,
) -> Vec<Placed<T>> {
    let nodes = object.items(list, found);
    nodes.into_iter().filter_map(|node| Some(Placed { item: read(&node, found)?, path: node.path })).collect()
}

fn read_dataset(node: &Node<'_>, found: &mut Vec<Finding>) -> Option<Declared> {
    let known = ["id", "kind", "name", "table", "columns", "uniqueProfiles", "schema", "buckets"];
    let dataset = node.object(&known, found)?;
    let id = dataset.need_text("id", found);
    let kinds = [("profile", DatasetKind::Profile), ("event", DatasetKind::Event), ("export", DatasetKind::Export)];
    let kind = dataset.need("kind", found).and_then(|k| choose(k, &kinds, found));
    let table = dataset.need("table", found).and_then(|t| read_table(t, found));
    let columns = dataset.get("columns").and_then(|c| read_columns(c, found)).unwrap_or_default();
    let schema = dataset.get("schema").and_then(|s| read_schema(s, found));
    let buckets = dataset.get("buckets").and_then(|b| b.count(found));
    if kind == Some(DatasetKind::Export) {
        for key in ["schema", "buckets", "columns", "uniqueProfiles"] {
            if let Some(node) = dataset.get(key) {
                let what = "belongs to no export dataset, whose table is made from the profile datasets; leave it out.";
                found.push(Finding::at(&node.path, what));
            }
        }
    }
    let name = dataset.text("name", found).unwrap_or_default();
    let unique_profiles = dataset.flag("uniqueProfiles", found);
    let dataset = Dataset { id: id?, kind: kind?, name, table: table?, columns, unique_profiles, copy: None };
    Some(Declared { dataset, schema, buckets })
}

/// A table as `database.table` or as `{database, table}`. Glue folds names to lower case, so only that is taken.
fn read_table(node: &Node<'_>, found: &mut Vec<Finding>) -> Option<TableName> {
    let name = if node.value.is_mapping() {
        let table = node.object(&["database", "table"], found)?;
        let (database, table) = (table.need_text("database", found), table.need_text("table", found));
        TableName { database: database?, table: table? }
    } else {
        let text = node.text(found)?;
        match text.split_once('.') {
            Some((database, table)) => TableName { database: database.into(), table: table.into() },
            None => {
                found.push(Finding::at(&node.path, "must be database.table."));
                return None;
            }
        }
    };
    let sound = |part: &str| {
        !part.is_empty()
            && part.len() <= 255
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    };
    if !sound(&name.database) || !sound(&name.table) {
        let what =
            "must have a database and a table of lower-case letters, digits, _ and -, as the catalog keeps them.";
        found.push(Finding::at(&node.path, what));
        return None;
    }
    Some(name)
}

fn read_columns(node: &Node<'_>, found: &mut Vec<Finding>) -> Option<ColumnNames> {
    let columns = node.object(&["profileId", "ingestTime", "identityMap", "segmentMembership", "timestamp"], found)?;
    let standard = ColumnNames::default();
    Some(ColumnNames {
        profile_id: columns.text("profileId", found).unwrap_or(standard.profile_id),
        ingest_time: columns.text("ingestTime", found).unwrap_or(standard.ingest_time),
        identity_map: columns.text("identityMap", found).unwrap_or(standard.identity_map),
        segment_membership: columns.text("segmentMembership", found).unwrap_or(standard.segment_membership),
        timestamp: columns.text("timestamp", found).unwrap_or(standard.timestamp),
    })
}

fn read_policy(node: &Node<'_>, found: &mut Vec<Finding>) -> Option<MergePolicy> {
    let policy = node.object(&["id", "version", "identityGraph", "attributeMerge", "default"], found)?;
    let id = policy.need_text("id", found);
    let version = policy.get("version").map_or(Some(1), |v| v.count(found));
    let graphs = [("none", IdentityGraph::None), ("pdg", IdentityGraph::Pdg)];
    let identity_graph = policy.need("identityGraph", found).and_then(|g| choose(g, &graphs, found));
    let attribute_merge = policy.need("attributeMerge", found).and_then(|m| read_merge(m, found));
    let default = policy.flag("default", found);
    Some(MergePolicy {
        id: id?,
        version: version?,
        identity_graph: identity_graph?,
        attribute_merge: attribute_merge?,
        default,
    })
}

/// `timestampOrdered`, or AEP's `{type: dataSetPrecedence, order: [dataset ids]}`.
fn read_merge(node: &Node<'_>, found: &mut Vec<Finding>) -> Option<AttributeMerge> {
    let kinds = [("timestampOrdered", false), ("dataSetPrecedence", true)];
    let (by_order, object): (bool, Option<Object<'_>>) = if node.value.is_mapping() {
        let object = node.object(&["type", "order"], found)?;
        let by_order = choose(object.need("type", found)?, &kinds, found)?;
        (by_order, Some(object))
    } else {
        (choose(node, &kinds, found)?, None)
    };
    let order = object.as_ref().and_then(|o| o.get("order"));
    match (by_order, order) {
        (false, None) => Some(AttributeMerge::TimestampOrdered),
        (false, Some(order)) => {
            found.push(Finding::at(&order.path, "belongs to dataSetPrecedence only."));
            None
        }
        (true, Some(order)) => Some(AttributeMerge::DataSetPrecedence { order: order.texts(found) }),
        (true, None) => {
            found.push(Finding::at(&node.path, "needs an order: {type: dataSetPrecedence, order: [dataset ids]}."));
            None
        }
    }
}

fn read_segment(node: &Node<'_>, found: &mut Vec<Finding>) -> Option<Segment> {
    let segment = node.object(&["id", "ns", "name", "mergePolicyId", "pql"], found)?;
    let id = segment.need_text("id", found);
    let ns = segment.text("ns", found).unwrap_or_else(|| "ups".into());
    let name = segment.text("name", found).unwrap_or_default();
    let merge_policy_id = segment.text("mergePolicyId", found);
    let pql = segment.text("pql", found);
    Some(Segment { id: id?, ns, name, merge_policy_id, pql })
}

fn choose<T: Copy>(node: &Node<'_>, choices: &[(&str, T)], found: &mut Vec<Finding>) -> Option<T> {
    let text = node.text(found)?;
    let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    if chosen.is_none() {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        found.push(Finding::at(&node.path, format!("is {text:?}; it must be one of {}.", names.join(", "))));
    }
    chosen
}
