//! The sample: seeded profiles that look like a shop's customers, what a CRM knows of some, and what some did. The same
//! number and seed give the same rows for ever.
//!
//! Everything is drawn from a profile's position alone, so that the datasets know the same people without knowing one
//! another; memberships come from the segments, so that each has exactly the size it should have once all fragments of a
//! profile are merged and deleted rows left out.

mod crm;
mod draw;
mod events;
mod history;
mod people;
mod segments;

pub use people::profile_id;
pub use segments::current_members;

use crate::failure::Failure;
use crate::import::{self, Changes, Imported, lenient_schema};
use crate::registry::RegistryFile;
use crate::tables::KeepTables;
use arrow_array::RecordBatch;
use domain::ports::lake::TableState;
use domain::ports::objects::{ReadObjects, WriteObjects};
use domain::registry::{Dataset, DatasetKind};
use domain::schema::Schema;
use history::History;
use serde::Serialize;
use std::sync::Arc;

/// The sample's registry file.
pub const REGISTRY: &str = include_str!("../../../sample/registry.yaml");

/// What the sample is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Number of profiles.
    pub profiles: u32,
    /// The seed.
    pub seed: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Self { profiles: 100_000, seed: 2026 }
    }
}

/// Rows drawn at a time.
const BATCH_ROWS: usize = 8_192;

impl Sample {
    /// The fragments of the first load, one for each profile, as rows of a table that has the sample's columns (and may
    /// have more).
    pub fn batches(&self, schema: &Schema) -> Result<Vec<RecordBatch>, Failure> {
        let segments = sample_segments()?;
        let memberships = segments::draw(self, &segments).into_iter();
        rows(schema, (0..self.profiles).zip(memberships).map(|(n, m)| history::first(self, n, m, &segments)))
    }

    /// What came after the first load: newer fragments, and the profiles whose first one goes.
    pub fn changes(&self, schema: &Schema) -> Result<Changes, Failure> {
        let segments = sample_segments()?;
        let memberships = segments::draw(self, &segments).into_iter();
        let of = |wanted| (0..self.profiles).filter(move |n| History::of(self, *n) == wanted);
        Ok(Changes {
            rows: rows(schema, (0..self.profiles).zip(memberships).filter_map(|(n, m)| history::later(self, n, m)))?,
            by_position: of(History::Corrected).map(|n| profile_id(self, n)).collect(),
            by_equality: of(History::Replaced).map(|n| profile_id(self, n)).collect(),
        })
    }

    /// The CRM's records, as rows of a table that has the sample's columns.
    pub fn crm(&self, schema: &Schema) -> Result<Vec<RecordBatch>, Failure> {
        rows(schema, (0..self.profiles).filter_map(|n| crm::record(self, n)))
    }

    /// The events, as rows of a table that has the sample's columns.
    pub fn events(&self, schema: &Schema) -> Result<Vec<RecordBatch>, Failure> {
        rows(schema, (0..self.profiles + self.strangers()).flat_map(|n| events::events(self, n)))
    }

    /// How many have events and no record in a profile dataset: one for every 200 profiles.
    pub fn strangers(&self) -> u32 {
        (self.profiles / 200).max(1)
    }
}

fn rows<R: Serialize>(schema: &Schema, mut rows: impl Iterator<Item = R>) -> Result<Vec<RecordBatch>, Failure> {
    let schema = Arc::new(lenient_schema(schema)?);
    let unfit = |e: &dyn std::fmt::Display| {
        Failure::say(format!("the table has not the sample's columns; apply infra/sample/registry.yaml first: {e}."))
    };
    let mut decoder = arrow_json::ReaderBuilder::new(schema)
        .with_batch_size(BATCH_ROWS)
        .with_strict_mode(true)
        .build_decoder()
        .map_err(|e| unfit(&e))?;
    let mut batches = Vec::new();
    loop {
        let some: Vec<_> = rows.by_ref().take(BATCH_ROWS).collect();
        if some.is_empty() {
            return Ok(batches);
        }
        decoder.serialize(&some).map_err(|e| unfit(&e))?;
        batches.extend(decoder.flush().map_err(|e| unfit(&e))?);
    }
}

/// Loads into one of the sample's datasets what belongs there; into any other the profiles, or the events where it is an
/// event dataset. `None` if there are rows already and these are not to be added to them.
pub async fn load(
    sample: &Sample,
    dataset: &Dataset,
    append: bool,
    tables: &impl KeepTables,
    objects: &(impl ReadObjects + WriteObjects),
) -> Result<Option<Imported>, Failure> {
    let state = tables.look(&dataset.table, &dataset.columns.profile_id).await?;
    let begun = state.snapshot_id.is_some() && !append;
    let schema = &state.copy.schema;
    let batches = match dataset.kind {
        DatasetKind::Export => return Err(Failure::say("an export dataset takes no sample data.")),
        DatasetKind::Profile if dataset.id != crm_dataset()? => {
            let broke_off = begun && only_first(sample, dataset, &state, tables).await?;
            if begun && !broke_off {
                return Ok(None);
            }
            return load_profiles(sample, dataset, broke_off, tables, objects).await.map(Some);
        }
        _ if begun => return Ok(None),
        DatasetKind::Profile => sample.crm(schema)?,
        DatasetKind::Event => sample.events(schema)?,
    };
    if batches.is_empty() {
        return Ok(Some(Imported::default()));
    }
    import::load(dataset, batches, None, tables, objects).await.map(Some)
}

/// The first load, the schema's evolution, and what came later, each a commit of its own.
async fn load_profiles(
    sample: &Sample,
    dataset: &Dataset,
    broke_off: bool,
    tables: &impl KeepTables,
    objects: &(impl ReadObjects + WriteObjects),
) -> Result<Imported, Failure> {
    let look = || tables.look(&dataset.table, &dataset.columns.profile_id);
    let mut imported = Imported::default();
    if !broke_off {
        let batches = sample.batches(&look().await?.copy.schema)?;
        imported = import::load(dataset, batches, None, tables, objects).await?;
    }
    if let Some(schema) = history::evolved(&look().await?.copy.schema) {
        tables.evolve(&dataset.table, &schema).await?;
    }
    let changes = sample.changes(&look().await?.copy.schema)?;
    if !changes.rows.is_empty() {
        let changed = import::change(dataset, changes, None, tables, objects).await?;
        imported.rows += changed.rows;
        imported.files += changed.files;
        imported.delete_files += changed.delete_files;
        imported.bytes += changed.bytes;
    }
    Ok(imported)
}

/// Whether the table holds exactly the first load: a process ended before the rest came.
async fn only_first(
    sample: &Sample,
    dataset: &Dataset,
    state: &TableState,
    tables: &impl KeepTables,
) -> Result<bool, Failure> {
    let pin = state.pin(&dataset.id, &dataset.table);
    let files = tables.files(&pin, &dataset.columns.profile_id).await?;
    let rows: u64 = files.data.iter().map(|f| f.rows).sum();
    let more = (0..sample.profiles).any(|n| History::of(sample, n) != History::Untouched);
    Ok(more && files.deletes.is_empty() && rows == u64::from(sample.profiles))
}

/// The ids of the sample's segments, the largest first.
pub fn sample_segments() -> Result<Vec<String>, Failure> {
    let file = RegistryFile::read(REGISTRY)?;
    Ok(file.sandboxes.iter().flat_map(|s| &s.segments).map(|s| s.item.id.clone()).collect())
}

/// The id of the sample's profile dataset.
pub fn profile_dataset() -> Result<String, Failure> {
    dataset(DatasetKind::Profile, 0)
}

/// The id of the sample's other profile dataset, the CRM's.
pub fn crm_dataset() -> Result<String, Failure> {
    dataset(DatasetKind::Profile, 1)
}

/// The id of the sample's event dataset.
pub fn event_dataset() -> Result<String, Failure> {
    dataset(DatasetKind::Event, 0)
}

/// The id of the sample's export dataset.
pub fn export_dataset() -> Result<String, Failure> {
    dataset(DatasetKind::Export, 0)
}

/// The id of the merge policy by which the CRM is right.
pub fn crm_first_policy() -> Result<String, Failure> {
    let file = RegistryFile::read(REGISTRY)?;
    let policy = file.sandboxes.iter().flat_map(|s| &s.policies).find(|p| !p.item.default).map(|p| p.item.id.clone());
    policy.ok_or_else(|| Failure::say("the sample registry lacks a merge policy."))
}

fn dataset(kind: DatasetKind, which: usize) -> Result<String, Failure> {
    let file = RegistryFile::read(REGISTRY)?;
    let datasets = file.sandboxes.iter().flat_map(|s| &s.datasets).map(|d| &d.item.dataset);
    let id = datasets.filter(|d| d.kind == kind).nth(which).map(|d| d.id.clone());
    id.ok_or_else(|| Failure::say("the sample registry lacks a dataset."))
}

#[cfg(test)]
mod tests;
