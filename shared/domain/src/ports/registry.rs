//! The registry, one item per thing.

use crate::ports::jobs::StoreError;
use crate::registry::{Client, Dataset, MergePolicy, Registry, Segment};
use crate::tenant::Tenant;
use std::future::Future;

/// Reads a client's grants.
pub trait ReadClients: Clone + Send + Sync + 'static {
    /// The client of that api key.
    fn client(&self, api_key: &str) -> impl Future<Output = Result<Option<Client>, StoreError>> + Send;
}

/// Reads what a sandbox has registered.
pub trait ReadRegistry: Clone + Send + Sync + 'static {
    /// All of it, as the last writes left it.
    fn registry(&self, tenant: &Tenant) -> impl Future<Output = Result<Registry, StoreError>> + Send;
}

/// One registered thing.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A dataset of any kind.
    Dataset(Box<Dataset>),
    /// A version of a merge policy.
    Policy(MergePolicy),
    /// A segment.
    Segment(Segment),
    /// The namespaces in which only registered segments may be exported.
    StrictNamespaces(Vec<String>),
}

/// Writes the registry.
pub trait WriteRegistry: ReadRegistry + ReadClients {
    /// Creates or replaces a client.
    fn put_client(&self, client: &Client) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Creates or replaces one thing of a sandbox.
    fn put_entry(&self, tenant: &Tenant, entry: &Entry) -> impl Future<Output = Result<(), StoreError>> + Send;
}
