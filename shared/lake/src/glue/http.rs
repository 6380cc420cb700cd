//! The catalog over Glue's JSON protocol: one signed POST a call.

use super::{Database, GlueApi, GlueError, GlueTable, TableInput};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use domain::plan::TableName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// From the first byte sent to the last one read.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Pauses before a read is sent again. Writes are never sent again.
const READ_PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];

/// Glue, or whatever speaks its protocol at an endpoint. Clones share connections.
#[derive(Clone, Debug)]
pub struct Glue {
    endpoint: String,
    region: String,
    credentials: SharedCredentialsProvider,
    connector: SharedHttpConnector,
}

impl Glue {
    /// A client for a region; without an endpoint URL (`http://` or `https://`), for AWS's own.
    pub fn new(region: &str, endpoint: Option<&str>, credentials: SharedCredentialsProvider) -> Self {
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let endpoint = endpoint.map_or_else(|| format!("https://glue.{region}.{domain}"), str::to_owned);
        let settings =
            HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(CALL_TIMEOUT).build();
        let connector = aws_smithy_http_client::Connector::builder()
            .connector_settings(settings)
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build();
        let connector = SharedHttpConnector::new(connector);
        Self { endpoint: endpoint.trim_end_matches('/').into(), region: region.into(), credentials, connector }
    }

    /// A call that changes nothing, sent again while the catalog is unavailable.
    async fn read<T: DeserializeOwned>(&self, action: &str, body: &Value) -> Result<T, GlueError> {
        for pause in READ_PAUSES {
            match self.call(action, body).await {
                Err(GlueError::Unavailable(source)) => {
                    tracing::debug!(action, source, "the catalog is asked again");
                    tokio::time::sleep(pause).await;
                }
                settled => return parse(&settled?),
            }
        }
        parse(&self.call(action, body).await?)
    }

    async fn call(&self, action: &str, body: &Value) -> Result<Bytes, GlueError> {
        let timeout = |_| GlueError::Unavailable("no answer in time".into());
        tokio::time::timeout(CALL_TIMEOUT, self.send(action, body.to_string())).await.map_err(timeout)?
    }

    async fn send(&self, action: &str, body: String) -> Result<Bytes, GlueError> {
        let request = self.signed(action, body).await?;
        let response = self.connector.call(request).await.map_err(|e| GlueError::Unavailable(Box::new(e)))?;
        let status = response.status().as_u16();
        let body = ByteStream::new(response.into_body()).collect().await;
        let body = body.map_err(|e| GlueError::Unavailable(Box::new(e)))?.into_bytes();
        if status == 200 { Ok(body) } else { Err(refusal(status, &body)) }
    }

    async fn signed(&self, action: &str, body: String) -> Result<HttpRequest, GlueError> {
        let identity = self.credentials.provide_credentials().await.map_err(|e| match e {
            CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
                GlueError::Denied(Box::new(e))
            }
            _ => GlueError::Unavailable(Box::new(e)),
        })?;
        let identity = identity.into();
        let invalid = |e: Box<dyn std::error::Error + Send + Sync>| GlueError::Invalid(e);
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("glue")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| invalid(Box::new(e)))?
            .into();
        let url = format!("{}/", self.endpoint);
        let headers = [("content-type", CONTENT_TYPE.to_owned()), ("x-amz-target", format!("AWSGlue.{action}"))];
        let named = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable = SignableRequest::new("POST", url.as_str(), named, SignableBody::Bytes(body.as_bytes()))
            .map_err(|e| invalid(Box::new(e)))?;
        let (instructions, _) = sign(signable, &params).map_err(|e| invalid(Box::new(e)))?.into_parts();
        let mut request = http::Request::post(&url);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(SdkBody::from(body)).map_err(|e| invalid(Box::new(e)))?;
        instructions.apply_to_request_http1x(&mut request);
        HttpRequest::try_from(request).map_err(|e| invalid(Box::new(e)))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, GlueError> {
    serde_json::from_slice(body).map_err(|e| GlueError::Unavailable(Box::new(e)))
}

/// What an answer other than 200 means.
fn refusal(status: u16, body: &[u8]) -> GlueError {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Answer {
        #[serde(rename = "__type")]
        kind: String,
        #[serde(rename = "Message", alias = "message")]
        message: String,
    }
    let Answer { kind, message } = serde_json::from_slice(body).unwrap_or_default();
    // Some endpoints write the exception's namespace before its name.
    let kind = kind.rsplit_once('#').map_or(kind.as_str(), |(_, name)| name);
    let source = format!("{status} {kind}: {message}").into();
    match kind {
        "EntityNotFoundException" => GlueError::NotFound,
        "AlreadyExistsException" => GlueError::AlreadyExists,
        "ConcurrentModificationException" | "VersionMismatchException" => GlueError::VersionMismatch,
        "AccessDeniedException"
        | "GlueEncryptionException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException"
        | "ExpiredTokenException" => GlueError::Denied(source),
        "ThrottlingException"
        | "RequestLimitExceeded"
        | "OperationTimeoutException"
        | "ResourceNotReadyException"
        | "InternalServiceException"
        | "InternalFailure"
        | "ServiceUnavailable" => GlueError::Unavailable(source),
        _ => match status {
            401 | 403 => GlueError::Denied(source),
            408 | 429 | 500.. => GlueError::Unavailable(source),
            _ => GlueError::Invalid(source),
        },
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneDatabase {
    database: Database,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneTable {
    table: GlueTable,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManyTables {
    #[serde(default)]
    table_list: Vec<GlueTable>,
    next_token: Option<String>,
}

impl GlueApi for Glue {
    async fn database(&self, name: &str) -> Result<Database, GlueError> {
        let answer: OneDatabase = self.read("GetDatabase", &json!({ "Name": name })).await?;
        Ok(answer.database)
    }

    async fn create_database(&self, database: &Database) -> Result<(), GlueError> {
        self.call("CreateDatabase", &json!({ "DatabaseInput": database })).await.map(drop)
    }

    async fn table(&self, name: &TableName) -> Result<GlueTable, GlueError> {
        let body = json!({ "DatabaseName": name.database, "Name": name.table });
        let answer: OneTable = self.read("GetTable", &body).await?;
        Ok(answer.table)
    }

    async fn tables(&self, database: &str) -> Result<Vec<GlueTable>, GlueError> {
        let mut tables = Vec::new();
        let mut body = json!({ "DatabaseName": database });
        loop {
            let page: ManyTables = self.read("GetTables", &body).await?;
            tables.extend(page.table_list);
            match page.next_token.filter(|t| !t.is_empty()) {
                Some(token) => body["NextToken"] = token.into(),
                None => return Ok(tables),
            }
        }
    }

    async fn create_table(&self, database: &str, input: &TableInput) -> Result<(), GlueError> {
        self.call("CreateTable", &json!({ "DatabaseName": database, "TableInput": input })).await.map(drop)
    }

    async fn update_table(&self, database: &str, input: &TableInput, version_id: &str) -> Result<(), GlueError> {
        // No archive: the metadata files are the history, and Glue counts its versions against a quota.
        let body = json!({ "DatabaseName": database, "TableInput": input, "VersionId": version_id, "SkipArchive": true });
        self.call("UpdateTable", &body).await.map(drop)
    }
}
