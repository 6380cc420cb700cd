#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::lambda::fake::Fake;
use crate::template::Route;

fn desk(authorizer: impl Fn(Value) -> Option<Value> + Send + Sync + 'static) -> Desk<Fake> {
    let route = |key: &str, function: &str| Route {
        key: key.into(),
        function: function.into(),
        timeout: Duration::from_millis(50),
        authorizer: Some("Ask".into()),
    };
    let api = HttpApi {
        id: "Api".into(),
        routes: vec![route("GET /jobs/{id}", "Get"), route("GET /broken", "Broken"), route("POST /jobs", "Get")],
        cors: None,
    };
    let get = |event: Value| {
        let context = &event["requestContext"]["authorizer"]["lambda"];
        Some(json!({ "statusCode": 200, "body": format!("{} for {}", event["pathParameters"]["id"], context["who"]) }))
    };
    let functions = BTreeMap::from([
        ("Ask".to_owned(), Fake::new(authorizer)),
        ("Get".to_owned(), Fake::new(get)),
        ("Broken".to_owned(), Fake::new(|_| None)),
    ]);
    Desk::new(&api, &functions)
}

fn allow(event: Value) -> Option<Value> {
    Some(json!({ "isAuthorized": true, "context": { "who": event["headers"]["authorization"] } }))
}

async fn ask(desk: &Desk<Fake>, request: http::request::Builder, body: Vec<u8>) -> (u16, String) {
    let response = desk.answer(request.body(Full::<Bytes>::from(body)).unwrap()).await;
    let status = response.status().as_u16();
    (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn a_request_goes_through_the_authorizer_to_its_function() {
    let answer = ask(&desk(allow), Request::get("/jobs/7").header("authorization", "me"), Vec::new()).await;
    assert_eq!(answer, (200, r#""7" for "me""#.to_owned()));
}

#[tokio::test]
async fn a_path_without_a_route_is_not_found() {
    let answer = ask(&desk(allow), Request::get("/nowhere"), Vec::new()).await;
    assert_eq!(answer, (404, r#"{"message":"Not Found"}"#.to_owned()));
}

#[tokio::test]
async fn a_function_that_fails_is_an_internal_error() {
    let answer = ask(&desk(allow), Request::get("/broken"), Vec::new()).await;
    assert_eq!(answer, (500, r#"{"message":"Internal Server Error"}"#.to_owned()));
}

#[tokio::test]
async fn a_denying_authorizer_forbids_and_a_failing_one_is_an_internal_error() {
    let denied = ask(&desk(|_| Some(json!({ "isAuthorized": false }))), Request::get("/jobs/7"), Vec::new()).await;
    assert_eq!(denied, (403, r#"{"message":"Forbidden"}"#.to_owned()));
    assert_eq!(ask(&desk(|_| None), Request::get("/jobs/7"), Vec::new()).await.0, 500);
    assert_eq!(ask(&desk(|_| Some(json!("yes"))), Request::get("/jobs/7"), Vec::new()).await.0, 500);
}

#[tokio::test]
async fn a_body_over_ten_megabytes_is_too_large() {
    let answer = ask(&desk(allow), Request::post("/jobs"), vec![b' '; MAX_BODY_BYTES + 1]).await;
    assert_eq!(answer.0, 413);
    assert_eq!(ask(&desk(allow), Request::post("/jobs"), vec![b' '; 1024]).await.0, 200);
}

#[derive(Clone)]
struct Sleeper;

impl Invoke for Sleeper {
    async fn invoke(&self, _: Bytes) -> Result<Bytes, crate::lambda::InvokeError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_function_that_takes_too_long_makes_the_gateway_unavailable() {
    let route =
        Route { key: "$default".into(), function: "F".into(), timeout: Duration::from_millis(1), authorizer: None };
    let api = HttpApi { id: "Api".into(), routes: vec![route], cors: None };
    let desk = Desk::new(&api, &BTreeMap::from([("F".to_owned(), Sleeper)]));
    let response = desk.answer(Request::get("/").body(Full::<Bytes>::default()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}
