//! What the property found once, as the JSON that it printed.

use crate::generate::Case;
use crate::property::judge;
use serde_json::{Value, json};
use tokio::runtime::Builder;

/// Runs a case again.
fn replay(case: Value) {
    let case: Case = serde_json::from_value(case).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    if let Err(why) = judge(&runtime, &case) {
        panic!("{why}");
    }
}

#[test]
fn a_case_runs_again_from_its_json() {
    replay(json!({
        "store": {"buckets": 1, "datasets": {"a": {"kind": "profile",
            "columns": {"profileId": "string", "ingestTime": "timestamptz"},
            "commits": [{"append": [{"file": "f0", "rows": [{"profileId": "p0"}]}]}]}}},
        "requests": [{"destination": {"datasetId": "exports"}, "schema": {"name": "_xdm.context.profile"}}],
    }));
}
