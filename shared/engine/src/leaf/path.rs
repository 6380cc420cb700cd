//! The form of a leaf column: what its levels mean, and how its values are laid out.

use parquet::basic::{Repetition, Type as PhysicalType};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor, Type};
use std::borrow::Cow;

/// How plain values are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueForm {
    /// Booleans, a bit each.
    Bits,
    /// Values of so many bytes.
    Fixed(usize),
    /// Byte strings behind their lengths.
    Texts,
}

/// The form of a leaf column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeafForm {
    /// The greatest repetition level.
    pub(crate) max_rep: u8,
    /// The definition level at which there is a value.
    pub(crate) max_def: u8,
    /// How values are laid out.
    pub(crate) values: ValueForm,
}

impl LeafForm {
    /// The form of a column; `None` where it nests deeper than levels are counted here.
    pub(crate) fn of(column: &ColumnDescriptor) -> Option<Self> {
        let values = match column.physical_type() {
            PhysicalType::BOOLEAN => ValueForm::Bits,
            PhysicalType::INT32 | PhysicalType::FLOAT => ValueForm::Fixed(4),
            PhysicalType::INT64 | PhysicalType::DOUBLE => ValueForm::Fixed(8),
            PhysicalType::INT96 => ValueForm::Fixed(12),
            PhysicalType::FIXED_LEN_BYTE_ARRAY => ValueForm::Fixed(usize::try_from(column.type_length()).ok()?),
            PhysicalType::BYTE_ARRAY => ValueForm::Texts,
        };
        let (max_rep, max_def) = (column.max_rep_level().try_into().ok()?, column.max_def_level().try_into().ok()?);
        Some(Self { max_rep, max_def, values })
    }
}

/// The definition levels of one column in the terms of another that nests in the same way, where some of the nodes are
/// optional that are required in the first. By default nothing is raised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raise {
    levels: Vec<u8>,
}

impl Raise {
    /// `None` where they do not nest in the same way, or the second one needs what the first may lack (but for columns at
    /// the top, whose levels tell it).
    pub(crate) fn between(
        (from, from_leaf): (&SchemaDescriptor, usize),
        (to, to_leaf): (&SchemaDescriptor, usize),
    ) -> Option<Self> {
        let (from_nodes, to_nodes) = (nodes(from, from_leaf), nodes(to, to_leaf));
        if from_nodes.len() == to_nodes.len() { Self::of_nodes(from_nodes, to_nodes) } else { None }
    }

    /// The levels of one column as far as they tell of so many nodes from the top on, which another has, too.
    pub(crate) fn down_to(
        depth: usize,
        (from, from_leaf): (&SchemaDescriptor, usize),
        (to, to_leaf): (&SchemaDescriptor, usize),
    ) -> Option<Self> {
        let above = |schema, leaf| nodes(schema, leaf).into_iter().take(depth).collect();
        let mut raise = Self::of_nodes(above(from, from_leaf), above(to, to_leaf))?;
        let deepest = *raise.levels.last()?;
        raise.levels.resize(from.column(from_leaf).max_def_level() as usize + 1, deepest);
        Some(raise)
    }

    fn of_nodes(from_nodes: Vec<Repetition>, to_nodes: Vec<Repetition>) -> Option<Self> {
        let is_top_level = from_nodes.len() == 1;
        let (mut levels, mut raised) = (vec![0u8], 0u8);
        for pair in from_nodes.into_iter().zip(to_nodes) {
            match pair {
                (Repetition::REQUIRED, Repetition::REQUIRED) => {}
                (Repetition::REQUIRED, Repetition::OPTIONAL) => {
                    raised += 1;
                    *levels.last_mut()? = raised;
                }
                // What the table promises is looked at where the values are moved.
                (Repetition::OPTIONAL, Repetition::REQUIRED) if is_top_level => levels.push(raised),
                (Repetition::OPTIONAL, Repetition::OPTIONAL) | (Repetition::REPEATED, Repetition::REPEATED) => {
                    raised += 1;
                    levels.push(raised);
                }
                _ => return None,
            }
        }
        Some(Self { levels })
    }

    /// Whether all levels stay as they are.
    pub(crate) fn is_nothing(&self) -> bool {
        (0..).zip(&self.levels).all(|(from, to)| from == *to)
    }

    /// A level of the first column in terms of the second.
    pub(crate) fn of(&self, level: u8) -> u8 {
        self.levels.get(usize::from(level)).copied().unwrap_or_default()
    }
}

/// How stored values become those of a wider type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Widening {
    /// They are the same.
    None,
    /// 32-bit integers become 64-bit ones.
    Integers,
    /// 32-bit floating-point numbers become 64-bit ones.
    Floats,
}

impl Widening {
    /// `None` where values of the one column do not become values of the other so simply.
    pub(crate) fn between(from: &ColumnDescriptor, to: &ColumnDescriptor) -> Option<Self> {
        match (from.physical_type(), to.physical_type()) {
            (PhysicalType::INT32, PhysicalType::INT64) => Some(Self::Integers),
            (PhysicalType::FLOAT, PhysicalType::DOUBLE) => Some(Self::Floats),
            (a, b) => (a == b && from.type_length() == to.type_length()).then_some(Self::None),
        }
    }

    /// A value of four bytes, widened.
    fn wide(self, value: [u8; 4]) -> [u8; 8] {
        match self {
            Self::None | Self::Integers => i64::from(i32::from_le_bytes(value)).to_le_bytes(),
            Self::Floats => f64::from(f32::from_le_bytes(value)).to_le_bytes(),
        }
    }

    /// Plain values, widened.
    pub(crate) fn apply(self, values: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::None => Cow::Borrowed(values),
            Self::Integers | Self::Floats => {
                Cow::Owned(values.as_chunks().0.iter().flat_map(|value| self.wide(*value)).collect())
            }
        }
    }
}

/// The definition level at which the node is there that stands `above` levels over a leaf.
pub(crate) fn def_of(schema: &SchemaDescriptor, leaf: usize, above: usize) -> u8 {
    def_down_to(schema, leaf, nodes(schema, leaf).len().saturating_sub(above))
}

/// The definition level at which so many nodes are there of those from the top on to a leaf.
pub(crate) fn def_down_to(schema: &SchemaDescriptor, leaf: usize, depth: usize) -> u8 {
    nodes(schema, leaf).iter().take(depth).filter(|node| **node != Repetition::REQUIRED).count() as u8
}

/// The definition level from which on a leaf has what is taken whole: a value, or the outermost list or map around it.
pub(crate) fn settled_from(schema: &SchemaDescriptor, leaf: usize) -> u8 {
    let nodes = nodes(schema, leaf);
    let once = nodes.iter().take_while(|node| **node != Repetition::REPEATED);
    once.filter(|node| **node == Repetition::OPTIONAL).count() as u8
}

/// The repetitions on the path from the root to a leaf.
fn nodes(schema: &SchemaDescriptor, leaf: usize) -> Vec<Repetition> {
    let column = schema.column(leaf);
    let mut node: &Type = schema.root_schema();
    let mut nodes = Vec::new();
    for name in column.path().parts() {
        let Some(below) = node.get_fields().iter().find(|f| f.name() == name) else { return Vec::new() };
        node = below;
        nodes.push(node.get_basic_info().repetition());
    }
    nodes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    fn schema(text: &str) -> SchemaDescriptor {
        SchemaDescriptor::new(Arc::new(parse_message_type(&format!("message m {{ {text} }}")).unwrap()))
    }

    #[test]
    fn levels_are_raised_where_a_node_becomes_optional() {
        let from = schema("required group a { repeated group b { required binary c; } }");
        let to = schema("optional group a { repeated group b { optional binary c; } }");
        let raise = Raise::between((&from, 0), (&to, 0)).unwrap();
        assert_eq!([0, 1].map(|level| raise.of(level)), [1, 3]);
        assert!(!raise.is_nothing());
        assert!(Raise::between((&to, 0), (&to, 0)).unwrap().is_nothing());
        assert_eq!(Raise::between((&to, 0), (&from, 0)), None, "what may be null is not required");
        let (optional, required) = (schema("optional binary a;"), schema("required binary a;"));
        assert_eq!(Raise::between((&optional, 0), (&required, 0)).unwrap().of(1), 0);
    }

    #[test]
    fn other_nestings_are_not_mapped() {
        let list = schema("optional group a { repeated group b { optional binary c; } }");
        for other in ["optional binary a", "optional group a { optional group b { optional binary c; } }"] {
            let other = schema(&format!("{other}{}", if other.ends_with('}') { "" } else { ";" }));
            assert_eq!(Raise::between((&other, 0), (&list, 0)), None);
        }
    }

    #[test]
    fn values_become_wider_ones_of_their_kind_and_no_others() {
        let column = |text: &str| schema(&format!("optional {text} a;")).column(0);
        let between = |from: &str, to: &str| Widening::between(&column(from), &column(to));
        assert_eq!(between("int32", "int64"), Some(Widening::Integers));
        assert_eq!(between("float", "double"), Some(Widening::Floats));
        assert_eq!(between("fixed_len_byte_array (4)", "fixed_len_byte_array (4)"), Some(Widening::None));
        assert_eq!(between("fixed_len_byte_array (4)", "fixed_len_byte_array (16)"), None);
        assert_eq!(between("int64", "int32"), None);
    }

    #[test]
    fn a_node_above_a_leaf_is_there_from_its_own_level_on() {
        let schema = schema("optional group a { repeated group b { required group c { optional binary d; } } }");
        assert_eq!([0, 1, 2, 3, 4].map(|above| def_of(&schema, 0, above)), [3, 2, 2, 1, 0]);
    }

    #[test]
    fn lists_and_maps_are_whole_and_structs_are_not() {
        let path = |text: &str| settled_from(&schema(text), 0);
        assert_eq!(path("optional binary a;"), 1);
        assert_eq!(path("required binary a;"), 0);
        assert_eq!(path("optional group a { required group b { optional binary c; } }"), 2);
        assert_eq!(path("optional group a { optional group b { repeated group c { optional binary d; } } }"), 2);
    }

    #[test]
    fn a_leaf_tells_of_the_structs_around_it_alone() {
        let from = schema("optional group a { required group b { repeated binary c; } }");
        let to = schema("optional group a { optional group b { optional binary d; } }");
        let raise = |depth| Raise::down_to(depth, (&from, 0), (&to, 0)).unwrap();
        assert_eq!([0, 1, 2].map(|level| raise(2).of(level)), [0, 2, 2]);
        assert_eq!([0, 1, 2].map(|level| raise(1).of(level)), [0, 1, 1]);
    }
}
