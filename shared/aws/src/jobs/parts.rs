//! Shards and parts.

use super::{DynamoJobs, items};
use crate::dynamodb::{Change, Item, Key, Outcome, Query, keys, n, opt_text, s};
use domain::id::JobId;
use domain::instant::Millis;
use domain::job::{Job, Work};
use domain::ports::jobs::{
    Claim, EndJobs, Gate, Part, PartDone, PartRef, PartSplit, PartState, PlanParts, Shard, StoreError, Swap, WorkParts,
};
use domain::state::State;
use domain::tenant::Tenant;
use futures::{StreamExt, TryStreamExt, stream};

/// Most changes of one transaction.
const TRANSACTION: usize = 100;
/// Calls under way at once, where there are many to make.
pub(super) const AT_ONCE: usize = 8;

/// The guard of every write under a claim.
const HELD: &str = "#state = :pending AND #attempt = :attempt AND #owner = :owner";

impl PlanParts for DynamoJobs {
    async fn create_shards(&self, job: &Job, totals: &[u32]) -> Result<Swap, StoreError> {
        let check = Change::check(Key::job(&job.tenant, job.id)).only_if("#state = :new");
        let mut changes = vec![check.with("new", items::word(&State::New))];
        let shards = (0..).zip(totals).map(|(k, total)| items::shard(&job.tenant, job.id, k, *total));
        changes.extend(shards.map(|shard| Change::put(shard).only_if_new()));
        match self.table.write(changes).await? {
            Outcome::Written => Ok(Swap::Done),
            // They are made all at once: where one is, all are. Only the job itself can have moved.
            Outcome::Refused(told) if matches!(told.first(), Some(None)) => Ok(Swap::Done),
            Outcome::Refused(_) => Ok(Swap::Moved),
        }
    }

    async fn create_parts(&self, job: &Job, shards: u32, weights: &[u64], due: Millis) -> Result<(), StoreError> {
        let at = |part| {
            let shard = Work::shard_of(part, shards);
            PartRef { tenant: job.tenant.clone(), job: job.id, shard, part }
        };
        let puts: Vec<Change> = (0..)
            .zip(weights)
            .map(|(number, weight)| Change::put(items::part(&at(number), *weight, due)).only_if_new())
            .collect();
        let hundreds = stream::iter(puts.chunks(TRANSACTION).map(<[Change]>::to_vec).collect::<Vec<_>>());
        hundreds.map(|puts| self.put_missing(puts)).buffer_unordered(AT_ONCE).try_collect().await
    }
}

impl DynamoJobs {
    /// Puts in one transaction those that are not there. What was found there stays there, so that every refusal leaves
    /// fewer to put.
    async fn put_missing(&self, mut puts: Vec<Change>) -> Result<(), StoreError> {
        while !puts.is_empty() {
            match self.table.write(puts.clone()).await? {
                Outcome::Written => break,
                Outcome::Refused(told) => {
                    let mut told = told.iter();
                    puts.retain(|_| !told.next().is_some_and(Option::is_some));
                }
            }
        }
        Ok(())
    }
}

impl WorkParts for DynamoJobs {
    async fn claim(&self, part: &PartRef, owner: &str, now: Millis, lease_until: Millis) -> Result<Claim, StoreError> {
        let leased = |part: &Part| part.state == PartState::Pending && part.lease_until > now;
        let mine = |part: &Part| leased(part) && part.owner.as_deref() == Some(owner);
        // A transaction does not tell what it wrote: the attempt is read first and stands in the guard.
        let seen = match self.part(part).await? {
            Some(part) if mine(&part) => return Ok(Claim::Mine(part)),
            Some(part) if part.state == PartState::Pending && !leased(&part) => part,
            _ => return Ok(Claim::NotNow),
        };
        let key = Key::part(part);
        let partition = key.due_partition();
        let set = "SET #attempt = :next, #owner = :owner, #leaseUntil = :until, \
                   #duePartition = :partition, #nextActionAt = :until";
        let take = Change::update(key, set)
            .only_if("#state = :pending AND #attempt = :seen AND #leaseUntil <= :now")
            .telling()
            .with("pending", items::word(&PartState::Pending))
            .with("seen", n(seen.attempt))
            .with("next", n(seen.attempt + 1))
            .with("now", n(now.0))
            .with("owner", s(owner))
            .with("until", n(lease_until.0))
            .with("partition", s(partition));
        match self.table.write(vec![take, gate_open(part)]).await? {
            Outcome::Written => {
                Ok(Claim::Mine(Part { attempt: seen.attempt + 1, owner: Some(owner.to_owned()), lease_until, ..seen }))
            }
            Outcome::Refused(told) => match told.into_iter().next().flatten() {
                Some(old) if !old.is_empty() => {
                    let old = items::read_part(&old)?;
                    Ok(if mine(&old) { Claim::Mine(old) } else { Claim::NotNow })
                }
                _ => Ok(Claim::NotNow),
            },
        }
    }

    async fn renew(&self, part: &PartRef, owner: &str, attempt: u32, lease_until: Millis) -> Result<Swap, StoreError> {
        let key = Key::part(part);
        let partition = key.due_partition();
        let set = "SET #leaseUntil = :until, #duePartition = :partition, #nextActionAt = :until";
        let prolong = held(Change::update(key, set), owner, attempt)
            .with("until", n(lease_until.0))
            .with("partition", s(partition));
        self.swap_if(vec![prolong, gate_open(part)]).await
    }

    async fn finish(&self, part: &PartRef, done: &PartDone) -> Result<Swap, StoreError> {
        let set = "SET #state = :done, #output = :output REMOVE #duePartition, #nextActionAt";
        let commit = held(Change::update(Key::part(part), set), &done.owner, done.attempt)
            .with("done", items::word(&PartState::Done))
            .with("output", s(&done.output))
            .telling();
        let shard = Key::shard(&part.tenant, part.job, part.shard);
        let count = items::count(shard, done.weight, &done.counts)
            .only_if("#gate = :open")
            .with("open", items::word(&Gate::Open));
        match self.table.write(vec![commit, count]).await? {
            Outcome::Written => {
                tracing::Span::current().record("rows", done.counts.rows).record("bytes", done.counts.bytes);
                Ok(Swap::Done)
            }
            Outcome::Refused(told) => was_mine(told, |old| {
                let mine = old.is_held(&done.owner, done.attempt);
                old.state == PartState::Done && mine && old.output.as_ref() == Some(&done.output)
            }),
        }
    }

    async fn split(&self, part: &PartRef, split: &PartSplit) -> Result<Swap, StoreError> {
        let set = "SET #state = :split REMOVE #duePartition, #nextActionAt";
        let end = held(Change::update(Key::part(part), set), &split.owner, split.attempt)
            .with("split", items::word(&PartState::Split))
            .telling();
        let shard = Change::update(Key::shard(&part.tenant, part.job, part.shard), "ADD #total :one")
            .only_if("#gate = :open")
            .with("one", n(1))
            .with("open", items::word(&Gate::Open));
        let half = |(number, weight)| {
            let at = PartRef { part: number, ..part.clone() };
            Change::put(items::part(&at, weight, split.due)).only_if_new()
        };
        let [first, second] = split.halves.map(half);
        match self.table.write(vec![end, shard, first, second]).await? {
            Outcome::Written => Ok(Swap::Done),
            Outcome::Refused(told) => {
                was_mine(told, |old| old.state == PartState::Split && old.is_held(&split.owner, split.attempt))
            }
        }
    }

    async fn part(&self, part: &PartRef) -> Result<Option<Part>, StoreError> {
        self.table.get(&Key::part(part)).await?.as_ref().map(items::read_part).transpose()
    }

    async fn postpone_part(&self, part: &PartRef, due: Option<Millis>) -> Result<(), StoreError> {
        let key = Key::part(part);
        let partition = key.due_partition();
        let change = match due {
            Some(due) => Change::update(key, "SET #duePartition = :partition, #nextActionAt = :due")
                .with("partition", s(partition))
                .with("due", n(due.0)),
            None => Change::update(key, "REMOVE #duePartition, #nextActionAt"),
        };
        let change = change.only_if("#state = :pending").with("pending", items::word(&PartState::Pending));
        self.swap_if(vec![change]).await.map(drop)
    }
}

/// After a refusal that tells the part first: whether it stands as an earlier write of the very same left it, whose answer
/// was lost.
fn was_mine(told: Vec<Option<Item>>, mine: impl Fn(&Part) -> bool) -> Result<Swap, StoreError> {
    match told.into_iter().next().flatten() {
        Some(old) if !old.is_empty() && mine(&items::read_part(&old)?) => Ok(Swap::Done),
        _ => Ok(Swap::Moved),
    }
}

/// A change that only the holder of a claim may make.
fn held(change: Change, owner: &str, attempt: u32) -> Change {
    change
        .only_if(HELD)
        .with("pending", items::word(&PartState::Pending))
        .with("attempt", n(attempt))
        .with("owner", s(owner))
}

/// The guard that the part's shard still takes commits.
fn gate_open(part: &PartRef) -> Change {
    let shard = Key::shard(&part.tenant, part.job, part.shard);
    Change::check(shard).only_if("#gate = :open").with("open", items::word(&Gate::Open))
}

impl EndJobs for DynamoJobs {
    async fn shards(&self, tenant: &Tenant, job: JobId, shards: u32) -> Result<Vec<Shard>, StoreError> {
        let keys: Vec<Key> = (0..shards).map(|k| Key::shard(tenant, job, k)).collect();
        let mut found = self.table.get_all(&keys).await?;
        let place = |item: &Item| keys.iter().position(|key| opt_text(item, "PK") == Some(&key.pk));
        found.sort_by_key(place);
        found.iter().map(items::read_shard).collect()
    }

    async fn close_gates(&self, tenant: &Tenant, job: JobId, shards: u32) -> Result<(), StoreError> {
        let close = |k| {
            let change = Change::update(Key::shard(tenant, job, k), "SET #gate = :closed")
                .only_if("attribute_exists(#PK)")
                .with("closed", items::word(&Gate::Closed));
            // A shard that does not exist needs no closing: it can no longer be made (P2's condition).
            async move { self.swap_if(vec![change]).await.map(drop) }
        };
        stream::iter(0..shards).map(close).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn parts(&self, tenant: &Tenant, job: JobId, shards: u32) -> Result<Vec<Part>, StoreError> {
        let of_shard = |k| async move {
            let query = Query {
                condition: "#PK = :shard AND begins_with(#SK, :part)",
                values: vec![("shard", s(keys::shard_partition(tenant, job, k))), ("part", s(keys::PART))],
                ..Query::default()
            };
            self.table.query(&query, usize::MAX).await
        };
        let items: Vec<_> = stream::iter(0..shards).map(of_shard).buffer_unordered(AT_ONCE).try_concat().await?;
        let mut parts = items.iter().map(items::read_part).collect::<Result<Vec<_>, _>>()?;
        parts.sort_by_key(|part| part.number);
        Ok(parts)
    }
}
