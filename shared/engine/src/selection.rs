//! A projection as a tree: what is exported below each step of a path.

use domain::fields::Projection;
use std::collections::BTreeMap;

/// The step that stands for every key of a map.
pub(crate) const EVERY_KEY: &str = "*";

/// What is exported of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it.
    Whole,
    /// Only what these steps name.
    Parts(BTreeMap<String, Selection>),
}

impl Selection {
    /// The selection that a projection's paths make together.
    pub(crate) fn new(projection: &Projection) -> Self {
        if projection.is_everything() {
            return Self::Whole;
        }
        let mut root = Self::Parts(BTreeMap::new());
        for path in &projection.paths {
            root.add(path);
        }
        root
    }

    fn add(&mut self, path: &[String]) {
        let Self::Parts(parts) = self else { return };
        match path.split_first() {
            None => *self = Self::Whole,
            Some((step, below)) => {
                parts.entry(step.clone()).or_insert_with(|| Self::Parts(BTreeMap::new())).add(below);
            }
        }
    }

    /// What is exported below a step; `None` = nothing.
    pub(crate) fn below(&self, step: &str) -> Option<&Self> {
        match self {
            Self::Whole => Some(self),
            Self::Parts(parts) => parts.get(step),
        }
    }

    /// What is exported of the values of a map, whatever the key.
    pub(crate) fn of_any_key(&self) -> Self {
        match self {
            Self::Whole => Self::Whole,
            Self::Parts(keys) => keys.values().fold(Self::Parts(BTreeMap::new()), |all, one| all.or(one)),
        }
    }

    /// What either exports.
    pub(crate) fn or(&self, other: &Self) -> Self {
        let (Self::Parts(a), Self::Parts(b)) = (self, other) else { return Self::Whole };
        let mut both = a.clone();
        for (step, below) in b {
            let joined = both.get(step).map_or_else(|| below.clone(), |mine| mine.or(below));
            both.insert(step.clone(), joined);
        }
        Self::Parts(both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_path_keeps_its_whole_subtree() {
        for text in ["a,a.b.c", "a.b.c,a"] {
            let all = Selection::new(&Projection::parse(text));
            assert_eq!(all.below("a"), Some(&Selection::Whole), "{text}");
            assert_eq!(all.below("b"), None);
        }
    }

    #[test]
    fn two_selections_join_step_by_step() {
        let [a, b] = ["a.x,b", "a.y,c"].map(|text| Selection::new(&Projection::parse(text)));
        assert_eq!(a.or(&b), Selection::new(&Projection::parse("a.x,a.y,b,c")));
        assert_eq!(a.or(&Selection::Whole), Selection::Whole);
    }
}
