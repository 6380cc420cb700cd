//! The description holds what the code does, and its readers' copy is this one.

use super::*;
use crate::http::Operation;
use crate::http::route::{self, Route};
use domain::problem::Code;
use std::collections::BTreeSet;

const COPY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

/// Every `$ref` in a value.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_copy_for_readers_is_the_description_that_is_served() {
    let served = format!("{:#}\n", document());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(COPY, &served).unwrap();
    }
    let hint = "UPDATE_OPENAPI=1 cargo test -p edge openapi writes docs/openapi.json anew";
    assert!(std::fs::read_to_string(COPY).unwrap_or_default() == served, "{hint}");
}

#[test]
fn every_path_and_method_is_a_route_and_every_other_method_is_not() {
    let document = document();
    let mut served = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "1");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let described = methods.get(method.to_lowercase()).is_some();
            match route::find(method, &path) {
                _ if route::open(&path).is_some() => {
                    assert_eq!(described, ["GET", "HEAD"].contains(&method), "{method} {path}");
                }
                Route::Found(operation, _) => {
                    assert!(described, "{method} {path}");
                    served.insert(format!("{operation:?}"));
                }
                Route::WrongMethod(_) => assert!(!described, "{method} {path}"),
                Route::Unknown => panic!("{path} is not served"),
            }
        }
    }
    let all = [Operation::List, Operation::Create, Operation::Get, Operation::Cancel];
    assert_eq!(served, all.map(|operation| format!("{operation:?}")).into());
}

#[test]
fn every_status_of_every_code_is_described_and_no_reference_dangles() {
    let document = document();
    for code in Code::ALL {
        let status = code.status().to_string();
        assert!(document["components"]["responses"].get(&status).is_some(), "{status}");
    }
    for reference in references(&document) {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
    }
}

#[test]
fn the_page_names_every_operation_and_shape_and_loads_nothing() {
    let document = document();
    let page = page(&document);
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("<h3 id=\"{name}\">")), "{name}");
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|it| *it != "head") {
            let heading = format!("<span class=\"method\">{}</span> <code>{path}</code>", method.to_uppercase());
            assert!(page.contains(&heading), "{heading}");
        }
    }
    for foreign in ["<script", "src=", "@import", "url(", "<link"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn what_stands_in_a_description_is_text_on_the_page() {
    let shown = page(&json!({ "info": { "title": "<b>&\"", "version": "1" }, "paths": { "/<i>": { "get": {} } } }));
    assert!(shown.contains("<title>&lt;b&gt;&amp;&quot;</title>") && shown.contains("<code>/&lt;i&gt;</code>"));
}
