//! Making what came in a file into exactly what the table has, or saying why that cannot be.

use super::columns::table_schema;
use crate::failure::Failure;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{
    Array, ArrayRef, BooleanArray, ListArray, MapArray, RecordBatch, Scalar, StructArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow_buffer::NullBuffer;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, FieldRef, SchemaRef};
use domain::instant::Micros;
use domain::registry::{Dataset, DatasetKind};
use domain::schema::Schema;
use std::sync::Arc;

/// Brings batches into the shape of a table.
#[derive(Clone, Debug)]
pub struct Conform {
    schema: SchemaRef,
    /// Columns without which the product can do nothing with a row, beside the ingestion time.
    needed: Vec<String>,
    ingest_time: (String, Option<Micros>),
}

impl Conform {
    /// For a dataset whose table has these columns; rows without an ingestion time get `ingest_time`.
    pub fn new(dataset: &Dataset, schema: &Schema, ingest_time: Option<Micros>) -> Result<Self, Failure> {
        let schema = Arc::new(table_schema(schema)?);
        let mut needed = vec![dataset.columns.profile_id.clone()];
        if dataset.kind == DatasetKind::Event {
            needed.push(dataset.columns.timestamp.clone());
        }
        for column in needed.iter().chain([&dataset.columns.ingest_time]) {
            if schema.field_with_name(column).is_err() {
                return Err(Failure::say(format!("the table {} has no column {column}.", dataset.table)));
            }
        }
        Ok(Self { schema, needed, ingest_time: (dataset.columns.ingest_time.clone(), ingest_time) })
    }

    /// A batch as the table has it.
    pub fn batch(&self, batch: &RecordBatch) -> Result<RecordBatch, Failure> {
        for field in batch.schema_ref().fields() {
            if self.schema.field_with_name(field.name()).is_err() {
                let what = format!("the file has the column {}, which the table lacks.", field.name());
                return Err(Failure::say(what));
            }
        }
        let rows = batch.num_rows();
        let columns = self.schema.fields().iter().map(|field| self.column(batch, field, rows));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|e| Failure::say(format!("the rows do not fit: {e}.")))
    }

    fn column(&self, batch: &RecordBatch, field: &FieldRef, rows: usize) -> Result<ArrayRef, Failure> {
        let name = field.name();
        // Every row needs these, whatever the table says of nulls.
        let needed = self.needed.contains(name) || *name == self.ingest_time.0;
        let field = if needed { &Arc::new(field.as_ref().clone().with_nullable(false)) } else { field };
        if *name != self.ingest_time.0 {
            return match batch.column_by_name(name) {
                Some(array) => conform(array, field, name, None),
                None => absent(field, name, rows),
            };
        }
        let given = batch.column_by_name(name).map(|a| a.logical_null_count() < rows || rows == 0).unwrap_or_default();
        let lenient = field.as_ref().clone().with_nullable(true);
        let array = match batch.column_by_name(name) {
            Some(array) if given => conform(array, &lenient, name, None)?,
            _ => new_null_array(field.data_type(), rows),
        };
        match self.ingest_time.1 {
            _ if array.null_count() == 0 => Ok(array),
            Some(time) => fill(&array, time),
            None => Err(Failure::say(format!(
                "some rows have no {name}; give --ingest-time NOW or an RFC 3339 time to stand in for it."
            ))),
        }
    }
}

fn fill(array: &ArrayRef, time: Micros) -> Result<ArrayRef, Failure> {
    let present: BooleanArray = (0..array.len()).map(|i| Some(array.is_valid(i))).collect();
    let zone = match array.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => return Err(Failure::say("the table's ingestion time is no timestamp.")),
    };
    let stand_in = TimestampMicrosecondArray::new_scalar(time.0).into_inner().with_timezone_opt(zone);
    let values = array.as_primitive::<TimestampMicrosecondType>();
    arrow_select::zip::zip(&present, values, &Scalar::new(stand_in)).map_err(|e| Failure::say(e.to_string()))
}

fn absent(field: &Field, path: &str, rows: usize) -> Result<ArrayRef, Failure> {
    if field.is_nullable() {
        return Ok(new_null_array(field.data_type(), rows));
    }
    Err(Failure::say(format!("the required column {path} is missing.")))
}

/// `array` as `field`'s type. `above` marks the rows whose parent is null, in which nothing is required.
fn conform(array: &ArrayRef, field: &Field, path: &str, above: Option<&NullBuffer>) -> Result<ArrayRef, Failure> {
    let made = match (array.data_type(), field.data_type()) {
        (DataType::Null, _) => new_null_array(field.data_type(), array.len()),
        (DataType::Struct(_), DataType::Struct(_)) => conform_struct(array.as_struct(), field, path, above)?,
        (DataType::List(_), DataType::List(element)) => {
            let list: &ListArray = array.as_list();
            let values = conform(list.values(), element, &format!("{path}[]"), None)?;
            let list = ListArray::try_new(element.clone(), list.offsets().clone(), values, list.nulls().cloned());
            Arc::new(list.map_err(|e| unfit(path, e))?)
        }
        (DataType::Map(..), DataType::Map(entries, _)) => conform_map(array.as_map(), entries, path)?,
        (from, to @ (DataType::Struct(_) | DataType::Map(..))) => return Err(mismatch(path, from, to)),
        (from @ (DataType::LargeList(of) | DataType::FixedSizeList(of, _)), DataType::List(_)) => {
            let list = DataType::List(of.clone());
            let list = cast_with_options(array, &list, &EXACT).map_err(|_| mismatch(path, from, field.data_type()))?;
            return conform(&list, field, path, above);
        }
        (from, to) if from == to => array.clone(),
        (from, to) if from.is_floating() && (to.is_integer() || matches!(to, DataType::Decimal128(..))) => {
            return Err(mismatch(path, from, to));
        }
        (from, to) => cast_with_options(array, to, &EXACT).map_err(|_| mismatch(path, from, to))?,
    };
    if !field.is_nullable() {
        let nulls = made.logical_nulls().filter(|n| n.null_count() > 0);
        let allowed = |nulls: &NullBuffer| above.is_some_and(|above| above.contains(nulls));
        if nulls.is_some_and(|nulls| !allowed(&nulls)) {
            return Err(Failure::say(format!("some rows have no {path}, which is required.")));
        }
    }
    Ok(made)
}

fn conform_struct(
    array: &StructArray,
    field: &Field,
    path: &str,
    above: Option<&NullBuffer>,
) -> Result<ArrayRef, Failure> {
    let DataType::Struct(fields) = field.data_type() else { unreachable!("the caller matched a struct") };
    for name in array.column_names() {
        if !fields.iter().any(|f| f.name() == name) {
            return Err(Failure::say(format!("the file has the field {path}.{name}, which the table lacks.")));
        }
    }
    let nulls = NullBuffer::union(array.nulls(), above);
    let columns = fields.iter().map(|field| {
        let path = format!("{path}.{}", field.name());
        match array.column_by_name(field.name()) {
            Some(column) => conform(column, field, &path, nulls.as_ref()),
            None => absent(field, &path, array.len()),
        }
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let made = StructArray::try_new_with_length(fields.clone(), columns, array.nulls().cloned(), array.len());
    Ok(Arc::new(made.map_err(|e| unfit(path, e))?))
}

fn conform_map(array: &MapArray, entries: &FieldRef, path: &str) -> Result<ArrayRef, Failure> {
    let DataType::Struct(pair) = entries.data_type() else { unreachable!("a map's entries are a struct") };
    let keys = conform(array.keys(), &pair[0], &format!("{path}.key"), None)?;
    let values = conform(array.values(), &pair[1], &format!("{path}.*"), None)?;
    let made = StructArray::try_new(pair.clone(), vec![keys, values], None)
        .and_then(|e| MapArray::try_new(entries.clone(), array.offsets().clone(), e, array.nulls().cloned(), false));
    Ok(Arc::new(made.map_err(|e| unfit(path, e))?))
}

const EXACT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow_cast::display::FormatOptions::new() };

fn mismatch(path: &str, from: &DataType, to: &DataType) -> Failure {
    Failure::say(format!("{path} is {from} in the file and cannot be read as the table's {to}."))
}

fn unfit(path: &str, error: arrow_schema::ArrowError) -> Failure {
    Failure::say(format!("{path} does not fit the table: {error}."))
}
