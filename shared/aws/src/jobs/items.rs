//! Jobs, keys, shards and parts as items.

use crate::dynamodb::{Change, Item, Key, from_doc, keys, n, number, opt_text, s, text, to_doc};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::id::JobId;
use domain::instant::Millis;
use domain::job::{Collect, Job, JobRecord, Progress};
use domain::plan::Counts;
use domain::ports::jobs::{Gate, IdempotencyKey, Part, PartRef, PartState, Shard, StoreError};
use domain::state::{ShownStatus, State};
use domain::tenant::Tenant;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What the attributes begin with that count a shard's profiles by namespace.
const NAMESPACE: &str = "ns#";

/// The partition of the status index for a tenant's jobs of a status.
pub(super) fn status_key(tenant: &Tenant, status: ShownStatus) -> String {
    format!("{tenant}#{}", status.as_str())
}

/// A job as it is created, its progress at nothing.
pub(super) fn job(job: &Job) -> Item {
    let key = Key::job(&job.tenant, job.id);
    let mut item = key.item();
    let attributes = [
        ("version", n(job.version)),
        ("state", word(&job.state)),
        ("nonce", s(&job.nonce)),
        ("doc", to_doc(job)),
        ("statusKey", s(status_key(&job.tenant, job.state.shown()))),
        // For the status events.
        ("status", s(job.state.shown().as_str())),
        ("jobId", n(job.id.value())),
        ("partsDone", n(0)),
        ("weightDone", n(0)),
        ("rows", n(0)),
        ("bytes", n(0)),
    ];
    item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
    if let Some(due) = job.due {
        item.insert("duePartition".into(), s(key.due_partition()));
        item.insert("nextActionAt".into(), n(due.0));
    }
    item
}

/// The change from the record before to this one; progress stays as it is.
pub(super) fn step(next: &Job) -> Change {
    let key = Key::job(&next.tenant, next.id);
    let due_partition = key.due_partition();
    let due = match next.due {
        Some(_) => ", #duePartition = :duePartition, #nextActionAt = :nextActionAt",
        None => " REMOVE #duePartition, #nextActionAt",
    };
    let set = format!(
        "SET #version = :version, #state = :state, #doc = :doc, #statusKey = :statusKey, #status = :status{due}"
    );
    let change = Change::update(key, set)
        .only_if("#version = :before")
        .with("before", n(next.version.saturating_sub(1)))
        .with("version", n(next.version))
        .with("state", word(&next.state))
        .with("doc", to_doc(next))
        .with("statusKey", s(status_key(&next.tenant, next.state.shown())))
        .with("status", s(next.state.shown().as_str()));
    match next.due {
        Some(due) => change.with("duePartition", s(due_partition)).with("nextActionAt", n(due.0)),
        None => change,
    }
}

/// Raises the progress if none of its figures falls. A record that is gone stays gone.
pub(super) fn report(tenant: &Tenant, id: JobId, progress: Progress) -> Change {
    Change::update(
        Key::job(tenant, id),
        "SET #partsTotal = :total, #partsDone = :parts, #weightDone = :weight, #rows = :rows, #bytes = :bytes, #told = :told",
    )
    .only_if("#partsDone <= :parts AND #weightDone <= :weight AND #rows <= :rows AND #bytes <= :bytes")
    .with("total", n(progress.parts))
    .with("parts", n(progress.parts_done))
    .with("weight", n(progress.weight_done))
    .with("rows", n(progress.rows))
    .with("bytes", n(progress.bytes))
    .with("told", progress.told.map_or(AttributeValue::Null(true), |at| n(at.0)))
}

/// Raises the weight that was seen done. A record that is gone stays gone.
pub(super) fn report_seen(tenant: &Tenant, id: JobId, weight_seen: u64) -> Change {
    Change::update(Key::job(tenant, id), "SET #weightSeen = :seen")
        .only_if("attribute_exists(#PK) AND (attribute_not_exists(#weightSeen) OR #weightSeen < :seen)")
        .with("seen", n(weight_seen))
}

/// Reads a job's item.
pub(super) fn record(item: &Item) -> Result<JobRecord, StoreError> {
    let progress = Progress {
        parts_done: number(item, "partsDone")?,
        weight_done: number(item, "weightDone")?,
        rows: number(item, "rows")?,
        bytes: number(item, "bytes")?,
        // Records of older releases lack these.
        weight_seen: item.get("weightSeen").map_or(Ok(0), |_| number(item, "weightSeen"))?,
        parts: item.get("partsTotal").map_or(Ok(0), |_| number(item, "partsTotal"))?,
        told: item.get("told").filter(|value| value.is_n()).map(|_| number(item, "told").map(Millis)).transpose()?,
    };
    Ok(JobRecord { job: from_doc(item)?, progress })
}

/// What is left of a job that has just ended; outlives its record.
pub(super) fn collect(job: &Job) -> Item {
    let key = Key::collect(&job.tenant, job.id);
    let mut item = key.item();
    let attributes = [
        ("doc", to_doc(job)),
        ("looks", n(0)),
        ("duePartition", s(key.due_partition())),
        ("nextActionAt", n(job.update_time.0)),
    ];
    item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
    item
}

/// Reads what is left of a job.
pub(super) fn read_collect(item: &Item) -> Result<Collect, StoreError> {
    Ok(Collect { job: from_doc(item)?, looks: number(item, "looks")? })
}

/// A client's idempotency key and the job that it made. `expiresAt`, in seconds, only lets DynamoDB clean up: whether the
/// key has expired is judged by `expires`.
pub(super) fn idempotency(job: &Job, key: &IdempotencyKey) -> Item {
    let mut item = Key::idempotency(&job.tenant, &key.key).item();
    let attributes = [
        ("bodyHash", s(&key.body_hash)),
        ("jobId", n(job.id.value())),
        ("expires", n(key.expires.0)),
        ("expiresAt", n(key.expires.0.div_euclid(1_000) + 1)),
    ];
    item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
    item
}

/// A shard of this many parts, open and at nothing.
pub(super) fn shard(tenant: &Tenant, job: JobId, number: u32, total: u32) -> Item {
    let mut item = Key::shard(tenant, job, number).item();
    item.insert("gate".into(), word(&Gate::Open));
    item.insert("total".into(), n(total));
    for counter in ["done", "weightDone", "rows", "bytes", "tooManyIdentities", "emptyProfiles"] {
        item.insert(counter.into(), n(0));
    }
    item
}

/// Reads a shard's item.
pub(super) fn read_shard(item: &Item) -> Result<Shard, StoreError> {
    let names = item.keys().filter_map(|name| name.strip_prefix(NAMESPACE).map(|namespace| (name, namespace)));
    let by_namespace = names.map(|(name, namespace)| Ok((namespace.to_owned(), number(item, name)?)));
    Ok(Shard {
        gate: read_word(item, "gate")?,
        total: number(item, "total")?,
        done: number(item, "done")?,
        weight_done: number(item, "weightDone")?,
        counts: Counts {
            rows: number(item, "rows")?,
            bytes: number(item, "bytes")?,
            by_namespace: by_namespace.collect::<Result<_, StoreError>>()?,
            too_many_identities: number(item, "tooManyIdentities")?,
            empty_profiles: number(item, "emptyProfiles")?,
        },
    })
}

/// Adds a finished part to its shard's totals.
pub(super) fn count(shard: Key, weight: u64, counts: &Counts) -> Change {
    let fixed = [
        ("done", 1),
        ("weightDone", weight),
        ("rows", counts.rows),
        ("bytes", counts.bytes),
        ("tooManyIdentities", counts.too_many_identities),
        ("emptyProfiles", counts.empty_profiles),
    ];
    let fixed = fixed.map(|(name, more)| (name.to_owned(), name.to_owned(), more));
    let spaces = (0..).zip(&counts.by_namespace);
    let spaces = spaces.map(|(at, (namespace, more))| (format!("ns{at}"), format!("{NAMESPACE}{namespace}"), *more));
    let counters: Vec<_> = fixed.into_iter().chain(spaces).collect();
    let adds: Vec<String> = counters.iter().map(|(name, ..)| format!("#{name} :{name}")).collect();
    counters.into_iter().fold(Change::update(shard, format!("ADD {}", adds.join(", "))), |change, counter| {
        let (name, attribute, more) = counter;
        change.naming(&name, attribute).with(&name, n(more))
    })
}

/// A part that nobody has claimed yet.
pub(super) fn part(at: &PartRef, weight: u64, due: Millis) -> Item {
    let key = Key::part(at);
    let mut item = key.item();
    let attributes = [
        ("state", word(&PartState::Pending)),
        ("attempt", n(0)),
        ("leaseUntil", n(0)),
        ("weight", n(weight)),
        ("duePartition", s(key.due_partition())),
        ("nextActionAt", n(due.0)),
    ];
    item.extend(attributes.map(|(name, value)| (name.to_owned(), value)));
    item
}

/// Reads a part's item.
pub(super) fn read_part(item: &Item) -> Result<Part, StoreError> {
    let digits = text(item, "SK")?.strip_prefix(keys::PART).and_then(|digits| digits.parse().ok());
    Ok(Part {
        number: digits.ok_or_else(|| StoreError::Damaged("its sort key names no part".into()))?,
        state: read_word(item, "state")?,
        attempt: number(item, "attempt")?,
        owner: opt_text(item, "owner").map(str::to_owned),
        lease_until: Millis(number(item, "leaseUntil")?),
        weight: number(item, "weight")?,
        output: opt_text(item, "output").map(str::to_owned),
    })
}

/// A state or gate by its own name, as a guard compares it.
pub(super) fn word(value: &(impl Serialize + Word)) -> AttributeValue {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => s(word),
        _ => unreachable!("a Word is an enum without fields"),
    }
}

fn read_word<T: DeserializeOwned + Word>(item: &Item, name: &str) -> Result<T, StoreError> {
    let word = serde_json::Value::from(text(item, name)?);
    serde_json::from_value(word).map_err(|why| StoreError::Damaged(format!("{name}: {why}")))
}

/// Enums without fields, stored by name.
pub(super) trait Word {}
impl Word for State {}
impl Word for Gate {}
impl Word for PartState {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use testkit::fixtures;

    #[test]
    fn a_jobs_item_leads_back_to_its_record() {
        let tenant = fixtures::tenant();
        let sample = fixtures::processing(&tenant, 1, 3);
        let mut item = job(&sample);
        item.insert("rows".into(), n(7));
        let expected = JobRecord { job: sample, progress: Progress { rows: 7, ..Progress::default() } };
        assert_eq!(record(&item).unwrap(), expected);
        assert_eq!(text(&item, "statusKey").unwrap(), "EXAMPLE@AdobeOrg#prod#PROCESSING");
        assert_eq!(text(&item, "state").unwrap(), "PROCESSING");
    }

    #[test]
    fn only_a_job_that_is_due_stands_in_the_due_index() {
        let sample = fixtures::job(&fixtures::tenant(), 1);
        assert!(job(&sample).contains_key("duePartition"));
        let idle = job(&Job { due: None, ..sample });
        assert!(!idle.contains_key("duePartition") && !idle.contains_key("nextActionAt"));
    }

    #[test]
    fn parts_and_shards_lead_back_to_themselves() {
        let (tenant, id) = (fixtures::tenant(), fixtures::job_id(1));
        let at = PartRef { tenant: tenant.clone(), job: id, shard: 3, part: 19 };
        let read = read_part(&part(&at, 42, Millis(9))).unwrap();
        assert_eq!((read.number, read.weight, read.attempt, read.owner), (19, 42, 0, None));
        let mut item = shard(&tenant, id, 3, 16);
        item.insert("ns#a#b".into(), n(5));
        let read = read_shard(&item).unwrap();
        assert_eq!((read.gate, read.total, read.counts.by_namespace), (Gate::Open, 16, [("a#b".into(), 5)].into()));
    }

    #[test]
    fn what_is_left_of_a_job_is_due_at_once_and_leads_back_to_it() {
        let sample = fixtures::job(&fixtures::tenant(), 1);
        let item = collect(&sample);
        assert_eq!(read_collect(&item).unwrap(), Collect { job: sample.clone(), looks: 0 });
        assert_eq!(item["nextActionAt"], n(sample.update_time.0));
    }

    #[test]
    fn an_item_that_cannot_be_read_is_damaged_not_a_panic() {
        let sample = fixtures::job(&fixtures::tenant(), 1);
        for (name, value) in [("doc", s("{}")), ("doc", n(1)), ("rows", n("x")), ("rows", n(-1))] {
            let mut item = job(&sample);
            item.insert(name.into(), value);
            assert!(matches!(record(&item), Err(StoreError::Damaged(_))), "{name}");
        }
        assert!(matches!(read_shard(&Item::new()), Err(StoreError::Damaged(_))));
        assert!(matches!(read_part(&Item::new()), Err(StoreError::Damaged(_))));
    }

    #[test]
    fn states_are_stored_by_the_names_of_the_protocol() {
        assert_eq!((word(&State::New), word(&State::Cancelling)), (s("NEW"), s("CANCELLING")));
        assert_eq!((word(&Gate::Closed), word(&PartState::Done)), (s("CLOSED"), s("DONE")));
    }
}
