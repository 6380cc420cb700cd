//! Table, queues and buckets have the shape that the protocol rests on, and are private.

use crate::template::{Template, references};
use serde_json::{Value, json};

fn problems(template: &Template) -> Vec<String> {
    let mut wanted = table(template);
    wanted.extend(queue(template));
    let mut problems: Vec<String> =
        wanted.into_iter().filter(|(_, holds)| !holds).map(|(what, _)| what.to_owned()).collect();
    problems.extend(bucket_problems(template));
    problems.extend(tls_problems(template));
    let twelve_digits = |word: &str| word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_digit());
    if template.text.split(|c: char| !c.is_ascii_alphanumeric()).any(twelve_digits) {
        problems.push("an account stands in the template".to_owned());
    }
    problems
}

fn table(template: &Template) -> Vec<(&'static str, bool)> {
    let table = template.at("/Resources/Table/Properties");
    let keys = |schema: &Value| -> Vec<String> {
        schema.as_array().into_iter().flatten().map(|it| it["AttributeName"].as_str().unwrap().to_owned()).collect()
    };
    let index = |name: &str| {
        let indexes = table["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
        indexes.filter(|it| it["IndexName"] == name).map(|it| keys(&it["KeySchema"])).collect::<Vec<_>>().concat()
    };
    let types = table["AttributeDefinitions"].as_array().unwrap();
    let number = |name: &str| types.contains(&json!({ "AttributeName": name, "AttributeType": "N" }));
    vec![
        ("the table's keys are PK, SK", keys(&table["KeySchema"]) == ["PK", "SK"]),
        ("due work is found by time", index("due") == ["duePartition", "nextActionAt"] && number("nextActionAt")),
        ("jobs are found by status", index("status") == ["statusKey", "jobId"] && number("jobId")),
        ("expired items go", table["TimeToLiveSpecification"]["AttributeName"] == "expiresAt"),
        ("the table can be restored", table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] == true),
        ("the table is paid by request", table["BillingMode"] == "PAY_PER_REQUEST"),
        ("the table is encrypted", table["SSESpecification"]["SSEEnabled"] == true),
        ("the table outlives the stack", template.at("/Resources/Table/DeletionPolicy") == "Retain"),
    ]
}

fn queue(template: &Template) -> Vec<(&'static str, bool)> {
    let worker = template.at("/Resources/ExportWorker/Properties");
    let work = &worker["Events"]["Work"]["Properties"];
    let queue = template.at("/Resources/WorkQueue/Properties");
    let timeout = worker["Timeout"].as_u64().unwrap();
    let lease = template.at("/Parameters/LeaseSeconds/Default").as_u64().unwrap();
    let minute = template.at("/Resources/Sweeper/Properties/Events/EveryMinute/Properties/Schedule");
    let every = template.at("/Parameters/SweepSchedule/Default");
    let halved = template.at("/Resources/ExportWorker/Properties/Environment/Variables/SPLIT_AFTER_SECONDS");
    let halved: u64 = halved.as_str().and_then(|seconds| seconds.parse().ok()).unwrap_or(u64::MAX);
    vec![
        ("a message is hidden for six timeouts", queue["VisibilityTimeout"].as_u64() >= Some(6 * timeout)),
        ("a message has five tries", queue["RedrivePolicy"]["maxReceiveCount"].as_u64() >= Some(5)),
        ("poison goes to the dead letters", references(&queue["RedrivePolicy"]) == ["DeadLetterQueue"]),
        ("a worker takes one message", work["BatchSize"] == 1),
        ("a worker names what failed", work["FunctionResponseTypes"] == json!(["ReportBatchItemFailures"])),
        ("workers are limited", !work["ScalingConfig"]["MaximumConcurrency"].is_null()),
        ("workers read the work queue", references(&work["Queue"]) == ["WorkQueue"]),
        ("a lease ends before its worker does", lease < timeout),
        ("a part is halved before its worker ends", halved < timeout),
        ("the sweeper runs each minute", *minute == json!({"Ref": "SweepSchedule"}) && every == "rate(1 minute)"),
    ]
}

fn bucket_problems(template: &Template) -> Vec<String> {
    let mut problems = Vec::new();
    for (id, bucket) in template.all("AWS::S3::Bucket") {
        let closed = bucket["PublicAccessBlockConfiguration"].as_object();
        if !closed.is_some_and(|flags| flags.len() == 4 && flags.values().all(|flag| flag == true)) {
            problems.push(format!("{id} could be made public"));
        }
        if bucket["BucketEncryption"].is_null() {
            problems.push(format!("{id} is not encrypted"));
        }
        let rules = bucket["LifecycleConfiguration"]["Rules"].as_array().into_iter().flatten();
        if rules.clone().all(|rule| rule["AbortIncompleteMultipartUpload"].is_null()) {
            problems.push(format!("{id} keeps incomplete uploads"));
        }
        if rules.into_iter().any(|rule| rule["ExpirationInDays"].is_number()) {
            problems.push(format!("{id} loses objects"));
        }
        if template.at(&format!("/Resources/{id}/DeletionPolicy")) != "Retain" {
            problems.push(format!("{id} goes with the stack"));
        }
    }
    problems
}

fn tls_problems(template: &Template) -> Vec<String> {
    let policies = ["AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"].map(|kind| template.all(kind)).concat();
    let denied = |id: &str| {
        policies.iter().any(|(_, policy)| {
            let statement = &policy["PolicyDocument"]["Statement"][0];
            let holders = [references(&policy["Queues"]), references(&policy["Bucket"])].concat();
            let holds = |ids: Vec<String>| ids.iter().any(|it| it == id);
            statement["Effect"] == "Deny"
                && statement["Condition"] == json!({ "Bool": { "aws:SecureTransport": "false" } })
                && holds(holders)
                && holds(references(&statement["Resource"]))
        })
    };
    let stores = ["AWS::S3::Bucket", "AWS::SQS::Queue"].map(|kind| template.all(kind)).concat();
    stores.iter().filter(|(id, _)| !denied(id)).map(|(id, _)| format!("{id} talks without TLS")).collect()
}

#[test]
fn table_queues_and_buckets_are_as_the_protocol_needs_them() {
    assert_eq!(problems(&Template::real()), Vec::<String>::new());
}

#[test]
fn a_broken_resource_is_noticed() {
    for (old, new, problem) in [
        ("AttributeName: SK, KeyType", "AttributeName: jobId, KeyType", "keys are PK, SK"),
        ("nextActionAt, AttributeType: N", "nextActionAt, AttributeType: S", "due work"),
        ("AttributeName: statusKey, KeyType", "AttributeName: PK, KeyType", "by status"),
        ("AttributeName: expiresAt", "AttributeName: expires", "expired items go"),
        ("PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false", "restored"),
        ("PAY_PER_REQUEST", "PROVISIONED", "paid by request"),
        ("SSEEnabled: true", "SSEEnabled: false", "the table is encrypted"),
        ("DynamoDB::Table\n    DeletionPolicy: Retain\n", "DynamoDB::Table\n", "the table outlives the stack"),
        ("Timeout: 180", "Timeout: 181", "six timeouts"),
        ("maxReceiveCount: 5", "maxReceiveCount: 4", "five tries"),
        ("deadLetterTargetArn: !GetAtt DeadLetterQueue", "deadLetterTargetArn: !GetAtt WorkQueue", "dead letters"),
        ("BatchSize: 1", "BatchSize: 10", "takes one message"),
        ("[ReportBatchItemFailures]", "[]", "names what failed"),
        ("            ScalingConfig:", "            Scaling:", "workers are limited"),
        ("Queue: !GetAtt WorkQueue.Arn", "Queue: !GetAtt DeadLetterQueue.Arn", "read the work queue"),
        ("    Default: 120\n", "    Default: 180\n", "lease ends"),
        ("SPLIT_AFTER_SECONDS: \"120\"", "SPLIT_AFTER_SECONDS: \"180\"", "is halved before"),
        ("rate(1 minute)", "rate(1 hour)", "each minute"),
        ("BlockPublicPolicy: true", "BlockPublicPolicy: false", "StateBucket could be made public"),
        ("      BucketEncryption:", "      Encryption:", "StateBucket is not encrypted"),
        ("            AbortIncompleteMultipartUpload:", "            Abort:", "keeps incomplete uploads"),
        ("            AbortInc", "            ExpirationInDays: 1\n            AbortInc", "StateBucket loses objects"),
        (
            "Action: sqs:*\n            Resource: [!GetAtt WorkQueue.Arn, ",
            "Action: sqs:*\n            Resource: [",
            "WorkQueue talks",
        ),
        ("Bucket: !Ref LakeBucket", "Bucket: !Ref StateBucket", "LakeBucket talks without TLS"),
        ("Description: The work queue.", "Description: Of 123456789012.", "an account"),
    ] {
        let found = problems(&Template::edited(old, new));
        assert!(found.iter().any(|it| it.contains(problem)), "{old} → {new}: {found:?}");
    }
}
