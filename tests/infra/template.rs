//! `infra/template.yaml` as JSON, CloudFormation's short tags in their long form.

use serde_json::{Value, json};
use serde_yaml_ng::Value as Yaml;
use std::path::PathBuf;

/// Every function of the stack: its folder in `functions/`, which is also its binary.
pub const FUNCTIONS: [&str; 7] = [
    "authorizer",
    "cancel_export_job",
    "create_export_job",
    "export_worker",
    "get_export_job",
    "list_export_jobs",
    "sweeper",
];

/// The project's root folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A template, as it is or edited.
pub struct Template {
    /// The text that it was read from.
    pub text: String,
    value: Value,
}

impl Template {
    /// The real one.
    pub fn real() -> Self {
        Self::parse(std::fs::read_to_string(root().join("infra/template.yaml")).unwrap())
    }

    /// The real one with the first `old` replaced, which must occur.
    pub fn edited(old: &str, new: &str) -> Self {
        let text = Self::real().text;
        assert!(text.contains(old), "the template has no {old:?}");
        Self::parse(text.replacen(old, new, 1))
    }

    fn parse(text: String) -> Self {
        let value = plain(serde_yaml_ng::from_str(&text).unwrap());
        Self { text, value }
    }

    /// What stands at a JSON pointer; null where nothing does.
    pub fn at(&self, pointer: &str) -> &Value {
        self.value.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The resources of a type: logical id and properties.
    pub fn all(&self, kind: &str) -> Vec<(&str, &Value)> {
        let resources = self.at("/Resources").as_object().unwrap();
        let of_kind = resources.iter().filter(|(_, resource)| resource["Type"] == kind);
        of_kind.map(|(id, resource)| (id.as_str(), &resource["Properties"])).collect()
    }
}

/// The logical id of a function: its folder in Pascal case.
pub fn logical_id(folder: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    folder.split('_').map(capital).collect()
}

/// The logical ids that a value refers to by `Ref`, `Fn::GetAtt` or `Fn::Sub`.
pub fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(fields) => fields.iter().flat_map(|(name, inner)| referred(name, inner)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn referred(name: &str, inner: &Value) -> Vec<String> {
    let head = |path: &str| path.split('.').next().unwrap().to_owned();
    match (name, inner.as_str()) {
        ("Ref" | "Fn::GetAtt", Some(path)) => vec![head(path)],
        ("Fn::Sub", Some(text)) => {
            let names = text.split("${").skip(1).map(|rest| rest.split('}').next().unwrap());
            names.filter(|name| !name.starts_with("AWS::")).map(head).collect()
        }
        _ => references(inner),
    }
}

fn plain(value: Yaml) -> Value {
    match value {
        Yaml::Tagged(tagged) => {
            let name = tagged.tag.to_string();
            let name = name.trim_start_matches('!');
            let name = if matches!(name, "Ref" | "Condition") { name.to_owned() } else { format!("Fn::{name}") };
            json!({ name: plain(tagged.value) })
        }
        Yaml::Sequence(items) => items.into_iter().map(plain).collect(),
        Yaml::Mapping(fields) => {
            fields.into_iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), plain(value))).collect()
        }
        scalar => serde_json::to_value(scalar).unwrap(),
    }
}
