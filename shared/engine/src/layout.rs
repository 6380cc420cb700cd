//! What a part's rows are brought into: settled once for the part, then bound to each of its files.

use crate::error::EngineError;
use crate::input::InputFile;
use crate::project;
use crate::selection::Selection;
use crate::shape::{Column, arrow_field, shown};
use crate::source::Source;
use crate::tree::{FileColumn, FileKind, file_columns, find};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StructArray, new_null_array};
use arrow_schema::{ArrowError, DataType, FieldRef, Schema as ArrowSchema, SchemaRef};
use domain::fields::Projection;
use domain::plan::Plan;
use domain::ports::objects::ReadObjects;
use domain::schema::{Field, Kind, Nested};
use parquet::arrow::ArrowSchemaConverter;
use parquet::schema::types::SchemaDescriptor;
use std::slice;
use std::sync::Arc;

/// The export's column that holds the batch's id.
pub(crate) const BATCH_ID: &str = "batchId";
/// The export's column that holds the profile's id.
pub(crate) const PROFILE_ID: &str = "profileId";
/// The export's column that holds the time of the profile's last update.
pub(crate) const INGEST_TIME: &str = "ingestTime";
/// The export's column that holds the profile's identities.
pub(crate) const IDENTITY_MAP: &str = "identityMap";
/// The export's column that holds the profile's memberships.
pub(crate) const SEGMENT_MEMBERSHIP: &str = "segmentMembership";
/// The export's column that holds the profile's events.
pub(crate) const EVENTS: &str = "timeSeriesEvents";

/// What the rows of a part are brought into.
pub(crate) struct Layout {
    /// The rows as they are exported, but for batch and events.
    pub(crate) export: Form,
    /// The rows as they are merged: with what the rules of merging look at besides. Nothing where rows stand alone.
    pub(crate) fragments: Form,
    /// From the one to the other.
    finish: Vec<Column>,
    finish_from: Vec<FileColumn>,
    /// The events, where any are asked for.
    pub(crate) events: Option<EventLayout>,
    /// The export's columns in order.
    slots: Vec<Slot>,
    /// The schema of the exported files.
    pub(crate) schema: SchemaRef,
    /// The same as Parquet has it.
    pub(crate) parquet: SchemaDescriptor,
    /// Which of the columns is the batch's id.
    pub(crate) batch_column: usize,
    /// Which of them is the events, where any are asked for.
    pub(crate) events_column: Option<usize>,
}

/// Where a column of the export comes from.
#[derive(Clone, Copy)]
enum Slot {
    Column(usize),
    Events,
    Batch,
}

/// A form that the rows of all sources are brought into.
pub(crate) struct Form {
    /// Its columns.
    pub(crate) schema: SchemaRef,
    /// How each source fills them; `None` for a source that does not.
    columns: Vec<Option<Vec<Column>>>,
}

/// The events of a profile as a column.
pub(crate) struct EventLayout {
    /// An event.
    pub(crate) form: Form,
    /// The list's element.
    pub(crate) element: FieldRef,
}

/// A form, bound to one file.
pub(crate) struct BoundForm<'a> {
    schema: &'a SchemaRef,
    columns: &'a [Column],
    file: &'a [FileColumn],
    /// The leaves to read.
    pub(crate) leaves: Vec<usize>,
}

impl Layout {
    /// The layout of a plan's parts.
    pub(crate) fn new(plan: &Plan, sources: &[Source<'_>], merges: bool) -> Result<Self, EngineError> {
        let target: Vec<Field> =
            plan.target.schema.fields.iter().filter(|f| f.name != BATCH_ID && f.name != EVENTS).cloned().collect();
        let export = fragment_fields(&target, sources, plan, &plan.projection);
        let merging =
            if merges { fragment_fields(&target, sources, plan, &with_keys(&plan.projection)) } else { Vec::new() };
        let (kept, merged) = (Selection::new(&plan.projection), Selection::new(&with_keys(&plan.projection)));
        let events = plan.target.schema.field(EVENTS).filter(|_| plan.events.is_some());
        let events = events.map(|list| EventLayout::new(list, plan, sources)).transpose()?;
        let finish = export
            .iter()
            .map(|field| Column::new(merging.iter().find(|f| f.id == field.id), field, kept.below(&field.name)));
        let finish = if merges { finish.collect::<Result<Vec<_>, _>>()? } else { Vec::new() };
        let export = Form::of_fragments(&export, sources, &kept)?;
        let fragments = Form::of_fragments(&merging, sources, &merged)?;
        let (slots, schema) = slots(plan, sources, &export, events.as_ref())?;
        let finish_from = file_columns(&fragments.schema);
        let parquet = ArrowSchemaConverter::new().convert(&schema).map_err(EngineError::Encode)?;
        let batch_column = slots.iter().position(|slot| matches!(slot, Slot::Batch)).unwrap_or_default();
        let events_column = slots.iter().position(|slot| matches!(slot, Slot::Events));
        Ok(Self { export, fragments, finish, finish_from, events, slots, schema, parquet, batch_column, events_column })
    }

    /// A column of the export, of merged rows; `None` where it is the batch's id or the events.
    pub(crate) fn finish(&self, merged: &StructArray, column: usize) -> Option<Result<ArrayRef, ArrowError>> {
        let Some(Slot::Column(at)) = self.slots.get(column) else { return None };
        let made = self.finish.get(*at..=*at).unwrap_or_default();
        let made = project::columns(made, &self.finish_from, merged);
        Some(made.and_then(|made| made.into_iter().next().ok_or_else(lacking)))
    }
}

/// The exported columns in the target's order, with batch and events among them.
fn slots(
    plan: &Plan,
    sources: &[Source<'_>],
    export: &Form,
    events: Option<&EventLayout>,
) -> Result<(Vec<Slot>, SchemaRef), EngineError> {
    let (mut slots, mut fields) = (Vec::new(), Vec::new());
    for field in &plan.target.schema.fields {
        match (&*field.name, events) {
            (BATCH_ID, _) => {
                fields.push(arrow_field(BATCH_ID, field.id, DataType::Utf8, false));
                slots.push(Slot::Batch);
            }
            (EVENTS, Some(events)) => {
                fields.push(arrow_field(EVENTS, field.id, DataType::List(events.element.clone()), true));
                slots.push(Slot::Events);
            }
            (name, _) => {
                if let Some((at, column)) = export.schema.column_with_name(name) {
                    fields.push(Arc::new(column.clone().with_nullable(!is_everywhere(plan, sources, name))));
                    slots.push(Slot::Column(at));
                }
            }
        }
    }
    if !slots.iter().any(|slot| matches!(slot, Slot::Batch)) {
        return Err(EngineError::Unsupported("the export dataset has no column batchId".into()));
    }
    Ok((slots, Arc::new(ArrowSchema::new(fields))))
}

/// The fields of the target that the sources of profiles fill: event datasets only where profiles are exported that have
/// nothing else.
fn fragment_fields(target: &[Field], sources: &[Source<'_>], plan: &Plan, projection: &Projection) -> Vec<Field> {
    let sources = sources.iter().filter(|s| !s.holds_events() || plan.filter.empty_profiles);
    let fields = sources.map(|source| {
        let mut fields = source.exported_fields(target);
        fields.retain(|field| fills(source, &field.name));
        fields
    });
    let fields: Vec<_> = fields.collect();
    shown(target, &fields.iter().map(Vec::as_slice).collect::<Vec<_>>(), &Selection::new(projection))
}

/// Whether every row of every source has a value in a column, and so every exported one: it is then written without levels,
/// as the sources have it.
fn is_everywhere(plan: &Plan, sources: &[Source<'_>], name: &str) -> bool {
    let of_profiles = |source: &&Source<'_>| !source.holds_events() || plan.filter.empty_profiles;
    let required = |field: &Field| field.required && matches!(field.kind, Kind::Primitive(_));
    [PROFILE_ID, INGEST_TIME].contains(&name)
        && sources.iter().filter(of_profiles).all(|source| source.exported(name).is_some_and(required))
}

/// Whether a source fills a field of profiles: events tell of no more than ids, times and identities.
fn fills(source: &Source<'_>, name: &str) -> bool {
    !source.holds_events() || [PROFILE_ID, INGEST_TIME, IDENTITY_MAP].contains(&name)
}

/// A projection with what the rules of merging look at: ids of identities, times of memberships.
fn with_keys(projection: &Projection) -> Projection {
    if projection.is_everything() {
        return projection.clone();
    }
    let mut paths = projection.paths.clone();
    for path in &projection.paths {
        if let [column, namespace, segment, _, ..] = path.as_slice()
            && column == SEGMENT_MEMBERSHIP
        {
            paths.push(vec![column.clone(), namespace.clone(), segment.clone(), "lastQualificationTime".into()]);
        }
    }
    paths.push([IDENTITY_MAP, "*", "id"].map(str::to_owned).to_vec());
    Projection { paths }
}

impl Form {
    fn of_fragments(fields: &[Field], sources: &[Source<'_>], kept: &Selection) -> Result<Self, EngineError> {
        let columns = sources.iter().map(|source| {
            let column = |field: &Field| {
                let origin = source.exported(&field.name).filter(|_| fills(source, &field.name));
                Column::new(origin, field, kept.below(&field.name))
            };
            fields.iter().map(column).collect::<Result<Vec<_>, _>>().map(Some)
        });
        Self::new(fields, columns.collect::<Result<_, _>>()?, kept)
    }

    fn new(fields: &[Field], columns: Vec<Option<Vec<Column>>>, kept: &Selection) -> Result<Self, EngineError> {
        // Sources fill one form: any of them, or none at all, tells its types.
        let empty = fields.iter().map(|field| Column::new(None, field, kept.below(&field.name)));
        let empty = empty.collect::<Result<Vec<_>, _>>()?;
        let named = columns.iter().flatten().next().unwrap_or(&empty);
        let schema = Arc::new(ArrowSchema::new(named.iter().map(|c| c.field.clone()).collect::<Vec<_>>()));
        Ok(Self { schema, columns })
    }

    /// Finds in a file of a source what the form takes.
    pub(crate) fn bind<'a, O: ReadObjects>(
        &'a self,
        source: usize,
        input: &'a InputFile<O>,
    ) -> Result<BoundForm<'a>, EngineError> {
        let columns = self.columns.get(source).and_then(Option::as_deref).unwrap_or_default();
        let mut leaves = Vec::new();
        project::leaves(columns, &input.columns, &mut leaves).map_err(|what| input.error(what))?;
        Ok(BoundForm { schema: &self.schema, columns, file: &input.columns, leaves })
    }
}

impl BoundForm<'_> {
    /// What fills a column of the form.
    pub(crate) fn source(&self, column: usize) -> Option<&Column> {
        self.columns.get(column)
    }

    /// The leaves that some of the form's columns need.
    pub(crate) fn leaves_of<O: ReadObjects>(
        &self,
        columns: &[usize],
        input: &InputFile<O>,
    ) -> Result<Vec<usize>, EngineError> {
        let mut leaves = Vec::new();
        for column in columns.iter().filter_map(|at| self.columns.get(*at)) {
            project::leaves(slice::from_ref(column), self.file, &mut leaves).map_err(|what| input.error(what))?;
        }
        Ok(leaves)
    }

    /// A column of the form, of rows that were read with at least its leaves.
    pub(crate) fn column(&self, column: usize, rows: &StructArray) -> Result<ArrayRef, ArrowError> {
        let column = self.columns.get(column).map(slice::from_ref).unwrap_or_default();
        project::columns(column, self.file, rows)?.pop().ok_or_else(lacking)
    }

    /// Some of the form's columns, of rows that were read with at least their leaves, as a batch.
    pub(crate) fn batch(&self, columns: &[usize], rows: &StructArray) -> Result<RecordBatch, ArrowError> {
        let schema = Arc::new(self.schema.project(columns)?);
        let columns = columns.iter().map(|column| self.column(*column, rows)).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(schema, columns, &options)
    }
}

fn lacking() -> ArrowError {
    ArrowError::SchemaError("the form lacks a column".into())
}

impl EventLayout {
    fn new(list: &Field, plan: &Plan, sources: &[Source<'_>]) -> Result<Self, EngineError> {
        let Kind::Nested(Nested::List { element_id, element, .. }) = &list.kind else { return Err(no_events()) };
        let Kind::Nested(Nested::Struct { fields: target }) = &**element else { return Err(no_events()) };
        let empty = Projection::default();
        let projection = plan.events.as_ref().map_or(&empty, |events| &events.projection);
        let selection = Selection::new(projection);
        let of_sources: Vec<_> =
            sources.iter().filter(|s| s.holds_events()).map(|s| s.exported_fields(target)).collect();
        let fields = shown(target, &of_sources.iter().map(Vec::as_slice).collect::<Vec<_>>(), &selection);
        let columns = sources.iter().map(|source| {
            let column = |field: &Field| Column::new(source.exported(&field.name), field, selection.below(&field.name));
            let columns = source.holds_events().then(|| fields.iter().map(column).collect::<Result<Vec<_>, _>>());
            columns.transpose()
        });
        let form = Form::new(&fields, columns.collect::<Result<_, _>>()?, &selection)?;
        let element = arrow_field("element", *element_id, DataType::Struct(form.schema.fields().clone()), true);
        Ok(Self { form, element })
    }
}

fn no_events() -> EngineError {
    EngineError::Unsupported(format!("the export dataset's column {EVENTS} is no list of events"))
}

/// A file's column of profile ids.
pub(crate) struct ProfileIds<'a>(Option<&'a FileColumn>);

impl<'a> ProfileIds<'a> {
    /// Finds the column in a file.
    pub(crate) fn bind<O>(source: &Source<'_>, input: &'a InputFile<O>) -> Self {
        Self(find(&input.columns, &source.profile_id))
    }

    /// The leaf to read.
    pub(crate) fn leaf(&self) -> Option<usize> {
        match self.0?.kind {
            FileKind::Leaf(leaf, _) => Some(leaf),
            FileKind::Struct(_) | FileKind::List(_) | FileKind::Map(..) => None,
        }
    }

    /// The leaf, where it keeps texts.
    pub(crate) fn leaf_of_texts(&self) -> Option<usize> {
        match self.0?.kind {
            FileKind::Leaf(leaf, DataType::Utf8 | DataType::Binary) => Some(leaf),
            _ => None,
        }
    }

    /// The ids of rows that were read with the leaf; every row that counts must have one, and only those are asked for.
    pub(crate) fn ids<O: ReadObjects>(
        &self,
        input: &InputFile<O>,
        rows: &StructArray,
        counts: impl Fn(usize) -> bool,
    ) -> Result<ArrayRef, EngineError> {
        let ids = match self.0.and_then(|column| rows.column_by_name(&column.name)) {
            Some(ids) => ids.clone(),
            None => new_null_array(&DataType::Utf8, rows.len()),
        };
        let lacks = |row: usize| ids.is_null(row) && counts(row);
        match ids.null_count() > 0 && (0..ids.len()).any(lacks) {
            true => Err(Self::missing(input)),
            false => Ok(ids),
        }
    }

    /// The error for a row without an id.
    pub(crate) fn missing<O: ReadObjects>(input: &InputFile<O>) -> EngineError {
        input.error("a row has no profile id")
    }

    /// Whether the file may lack ids.
    pub(crate) fn may_be_null(&self) -> bool {
        self.0.is_none_or(|column| column.nullable)
    }
}
