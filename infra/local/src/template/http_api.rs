//! The HTTP API of the template: its routes, and the functions behind their integrations and authorizers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::properties::Properties;
use super::resolver::Resolver;
use super::{Cors, Function, HttpApi, Route, TemplateError};

/// The gateway's own limit on an integration.
const LONGEST_INTEGRATION_MS: u64 = 30_000;

/// The `AWS::ApiGatewayV2::*` resources, gathered before they are joined.
#[derive(Default)]
pub(super) struct Parts<'a> {
    by_kind: BTreeMap<&'a str, Vec<(&'a str, &'a Value)>>,
}

impl<'a> Parts<'a> {
    pub(super) fn add(&mut self, kind: &'a str, id: &'a str, resource: &'a Value) {
        self.by_kind.entry(kind).or_default().push((id, resource));
    }

    /// Joins the parts; the functions are those of the template.
    pub(super) fn read(
        mut self,
        resolver: &Resolver<'_>,
        functions: &BTreeMap<String, Function>,
    ) -> Result<Option<HttpApi>, TemplateError> {
        let mut of_kind = |kind| self.by_kind.remove(kind).unwrap_or_default();
        let apis = of_kind("AWS::ApiGatewayV2::Api");
        let (integration_parts, authorizer_parts) =
            (of_kind("AWS::ApiGatewayV2::Integration"), of_kind("AWS::ApiGatewayV2::Authorizer"));
        let (route_parts, stages) = (of_kind("AWS::ApiGatewayV2::Route"), of_kind("AWS::ApiGatewayV2::Stage"));
        if let Some((kind, parts)) = self.by_kind.first_key_value() {
            let id = parts.first().map(|(id, _)| *id).unwrap_or_default();
            return Err(TemplateError::UnknownResource { id: id.to_owned(), kind: (*kind).to_owned() });
        }
        let Some((api_id, api)) = apis.first() else { return Ok(None) };
        if let Some((second, _)) = apis.get(1) {
            return Err(TemplateError::shape(second, "the only HTTP API"));
        }
        for (id, resource) in stages {
            stage(Properties::of(resolver, id, resource)?)?;
        }
        let mut integrations = BTreeMap::new();
        for (id, resource) in integration_parts {
            integrations.insert(id, integration(Properties::of(resolver, id, resource)?, functions)?);
        }
        let mut authorizers = BTreeMap::new();
        for (id, resource) in authorizer_parts {
            authorizers.insert(id, authorizer(Properties::of(resolver, id, resource)?, functions)?);
        }
        let mut routes = Vec::new();
        for (id, resource) in route_parts {
            routes.push(route(Properties::of(resolver, id, resource)?, &integrations, &authorizers)?);
        }
        let cors = cors(Properties::of(resolver, api_id, api)?)?;
        Ok(Some(HttpApi { id: (*api_id).to_owned(), routes, cors }))
    }
}

fn stage(mut properties: Properties<'_>) -> Result<(), TemplateError> {
    // Another stage's name would stand before every path.
    properties.only("StageName", "$default")?;
    properties.end(&["ApiId", "AutoDeploy", "AccessLogSettings", "DefaultRouteSettings", "RouteSettings", "Tags"])
}

/// The function's logical id, and how long the gateway waits for it.
fn integration(
    mut properties: Properties<'_>,
    functions: &BTreeMap<String, Function>,
) -> Result<(String, Duration), TemplateError> {
    properties.only("IntegrationType", "AWS_PROXY")?;
    properties.only("PayloadFormatVersion", "2.0")?;
    properties.only("IntegrationMethod", "POST")?;
    let function = function_of(&mut properties, "IntegrationUri", functions)?;
    let timeout = properties.number("TimeoutInMillis")?.unwrap_or(LONGEST_INTEGRATION_MS).min(LONGEST_INTEGRATION_MS);
    properties.end(&["ApiId", "Description"])?;
    Ok((function, Duration::from_millis(timeout)))
}

fn authorizer(mut properties: Properties<'_>, functions: &BTreeMap<String, Function>) -> Result<String, TemplateError> {
    properties.only("AuthorizerType", "REQUEST")?;
    properties.only("AuthorizerPayloadFormatVersion", "2.0")?;
    properties.only("EnableSimpleResponses", "true")?;
    properties.only("AuthorizerResultTtlInSeconds", "0")?;
    let function = function_of(&mut properties, "AuthorizerUri", functions)?;
    // Identity sources are not among these: with them the gateway would answer 401 by itself.
    properties.end(&["ApiId", "Name"])?;
    Ok(function)
}

/// The function whose ARN the URI is or holds.
fn function_of(
    properties: &mut Properties<'_>,
    key: &str,
    functions: &BTreeMap<String, Function>,
) -> Result<String, TemplateError> {
    let at = properties.at(key);
    let uri = properties.required_text(key)?;
    let arn = match uri.split_once("/functions/") {
        Some((_, rest)) => rest.strip_suffix("/invocations").unwrap_or(rest),
        None => &uri,
    };
    let found = functions.iter().find(|(_, function)| function.arn == arn).map(|(id, _)| id.clone());
    found.ok_or_else(|| TemplateError::shape(&at, "the ARN of a function of the template"))
}

fn route(
    mut properties: Properties<'_>,
    integrations: &BTreeMap<&str, (String, Duration)>,
    authorizers: &BTreeMap<&str, String>,
) -> Result<Route, TemplateError> {
    let at = properties.at("Target");
    let key = properties.required_text("RouteKey")?;
    let target = properties.required_text("Target")?;
    let integration = target.strip_prefix("integrations/").and_then(|id| integrations.get(id));
    let (function, timeout) =
        integration.cloned().ok_or_else(|| TemplateError::shape(&at, "integrations/ and an integration's id"))?;
    let at = properties.at("AuthorizerId");
    let authorizer = match (properties.text("AuthorizationType")?.as_deref(), properties.text("AuthorizerId")?) {
        (None | Some("NONE"), None) => None,
        (Some("CUSTOM"), Some(id)) => {
            let function = authorizers.get(id.as_str()).cloned();
            Some(function.ok_or_else(|| TemplateError::shape(&at, "the id of an authorizer"))?)
        }
        _ => return Err(TemplateError::shape(&at, "an authorizer with the authorization type CUSTOM, or neither")),
    };
    properties.end(&["ApiId", "OperationName"])?;
    Ok(Route { key, function, timeout, authorizer })
}

fn cors(mut properties: Properties<'_>) -> Result<Option<Cors>, TemplateError> {
    properties.only("ProtocolType", "HTTP")?;
    let cors = match properties.mapping("CorsConfiguration")? {
        Some(mut rules) => {
            let cors = Cors {
                allow_origins: rules.texts("AllowOrigins")?,
                allow_methods: rules.texts("AllowMethods")?,
                allow_headers: rules.texts("AllowHeaders")?,
                expose_headers: rules.texts("ExposeHeaders")?,
                allow_credentials: rules.flag("AllowCredentials")?.unwrap_or(false),
                max_age_seconds: rules.number("MaxAge")?,
            };
            rules.end(&[])?;
            Some(cors)
        }
        None => None,
    };
    properties.end(&["Name", "Description", "DisableExecuteApiEndpoint", "Version", "Tags"])?;
    Ok(cors)
}
