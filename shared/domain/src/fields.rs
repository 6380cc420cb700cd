//! Which fields an export carries.

use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Most paths that one request may name.
pub const MAX_PATHS: usize = 1_000;
/// Longest path, in characters.
pub const MAX_PATH_CHARS: usize = 512;
/// Most steps of one path.
pub const MAX_PATH_DEPTH: usize = 32;

/// Dot paths of one list, split into their steps; empty = everything.
///
/// A parent path keeps its whole subtree. `identities` is the older spelling of `identityMap`: `identities` names the
/// map, `identities.id` a field of every identity in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Projection {
    /// Each path as its steps; never an empty path. A step `*` stands for every key of a map.
    pub paths: Vec<Vec<String>>,
}

impl Projection {
    /// Reads the `fields` text of a request: comma-separated, trimmed; blank entries are dropped. Takes every path as it
    /// comes: `crate::validation` judges them against limits and schema.
    pub fn parse(text: &str) -> Self {
        let mut paths = Vec::new();
        let mut seen = HashSet::new();
        for path in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let mut steps: Vec<String> = path.split('.').map(|s| s.trim().to_owned()).collect();
            if steps[0] == "identities" {
                let below = steps.split_off(1);
                steps = vec!["identityMap".to_owned()];
                if !below.is_empty() {
                    steps.push("*".to_owned());
                    steps.extend(below);
                }
            }
            if seen.insert(steps.clone()) {
                paths.push(steps);
            }
        }
        Self { paths }
    }

    /// Whether nothing is named, which means everything is exported.
    pub fn is_everything(&self) -> bool {
        self.paths.is_empty()
    }
}

/// A path as a sentence tells it: with its older spelling, where that may be what the client wrote.
pub fn told(path: &[String]) -> String {
    let text = path.join(".");
    match text.strip_prefix("identityMap.*.") {
        Some(below) => format!("{text} (or identities.{below})"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Projection::parse(text).paths.iter().map(|p| p.join("/")).collect()
    }

    #[test]
    fn paths_are_trimmed_and_blanks_and_repetitions_dropped() {
        assert_eq!(
            paths(" identityMap, personalEmail.address ,,identityMap"),
            ["identityMap", "personalEmail/address"]
        );
        assert!(Projection::parse("  , ").is_everything());
    }

    #[test]
    fn identities_is_the_older_spelling_of_the_identity_map() {
        assert_eq!(paths("identities.id,identities"), ["identityMap/*/id", "identityMap"]);
        assert_eq!(paths("identitiesX"), ["identitiesX"]);
    }
}
