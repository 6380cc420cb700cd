//! Merge-on-read: which rows of a data file are deleted, by position or by value.

use crate::error::EngineError;
use crate::hashes::Hashes;
use crate::input::InputFile;
use crate::part::Settings;
use crate::project::{cast_to, strings};
use crate::shape::leaf_type;
use crate::source::Source;
use crate::tree::{FileColumn, FileKind, find};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::{ArrowError, DataType};
use domain::name_mapping::{NameMapping, NamedField};
use domain::plan::{DataFile, DeleteFile, DeleteKind, PlannedPart};
use domain::ports::objects::ReadObjects;
use domain::schema::{Field, Kind, Nested};
use futures::StreamExt;
use hashbrown::HashTable;
use std::collections::{HashMap, HashSet};

/// Iceberg's field ids and names of a position delete file's columns.
const FILE_PATH: (i32, &str) = (2_147_483_546, "file_path");
const POSITION: (i32, &str) = (2_147_483_545, "pos");

/// The delete files of a part, read.
pub(crate) struct Deletes {
    files: Vec<Read>,
}

enum Read {
    /// Deleted positions by data file, in order.
    Positions(HashMap<String, Vec<u64>>),
    /// Deleted values.
    Values(DeletedValues),
}

/// Rows of values of some columns; null is a value.
struct DeletedValues {
    /// From a top-level column down to the one that is compared, and its type.
    columns: Vec<(Vec<Field>, DataType)>,
    /// The rows by their hashes.
    rows: HashTable<u128>,
    hashes: Hashes,
}

/// What is deleted of one data file.
pub(crate) struct Deleted<'d> {
    positions: Vec<&'d [u64]>,
    values: Vec<BoundValues<'d>>,
    /// The leaves to read for telling.
    pub(crate) leaves: Vec<usize>,
}

struct BoundValues<'d> {
    deleted: &'d DeletedValues,
    /// The names of each column and of those above it; `None`: the file lacks it, so that it is null.
    columns: Vec<Option<Vec<String>>>,
}

impl Deletes {
    /// Reads a part's delete files.
    pub(crate) async fn read<O: ReadObjects>(
        objects: &O,
        part: &PlannedPart,
        sources: &[Source<'_>],
        settings: Settings,
    ) -> Result<Self, EngineError> {
        let mut keys_left = settings.delete_keys;
        let data: HashSet<&str> = part.files.iter().map(|f| f.location.as_str()).collect();
        let mut files = Vec::with_capacity(part.deletes.len());
        for (at, file) in part.deletes.iter().enumerate() {
            let of_file = part.files.iter().find(|f| f.deletes.contains(&at));
            let source = of_file.and_then(|f| sources.get(f.source));
            files.push(match (&file.kind, source) {
                (DeleteKind::Equality { field_ids }, Some(source)) => {
                    let values = read_values(objects, file, field_ids, source, (&settings, keys_left)).await?;
                    keys_left -= values.rows.len();
                    Read::Values(values)
                }
                (DeleteKind::Position, _) => Read::Positions(read_positions(objects, file, &data, &settings).await?),
                (DeleteKind::Equality { .. }, None) => Read::Positions(HashMap::new()),
            });
        }
        Ok(Self { files })
    }

    /// What they delete of a data file.
    pub(crate) fn of<'d, O>(&'d self, file: &DataFile, input: &InputFile<O>) -> Deleted<'d> {
        let mut deleted = Deleted { positions: Vec::new(), values: Vec::new(), leaves: Vec::new() };
        for read in file.deletes.iter().filter_map(|at| self.files.get(*at)) {
            match read {
                Read::Positions(by_file) => deleted.positions.extend(by_file.get(&file.location).map(Vec::as_slice)),
                Read::Values(values) => {
                    let found =
                        values.columns.iter().map(|(path, _)| locate(&input.columns, path, &mut deleted.leaves));
                    deleted.values.push(BoundValues { deleted: values, columns: found.collect() });
                }
            }
        }
        deleted
    }
}

impl Deleted<'_> {
    /// Whether every row is alive, without looking.
    pub(crate) fn is_nothing(&self) -> bool {
        self.positions.iter().all(|p| p.is_empty()) && self.values.iter().all(|v| v.deleted.rows.is_empty())
    }

    /// Marks as not alive what is deleted of rows, of which the first is at that position in the file. They were read with
    /// the leaves.
    pub(crate) fn bury(&self, first_row: u64, rows: &StructArray, alive: &mut [bool]) -> Result<(), ArrowError> {
        let end = first_row + alive.len() as u64;
        for positions in &self.positions {
            let from = positions.partition_point(|at| *at < first_row);
            for at in positions[from..].iter().take_while(|at| **at < end) {
                alive[(at - first_row) as usize] = false;
            }
        }
        for values in self.values.iter().filter(|v| !v.deleted.rows.is_empty()) {
            let columns = comparables(rows, &values.columns, values.deleted)?;
            let mut key = Vec::new();
            for (row, alive) in alive.iter_mut().enumerate() {
                key.clear();
                columns.iter().for_each(|column| encode(column.as_ref(), row, &mut key));
                *alive &= !values.deleted.holds(&key);
            }
        }
        Ok(())
    }
}

impl DeletedValues {
    fn insert(&mut self, key: &[u8]) {
        let hash = self.hashes.of(key);
        self.rows.entry(hash as u64, |known| *known == hash, |known| *known as u64).or_insert(hash);
    }

    fn holds(&self, key: &[u8]) -> bool {
        let hash = self.hashes.of(key);
        self.rows.find(hash as u64, |known| *known == hash).is_some()
    }
}

fn too_many_keys(source: &Source<'_>, most: usize) -> EngineError {
    let (dataset, table) = (&source.planned.pin.dataset_id, &source.planned.pin.table);
    EngineError::Unsupported(format!(
        "the dataset {dataset} has more than {most} rows in the equality delete files of one part; rewrite its data files \
         (Athena: OPTIMIZE {table} REWRITE DATA USING BIN_PACK; Spark: CALL system.rewrite_data_files(table => '{table}', \
         options => map('delete-file-threshold', '1'))) and try again"
    ))
}

/// The columns of a position delete file that carries no field ids.
fn position_names() -> NameMapping {
    let field =
        |(id, name): (i32, &str)| NamedField { names: vec![name.into()], field_id: Some(id), fields: Vec::new() };
    NameMapping { fields: [FILE_PATH, POSITION].map(field).into() }
}

async fn read_positions<O: ReadObjects>(
    objects: &O,
    file: &DeleteFile,
    of: &HashSet<&str>,
    settings: &Settings,
) -> Result<HashMap<String, Vec<u64>>, EngineError> {
    let input = open(objects, file, Some(&position_names())).await?.with_batch_bytes(settings.batch_bytes);
    let missing = || input.error("it has no columns file_path and pos");
    let leaf = |(id, name): (i32, &str)| {
        let field = Field { id, name: name.into(), required: true, kind: Kind::Primitive("string".into()) };
        let column = find(&input.columns, &field)?;
        matches!(column.kind, FileKind::Leaf(..)).then_some(column)
    };
    let (path, position) = leaf(FILE_PATH).zip(leaf(POSITION)).ok_or_else(missing)?;
    let mut leaves = Vec::new();
    path.witness(&mut leaves);
    position.witness(&mut leaves);
    let mut positions: HashMap<String, Vec<u64>> = HashMap::new();
    for &group in &input.groups {
        let mut batches = input.stream(group, &leaves, None, settings.row_batch)?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let named = |name: &str| batch.column_by_name(name).ok_or_else(missing);
            let paths = strings(named(&path.name)?).map_err(|_| input.unfit())?;
            let at = cast_to(named(&position.name)?, &DataType::Int64).map_err(|_| input.unfit())?;
            for (path, at) in paths.iter().zip(at.as_primitive::<Int64Type>()) {
                let (Some(path), Some(at)) = (path, at.and_then(|at| u64::try_from(at).ok())) else { continue };
                if of.contains(path) {
                    positions.entry(path.to_owned()).or_default().push(at);
                }
            }
        }
    }
    positions.values_mut().for_each(|positions| positions.sort_unstable());
    Ok(positions)
}

async fn read_values<O: ReadObjects>(
    objects: &O,
    file: &DeleteFile,
    field_ids: &[i32],
    source: &Source<'_>,
    (settings, keys_left): (&Settings, usize),
) -> Result<DeletedValues, EngineError> {
    let input = open(objects, file, source.planned.name_mapping.as_ref()).await?.with_batch_bytes(settings.batch_bytes);
    let mut deleted = DeletedValues { columns: Vec::new(), rows: HashTable::new(), hashes: Hashes::new() };
    let (mut leaves, mut paths) = (Vec::new(), Vec::new());
    for id in field_ids {
        let unknown = || input.error(format!("it deletes by the field {id}, which the table's schema does not have"));
        let path = path_to(&source.planned.schema.fields, *id).or_else(|| path_to(&source.planned.former, *id));
        let path = path.ok_or_else(unknown)?;
        let Some(Field { kind: Kind::Primitive(name), .. }) = path.last() else { return Err(unknown()) };
        let data_type = leaf_type(name)?;
        paths.push(locate(&input.columns, &path, &mut leaves));
        deleted.columns.push((path, data_type));
    }
    for &group in &input.groups {
        let mut batches = input.stream(group, &leaves, None, settings.row_batch)?;
        while let Some(batch) = batches.next().await {
            let rows = StructArray::from(batch?);
            let columns = comparables(&rows, &paths, &deleted).map_err(|_| input.unfit())?;
            let mut key = Vec::new();
            for row in 0..rows.len() {
                key.clear();
                columns.iter().for_each(|column| encode(column.as_ref(), row, &mut key));
                deleted.insert(&key);
            }
            if deleted.rows.len() > keys_left {
                return Err(too_many_keys(source, settings.delete_keys));
            }
        }
    }
    Ok(deleted)
}

async fn open<O: ReadObjects>(
    objects: &O,
    file: &DeleteFile,
    names: Option<&NameMapping>,
) -> Result<InputFile<O>, EngineError> {
    let (location, bytes) = (file.location.clone(), file.bytes);
    let none = (Vec::new(), Vec::new());
    let whole = DataFile {
        source: 0,
        location,
        bytes,
        rows: 0,
        bucket: None,
        range: None,
        split_offsets: none.0,
        deletes: none.1,
    };
    InputFile::open(objects, &whole, names).await
}

/// The fields from a top-level one down to the one of that id, through structs.
fn path_to(fields: &[Field], id: i32) -> Option<Vec<Field>> {
    fields.iter().find_map(|field| match &field.kind {
        _ if field.id == id => Some(vec![field.clone()]),
        Kind::Nested(Nested::Struct { fields }) => {
            let mut path = path_to(fields, id)?;
            path.insert(0, field.clone());
            Some(path)
        }
        _ => None,
    })
}

/// A file's own names along a path; adds the leaf at its end. `None`: the file lacks it.
fn locate(columns: &[FileColumn], path: &[Field], leaves: &mut Vec<usize>) -> Option<Vec<String>> {
    let (first, below) = path.split_first()?;
    let column = find(columns, first)?;
    let mut names = vec![column.name.clone()];
    match &column.kind {
        FileKind::Leaf(leaf, _) if below.is_empty() => leaves.push(*leaf),
        FileKind::Struct(fields) => names.extend(locate(fields, below, leaves)?),
        _ => return None,
    }
    Some(names)
}

/// A column's values as they are compared, and all that makes them null.
struct Comparable {
    above: Vec<ArrayRef>,
    values: Values,
}

enum Values {
    Whole(ArrayRef),
    Wide(ArrayRef),
    Real(ArrayRef),
    Bytes(ArrayRef),
}

/// The compared columns of rows, at these paths; `None` where the file lacks one.
fn comparables(
    rows: &StructArray,
    paths: &[Option<Vec<String>>],
    deleted: &DeletedValues,
) -> Result<Vec<Option<Comparable>>, ArrowError> {
    let columns = paths.iter().zip(&deleted.columns);
    columns.map(|(path, (_, to))| path.as_ref().map(|path| column(rows, path, to)).transpose()).collect()
}

fn column(rows: &StructArray, path: &[String], to: &DataType) -> Result<Comparable, ArrowError> {
    let unread = || ArrowError::SchemaError("a compared column was not read".into());
    let mut above = Vec::new();
    let mut within = rows.clone();
    let (last, structs) = path.split_last().ok_or_else(unread)?;
    for name in structs {
        let column = within.column_by_name(name).ok_or_else(unread)?.clone();
        within = column.as_struct_opt().ok_or_else(unread)?.clone();
        above.push(column);
    }
    let values = cast_to(within.column_by_name(last).ok_or_else(unread)?, to)?;
    let values = match to {
        DataType::Utf8 | DataType::Binary | DataType::FixedSizeBinary(_) => {
            Values::Bytes(cast_to(&values, &DataType::Binary)?)
        }
        DataType::Float32 | DataType::Float64 => Values::Real(cast_to(&values, &DataType::Float64)?),
        DataType::Decimal128(..) => Values::Wide(values),
        DataType::Date32 => Values::Whole(cast_to(&cast_to(&values, &DataType::Int32)?, &DataType::Int64)?),
        _ => Values::Whole(cast_to(&values, &DataType::Int64)?),
    };
    Ok(Comparable { above, values })
}

/// Adds a value so that equal rows of values, and no others, are equal bytes.
fn encode(column: Option<&Comparable>, row: usize, key: &mut Vec<u8>) {
    let Some(column) = column.filter(|c| c.above.iter().all(|a| a.is_valid(row)) && c.values.array().is_valid(row))
    else {
        key.push(0);
        return;
    };
    key.push(1);
    match &column.values {
        Values::Whole(array) => key.extend(array.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        Values::Wide(array) => key.extend(array.as_primitive::<Decimal128Type>().value(row).to_le_bytes()),
        Values::Real(array) => key.extend(array.as_primitive::<Float64Type>().value(row).to_bits().to_le_bytes()),
        Values::Bytes(array) => {
            let bytes = array.as_binary::<i32>().value(row);
            key.extend((bytes.len() as u64).to_le_bytes());
            key.extend(bytes);
        }
    }
}

impl Values {
    fn array(&self) -> &ArrayRef {
        match self {
            Self::Whole(array) | Self::Wide(array) | Self::Real(array) | Self::Bytes(array) => array,
        }
    }
}
