//! Functions of the template, with what `Globals` adds, and what starts them: queues and schedules.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::properties::Properties;
use super::resolver::Resolver;
use super::{Function, Place, QueueMapping, Schedule, TemplateError};

/// How a function is built and watched, which changes nothing here.
const HARMLESS: [&str; 15] = [
    "FunctionName",
    "CodeUri",
    "Handler",
    "Runtime",
    "Architectures",
    "Tracing",
    "LoggingConfig",
    "Policies",
    "Role",
    "Description",
    "Tags",
    "EphemeralStorage",
    "PermissionsBoundary",
    "RecursiveLoop",
    "KmsKeyArn",
];

pub(super) fn read(
    resolver: &Resolver<'_>,
    place: &Place,
    id: &str,
    resource: &Value,
    globals: &Value,
) -> Result<Function, TemplateError> {
    let name = resolver.physical_name(id)?;
    let operation = &resource["Metadata"]["BuildProperties"]["Binary"];
    let operation = operation.as_str().ok_or_else(|| {
        TemplateError::shape(&format!("{id}.Metadata.BuildProperties.Binary"), "the name of the function's binary")
    })?;
    let at = format!("{id}.Properties");
    let mut properties = Properties::new(resolver, &at, with_globals(&resource["Properties"], globals))?;
    let environment = match properties.mapping("Environment")? {
        Some(mut environment) => {
            let variables = environment.mapping("Variables")?;
            environment.end(&[])?;
            variables.map(texts).transpose()?.unwrap_or_default()
        }
        None => BTreeMap::new(),
    };
    let (queues, schedules) = properties.mapping("Events")?.map(triggers).transpose()?.unwrap_or_default();
    let function = Function {
        arn: place.arn("lambda", &format!("function:{name}")),
        name,
        operation: operation.to_owned(),
        memory_mb: in_range(properties.number("MemorySize")?.unwrap_or(128), &at)?,
        timeout: Duration::from_secs(properties.number("Timeout")?.unwrap_or(3)),
        environment,
        reserved_concurrency: count(properties.number("ReservedConcurrentExecutions")?, &at)?,
        queues,
        schedules,
    };
    properties.end(&HARMLESS)?;
    Ok(function)
}

/// The function's own properties over those of `Globals`; environment variables of both.
fn with_globals(own: &Value, globals: &Value) -> Value {
    let empty = Map::new();
    let mut merged = globals.as_object().unwrap_or(&empty).clone();
    for (key, value) in own.as_object().unwrap_or(&empty) {
        match (key.as_str(), merged.get_mut(key)) {
            ("Environment", Some(environment)) => {
                let own = value["Variables"].as_object().unwrap_or(&empty).clone();
                if let Some(variables) = environment["Variables"].as_object_mut() {
                    variables.extend(own);
                }
            }
            _ => {
                merged.insert(key.clone(), value.clone());
            }
        }
    }
    merged.into()
}

fn texts(mut variables: Properties<'_>) -> Result<BTreeMap<String, String>, TemplateError> {
    let names = variables.keys();
    names.into_iter().filter_map(|name| Some(variables.text(&name).transpose()?.map(|text| (name, text)))).collect()
}

fn triggers(mut events: Properties<'_>) -> Result<(Vec<QueueMapping>, Vec<Schedule>), TemplateError> {
    let (mut queues, mut schedules) = (Vec::new(), Vec::new());
    for name in events.keys() {
        let Some(mut event) = events.mapping(&name)? else { continue };
        let kind_at = event.at("Type");
        let kind = event.required_text("Type")?;
        let Some(mut properties) = event.mapping("Properties")? else { continue };
        event.end(&[])?;
        let enabled = properties.flag("Enabled")?.unwrap_or(true);
        match kind.as_str() {
            "SQS" => queues.extend(enabled.then_some(queue_mapping(properties)?)),
            "Schedule" => schedules.extend(enabled.then_some(schedule(&name, "Schedule", properties)?)),
            "ScheduleV2" => schedules.extend(enabled.then_some(schedule(&name, "ScheduleExpression", properties)?)),
            _ => return Err(TemplateError::shape(&kind_at, "SQS, Schedule or ScheduleV2")),
        }
    }
    Ok((queues, schedules))
}

fn queue_mapping(mut properties: Properties<'_>) -> Result<QueueMapping, TemplateError> {
    let at = properties.at("Queue");
    let queue_arn = properties.required_text("Queue")?;
    let queue = queue_arn.strip_prefix("arn:aws:sqs:").and_then(|rest| rest.rsplit(':').next());
    let queue = queue.ok_or_else(|| TemplateError::shape(&at, "the ARN of a queue"))?.to_owned();
    let response_types = properties.texts("FunctionResponseTypes")?;
    let max_concurrency = match properties.mapping("ScalingConfig")? {
        Some(mut scaling) => {
            let most = scaling.number("MaximumConcurrency")?;
            scaling.end(&[])?;
            count(most, &at)?
        }
        None => None,
    };
    let mapping = QueueMapping {
        queue,
        queue_arn,
        batch_size: count(properties.number("BatchSize")?, &at)?.unwrap_or(10),
        reports_item_failures: response_types.iter().any(|kind| kind == "ReportBatchItemFailures"),
        max_concurrency,
    };
    // A window only gathers larger batches; here a batch is what is there.
    properties.end(&["MaximumBatchingWindowInSeconds"])?;
    Ok(mapping)
}

fn schedule(name: &str, expression: &str, mut properties: Properties<'_>) -> Result<Schedule, TemplateError> {
    let at = properties.at(expression);
    let every = rate(&properties.required_text(expression)?)
        .ok_or_else(|| TemplateError::shape(&at, "a rate, as in rate(1 minute)"))?;
    let input = properties.text("Input")?.map(|text| serde_json::from_str(&text));
    let input = input.transpose().map_err(|_| TemplateError::shape(&properties.at("Input"), "JSON text"))?;
    properties.end(&["Description", "Name", "State", "RetryPolicy", "FlexibleTimeWindow"])?;
    Ok(Schedule { name: name.to_owned(), every, input })
}

/// `rate(1 minute)`, `rate(2 hours)` … as a duration.
fn rate(expression: &str) -> Option<Duration> {
    let inner = expression.trim().strip_prefix("rate(")?.strip_suffix(')')?;
    let (number, unit) = inner.trim().split_once(' ')?;
    let seconds = match unit.trim().trim_end_matches('s') {
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        _ => return None,
    };
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

fn in_range(number: u64, at: &str) -> Result<u32, TemplateError> {
    u32::try_from(number).map_err(|_| TemplateError::shape(at, "a smaller number"))
}

fn count(number: Option<u64>, at: &str) -> Result<Option<usize>, TemplateError> {
    let convert = |number| usize::try_from(number).map_err(|_| TemplateError::shape(at, "a smaller number"));
    number.map(convert).transpose()
}
