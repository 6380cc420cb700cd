//! The description as a page for people: plain HTML with its style inside, no script, nothing from outside.

use serde_json::{Map, Value};
use std::fmt::Write;

const STYLE: &str = "
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 2rem 1rem 6rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 3rem; } h3 { margin-top: 2.5rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { padding: .8rem; overflow: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } td:first-child { white-space: nowrap; }
.method { display: inline-block; min-width: 4.6em; font-weight: 700; }
.quiet { opacity: .7; }
";

/// The page of a description.
pub fn page(document: &Value) -> String {
    let info = &document["info"];
    let mut out = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
    let title = shown(&info["title"]);
    push(&mut out, format_args!("<meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>"));
    push(
        &mut out,
        format_args!("<style>{STYLE}</style><h1>{title}</h1><p class=\"quiet\">Version {}. ", shown(&info["version"])),
    );
    out.push_str("The same for machines: <a href=\"openapi.json\">openapi.json</a>.</p>");
    push(&mut out, format_args!("<p><b>{}</b></p><p>{}</p>", shown(&info["summary"]), shown(&info["description"])));
    out.push_str("<h2>Where and who</h2><table>");
    for server in items(&document["servers"]) {
        row(&mut out, &[&code(&server["url"]), &shown(&server["description"])]);
    }
    for (name, scheme) in fields(&document["components"]["securitySchemes"]) {
        row(&mut out, &[&code(scheme.get("name").unwrap_or(&name.into())), &shown(&scheme["description"])]);
    }
    out.push_str("</table><h2>Operations</h2>");
    for (path, methods) in fields(&document["paths"]) {
        for (method, operation) in fields(methods).filter(|(method, _)| *method != "head") {
            self::operation(&mut out, document, path, method, operation);
        }
    }
    out.push_str("<h2>Shapes</h2>");
    for (name, schema) in fields(&document["components"]["schemas"]) {
        push(&mut out, format_args!("<h3 id=\"{name}\">{name}</h3><p>{}</p>", shown(&schema["description"])));
        out.push_str("<table>");
        properties(&mut out, schema, "");
        out.push_str("</table>");
        for example in items(&schema["examples"]) {
            push(&mut out, format_args!("<pre>{}</pre>", escaped(&format!("{example:#}"))));
        }
    }
    out
}

fn operation(out: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let verb = method.to_uppercase();
    push(out, format_args!("<h3><span class=\"method\">{verb}</span> <code>{}</code></h3>", escaped(path)));
    push(out, format_args!("<p>{}. {}</p><table>", shown(&operation["summary"]), shown(&operation["description"])));
    for parameter in items(&operation["parameters"]) {
        let parameter = resolved(document, parameter);
        let place =
            format!("{}{}", text(&parameter["in"]), if parameter["required"] == true { ", required" } else { "" });
        row(out, &[&code(&parameter["name"]), &place, &kind(&parameter["schema"]), &shown(&parameter["description"])]);
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        row(out, &["body", "required", &kind(body), ""]);
    }
    out.push_str("</table><table>");
    for (status, answer) in fields(&operation["responses"]) {
        let answer = resolved(document, answer);
        let headers: Vec<_> = fields(&answer["headers"]).map(|(name, _)| escaped(name)).collect();
        let content = fields(&answer["content"]).map(|(_, content)| kind(&content["schema"])).collect::<String>();
        row(out, &[status, &shown(&answer["description"]), &content, &headers.join(", ")]);
    }
    out.push_str("</table>");
}

/// A row for each property, those of inner objects under their paths.
fn properties(out: &mut String, schema: &Value, path: &str) {
    let required: Vec<_> = items(&schema["required"]).filter_map(Value::as_str).collect();
    for (name, property) in fields(&schema["properties"]) {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let needed = if required.contains(&name) { "required" } else { "" };
        row(out, &[&code(&path.as_str().into()), &kind(property), needed, &shown(&property["description"])]);
        properties(out, property, &path);
        items(&property["anyOf"]).chain(items(&property["allOf"])).for_each(|one| properties(out, one, &path));
        properties(out, &property["items"], &format!("{path}[]"));
    }
}

/// What a value may be, in few words; named shapes as links.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next()) {
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    let several = |list: &Value| items(list).map(kind).filter(|it| it != "null").collect::<Vec<_>>().join(" or ");
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).filter(|it| *it != "null").collect::<Vec<_>>().join(" or "),
        one => text(one).to_owned(),
    };
    match schema {
        it if it["const"].is_string() || it["const"].is_boolean() || it["const"].is_number() => code(&it["const"]),
        it if it["enum"].is_array() => items(&it["enum"]).map(code).collect::<Vec<_>>().join(", "),
        it if it["anyOf"].is_array() && kinds.is_empty() => several(&it["anyOf"]),
        it if it["items"].is_object() => format!("{kinds} of {}", kind(&it["items"])),
        it if it["allOf"].is_array() => "object".to_owned(),
        it if it["format"].is_string() => text(&it["format"]).to_owned(),
        _ => kinds,
    }
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn row(out: &mut String, cells: &[&str]) {
    push(out, format_args!("<tr><td>{}</td></tr>", cells.join("</td><td>")));
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = out.write_fmt(text);
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn shown(value: &Value) -> String {
    escaped(text(value))
}

fn code(value: &Value) -> String {
    let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("<code>{}</code>", escaped(&plain))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
