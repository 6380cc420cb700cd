//! S3 by s3s over a folder: one folder a bucket, keys as paths below it.
//!
//! s3s-fs looks and then writes, so that two conditional writes of one key could both win; here they take turns. And it
//! says AccessDenied of an upload that is gone; here that is NoSuchUpload, as S3 says.

mod files;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;

use self::files::Files;
use super::{ACCESS_KEY, SECRET_KEY};
use crate::StartError;
use crate::server::Server;

/// The running emulator.
#[derive(Debug)]
pub struct S3 {
    server: Server,
    folder: PathBuf,
}

impl S3 {
    /// Serves the buckets under `folder`, which is made if absent, on `listener`.
    pub fn start(listener: TcpListener, folder: &Path) -> Result<Self, StartError> {
        std::fs::create_dir_all(folder).map_err(StartError::folder(folder))?;
        let mut builder = S3ServiceBuilder::new(files(folder)?);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let buckets =
            Arc::new(Buckets { service: builder.build(), folder: folder.to_owned(), turns: Turns::default() });
        let server = Server::start(listener, move |request| answer(buckets.clone(), request))
            .map_err(|source| StartError::Listen { port: 0, source })?;
        Ok(Self { server, folder: folder.to_owned() })
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The folder that holds the buckets.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates a bucket unless it is there.
    pub fn create_bucket_if_absent(&self, name: &str) -> std::io::Result<()> {
        std::fs::create_dir_all(self.folder.join(name))
    }

    /// Stops serving; the objects stay.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

fn files(folder: &Path) -> Result<Files, StartError> {
    s3s_fs::FileSystem::new(folder).map(|objects| Files::new(objects, folder)).map_err(|error| StartError::Folder {
        path: folder.to_owned(),
        source: std::io::Error::other(format!("{error:?}")),
    })
}

struct Buckets {
    service: S3Service,
    folder: PathBuf,
    turns: Turns,
}

async fn answer(buckets: Arc<Buckets>, request: Request<Incoming>) -> Response<s3s::Body> {
    if upload_of(request.uri()).is_some_and(|id| !buckets.folder.join(format!(".upload-{id}.json")).exists()) {
        return no_such_upload();
    }
    let request = request.map(s3s::Body::from);
    let answered = if is_conditional_write(&request) {
        let turn = buckets.turns.of(request.uri().path());
        let _mine = turn.lock().await;
        buckets.service.call(request).await
    } else {
        buckets.service.call(request).await
    };
    answered.unwrap_or_else(|error| {
        tracing::error!(?error, "the S3 emulator failed");
        let mut response = Response::new(s3s::Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// The multipart upload that a request is about.
fn upload_of(uri: &Uri) -> Option<uuid::Uuid> {
    let mut query = url::form_urlencoded::parse(uri.query()?.as_bytes());
    let (_, id) = query.find(|(name, _)| name == "uploadId")?;
    // What is no id of ours is left to the service to refuse.
    id.parse().ok()
}

fn no_such_upload() -> Response<s3s::Body> {
    let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchUpload</Code>\
               <Message>The specified upload does not exist.</Message></Error>";
    let mut response = Response::new(s3s::Body::from(Bytes::from_static(xml.as_bytes())));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

/// A PUT, or a POST that completes an upload, that depends on what is there.
fn is_conditional_write<B>(request: &Request<B>) -> bool {
    matches!(*request.method(), Method::PUT | Method::POST)
        && (request.headers().contains_key(header::IF_NONE_MATCH) || request.headers().contains_key(header::IF_MATCH))
}

/// One lock per key that is being written on a condition.
#[derive(Clone, Default)]
struct Turns(Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>);

impl Turns {
    fn of(&self, path: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A lock that only the map holds has nobody waiting.
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        locks.entry(path.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::lambda::fake::HttpClient;
    use crate::server::listen;

    #[test]
    fn only_writes_with_a_condition_take_turns() {
        let put = Request::put("/b/k");
        assert!(is_conditional_write(&put.header("if-none-match", "*").body(()).unwrap()));
        assert!(!is_conditional_write(&Request::put("/b/k").body(()).unwrap()));
        assert!(!is_conditional_write(&Request::get("/b/k").header("if-none-match", "x").body(()).unwrap()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_conditional_writes_of_one_key_exactly_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        // Without authentication, so that the test need not sign.
        let service = S3ServiceBuilder::new(files(folder.path()).unwrap()).build();
        let buckets = Arc::new(Buckets { service, folder: folder.path().to_owned(), turns: Turns::default() });
        let server = Server::start(listen(0).await.unwrap(), move |request| answer(buckets.clone(), request)).unwrap();
        std::fs::create_dir(folder.path().join("bucket")).unwrap();
        let client = HttpClient::new();
        let url = format!("{}/bucket/key", server.url());
        let racers: Vec<_> = (0..16)
            .map(|_| {
                let (client, url) = (client.clone(), url.clone());
                let body = vec![b'x'; 256 * 1024];
                tokio::spawn(async move { client.put(&url, &[("if-none-match", "*")], body).await })
            })
            .collect();
        let mut statuses = Vec::new();
        for racer in racers {
            statuses.push(racer.await.unwrap().0);
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![200], vec![412; 15]].concat());
        server.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_upload_of_a_long_key_begins() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bucket")).unwrap();
        let service = S3ServiceBuilder::new(files(folder.path()).unwrap()).build();
        let buckets = Arc::new(Buckets { service, folder: folder.path().to_owned(), turns: Turns::default() });
        let server = Server::start(listen(0).await.unwrap(), move |request| answer(buckets.clone(), request)).unwrap();
        let url = format!("{}/bucket/{}?uploads", server.url(), "k".repeat(140));
        let (status, body) = HttpClient::new().post(&url, &[], serde_json::Value::Null).await;
        assert_eq!(status, 200, "{body:?}");
        assert!(body.contains(&"k".repeat(140)), "{body}");
        server.stop().await;
    }

    #[test]
    fn a_request_names_its_upload() {
        let id = uuid::Uuid::new_v4();
        let uri = |query: &str| format!("/b/k?{query}").parse::<Uri>().unwrap();
        assert_eq!(upload_of(&uri(&format!("partNumber=1&uploadId={id}"))), Some(id));
        assert_eq!(upload_of(&uri("uploads")), None);
        assert_eq!(upload_of(&uri("uploadId=..%2F..")), None);
    }

    #[test]
    fn locks_of_keys_that_nobody_writes_are_dropped() {
        let turns = Turns::default();
        let held = turns.of("/b/1");
        drop(turns.of("/b/2"));
        drop(turns.of("/b/3"));
        let keys: Vec<_> = turns.0.lock().unwrap().keys().cloned().collect();
        assert!(keys.contains(&"/b/1".to_owned()) && !keys.contains(&"/b/2".to_owned()), "{keys:?}");
        drop(held);
    }
}
