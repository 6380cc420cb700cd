//! Iceberg: look at a table and pin it, plan its files, append a job's snapshot exactly once.
//!
//! The catalog is Glue; which metadata file is current is one compare-and-swap on a table's `VersionId`. Metadata files go
//! through the domain's object ports.

mod append;
mod catalog;
mod compared;
pub mod conformance;
mod create;
mod deletes;
mod error;
mod evolve;
pub mod glue;
mod load;
mod planning;
mod read;
mod schema;
mod settle;
mod storage;
#[cfg(test)]
mod tests;
pub mod twin;
mod widening;

pub use glue::Glue;
pub use load::{NewDataFile, NewDeleteFile};

use catalog::{GlueCatalog, Judged};
use domain::plan::TableName;
use domain::ports::lake::LakeError;
use domain::ports::objects::{ReadObjects, WriteObjects};
use error::lake_error;
use glue::GlueApi;
use iceberg::spec::{Datum, PrimitiveLiteral, Transform};
use iceberg::transform::create_transform_function;

/// The tables of a Glue catalog, with their metadata files among these objects. Clones share both.
#[derive(Clone, Debug)]
pub struct Lake<O, G = Glue> {
    glue: G,
    objects: O,
}

impl<O: ReadObjects + WriteObjects, G: GlueApi> Lake<O, G> {
    /// The lake of a catalog and a store.
    pub fn new(glue: G, objects: O) -> Self {
        Self { glue, objects }
    }

    fn catalog(&self) -> GlueCatalog<G> {
        GlueCatalog::new(self.glue.clone(), storage::file_io(self.objects.clone()))
    }

    async fn judge(&self, table: &TableName) -> Result<Judged, LakeError> {
        self.catalog().judge(&catalog::ident(table)).await.map_err(|e| lake_error(table, e))
    }
}

/// The bucket of `n` that Iceberg puts a profile into: the same for every writer. `n` is at least 1.
pub fn bucket_of(n: u32, profile_id: &str) -> u32 {
    let bucket = create_transform_function(&Transform::Bucket(n.clamp(1, i32::MAX as u32)))
        .and_then(|f| f.transform_literal(&Datum::string(profile_id)));
    match bucket.as_ref().map(|b| b.as_ref().map(Datum::literal)) {
        Ok(Some(PrimitiveLiteral::Int(bucket))) => bucket.unsigned_abs(),
        _ => unreachable!("every string has a bucket"),
    }
}
