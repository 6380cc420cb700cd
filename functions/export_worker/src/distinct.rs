//! What jobs have seen of data files and leave for later ones: that no profile id stands twice in a file. Where nothing else
//! lies in its bucket, each of its rows is a profile, and later jobs merge nothing there.
//!
//! A data file never changes, so what was seen once stays true. It is kept as an object of its own, a mark, which is made
//! after the part is done and dropped by a plan that does not read the file. No job needs a mark: one that is not there, or
//! cannot be told of, costs time and nothing else.

use crate::Ports;
use bytes::Bytes;
use domain::plan::{DataFile, Plan, PlannedPart, PlannedSource, TableFiles};
use domain::ports::objects::{Location, ReadObjects, WriteObjects};
use domain::registry::DatasetKind;
use domain::tenant::Tenant;
use futures::{StreamExt, stream};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Most marks of a table that a plan drops, so that it is not held up, and how many of them at a time.
const MOST_DROPPED: usize = 256;
const DROPPED_AT_A_TIME: usize = 16;

/// Tells of the sources' files which ones are marked, and drops the marks of files that a table has no more.
pub async fn recall<P: Ports>(ports: &P, tenant: &Tenant, sources: &[PlannedSource], tables: &mut [TableFiles]) {
    for (source, table) in sources.iter().zip(tables).filter(|(source, _)| source.kind == DatasetKind::Profile) {
        recall_of(ports, tenant, source, table).await;
    }
}

async fn recall_of<P: Ports>(ports: &P, tenant: &Tenant, source: &PlannedSource, table: &mut TableFiles) {
    let folder = folder(ports, tenant, source);
    let mut marks: BTreeSet<Location> = match ports.objects().list(&folder).await {
        Ok(listed) => listed.into_iter().map(|(at, _)| at).collect(),
        Err(error) => return tracing::warn!(%error, "what was seen of a table's files cannot be listed"),
    };
    if marks.is_empty() {
        return;
    }
    let is_marked = |file: &&DataFile| marks.remove(&folder.join(&name(source, file)));
    table.distinct = table.data.iter().filter(is_marked).map(|file| file.location.clone()).collect();
    stream::iter(marks.into_iter().take(MOST_DROPPED))
        .for_each_concurrent(DROPPED_AT_A_TIME, |mark| async move {
            if let Err(error) = ports.objects().delete(&mark).await {
                tracing::warn!(%error, "the mark of a file that is read no more stays");
            }
        })
        .await;
}

/// Marks the file of a part, in which no profile id was seen twice.
pub async fn mark<P: Ports>(ports: &P, plan: &Plan, part: &PlannedPart) {
    let [file] = &part.files[..] else { return };
    let Some(source) = plan.sources.get(file.source) else { return };
    let at = folder(ports, &plan.tenant, source).join(&name(source, file));
    let body = json!({"location": file.location, "bytes": file.bytes, "rows": file.rows});
    if let Err(error) = ports.objects().create(&at, Bytes::from(body.to_string())).await {
        tracing::warn!(%error, "what was seen of a file is forgotten");
    }
}

/// The folder of the marks of a table's files, below the tenant's.
pub fn marks_of(table_uuid: &str) -> String {
    format!("tables/{table_uuid}/distinct/")
}

fn folder<P: Ports>(ports: &P, tenant: &Tenant, source: &PlannedSource) -> Location {
    let key = format!("{}{}", tenant.object_prefix(), marks_of(&source.pin.table_uuid));
    Location::new(&ports.settings().state_bucket, key)
}

/// The name of a file's mark: a hash of all that its ids follow from.
fn name(source: &PlannedSource, file: &DataFile) -> String {
    let column = source.schema.field(&source.columns.profile_id).map(|field| field.id);
    let DataFile { location, bytes, rows, .. } = file;
    let of = json!([location, bytes, rows, column, source.name_mapping]);
    format!("{:x}.json", Sha256::digest(of.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::name_mapping::{NameMapping, NamedField};
    use testkit::fixtures;

    #[test]
    fn a_file_that_is_another_or_read_otherwise_has_another_mark() {
        let plan = fixtures::plan(&fixtures::job(&fixtures::tenant(), 1), 1);
        let (source, file) = (&plan.sources[0], &plan.parts[0].files[0]);
        let mut renumbered = source.clone();
        renumbered.schema.fields.iter_mut().for_each(|field| field.id += 1);
        let mapping = NameMapping { fields: vec![NamedField { field_id: Some(7), ..NamedField::default() }] };
        let mapped = PlannedSource { name_mapping: Some(mapping), ..source.clone() };
        let files = [
            DataFile { location: "s3://b/other".into(), ..file.clone() },
            DataFile { bytes: file.bytes + 1, ..file.clone() },
            DataFile { rows: file.rows + 1, ..file.clone() },
        ];
        let others = files.iter().map(|file| name(source, file));
        let others = others.chain([&renumbered, &mapped].map(|source| name(source, file)));
        let names: BTreeSet<String> = others.chain([name(source, file)]).collect();
        assert_eq!(names.len(), 6);
        // Where it stands in a plan, and what is deleted of it, does not matter.
        let elsewhere = DataFile { deletes: vec![3], split_offsets: vec![4], source: 5, ..file.clone() };
        assert_eq!(name(source, &elsewhere), name(source, file));
    }
}
