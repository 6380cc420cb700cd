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
/// For a whole call, from connecting to the last byte read.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
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
        let connector = aws_smithy_http_client::Connector::builder()
            .connector_settings(HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build())
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
        let body =
            json!({ "DatabaseName": database, "TableInput": input, "VersionId": version_id, "SkipArchive": true });
        self.call("UpdateTable", &body).await.map(drop)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use aws_credential_types::Credentials;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A server that gives these answers, one a connection, and hands back the requests.
    async fn serve(answers: Vec<(u16, &'static str)>) -> (Glue, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let mut requests = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                requests.push(request(&mut stream).await);
                let head =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all((head + body).as_bytes()).await.unwrap();
            }
            requests
        });
        let credentials = Credentials::new("AKID", "secret", Some("session".into()), None, "test");
        (Glue::new("eu-west-1", Some(&endpoint), SharedCredentialsProvider::new(credentials)), server)
    }

    async fn request(stream: &mut tokio::net::TcpStream) -> String {
        let mut text = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let n = stream.read(&mut piece).await.unwrap();
            text.extend_from_slice(&piece[..n]);
            let so_far = String::from_utf8(text.clone()).unwrap().to_lowercase();
            let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                return String::from_utf8(text).unwrap();
            }
        }
    }

    fn name() -> TableName {
        TableName { database: "lake".into(), table: "profiles".into() }
    }

    #[tokio::test]
    async fn a_call_is_a_signed_post_and_its_answer_is_read() {
        let answer = r#"{"Table":{"Name":"profiles","VersionId":"3","Retention":0,"CreateTime":1.7e9,
            "Parameters":{"table_type":"iceberg","metadata_location":"s3://b/m"},
            "StorageDescriptor":{"Columns":[{"Name":"c","Type":"string"}],"Location":"s3://b","SortColumns":[]}}}"#;
        let (glue, server) = serve(vec![(200, answer)]).await;
        let table = glue.table(&name()).await.unwrap();
        assert_eq!((table.version_id.as_deref(), table.metadata_location()), (Some("3"), Some("s3://b/m")));
        let request = server.await.unwrap().remove(0);
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        for part in ["POST / HTTP/1.1", "AWSGlue.GetTable", CONTENT_TYPE, "/eu-west-1/glue/aws4_request", "session"] {
            assert!(head.contains(part), "{part}: {head}");
        }
        assert!(
            head.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target"),
            "{head}"
        );
        assert_eq!(body, r#"{"DatabaseName":"lake","Name":"profiles"}"#);
    }

    #[tokio::test]
    async fn reads_are_sent_again_and_writes_are_not() {
        let busy = (400, r#"{"__type":"ThrottlingException","Message":"slow down"}"#);
        let (glue, server) = serve(vec![busy, busy, (200, r#"{"Table":{"Name":"profiles","Parameters":{}}}"#)]).await;
        assert_eq!(glue.table(&name()).await.unwrap().input.name, "profiles");
        assert_eq!(server.await.unwrap().len(), 3);

        let (glue, server) = serve(vec![busy, (200, "{}")]).await;
        let input = TableInput { name: "profiles".into(), ..TableInput::default() };
        let unclear = glue.update_table("lake", &input, "7").await;
        assert!(matches!(unclear, Err(GlueError::Unavailable(_))), "{unclear:?}");
        glue.create_database(&Database::default()).await.unwrap();
        let request = server.await.unwrap().remove(0);
        for part in ["AWSGlue.UpdateTable", r#""VersionId":"7""#, r#""SkipArchive":true"#] {
            assert!(request.contains(part), "{part}: {request}");
        }
    }

    #[tokio::test]
    async fn all_pages_of_a_list_are_read() {
        let pages = vec![
            (200, r#"{"TableList":[{"Name":"a","Parameters":{}}],"NextToken":"t1"}"#),
            (200, r#"{"TableList":[{"Name":"b","Parameters":{}}]}"#),
        ];
        let (glue, server) = serve(pages).await;
        let names: Vec<_> = glue.tables("lake").await.unwrap().into_iter().map(|t| t.input.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(server.await.unwrap()[1].contains(r#""NextToken":"t1""#));
    }

    #[test]
    fn answers_are_told_apart_by_what_they_mean() {
        let meaning =
            |status, kind: &str| match refusal(status, format!(r#"{{"__type":"{kind}","message":"m"}}"#).as_bytes()) {
                GlueError::NotFound => "not found",
                GlueError::AlreadyExists => "exists",
                GlueError::VersionMismatch => "version",
                GlueError::Denied(_) => "denied",
                GlueError::Unavailable(_) => "unavailable",
                GlueError::Invalid(_) => "invalid",
            };
        let cases = [
            (400, "EntityNotFoundException", "not found"),
            (400, "com.amazonaws.glue#AlreadyExistsException", "exists"),
            (400, "ConcurrentModificationException", "version"),
            (400, "VersionMismatchException", "version"),
            (400, "AccessDeniedException", "denied"),
            (403, "", "denied"),
            (400, "ThrottlingException", "unavailable"),
            (429, "", "unavailable"),
            (500, "Whatever", "unavailable"),
            (503, "", "unavailable"),
            (400, "InvalidInputException", "invalid"),
        ];
        for (status, kind, meant) in cases {
            assert_eq!(meaning(status, kind), meant, "{status} {kind}");
        }
        assert!(matches!(refusal(502, b"<html>"), GlueError::Unavailable(_)));
    }

    #[tokio::test]
    async fn a_catalog_that_cannot_be_reached_is_unavailable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let credentials = Credentials::new("AKID", "secret", None, None, "test");
        let glue = Glue::new("eu-west-1", Some(&endpoint), SharedCredentialsProvider::new(credentials));
        let unclear = glue.create_database(&Database::default()).await;
        assert!(matches!(unclear, Err(GlueError::Unavailable(_))), "{unclear:?}");
    }
}
