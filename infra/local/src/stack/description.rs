//! `stack.json`: where everything of a running stack is, for any tool.

use serde_json::{Map, Value, json};

use super::Stack;
use crate::emulators::{ACCESS_KEY, ACCOUNT, REGION, SECRET_KEY};

/// The bucket of the export datasets, by its logical id.
const LAKE: &str = "LakeBucket";

/// The file's text; entries of `more` stand beside the stack's own.
pub(super) fn of(stack: &Stack, more: Map<String, Value>) -> String {
    let (template, emulators) = (&stack.template, &stack.emulators);
    let tables: Map<_, _> = template.tables.iter().map(|t| (t.id.clone(), t.name.clone().into())).collect();
    let buckets: Map<_, _> = template.buckets.iter().map(|b| (b.id.clone(), b.name.clone().into())).collect();
    let queue_url = |name: &str| format!("{}/{ACCOUNT}/{name}", emulators.sqs.url());
    let queues: Map<_, _> = template
        .queues
        .iter()
        .map(|queue| (queue.id.clone(), json!({ "name": queue.name, "url": queue_url(&queue.name) })))
        .collect();
    let warehouse = template.buckets.iter().find(|bucket| bucket.id == LAKE).map(|lake| format!("s3://{}", lake.name));
    let data = std::path::absolute(&stack.data).unwrap_or_else(|_| stack.data.clone());
    let mut description = json!({
        "baseUrl": stack.url(),
        "endpoints": {
            "dynamodb": emulators.dynamodb.url(),
            "s3": emulators.s3.url(),
            "sqs": emulators.sqs.url(),
            "glue": emulators.glue.url(),
        },
        "region": REGION,
        "accountId": ACCOUNT,
        "accessKeyId": ACCESS_KEY,
        "secretAccessKey": SECRET_KEY,
        "warehouse": warehouse,
        "tables": tables,
        "queues": queues,
        "buckets": buckets,
        "data": data,
        "pid": std::process::id(),
    });
    if let Some(description) = description.as_object_mut() {
        description.extend(more);
    }
    format!("{description:#}\n")
}
