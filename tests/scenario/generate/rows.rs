//! Rows, and the columns that they have.

use super::{fields, map, one_of, or_null, time};
use crate::store::Fields;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The tables that are generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    ProfileA,
    ProfileB,
    EventE,
    EventF,
}

impl Table {
    /// The kind of its dataset.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::ProfileA | Self::ProfileB => "profile",
            Self::EventE | Self::EventF => "event",
        }
    }

    /// Its columns in the end.
    pub(super) fn columns(self) -> Fields {
        let identities = json!({"*": [{"id": "string", "authenticatedState": "string", "primary": "boolean"}]});
        let memberships = json!({"*": {"*": {"lastQualificationTime": "timestamptz", "status": "string"}}});
        let columns = match self {
            Self::ProfileA => json!({"profileId": "string", "ingestTime": "timestamptz", "identityMap": identities,
                "segmentMembership": memberships, "x": "string", "n": "int", "s": {"y": "string", "z": "int"},
                "l": ["string"], "m": {"*": "string"}}),
            Self::ProfileB => {
                json!({"n": "long", "s": {"w": "double", "y": "string"}, "o": [{"q": "int", "r": "string"}],
                "x": "string", "segmentMembership": memberships, "identityMap": identities, "ingestTime": "timestamptz",
                "profileId": "string"})
            }
            Self::EventE => json!({"profileId": "string", "ingestTime": "timestamptz", "identityMap": identities,
                "timestamp": "timestamptz", "eventType": "string", "x": "string", "n": "int", "web": {"page": "string"}}),
            Self::EventF => json!({"timestamp": "timestamptz", "profileId": "string", "ingestTime": "timestamptz",
                "n": "long", "x": "string", "web": {"site": "string"}, "identityMap": identities}),
        };
        columns.as_object().unwrap().clone()
    }

    /// A row of it.
    pub(super) fn row(self) -> BoxedStrategy<Fields> {
        let ours = vec![
            ("profileId", one_of(&["p0", "p1", "p2", "p3", "p4"].map(|id| json!(id)))),
            ("ingestTime", prop_oneof![1 => Just(Value::Null), 5 => time()].boxed()),
            ("identityMap", or_null(identity_map())),
            ("x", or_null(text())),
            ("n", or_null(number())),
        ];
        let more = match self {
            Self::ProfileA => vec![
                ("segmentMembership", or_null(memberships())),
                ("s", or_null(fields(vec![("y", or_null(text())), ("z", or_null(number()))]))),
                ("l", or_null(list(text()))),
                ("m", or_null(map(&["k", "j"], text()))),
            ],
            Self::ProfileB => vec![
                ("segmentMembership", or_null(memberships())),
                (
                    "s",
                    or_null(fields(vec![("y", or_null(text())), ("w", or_null(one_of(&[json!(0.1), json!(-2.0)])))])),
                ),
                ("o", or_null(list(fields(vec![("q", or_null(number())), ("r", or_null(text()))])))),
            ],
            Self::EventE => vec![
                ("timestamp", or_null(time())),
                ("eventType", or_null(one_of(&[json!("view"), json!("buy")]))),
                ("web", or_null(fields(vec![("page", or_null(text()))]))),
            ],
            Self::EventF => {
                vec![("timestamp", or_null(time())), ("web", or_null(fields(vec![("site", or_null(text()))])))]
            }
        };
        fields([ours, more].concat()).prop_map(|row| row.as_object().unwrap().clone()).boxed()
    }
}

/// A value of a column that equality deletes compare, null included.
pub(super) fn comparable(column: &str) -> BoxedStrategy<Value> {
    match column {
        "profileId" => one_of(&["p0", "p1", "p2"].map(|id| json!(id))),
        "ingestTime" => or_null(time()),
        "n" => or_null(number()),
        _ => or_null(text()),
    }
}

fn text() -> BoxedStrategy<Value> {
    one_of(&[json!("u"), json!("v"), json!("")])
}

fn number() -> BoxedStrategy<Value> {
    one_of(&[json!(0), json!(1), json!(-2)])
}

fn list(item: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let item = prop_oneof![1 => Just(Value::Null), 4 => item];
    vec(item, 0..3).prop_map(Value::Array).boxed()
}

fn identity_map() -> BoxedStrategy<Value> {
    let ids = [json!("1"), json!("2"), json!("3"), json!(null)];
    let flag = or_null(one_of(&[json!(true), json!(false)]));
    let state = or_null(one_of(&[json!("in"), json!("out")]));
    let identity = fields(vec![("id", one_of(&ids)), ("primary", flag), ("authenticatedState", state)]);
    // About the limit of 50.
    let many =
        (48..53usize).prop_map(|n| json!({"A": (0..n).map(|id| json!({"id": id.to_string()})).collect::<Value>()}));
    prop_oneof![30 => map(&["A", "a", "B"], list(identity)), 1 => many].boxed()
}

fn memberships() -> BoxedStrategy<Value> {
    let statuses = ["realized", "existing", "exited", "odd"].map(|s| json!(s));
    let membership = fields(vec![("lastQualificationTime", or_null(time())), ("status", or_null(one_of(&statuses)))]);
    map(&["ups", "UPS", "crm"], map(&["s", "t"], membership))
}
