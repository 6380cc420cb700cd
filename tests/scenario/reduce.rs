//! Makes a failing case small: whatever can be left out of its JSON without curing it is left out.

use crate::generate::Case;
use serde_json::{Value, json};

/// Attempts after which a case is small enough: a minute or less.
const MOST_ATTEMPTS: usize = 2_000;

/// What a case cannot do without, or would be another case without.
const KEPT: [&str; 9] =
    ["columns", "names", "profileId", "customer", "destination", "datasetId", "schema", "kind", "file"];

/// The least case that `fails` like this one. What breaks the case in another way is not left out.
pub fn reduced(case: Case, fails: impl Fn(&Case) -> Option<String>) -> Case {
    let Some(kind) = fails(&case).map(|why| kind_of(&why)) else { return case };
    let still = |json: &Value| {
        let case: Case = serde_json::from_value(json.clone()).ok()?;
        fails(&case).filter(|why| kind_of(why) == kind).map(|_| case)
    };
    let (mut least, mut attempts) = (case, 0);
    loop {
        let mut json = json!(least);
        let mut places = Vec::new();
        places_in(&json["requests"], "/requests", &mut places);
        places_in(&json["store"]["datasets"], "/store/datasets", &mut places);
        // From the last to the first, so that the places before one stay where they are; wholes before what is in them.
        places.reverse();
        places.sort_by_key(|(depth, _)| *depth);
        let before = json.clone();
        for (_, place) in &places {
            let Some(without) = without(&json, place) else { continue };
            attempts += 1;
            if attempts > MOST_ATTEMPTS {
                return least;
            }
            if let Some(case) = still(&without) {
                (json, least) = (without, case);
            }
        }
        if json == before {
            return least;
        }
    }
}

/// What makes two failures the same: both differences, or the same panic.
fn kind_of(why: &str) -> String {
    if why.starts_with("of {") { "a difference".into() } else { why.chars().take(40).collect() }
}

/// All places below a value, with their depths.
fn places_in(value: &Value, at: &str, found: &mut Vec<(usize, String)>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().enumerate().map(|(i, item)| (format!("{at}/{i}"), item)).collect(),
        Value::Object(object) => object.iter().map(|(key, item)| (format!("{at}/{key}"), item)).collect(),
        _ => return,
    };
    for (place, item) in below {
        if KEPT.iter().any(|name| place.ends_with(&format!("/{name}"))) {
            continue;
        }
        found.push((place.matches('/').count(), place.clone()));
        places_in(item, &place, found);
    }
}

/// The value without what is in one place.
fn without(value: &Value, place: &str) -> Option<Value> {
    let (parent, name) = place.rsplit_once('/')?;
    let mut value = value.clone();
    match value.pointer_mut(parent)? {
        Value::Array(items) => {
            let at: usize = name.parse().ok()?;
            (at < items.len()).then(|| items.remove(at))?;
        }
        Value::Object(object) => drop(object.shift_remove(name)?),
        _ => return None,
    }
    Some(value)
}

#[test]
fn a_case_is_reduced_to_what_makes_it_fail() {
    let case: Case = serde_json::from_value(json!({
        "store": {"datasets": {
            "a": {"kind": "profile", "columns": {}, "commits": [{"append": [
                {"file": "f0", "rows": [{"profileId": "p", "x": "bad"}, {"profileId": "q", "x": "good"}]}]}]},
            "b": {"kind": "profile", "columns": {}},
        }},
        "requests": [{"fields": "x"}, {"filter": {"emptyProfiles": true}}],
    }))
    .unwrap();
    let fails = |case: &Case| json!(case).to_string().contains("bad").then(|| "of {}".to_owned());
    let rows = json!([{"profileId": "p", "x": "bad"}]);
    let least = json!(reduced(case, fails));
    assert_eq!(least["store"]["datasets"]["a"]["commits"][0]["append"][0]["rows"], rows);
    assert_eq!((&least["store"]["datasets"]["b"], &least["requests"]), (&Value::Null, &json!([])));
}
