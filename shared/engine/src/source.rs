//! The datasets that a part reads, as the engine knows them.

use crate::error::EngineError;
use crate::identities;
use crate::membership::MembershipColumn;
use domain::plan::PlannedSource;
use domain::registry::DatasetKind;
use domain::schema::Field;

/// A dataset and those of its columns that decide.
pub(crate) struct Source<'p> {
    pub(crate) planned: &'p PlannedSource,
    /// The profile's id.
    pub(crate) profile_id: Field,
    /// When a row was ingested.
    pub(crate) ingest_time: Option<Field>,
    /// When an event happened.
    pub(crate) timestamp: Option<Field>,
    /// The identities.
    pub(crate) identity_map: Option<Field>,
    /// The memberships; `None`: nobody is a member of anything.
    pub(crate) memberships: Option<MembershipColumn>,
}

impl<'p> Source<'p> {
    /// A dataset of the plan.
    pub(crate) fn new(planned: &'p PlannedSource) -> Result<Self, EngineError> {
        let (schema, names) = (&planned.schema, &planned.columns);
        let column = |name: &str| schema.field(name).cloned();
        let missing = || {
            EngineError::Unsupported(format!(
                "the dataset {} has no column {}",
                planned.pin.dataset_id, names.profile_id
            ))
        };
        let identity_map = column(&names.identity_map);
        identity_map.as_ref().map_or(Ok(()), identities::check).map_err(EngineError::Unsupported)?;
        let memberships = match (planned.kind, schema.field(&names.segment_membership)) {
            (DatasetKind::Profile, Some(field)) => MembershipColumn::new(field).map_err(EngineError::Unsupported)?,
            _ => None,
        };
        Ok(Self {
            planned,
            profile_id: column(&names.profile_id).ok_or_else(missing)?,
            ingest_time: column(&names.ingest_time),
            timestamp: column(&names.timestamp).filter(|_| planned.kind == DatasetKind::Event),
            identity_map,
            memberships,
        })
    }

    /// Whether its rows are events.
    pub(crate) fn holds_events(&self) -> bool {
        self.planned.kind == DatasetKind::Event
    }

    /// The column that exports call so.
    pub(crate) fn exported(&self, name: &str) -> Option<&'p Field> {
        self.planned.schema.field(self.planned.columns.in_table(name)?)
    }

    /// The columns that exports of these target fields may take, under the names of the export.
    pub(crate) fn exported_fields(&self, target: &[Field]) -> Vec<Field> {
        let renamed = |field: &Field| Some(Field { name: field.name.clone(), ..self.exported(&field.name)?.clone() });
        target.iter().filter_map(renamed).collect()
    }
}
