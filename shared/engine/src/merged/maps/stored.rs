//! Where files keep maps that are united.

use super::{MAP, THING, TIME, VALUE};
use crate::input::InputFile;
use crate::leaf::{LeafForm, def_down_to};
use crate::moved::is_alike;
use crate::shape::{Column, Shape};
use crate::tree::{FileColumn, FileKind, find};
use domain::ports::objects::ReadObjects;
use parquet::basic::Type as PhysicalType;

/// Where a file keeps a map.
pub(super) struct Stored {
    /// The leaf of the keys, and the definition level from which on there is a map.
    pub(super) keys: (usize, u8),
    /// A leaf of the things; of identities, that of their ids.
    pub(super) things: usize,
    /// Its definition levels from which on there is a value, and a thing.
    pub(super) defs: [u8; 2],
    /// Of memberships: the leaf of segments, and that of times, where these are asked for.
    pub(super) memberships: Option<(usize, Option<usize>)>,
}

impl Stored {
    /// Where a file keeps a map of the form of fragments; `None`: not in the form in which it is united here.
    pub(super) fn of<O: ReadObjects>(column: &Column, file: &FileColumn, input: &InputFile<O>) -> Option<Self> {
        let Shape::Map(map) = &column.shape else { return None };
        let FileKind::Map(key, value) = &file.kind else { return None };
        let FileKind::Leaf(keys, _) = key.kind else { return None };
        let (things, memberships) = match (map.of_any_key()?, &value.kind) {
            (Shape::List(_, element), FileKind::List(of_file)) => {
                let (Shape::Struct(columns), FileKind::Struct(fields)) = (&**element, &of_file.kind) else {
                    return None;
                };
                (field("id", columns, fields)??, None)
            }
            (Shape::Map(segments), FileKind::Map(segment, of_file)) => {
                let (Shape::Struct(columns), FileKind::Struct(fields)) = (segments.of_any_key()?, &of_file.kind) else {
                    return None;
                };
                let FileKind::Leaf(segment, _) = segment.kind else { return None };
                let times = field(TIME, columns, fields)?;
                let is_number = |leaf| input.schema().column(leaf).physical_type() == PhysicalType::INT64;
                if times.is_some_and(|times| !is_number(times)) {
                    return None;
                }
                let things = columns.iter().find_map(|column| field(column.field.name(), columns, fields).flatten())?;
                (things, Some((segment, times)))
            }
            _ => return None,
        };
        let schema = input.schema();
        let is_of_form = |leaf: usize, reps: u8| LeafForm::of(&schema.column(leaf)).is_some_and(|f| f.max_rep == reps);
        let is_deep_enough = schema.column(things).path().parts().len() == THING + 1;
        if !is_of_form(keys, 1) || !is_of_form(things, 2) || !is_deep_enough {
            return None;
        }
        let defs = [VALUE, THING].map(|depth| def_down_to(schema, things, depth));
        Some(Self { keys: (keys, def_down_to(schema, keys, MAP)), things, defs, memberships })
    }
}

/// The leaf of a field, `Some(None)` where it is not asked for.
fn field(name: &str, columns: &[Column], fields: &[FileColumn]) -> Option<Option<usize>> {
    let Some(column) = columns.iter().find(|column| column.field.name() == name) else { return Some(None) };
    match (&column.shape, &find(fields, column.source.as_ref()?)?.kind) {
        (Shape::Leaf(to), FileKind::Leaf(leaf, from)) if is_alike(from, to) => Some(Some(*leaf)),
        _ => None,
    }
}
