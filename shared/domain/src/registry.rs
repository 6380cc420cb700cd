//! What an organization's sandbox has registered: clients, datasets, merge policies, segment definitions.

use crate::plan::TableName;
use crate::schema::Schema;
use serde::{Deserialize, Serialize};

/// The merge policy that every sandbox has.
pub const BUILT_IN_POLICY: &str = "timestampOrdered-none-mp";

/// A client of the API: what its key may act for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Client {
    /// The value of `x-api-key`, and of the token's `client_id`.
    pub api_key: String,
    /// What it may act for.
    pub grants: Vec<Grant>,
}

/// Sandboxes of one organization that a client may act for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant {
    /// The organization.
    pub organization: String,
    /// Its sandboxes.
    pub sandboxes: Vec<String>,
    /// What may be done there, e.g. `export-audience-for-segment`.
    #[serde(default)]
    pub permissions: Vec<String>,
}

/// What a dataset is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetKind {
    /// Profile fragments: an input.
    Profile,
    /// ExperienceEvents: an input.
    Event,
    /// Exported profiles: an output.
    Export,
}

/// A registered dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dataset {
    /// Id, unique in the sandbox: what `destination.datasetId` names.
    pub id: String,
    /// What it is for.
    pub kind: DatasetKind,
    /// A name for people.
    #[serde(default)]
    pub name: String,
    /// The Iceberg table behind it.
    pub table: TableName,
    /// What the table calls the columns that the product needs.
    #[serde(default)]
    pub columns: ColumnNames,
    /// The owner's promise that no two rows share a `profileId`.
    #[serde(default)]
    pub unique_profiles: bool,
    /// The table as last looked at; `None` only before the first `registry apply`.
    #[serde(default)]
    pub copy: Option<TableCopy>,
}

/// The names of the columns that the product needs, where a table calls them otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ColumnNames {
    /// The stitched profile's id.
    pub profile_id: String,
    /// System ingestion time.
    pub ingest_time: String,
    /// Identities by namespace.
    pub identity_map: String,
    /// Memberships by namespace and segment id.
    pub segment_membership: String,
    /// When an event happened; event datasets only.
    pub timestamp: String,
}

impl Default for ColumnNames {
    fn default() -> Self {
        Self {
            profile_id: "profileId".into(),
            ingest_time: "ingestTime".into(),
            identity_map: "identityMap".into(),
            segment_membership: "segmentMembership".into(),
            timestamp: "timestamp".into(),
        }
    }
}

impl ColumnNames {
    /// What the table calls the column that exports call `name`. `None` for a name that in this table means one of our own
    /// columns: exports know that one by its standard name only.
    pub fn in_table<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let pairs = [
            ("profileId", &self.profile_id),
            ("ingestTime", &self.ingest_time),
            ("identityMap", &self.identity_map),
            ("segmentMembership", &self.segment_membership),
            ("timestamp", &self.timestamp),
        ];
        match pairs.iter().find(|(standard, _)| *standard == name) {
            Some((_, own)) => Some(own),
            None => (!pairs.iter().any(|(_, own)| *own == name)).then_some(name),
        }
    }
}

/// What POST must know of a table without opening it: a copy, refreshed by every plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableCopy {
    /// Iceberg's table UUID.
    pub table_uuid: String,
    /// Iceberg format version; the product reads and writes version 2.
    pub format_version: u8,
    /// The current schema.
    pub schema: Schema,
    /// N, where the current spec holds `bucket(N, profileId)`.
    pub buckets: Option<u32>,
    /// Kinds of live delete files: `position`, `equality`.
    #[serde(default)]
    pub delete_kinds: Vec<String>,
    /// Formats other than Parquet of the oldest and the newest live data files; a plan looks at all of them.
    #[serde(default)]
    pub foreign_formats: Vec<String>,
    /// What is wrong with the table's name mapping, as a clause; `None`: nothing, or it has none.
    #[serde(default)]
    pub name_mapping_flaw: Option<String>,
    /// Id of the spec that is exactly identity on `batchId`, where the table has one (export datasets must).
    pub batch_spec_id: Option<i32>,
}

/// How the fragments of a profile become one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MergePolicy {
    /// Id, unique in the sandbox.
    pub id: String,
    /// The version; the greatest is the latest.
    pub version: u32,
    /// Which fragments belong together.
    pub identity_graph: IdentityGraph,
    /// Who wins a conflict.
    pub attribute_merge: AttributeMerge,
    /// Whether a request without segments and policy takes this one.
    #[serde(default)]
    pub default: bool,
}

impl MergePolicy {
    /// The policy that every sandbox has without registering it.
    pub fn built_in() -> Self {
        Self {
            id: BUILT_IN_POLICY.into(),
            version: 1,
            identity_graph: IdentityGraph::None,
            attribute_merge: AttributeMerge::TimestampOrdered,
            default: false,
        }
    }
}

/// Which fragments belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityGraph {
    /// Every identity stands alone.
    None,
    /// Those with one `profileId`.
    Pdg,
}

/// Who wins where fragments disagree on a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type", deny_unknown_fields)]
pub enum AttributeMerge {
    /// The fragment with the latest `ingestTime`.
    TimestampOrdered,
    /// The first dataset of the order.
    DataSetPrecedence {
        /// Dataset ids; unlisted ones take no part.
        order: Vec<String>,
    },
}

/// A registered audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Segment {
    /// Id within its namespace.
    pub id: String,
    /// Namespace.
    #[serde(default = "default_namespace")]
    pub ns: String,
    /// A name for people.
    #[serde(default)]
    pub name: String,
    /// The policy it is evaluated under; absent = the sandbox's default.
    #[serde(default)]
    pub merge_policy_id: Option<String>,
    /// PQL expression; kept, not evaluated yet.
    #[serde(default)]
    pub pql: Option<String>,
}

fn default_namespace() -> String {
    "ups".into()
}

/// All that one sandbox has registered, as POST judges against it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registry {
    /// Datasets of every kind.
    pub datasets: Vec<Dataset>,
    /// Merge policies, every version.
    pub policies: Vec<MergePolicy>,
    /// Registered segments.
    pub segments: Vec<Segment>,
    /// Namespaces in which only registered segments may be exported.
    pub strict_namespaces: Vec<String>,
}

impl Registry {
    /// The dataset of that id.
    pub fn dataset(&self, id: &str) -> Option<&Dataset> {
        self.datasets.iter().find(|d| d.id == id)
    }

    /// Datasets of one kind.
    pub fn of_kind(&self, kind: DatasetKind) -> impl Iterator<Item = &Dataset> {
        self.datasets.iter().filter(move |d| d.kind == kind)
    }

    /// A policy by id, in that version or the latest.
    pub fn policy(&self, id: &str, version: Option<u32>) -> Option<MergePolicy> {
        let built_in = MergePolicy::built_in();
        self.policies
            .iter()
            .chain((!self.policies.iter().any(|p| p.id == BUILT_IN_POLICY)).then_some(&built_in))
            .filter(|p| p.id == id && version.is_none_or(|v| v == p.version))
            .max_by_key(|p| p.version)
            .cloned()
    }

    /// The sandbox's default policy: the latest version of the one that is marked so, else the built-in one.
    pub fn default_policy(&self) -> MergePolicy {
        let marked = self.policies.iter().find(|p| p.default);
        marked.and_then(|policy| self.policy(&policy.id, None)).unwrap_or_else(MergePolicy::built_in)
    }

    /// A registered segment; namespaces compare without regard to ASCII case.
    pub fn segment(&self, namespace: &str, id: &str) -> Option<&Segment> {
        self.segments.iter().find(|s| s.id == id && s.ns.eq_ignore_ascii_case(namespace))
    }
}
