//! Alarms and dashboard look at metrics that are written. CloudWatch takes any other name or dimension, too, and an
//! alarm on it never rings.

use crate::template::{Template, root};
use domain::message::Task;
use domain::state::ShownStatus;
use edge::telemetry::metrics::{FUNCTION, METRICS, NAMESPACE};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The type of a function in the template.
const OF_FUNCTIONS: &str = "AWS::Serverless::Function";

/// AWS's own metrics that are looked at: namespace, names, their only dimension, and what that refers to: the type of a
/// resource, and an attribute of it (none is its `Ref`).
const OF_AWS: [(&str, &[&str], &str, &str, &str); 3] = [
    ("AWS/ApiGateway", &["4xx", "5xx", "Count"], "ApiId", "AWS::ApiGatewayV2::Api", ""),
    ("AWS/Lambda", &["Errors", "Throttles"], "FunctionName", OF_FUNCTIONS, ""),
    (
        "AWS/SQS",
        &["ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"],
        "QueueName",
        "AWS::SQS::Queue",
        ".QueueName",
    ),
];

/// A metric that an alarm or a widget looks at.
struct Metric {
    /// The alarm's logical id, or the widget's title.
    at: String,
    namespace: String,
    name: String,
    /// Name → value, references as `Fn::Sub` writes them.
    dimensions: BTreeMap<String, String>,
}

impl Metric {
    fn of_alarm(id: &str, alarm: &Value) -> Self {
        let dimensions = items(&alarm["Dimensions"]).map(|it| (text(&it["Name"]), substituted(&it["Value"])));
        Self {
            at: id.to_owned(),
            namespace: text(&alarm["Namespace"]),
            name: text(&alarm["MetricName"]),
            dimensions: dimensions.collect(),
        }
    }

    /// `[namespace, name, dimension, value, …, {options}]`.
    fn of_widget(title: &Value, metric: &Value) -> Self {
        let words: Vec<String> = items(metric).filter(|word| word.is_string()).map(text).collect();
        let word = |n: usize| words.get(n).cloned().unwrap_or_default();
        let dimensions = (2..words.len()).step_by(2).map(|n| (word(n), word(n + 1)));
        Self { at: text(title), namespace: word(0), name: word(1), dimensions: dimensions.collect() }
    }

    /// What is wrong with it, if anything.
    fn problem(&self, template: &Template) -> Option<String> {
        let Some((dimension, kind, attribute, by)) = written_with(&self.namespace, &self.name) else {
            return Some(format!("is no metric of {}", self.namespace));
        };
        let wanted: BTreeSet<&str> = [dimension].into_iter().chain(by).collect();
        if self.dimensions.keys().map(String::as_str).collect::<BTreeSet<_>>() != wanted {
            return Some(format!("is written with {wanted:?}"));
        }
        let of = &self.dimensions[dimension];
        let named = template.all(kind).into_iter().find(|(id, _)| *of == format!("${{{id}{attribute}}}"));
        let Some((id, _)) = named else {
            return Some(format!("is of {of}, which names no {kind}"));
        };
        if self.namespace == NAMESPACE {
            let told = told(id);
            if !told.contains(&self.name) || by.is_some_and(|by| !told.contains(by)) {
                return Some(format!("is never told by {id}"));
            }
        }
        let by = by.map(|by| (by, self.dimensions[by].as_str()));
        by.filter(|(by, value)| !comes_to(by, value)).map(|(by, value)| format!("is never told of the {by} {value}"))
    }
}

/// What a metric is written with: the dimension that names a resource, the type of that and how it is named, and the
/// dimension of few values, if any.
fn written_with(
    namespace: &str,
    name: &str,
) -> Option<(&'static str, &'static str, &'static str, Option<&'static str>)> {
    if namespace == NAMESPACE {
        let &(_, _, by) = METRICS.iter().find(|metric| metric.0 == name)?;
        return Some((FUNCTION, OF_FUNCTIONS, "", by));
    }
    let &(_, _, dimension, kind, attribute) = OF_AWS.iter().find(|it| it.0 == namespace && it.1.contains(&name))?;
    Some((dimension, kind, attribute, None))
}

/// The fields of a function's records: those of the span of its invocations, and how long they took.
fn told(id: &str) -> BTreeSet<String> {
    let server = match id {
        "Authorizer" => "authorizer.rs",
        "ExportWorker" => "queue.rs",
        "Sweeper" => "schedule.rs",
        _ => "http/respond.rs",
    };
    let code = std::fs::read_to_string(root().join("shared/edge/src").join(server)).unwrap();
    let span = code.split("target: INVOCATION,").nth(1).unwrap().split(");").next().unwrap();
    let fields = span.split(',').map(|field| field.split('=').next().unwrap().trim().to_owned());
    fields.chain(["duration_ms".to_owned()]).collect()
}

/// Whether a dimension of few values ever has this one.
fn comes_to(by: &str, value: &str) -> bool {
    match by {
        "state" => ShownStatus::parse(value).is_some(),
        "task" => serde_json::from_value::<Task>(json!({ "kind": value, "part": 1 })).is_ok(),
        _ => false,
    }
}

/// A value of the template as `Fn::Sub` would write it.
fn substituted(value: &Value) -> String {
    match (value["Ref"].as_str(), value["Fn::GetAtt"].as_str()) {
        (Some(path), _) | (_, Some(path)) => format!("${{{path}}}"),
        (None, None) => text(value),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The properties of the dashboard's widgets; `None` where it is no JSON. References stand within its strings, so that
/// it is JSON before they are filled in, too.
fn widgets(template: &Template) -> Option<Vec<Value>> {
    let body = template.at("/Resources/Dashboard/Properties/DashboardBody/Fn::Sub").as_str()?;
    let body: Value = serde_json::from_str(body).ok()?;
    Some(items(&body["widgets"]).map(|widget| widget["properties"].clone()).collect())
}

/// The alarms that operators are told of.
fn documented() -> BTreeSet<String> {
    let guide = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let table = guide.split("| alarm | what it means | what to do |\n").nth(1).unwrap().split("\n\n").next().unwrap();
    table.lines().skip(1).map(|row| row.split('|').nth(1).unwrap().trim().to_owned()).collect()
}

fn problems(template: &Template) -> Vec<String> {
    let Some(widgets) = widgets(template) else {
        return vec!["the dashboard is no JSON".to_owned()];
    };
    let alarms = template.all("AWS::CloudWatch::Alarm");
    let of_alarms = alarms.iter().map(|(id, alarm)| Metric::of_alarm(id, alarm));
    let of_widgets = widgets
        .iter()
        .flat_map(|widget| items(&widget["metrics"]).map(move |metric| Metric::of_widget(&widget["title"], metric)));
    let wrong = of_alarms
        .chain(of_widgets)
        .filter_map(|metric| Some(format!("{}: {} {}", metric.at, metric.name, metric.problem(template)?)));
    let mut problems: Vec<String> = wrong.collect();
    let ids: BTreeSet<String> = alarms.iter().map(|(id, _)| (*id).to_owned()).collect();
    let unlike = (&ids ^ &documented()).into_iter();
    problems.extend(unlike.map(|id| format!("{id} stands in one of template and docs/operations.md")));
    let arns: BTreeSet<String> = ids.iter().map(|id| format!("${{{id}.Arn}}")).collect();
    let shown: BTreeSet<String> = widgets.iter().flat_map(|widget| items(&widget["alarms"])).map(text).collect();
    problems.extend((&arns ^ &shown).into_iter().map(|arn| format!("{arn} stands in one of template and dashboard")));
    problems
}

#[test]
fn alarms_and_dashboard_look_at_metrics_that_are_written() {
    assert_eq!(problems(&Template::real()), Vec::<String>::new());
}

#[test]
fn an_alarm_or_a_widget_that_would_see_nothing_is_noticed() {
    for (old, new, problem) in [
        ("MetricName: resent_jobs", "MetricName: resent", "OverdueJobsAlarm: resent is no metric of SegmentExport"),
        ("MetricName: 5xx", "MetricName: 5XXError", "ServerErrorsAlarm: 5XXError is no metric of AWS/ApiGateway"),
        (
            "!GetAtt DeadLetterQueue.QueueName",
            "!Ref DeadLetterQueue",
            "is of ${DeadLetterQueue}, which names no AWS::SQS",
        ),
        ("[{ Name: ApiId, Value: !Ref Api }]", "[{ Name: ApiName, Value: !Ref Api }]", r#"is written with {"ApiId"}"#),
        (
            "MetricName: given_up\n      Dimensions: [{ Name: FunctionName, Value: !Ref Sweeper }]",
            "MetricName: given_up\n      Dimensions: [{ Name: FunctionName, Value: !Ref ExportWorker }]",
            "GivenUpJobsAlarm: given_up is never told by ExportWorker",
        ),
        ("MetricName: given_up", "MetricName: duration_ms", r#"is written with {"FunctionName", "task"}"#),
        (r#", "state", "FAILED"]"#, "]", r#"moved is written with {"FunctionName", "state"}"#),
        (r#""state", "SUCCEEDED""#, r#""state", "DONE""#, "moved is never told of the state DONE"),
        (r#""task", "part""#, r#""task", "parts""#, "duration_ms is never told of the task parts"),
        (
            "\"${WorkQueue.QueueName}\"",
            "\"${Queue.QueueName}\"",
            "Queue: ApproximateNumberOfMessagesVisible is of ${Queue",
        ),
        (r#", "${WorkerAlarm.Arn}"]"#, "]", "${WorkerAlarm.Arn} stands in one of template and dashboard"),
        (r#""task", "commit"]]}},"#, r#""task", "commit"]]},"#, "the dashboard is no JSON"),
        ("\n  WorkerAlarm:\n", "\n  ClerkAlarm:\n", "ClerkAlarm stands in one of template and docs"),
        ("\n  WorkerAlarm:\n", "\n  ClerkAlarm:\n", "WorkerAlarm stands in one of template and docs"),
    ] {
        let found = problems(&Template::edited(old, new));
        assert!(found.iter().any(|it| it.contains(problem)), "{old} → {new}: {found:?}");
    }
}
