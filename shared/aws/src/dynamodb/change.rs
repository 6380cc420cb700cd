//! A guarded change of one item, in whichever of DynamoDB's forms it is sent.

use super::{Item, Key};
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use std::collections::HashMap;

/// A change of one item and the guard that it stands under. Expressions write attributes as `#name`, since many names are
/// reserved words; the placeholders' table is read off them.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(super) kind: Kind,
    pub(super) guard: Option<String>,
    pub(super) values: Option<Item>,
    /// Whether a refusal tells the item as it stands.
    pub(super) tells: bool,
    named: HashMap<String, String>,
}

/// What happens if the guard holds.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Put(Item),
    Update(Key, String),
    Delete(Key),
    /// Nothing: only in a transaction, for the guard's sake.
    Check(Key),
}

impl Change {
    pub(crate) fn put(item: Item) -> Self {
        Self::of(Kind::Put(item))
    }

    pub(crate) fn update(key: Key, expression: impl Into<String>) -> Self {
        Self::of(Kind::Update(key, expression.into()))
    }

    pub(crate) fn delete(key: Key) -> Self {
        Self::of(Kind::Delete(key))
    }

    pub(crate) fn check(key: Key) -> Self {
        Self::of(Kind::Check(key))
    }

    fn of(kind: Kind) -> Self {
        Self { kind, guard: None, values: None, tells: false, named: HashMap::new() }
    }

    /// Only if this holds of the item as it stands.
    pub(crate) fn only_if(mut self, guard: impl Into<String>) -> Self {
        self.guard = Some(guard.into());
        self
    }

    /// Only if there is no such item.
    pub(crate) fn only_if_new(self) -> Self {
        self.only_if("attribute_not_exists(#PK)")
    }

    /// A refusal tells the item as it stands.
    pub(crate) fn telling(mut self) -> Self {
        self.tells = true;
        self
    }

    /// Fills `:name` in.
    pub(crate) fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.get_or_insert_default().insert(format!(":{name}"), value);
        self
    }

    /// Lets `#placeholder` stand for an attribute whose name could not stand in an expression.
    pub(crate) fn naming(mut self, placeholder: &str, attribute: impl Into<String>) -> Self {
        self.named.insert(format!("#{placeholder}"), attribute.into());
        self
    }

    /// All placeholders of the expressions and what they stand for.
    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        let update = if let Kind::Update(_, expression) = &self.kind { expression.as_str() } else { "" };
        let mut names = placeholders(update);
        names.extend(placeholders(self.guard.as_deref().unwrap_or_default()));
        names.extend(self.named.clone());
        (!names.is_empty()).then_some(names)
    }

    pub(super) fn on_refusal(&self) -> Option<ReturnValuesOnConditionCheckFailure> {
        self.tells.then_some(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// The change as a step of a transaction.
    pub(super) fn into_step(self, table: &str) -> TransactWriteItem {
        let (names, tells) = (self.names(), self.on_refusal());
        let step = TransactWriteItem::builder();
        match self.kind {
            Kind::Put(item) => step.put(
                Put::builder()
                    .table_name(table)
                    .set_item(Some(item))
                    .set_condition_expression(self.guard)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(self.values)
                    .set_return_values_on_condition_check_failure(tells)
                    .build()
                    .expect("table and item are set"),
            ),
            Kind::Update(key, expression) => step.update(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(key.item()))
                    .update_expression(expression)
                    .set_condition_expression(self.guard)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(self.values)
                    .set_return_values_on_condition_check_failure(tells)
                    .build()
                    .expect("table, key and expression are set"),
            ),
            Kind::Delete(key) => step.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(Some(key.item()))
                    .set_condition_expression(self.guard)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(self.values)
                    .build()
                    .expect("table and key are set"),
            ),
            Kind::Check(key) => step.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(Some(key.item()))
                    .condition_expression(self.guard.unwrap_or_default())
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(self.values)
                    .set_return_values_on_condition_check_failure(tells)
                    .build()
                    .expect("table, key and guard are set"),
            ),
        }
        .build()
    }
}

/// The `#name` placeholders of an expression, each standing for the attribute of that name.
pub(super) fn placeholders(expression: &str) -> HashMap<String, String> {
    let names = expression.split('#').skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        &rest[..end]
    });
    names.map(|name| (format!("#{name}"), name.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_read_off_the_expressions() {
        let key = Key { pk: "p".into(), sk: "s".into() };
        let change =
            Change::update(key, "SET #state = :state ADD #ns0 :ns0").only_if("#gate=:open AND attribute_exists(#PK)");
        let names = change.naming("ns0", "ns#e-mail").names().unwrap_or_default();
        let mut names: Vec<_> = names.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        names.sort_unstable();
        assert_eq!(names, [("#PK", "PK"), ("#gate", "gate"), ("#ns0", "ns#e-mail"), ("#state", "state")]);
        assert_eq!(Change::put(Item::new()).names(), None, "DynamoDB refuses an empty table");
    }
}
