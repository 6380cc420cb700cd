//! Tables, queues and buckets of the template.

use std::collections::BTreeMap;

use serde_json::Value;

use super::properties::Properties;
use super::resolver::Resolver;
use super::{Bucket, Queue, Table, TemplateError};

/// What CloudFormation and `CreateTable` write alike.
const TABLE_DEFINITION: [&str; 5] =
    ["KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "LocalSecondaryIndexes", "BillingMode"];

const HARMLESS_TABLE: [&str; 7] = [
    "PointInTimeRecoverySpecification",
    "SSESpecification",
    "DeletionProtectionEnabled",
    "TableClass",
    "StreamSpecification",
    "OnDemandThroughput",
    "Tags",
];

const QUEUE_ATTRIBUTES: [&str; 7] = [
    "VisibilityTimeout",
    "MessageRetentionPeriod",
    "DelaySeconds",
    "ReceiveMessageWaitTimeSeconds",
    "MaximumMessageSize",
    "FifoQueue",
    "ContentBasedDeduplication",
];

const HARMLESS_QUEUE: [&str; 5] =
    ["SqsManagedSseEnabled", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "RedriveAllowPolicy", "Tags"];

const HARMLESS_BUCKET: [&str; 10] = [
    "BucketEncryption",
    "PublicAccessBlockConfiguration",
    "OwnershipControls",
    "LifecycleConfiguration",
    "LoggingConfiguration",
    "MetricsConfigurations",
    "InventoryConfigurations",
    "IntelligentTieringConfigurations",
    "AccessControl",
    "Tags",
];

pub(super) fn table(resolver: &Resolver<'_>, id: &str, mut properties: Properties<'_>) -> Result<Table, TemplateError> {
    let name = resolver.physical_name(id)?;
    properties.take("TableName")?;
    let mut definition = serde_json::Map::from_iter([("TableName".to_owned(), Value::from(name.as_str()))]);
    for key in TABLE_DEFINITION {
        definition.extend(properties.take(key)?.map(|value| (key.to_owned(), value)));
    }
    let ttl_attribute = match properties.mapping("TimeToLiveSpecification")? {
        Some(mut ttl) => {
            let (attribute, enabled) = (ttl.text("AttributeName")?, ttl.flag("Enabled")?);
            ttl.end(&[])?;
            attribute.filter(|_| enabled == Some(true))
        }
        None => None,
    };
    properties.end(&HARMLESS_TABLE)?;
    Ok(Table { id: id.to_owned(), name, definition: definition.into(), ttl_attribute })
}

pub(super) fn queue(resolver: &Resolver<'_>, id: &str, mut properties: Properties<'_>) -> Result<Queue, TemplateError> {
    let name = resolver.physical_name(id)?;
    properties.take("QueueName")?;
    let mut attributes = BTreeMap::new();
    for key in QUEUE_ATTRIBUTES {
        attributes.extend(properties.text(key)?.map(|value| (key.to_owned(), value)));
    }
    // SQS takes the policy as JSON text.
    let redrive = properties.take("RedrivePolicy")?;
    attributes.extend(redrive.map(|policy| ("RedrivePolicy".to_owned(), policy.to_string())));
    properties.end(&HARMLESS_QUEUE)?;
    Ok(Queue { id: id.to_owned(), name, attributes })
}

pub(super) fn bucket(
    resolver: &Resolver<'_>,
    id: &str,
    mut properties: Properties<'_>,
) -> Result<Bucket, TemplateError> {
    let name = resolver.physical_name(id)?;
    properties.take("BucketName")?;
    properties.end(&HARMLESS_BUCKET)?;
    Ok(Bucket { id: id.to_owned(), name })
}
