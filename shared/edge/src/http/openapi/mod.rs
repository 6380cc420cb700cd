//! The API's description, OpenAPI 3.1, made of the same constants that the code judges by. `docs/openapi.json` is a copy of
//! it for readers, which a test keeps.

mod page;
mod paths;
mod schemas;

pub use page::page;

use serde_json::{Value, json};

/// Where the API is served: its own base path, and AEP's.
const SERVERS: [(&str, &str); 2] = [("/", "This deployment"), ("/data/core/ups", "The same under AEP's base path")];

/// The whole description.
pub fn document() -> Value {
    let servers = SERVERS.map(|(url, description)| json!({ "url": url, "description": description }));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Segment export jobs",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Exports the members of audiences into a dataset, each exactly once.",
            "description": "Adobe Experience Platform's /export/jobs over your own data lake. A trailing slash is fine on \
                every path. Every answer carries x-request-id; send one and it is taken over. A header \
                that comes twice is no valid value; of a query parameter the last one counts. Codes of errors are stable; texts may improve.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": servers,
        "security": [{ "token": [], "apiKey": [] }],
        "tags": [
            { "name": "Export jobs", "description": "Create, follow and cancel exports." },
            { "name": "Description", "description": "What you are reading; no token needed." },
        ],
        "paths": paths::all(),
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An RS256 access token of the deployment's issuer.",
                },
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-api-key",
                    "description": "The client's id; the token must be the client's.",
                },
            },
            "parameters": paths::parameters(),
            "headers": paths::headers(),
            "responses": paths::responses(),
            "schemas": schemas::all(),
        },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
