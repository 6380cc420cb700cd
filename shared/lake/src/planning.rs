//! Planning: the live files of a snapshot, and what they must keep to.

use crate::compared::Compared;
use crate::deletes::Deletes;
use crate::error::{Refusal, file_name};
use crate::read::{entries, live, manifests, name_mapping};
use crate::schema::buckets;
use domain::name_mapping::damaged;
use domain::plan::{DataFile, TableFiles, TableName};
use futures::TryStreamExt;
use iceberg::Result;
use iceberg::spec::{
    DataFileFormat, ManifestContentType, ManifestEntryRef, ManifestFile, PrimitiveLiteral, Schema, SchemaRef,
    SnapshotRef,
};
use iceberg::table::Table;

/// More bytes, and more rows, than any file has: S3 keeps none of more than 50 TB.
const BEYOND_ALL: u64 = 1 << 46;

/// The live data files of a snapshot, each with the delete files that apply to it.
pub(crate) async fn files(
    table: &Table,
    snapshot: &SnapshotRef,
    schema: &SchemaRef,
    name: &TableName,
    profile_id: &str,
) -> Result<TableFiles> {
    let name_mapping =
        name_mapping(table).map_err(|what| Refusal(format!("{name} {}, and try again", damaged(&what))))?;
    let rules = Rules::of(table, schema, name, profile_id);
    let of_deletes = |m: &ManifestFile| m.content == ManifestContentType::Deletes;
    let (of_deletes, of_data) = manifests(table, snapshot).await?.into_iter().partition(of_deletes);
    let deletes = Deletes::read(table, of_deletes).await?;
    let mut data = Vec::new();
    let mut read = entries(table, of_data);
    while let Some((manifest, listed)) = read.try_next().await? {
        for entry in live(&listed) {
            let deletes = deletes.that_apply_to(&manifest, entry)?;
            data.push(DataFile { deletes, ..rules.planned(&manifest, entry)? });
        }
    }
    let columns = Compared::of(table.metadata(), schema);
    let deletes = deletes.named_by(&mut data, &columns, name)?;
    let former = columns.former(&deletes)?;
    Ok(TableFiles { data, deletes, former, name_mapping, ..TableFiles::default() })
}

/// What a table's live data files must keep to.
struct Rules<'t> {
    table: &'t Table,
    name: &'t TableName,
    profile_id: &'t str,
    /// The column's id and N, where the table is bucketed.
    buckets: Option<(i32, u32)>,
}

impl<'t> Rules<'t> {
    fn of(table: &'t Table, schema: &Schema, name: &'t TableName, profile_id: &'t str) -> Self {
        let metadata = table.metadata();
        let column = schema.as_struct().field_by_name(profile_id).map(|c| c.id);
        let buckets = column.and_then(|id| Some((id, buckets(metadata.default_partition_spec(), id)?.1)));
        Self { table, name, profile_id, buckets }
    }

    /// The file of a live entry as a plan names it, or why the table is refused.
    fn planned(&self, manifest: &ManifestFile, entry: &ManifestEntryRef) -> std::result::Result<DataFile, Refusal> {
        let file = entry.data_file();
        if file.file_format() != DataFileFormat::Parquet {
            let format = file.file_format();
            return Err(Refusal(format!(
                "{} has a live {format} file, {}; only Parquet is read: rewrite the table's data files as Parquet and try again",
                self.name,
                file_name(file.file_path())
            )));
        }
        // Negative numbers come as very great ones.
        if file.file_size_in_bytes().max(file.record_count()) > BEYOND_ALL {
            return Err(Refusal(format!(
                "the metadata of {} gives its file {} a size that no file has; rewrite the table's manifests and try again",
                self.name,
                file_name(file.file_path())
            )));
        }
        let offsets = file.split_offsets().unwrap_or_default();
        Ok(DataFile {
            source: 0,
            location: file.file_path().into(),
            bytes: file.file_size_in_bytes(),
            rows: file.record_count(),
            bucket: self.buckets.map(|(column, n)| self.bucket(manifest, entry, column, n)).transpose()?,
            range: None,
            split_offsets: offsets.iter().filter_map(|o| u64::try_from(*o).ok()).collect(),
            deletes: Vec::new(),
        })
    }

    fn bucket(
        &self,
        manifest: &ManifestFile,
        entry: &ManifestEntryRef,
        column: i32,
        n: u32,
    ) -> std::result::Result<u32, Refusal> {
        let spec_id = manifest.partition_spec_id;
        let spec = self.table.metadata().partition_spec_by_id(spec_id);
        let Some((at, _)) = spec.and_then(|s| buckets(s, column)).filter(|(_, of_file)| *of_file == n) else {
            return Err(self.is_of_old_spec(file_name(entry.file_path()), spec_id, n));
        };
        let value = entry.data_file().partition().fields().get(at).and_then(Option::as_ref);
        match value.and_then(|v| v.as_primitive_literal()) {
            Some(PrimitiveLiteral::Int(bucket)) if (0..i64::from(n)).contains(&i64::from(bucket)) => Ok(bucket as u32),
            _ => Err(Refusal(format!(
                "the file {} of {} lies in no bucket: rows without {} cannot be exported; delete them, rewrite the file if \
                 that only marked them as deleted, and try again",
                file_name(entry.file_path()),
                self.name,
                self.profile_id
            ))),
        }
    }

    fn is_of_old_spec(&self, path: &str, spec_id: i32, n: u32) -> Refusal {
        let (name, profile_id) = (self.name, self.profile_id);
        Refusal(format!(
            "{name} is bucketed, but its file {path} was written under partition spec {spec_id}, which has no \
             bucket({n}, {profile_id}); rewrite its data files (Spark: CALL system.rewrite_data_files(table => '{name}', \
             options => map('rewrite-all', 'true'))) and try again"
        ))
    }
}
