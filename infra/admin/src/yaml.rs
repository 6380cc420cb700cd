//! Reading YAML by hand: every problem of a file is found in one go, each with its path.

use serde_yaml_ng::{Mapping, Value};
use std::fmt;

/// Something wrong in a file: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A path such as `sandboxes.prod.datasets[1].table`.
    pub path: String,
    /// What is wrong and what to do, as the rest of a sentence.
    pub what: String,
}

impl Finding {
    /// A finding at a path.
    pub fn at(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

/// A value of the file and where it stands.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// Its path; `$` for the file itself.
    pub path: String,
    /// The value.
    pub value: &'a Value,
}

impl<'a> Node<'a> {
    /// The whole file.
    pub fn root(value: &'a Value) -> Self {
        Self { path: "$".into(), value }
    }

    /// The value below this one.
    pub fn below(&self, key: &str, value: &'a Value) -> Self {
        let path = if self.path == "$" { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { path, value }
    }

    /// The value as an object with no other keys than these.
    pub fn object(&self, known: &[&str], found: &mut Vec<Finding>) -> Option<Object<'a>> {
        let entries = self.entries(found)?;
        for (key, node) in &entries {
            if !known.contains(&key.as_str()) {
                found.push(Finding::at(&node.path, format!("is no known key; known are {}.", known.join(", "))));
            }
        }
        Some(Object { node: self.clone(), entries })
    }

    /// Keys and values of an object with free keys, in order.
    pub fn entries(&self, found: &mut Vec<Finding>) -> Option<Vec<(String, Node<'a>)>> {
        let mapping = self.typed("an object", Value::as_mapping, found)?;
        Some(self.pairs(mapping, found))
    }

    fn pairs(&self, mapping: &'a Mapping, found: &mut Vec<Finding>) -> Vec<(String, Node<'a>)> {
        let mut pairs = Vec::new();
        for (key, value) in mapping {
            match key {
                Value::String(key) => pairs.push((key.clone(), self.below(key, value))),
                _ => found.push(Finding::at(&self.path, "has a key that is no text; put it in quotes.")),
            }
        }
        pairs
    }

    /// The entries of a list.
    pub fn items(&self, found: &mut Vec<Finding>) -> Vec<Node<'a>> {
        let items = self.typed("a list", Value::as_sequence, found).map(Vec::as_slice).unwrap_or_default();
        items.iter().enumerate().map(|(i, value)| Node { path: format!("{}[{i}]", self.path), value }).collect()
    }

    /// The texts of a list.
    pub fn texts(&self, found: &mut Vec<Finding>) -> Vec<String> {
        self.items(found).iter().filter_map(|item| item.text(found)).collect()
    }

    /// The value as text; not empty.
    pub fn text(&self, found: &mut Vec<Finding>) -> Option<String> {
        let text = self.typed("a text; put numbers in quotes", Value::as_str, found)?;
        if text.trim().is_empty() {
            found.push(Finding::at(&self.path, "must not be empty."));
            return None;
        }
        Some(text.to_owned())
    }

    /// The value as true or false.
    pub fn flag(&self, found: &mut Vec<Finding>) -> Option<bool> {
        self.typed("true or false", Value::as_bool, found)
    }

    /// The value as a whole number above zero.
    pub fn count(&self, found: &mut Vec<Finding>) -> Option<u32> {
        let count = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        self.typed("a whole number above 0", count, found)
    }

    fn typed<T>(&self, kind: &str, take: impl Fn(&'a Value) -> Option<T>, found: &mut Vec<Finding>) -> Option<T> {
        let taken = take(self.value);
        if taken.is_none() {
            found.push(Finding::at(&self.path, format!("must be {kind}.")));
        }
        taken
    }
}

/// An object whose keys are known. A null stands for an absent key.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    node: Node<'a>,
    entries: Vec<(String, Node<'a>)>,
}

impl<'a> Object<'a> {
    /// Where the object stands.
    pub fn path(&self) -> &str {
        &self.node.path
    }

    /// What stands at a key.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.entries.iter().find(|(k, node)| k == key && !node.value.is_null()).map(|(_, node)| node)
    }

    /// What stands at a key that must be there.
    pub fn need(&self, key: &str, found: &mut Vec<Finding>) -> Option<&Node<'a>> {
        let node = self.get(key);
        if node.is_none() {
            let path = self.node.below(key, self.node.value).path;
            found.push(Finding::at(path, "is required."));
        }
        node
    }

    /// The text at a key that must be there.
    pub fn need_text(&self, key: &str, found: &mut Vec<Finding>) -> Option<String> {
        self.need(key, found)?.text(found)
    }

    /// The text at a key.
    pub fn text(&self, key: &str, found: &mut Vec<Finding>) -> Option<String> {
        self.get(key)?.text(found)
    }

    /// The entries of the list at a key; none where it is absent.
    pub fn items(&self, key: &str, found: &mut Vec<Finding>) -> Vec<Node<'a>> {
        self.get(key).map(|node| node.items(found)).unwrap_or_default()
    }

    /// The flag at a key; false where it is absent.
    pub fn flag(&self, key: &str, found: &mut Vec<Finding>) -> bool {
        self.get(key).and_then(|node| node.flag(found)).unwrap_or_default()
    }
}
