//! Unclear answers: what the protocol's table says of each.

use crate::script::{Script, json, xml};
use bytes::Bytes;
use domain::message::{Message, Task};
use domain::ports::jobs::{CreateJobs, Created};
use domain::ports::jobs::{
    EndJobs, IdempotencyKey, MoveJobs, PartDone, PartRef, PlanParts, ReadJobs, StoreError, Swap, WorkParts,
};
use domain::ports::objects::{Location, ObjectError, WriteObjects};
use domain::ports::queue::SendMessages;
use serde_json::{Value, json as value};
use testkit::fixtures::{self, NOW};

fn cancelled(reasons: &[&str]) -> (u16, &'static str, String) {
    let reasons: Vec<Value> = reasons.iter().map(|code| value!({ "Code": code })).collect();
    json(
        400,
        value!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": "Transaction cancelled",
            "CancellationReasons": reasons,
        }),
    )
}

fn refusal(code: &str) -> (u16, &'static str, String) {
    json(400, value!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "as told" }))
}

fn well() -> (u16, &'static str, String) {
    json(200, value!({}))
}

fn part() -> PartRef {
    PartRef { tenant: fixtures::tenant(), job: fixtures::job_id(1), shard: 0, part: 0 }
}

fn done() -> PartDone {
    PartDone { attempt: 1, owner: "a".into(), weight: 5, output: "o".into(), counts: fixtures::counts(1) }
}

#[tokio::test]
async fn a_conflicting_transaction_is_sent_again_with_the_same_token() {
    let conflict = cancelled(&["None", "TransactionConflict"]);
    let throttled = cancelled(&["ThrottlingError", "None"]);
    let script = Script::start(vec![conflict, throttled, well()]).await;
    assert_eq!(script.clients.jobs("t").finish(&part(), &done()).await.unwrap(), Swap::Done);
    let tokens = script.asked_for("ClientRequestToken");
    assert_eq!(tokens.len(), 3);
    assert!(tokens[0].is_string() && tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
}

#[tokio::test]
async fn two_transactions_have_two_tokens() {
    let script = Script::start(vec![well()]).await;
    for _ in 0..2 {
        script.clients.jobs("t").finish(&part(), &done()).await.unwrap();
    }
    let tokens = script.asked_for("ClientRequestToken");
    assert_ne!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn a_conflicting_plain_write_is_sent_again() {
    let script = Script::start(vec![refusal("TransactionConflictException"), well()]).await;
    let next = fixtures::job(&fixtures::tenant(), 1).postpone(NOW).unwrap();
    assert_eq!(script.clients.jobs("t").swap(&next).await.unwrap(), Swap::Done);
    assert_eq!(script.asked().len(), 2);
}

#[tokio::test]
async fn a_conflict_that_does_not_end_is_unavailable_and_no_lost_race() {
    let script = Script::start(vec![cancelled(&["None", "TransactionConflict"])]).await;
    let answer = script.clients.jobs("t").finish(&part(), &done()).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    assert!(script.asked().len() > 5);
}

#[tokio::test]
async fn a_failed_guard_is_a_lost_race_even_beside_a_conflict() {
    let script = Script::start(vec![cancelled(&["ConditionalCheckFailed", "TransactionConflict"])]).await;
    assert_eq!(script.clients.jobs("t").finish(&part(), &done()).await.unwrap(), Swap::Moved);
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn parts_that_are_there_are_left_out_of_the_next_try() {
    let first = cancelled(&["None", "ConditionalCheckFailed", "TransactionConflict"]);
    let script = Script::start(vec![first, well()]).await;
    let job = fixtures::job(&fixtures::tenant(), 1);
    script.clients.jobs("t").create_parts(&job, 1, &[5; 3], NOW).await.unwrap();
    let puts = script.asked_for("TransactItems");
    assert_eq!(puts.iter().map(|items| items.as_array().unwrap().len()).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(puts[1][1]["Put"]["Item"]["SK"]["S"], "PART#000002");
}

#[tokio::test]
async fn an_own_nonce_found_on_failure_is_an_earlier_write_of_ones_own() {
    let job = fixtures::job(&fixtures::tenant(), 1);
    let key = IdempotencyKey { key: "k".into(), body_hash: "h".into(), expires: NOW };
    let mine = value!({ "nonce": { "S": job.nonce } });
    let told = value!({ "bodyHash": { "S": "h" }, "jobId": { "N": job.id.to_string() } });
    let reasons = value!([
        { "Code": "ConditionalCheckFailed", "Item": mine },
        { "Code": "ConditionalCheckFailed", "Item": told },
    ]);
    let body = value!({ "__type": "x#TransactionCanceledException", "CancellationReasons": reasons });
    let script = Script::start(vec![json(400, body)]).await;
    assert_eq!(script.clients.jobs("t").create(&job, Some(&key), NOW).await.unwrap(), Created::Stored);
}

#[tokio::test]
async fn what_is_forbidden_is_denied_at_once() {
    let script = Script::start(vec![refusal("AccessDeniedException")]).await;
    let answer = script.clients.jobs("t").job(&fixtures::tenant(), fixtures::job_id(1)).await;
    assert!(matches!(answer, Err(StoreError::Denied(_))), "{answer:?}");
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn keys_that_were_not_processed_are_asked_for_again() {
    let key = |k: u32| value!({ "PK": { "S": format!("{}#{}#{k}", fixtures::tenant(), fixtures::job_id(1)) }, "SK": { "S": "SHARD" } });
    let shard = |k: u32| {
        let mut item = key(k);
        item["gate"] = value!({ "S": "OPEN" });
        item["total"] = value!({ "N": (k + 1).to_string() });
        for counter in ["done", "weightDone", "rows", "bytes", "tooManyIdentities", "emptyProfiles"] {
            item[counter] = value!({ "N": "0" });
        }
        item
    };
    let first = value!({ "Responses": { "t": [shard(1)] }, "UnprocessedKeys": { "t": { "Keys": [key(0)], "ConsistentRead": true } } });
    let second = value!({ "Responses": { "t": [shard(0)] }, "UnprocessedKeys": {} });
    let script = Script::start(vec![json(200, first), json(200, second)]).await;
    let shards = script.clients.jobs("t").shards(&fixtures::tenant(), fixtures::job_id(1), 2).await.unwrap();
    assert_eq!(shards.iter().map(|s| s.total).collect::<Vec<_>>(), [1, 2], "in order of number");
    assert_eq!(script.asked_for("RequestItems")[1]["t"]["Keys"], value!([key(0)]));
}

#[tokio::test]
async fn a_conflicting_put_is_begun_anew() {
    let script =
        Script::start(vec![xml(409, "ConditionalRequestConflict"), (200, "application/xml", String::new())]).await;
    let at = Location::new("bucket", "key");
    script.clients.objects().create(&at, Bytes::from_static(b"body")).await.unwrap();
    assert_eq!(script.asked().len(), 2);
}

#[tokio::test]
async fn a_forbidden_put_is_denied() {
    let script = Script::start(vec![xml(403, "AccessDenied")]).await;
    let at = Location::new("bucket", "key");
    let answer = script.clients.objects().create(&at, Bytes::from_static(b"body")).await;
    assert!(matches!(answer, Err(ObjectError::Denied(_))), "{answer:?}");
}

#[tokio::test]
async fn messages_that_were_not_taken_are_sent_again_and_no_others() {
    let failed = value!({
        "Successful": [{ "Id": "0", "MessageId": "m", "MD5OfMessageBody": "" }],
        "Failed": [{ "Id": "1", "Code": "InternalError", "SenderFault": false }],
    });
    let taken = value!({ "Successful": [{ "Id": "1", "MessageId": "m", "MD5OfMessageBody": "" }], "Failed": [] });
    let script = Script::start(vec![json(200, failed), json(200, taken)]).await;
    let message = |part| Message::new(&fixtures::tenant(), fixtures::job_id(1), Task::Part { part });
    script.clients.queue("http://127.0.0.1/q").send(&[message(0), message(1)]).await.unwrap();
    let entries = script.asked_for("Entries");
    assert_eq!(entries[0].as_array().unwrap().len(), 2);
    assert_eq!(entries[1].as_array().unwrap().len(), 1);
    assert_eq!(entries[1][0]["MessageBody"], message(1).to_json());
    assert_eq!(entries[0][0]["MessageGroupId"], "EXAMPLE@AdobeOrg#prod", "fair between tenants");
}
