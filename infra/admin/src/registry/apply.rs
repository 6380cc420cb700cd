//! Applying a registry file: look at everything, say what would change, then change it.

use super::check;
use super::diff::Change;
use super::file::{Declared, Placed, RegistryFile, Sandbox};
use crate::failure::Failure;
use crate::tables::KeepTables;
use crate::yaml::Finding;
use domain::plan::TableName;
use domain::ports::lake::{LakeError, ReadTables, TableState};
use domain::ports::registry::{Entry, ReadClients, ReadRegistry, WriteRegistry};
use domain::registry::{Client, DatasetKind, MergePolicy, Registry};
use domain::schema::{Differences, Schema, differences};
use domain::tenant::Tenant;
use domain::union::{Input, export_schema};
use domain::validation::{source_fitness, target_fitness};
use std::collections::BTreeMap;
use std::fmt;

/// What applying a file would do. Displays as the diff.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    tables: BTreeMap<TableName, NewTable>,
    entries: Vec<(Tenant, Change, Entry)>,
    clients: Vec<(Change, Client)>,
    kept: Vec<String>,
    notes: Vec<String>,
}

/// A table to be created.
#[derive(Clone, Debug, PartialEq)]
struct NewTable {
    database_location: String,
    location: String,
    schema: Schema,
    export: bool,
    /// Number of buckets and the column they are of.
    buckets: Option<(u32, String)>,
}

impl Plan {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        let entries = self.entries.iter().any(|(_, change, _)| change.writes());
        self.tables.is_empty() && !entries && !self.clients.iter().any(|(change, _)| change.writes())
    }

    /// What the reader should know beside the diff, one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Does it: tables first, then entries, then clients. Idempotent: what broke off is finished by planning again.
    pub async fn carry_out(&self, registry: &impl WriteRegistry, tables: &impl KeepTables) -> Result<(), Failure> {
        for (name, table) in &self.tables {
            tables.ensure_database(&name.database, &table.database_location).await?;
            if table.export {
                tables.create_export_table(name, &table.location, &table.schema).await?;
            } else {
                let buckets = table.buckets.as_ref().map(|(n, column)| (*n, column.as_str()));
                tables.create_profile_table(name, &table.location, &table.schema, buckets).await?;
            }
        }
        for (tenant, _, entry) in self.entries.iter().filter(|(_, change, _)| change.writes()) {
            let mut entry = entry.clone();
            if let Entry::Dataset(dataset) = &mut entry
                && dataset.copy.is_none()
            {
                dataset.copy = Some(tables.look(&dataset.table, &dataset.columns.profile_id).await?.copy);
            }
            registry.put_entry(tenant, &entry).await?;
        }
        for (_, client) in self.clients.iter().filter(|(change, _)| change.writes()) {
            registry.put_client(client).await?;
        }
        Ok(())
    }
}

/// Compares a file with what is registered and with the tables. `warehouse` is the `s3://bucket/key` below which new
/// tables are put. Fails with every finding at once.
pub async fn plan(
    file: &RegistryFile,
    registry: &(impl ReadRegistry + ReadClients),
    tables: &impl ReadTables,
    warehouse: &str,
) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    let mut found = Vec::new();
    for sandbox in &file.sandboxes {
        let stored = registry.registry(&sandbox.tenant).await?;
        let looked = look(sandbox, tables).await?;
        plan_datasets(sandbox, &looked, &stored, warehouse, &mut plan, &mut found);
        plan_others(sandbox, &stored, &mut plan);
    }
    if !found.is_empty() {
        return Err(Failure::Findings(found));
    }
    for Placed { item: wanted, .. } in &file.clients {
        let stored = registry.client(&wanted.api_key).await?;
        let mut client = wanted.clone();
        let others = stored.iter().flat_map(|c| &c.grants).filter(|g| g.organization != file.organization);
        client.grants.extend(others.cloned());
        client.grants.sort_by(|a, b| a.organization.cmp(&b.organization));
        plan.clients.push((Change::between(stored.as_ref(), &client), client));
    }
    Ok(plan)
}

/// Each dataset's table as it stands; `None` = there is none.
async fn look(sandbox: &Sandbox, tables: &impl ReadTables) -> Result<Vec<Option<TableState>>, Failure> {
    let mut looked = Vec::new();
    for Placed { item: Declared { dataset, .. }, .. } in &sandbox.datasets {
        looked.push(match tables.look(&dataset.table, &dataset.columns.profile_id).await {
            Ok(state) => Some(state),
            Err(LakeError::NoTable(_)) => None,
            Err(other) => return Err(other.into()),
        });
    }
    Ok(looked)
}

fn plan_datasets(
    sandbox: &Sandbox,
    looked: &[Option<TableState>],
    stored: &Registry,
    warehouse: &str,
    plan: &mut Plan,
    found: &mut Vec<Finding>,
) {
    let sources = sources(sandbox, looked, found);
    let of_kind = |kind| sources.iter().filter(|(k, _)| *k == kind).map(|(_, input)| *input).collect::<Vec<_>>();
    let mut conflicts = Vec::new();
    let union = export_schema(&of_kind(DatasetKind::Profile), &of_kind(DatasetKind::Event), &mut conflicts);
    for conflict in conflicts {
        let of = sandbox.datasets.iter().find(|d| d.item.dataset.id == conflict.dataset_id);
        found.push(Finding::at(of.map_or("", |d| d.path.as_str()), conflict.what));
    }
    for (Placed { path, item }, state) in sandbox.datasets.iter().zip(looked) {
        let export = item.dataset.kind == DatasetKind::Export;
        let mut wanted = item.dataset.clone();
        wanted.copy = state.as_ref().map(|s| s.copy.clone());
        match state {
            Some(state) if export => judge_export(path, item, state, &union, plan, found),
            Some(_) => {
                if let Err(what) = source_fitness(&wanted, wanted.copy.as_ref()) {
                    plan.notes.push(format!("exports will be refused: {what}"));
                }
            }
            None => {
                let schema = if export { Some(&union) } else { item.schema.as_ref() };
                if let Some(schema) = schema {
                    let table = new_table(&sandbox.tenant, item, schema, warehouse);
                    plan.tables.insert(item.dataset.table.clone(), table);
                }
            }
        }
        let change = Change::between(stored.dataset(&wanted.id), &wanted);
        plan.entries.push((sandbox.tenant.clone(), change, Entry::Dataset(wanted.into())));
    }
}

/// The profile and event datasets with their columns, judged: the tables' own where they stand, else the declared ones.
fn sources<'a>(
    sandbox: &'a Sandbox,
    looked: &'a [Option<TableState>],
    found: &mut Vec<Finding>,
) -> Vec<(DatasetKind, Input<'a>)> {
    let mut sources = Vec::new();
    let mut bucketed: Option<(&str, u32)> = None;
    for (Placed { path, item }, state) in sandbox.datasets.iter().zip(looked) {
        let Declared { dataset, schema: declared, buckets } = item;
        if dataset.kind == DatasetKind::Export {
            continue;
        }
        let copy = state.as_ref().map(|s| &s.copy);
        let Some(schema) = copy.map(|c| &c.schema).or(declared.as_ref()) else {
            let what = format!("{} does not exist; give its columns as schema to have it created.", dataset.table);
            found.push(Finding::at(format!("{path}.table"), what));
            continue;
        };
        if let (Some(declared), Some(copy)) = (declared, copy) {
            check::against_table(path, declared, &copy.schema, found);
        }
        if let (Some(n), Some(copy)) = (buckets, copy)
            && copy.buckets != Some(*n)
        {
            let has = copy.buckets.map_or("none".to_owned(), |n| n.to_string());
            let what = format!("is {n}, and the table has {has}; existing tables are not altered: rewrite the table.");
            found.push(Finding::at(format!("{path}.buckets"), what));
        }
        check::columns(path, item, schema, found);
        if let Some(n) = copy.map_or(*buckets, |c| c.buckets) {
            match bucketed {
                Some((first, m)) if n != m => {
                    let what = format!("has {n} buckets and {first} has {m}; all of a sandbox must have the same.");
                    found.push(Finding::at(path, what));
                }
                _ => bucketed = Some((&dataset.id, n)),
            }
        }
        sources.push((dataset.kind, Input { id: &dataset.id, columns: &dataset.columns, schema }));
    }
    sources
}

fn judge_export(
    path: &str,
    item: &Declared,
    state: &TableState,
    union: &Schema,
    plan: &mut Plan,
    found: &mut Vec<Finding>,
) {
    if let Err(what) = target_fitness(Some(&state.copy)) {
        found.push(Finding::at(path, what));
    }
    let Differences { missing, conflicting } = differences(union, &state.copy.schema);
    for what in conflicting {
        found.push(Finding::at(path, format!("{what}; it cannot take the profile datasets' values.")));
    }
    if !missing.is_empty() {
        let table = &item.dataset.table;
        let what = format!("{table} lacks {}; the next export adds the columns to it.", missing.join(", "));
        plan.notes.push(what);
    }
}

fn new_table(tenant: &Tenant, item: &Declared, schema: &Schema, warehouse: &str) -> NewTable {
    let name = &item.dataset.table;
    let database_location = format!("{}/{}{}", warehouse.trim_end_matches('/'), tenant.object_prefix(), name.database);
    let location = format!("{database_location}/{}", name.table);
    let buckets = item.buckets.map(|n| (n, item.dataset.columns.profile_id.clone()));
    let export = item.dataset.kind == DatasetKind::Export;
    NewTable { database_location, location, schema: schema.clone(), export, buckets }
}

fn plan_others(sandbox: &Sandbox, stored: &Registry, plan: &mut Plan) {
    let mut entry = |change, entry| plan.entries.push((sandbox.tenant.clone(), change, entry));
    for Placed { item, .. } in &sandbox.policies {
        let old = stored.policies.iter().find(|p| p.id == item.id && p.version == item.version);
        entry(Change::between(old, item), Entry::Policy(item.clone()));
    }
    for Placed { item, .. } in &sandbox.segments {
        entry(Change::between(stored.segment(&item.ns, &item.id), item), Entry::Segment(item.clone()));
    }
    let wanted = &sandbox.strict_namespaces;
    if !(wanted.is_empty() && stored.strict_namespaces.is_empty()) {
        let old = (!stored.strict_namespaces.is_empty()).then_some(&stored.strict_namespaces);
        entry(Change::between(old, wanted), Entry::StrictNamespaces(wanted.clone()));
    }
    keep(sandbox, stored, plan);
}

/// Notes what is registered and not in the file.
fn keep(sandbox: &Sandbox, stored: &Registry, plan: &mut Plan) {
    let datasets = stored.datasets.iter().filter(|d| !sandbox.datasets.iter().any(|x| x.item.dataset.id == d.id));
    plan.kept.extend(datasets.map(|d| name_of(&Entry::Dataset(d.clone().into()))));
    let same = |p: &&MergePolicy| !sandbox.policies.iter().any(|x| x.item.id == p.id && x.item.version == p.version);
    plan.kept.extend(stored.policies.iter().filter(same).map(|p| name_of(&Entry::Policy(p.clone()))));
    let segments = stored
        .segments
        .iter()
        .filter(|s| !sandbox.segments.iter().any(|x| x.item.id == s.id && x.item.ns.eq_ignore_ascii_case(&s.ns)));
    plan.kept.extend(segments.map(|s| name_of(&Entry::Segment(s.clone()))));
}

fn name_of(entry: &Entry) -> String {
    match entry {
        Entry::Dataset(d) => format!("{} dataset {} ({})", kind_name(d.kind), d.id, d.table),
        Entry::Policy(p) => format!("merge policy {} version {}", p.id, p.version),
        Entry::Segment(s) if s.name.is_empty() => format!("segment {}/{}", s.ns, s.id),
        Entry::Segment(s) => format!("segment {}/{} ({})", s.ns, s.id, s.name),
        Entry::StrictNamespaces(_) => "strict namespaces".to_owned(),
    }
}

fn kind_name(kind: DatasetKind) -> &'static str {
    match kind {
        DatasetKind::Profile => "profile",
        DatasetKind::Event => "event",
        DatasetKind::Export => "export",
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, table) in &self.tables {
            let how = match &table.buckets {
                Some((n, column)) => format!("{n} buckets of {column}"),
                None if table.export => "partitioned by batchId".to_owned(),
                None => "not bucketed".to_owned(),
            };
            writeln!(f, "+ table {name}, {how}, at {}", table.location)?;
        }
        let entries = self.entries.iter().map(|(_, change, entry)| (change, name_of(entry)));
        let clients = self.clients.iter().map(|(change, client)| (change, format!("client {}", client.api_key)));
        let mut counts = [0; 3];
        for (change, name) in entries.chain(clients) {
            write!(f, "{} {name}", change.sign())?;
            match change {
                Change::Changed(differences) => {
                    counts[1] += 1;
                    writeln!(f, ": {}", differences.join("; "))?;
                }
                Change::Created => {
                    counts[0] += 1;
                    writeln!(f)?;
                }
                Change::Unchanged => {
                    counts[2] += 1;
                    writeln!(f)?;
                }
            }
        }
        for name in &self.kept {
            writeln!(f, "? {name}: not in the file; it stays registered")?;
        }
        for note in &self.notes {
            writeln!(f, "! {note}")?;
        }
        write!(f, "{} created, {} changed, {} unchanged", counts[0] + self.tables.len(), counts[1], counts[2])
    }
}
