//! Delete files: which of them apply to which data files, by the rules of Iceberg version 2, and which are understood.

use crate::compared::Compared;
use crate::error::{Refusal, file_name};
use crate::read::{entries, live};
use domain::plan::{DataFile as Planned, DeleteFile, DeleteKind, TableName};
use futures::TryStreamExt;
use iceberg::metadata_columns::RESERVED_FIELD_ID_DELETE_FILE_PATH;
use iceberg::spec::{
    DataContentType, DataFile, DataFileFormat, Datum, Literal, ManifestEntryRef, ManifestFile, PrimitiveLiteral, Struct,
};
use iceberg::table::Table;
use iceberg::{Error, ErrorKind, Result};
use std::collections::HashMap;

/// The live delete files of a snapshot, to be found by what they may apply to.
#[derive(Default)]
pub(crate) struct Deletes {
    files: Vec<ManifestEntryRef>,
    of_file: HashMap<String, Vec<Reach>>,
    of_partition: HashMap<Partition, Vec<Reach>>,
    of_all: Vec<Reach>,
}

/// How far a delete file, by its place among all, reaches: to data files up to that sequence number.
struct Reach {
    file: usize,
    up_to: i64,
}

/// Spec id and values.
type Partition = (i32, Struct);

impl Deletes {
    /// Reads them from the manifests of delete files.
    pub(crate) async fn read(table: &Table, manifests: Vec<ManifestFile>) -> Result<Self> {
        let mut deletes = Self::default();
        let mut read = entries(table, manifests);
        while let Some((manifest, listed)) = read.try_next().await? {
            let spec = table.metadata().partition_spec_by_id(manifest.partition_spec_id);
            let everywhere = spec.is_some_and(|s| s.is_unpartitioned());
            for entry in live(&listed) {
                deletes.add(&manifest, entry, everywhere)?;
            }
        }
        let lists = deletes.of_file.values_mut().chain(deletes.of_partition.values_mut());
        for list in lists.chain([&mut deletes.of_all]) {
            list.sort_by_key(|reach| std::cmp::Reverse(reach.up_to));
        }
        Ok(deletes)
    }

    fn add(&mut self, manifest: &ManifestFile, entry: &ManifestEntryRef, everywhere: bool) -> Result<()> {
        let file = entry.data_file();
        let sequence = sequence_number(entry)?;
        // Rows by value may be written again in the snapshot that deletes them; positions name rows for good.
        let (list, up_to) = match (file.content_type(), one_file(file)) {
            (DataContentType::EqualityDeletes, _) if everywhere => (&mut self.of_all, sequence - 1),
            (DataContentType::EqualityDeletes, _) => {
                (self.of_partition.entry(partition(manifest, file)).or_default(), sequence - 1)
            }
            (_, Some(location)) => (self.of_file.entry(location).or_default(), sequence),
            (_, None) => (self.of_partition.entry(partition(manifest, file)).or_default(), sequence),
        };
        list.push(Reach { file: self.files.len(), up_to });
        self.files.push(entry.clone());
        Ok(())
    }

    /// Those that apply to a data file, by place.
    pub(crate) fn that_apply_to(&self, manifest: &ManifestFile, entry: &ManifestEntryRef) -> Result<Vec<usize>> {
        if self.files.is_empty() {
            return Ok(Vec::new());
        }
        let sequence = sequence_number(entry)?;
        let of_file = self.of_file.get(entry.file_path());
        let of_partition = self.of_partition.get(&partition(manifest, entry.data_file()));
        let lists = of_file.into_iter().chain(of_partition).chain([&self.of_all]);
        Ok(lists.flat_map(|l| l.iter().take_while(|r| r.up_to >= sequence)).map(|r| r.file).collect())
    }

    /// Those that data files name, which from now on name them by place among these. The others apply to nothing, and
    /// nothing is asked of them.
    pub(crate) fn named_by(
        &self,
        data: &mut [Planned],
        columns: &Compared,
        table: &TableName,
    ) -> std::result::Result<Vec<DeleteFile>, Refusal> {
        let mut places = vec![None; self.files.len()];
        let mut named = Vec::new();
        for at in data.iter_mut().flat_map(|file| &mut file.deletes) {
            *at = match places[*at] {
                Some(place) => place,
                None => {
                    places[*at] = Some(named.len());
                    named.push(planned(self.files[*at].data_file(), columns, table)?);
                    named.len() - 1
                }
            };
        }
        Ok(named)
    }
}

/// What the domain calls the kind of a delete file: `position`, `equality`, or one that is not supported.
pub(crate) fn kind_name(file: &DataFile) -> String {
    match kind(file) {
        Ok(DeleteKind::Position) => "position".into(),
        Ok(DeleteKind::Equality { .. }) => "equality".into(),
        Err(unsupported) => unsupported,
    }
}

/// What a delete file's rows say, or the name of its kind, which is not supported.
fn kind(file: &DataFile) -> std::result::Result<DeleteKind, String> {
    let (name, kind) = match file.content_type() {
        DataContentType::EqualityDeletes => {
            ("equality", DeleteKind::Equality { field_ids: file.equality_ids().unwrap_or_default() })
        }
        DataContentType::PositionDeletes | DataContentType::Data => ("position", DeleteKind::Position),
    };
    match file.file_format() {
        DataFileFormat::Parquet => Ok(kind),
        DataFileFormat::Puffin => Err("deletion vector".into()),
        format @ (DataFileFormat::Avro | DataFileFormat::Orc) => {
            Err(format!("{name} ({})", format.to_string().to_uppercase()))
        }
    }
}

/// A delete file as a plan names it, or why the table is refused.
fn planned(file: &DataFile, columns: &Compared, table: &TableName) -> std::result::Result<DeleteFile, Refusal> {
    let name = file_name(file.file_path());
    let refused = |what: &str| {
        Refusal(format!(
            "{table} has {what}; rewrite its data files (Athena: OPTIMIZE {table} REWRITE DATA USING BIN_PACK; Spark: CALL \
             system.rewrite_data_files(table => '{table}', options => map('delete-file-threshold', '1'))) and try again"
        ))
    };
    let kind = kind(file).map_err(|kind| {
        refused(&format!("the live delete file {name} of the kind {kind}, and only Parquet files are applied"))
    })?;
    if let DeleteKind::Equality { field_ids } = &kind {
        if field_ids.is_empty() {
            return Err(refused(&format!("the equality delete file {name}, which names no field ids")));
        }
        if let Some(id) = field_ids.iter().find(|id| !columns.has(**id)) {
            return Err(refused(&format!(
                "the equality delete file {name}, which compares the field id {id}: no schema of the table has it as a \
                 plain column outside of lists and maps"
            )));
        }
    }
    Ok(DeleteFile { location: file.file_path().into(), bytes: file.file_size_in_bytes(), kind })
}

/// The one data file that a position delete file is about, where its metadata tells.
fn one_file(file: &DataFile) -> Option<String> {
    let bound = |bounds: &HashMap<i32, Datum>| match bounds.get(&RESERVED_FIELD_ID_DELETE_FILE_PATH)?.literal() {
        PrimitiveLiteral::String(path) => Some(path.clone()),
        _ => None,
    };
    file.referenced_data_file().or_else(|| {
        let least = bound(file.lower_bounds())?;
        (bound(file.upper_bounds())? == least).then_some(least)
    })
}

/// A file's partition. A column that was promoted since leaves narrow values in old manifests and wide ones in new ones.
fn partition(manifest: &ManifestFile, file: &DataFile) -> Partition {
    let widened = |value: Option<&Literal>| match value {
        Some(Literal::Primitive(PrimitiveLiteral::Int(narrow))) => Some(Literal::long(i64::from(*narrow))),
        Some(Literal::Primitive(PrimitiveLiteral::Float(narrow))) => Some(Literal::double(f64::from(narrow.0))),
        other => other.cloned(),
    };
    (manifest.partition_spec_id, file.partition().iter().map(widened).collect())
}

fn sequence_number(entry: &ManifestEntryRef) -> Result<i64> {
    let missing = || Error::new(ErrorKind::DataInvalid, "a manifest entry has no sequence number");
    entry.sequence_number().ok_or_else(missing)
}
