//! The ports over AWS: jobs and registry in DynamoDB, objects in S3, messages in SQS. The only crate that links their SDKs.

mod clients;
mod dynamodb;
mod jobs;
mod objects;
mod patience;
mod queue;
mod registry;

pub use aws_sdk_dynamodb::config::{Region, SharedCredentialsProvider};
pub use clients::{Clients, Endpoints, connect};
pub use jobs::DynamoJobs;
pub use objects::{S3Objects, S3Upload};
pub use queue::SqsQueue;
pub use registry::DynamoRegistry;
