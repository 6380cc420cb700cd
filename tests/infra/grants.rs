//! Least privilege: each function may do what it does, on this stack's own resources, and nothing else.

use crate::template::{FUNCTIONS, Template, logical_id, root};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What SAM adds to a function by itself: its logs and X-Ray.
const MANAGED: [&str; 2] = ["service-role/AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess"];

/// A call in a function's code → the actions behind it. A write in a transaction needs the action of its kind.
const CALLS: [(&str, &[&str]); 41] = [
    ("clients.client(", &["dynamodb:GetItem"]),
    ("registry.registry(", &["dynamodb:Query"]),
    ("registry.put_entry(", &["dynamodb:PutItem"]),
    ("jobs.first_use(", &["dynamodb:GetItem"]),
    ("jobs.create(", &["dynamodb:PutItem"]),
    ("jobs.job(", &["dynamodb:GetItem"]),
    ("jobs.page(", &["dynamodb:BatchGetItem", "dynamodb:Query"]),
    ("jobs.running(", &["dynamodb:Query"]),
    ("jobs.swap(", &["dynamodb:UpdateItem"]),
    ("jobs.delete(", &["dynamodb:DeleteItem"]),
    ("jobs.report(", &["dynamodb:UpdateItem"]),
    ("jobs.report_seen(", &["dynamodb:UpdateItem"]),
    ("jobs.create_shards(", &["dynamodb:ConditionCheckItem", "dynamodb:PutItem"]),
    ("jobs.create_parts(", &["dynamodb:PutItem"]),
    ("jobs.claim(", &["dynamodb:ConditionCheckItem", "dynamodb:UpdateItem"]),
    ("jobs.renew(", &["dynamodb:ConditionCheckItem", "dynamodb:UpdateItem"]),
    ("jobs.finish(", &["dynamodb:UpdateItem"]),
    ("jobs.part(", &["dynamodb:GetItem"]),
    ("jobs.postpone_part(", &["dynamodb:UpdateItem"]),
    ("jobs.shards(", &["dynamodb:BatchGetItem"]),
    ("jobs.close_gates(", &["dynamodb:UpdateItem"]),
    ("jobs.parts(", &["dynamodb:Query"]),
    ("jobs.split(", &["dynamodb:PutItem", "dynamodb:UpdateItem"]),
    ("jobs.due(", &["dynamodb:Query"]),
    ("jobs.remains(", &["dynamodb:GetItem"]),
    ("jobs.postpone_collect(", &["dynamodb:UpdateItem"]),
    ("jobs.forget(", &["dynamodb:DeleteItem", "dynamodb:Query"]),
    ("queue.send(", &["sqs:SendMessage"]),
    // Without ListBucket a missing object is a refusal.
    ("objects.read(", &["s3:GetObject", "s3:ListBucket"]),
    ("objects.create(", &["s3:GetObject", "s3:PutObject"]),
    ("objects.delete(", &["s3:DeleteObject"]),
    ("objects.list(", &["s3:ListBucket"]),
    ("objects.abort_uploads(", &["s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads"]),
    ("lake.look(", &["glue:GetTable", "s3:GetObject"]),
    ("lake.look_pinned(", &["glue:GetTable", "s3:GetObject"]),
    ("lake.files(", &["glue:GetTable", "s3:GetObject"]),
    ("lake.widen(", &["glue:GetTable", "glue:UpdateTable", "s3:GetObject", "s3:PutObject"]),
    ("lake.overtake(", &["glue:GetTable", "glue:UpdateTable", "s3:GetObject"]),
    ("lake.named(", &["glue:GetTable", "s3:GetObject"]),
    ("lake.abandon(", &["glue:GetTable", "glue:UpdateTable", "s3:GetObject", "s3:PutObject"]),
    ("lake.append(", &["glue:GetTable", "glue:UpdateTable", "s3:GetObject", "s3:PutObject"]),
];

/// As [`CALLS`], for what is no port.
const SERVICES: [(&str, &[&str]); 2] = [
    ("engine::export_part(", &["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]),
    ("serve_queue(", &["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]),
];

/// A function's code without its tests, a chain of calls on one line, `ports.jobs()` as `ports.jobs`.
fn code(folder: &str) -> String {
    let files = std::fs::read_dir(root().join("functions").join(folder).join("src")).unwrap();
    let files = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "rs"));
    let text = files.filter(|path| !path.ends_with("tests.rs")).map(|path| std::fs::read_to_string(path).unwrap());
    let text: String = text.map(|it| it.split("mod tests {").next().unwrap().to_owned()).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace(" .", ".").replace("().", ".")
}

/// All that a function's code does.
fn needed(code: &str) -> BTreeSet<&'static str> {
    let calls = CALLS.iter().chain(&SERVICES).filter(|(call, _)| calls(code, call));
    calls.flat_map(|(_, actions)| actions.iter().copied()).collect()
}

fn calls(code: &str, call: &str) -> bool {
    code.match_indices(call).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Calls of ports for which [`CALLS`] names no action.
fn unpriced(code: &str) -> Vec<String> {
    let every = ["jobs", "lake", "objects", "queue", "registry"].into_iter().flat_map(|port| {
        let path = root().join(format!("shared/domain/src/ports/{port}.rs"));
        let text = std::fs::read_to_string(path).unwrap();
        let methods = text.split("\n    fn ").skip(1).map(|method| method.split(['(', '<']).next().unwrap());
        methods.map(|method| format!("{port}.{method}(")).collect::<Vec<_>>()
    });
    every.filter(|call| calls(code, call) && !CALLS.iter().any(|(known, _)| known == call)).collect()
}

/// A function's statements; a conditional one counts.
pub fn statements(template: &Template, folder: &str) -> Vec<Value> {
    let id = logical_id(folder);
    let inline = template.at(&format!("/Resources/{id}/Properties/Policies"));
    let role = template.at(&format!("/Resources/{id}Role/Properties/Policies"));
    let documents = inline.as_array().into_iter().flatten();
    let documents = documents.chain(role.as_array().into_iter().flatten().map(|policy| &policy["PolicyDocument"]));
    let statements = documents.flat_map(|document| document["Statement"].as_array().into_iter().flatten());
    statements.map(|it| it.pointer("/Fn::If/1").unwrap_or(it).clone()).collect()
}

/// One value or many.
pub fn many(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn problems(template: &Template) -> Vec<String> {
    let mut problems = Vec::new();
    for folder in FUNCTIONS {
        let statements = statements(template, folder);
        let actions: BTreeSet<String> =
            statements.iter().flat_map(|it| many(&it["Action"])).map(|it| it.as_str().unwrap().to_owned()).collect();
        let needed = needed(&code(folder));
        if actions.iter().map(String::as_str).collect::<BTreeSet<_>>() != needed {
            problems.push(format!("{folder} is granted {actions:?}, its code needs {needed:?}"));
        }
        for statement in &statements {
            if statement["Effect"] != "Allow" || statement["Sid"].is_null() {
                problems.push(format!("{folder}: not a named grant: {statement}"));
            }
            if many(&statement["Resource"]).iter().any(|it| it.is_null() || it == "*") {
                problems.push(format!("{folder}: {} names no resource", statement["Sid"]));
            }
        }
    }
    problems.extend(managed_problems(template));
    problems.extend(read_only_problems(template));
    problems
}

/// Grants that are not written out here: only logs and X-Ray, and none that SAM would add for an event source.
fn managed_problems(template: &Template) -> Vec<String> {
    let mut problems = Vec::new();
    for (id, role) in template.all("AWS::IAM::Role") {
        let managed =
            MANAGED.map(|name| json!({ "Fn::Sub": format!("arn:${{AWS::Partition}}:iam::aws:policy/{name}") }));
        // The pipe of events is no function: it writes no log and no trace.
        let wanted = if id == "StatusEventsRole" { Value::Null } else { Value::from(managed.to_vec()) };
        if role["ManagedPolicyArns"] != wanted {
            problems.push(format!("{id} has other managed policies"));
        }
    }
    for (id, function) in template.all("AWS::Serverless::Function") {
        let named = function["Policies"].as_array().into_iter().flatten().filter(|it| it["Statement"].is_null());
        problems.extend(named.map(|policy| format!("{id} has the policy {policy}, which is not written out")));
        let polls = function["Events"].as_object().into_iter().flatten().any(|(_, event)| event["Type"] == "SQS");
        if polls && function["Role"] != json!({ "Fn::GetAtt": format!("{id}Role.Arn") }) {
            problems.push(format!("{id} would be given every queue of the account"));
        }
    }
    problems
}

/// What changes something names resources of this stack, or the export database.
fn read_only_problems(template: &Template) -> Vec<String> {
    let own = ["Table", "WorkQueue", "StateBucket", "LakeBucket", "ExportDatabase"];
    let reads = ["s3:GetObject", "s3:ListBucket", "s3:ListBucketMultipartUploads", "glue:GetTable"];
    let foreign = |resource: &Value| {
        let catalog = resource["Fn::Sub"].as_str().is_some_and(|text| text.ends_with(":catalog"));
        !catalog && !crate::template::references(resource).iter().any(|id| own.contains(&id.as_str()))
    };
    let mut problems = Vec::new();
    for folder in FUNCTIONS {
        for statement in statements(template, folder) {
            let only_reads = many(&statement["Action"]).iter().all(|it| reads.contains(&it.as_str().unwrap()));
            if !only_reads && many(&statement["Resource"]).iter().any(foreign) {
                problems.push(format!("{folder}: {} may change what is not the stack's", statement["Sid"]));
            }
        }
    }
    problems
}

#[test]
fn every_function_may_do_what_it_does_and_nothing_else() {
    assert_eq!(problems(&Template::real()), Vec::<String>::new());
}

#[test]
fn what_every_port_call_needs_is_known() {
    for folder in FUNCTIONS {
        assert_eq!(unpriced(&code(folder)), Vec::<String>::new(), "{folder}");
    }
    assert_eq!(unpriced("ports.objects.size(&at); registry.put_client(c); my_jobs.job(id)").len(), 2);
}

#[test]
fn a_grant_too_many_or_too_few_is_noticed() {
    for (old, new, problem) in [
        ("Action: [dynamodb:Query, dynamodb:BatchGetItem]", "Action: [dynamodb:Query]", "list_export_jobs is granted"),
        ("dynamodb:UpdateItem, dynamodb:DeleteItem]", "dynamodb:*]", "cancel_export_job is granted"),
        ("[s3:GetObject, s3:PutObject, s3:Del", "[s3:PutObjectAcl, s3:GetObject, s3:PutObject, s3:Del", "is granted"),
        ("Resource: !Sub ${Table.Arn}/index/due", "Resource: \"*\"", "FindDue\" names no resource"),
        ("            - Sid: ReadClient\n", "            - Note: x\n", "authorizer: not a named grant"),
        ("policy/AWSXrayWriteOnlyAccess", "policy/AdministratorAccess", "has other managed policies"),
        ("      Policies:\n", "      Policies:\n        - AmazonS3FullAccess\n", "which is not written out"),
        ("      Role: !GetAtt ExportWorkerRole.Arn\n", "", "would be given every queue"),
        ("table/${ExportDatabase}/*", "table/*", "CommitToExportTables\" may change"),
        (
            "Action: [s3:ListBucket]\n                  Resource",
            "Action: [s3:PutObject]\n                  Resource",
            "may change",
        ),
    ] {
        let found = problems(&Template::edited(old, new));
        assert!(found.iter().any(|it| it.contains(problem)), "{old} → {new}: {found:?}");
    }
}
