//! The clients, made once from one configuration.

use crate::{DynamoJobs, DynamoRegistry, S3Objects, SqsQueue};
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use aws_smithy_types::timeout::TimeoutConfig;
use std::time::Duration;

/// A connection that is not made by then will not be.
const CONNECT_SECONDS: u64 = 3;
/// Longest wait for the first byte of an answer; a part's upload lies within it.
const ANSWER_SECONDS: u64 = 60;

/// The SDK's clients of this process. Cheap to clone; nothing is contacted before it is used.
#[derive(Clone, Debug)]
pub struct Clients {
    config: SdkConfig,
    dynamodb: aws_sdk_dynamodb::Client,
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    glue_endpoint: Option<String>,
}

/// Where a stack on one machine is, as its `stack.json` tells.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// URL of DynamoDB.
    pub dynamodb: String,
    /// URL of S3.
    pub s3: String,
    /// URL of SQS.
    pub sqs: String,
    /// URL of Glue.
    pub glue: String,
    /// The region that its requests are signed for.
    pub region: String,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
}

/// The clients as the environment says: region, credentials, and the SDK's own `AWS_ENDPOINT_URL_*` variables.
pub async fn connect() -> Clients {
    let config = Box::pin(loader().load()).await;
    let own = |service: &str| std::env::var(format!("AWS_ENDPOINT_URL_{service}")).ok().filter(|url| !url.is_empty());
    let common = config.endpoint_url().map(str::to_owned);
    let own_s3 = own("S3").or_else(|| common.clone());
    // Buckets as host names resolve only at S3 itself.
    let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(own_s3.is_some()).build();
    Clients {
        dynamodb: aws_sdk_dynamodb::Client::new(&config),
        s3: aws_sdk_s3::Client::from_conf(s3),
        sqs: aws_sdk_sqs::Client::new(&config),
        glue_endpoint: own("GLUE").or(common),
        config,
    }
}

fn loader() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
        .read_timeout(Duration::from_secs(ANSWER_SECONDS))
        .build();
    aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts)
}

impl Clients {
    /// The clients of a stack at known endpoints, whatever the environment says.
    pub async fn at(stack: &Endpoints) -> Self {
        let credentials = Credentials::new(&stack.access_key, &stack.secret_key, None, None, "stack.json");
        let region = Region::new(stack.region.clone());
        let config = Box::pin(loader().region(region).credentials_provider(credentials).load()).await;
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&config).endpoint_url(&stack.dynamodb).build();
        let s3 = aws_sdk_s3::config::Builder::from(&config).endpoint_url(&stack.s3).force_path_style(true).build();
        let sqs = aws_sdk_sqs::config::Builder::from(&config).endpoint_url(&stack.sqs).build();
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb),
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            glue_endpoint: Some(stack.glue.clone()),
            config,
        }
    }

    /// The jobs in a table.
    pub fn jobs(&self, table: &str) -> DynamoJobs {
        DynamoJobs::new(self.dynamodb.clone(), table)
    }

    /// The registry in a table, which may be that of the jobs.
    pub fn registry(&self, table: &str) -> DynamoRegistry {
        DynamoRegistry::new(self.dynamodb.clone(), table)
    }

    /// The objects of all buckets.
    pub fn objects(&self) -> S3Objects {
        S3Objects::new(self.s3.clone())
    }

    /// The work queue at a URL.
    pub fn queue(&self, url: &str) -> SqsQueue {
        SqsQueue::new(self.sqs.clone(), url)
    }

    /// The region; `None` where nothing names one.
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }

    /// Where Glue is, if not at its usual place.
    pub fn glue_endpoint(&self) -> Option<&str> {
        self.glue_endpoint.as_deref()
    }

    /// Who the process is, for requests that are signed by hand; `None` where nothing says so.
    pub fn credentials(&self) -> Option<SharedCredentialsProvider> {
        self.config.credentials_provider()
    }
}
