//! What a part's rows are judged by and brought into: settled once for the part, then bound to each of its files.

use crate::error::EngineError;
use crate::identities::{self, BoundIdentities};
use crate::input::InputFile;
use crate::membership::{BoundMembership, Membership};
use crate::part::PartTask;
use crate::project;
use crate::selection::Selection;
use crate::shape::{Column, arrow_field};
use crate::tree::{FileColumn, FileKind, find};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions, StringArray, StructArray,
};
use arrow_schema::{ArrowError, DataType, Schema as ArrowSchema, SchemaRef};
use domain::id::BatchId;
use domain::ports::objects::ReadObjects;
use domain::schema::{Field, Schema};
use std::sync::Arc;

/// The export's column that holds the batch's id.
const BATCH_ID: &str = "batchId";
/// The export's column that holds the profile's id.
pub(crate) const PROFILE_ID: &str = "profileId";

/// What a part's rows are judged by and brought into.
pub(crate) struct Layout {
    /// The schema of the exported files.
    pub(crate) schema: SchemaRef,
    /// The filter; `None` where everybody is exported.
    pub(crate) membership: Option<Membership>,
    /// The exported columns but `batchId`.
    columns: Vec<Column>,
    /// The position of `batchId` among them.
    batch_id_at: usize,
    /// The source's column of identities, where it has one.
    identity_map: Option<Field>,
    /// The source's column of profile ids.
    profile_id: Field,
}

/// A layout, bound to one file.
pub(crate) struct BoundLayout<'a> {
    /// The memberships; `None` where the file keeps none, or none are asked for.
    pub(crate) membership: Option<BoundMembership<'a>>,
    /// The identities, where the file keeps any.
    pub(crate) identities: Option<BoundIdentities<'a>>,
    /// The profile ids.
    pub(crate) profile: ProfileIds<'a>,
    /// The leaves that exported rows are read with.
    pub(crate) leaves: Vec<usize>,
}

/// A file's column of profile ids.
pub(crate) struct ProfileIds<'a>(Option<&'a FileColumn>);

impl Layout {
    /// The layout of a part.
    pub(crate) fn new(task: &PartTask<'_>) -> Result<Self, EngineError> {
        let selection = Selection::new(task.projection);
        let (mut columns, mut fields, mut batch_id_at) = (Vec::new(), Vec::new(), None);
        for target in &task.target.fields {
            if target.name == BATCH_ID {
                batch_id_at = Some(columns.len());
                // One value for all rows: a dictionary, which is a few bytes a page in the file.
                let constant = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                fields.push(arrow_field(BATCH_ID, target.id, constant, false));
                continue;
            }
            let source = task.columns.in_table(&target.name).and_then(|name| task.source.field(name));
            if let Some(column) = Column::new(source, target, &selection, &selection)? {
                fields.push(column.field.clone());
                columns.push(column);
            }
        }
        let no_batch_id = || EngineError::Unsupported("the export dataset has no column batchId".into());
        let identity_map = task.source.field(&task.columns.identity_map).cloned();
        identity_map.as_ref().map_or(Ok(()), identities::check).map_err(EngineError::Unsupported)?;
        Ok(Self {
            schema: Arc::new(ArrowSchema::new(fields)),
            membership: Membership::new(task.filter, task.source.field(&task.columns.segment_membership))
                .map_err(EngineError::Unsupported)?,
            columns,
            batch_id_at: batch_id_at.ok_or_else(no_batch_id)?,
            identity_map,
            profile_id: profile_id(task.source, &task.columns.profile_id)?,
        })
    }

    /// Finds in a file what the layout needs of it.
    pub(crate) fn bind<'a, O: ReadObjects>(&'a self, input: &'a InputFile<O>) -> Result<BoundLayout<'a>, EngineError> {
        let error = |meaning: String| input.error(meaning);
        let membership = match &self.membership {
            Some(membership) => membership.bind(&input.columns).map_err(error)?,
            None => None,
        };
        let identities = identities::bind(self.identity_map.as_ref(), &input.columns).map_err(error)?;
        let profile = ProfileIds(find(&input.columns, &self.profile_id));
        let mut leaves = identities.as_ref().map_or_else(Vec::new, |i| i.leaves.clone());
        leaves.extend(profile.leaf().filter(|_| profile.may_be_null()));
        project::leaves(&self.columns, &input.columns, &mut leaves).map_err(error)?;
        Ok(BoundLayout { membership, identities, profile, leaves })
    }

    /// The exported form of rows that were read with a bound layout's leaves.
    pub(crate) fn export<O: ReadObjects>(
        &self,
        input: &InputFile<O>,
        rows: &StructArray,
        batch_id: &BatchId,
    ) -> Result<RecordBatch, EngineError> {
        let mut columns = project::columns(&self.columns, &input.columns, rows).map_err(|_| input.unfit())?;
        columns.insert(self.batch_id_at, constant(batch_id, rows.len()).map_err(|_| input.unfit())?);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).map_err(|_| input.unfit())
    }
}

impl ProfileIds<'_> {
    /// The leaf to read.
    pub(crate) fn leaf(&self) -> Option<usize> {
        match self.0?.kind {
            FileKind::Leaf(leaf, _) => Some(leaf),
            FileKind::Struct(_) | FileKind::List(_) | FileKind::Map(..) => None,
        }
    }

    /// The ids of rows that were read with the leaf; every row must have one.
    pub(crate) fn ids<O: ReadObjects>(
        &self,
        input: &InputFile<O>,
        rows: &StructArray,
    ) -> Result<ArrayRef, EngineError> {
        let ids = self.0.and_then(|column| rows.column_by_name(&column.name));
        match ids {
            Some(ids) if ids.null_count() == 0 => Ok(ids.clone()),
            _ => Err(input.error("a row has no profile id")),
        }
    }

    /// Fails if one of the exported rows has no id.
    pub(crate) fn check<O: ReadObjects>(&self, input: &InputFile<O>, rows: &StructArray) -> Result<(), EngineError> {
        if !rows.is_empty() && self.may_be_null() { self.ids(input, rows).map(drop) } else { Ok(()) }
    }

    fn may_be_null(&self) -> bool {
        self.0.is_none_or(|column| column.nullable)
    }
}

fn profile_id(source: &Schema, name: &str) -> Result<Field, EngineError> {
    let missing = || EngineError::Unsupported(format!("the profile dataset has no column {name}"));
    source.field(name).cloned().ok_or_else(missing)
}

/// The batch's id, once for each row.
fn constant(batch_id: &BatchId, rows: usize) -> Result<ArrayRef, ArrowError> {
    let value = Arc::new(StringArray::from(vec![batch_id.as_str()]));
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::from(vec![0; rows]), value)?))
}
