//! Chunks in encodings that pages are not read in here: decoded by Parquet's own reader, and told as plain pages.

use super::dictionary::put_plain;
use super::{ChunkBytes, Damaged, LeafForm, LeafPage, ValueForm, Values};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{AsBytes, DataType};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescPtr;

/// Records that are decoded at a time.
const RECORDS: usize = 8_192;

/// A chunk's records.
pub(super) struct Records {
    reader: ColumnReader,
}

impl Records {
    /// The records of a chunk.
    pub(super) fn new(column: ColumnDescPtr, pages: SerializedPageReader<ChunkBytes>) -> Self {
        Self { reader: get_column_reader(column, Box::new(pages)) }
    }

    /// The next records, as a page.
    pub(super) fn next(&mut self, form: LeafForm) -> Result<Option<LeafPage>, Damaged> {
        match &mut self.reader {
            ColumnReader::BoolColumnReader(reader) => read(reader, form),
            ColumnReader::Int32ColumnReader(reader) => read(reader, form),
            ColumnReader::Int64ColumnReader(reader) => read(reader, form),
            ColumnReader::Int96ColumnReader(reader) => read(reader, form),
            ColumnReader::FloatColumnReader(reader) => read(reader, form),
            ColumnReader::DoubleColumnReader(reader) => read(reader, form),
            ColumnReader::ByteArrayColumnReader(reader) => read(reader, form),
            ColumnReader::FixedLenByteArrayColumnReader(reader) => read(reader, form),
        }
    }
}

fn read<T: DataType>(reader: &mut ColumnReaderImpl<T>, form: LeafForm) -> Result<Option<LeafPage>, Damaged> {
    let (mut reps, mut defs, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let wants = |greatest: u8| greatest > 0;
    let (_, count, levels) = reader.read_records(
        RECORDS,
        wants(form.max_def).then_some(&mut defs),
        wants(form.max_rep).then_some(&mut reps),
        &mut values,
    )?;
    let levels = if wants(form.max_def) || wants(form.max_rep) { levels } else { count };
    if levels == 0 {
        return Ok(None);
    }
    let bytes = |levels: Vec<i16>| levels.into_iter().map(|level| level as u8).collect();
    let values = match form.values {
        ValueForm::Bits => Values::Bits(values.iter().map(|v| v.as_bytes().first().copied().unwrap_or(0)).collect()),
        ValueForm::Fixed(_) | ValueForm::Texts => {
            let mut plain = Vec::new();
            values.iter().for_each(|value| put_plain(form.values, value.as_bytes(), &mut plain));
            Values::Plain(plain.into())
        }
    };
    Ok(Some(LeafPage { levels, reps: bytes(reps), defs: bytes(defs), count, values }))
}
