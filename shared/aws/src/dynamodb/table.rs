//! A table that reads strongly, applies guarded changes, and waits out unclear answers.

use super::change::{Change, Kind, placeholders};
use super::{Item, Key};
use crate::patience::{asks_to_come_again, forbids, patiently, pause, told};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, KeysAndAttributes, Select};
use domain::ports::jobs::StoreError;
use std::error::Error;
use std::sync::Arc;

/// Most keys of one BatchGetItem.
const BATCH_KEYS: usize = 100;
const REFUSED: &str = "ConditionalCheckFailed";

/// A DynamoDB table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    client: Client,
    name: Arc<str>,
}

/// What became of a write.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// All changes are written.
    Written,
    /// None is. For each change: the item as it stands, where its guard did not hold (empty if there is none, or if it was
    /// not to be told).
    Refused(Vec<Option<Item>>),
}

/// Which items, in which order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    /// The index; `None` = the table itself, read strongly.
    pub(crate) index: Option<&'static str>,
    /// The key condition, attributes as `#name`.
    pub(crate) condition: &'static str,
    /// The condition's values, by `:name`.
    pub(crate) values: Vec<(&'static str, AttributeValue)>,
    /// Greatest sort key first.
    pub(crate) backwards: bool,
}

impl Table {
    pub(crate) fn new(client: Client, name: &str) -> Self {
        Self { client, name: name.into() }
    }

    /// An item as the last write left it.
    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let get = self.client.get_item().table_name(&*self.name).set_key(Some(key.item())).consistent_read(true);
        let answer = patiently(|| get.clone().send(), come_again).await.map_err(store_error)?;
        Ok(answer.item)
    }

    /// Items as their last writes left them, in no order; those that do not exist are missing.
    pub(crate) async fn get_all(&self, keys: &[Key]) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::with_capacity(keys.len());
        for keys in keys.chunks(BATCH_KEYS) {
            let keys = keys.iter().map(Key::item).collect();
            let all = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            let mut wanted = Some(all.expect("keys are set"));
            let mut tried = 0;
            while let Some(keys) = wanted {
                let get = self.client.batch_get_item().request_items(&*self.name, keys);
                let mut answer = patiently(|| get.clone().send(), come_again).await.map_err(store_error)?;
                items.extend(answer.responses.as_mut().and_then(|r| r.remove(&*self.name)).unwrap_or_default());
                wanted = answer.unprocessed_keys.and_then(|mut rest| rest.remove(&*self.name));
                if wanted.is_some() {
                    tried += 1;
                    pause(tried).await;
                }
            }
        }
        Ok(items)
    }

    /// The first items of a query, up to `limit`.
    pub(crate) async fn query(&self, query: &Query, limit: usize) -> Result<Vec<Item>, StoreError> {
        let (mut items, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = self.query_page(query, limit - items.len(), after).await?;
            items.extend(page);
            after = next;
            if after.is_none() || items.len() >= limit {
                items.truncate(limit);
                return Ok(items);
            }
        }
    }

    /// How many items a query has, as far as `most`.
    pub(crate) async fn count(&self, query: &Query, most: usize) -> Result<usize, StoreError> {
        let (mut count, mut after) = (0, None);
        while count < most {
            let call = self.querying(query, most - count, after).select(Select::Count);
            let answer = patiently(|| call.clone().send(), come_again).await.map_err(store_error)?;
            count += usize::try_from(answer.count).unwrap_or_default();
            after = answer.last_evaluated_key;
            if after.is_none() {
                break;
            }
        }
        Ok(count)
    }

    /// One answer's worth of a query's items, at most `limit`, and where to go on if there may be more.
    pub(crate) async fn query_page(
        &self,
        query: &Query,
        limit: usize,
        after: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let call = self.querying(query, limit, after);
        let answer = patiently(|| call.clone().send(), come_again).await.map_err(store_error)?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
    }

    fn querying(&self, query: &Query, limit: usize, after: Option<Item>) -> QueryFluentBuilder {
        let values = query.values.iter().map(|(name, value)| (format!(":{name}"), value.clone())).collect();
        self.client
            .query()
            .table_name(&*self.name)
            .set_index_name(query.index.map(str::to_owned))
            .key_condition_expression(query.condition)
            .set_expression_attribute_names(Some(placeholders(query.condition)))
            .set_expression_attribute_values(Some(values))
            .scan_index_forward(!query.backwards)
            .consistent_read(query.index.is_none())
            .set_limit(i32::try_from(limit).ok())
            .set_exclusive_start_key(after)
    }

    /// Writes all changes or none: a single one plainly, several as one transaction.
    pub(crate) async fn write(&self, changes: Vec<Change>) -> Result<Outcome, StoreError> {
        let one: Result<[Change; 1], _> = changes.try_into();
        match one {
            Ok([change]) => self.write_one(change).await,
            Err(changes) => self.transact(changes).await,
        }
    }

    async fn write_one(&self, change: Change) -> Result<Outcome, StoreError> {
        let (names, tells) = (change.names(), change.on_refusal());
        match change.kind {
            Kind::Put(item) => {
                let put = self
                    .client
                    .put_item()
                    .table_name(&*self.name)
                    .set_item(Some(item))
                    .set_condition_expression(change.guard)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(change.values)
                    .set_return_values_on_condition_check_failure(tells);
                refused(patiently(|| put.clone().send(), come_again).await, |error| match error {
                    PutItemError::ConditionalCheckFailedException(refusal) => Some(&refusal.item),
                    _ => None,
                })
            }
            Kind::Update(key, expression) => {
                let update = self
                    .client
                    .update_item()
                    .table_name(&*self.name)
                    .set_key(Some(key.item()))
                    .update_expression(expression)
                    .set_condition_expression(change.guard)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(change.values)
                    .set_return_values_on_condition_check_failure(tells);
                refused(patiently(|| update.clone().send(), come_again).await, |error| match error {
                    UpdateItemError::ConditionalCheckFailedException(refusal) => Some(&refusal.item),
                    _ => None,
                })
            }
            Kind::Delete(key) => {
                let delete = self
                    .client
                    .delete_item()
                    .table_name(&*self.name)
                    .set_key(Some(key.item()))
                    .set_condition_expression(change.guard)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(change.values)
                    .set_return_values_on_condition_check_failure(tells);
                refused(patiently(|| delete.clone().send(), come_again).await, |error| match error {
                    DeleteItemError::ConditionalCheckFailedException(refusal) => Some(&refusal.item),
                    _ => None,
                })
            }
            Kind::Check(_) => self.transact(vec![change]).await,
        }
    }

    async fn transact(&self, changes: Vec<Change>) -> Result<Outcome, StoreError> {
        let steps = changes.into_iter().map(|change| change.into_step(&self.name)).collect();
        let call = self
            .client
            .transact_write_items()
            .set_transact_items(Some(steps))
            // One token for all tries: a write whose answer was lost is not written twice.
            .client_request_token(format!("{:032x}", rand::random::<u128>()));
        match patiently(|| call.clone().send(), is_unclear).await {
            Ok(_) => Ok(Outcome::Written),
            Err(error) => match refusals(&error) {
                Some(refused) => Ok(Outcome::Refused(refused)),
                None => Err(store_error(error)),
            },
        }
    }
}

/// The outcome of a plain write. `old` finds in an error what it tells of the item whose guard did not hold.
fn refused<T, E>(
    answer: Result<T, SdkError<E>>,
    old: impl Fn(&E) -> Option<&Option<Item>>,
) -> Result<Outcome, StoreError>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match answer {
        Ok(_) => Ok(Outcome::Written),
        Err(error) => match error.as_service_error().and_then(old) {
            Some(item) => Ok(Outcome::Refused(vec![Some(item.clone().unwrap_or_default())])),
            None => Err(store_error(error)),
        },
    }
}

fn come_again<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.as_service_error().is_some_and(asks_to_come_again)
}

/// Whether a transaction's failure says nothing about its guards.
fn is_unclear(error: &SdkError<TransactWriteItemsError>) -> bool {
    match reasons(error) {
        Some(reasons) => {
            let codes = || reasons.iter().filter_map(CancellationReason::code);
            let again =
                |code| matches!(code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded");
            !codes().any(|code| code == REFUSED) && codes().any(again)
        }
        None => come_again(error),
    }
}

/// Which guards did not hold, if that is why the transaction failed.
fn refusals(error: &SdkError<TransactWriteItemsError>) -> Option<Vec<Option<Item>>> {
    let told: Vec<_> = reasons(error)?
        .iter()
        .map(|reason| (reason.code() == Some(REFUSED)).then(|| reason.item().cloned().unwrap_or_default()))
        .collect();
    told.iter().any(Option::is_some).then_some(told)
}

fn reasons(error: &SdkError<TransactWriteItemsError>) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => Some(cancelled.cancellation_reasons()),
        _ => None,
    }
}

fn store_error<E: ProvideErrorMetadata + Error + 'static>(error: SdkError<E>) -> StoreError {
    if forbids(&error) { StoreError::Denied(told(&error)) } else { StoreError::Unavailable(told(&error)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;
    use aws_smithy_types::body::SdkBody;

    fn cancelled(codes: &[&str]) -> SdkError<TransactWriteItemsError> {
        let reasons = codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect();
        let error = TransactionCanceledException::builder().set_cancellation_reasons(Some(reasons)).build();
        let raw = aws_sdk_dynamodb::config::http::HttpResponse::new(
            400.try_into().expect("400 is a status"),
            SdkBody::empty(),
        );
        SdkError::service_error(TransactWriteItemsError::TransactionCanceledException(error), raw)
    }

    #[test]
    fn a_conflict_is_never_a_lost_race() {
        for code in ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"] {
            let error = cancelled(&["None", code]);
            assert!(is_unclear(&error), "{code}");
            assert!(refusals(&error).is_none(), "{code}");
        }
    }

    #[test]
    fn a_failed_guard_is_clear_even_beside_a_conflict() {
        let error = cancelled(&["None", REFUSED, "TransactionConflict"]);
        assert!(!is_unclear(&error));
        let refused = refusals(&error).unwrap_or_default();
        assert_eq!(refused.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn a_transaction_that_cannot_be_is_neither() {
        let error = cancelled(&["ValidationError", "None"]);
        assert!(!is_unclear(&error));
        assert!(refusals(&error).is_none());
    }
}
