//! The table's keys. Every one begins with the tenant (I11), but a client's: which tenants it may act for is what its item
//! tells.

use super::{Item, s};
use domain::id::JobId;
use domain::ports::jobs::{Due, PartRef};
use domain::tenant::Tenant;

/// Partitions of the due index.
pub(crate) const DUE_PARTITIONS: u64 = 8;
/// What a job's sort key begins with.
pub(crate) const JOB: &str = "JOB#";
/// What a part's sort key begins with.
pub(crate) const PART: &str = "PART#";
/// What a tenant's partition of what is to be collected ends with.
const COLLECT: &str = "COLLECT";

/// An item's primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl Key {
    fn new(pk: String, sk: impl Into<String>) -> Self {
        Self { pk, sk: sk.into() }
    }

    pub(crate) fn job(tenant: &Tenant, id: JobId) -> Self {
        Self::new(tenant.key(), format!("{JOB}{}", id.padded()))
    }

    pub(crate) fn idempotency(tenant: &Tenant, key: &str) -> Self {
        Self::new(format!("{tenant}#IDEM"), key)
    }

    pub(crate) fn collect(tenant: &Tenant, id: JobId) -> Self {
        Self::new(format!("{tenant}#{COLLECT}"), id.padded())
    }

    pub(crate) fn shard(tenant: &Tenant, job: JobId, shard: u32) -> Self {
        Self::new(shard_partition(tenant, job, shard), "SHARD")
    }

    pub(crate) fn part(at: &PartRef) -> Self {
        Self::new(shard_partition(&at.tenant, at.job, at.shard), format!("{PART}{:06}", at.part))
    }

    pub(crate) fn client(api_key: &str) -> Self {
        Self::new(format!("CLIENT#{api_key}"), "CLIENT")
    }

    /// A registered thing: what it is, and what tells it from others of its kind. The names before the last are escaped, so
    /// that no two things share a key.
    pub(crate) fn registered(tenant: &Tenant, kind: &str, names: &[&str]) -> Self {
        let mut sk = kind.to_owned();
        for (n, name) in (1..).zip(names) {
            sk.push('#');
            if n < names.len() {
                sk.push_str(&name.replace('%', "%25").replace('#', "%23"));
            } else {
                sk.push_str(name);
            }
        }
        Self::new(registry_partition(tenant), sk)
    }

    /// The key as attributes.
    pub(crate) fn item(&self) -> Item {
        [("PK".to_owned(), s(&self.pk)), ("SK".to_owned(), s(&self.sk))].into()
    }

    /// The partition of the due index in which the item stands: a hash of its key, the same in every release.
    pub(crate) fn due_partition(&self) -> String {
        due_partition(crc_fast::crc64_nvme(format!("{}\0{}", self.pk, self.sk).as_bytes()) % DUE_PARTITIONS)
    }

    /// What a key of the due index stands for; `None` for a key of another release.
    pub(crate) fn due(&self) -> Option<Due> {
        let mut names = self.pk.split('#');
        let tenant = Tenant::new(names.next()?, names.next()?)?;
        let (job, shard, rest) = (names.next(), names.next(), names.next());
        if let (None, Some(id)) = (job, self.sk.strip_prefix(JOB)) {
            return Some(Due::Job(tenant, padded_id(id)?));
        }
        if let (Some(COLLECT), None) = (job, shard) {
            return Some(Due::Collect(tenant, padded_id(&self.sk)?));
        }
        let part = self.sk.strip_prefix(PART)?.parse().ok()?;
        let at = PartRef { tenant, job: JobId::parse(job?)?, shard: shard?.parse().ok()?, part };
        rest.is_none().then_some(Due::Part(at))
    }
}

/// Where a shard and its parts stand.
pub(crate) fn shard_partition(tenant: &Tenant, job: JobId, shard: u32) -> String {
    format!("{tenant}#{job}#{shard}")
}

/// Where all that a tenant has registered stands.
pub(crate) fn registry_partition(tenant: &Tenant) -> String {
    format!("{tenant}#REGISTRY")
}

/// The due index's partition of that number.
pub(crate) fn due_partition(number: u64) -> String {
    format!("due#{number}")
}

/// An id in its padded form.
pub(crate) fn padded_id(text: &str) -> Option<JobId> {
    let digits = text.trim_start_matches('0');
    JobId::parse(if digits.is_empty() { "0" } else { digits })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use testkit::fixtures;

    fn part(shard: u32, part: u32) -> PartRef {
        PartRef { tenant: fixtures::tenant(), job: JobId::parse("42").unwrap(), shard, part }
    }

    #[test]
    fn keys_are_those_of_the_protocol() {
        let (tenant, id) = (fixtures::tenant(), JobId::parse("42").unwrap());
        let told = |key: Key| format!("{} | {}", key.pk, key.sk);
        assert_eq!(told(Key::job(&tenant, id)), "EXAMPLE@AdobeOrg#prod | JOB#0000000000000042");
        assert_eq!(told(Key::idempotency(&tenant, "k")), "EXAMPLE@AdobeOrg#prod#IDEM | k");
        assert_eq!(told(Key::collect(&tenant, id)), "EXAMPLE@AdobeOrg#prod#COLLECT | 0000000000000042");
        assert_eq!(told(Key::shard(&tenant, id, 3)), "EXAMPLE@AdobeOrg#prod#42#3 | SHARD");
        assert_eq!(told(Key::part(&part(3, 7))), "EXAMPLE@AdobeOrg#prod#42#3 | PART#000007");
        assert_eq!(told(Key::client("key")), "CLIENT#key | CLIENT");
        let policy = Key::registered(&tenant, "POLICY", &["p#1", "0000000002"]);
        assert_eq!(told(policy), "EXAMPLE@AdobeOrg#prod#REGISTRY | POLICY#p%231#0000000002");
    }

    #[test]
    fn a_due_key_leads_back_to_its_thing() {
        let (tenant, id) = (fixtures::tenant(), JobId::parse("42").unwrap());
        assert_eq!(Key::job(&tenant, id).due(), Some(Due::Job(tenant.clone(), id)));
        assert_eq!(Key::collect(&tenant, id).due(), Some(Due::Collect(tenant.clone(), id)));
        for at in [part(0, 0), part(63, 999_999), part(1, 1_234_567)] {
            assert_eq!(Key::part(&at).due(), Some(Due::Part(at)));
        }
        let strange = [Key::shard(&tenant, id, 0), Key::client("k"), Key::idempotency(&tenant, "k")];
        for key in strange {
            assert_eq!(key.due(), None, "{key:?}");
        }
    }

    #[test]
    fn the_due_index_is_spread_evenly_and_steadily() {
        let mut spread = [0; DUE_PARTITIONS as usize];
        for n in 0..8_000 {
            let partition = Key::part(&part(n % 64, n)).due_partition();
            spread[partition.strip_prefix("due#").unwrap().parse::<usize>().unwrap()] += 1;
        }
        assert!(spread.iter().all(|n| (800..1_200).contains(n)), "{spread:?}");
        assert_eq!(
            Key::part(&part(3, 7)).due_partition(),
            "due#2",
            "items of earlier releases stand in their partitions"
        );
    }
}
