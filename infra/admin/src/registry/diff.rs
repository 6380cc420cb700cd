//! What differs between a thing as registered and as the file says it.

use serde::Serialize;
use serde_json::Value;

/// What applying the file does to a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Created,
    /// It differs; each difference in few words.
    Changed(Vec<String>),
    /// It is as the file says.
    Unchanged,
}

impl Change {
    /// Compares what is registered with what the file says.
    pub fn between<T: Serialize>(stored: Option<&T>, wanted: &T) -> Self {
        let Some(stored) = stored else { return Self::Created };
        let json = |thing: &T| serde_json::to_value(thing).expect("registry types have text keys and finite numbers");
        let differences = differences(&json(stored), &json(wanted));
        if differences.is_empty() { Self::Unchanged } else { Self::Changed(differences) }
    }

    /// Whether something is to be written.
    pub fn writes(&self) -> bool {
        matches!(self, Self::Created | Self::Changed(_))
    }

    /// The sign at the start of a diff's line.
    pub fn sign(&self) -> char {
        match self {
            Self::Created => '+',
            Self::Changed(_) => '~',
            Self::Unchanged => '=',
        }
    }
}

fn differences(stored: &Value, wanted: &Value) -> Vec<String> {
    let (Value::Object(stored), Value::Object(wanted)) = (stored, wanted) else {
        return if stored == wanted { Vec::new() } else { vec![arrow(stored, wanted)] };
    };
    let mut keys: Vec<_> = wanted.keys().collect();
    keys.extend(stored.keys().filter(|key| !wanted.contains_key(*key)));
    let of = |map: &serde_json::Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or_default();
    keys.into_iter()
        .map(|key| (key, of(stored, key), of(wanted, key)))
        .filter(|(_, stored, wanted)| stored != wanted)
        .map(|(key, stored, wanted)| match key.as_str() {
            "copy" => "its table has changed".to_owned(),
            key => format!("{key}: {}", arrow(&stored, &wanted)),
        })
        .collect()
}

fn arrow(stored: &Value, wanted: &Value) -> String {
    format!("{stored} → {wanted}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use domain::registry::Segment;

    #[test]
    fn a_change_names_each_difference() {
        let segment = |name: &str, policy: Option<&str>| Segment {
            id: "s".into(),
            ns: "ups".into(),
            name: name.into(),
            merge_policy_id: policy.map(str::to_owned),
            pql: None,
        };
        let old = segment("Buyers", None);
        assert_eq!(Change::between(None, &old), Change::Created);
        assert_eq!(Change::between(Some(&old), &old), Change::Unchanged);
        let expected = [r#"name: "Buyers" → "Sellers""#, r#"mergePolicyId: null → "m""#].map(str::to_owned);
        assert_eq!(Change::between(Some(&old), &segment("Sellers", Some("m"))), Change::Changed(expected.to_vec()));
    }
}
