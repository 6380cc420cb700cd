//! Points in time.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A point in time, in whole milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// This instant, moved by a number of seconds.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0 + seconds * 1_000)
    }
}

/// A point in time, in whole microseconds since 1970-01-01T00:00:00Z: the unit of Iceberg's `timestamptz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// Reads an RFC 3339 date-time with any offset; `None` for anything else. Finer digits than microseconds are cut: of
    /// whole microseconds, those up to the time, or after it, are those up to the result, or after it.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text.trim()).ok().map(|t| Self(t.timestamp_micros()))
    }

    /// The same, rounded up: of whole microseconds, those from the time on, or before it, are those from the result on, or
    /// before it.
    pub fn parse_rfc3339_up(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text.trim()).ok()?;
        Some(Self(time.timestamp_micros() + i64::from(time.timestamp_subsec_nanos() % 1_000 > 0)))
    }

    /// The instant as RFC 3339 in UTC.
    pub fn to_rfc3339(self) -> String {
        DateTime::<Utc>::from_timestamp_micros(self.0)
            .map(|t| t.to_rfc3339_opts(SecondsFormat::AutoSi, true))
            .unwrap_or_else(|| self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finer_digits_are_cut_or_rounded_up() {
        let read = |text| (Micros::parse_rfc3339(text), Micros::parse_rfc3339_up(text));
        assert_eq!(read("1970-01-01T00:00:00.000001Z"), (Some(Micros(1)), Some(Micros(1))));
        assert_eq!(
            read("1970-01-01T00:00:00.0000010001Z"),
            (Some(Micros(1)), Some(Micros(1))),
            "finer than nanoseconds"
        );
        assert_eq!(read("1970-01-01T00:00:00.000001001Z"), (Some(Micros(1)), Some(Micros(2))));
        assert_eq!(read("1969-12-31T23:59:59.9999995Z"), (Some(Micros(-1)), Some(Micros(0))));
        assert_eq!(read("1970-01-01"), (None, None));
    }
}
