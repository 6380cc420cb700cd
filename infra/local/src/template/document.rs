//! The template's text as plain JSON: CloudFormation's short tags (`!Ref`, `!GetAtt` …) become their long forms.

use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

use super::TemplateError;

/// Parses YAML with CloudFormation tags.
pub(super) fn parse(text: &str) -> Result<Value, TemplateError> {
    let yaml: Yaml = serde_yaml_ng::from_str(text).map_err(|source| TemplateError::Syntax { source })?;
    plain(yaml, "the template")
}

fn plain(yaml: Yaml, at: &str) -> Result<Value, TemplateError> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(value) => value.into(),
        Yaml::Number(number) => {
            serde_json::to_value(number).map_err(|_| TemplateError::shape(at, "a finite number"))?
        }
        Yaml::String(text) => text.into(),
        Yaml::Sequence(items) => {
            let items = items.into_iter().enumerate().map(|(n, item)| plain(item, &format!("{at}[{n}]")));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(mapping) => {
            let mut map = Map::new();
            for (key, value) in mapping {
                let key = key_text(key).ok_or_else(|| TemplateError::shape(at, "a mapping with text keys"))?;
                let value = plain(value, &format!("{at}.{key}"))?;
                map.insert(key, value);
            }
            Value::Object(map)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            long_form(tag.trim_start_matches('!'), plain(tagged.value, at)?)
        }
    })
}

/// Account ids and years are read as numbers; as keys they are text.
fn key_text(key: Yaml) -> Option<String> {
    match key {
        Yaml::String(text) => Some(text),
        Yaml::Number(number) => Some(number.to_string()),
        Yaml::Bool(value) => Some(value.to_string()),
        Yaml::Null | Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => None,
    }
}

fn long_form(tag: &str, value: Value) -> Value {
    match (tag, &value) {
        ("Ref" | "Condition", _) => json!({ tag: value }),
        ("GetAtt", Value::String(text)) => match text.split_once('.') {
            Some((resource, attribute)) => json!({ "Fn::GetAtt": [resource, attribute] }),
            None => json!({ "Fn::GetAtt": value }),
        },
        _ => json!({ format!("Fn::{tag}"): value }),
    }
}
