//! The registry's twin.

use crate::faults::{Faults, lock};
use crate::{Fault, Weather};
use domain::ports::jobs::StoreError;
use domain::ports::registry::{Entry, ReadClients, ReadRegistry, WriteRegistry};
use domain::registry::{Client, Registry};
use domain::tenant::Tenant;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The registry in memory. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct MemoryRegistry {
    state: Arc<Mutex<State>>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    clients: BTreeMap<String, Client>,
    tenants: BTreeMap<Tenant, Registry>,
}

impl MemoryRegistry {
    /// A registry in which one sandbox has all this registered.
    pub fn with(tenant: &Tenant, registry: Registry) -> Self {
        let made = Self::default();
        lock(&made.state).tenants.insert(tenant.clone(), registry);
        made
    }

    /// The same registry, in which another sandbox has all this registered.
    pub fn and(self, tenant: &Tenant, registry: Registry) -> Self {
        lock(&self.state).tenants.insert(tenant.clone(), registry);
        self
    }

    /// The same registry, its calls through that weather.
    pub fn under(self, weather: Arc<dyn Weather>) -> Self {
        Self { faults: Faults::under(weather), ..self }
    }

    /// The next call of that port method (`"registry"`, `"client"` …) fails as unavailable, before or after its effect.
    pub fn fail_next(&self, call: &str, fault: Fault) {
        self.faults.order(call, fault);
    }

    async fn call<T>(&self, name: &str, effect: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        self.faults.around(name, StoreError::Unavailable, || Ok(effect(&mut lock(&self.state)))).await
    }
}

impl ReadClients for MemoryRegistry {
    async fn client(&self, api_key: &str) -> Result<Option<Client>, StoreError> {
        self.call("client", |s| s.clients.get(api_key).cloned()).await
    }
}

impl ReadRegistry for MemoryRegistry {
    async fn registry(&self, tenant: &Tenant) -> Result<Registry, StoreError> {
        self.call("registry", |s| s.tenants.get(tenant).cloned().unwrap_or_default()).await
    }
}

impl WriteRegistry for MemoryRegistry {
    async fn put_client(&self, client: &Client) -> Result<(), StoreError> {
        self.call("put_client", |s| {
            s.clients.insert(client.api_key.clone(), client.clone());
        })
        .await
    }

    async fn put_entry(&self, tenant: &Tenant, entry: &Entry) -> Result<(), StoreError> {
        self.call("put_entry", |s| {
            let registry = s.tenants.entry(tenant.clone()).or_default();
            match entry.clone() {
                Entry::Dataset(new) => put(&mut registry.datasets, *new, |d| d.id.clone()),
                Entry::Policy(new) => put(&mut registry.policies, new, |p| (p.id.clone(), p.version)),
                Entry::Segment(new) => {
                    put(&mut registry.segments, new, |s| (s.ns.to_ascii_lowercase(), s.id.clone()));
                }
                Entry::StrictNamespaces(new) => registry.strict_namespaces = new,
            }
        })
        .await
    }
}

/// Puts a thing in the place of the one with its key, or at the end.
fn put<T, K: PartialEq>(things: &mut Vec<T>, new: T, key: impl Fn(&T) -> K) {
    match things.iter().position(|thing| key(thing) == key(&new)) {
        Some(at) => things[at] = new,
        None => things.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn the_twin_keeps_the_promises_of_the_registry_ports() {
        conformance::registry(MemoryRegistry::default()).await;
    }
}
