//! The deployment template as this machine needs it: functions, HTTP API, tables, queues, buckets.
//!
//! What has no meaning on one machine (policies, log groups, alarms) is known by its type and left out; anything else
//! that is not understood is an error that says where it stands.

mod document;
mod functions;
mod http_api;
mod properties;
mod resolver;
mod stores;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use properties::Properties;
use resolver::Resolver;

/// Where the template is deployed to: what its pseudo parameters and references come to.
#[derive(Debug, Clone)]
pub struct Place {
    /// `AWS::Region`.
    pub region: String,
    /// `AWS::AccountId`.
    pub account: String,
    /// `AWS::StackName`; physical names start with it.
    pub stack: String,
    /// `http://host:port` of SQS; queue URLs start with it.
    pub sqs_url: String,
    /// `http://host:port` of the gateway.
    pub gateway_url: String,
}

impl Place {
    /// The ARN of something in this region and account.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.account)
    }
}

/// What the template describes, with every value resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// By logical id.
    pub functions: BTreeMap<String, Function>,
    /// The HTTP API, if there is one.
    pub api: Option<HttpApi>,
    /// All tables.
    pub tables: Vec<Table>,
    /// All queues; a dead-letter queue comes like any other.
    pub queues: Vec<Queue>,
    /// All buckets.
    pub buckets: Vec<Bucket>,
}

/// A Lambda function.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Its name on AWS.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The binary it is built from: folder, package and operation.
    pub operation: String,
    /// In MiB.
    pub memory_mb: u32,
    /// What one invocation may take.
    pub timeout: Duration,
    /// The environment variables that the template gives it.
    pub environment: BTreeMap<String, String>,
    /// The most invocations at once, where the template reserves them.
    pub reserved_concurrency: Option<usize>,
    /// The queues that feed it.
    pub queues: Vec<QueueMapping>,
    /// The schedules that start it.
    pub schedules: Vec<Schedule>,
}

/// A queue that feeds a function.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueMapping {
    /// The queue's name.
    pub queue: String,
    /// The queue's ARN.
    pub queue_arn: String,
    /// The most messages in one event.
    pub batch_size: usize,
    /// Whether the function says which messages of a batch failed.
    pub reports_item_failures: bool,
    /// The most batches at once.
    pub max_concurrency: Option<usize>,
}

/// A rate at which a function is invoked.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The event's name in the template.
    pub name: String,
    /// Time between invocations.
    pub every: Duration,
    /// The event, where the template replaces EventBridge's own.
    pub input: Option<Value>,
}

/// An HTTP API with its routes.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpApi {
    /// Its id.
    pub id: String,
    /// In the template's order.
    pub routes: Vec<Route>,
    /// Cross-origin rules, if any.
    pub cors: Option<Cors>,
}

/// A route and the functions behind it, by logical id.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// `GET /path/{variable}`, or `$default`.
    pub key: String,
    /// The function that answers.
    pub function: String,
    /// How long the gateway waits for it.
    pub timeout: Duration,
    /// The function that is asked first.
    pub authorizer: Option<String>,
}

/// What the gateway answers to browsers of other origins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cors {
    /// Origins, or `*`.
    pub allow_origins: Vec<String>,
    /// Methods, or `*`.
    pub allow_methods: Vec<String>,
    /// Request headers, or `*`.
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may read.
    pub expose_headers: Vec<String>,
    /// Whether credentials may be sent.
    pub allow_credentials: bool,
    /// How long a preflight holds, in seconds.
    pub max_age_seconds: Option<u64>,
}

/// A DynamoDB table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its logical id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The `CreateTable` request.
    pub definition: Value,
    /// The attribute that items expire by.
    pub ttl_attribute: Option<String>,
}

/// An SQS queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Its logical id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// As `CreateQueue` takes them.
    pub attributes: BTreeMap<String, String>,
}

/// An S3 bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Its logical id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Why a template cannot be deployed here.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is not YAML.
    #[error("The template is not valid YAML.")]
    Syntax {
        /// What the parser said.
        #[source]
        source: serde_yaml_ng::Error,
    },
    /// An override names no parameter.
    #[error("The template has no parameter {name}.")]
    UnknownParameter {
        /// The override's name.
        name: String,
    },
    /// A parameter has neither default nor override.
    #[error("The template's parameter {name} needs a value.")]
    MissingParameter {
        /// Its name.
        name: String,
    },
    /// A name stands for nothing in this deployment.
    #[error("In the template, {at} refers to {name}, which is no parameter, condition or resource of this deployment.")]
    UnknownReference {
        /// Where.
        at: String,
        /// The name.
        name: String,
    },
    /// An attribute that only AWS can give.
    #[error("In the template, {at} asks for {resource}.{attribute}, which has no value on one machine.")]
    NoAttribute {
        /// Where.
        at: String,
        /// The resource's logical id.
        resource: String,
        /// The attribute.
        attribute: String,
    },
    /// An intrinsic function that is not known.
    #[error("In the template, {at} uses the function {function}, which is not known here.")]
    UnknownFunction {
        /// Where.
        at: String,
        /// `Fn::…`.
        function: String,
    },
    /// A resource type that is neither emulated nor known to be without meaning here.
    #[error("The template's resource {id} is of the type {kind}, which this machine cannot stand in for.")]
    UnknownResource {
        /// Its logical id.
        id: String,
        /// Its type.
        kind: String,
    },
    /// A property that would change behaviour and is not emulated.
    #[error("In the template, {at} is not emulated on one machine.")]
    UnknownProperty {
        /// Where.
        at: String,
    },
    /// A value of another shape than is understood.
    #[error("In the template, {at} should be {expected}.")]
    Shape {
        /// Where.
        at: String,
        /// What is understood.
        expected: String,
    },
}

impl TemplateError {
    fn shape(at: &str, expected: &str) -> Self {
        Self::Shape { at: at.to_owned(), expected: expected.to_owned() }
    }
}

/// Types that change nothing on one machine: rights, logs, alarms, events for others.
const WITHOUT_MEANING: [&str; 10] = [
    "AWS::Lambda::Permission",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::Logs::",
    "AWS::IAM::",
    "AWS::KMS::",
    "AWS::CloudWatch::",
    "AWS::SNS::",
    "AWS::Cognito::",
    "AWS::Pipes::",
];

impl Template {
    /// Reads a template for `place`, with parameters replaced by `overrides`.
    pub fn read(text: &str, place: &Place, overrides: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let document = document::parse(text)?;
        let resolver = Resolver::new(&document, place, overrides)?;
        let resources = document["Resources"]
            .as_object()
            .ok_or_else(|| TemplateError::shape("Resources", "a mapping of resources"))?;
        let mut template =
            Self { functions: BTreeMap::new(), api: None, tables: Vec::new(), queues: Vec::new(), buckets: Vec::new() };
        let mut gateway = http_api::Parts::default();
        for (id, resource) in resources {
            if !resolver.applies(resource, id)? {
                continue;
            }
            let kind = resource["Type"].as_str().unwrap_or_default();
            let properties = || Properties::of(&resolver, id, resource);
            match kind {
                "AWS::Serverless::Function" => {
                    let function = functions::read(&resolver, place, id, resource, &document["Globals"]["Function"])?;
                    template.functions.insert(id.clone(), function);
                }
                "AWS::DynamoDB::Table" => template.tables.push(stores::table(&resolver, id, properties()?)?),
                "AWS::SQS::Queue" => template.queues.push(stores::queue(&resolver, id, properties()?)?),
                "AWS::S3::Bucket" => template.buckets.push(stores::bucket(&resolver, id, properties()?)?),
                _ if kind.starts_with("AWS::ApiGatewayV2::") => gateway.add(kind, id, resource),
                _ if WITHOUT_MEANING.iter().any(|known| kind.starts_with(known)) => {}
                _ => return Err(TemplateError::UnknownResource { id: id.clone(), kind: kind.to_owned() }),
            }
        }
        template.api = gateway.read(&resolver, &template.functions)?;
        Ok(template)
    }
}

#[cfg(test)]
#[path = "template/tests.rs"]
mod tests;
