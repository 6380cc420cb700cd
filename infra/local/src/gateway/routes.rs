//! Which route a request takes: the most specific one, as an HTTP API chooses.

use std::collections::BTreeMap;

use http::Method;

use super::event::percent_decoded;

/// Routes by specificity, each with its target.
pub(super) struct Routes<T> {
    routes: Vec<Candidate<T>>,
    default: Option<(String, T)>,
}

struct Candidate<T> {
    key: String,
    /// `None` is `ANY`.
    method: Option<String>,
    segments: Vec<Segment>,
    target: T,
}

/// Ordered by how specific it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Fixed(String),
    Variable(String),
    /// `{name+}`: the rest of the path, at least one segment.
    Greedy(String),
}

/// The route that a request takes.
pub(super) struct Found<'r, T> {
    pub(super) key: &'r str,
    pub(super) target: &'r T,
    /// The path's variables, decoded.
    pub(super) parameters: BTreeMap<String, String>,
}

impl<T> Routes<T> {
    /// Routes by their keys, `METHOD /path/{variable}` or `$default`.
    pub(super) fn new<'k>(routes: impl Iterator<Item = (&'k str, T)>) -> Self {
        let mut result = Self { routes: Vec::new(), default: None };
        for (key, target) in routes {
            match key.split_once(' ') {
                None => result.default = Some((key.to_owned(), target)),
                Some((method, path)) => result.routes.push(Candidate {
                    key: key.to_owned(),
                    method: (method != "ANY").then(|| method.to_owned()),
                    segments: path.split('/').skip(1).map(Segment::new).collect(),
                    target,
                }),
            }
        }
        // Of those that match, the first is taken: fixed before variable before greedy, a method before ANY.
        let kind = |segment: &Segment| match segment {
            Segment::Fixed(_) => 0,
            Segment::Variable(_) => 1,
            Segment::Greedy(_) => 2,
        };
        result
            .routes
            .sort_by_key(|route| (route.segments.iter().map(kind).collect::<Vec<_>>(), route.method.is_none()));
        result
    }

    /// The route for a request, if any; `path` is as sent, not decoded.
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<Found<'_, T>> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let matching = |route: &'_ Candidate<T>| {
            let methods_match = route.method.as_deref().is_none_or(|wanted| wanted == method.as_str());
            if methods_match { variables(&route.segments, &segments) } else { None }
        };
        let found = self.routes.iter().find_map(|route| {
            let parameters = matching(route)?;
            Some(Found { key: &route.key, target: &route.target, parameters })
        });
        found.or_else(|| {
            let (key, target) = self.default.as_ref()?;
            Some(Found { key, target, parameters: BTreeMap::new() })
        })
    }
}

impl Segment {
    fn new(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            None => Self::Fixed(text.to_owned()),
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Self::Greedy(name.to_owned()),
                None => Self::Variable(name.to_owned()),
            },
        }
    }
}

/// The variables' values where the path fits the pattern.
fn variables(pattern: &[Segment], path: &[&str]) -> Option<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let mut rest = path;
    for segment in pattern {
        let (first, after) = rest.split_first()?;
        match segment {
            Segment::Fixed(text) if text == first => {}
            Segment::Variable(name) if !first.is_empty() => {
                values.insert(name.clone(), percent_decoded(first));
            }
            Segment::Greedy(name) if !first.is_empty() => {
                values.insert(name.clone(), percent_decoded(&rest.join("/")));
                return Some(values);
            }
            Segment::Fixed(_) | Segment::Variable(_) | Segment::Greedy(_) => return None,
        }
        rest = after;
    }
    rest.is_empty().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 9] = [
        "ANY /jobs/{proxy+}",
        "$default",
        "GET /jobs/{id}",
        "ANY /jobs/{id}",
        "GET /jobs/special",
        "GET /jobs",
        "HEAD /jobs",
        "GET /jobs/",
        "GET /{area}/list",
    ];

    fn taken(method: Method, path: &str) -> (String, Vec<(String, String)>) {
        let routes = Routes::new(KEYS.iter().map(|key| (*key, ())));
        let found = routes.find(&method, path).expect("$default takes everything");
        (found.key.to_owned(), found.parameters.into_iter().collect())
    }

    fn key(method: Method, path: &str) -> String {
        taken(method, path).0
    }

    #[test]
    fn the_most_specific_route_is_taken() {
        assert_eq!(key(Method::GET, "/jobs/special"), "GET /jobs/special");
        assert_eq!(key(Method::GET, "/jobs/7"), "GET /jobs/{id}");
        assert_eq!(key(Method::DELETE, "/jobs/7"), "ANY /jobs/{id}");
        assert_eq!(key(Method::GET, "/jobs/7/parts"), "ANY /jobs/{proxy+}");
        assert_eq!(key(Method::GET, "/jobs/list"), "GET /jobs/{id}");
    }

    #[test]
    fn a_slash_at_the_end_makes_another_path() {
        assert_eq!(key(Method::GET, "/jobs"), "GET /jobs");
        assert_eq!(key(Method::GET, "/jobs/"), "GET /jobs/");
        assert_eq!(key(Method::HEAD, "/jobs/"), "$default");
    }

    #[test]
    fn what_no_route_names_takes_the_default() {
        assert_eq!(key(Method::POST, "/jobs"), "$default");
        assert_eq!(key(Method::GET, "/"), "$default");
        assert_eq!(key(Method::GET, "/other/7"), "$default");
        assert_eq!(key(Method::HEAD, "/jobs"), "HEAD /jobs");
    }

    #[test]
    fn variables_are_decoded() {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(taken(Method::GET, "/jobs/a%20b%2Fc").1, pair("id", "a b/c"));
        assert_eq!(taken(Method::PUT, "/jobs/x/y").1, pair("proxy", "x/y"));
        assert_eq!(taken(Method::GET, "/jobs/special").1, []);
    }
}
