//! Every function serves all tenants, so no role is one tenant's (docs/decisions/0016). What can be held apart is: clients
//! from all else, and the worker's own objects from others'.

use crate::grants::{many, statements};
use crate::template::{FUNCTIONS, Template};
use domain::id::BatchId;
use domain::plan::batch_folder;
use serde_json::{Value, json};

/// Where the worker may put objects, and whether it may delete them there.
fn own_objects() -> [(String, bool); 5] {
    let commits = format!("{:08x}", export_worker::COMMITS_BEGIN_WITH);
    let folder = batch_folder(&BatchId::new(1));
    let batches = folder.split('=').next().unwrap();
    [
        ("${StateBucket.Arn}/*/*/jobs/*".into(), true),
        (format!("${{StateBucket.Arn}}/*/*/{}*", export_worker::marks_of("*")), true),
        (format!("${{LakeBucket.Arn}}/*/data/{batches}=*"), true),
        ("${LakeBucket.Arn}/*/metadata/*".into(), false),
        (format!("${{LakeBucket.Arn}}/*/metadata/*{commits}-*"), true),
    ]
}

/// What is wrong with a statement about the table: only the authorizer reaches clients, and nothing else.
fn reaches_others(folder: &str, statement: &Value) -> bool {
    let test = if folder == "authorizer" { "StringLike" } else { "StringNotLike" };
    let by_key = json!({ format!("ForAllValues:{test}"): { "dynamodb:LeadingKeys": ["CLIENT#*"] } });
    many(&statement["Resource"]).contains(&json!({ "Fn::GetAtt": "Table.Arn" })) && statement["Condition"] != by_key
}

/// Whether a statement lets objects be put or deleted where others' may lie.
fn touches_others(statement: &Value) -> bool {
    let actions = many(&statement["Action"]);
    let has = |action: &str| actions.iter().any(|it| it == action);
    let (puts, deletes) = (has("s3:PutObject"), has("s3:DeleteObject"));
    let own = own_objects();
    let is_own =
        |resource: &Value| own.iter().any(|(at, deleted)| resource["Fn::Sub"] == at.as_str() && (*deleted || !deletes));
    (puts || deletes) && !many(&statement["Resource"]).iter().all(is_own)
}

fn problems(template: &Template) -> Vec<String> {
    let mut problems = Vec::new();
    for folder in FUNCTIONS {
        for statement in statements(template, folder) {
            if reaches_others(folder, &statement) || touches_others(&statement) {
                problems.push(format!("{folder}: {}", statement["Sid"]));
            }
        }
    }
    problems
}

#[test]
fn clients_are_the_authorizers_and_objects_are_changed_only_where_they_are_the_workers() {
    assert_eq!(problems(&Template::real()), Vec::<String>::new());
}

#[test]
fn a_wider_grant_is_noticed() {
    let not_clients =
        r#"              Condition: { "ForAllValues:StringNotLike": { "dynamodb:LeadingKeys": ["CLIENT#*"] } }"#;
    for (old, new, problem) in [
        (not_clients, "", r#"create_export_job: "StoreJob""#),
        (r#""ForAllValues:StringLike""#, r#""ForAllValues:StringNotLike""#, r#"authorizer: "ReadClient""#),
        ("${StateBucket.Arn}/*/*/jobs/*", "${StateBucket.Arn}/*", r#"export_worker: "KeepState""#),
        ("${LakeBucket.Arn}/*/data/batchId=*", "${LakeBucket.Arn}/*", r#"export_worker: "WriteBatches""#),
        (
            "Action: [s3:PutObject]\n                Resource: !Sub \"${LakeBucket.Arn}/*/m",
            "Action: [s3:PutObject, s3:DeleteObject]\n                Resource: !Sub \"${LakeBucket.Arn}/*/m",
            r#"export_worker: "WriteTableMetadata""#,
        ),
        ("/metadata/*5e65ec70-*", "/metadata/*-*", r#"export_worker: "DropOvertakenCommits""#),
    ] {
        assert_eq!(problems(&Template::edited(old, new)), [problem], "{old}");
    }
}
