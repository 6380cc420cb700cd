//! The invariants, after every step (protocol.md). What was seen once is remembered, so that nothing can be taken back
//! unnoticed.

use crate::rows;
use crate::world::World;
use bytes::Bytes;
use domain::id::JobId;
use domain::job::Job;
use domain::plan::{Counts, OutputFile, OutputList, TableName};
use domain::ports::jobs::{Gate, PartState};
use domain::ports::objects::Location;
use domain::state::State;
use domain::tenant::Tenant;
use std::collections::{BTreeMap, BTreeSet};
use testkit::{Snapshot, Tables};

type JobKey = (Tenant, JobId);

/// What was seen.
#[derive(Default)]
pub struct Seen {
    /// Jobs as they stood last; of those that are gone, how they ended.
    pub jobs: BTreeMap<JobKey, Known>,
    /// Output lists of parts that are DONE.
    outputs: BTreeMap<(JobKey, u32), (String, OutputList)>,
    /// The snapshots of every table that was looked at.
    snapshots: BTreeMap<TableName, Vec<i64>>,
    /// Visible files, and what stood in them when they came to be visible.
    visible: BTreeMap<Location, Bytes>,
    /// The files that snapshots are made of.
    of_commits: BTreeSet<Location>,
    /// How many objects there were when their keys were judged last.
    keys: usize,
    /// Tenants whose export table was dropped: its files are who dropped it's.
    dropped: BTreeSet<Tenant>,
    /// Parts that were split.
    pub splits: usize,
    /// Commits that were abandoned.
    pub abandoned: usize,
}

/// A job as it was seen last.
pub struct Known {
    pub job: Job,
    /// Whether a client was told that it is cancelled.
    pub cancelled: bool,
    /// Whether its snapshot is in the table.
    pub is_visible: bool,
    /// Whether the table was dropped since: what it showed, nobody can tell.
    table_dropped: bool,
    /// Parts that were done when it ended or all its gates were seen closed.
    frozen: Option<usize>,
}

type Verdict = Result<(), String>;

fn hold(condition: bool, what: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(what()) }
}

impl Seen {
    /// A table is gone, and nothing of it visible any more.
    pub fn forget_table(&mut self, name: &TableName, tenant: &Tenant) {
        self.snapshots.remove(name);
        self.visible.retain(|at, _| !at.key.starts_with(&tenant.object_prefix()));
        self.of_commits.retain(|at| !at.key.starts_with(&tenant.object_prefix()));
        let of_tenant = self.jobs.iter_mut().filter(|((owner, _), _)| owner == tenant);
        of_tenant.for_each(|(_, known)| known.table_dropped = true);
        self.dropped.insert(tenant.clone());
    }

    /// Judges the world as it stands.
    pub fn judge(&mut self, world: &World) -> Verdict {
        world.jobs.inspect(|tables| {
            self.judge_jobs(tables)?;
            self.judge_parts(world, tables)
        })?;
        for (name, snapshots) in self.changed_tables(world) {
            self.judge_table(world, &name, &snapshots)?;
        }
        self.judge_visible(world)?;
        self.judge_keys(world)?;
        self.judge_ends()
    }

    /// I3: status moves along the table; what has ended stays as it is, until its record goes.
    fn judge_jobs(&mut self, tables: &Tables) -> Verdict {
        for (key, record) in &tables.jobs {
            let job = &record.job;
            let Some(known) = self.jobs.get_mut(key) else {
                hold(job.state == State::New, || format!("I3: {} began as {:?}", job.id, job.state))?;
                let known =
                    Known { job: job.clone(), cancelled: false, is_visible: false, table_dropped: false, frozen: None };
                self.jobs.insert(key.clone(), known);
                continue;
            };
            if job.version == known.job.version && job.state == known.job.state {
                continue;
            }
            let (from, to) = (known.job.state, job.state);
            hold(from == to || from.may_become(to), || format!("I3: {} went from {from:?} to {to:?}", job.id))?;
            hold(!from.is_terminal(), || format!("I3: {} was {from:?} and was written", job.id))?;
            hold(job.version > known.job.version, || format!("I3: the version of {} fell", job.id))?;
            known.cancelled |= to == State::Cancelling;
            self.abandoned += usize::from(from != to && to == State::Aborting);
            known.job = job.clone();
        }
        for (key, known) in &self.jobs {
            let gone = !tables.jobs.contains_key(key);
            hold(!gone || known.job.state.is_terminal(), || format!("I3: {} went as {:?}", key.1, known.job.state))?;
        }
        Ok(())
    }

    /// I1: one winner a part. I2: a shard counts its DONE parts. I10: and their rows. Behind closed gates nothing is done.
    fn judge_parts(&mut self, world: &World, tables: &Tables) -> Verdict {
        let mut found: BTreeMap<(JobKey, u32), (u32, u32, Counts)> = BTreeMap::new();
        for (at, item) in &tables.parts {
            let key = (at.tenant.clone(), at.job);
            let (leaves, done, counts) = found.entry((key.clone(), at.shard)).or_default();
            *leaves += u32::from(item.part.state != PartState::Split);
            if item.part.state != PartState::Done {
                continue;
            }
            let output = item.part.output.clone().unwrap_or_default();
            let list = self.output(world, key, at.part, &output)?;
            *done += 1;
            counts.add(&list.counts);
        }
        for ((tenant, job, number), shard) in &tables.shards {
            let key = (tenant.clone(), *job);
            let (leaves, done, counts) = found.remove(&(key.clone(), *number)).unwrap_or_default();
            hold(shard.done == done, || {
                format!("I2: shard {number} of {job} counts {} parts, {done} are", shard.done)
            })?;
            hold(shard.counts == counts, || {
                format!("I10: shard {number} of {job} counts {:?}, not {counts:?}", shard.counts)
            })?;
            let planned = self.jobs.get(&key).is_some_and(|known| known.job.work.is_some());
            hold(leaves <= shard.total && (leaves == shard.total || !planned), || {
                format!("I2: shard {number} of {job} is of {} parts, {leaves} are", shard.total)
            })?;
        }
        for (key, known) in &mut self.jobs {
            let shards = tables.shards.range((key.0.clone(), key.1, 0)..=(key.0.clone(), key.1, u32::MAX));
            let shards: Vec<_> = shards.map(|(_, shard)| shard).collect();
            let done = shards.iter().map(|shard| shard.done as usize).sum();
            let closed = !shards.is_empty() && shards.iter().all(|shard| shard.gate == Gate::Closed);
            match known.frozen {
                // Forgotten once it is collected.
                Some(frozen) => hold(shards.is_empty() || frozen == done, || {
                    format!("I4: {} of {:?} had {frozen} parts done, now {done}", key.1, known.job.state)
                })?,
                None => known.frozen = (closed || known.job.state.is_terminal()).then_some(done),
            }
        }
        let splits = tables.parts.values().filter(|item| item.part.state == PartState::Split).count();
        self.splits = self.splits.max(splits);
        Ok(())
    }

    /// The output list that a DONE part names, as it was when it came to be done.
    fn output(&mut self, world: &World, key: JobKey, part: u32, output: &str) -> Result<&OutputList, String> {
        let known = self.outputs.entry((key, part));
        let known = match known {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                let at = Location::parse(output).ok_or_else(|| format!("part {part} names no list: {output}"))?;
                let body = world.objects.inspect(|objects| objects.get(&at).cloned());
                let body = body.ok_or_else(|| format!("part {part} is done without its list {output}"))?;
                free.insert((output.to_owned(), serde_json::from_slice(&body).map_err(|e| e.to_string())?))
            }
        };
        hold(known.0 == output, || format!("I1: part {part} was done by {} and then by {output}", known.0))?;
        Ok(&known.1)
    }

    /// Tables with other snapshots than were seen.
    fn changed_tables(&self, world: &World) -> Vec<(TableName, Vec<Snapshot>)> {
        let is_seen = |name: &TableName, snapshots: &[Snapshot]| {
            let seen = self.snapshots.get(name).map(Vec::as_slice).unwrap_or_default();
            seen.iter().eq(snapshots.iter().map(|s| &s.id))
        };
        world.lake.inspect(|tables| {
            let changed = tables.iter().filter(|(name, table)| !is_seen(name, &table.snapshots));
            changed.map(|(name, table)| (name.clone(), table.snapshots.clone())).collect()
        })
    }

    /// I4, I5, I7, I8: what became visible in a table.
    fn judge_table(&mut self, world: &World, name: &TableName, snapshots: &[Snapshot]) -> Verdict {
        let ids: Vec<i64> = snapshots.iter().map(|s| s.id).collect();
        let seen = self.snapshots.entry(name.clone()).or_default();
        hold(ids.starts_with(seen), || format!("I6: a snapshot of {name} is gone: {seen:?}, now {ids:?}"))?;
        let new = seen.len();
        *seen = ids;
        for snapshot in &snapshots[new..] {
            self.of_commits.extend(snapshot.commit_file.clone());
            if let Some(id) = snapshot.job {
                // Two tenants' jobs may have one id.
                let owner = (0..).zip(&world.tenants).find(|(n, _)| world.table(*n, &name.table) == *name);
                let (_, tenant) = owner.ok_or_else(|| format!("{name} is no tenant's"))?;
                self.judge_snapshot(world, (tenant.clone(), id), &snapshot.added)?;
            }
        }
        Ok(())
    }

    fn judge_snapshot(&mut self, world: &World, key: JobKey, added: &[OutputFile]) -> Verdict {
        let id = key.1;
        let known = self.jobs.get(&key).ok_or_else(|| format!("nobody knows the job {id} of a snapshot"))?;
        hold(!known.is_visible, || format!("I5: {id} is visible twice"))?;
        hold(!known.cancelled, || format!("I4: {id} was cancelled and is visible"))?;
        let state = known.job.state;
        hold(matches!(state, State::Committing | State::Aborting), || format!("I4: {id} is visible as {state:?}"))?;
        let of_parts = self.outputs.iter().filter(|((job, _), _)| *job == key);
        let mut all: Vec<&OutputFile> = of_parts.flat_map(|(_, (_, list))| &list.files).collect();
        let mut those: Vec<&OutputFile> = added.iter().collect();
        all.sort_by(|a, b| a.location.cmp(&b.location));
        those.sort_by(|a, b| a.location.cmp(&b.location));
        hold(all == those, || format!("I5: {id} shows {} of its {} files", those.len(), all.len()))?;
        let job = known.job.clone();
        let expected = expected(world, &job);
        for batch in &job.resolved.batches {
            let mut rows = Vec::new();
            for file in added.iter().filter(|file| file.batch_id == *batch) {
                let at = Location::parse(&file.location).ok_or("a file has no location")?;
                let body = world.objects.inspect(|objects| objects.get(&at).cloned());
                let body = body.ok_or_else(|| format!("I6: {at} is visible and not there"))?;
                let read: Vec<u64> = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
                hold(read.len() as u64 == file.rows, || format!("I10: {at} has other rows than it counts"))?;
                rows.extend(read);
                self.visible.insert(at, body);
            }
            rows.sort_unstable();
            hold(rows == expected, || format!("I7, I8: {id} shows {rows:?}, the pinned snapshot has {expected:?}"))?;
        }
        if let Some(known) = self.jobs.get_mut(&key) {
            known.is_visible = true;
        }
        Ok(())
    }

    /// I6: what is visible stays as it is.
    fn judge_visible(&self, world: &World) -> Verdict {
        world.objects.inspect(|objects| {
            for (at, body) in &self.visible {
                hold(objects.get(at) == Some(body), || format!("I6: {at} is visible and was changed or deleted"))?;
            }
            for at in &self.of_commits {
                hold(objects.contains_key(at), || format!("I6: {at} makes a snapshot and was deleted"))?;
            }
            world.lake.inspect(|tables| {
                let mut named = tables.values().flat_map(|table| &table.widenings);
                named.try_for_each(|at| {
                    hold(objects.contains_key(at), || format!("I6: {at} is named by a table and was deleted"))
                })
            })
        })
    }

    /// I11: each object's key begins with a tenant.
    fn judge_keys(&mut self, world: &World) -> Verdict {
        world.objects.inspect(|objects| {
            // A step writes or deletes one.
            if self.keys == objects.len() {
                return Ok(());
            }
            self.keys = objects.len();
            let owned = |at: &Location| world.tenants.iter().any(|tenant| at.key.starts_with(&tenant.object_prefix()));
            objects.keys().try_for_each(|at| hold(owned(at), || format!("I11: {at} is no tenant's")))
        })
    }

    /// What a job's end says of it is so.
    fn judge_ends(&self) -> Verdict {
        for (key @ (_, id), known) in &self.jobs {
            match known.job.state {
                _ if known.table_dropped => {}
                State::Succeeded => hold(known.is_visible, || format!("I9: {id} SUCCEEDED and is not visible"))?,
                State::Failed | State::Cancelled => {
                    hold(!known.is_visible, || format!("I4: {id} is visible as {:?}", known.job.state))?;
                }
                _ => {}
            }
            if let Some(counts) = &known.job.counts {
                let rows = known.job.resolved.batches.len() as u64;
                let of_job = self.outputs.iter().filter(|((job, _), _)| job == key);
                let counted: u64 = of_job.map(|(_, (_, list))| list.counts.rows).sum();
                hold(counts.rows == counted && (rows == 0 || counts.rows % rows == 0), || {
                    format!("I10: {id} counts {} rows, its parts {counted}", counts.rows)
                })?;
            }
        }
        Ok(())
    }

    /// The visible rows by batch, in order.
    pub fn rows(&self) -> BTreeMap<String, Vec<u64>> {
        let mut rows: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (at, body) in &self.visible {
            let batch = at.key.split('/').rev().nth(1).unwrap_or_default().to_owned();
            rows.entry(batch).or_default().extend(serde_json::from_slice::<Vec<u64>>(body).unwrap_or_default());
        }
        rows.values_mut().for_each(|rows| rows.sort_unstable());
        rows
    }

    /// I9 and what collecting leaves, once faults have stopped and the clock has gone on. A process that slept past the
    /// last look may have left something behind.
    pub fn judge_at_rest(&self, world: &World, overslept: bool) -> Verdict {
        for ((_, id), known) in &self.jobs {
            hold(known.job.state.is_terminal(), || format!("I9: {id} is {:?} for ever", known.job.state))?;
        }
        world.jobs.inspect(|tables| {
            hold(tables.collect.is_empty(), || format!("G: {} jobs are never collected", tables.collect.len()))?;
            hold(overslept || tables.shards.is_empty() && tables.parts.is_empty(), || {
                "G: shards or parts are left".into()
            })
        })?;
        hold(overslept || world.objects.open_uploads() == 0, || {
            format!("G: {} uploads are left", world.objects.open_uploads())
        })?;
        let widenings: Vec<Location> =
            world.lake.inspect(|tables| tables.values().flat_map(|table| table.widenings.clone()).collect());
        let visible: BTreeSet<&Location> = self.visible.keys().chain(&self.of_commits).chain(&widenings).collect();
        world.objects.inspect(|objects| {
            let is_dropped = |at: &Location| {
                at.bucket == "lake" && self.dropped.iter().any(|tenant| at.key.starts_with(&tenant.object_prefix()))
            };
            // What was seen of a table's files is no job's.
            let is_mark = |at: &Location| at.bucket == "state" && at.key.contains("/tables/");
            for at in objects.keys().filter(|at| !is_dropped(at) && !is_mark(at)) {
                hold(overslept || visible.contains(at), || format!("G: {at} is left behind"))?;
            }
            Ok(())
        })
    }
}

/// All rows of the snapshots that a job has pinned.
fn expected(world: &World, job: &Job) -> Vec<u64> {
    let pins = job.pins.iter().flatten();
    let mut rows: Vec<u64> = world.lake.inspect(|tables| {
        let pinned =
            pins.filter_map(|pin| tables.get(&pin.table)?.snapshots.iter().find(|s| Some(s.id) == pin.snapshot_id));
        pinned.flat_map(|snapshot| &snapshot.live).flat_map(rows::of_file).collect()
    });
    rows.sort_unstable();
    rows
}
