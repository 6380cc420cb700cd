//! Parameters, conditions and intrinsic functions: a template's values as they are on this machine.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Place, TemplateError};

/// References may go through parameters, conditions and names; none of ours goes deeper.
const MAX_DEPTH: usize = 40;

/// Resolves values of one template. `None` stands for `AWS::NoValue`.
pub(super) struct Resolver<'a> {
    document: &'a Value,
    place: &'a Place,
    parameters: BTreeMap<String, Value>,
}

type Resolved<T> = Result<T, TemplateError>;

impl<'a> Resolver<'a> {
    /// Checks that every parameter has a value and that every override names a parameter.
    pub(super) fn new(document: &'a Value, place: &'a Place, overrides: &BTreeMap<String, String>) -> Resolved<Self> {
        let declared = document["Parameters"].as_object().cloned().unwrap_or_default();
        if let Some(name) = overrides.keys().find(|name| !declared.contains_key(*name)) {
            return Err(TemplateError::UnknownParameter { name: name.clone() });
        }
        let mut parameters = BTreeMap::new();
        for (name, declaration) in declared {
            let given = overrides.get(&name).map(|value| Value::from(value.as_str()));
            let value = given
                .or_else(|| declaration.get("Default").cloned())
                .ok_or_else(|| TemplateError::MissingParameter { name: name.clone() })?;
            let is_list = declaration["Type"].as_str().is_some_and(|kind| kind.contains("List"));
            let value = match value {
                Value::String(text) if is_list => {
                    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
                }
                value => value,
            };
            parameters.insert(name, value);
        }
        Ok(Self { document, place, parameters })
    }

    /// The value with all intrinsic functions applied; `at` is its path, for errors.
    pub(super) fn value(&self, value: &Value, at: &str) -> Resolved<Option<Value>> {
        self.resolve(value, at, 0)
    }

    /// Whether a resource with this `Condition` is part of the stack.
    pub(super) fn applies(&self, resource: &Value, at: &str) -> Resolved<bool> {
        match resource.get("Condition") {
            None => Ok(true),
            Some(name) => self.condition(text(name, at)?, at, 0),
        }
    }

    fn resolve(&self, value: &Value, at: &str, depth: usize) -> Resolved<Option<Value>> {
        if depth > MAX_DEPTH {
            return Err(TemplateError::shape(at, "a value that does not refer to itself"));
        }
        match value {
            Value::Array(items) => {
                let mut list = Vec::new();
                for (n, item) in items.iter().enumerate() {
                    list.extend(self.resolve(item, &format!("{at}[{n}]"), depth + 1)?);
                }
                Ok(Some(list.into()))
            }
            Value::Object(map) => match intrinsic(map) {
                Some((function, argument)) => self.apply(function, argument, at, depth + 1),
                None => {
                    let mut resolved = Map::new();
                    for (key, item) in map {
                        if let Some(item) = self.resolve(item, &format!("{at}.{key}"), depth + 1)? {
                            resolved.insert(key.clone(), item);
                        }
                    }
                    Ok(Some(resolved.into()))
                }
            },
            plain => Ok(Some(plain.clone())),
        }
    }

    fn apply(&self, function: &str, argument: &Value, at: &str, depth: usize) -> Resolved<Option<Value>> {
        match function {
            "Ref" => self.reference(text(argument, at)?, at, depth),
            "Fn::GetAtt" => {
                let [resource, attribute] = self.arguments(argument, at, depth)?;
                self.attribute(text(&resource, at)?, text(&attribute, at)?, at, depth).map(Some)
            }
            "Fn::If" => {
                let [name, yes, no] = raw_arguments(argument, at)?;
                let chosen = if self.condition(text(name, at)?, at, depth)? { yes } else { no };
                self.resolve(chosen, at, depth)
            }
            "Fn::Sub" => self.substitute(argument, at, depth).map(|text| Some(text.into())),
            "Fn::Join" => {
                let [separator, items] = self.arguments(argument, at, depth)?;
                let items = items.as_array().ok_or_else(|| TemplateError::shape(at, "a list to join"))?;
                let items = items.iter().map(|item| scalar(item, at)).collect::<Resolved<Vec<_>>>()?;
                Ok(Some(items.join(text(&separator, at)?).into()))
            }
            "Fn::Split" => {
                let [separator, whole] = self.arguments(argument, at, depth)?;
                Ok(Some(text(&whole, at)?.split(text(&separator, at)?).collect()))
            }
            "Fn::Select" => {
                let [index, items] = self.arguments(argument, at, depth)?;
                let chosen = scalar(&index, at)?.parse::<usize>().ok().and_then(|index| items.get(index)).cloned();
                chosen.map(Some).ok_or_else(|| TemplateError::shape(at, "an index within the list"))
            }
            "Fn::FindInMap" => {
                let [map, first, second] = self.arguments(argument, at, depth)?;
                let found = &self.document["Mappings"][text(&map, at)?][scalar(&first, at)?][scalar(&second, at)?];
                if found.is_null() {
                    return Err(TemplateError::shape(at, "an entry of the template's Mappings"));
                }
                Ok(Some(found.clone()))
            }
            other => Err(TemplateError::UnknownFunction { at: at.to_owned(), function: other.to_owned() }),
        }
    }

    fn condition(&self, name: &str, at: &str, depth: usize) -> Resolved<bool> {
        let body = self.document["Conditions"]
            .get(name)
            .ok_or_else(|| TemplateError::UnknownReference { at: at.to_owned(), name: name.to_owned() })?;
        self.holds(body, &format!("Conditions.{name}"), depth + 1)
    }

    fn holds(&self, body: &Value, at: &str, depth: usize) -> Resolved<bool> {
        if depth > MAX_DEPTH {
            return Err(TemplateError::shape(at, "a condition that does not refer to itself"));
        }
        let (function, argument) =
            body.as_object().and_then(intrinsic).ok_or_else(|| TemplateError::shape(at, "a condition function"))?;
        let all = || argument.as_array().ok_or_else(|| TemplateError::shape(at, "a list of conditions"));
        match function {
            "Condition" => self.condition(text(argument, at)?, at, depth),
            "Fn::Equals" => {
                let [left, right] = self.arguments(argument, at, depth)?;
                Ok(scalar(&left, at)? == scalar(&right, at)?)
            }
            "Fn::Not" => {
                let [inner] = raw_arguments(argument, at)?;
                Ok(!self.holds(inner, at, depth + 1)?)
            }
            "Fn::And" => all()?.iter().try_fold(true, |so_far, one| Ok(so_far & self.holds(one, at, depth + 1)?)),
            "Fn::Or" => all()?.iter().try_fold(false, |so_far, one| Ok(so_far | self.holds(one, at, depth + 1)?)),
            other => Err(TemplateError::UnknownFunction { at: at.to_owned(), function: other.to_owned() }),
        }
    }

    fn reference(&self, name: &str, at: &str, depth: usize) -> Resolved<Option<Value>> {
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        if let Some(value) = self.parameters.get(name) {
            return Ok(Some(value.clone()));
        }
        let value = match name {
            "AWS::Region" => self.place.region.clone(),
            "AWS::AccountId" => self.place.account.clone(),
            "AWS::StackName" => self.place.stack.clone(),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            "AWS::StackId" => self.place.arn("cloudformation", &format!("stack/{}/local", self.place.stack)),
            id => {
                let (kind, resource) = self.resource(id, at)?;
                match kind {
                    "AWS::SQS::Queue" => self.queue_url(&self.name(id, kind, resource, depth)?),
                    "AWS::DynamoDB::Table" | "AWS::S3::Bucket" | "AWS::Serverless::Function" => {
                        self.name(id, kind, resource, depth)?
                    }
                    _ => id.to_owned(),
                }
            }
        };
        Ok(Some(value.into()))
    }

    fn attribute(&self, id: &str, attribute: &str, at: &str, depth: usize) -> Resolved<Value> {
        let (kind, resource) = self.resource(id, at)?;
        let name = || self.name(id, kind, resource, depth);
        let value = match (kind, attribute) {
            ("AWS::DynamoDB::Table", "Arn") => self.place.arn("dynamodb", &format!("table/{}", name()?)),
            ("AWS::SQS::Queue", "Arn") => self.place.arn("sqs", &name()?),
            ("AWS::SQS::Queue", "QueueName") => name()?,
            ("AWS::SQS::Queue", "QueueUrl") => self.queue_url(&name()?),
            ("AWS::S3::Bucket", "Arn") => format!("arn:aws:s3:::{}", name()?),
            ("AWS::Serverless::Function", "Arn") => self.place.arn("lambda", &format!("function:{}", name()?)),
            ("AWS::ApiGatewayV2::Api", "ApiId") => id.to_owned(),
            ("AWS::ApiGatewayV2::Api", "ApiEndpoint") => self.place.gateway_url.clone(),
            _ => {
                return Err(TemplateError::NoAttribute {
                    at: at.to_owned(),
                    resource: id.to_owned(),
                    attribute: attribute.to_owned(),
                });
            }
        };
        Ok(value.into())
    }

    /// The name a resource has on this machine: the one it is given, else one made of the stack's and its own.
    pub(super) fn physical_name(&self, id: &str) -> Resolved<String> {
        let (kind, resource) = self.resource(id, id)?;
        self.name(id, kind, resource, 0)
    }

    fn name(&self, id: &str, kind: &str, resource: &Value, depth: usize) -> Resolved<String> {
        let (property, made) = match kind {
            "AWS::DynamoDB::Table" => ("TableName", format!("{}-{id}", self.place.stack)),
            "AWS::SQS::Queue" => ("QueueName", format!("{}-{id}", self.place.stack)),
            "AWS::S3::Bucket" => ("BucketName", format!("{}-{id}", self.place.stack).to_lowercase()),
            _ => ("FunctionName", format!("{}-{id}", self.place.stack)),
        };
        let at = format!("{id}.{property}");
        match resource["Properties"].get(property) {
            None => Ok(made),
            Some(given) => match self.resolve(given, &at, depth + 1)? {
                None => Ok(made),
                Some(given) => text(&given, &at).map(str::to_owned),
            },
        }
    }

    fn queue_url(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.place.sqs_url, self.place.account)
    }

    /// A resource that is part of the stack, and its type.
    fn resource(&self, id: &str, at: &str) -> Resolved<(&'a str, &'a Value)> {
        let unknown = || TemplateError::UnknownReference { at: at.to_owned(), name: id.to_owned() };
        let resource = self.document["Resources"].get(id).ok_or_else(unknown)?;
        if !self.applies(resource, id)? {
            return Err(unknown());
        }
        Ok((text(&resource["Type"], id)?, resource))
    }

    fn substitute(&self, argument: &Value, at: &str, depth: usize) -> Resolved<String> {
        let (pattern, own) = match argument {
            Value::Array(_) => {
                let [pattern, own] = raw_arguments(argument, at)?;
                (pattern, self.resolve(own, at, depth)?.unwrap_or_default())
            }
            pattern => (pattern, Value::Null),
        };
        let mut rest = text(pattern, at)?;
        let mut result = String::new();
        while let Some((before, after)) = rest.split_once("${") {
            result.push_str(before);
            let (name, after) =
                after.split_once('}').ok_or_else(|| TemplateError::shape(at, "a closing brace after ${"))?;
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str(&format!("${{{literal}}}"));
                continue;
            }
            let value = match (own.get(name), name.split_once('.')) {
                (Some(value), _) => value.clone(),
                (None, Some((resource, attribute))) => self.attribute(resource, attribute, at, depth)?,
                (None, None) => self.reference(name, at, depth)?.unwrap_or_default(),
            };
            result.push_str(&scalar(&value, at)?);
        }
        result.push_str(rest);
        Ok(result)
    }

    fn arguments<const N: usize>(&self, argument: &Value, at: &str, depth: usize) -> Resolved<[Value; N]> {
        let resolved = self.resolve(argument, at, depth)?.unwrap_or_default();
        Ok(raw_arguments::<N>(&resolved, at)?.map(Value::clone))
    }
}

/// `{"Fn::X": argument}`, `{"Ref": …}` or `{"Condition": …}`, alone in its mapping.
fn intrinsic(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (key, argument) = map.iter().next()?;
    let named = key.starts_with("Fn::") || key == "Ref" || (key == "Condition" && argument.is_string());
    (map.len() == 1 && named).then_some((key, argument))
}

fn raw_arguments<'v, const N: usize>(argument: &'v Value, at: &str) -> Resolved<[&'v Value; N]> {
    let items = argument.as_array().map(|items| items.iter().collect::<Vec<_>>()).unwrap_or_default();
    <[&Value; N]>::try_from(items).map_err(|_| TemplateError::shape(at, "the function's arguments in a list"))
}

fn text<'v>(value: &'v Value, at: &str) -> Resolved<&'v str> {
    value.as_str().ok_or_else(|| TemplateError::shape(at, "text"))
}

/// Numbers and booleans as CloudFormation writes them into text.
pub(super) fn scalar(value: &Value, at: &str) -> Resolved<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(TemplateError::shape(at, "text or a number")),
    }
}
