//! The gateway serves exactly what api.md names.

use crate::template::{Template, logical_id, references};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const OPERATIONS: [(&str, &str, &str); 6] = [
    ("GET", "", "list_export_jobs"),
    ("HEAD", "", "list_export_jobs"),
    ("POST", "", "create_export_job"),
    ("GET", "/{id}", "get_export_job"),
    ("HEAD", "/{id}", "get_export_job"),
    ("DELETE", "/{id}", "cancel_export_job"),
];

/// What anybody may read.
const OPEN: [&str; 4] = ["GET /docs", "GET /openapi.json", "HEAD /docs", "HEAD /openapi.json"];

/// Route key → the function behind it.
pub fn expected() -> BTreeMap<String, String> {
    let mut routes = BTreeMap::from([("$default".to_owned(), logical_id("list_export_jobs"))]);
    routes.extend(OPEN.map(|key| (key.to_owned(), logical_id("list_export_jobs"))));
    for base in ["/export/jobs", "/data/core/ups/export/jobs"] {
        for slash in ["", "/"] {
            for (method, tail, function) in OPERATIONS {
                routes.insert(format!("{method} {base}{tail}{slash}"), logical_id(function));
            }
        }
    }
    routes
}

fn served(template: &Template) -> BTreeMap<String, String> {
    let behind = |route: &Value| {
        let integration = references(&route["Target"]).concat();
        references(template.at(&format!("/Resources/{integration}/Properties/IntegrationUri"))).concat()
    };
    let routes = template.all("AWS::ApiGatewayV2::Route");
    routes.iter().map(|(_, route)| (route["RouteKey"].as_str().unwrap().to_owned(), behind(route))).collect()
}

fn problems(template: &Template) -> Vec<String> {
    let mut problems = Vec::new();
    let (expected, served) = (expected(), served(template));
    if expected != served {
        let missing = expected.iter().filter(|(key, function)| served.get(*key) != Some(*function));
        problems.extend(missing.map(|(key, function)| format!("{key} does not reach {function}")));
        let unknown = served.keys().filter(|key| !expected.contains_key(*key));
        problems.extend(unknown.map(|key| format!("{key} is no route of the API")));
    }
    for (id, route) in template.all("AWS::ApiGatewayV2::Route") {
        let open = route["RouteKey"].as_str().is_some_and(|key| OPEN.contains(&key));
        if open != route["AuthorizationType"].is_null() || open != route["AuthorizerId"].is_null() {
            problems.push(format!("{id} is open, or should be"));
        } else if open {
            continue;
        }
        if route["AuthorizationType"] != "CUSTOM" || route["AuthorizerId"] != json!({ "Ref": "ApiAuthorizer" }) {
            problems.push(format!("{id} goes past the authorizer"));
        }
    }
    for (id, integration) in template.all("AWS::ApiGatewayV2::Integration") {
        if integration["IntegrationType"] != "AWS_PROXY" || integration["PayloadFormatVersion"] != "2.0" {
            problems.push(format!("{id} does not speak payload 2.0"));
        }
    }
    problems.extend(authorizer_problems(template));
    problems.extend(permission_problems(template, &expected));
    problems
}

fn authorizer_problems(template: &Template) -> Vec<String> {
    let authorizer = template.at("/Resources/ApiAuthorizer/Properties");
    let wanted = [
        ("AuthorizerType", json!("REQUEST")),
        ("AuthorizerPayloadFormatVersion", json!("2.0")),
        ("EnableSimpleResponses", json!(true)),
        ("AuthorizerResultTtlInSeconds", json!(0)),
        ("IdentitySource", Value::Null),
    ];
    let wrong = wanted.into_iter().filter(|(name, value)| authorizer[*name] != *value);
    wrong.map(|(name, value)| format!("the authorizer's {name} is not {value}")).collect()
}

fn permission_problems(template: &Template, routes: &BTreeMap<String, String>) -> Vec<String> {
    let permissions = template.all("AWS::Lambda::Permission");
    let invoked: Vec<String> = permissions.iter().map(|(_, it)| references(&it["FunctionName"]).concat()).collect();
    let behind = routes.values().cloned().chain([logical_id("authorizer")]);
    let mut problems: Vec<String> =
        behind.filter(|id| !invoked.contains(id)).map(|id| format!("the gateway may not invoke {id}")).collect();
    let unbound = permissions.iter().filter(|(_, it)| !references(&it["SourceArn"]).contains(&"Api".to_owned()));
    problems.extend(unbound.map(|(id, _)| format!("{id} is not bound to this API")));
    problems
}

#[test]
fn every_route_of_the_api_reaches_its_function_through_the_authorizer() {
    assert_eq!(problems(&Template::real()), Vec::<String>::new());
}

#[test]
fn a_broken_gateway_is_noticed() {
    for (old, new, problem) in [
        (r#""HEAD /export/jobs/{id}/""#, r#""HEAD /export/jobs/{id}/x""#, "HEAD /export/jobs/{id}/ does not reach"),
        (r#""HEAD /export/jobs/{id}/""#, r#""HEAD /export/jobs/{id}/x""#, "{id}/x is no route"),
        ("integrations/${CancelIntegration}", "integrations/${GetIntegration}", "does not reach CancelExportJob"),
        (r#"RouteKey: "$default""#, r#"RouteKey: "GET /""#, "$default does not reach"),
        ("AuthorizationType: CUSTOM", "AuthorizationType: NONE", "goes past the authorizer"),
        (r#"RouteKey: "GET /docs", "#, r#"AuthorizationType: CUSTOM, RouteKey: "GET /docs", "#, "PageRoute is open"),
        (r#"RouteKey: "GET /docs""#, r#"RouteKey: "GET /docs/""#, "GET /docs does not reach"),
        (r#"PayloadFormatVersion: "2.0", Int"#, r#"PayloadFormatVersion: "1.0", Int"#, "does not speak payload 2.0"),
        ("AuthorizerResultTtlInSeconds: 0", "AuthorizerResultTtlInSeconds: 300", "AuthorizerResultTtlInSeconds"),
        ("EnableSimpleResponses: true", "IdentitySource: [a]", "IdentitySource"),
        ("FunctionName: !Ref Authorizer", "FunctionName: !Ref Sweeper", "may not invoke Authorizer"),
        ("SourceArn: !Sub arn:${AWS::Partition}:execute-api", "SourceArn: x # ", "is not bound to this API"),
    ] {
        let found = problems(&Template::edited(old, new));
        assert!(found.iter().any(|it| it.contains(problem)), "{old} → {new}: {found:?}");
    }
}
