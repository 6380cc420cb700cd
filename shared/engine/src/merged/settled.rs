//! Columns that are merged as they are stored: on each of its leaves a profile gets what one of its rows has there.
//!
//! Conflicts are settled per leaf field: the first row with a value wins. A leaf's levels tell whether a row has one; where
//! none has, they tell how far down the structs around the leaf are there, and the row that reaches furthest says what the
//! profile has, as a struct is there if any row has it. Lists and maps are taken whole, as if they were values. Of the times
//! of updates the latest counts.

use super::maps::Map;
use crate::error::EngineError;
use crate::input::InputFile;
use crate::layout::{BATCH_ID, BoundForm, EVENTS, IDENTITY_MAP, INGEST_TIME, SEGMENT_MEMBERSHIP};
use crate::leaf::{Damaged, HeldLeaf, LeafForm, Raise, Widening, settled_from};
use crate::moved::of_value;
use crate::part::Part;
use crate::shape::{Column, Shape};
use crate::tree::{FileColumn, FileKind, find};
use crate::writer::leaves_of_columns;
use domain::plan::DataFile;
use domain::ports::objects::ReadObjects;
use parquet::schema::types::SchemaDescriptor;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// The columns of a part that are merged so.
pub(super) struct Settled {
    /// For each of the export's columns its leaves; `None`: it is merged in another way.
    pub(super) columns: Vec<Option<Vec<SettledLeaf>>>,
    /// Those that are united.
    pub(super) maps: Vec<Map>,
}

/// A leaf of the export.
pub(super) struct SettledLeaf {
    /// What each of the part's files has of it; `None`: nothing, nor of the structs around it.
    files: Vec<Option<FileLeaf>>,
    /// The definition level from which on a row has it.
    there: u8,
    /// Whether it is a time of which the latest counts.
    is_latest: bool,
}

/// What a file has of a leaf.
pub(super) struct FileLeaf {
    /// The leaf itself, or another one below the innermost struct around it that the file has.
    leaf: usize,
    /// Its levels in terms of the export's leaf.
    raise: Raise,
    /// How its values become the export's; `None`: it is another leaf, and has none.
    widening: Option<Widening>,
}

/// Leaf columns of rows of one file, by number.
pub(super) struct HeldRows {
    /// The file.
    pub(super) file: usize,
    /// The columns.
    pub(super) leaves: HashMap<usize, HeldLeaf>,
}

/// What held rows have of a leaf of the export.
pub(super) struct HeldColumns<'h> {
    /// By held rows; `None`: nothing.
    columns: Vec<Option<(&'h HeldLeaf, &'h FileLeaf)>>,
    leaf: &'h SettledLeaf,
}

/// What a profile has of a leaf.
pub(super) enum Choice<'h> {
    /// These levels of the leaf among the held rows of that number, and how levels and values become the export's.
    Levels((usize, &'h HeldLeaf), Range<usize>, (&'h Raise, Widening)),
    /// Nothing, but the structs around it up to that level.
    Nothing(u8),
}

impl Settled {
    /// Finds the columns that all files of a part have in the export's form, or not at all.
    pub(super) fn of<O: ReadObjects>(part: &Part<'_, O>, inputs: &[InputFile<O>]) -> Result<Self, EngineError> {
        let layout = part.layout;
        let bind = |(input, file): (_, &DataFile)| Ok((input, layout.export.bind(file.source, input)?));
        let forms = inputs.iter().zip(&part.task.part.files).map(bind).collect::<Result<Vec<_>, EngineError>>()?;
        let mut columns = Vec::new();
        for (field, exported) in layout.schema.fields().iter().zip(leaves_of_columns(&layout.parquet)) {
            let in_another_way = [BATCH_ID, EVENTS, IDENTITY_MAP, SEGMENT_MEMBERSHIP];
            let at = layout.export.schema.index_of(field.name()).ok();
            let Some(at) = at.filter(|_| !in_another_way.contains(&field.name().as_str())) else {
                columns.push(None);
                continue;
            };
            let of_file = |(input, form): &(&InputFile<O>, BoundForm<'_>)| {
                file_leaves(form.source(at)?, input, &layout.parquet, exported.clone())
            };
            let of_files: Option<Vec<_>> = forms.iter().map(of_file).collect();
            let mut leaves = of_files.and_then(|of_files| to_leaves(of_files, &layout.parquet, exported));
            leaves.iter_mut().flatten().for_each(|leaf| leaf.is_latest = field.name() == INGEST_TIME);
            columns.push(leaves);
        }
        Ok(Self { columns, maps: Map::of(part, inputs)? })
    }

    /// The leaves of a file that are needed.
    pub(super) fn leaves_of(&self, file: usize) -> BTreeSet<usize> {
        let leaves = self.columns.iter().flatten().flatten();
        let mut leaves = leaves.filter_map(|leaf| leaf.leaf_of(file)).collect();
        self.maps.iter().for_each(|map| map.leaves_of(file, &mut leaves));
        leaves
    }

    /// Whether a column of the export is made from leaves.
    pub(super) fn makes(&self, column: usize) -> bool {
        let is_it = |map: &Map| map.exported.as_ref().is_some_and(|(exported, _)| *exported == column);
        self.columns[column].is_some() || self.maps.iter().any(is_it)
    }
}

impl HeldRows {
    /// One of the columns.
    pub(super) fn leaf(&self, leaf: usize) -> Result<&HeldLeaf, Damaged> {
        self.leaves.get(&leaf).ok_or(Damaged)
    }
}

impl SettledLeaf {
    /// The leaf of a file that tells of it.
    pub(super) fn leaf_of(&self, file: usize) -> Option<usize> {
        self.files[file].as_ref().map(|stored| stored.leaf)
    }

    /// What held rows have of it.
    pub(super) fn held<'h>(&'h self, held: &'h [HeldRows]) -> Option<HeldColumns<'h>> {
        let column = |rows: &'h HeldRows| {
            let Some(stored) = self.files.get(rows.file)? else { return Some(None) };
            Some(Some((rows.leaves.get(&stored.leaf)?, stored)))
        };
        Some(HeldColumns { columns: held.iter().map(column).collect::<Option<_>>()?, leaf: self })
    }
}

impl<'h> HeldColumns<'h> {
    /// What the held rows of that number have, and how it becomes the export's.
    pub(super) fn column(&self, among: usize) -> Option<(&'h HeldLeaf, (&'h Raise, Widening))> {
        let (leaf, stored) = (*self.columns.get(among)?)?;
        Some((leaf, (&stored.raise, stored.widening?)))
    }

    /// What a profile of these rows has, which are given in order of precedence, each by the held rows that it is among and
    /// its position there.
    pub(super) fn choose(&self, rows: impl Iterator<Item = (usize, usize)>) -> Result<Choice<'h>, Damaged> {
        let (mut best, mut reached) = (None, None);
        for (among, row) in rows {
            let Some((leaf, stored)) = self.columns[among] else { continue };
            let level = leaf.levels(row).start;
            let def = stored.raise.of(leaf.def(level)?);
            let time = if self.leaf.is_latest { time(leaf.value(level)?) } else { None };
            if reached.is_none_or(|reached| reached < (def, time)) {
                (best, reached) = (Some((leaf, stored, among, row)), Some((def, time)));
            }
            if def >= self.leaf.there && !self.leaf.is_latest {
                break;
            }
        }
        match best {
            Some((leaf, FileLeaf { raise, widening: Some(widening), .. }, among, row)) => {
                Ok(Choice::Levels((among, leaf), leaf.levels(row), (raise, *widening)))
            }
            _ => Ok(Choice::Nothing(reached.map_or(0, |(def, _)| def))),
        }
    }
}

/// A time, of its stored value.
pub(super) fn time(value: Option<&[u8]>) -> Option<i64> {
    value.and_then(|value| value.first_chunk()).map(|value| i64::from_le_bytes(*value))
}

/// The leaves of a column; `None` where a file lacks one that must be there.
pub(super) fn to_leaves(
    of_files: Vec<Vec<Option<FileLeaf>>>,
    export: &SchemaDescriptor,
    exported: Range<usize>,
) -> Option<Vec<SettledLeaf>> {
    let mut of_files: Vec<_> = of_files.into_iter().map(Vec::into_iter).collect();
    let leaf = |exported: usize| {
        let files = of_files.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>()?;
        let is_there = |stored: &Option<FileLeaf>| stored.as_ref().is_some_and(|stored| stored.widening.is_some());
        let may_lack = LeafForm::of(&export.column(exported))?.max_def > 0;
        let leaf = SettledLeaf { files, there: settled_from(export, exported), is_latest: false };
        (may_lack || leaf.files.iter().all(is_there)).then_some(leaf)
    };
    exported.map(leaf).collect()
}

/// Where a leaf of the export comes from.
enum Origin {
    /// A leaf of the file.
    Leaf(usize),
    /// None. Another leaf, if any, tells of so many nodes from the top on that are around it.
    Around(Option<(usize, usize)>),
}

/// What a file has of a column's leaves; `None`: the column is not kept as the export has it.
pub(super) fn file_leaves<O: ReadObjects>(
    column: &Column,
    input: &InputFile<O>,
    export: &SchemaDescriptor,
    exported: Range<usize>,
) -> Option<Vec<Option<FileLeaf>>> {
    let mut origins = Vec::new();
    of_column(column, &input.columns, None, &mut origins)?;
    if origins.len() != exported.len() {
        return None;
    }
    let stored = |(origin, to): (Origin, usize)| {
        let from = input.schema();
        match origin {
            Origin::Leaf(leaf) => {
                LeafForm::of(&from.column(leaf))?;
                let widening = Widening::between(&from.column(leaf), &export.column(to))?;
                let raise = Raise::between((from, leaf), (export, to))?;
                Some(Some(FileLeaf { leaf, raise, widening: Some(widening) }))
            }
            Origin::Around(None) => Some(None),
            Origin::Around(Some((leaf, depth))) => {
                LeafForm::of(&from.column(leaf))?;
                let raise = Raise::down_to(depth, (from, leaf), (export, to))?;
                Some(Some(FileLeaf { leaf, raise, widening: None }))
            }
        }
    };
    origins.into_iter().zip(exported).map(stored).collect()
}

/// Adds where the leaves of a column come from.
fn of_column(
    column: &Column,
    file: &[FileColumn],
    around: Option<(usize, usize)>,
    origins: &mut Vec<Origin>,
) -> Option<()> {
    let Some(found) = column.source.as_ref().and_then(|field| find(file, field)) else {
        origins.extend((0..leaves_below(&column.shape)).map(|_| Origin::Around(around)));
        return Some(());
    };
    if let (Shape::Struct(columns), FileKind::Struct(fields)) = (&column.shape, &found.kind) {
        let mut witness = Vec::new();
        found.witness(&mut witness);
        let depth = around.map_or(0, |(_, depth)| depth) + 1;
        let around = witness.first().map(|leaf| (*leaf, depth));
        return columns.iter().try_for_each(|column| of_column(column, fields, around, origins));
    }
    let mut leaves = Vec::new();
    of_value(&column.shape, found, &mut leaves)?;
    origins.extend(leaves.into_iter().map(Origin::Leaf));
    Some(())
}

fn leaves_below(shape: &Shape) -> usize {
    match shape {
        Shape::Leaf(_) => 1,
        Shape::Struct(columns) => columns.iter().map(|column| leaves_below(&column.shape)).sum(),
        Shape::List(_, element) => leaves_below(element),
        Shape::Map(map) => 1 + map.values.first().map_or(0, leaves_below),
    }
}
