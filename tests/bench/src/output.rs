//! What a contestant wrote, counted by one and the same reader.

use crate::Outcome;
use crate::store::bucket::iceberg_hash;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::Path;

/// First and last step of the paths of the columns that are compared, whatever a writer calls what lies between.
const HASHED: [(&str, &str); 3] =
    [("profileId", "profileId"), ("identityMap", "id"), ("timeSeriesEvents", "eventType")];

/// The files of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Rows of all files.
    pub rows: u64,
    /// Their sizes together.
    pub bytes: u64,
    /// How many there are.
    pub files: u64,
    /// The hashes of all profile ids, identities and types of events, added up: who and what was exported, whatever the
    /// order.
    pub content: u64,
}

impl Output {
    /// Whether the same was exported.
    pub fn agrees(&self, other: &Self) -> bool {
        (self.rows, self.content) == (other.rows, other.content)
    }

    /// What is below a folder.
    pub fn below(folder: &Path) -> Outcome<Self> {
        let mut output = Self::default();
        output.add_folder(folder)?;
        Ok(output)
    }

    fn add_folder(&mut self, folder: &Path) -> Outcome<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.add_folder(&path)?;
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                self.add_file(&path)?;
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path) -> Outcome<()> {
        let file = File::open(path)?;
        self.bytes += file.metadata()?.len();
        self.files += 1;
        let reader = SerializedFileReader::new(file)?;
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group)?;
            self.rows += group.metadata().num_rows() as u64;
            self.content = self.content.wrapping_add(content(&*group)?);
        }
        Ok(())
    }
}

/// The hashes of what stands in the columns that are compared, added up.
fn content(group: &dyn RowGroupReader) -> Outcome<u64> {
    let mut sum = 0u64;
    for (at, column) in group.metadata().columns().iter().enumerate() {
        let steps = column.column_path().parts();
        let ends = (steps.first().map(String::as_str), steps.last().map(String::as_str));
        if HASHED.iter().any(|(first, last)| ends == (Some(first), Some(last))) {
            let reader = group.get_column_reader(at)?;
            let ColumnReader::ByteArrayColumnReader(mut reader) = reader else {
                return Err(format!("{} is no string", column.column_path()).into());
            };
            sum = sum.wrapping_add(hashes(&mut reader)?);
        }
    }
    Ok(sum)
}

fn hashes(reader: &mut ColumnReaderImpl<ByteArrayType>) -> Outcome<u64> {
    let (mut definitions, mut repetitions, mut values) = (Vec::new(), Vec::new(), Vec::<ByteArray>::new());
    let mut sum = 0u64;
    loop {
        definitions.clear();
        repetitions.clear();
        values.clear();
        let (records, _, _) =
            reader.read_records(8_192, Some(&mut definitions), Some(&mut repetitions), &mut values)?;
        if records == 0 {
            return Ok(sum);
        }
        for value in &values {
            sum = sum.wrapping_add(u64::from(iceberg_hash(value.as_utf8()?)));
        }
    }
}
