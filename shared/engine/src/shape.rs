//! What the exported rows look like: the target's columns that a source has and the projection keeps.

use crate::error::EngineError;
use crate::selection::{EVERY_KEY, Selection};
use arrow_schema::{DataType, Field as ArrowField, FieldRef, Fields, TimeUnit};
use domain::schema::{Field, Kind, Nested};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use std::collections::HashMap;
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
    /// The field of the source's schema that it comes from. `None`: it is there for other sources, or other keys of a map
    /// around it, and null here.
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

impl MapShape {
    /// The form of its values, where all keys are kept and it does not depend on them.
    pub(crate) fn of_any_key(&self) -> Option<&Shape> {
        match &self.values[..] {
            [of_any_key] if self.named.is_empty() && self.others.is_some() => Some(of_any_key),
            _ => None,
        }
    }
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

    /// The form of a [`shown`] type, filled from a source's type as far as `kept` selects it.
    pub(crate) fn new(source: Option<&Kind>, shown: &Kind, kept: &Selection) -> Result<Self, EngineError> {
        match (shown, source) {
            (Kind::Primitive(name), None | Some(Kind::Primitive(_))) => Ok(Self::Leaf(leaf_type(name)?)),
            (Kind::Nested(shown), None) => Self::nested(None, shown, kept),
            (Kind::Nested(shown), Some(Kind::Nested(source))) => Self::nested(Some(source), shown, kept),
            _ => Err(conflict()),
        }
    }

    fn nested(source: Option<&Nested>, shown: &Nested, kept: &Selection) -> Result<Self, EngineError> {
        match (shown, source) {
            (Nested::Struct { fields }, None | Some(Nested::Struct { .. })) => {
                let of_source = match source {
                    Some(Nested::Struct { fields }) => fields.as_slice(),
                    _ => &[],
                };
                let column = |field: &Field| {
                    Column::new(of_source.iter().find(|f| f.name == field.name), field, kept.below(&field.name))
                };
                Ok(Self::Struct(fields.iter().map(column).collect::<Result<_, _>>()?))
            }
            (Nested::List { element_id, element, .. }, None | Some(Nested::List { .. })) => {
                let of_source = match source {
                    Some(Nested::List { element, .. }) => Some(&**element),
                    _ => None,
                };
                let element = Self::new(of_source, element, kept)?;
                Ok(Self::List(arrow_field("element", *element_id, element.data_type(), true), Box::new(element)))
            }
            (Nested::Map { key_id, key, value_id, value, .. }, None | Some(Nested::Map { .. })) => {
                let of_source = match source {
                    Some(Nested::Map { value, .. }) => Some(&**value),
                    _ => None,
                };
                let Kind::Primitive(key) = &**key else { return Err(conflict()) };
                let key = arrow_field("key", *key_id, leaf_type(key)?, false);
                let classes = Classes::new(kept);
                let values = classes.kept.iter().map(|kept| Self::new(of_source, value, kept));
                let values = values.collect::<Result<Vec<_>, _>>()?;
                let key_type = key.data_type().clone();
                let value = arrow_field("value", *value_id, values[0].data_type(), true);
                let pair = DataType::Struct(Fields::from(vec![key, value]));
                let entries = Arc::new(ArrowField::new("key_value", pair, false));
                let (named, others) = (classes.named, classes.others);
                Ok(Self::Map(MapShape { entries, key: key_type, values, named, others }))
            }
            _ => Err(conflict()),
        }
    }
}

impl Column {
    /// The column of a [`shown`] field, filled from a source's field where there is one and something of it is kept.
    pub(crate) fn new(source: Option<&Field>, shown: &Field, kept: Option<&Selection>) -> Result<Self, EngineError> {
        let source = source.filter(|_| kept.is_some());
        let shape = Shape::new(source.map(|s| &s.kind), &shown.kind, kept.unwrap_or(&Selection::Whole))?;
        let field = arrow_field(&shown.name, shown.id, shape.data_type(), true);
        Ok(Self { field, source: source.cloned(), shape })
    }
}

/// The fields of the target that are exported: those that any of the sources has and the selection takes. A source is the
/// fields of a table under their exported names.
pub(crate) fn shown(target: &[Field], sources: &[&[Field]], selection: &Selection) -> Vec<Field> {
    let shown = |field: &Field| {
        let selection = selection.below(&field.name)?;
        let kinds = sources.iter().filter_map(|fields| fields.iter().find(|f| f.name == field.name));
        let kinds: Vec<_> = kinds.map(|f| &f.kind).collect();
        Some(Field { kind: shown_kind(&field.kind, &kinds, selection)?, ..field.clone() })
    };
    target.iter().filter_map(shown).collect()
}

fn shown_kind(target: &Kind, sources: &[&Kind], selection: &Selection) -> Option<Kind> {
    let Kind::Nested(nested) = target else { return (!sources.is_empty()).then(|| target.clone()) };
    // A type that cannot be brought into the target's is named where the columns are made.
    if sources.iter().any(|source| !alike(source, target)) {
        return Some(target.clone());
    }
    let below = |pick: fn(&Nested) -> Option<&Kind>| -> Vec<&Kind> {
        let nested =
            sources.iter().filter_map(|kind| if let Kind::Nested(nested) = kind { Some(nested) } else { None });
        nested.filter_map(pick).collect()
    };
    Some(Kind::Nested(match nested.clone() {
        Nested::Struct { fields } => {
            let of_sources = sources.iter().filter_map(|kind| match kind {
                Kind::Nested(Nested::Struct { fields }) => Some(fields.as_slice()),
                _ => None,
            });
            let fields = shown(&fields, &of_sources.collect::<Vec<_>>(), selection);
            (!fields.is_empty()).then_some(Nested::Struct { fields })?
        }
        Nested::List { element_id, element_required, element } => {
            let sources = below(|n| if let Nested::List { element, .. } = n { Some(element) } else { None });
            let element = Box::new(shown_kind(&element, &sources, selection)?);
            Nested::List { element_id, element_required, element }
        }
        Nested::Map { key_id, key, value_id, value_required, value } => {
            let sources = below(|n| if let Nested::Map { value, .. } = n { Some(value) } else { None });
            let value = Box::new(shown_kind(&value, &sources, &selection.of_any_key())?);
            Nested::Map { key_id, key, value_id, value_required, value }
        }
    }))
}

fn alike(a: &Kind, b: &Kind) -> bool {
    match (a, b) {
        (Kind::Nested(a), Kind::Nested(b)) => std::mem::discriminant(a) == std::mem::discriminant(b),
        _ => false,
    }
}

/// The keys of a map by what is kept of their values.
struct Classes {
    /// The different things that are kept; never none.
    kept: Vec<Selection>,
    named: HashMap<String, usize>,
    others: Option<usize>,
}

impl Classes {
    fn new(kept: &Selection) -> Self {
        let mut classes = Self { kept: Vec::new(), named: HashMap::new(), others: None };
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
pub(crate) fn leaf_type(name: &str) -> Result<DataType, EngineError> {
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
