//! What a contestant wrote, counted by one and the same reader.

use crate::Outcome;
use crate::store::bucket::iceberg_hash;
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::Path;

/// The files of an export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Rows of all files.
    pub rows: u64,
    /// Their sizes together.
    pub bytes: u64,
    /// How many there are.
    pub files: u64,
    /// The hashes of all profile ids, added up: who was exported, whatever the order.
    pub profiles: u64,
}

impl Output {
    /// Whether the same profiles were exported as often.
    pub fn agrees(&self, other: &Self) -> bool {
        (self.rows, self.profiles) == (other.rows, other.profiles)
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
            self.profiles = self.profiles.wrapping_add(hashes(&*group)?);
        }
        Ok(())
    }
}

/// The hashes of a row group's profile ids, added up.
fn hashes(group: &dyn RowGroupReader) -> Outcome<u64> {
    let columns = group.metadata().columns();
    let at = columns.iter().position(|column| column.column_path().string() == "profileId");
    let column = group.get_column_reader(at.ok_or("an export has no profileId")?)?;
    let ColumnReader::ByteArrayColumnReader(mut reader) = column else { return Err("profileId is no string".into()) };
    let (mut levels, mut values): (Vec<i16>, Vec<ByteArray>) = (Vec::new(), Vec::new());
    let mut sum = 0u64;
    loop {
        levels.clear();
        values.clear();
        let (records, _, _) = reader.read_records(8_192, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Ok(sum);
        }
        for value in &values {
            sum = sum.wrapping_add(u64::from(iceberg_hash(value.as_utf8()?)));
        }
    }
}
