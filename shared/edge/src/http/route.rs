//! Which operation a path and a method name.

use super::event::decode;

/// AEP's name for the permission to export audiences.
pub const EXPORT_PERMISSION: &str = "export-audience-for-segment";

/// What the API can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `GET /export/jobs`.
    List,
    /// `POST /export/jobs`.
    Create,
    /// `GET /export/jobs/{id}`.
    Get,
    /// `DELETE /export/jobs/{id}`.
    Cancel,
}

impl Operation {
    /// The permission that a client needs for it; reading needs none beside the grant itself.
    pub fn permission(self) -> Option<&'static str> {
        match self {
            Self::Create | Self::Cancel => Some(EXPORT_PERMISSION),
            Self::List | Self::Get => None,
        }
    }
}

/// What is served to anybody, without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// `GET /openapi.json`.
    Description,
    /// `GET /docs`.
    Page,
}

/// Finds what needs no token; nothing else of such a path needs one.
pub fn open(path: &str) -> Option<Open> {
    match path {
        "/openapi.json" => Some(Open::Description),
        "/docs" => Some(Open::Page),
        _ => None,
    }
}

/// What a path and a method come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// An operation, with the path's id where it has one.
    Found(Operation, String),
    /// The path is served, but not by this method; these are those that it has.
    WrongMethod(&'static str),
    /// No such path.
    Unknown,
}

/// Finds the operation, of those that need a token. Every path is served under AEP's base path too, with and without a trailing slash; HEAD is GET.
pub fn find(method: &str, path: &str) -> Route {
    let Some(below) = ["/export/jobs", "/data/core/ups/export/jobs"].iter().find_map(|base| path.strip_prefix(base))
    else {
        return Route::Unknown;
    };
    let id = match below {
        "" | "/" => "",
        _ => match below.strip_prefix('/').map(|id| id.strip_suffix('/').unwrap_or(id)) {
            Some(id) if !id.is_empty() && !id.contains('/') => id,
            _ => return Route::Unknown,
        },
    };
    let operation = match (id.is_empty(), method) {
        (true, "GET" | "HEAD") => Operation::List,
        (true, "POST") => Operation::Create,
        (true, _) => return Route::WrongMethod("GET, HEAD, POST"),
        (false, "GET" | "HEAD") => Operation::Get,
        (false, "DELETE") => Operation::Cancel,
        (false, _) => return Route::WrongMethod("GET, HEAD, DELETE"),
    };
    Route::Found(operation, decode(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_served_under_both_bases_with_and_without_a_trailing_slash() {
        for base in ["/export/jobs", "/data/core/ups/export/jobs"] {
            for slash in ["", "/"] {
                let found = |method: &str, id: &str| find(method, &format!("{base}{id}{slash}"));
                for method in ["GET", "HEAD"] {
                    assert_eq!(found(method, ""), Route::Found(Operation::List, String::new()));
                    assert_eq!(found(method, "/7"), Route::Found(Operation::Get, "7".into()));
                }
                assert_eq!(found("POST", ""), Route::Found(Operation::Create, String::new()));
                assert_eq!(found("DELETE", "/%37"), Route::Found(Operation::Cancel, "7".into()));
                assert_eq!(found("DELETE", ""), Route::WrongMethod("GET, HEAD, POST"));
                assert_eq!(found("PUT", "/7"), Route::WrongMethod("GET, HEAD, DELETE"));
            }
        }
    }

    #[test]
    fn any_other_path_is_unknown() {
        let paths = ["", "/", "/export", "/export/jobsx", "/export/jobs//", "/export/jobs/1/2", "/Export/jobs"];
        assert!(paths.iter().all(|path| find("GET", path) == Route::Unknown));
    }
}
