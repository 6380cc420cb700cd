//! The sample: seeded profiles that look like a shop's customers. The same number and seed give the same rows for ever.
//!
//! A profile is drawn from its position alone, so that another dataset or events of the same people can be drawn beside
//! it; its memberships come from the segments, so that each has exactly the size it should have.

mod draw;
mod people;
mod segments;

pub use people::profile_id;
pub use segments::current_members;

use crate::failure::Failure;
use crate::import::{self, Imported, lenient_schema};
use crate::registry::RegistryFile;
use crate::tables::KeepTables;
use arrow_array::RecordBatch;
use domain::ports::objects::WriteObjects;
use domain::registry::{Dataset, DatasetKind};
use domain::schema::Schema;
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
    /// The profiles as rows of a table that has the sample's columns (and may have more).
    pub fn batches(&self, schema: &Schema) -> Result<Vec<RecordBatch>, Failure> {
        let segments = sample_segments()?;
        let mut memberships = segments::draw(self, &segments).into_iter();
        let schema = Arc::new(lenient_schema(schema)?);
        let unfit = |e: &dyn std::fmt::Display| {
            Failure::say(format!(
                "the table has not the sample's columns; apply infra/sample/registry.yaml first: {e}."
            ))
        };
        let mut decoder = arrow_json::ReaderBuilder::new(schema)
            .with_batch_size(BATCH_ROWS)
            .with_strict_mode(true)
            .build_decoder()
            .map_err(|e| unfit(&e))?;
        let mut batches = Vec::new();
        for start in (0..self.profiles).step_by(BATCH_ROWS) {
            let end = self.profiles.min(start + BATCH_ROWS as u32);
            let rows: Vec<_> = (start..end).zip(&mut memberships).map(|(n, m)| people::profile(self, n, m)).collect();
            decoder.serialize(&rows).map_err(|e| unfit(&e))?;
            batches.extend(decoder.flush().map_err(|e| unfit(&e))?);
        }
        Ok(batches)
    }
}

/// Loads the sample into its dataset; `None` if there are rows already and it is not to be added to them.
pub async fn load(
    sample: &Sample,
    dataset: &Dataset,
    append: bool,
    tables: &impl KeepTables,
    objects: &impl WriteObjects,
) -> Result<Option<Imported>, Failure> {
    let state = tables.look(&dataset.table, &dataset.columns.profile_id).await?;
    if state.snapshot_id.is_some() && !append {
        return Ok(None);
    }
    let batches = sample.batches(&state.copy.schema)?;
    import::load(dataset, batches, None, tables, objects).await.map(Some)
}

/// The ids of the sample's segments, the largest first.
pub fn sample_segments() -> Result<Vec<String>, Failure> {
    let file = RegistryFile::read(REGISTRY)?;
    Ok(file.sandboxes.iter().flat_map(|s| &s.segments).map(|s| s.item.id.clone()).collect())
}

/// The id of the sample's profile dataset.
pub fn profile_dataset() -> Result<String, Failure> {
    first_of(DatasetKind::Profile)
}

/// The id of the sample's export dataset.
pub fn export_dataset() -> Result<String, Failure> {
    first_of(DatasetKind::Export)
}

fn first_of(kind: DatasetKind) -> Result<String, Failure> {
    let file = RegistryFile::read(REGISTRY)?;
    let mut datasets = file.sandboxes.iter().flat_map(|s| &s.datasets).map(|d| &d.item.dataset);
    let id = datasets.find(|d| d.kind == kind).map(|d| d.id.clone());
    id.ok_or_else(|| Failure::say("the sample registry lacks a dataset."))
}

#[cfg(test)]
mod tests;
