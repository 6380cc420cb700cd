//! The properties of one resource, taken out one by one: what is left at the end was not understood.

use serde_json::{Map, Value};

use super::TemplateError;
use super::resolver::{Resolver, scalar};

/// A mapping of the template whose entries must all be used. An entry is resolved when it is taken, so that what is left
/// out may refer to what only AWS knows.
pub(super) struct Properties<'a> {
    resolver: &'a Resolver<'a>,
    at: String,
    map: Map<String, Value>,
}

impl<'a> Properties<'a> {
    /// The `Properties` of a resource.
    pub(super) fn of(resolver: &'a Resolver<'a>, id: &str, resource: &Value) -> Result<Self, TemplateError> {
        let properties = resource.get("Properties").cloned().unwrap_or_else(|| Map::new().into());
        Self::new(resolver, &format!("{id}.Properties"), properties)
    }

    /// The mapping `value`, which stands at `at`.
    pub(super) fn new(resolver: &'a Resolver<'a>, at: &str, value: Value) -> Result<Self, TemplateError> {
        match value {
            Value::Object(map) => Ok(Self { resolver, at: at.to_owned(), map }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(TemplateError::shape(at, "a mapping"))
            }
        }
    }

    /// The path of an entry.
    pub(super) fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.at)
    }

    /// An entry of any shape.
    pub(super) fn take(&mut self, key: &str) -> Result<Option<Value>, TemplateError> {
        match self.map.shift_remove(key) {
            Some(value) => self.resolver.value(&value, &self.at(key)),
            None => Ok(None),
        }
    }

    /// An entry of text; numbers are written as text.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, TemplateError> {
        let at = self.at(key);
        self.take(key)?.map(|value| scalar(&value, &at)).transpose()
    }

    /// An entry of text that must be there.
    pub(super) fn required_text(&mut self, key: &str) -> Result<String, TemplateError> {
        self.text(key)?.ok_or_else(|| TemplateError::shape(&self.at(key), "given"))
    }

    /// A whole number, also where a parameter gives it as text.
    pub(super) fn number(&mut self, key: &str) -> Result<Option<u64>, TemplateError> {
        let at = self.at(key);
        let parse = |text: String| text.parse().map_err(|_| TemplateError::shape(&at, "a whole number"));
        self.text(key)?.map(parse).transpose()
    }

    /// A boolean, also where a parameter gives it as text.
    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, TemplateError> {
        let at = self.at(key);
        let parse = |text: String| text.parse().map_err(|_| TemplateError::shape(&at, "true or false"));
        self.text(key)?.map(parse).transpose()
    }

    /// A list of texts; empty where it is not given.
    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<String>, TemplateError> {
        let at = self.at(key);
        match self.take(key)? {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items.iter().map(|item| scalar(item, &at)).collect(),
            Some(_) => Err(TemplateError::shape(&at, "a list")),
        }
    }

    /// A mapping within, or none.
    pub(super) fn mapping(&mut self, key: &str) -> Result<Option<Self>, TemplateError> {
        let at = self.at(key);
        self.take(key)?.map(|value| Self::new(self.resolver, &at, value)).transpose()
    }

    /// An entry that must have this value where it is given.
    pub(super) fn only(&mut self, key: &str, value: &str) -> Result<(), TemplateError> {
        match self.text(key)? {
            Some(other) if other != value => Err(TemplateError::shape(&self.at(key), value)),
            _ => Ok(()),
        }
    }

    /// The names of the entries that are left.
    pub(super) fn keys(&self) -> Vec<String> {
        self.map.keys().cloned().collect()
    }

    /// Refuses what was not taken, but for `harmless` entries, which change nothing on one machine.
    pub(super) fn end(self, harmless: &[&str]) -> Result<(), TemplateError> {
        match self.map.keys().find(|key| !harmless.contains(&key.as_str())) {
            Some(key) => Err(TemplateError::UnknownProperty { at: self.at(key) }),
            None => Ok(()),
        }
    }
}
