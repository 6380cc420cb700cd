//! Schemas and partition specs, as the domain asks about them.

use crate::error::Refusal;
use domain::schema::Schema as Columns;
use iceberg::spec::{PartitionSpec, Schema, TableMetadata, Transform};
use iceberg::{Error, ErrorKind, Result};

/// The column, and partition, of an export's batch.
pub(crate) const BATCH_ID: &str = "batchId";

/// The profile's id in export tables.
pub(crate) const PROFILE_ID: &str = "profileId";

/// Iceberg's schema in the domain's form. Both are one JSON.
pub(crate) fn to_domain(schema: &Schema) -> Result<Columns> {
    let read = serde_json::to_value(schema).and_then(serde_json::from_value);
    read.map_err(|e| Error::new(ErrorKind::DataInvalid, "a schema has an unknown form").with_source(e))
}

/// The domain's schema in Iceberg's form.
pub(crate) fn to_iceberg(columns: &Columns) -> Result<Schema> {
    let read = serde_json::to_value(columns).and_then(|mut json| {
        json["type"] = "struct".into();
        serde_json::from_value(json)
    });
    read.map_err(|e| {
        tracing::error!(error = &e as &dyn std::error::Error, "a schema is not Iceberg's");
        Refusal("the schema has a type that Iceberg version 2 does not know".into()).into()
    })
}

/// The buckets that a spec makes of a column: the field's position in a partition, and N.
pub(crate) fn buckets(spec: &PartitionSpec, column_id: i32) -> Option<(usize, u32)> {
    spec.fields().iter().enumerate().find_map(|(at, field)| match field.transform {
        Transform::Bucket(n) if field.source_id == column_id && n > 0 => Some((at, n)),
        _ => None,
    })
}

/// Whether a spec is exactly identity on `batchId`.
pub(crate) fn is_by_batch(metadata: &TableMetadata, spec: &PartitionSpec) -> bool {
    let Some(column) = metadata.current_schema().as_struct().field_by_name(BATCH_ID) else { return false };
    matches!(spec.fields(), [field] if field.source_id == column.id && field.transform == Transform::Identity)
}

/// The spec that is exactly identity on `batchId`; the default one if it is.
pub(crate) fn batch_spec(metadata: &TableMetadata) -> Option<i32> {
    let default = metadata.default_partition_spec();
    if is_by_batch(metadata, default) {
        return Some(default.spec_id());
    }
    metadata.partition_specs_iter().filter(|s| is_by_batch(metadata, s)).map(|s| s.spec_id()).max()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NESTED: &str = r#"{"schema-id":0,"fields":[
        {"id":1,"name":"profileId","required":true,"type":"string"},
        {"id":2,"name":"amount","required":false,"type":"decimal(9, 2)"},
        {"id":3,"name":"segmentMembership","required":false,"type":{"type":"map","key-id":4,"key":"string","value-id":5,
            "value-required":true,"value":{"type":"map","key-id":6,"key":"string","value-id":7,"value-required":false,
            "value":{"type":"struct","fields":[
                {"id":8,"name":"lastQualificationTime","required":false,"type":"timestamptz"},
                {"id":9,"name":"status","required":false,"type":"string"}]}}}},
        {"id":10,"name":"tags","required":false,"type":{"type":"list","element-id":11,"element-required":false,
            "element":"string"}}]}"#;

    #[test]
    fn a_nested_schema_survives_the_way_to_iceberg_and_back() {
        let columns: Columns = serde_json::from_str(NESTED).unwrap();
        assert_eq!(to_domain(&to_iceberg(&columns).unwrap()).unwrap(), columns);
    }

    #[test]
    fn a_type_that_iceberg_does_not_know_is_refused() {
        let columns: Columns = serde_json::from_str(&NESTED.replace("decimal(9, 2)", "varchar")).unwrap();
        assert!(to_iceberg(&columns).is_err());
    }
}
