//! What the exported rows look like: the target's columns that the source has and the projection keeps.

use crate::error::EngineError;
use crate::selection::{EVERY_KEY, Selection};
use arrow_schema::{DataType, Field as ArrowField, FieldRef, Fields, TimeUnit};
use domain::schema::{Field, Kind, Nested};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The form of an exported value, and where in the source it comes from.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A value of that type.
    Leaf(DataType),
    /// A struct of these columns; never none.
    Struct(Vec<Column>),
    /// A list: its element's field and form.
    List(FieldRef, Box<Shape>),
    /// A map.
    Map(MapShape),
}

/// A column, or a field of a struct, of the export.
#[derive(Debug)]
pub(crate) struct Column {
    /// Name, type and field id in the exported files.
    pub(crate) field: FieldRef,
    /// The field of the source's schema that it comes from. `None`: it is there for other keys of a map around it, and
    /// null here.
    pub(crate) source: Option<Field>,
    /// The form of its values.
    pub(crate) shape: Shape,
}

/// The form of an exported map. What is kept of a value may depend on its key.
#[derive(Debug)]
pub(crate) struct MapShape {
    /// The field of the entries' struct.
    pub(crate) entries: FieldRef,
    /// Type of the keys.
    pub(crate) key: DataType,
    /// The forms of values; one type, with nulls in different places. Never none.
    pub(crate) values: Vec<Shape>,
    /// Which form the values of a key have.
    pub(crate) named: HashMap<String, usize>,
    /// Which form the values of all other keys have; `None`: they are left out.
    pub(crate) others: Option<usize>,
}

impl Shape {
    /// The Arrow type.
    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Self::Leaf(data_type) => data_type.clone(),
            Self::Struct(columns) => DataType::Struct(columns.iter().map(|c| c.field.clone()).collect()),
            Self::List(element, _) => DataType::List(element.clone()),
            Self::Map(map) => DataType::Map(map.entries.clone(), false),
        }
    }

    /// The form of what `shown` selects of a value, `None` if that is nothing that the source has. Of that, only what
    /// `kept` selects carries values.
    pub(crate) fn new(
        source: &Kind,
        target: &Kind,
        shown: &Selection,
        kept: &Selection,
    ) -> Result<Option<Self>, EngineError> {
        match (source, target) {
            (Kind::Primitive(_), Kind::Primitive(name)) => Ok(Some(Self::Leaf(leaf_type(name)?))),
            (Kind::Nested(source), Kind::Nested(target)) => Self::nested(source, target, shown, kept),
            _ => Err(conflict()),
        }
    }

    fn nested(
        source: &Nested,
        target: &Nested,
        shown: &Selection,
        kept: &Selection,
    ) -> Result<Option<Self>, EngineError> {
        match (source, target) {
            (Nested::Struct { fields: source }, Nested::Struct { fields: target }) => {
                let mut columns = Vec::new();
                for field in target {
                    let origin = source.iter().find(|f| f.name == field.name);
                    columns.extend(Column::new(origin, field, shown, kept)?);
                }
                Ok((!columns.is_empty()).then_some(Self::Struct(columns)))
            }
            (Nested::List { element: source, .. }, Nested::List { element_id, element: target, .. }) => {
                let element = Self::new(source, target, shown, kept)?;
                Ok(element.map(|e| Self::List(arrow_field("element", *element_id, e.data_type(), true), Box::new(e))))
            }
            (Nested::Map { value: source, .. }, Nested::Map { key_id, key, value_id, value: target, .. }) => {
                let Kind::Primitive(key) = &**key else { return Err(conflict()) };
                let key = arrow_field("key", *key_id, leaf_type(key)?, false);
                let (key_type, classes) = (key.data_type().clone(), Classes::new(shown, kept));
                let values = classes.values(source, target)?;
                Ok(values.map(|values| {
                    let value = arrow_field("value", *value_id, values[0].data_type(), true);
                    let pair = DataType::Struct(Fields::from(vec![key, value]));
                    let entries = Arc::new(ArrowField::new("key_value", pair, false));
                    Self::Map(MapShape { entries, key: key_type, values, named: classes.named, others: classes.others })
                }))
            }
            _ => Err(conflict()),
        }
    }
}

impl Column {
    /// The column of a target's field; `None` if it is not selected or the source has nothing for it.
    pub(crate) fn new(
        source: Option<&Field>,
        target: &Field,
        shown: &Selection,
        kept: &Selection,
    ) -> Result<Option<Self>, EngineError> {
        let (Some(source), Some(shown)) = (source, shown.below(&target.name)) else { return Ok(None) };
        let kept = kept.below(&target.name);
        let Some(shape) = Shape::new(&source.kind, &target.kind, shown, kept.unwrap_or(shown))? else {
            return Ok(None);
        };
        let field = arrow_field(&target.name, target.id, shape.data_type(), true);
        Ok(Some(Self { field, source: kept.map(|_| source.clone()), shape }))
    }
}

/// The keys of a map by what is kept of their values.
struct Classes {
    /// What is kept of any value: what decides the type.
    shown: Selection,
    /// The different things that are kept.
    kept: Vec<Selection>,
    named: HashMap<String, usize>,
    others: Option<usize>,
}

impl Classes {
    fn new(shown: &Selection, kept: &Selection) -> Self {
        let nothing = Selection::Parts(BTreeMap::new());
        let shown = match shown {
            Selection::Whole => Selection::Whole,
            Selection::Parts(keys) => keys.values().fold(nothing, |all, one| all.or(one)),
        };
        let mut classes = Self { shown, kept: Vec::new(), named: HashMap::new(), others: None };
        match kept {
            Selection::Whole => classes.others = Some(classes.class(Selection::Whole)),
            Selection::Parts(keys) => {
                let every = keys.get(EVERY_KEY);
                classes.others = every.map(|every| classes.class(every.clone()));
                for (key, below) in keys.iter().filter(|(key, _)| *key != EVERY_KEY) {
                    let class = classes.class(every.map_or_else(|| below.clone(), |every| every.or(below)));
                    classes.named.insert(key.clone(), class);
                }
            }
        }
        classes
    }

    fn class(&mut self, kept: Selection) -> usize {
        self.kept.iter().position(|known| *known == kept).unwrap_or_else(|| {
            self.kept.push(kept);
            self.kept.len() - 1
        })
    }

    fn values(&self, source: &Kind, target: &Kind) -> Result<Option<Vec<Shape>>, EngineError> {
        let shapes: Option<Vec<_>> =
            self.kept.iter().map(|kept| Shape::new(source, target, &self.shown, kept).transpose()).collect();
        shapes.filter(|s| !s.is_empty()).map(|s| s.into_iter().collect()).transpose()
    }
}

fn conflict() -> EngineError {
    EngineError::Unsupported("a field of the profile dataset has another type in the export dataset".into())
}

/// A field of the exported files.
pub(crate) fn arrow_field(name: &str, id: i32, data_type: DataType, nullable: bool) -> FieldRef {
    let metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
    Arc::new(ArrowField::new(name, data_type, nullable).with_metadata(metadata))
}

/// The Arrow type of an Iceberg primitive.
fn leaf_type(name: &str) -> Result<DataType, EngineError> {
    let plain = match name {
        "boolean" => DataType::Boolean,
        "int" => DataType::Int32,
        "long" => DataType::Int64,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "time" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        "string" => DataType::Utf8,
        "uuid" => DataType::FixedSizeBinary(16),
        "binary" => DataType::Binary,
        other => {
            return sized_type(other).ok_or_else(|| EngineError::Unsupported(format!("the type {other} is unknown")));
        }
    };
    Ok(plain)
}

/// `decimal(precision, scale)` and `fixed[length]`.
fn sized_type(name: &str) -> Option<DataType> {
    if let Some(length) = name.strip_prefix("fixed[").and_then(|rest| rest.strip_suffix(']')) {
        let length: i32 = length.trim().parse().ok()?;
        return (length >= 0).then_some(DataType::FixedSizeBinary(length));
    }
    let (precision, scale) = name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale): (u8, i8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let fits = (1..=38).contains(&precision) && (0..=precision as i8).contains(&scale);
    fits.then_some(DataType::Decimal128(precision, scale))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_iceberg_primitive_has_a_type_and_others_are_refused() {
        assert_eq!(leaf_type("decimal(9, 2)").unwrap(), DataType::Decimal128(9, 2));
        assert_eq!(leaf_type("decimal(38,0)").unwrap(), DataType::Decimal128(38, 0));
        assert_eq!(leaf_type("fixed[7]").unwrap(), DataType::FixedSizeBinary(7));
        for bad in ["decimal(39,0)", "decimal(2,3)", "decimal(x)", "fixed[-1]", "fixed[]", "variant", ""] {
            assert!(leaf_type(bad).is_err(), "{bad}");
        }
    }
}
