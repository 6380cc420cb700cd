//! Items and their attributes.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::ports::jobs::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::str::FromStr;

/// An item: attributes by name.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A text attribute.
pub(crate) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
pub(crate) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A text that must be there.
pub(crate) fn text<'a>(item: &'a Item, name: &str) -> Result<&'a str, StoreError> {
    opt_text(item, name).ok_or_else(|| damaged(name))
}

/// A text that may be missing.
pub(crate) fn opt_text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str)
}

/// A number that must be there.
pub(crate) fn number<T: FromStr>(item: &Item, name: &str) -> Result<T, StoreError> {
    let digits = item.get(name).and_then(|value| value.as_n().ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| damaged(name))
}

/// A domain value as its JSON text.
pub(crate) fn to_doc(value: &impl Serialize) -> AttributeValue {
    s(serde_json::to_string(value).expect("domain values are JSON: their maps have text keys"))
}

/// The domain value in an item's `doc`.
pub(crate) fn from_doc<T: DeserializeOwned>(item: &Item) -> Result<T, StoreError> {
    serde_json::from_str(text(item, "doc")?).map_err(|why| StoreError::Damaged(format!("doc: {why}")))
}

/// An item without a sound attribute of that name. Its key stays untold: it may name a client.
fn damaged(name: &str) -> StoreError {
    StoreError::Damaged(format!("its attribute {name} is missing or of another kind"))
}
