//! Settings: read once at start into a struct of the function's own, every problem reported at once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The least level that is logged: `off`, `error`, `warn`, `info`, `debug` or `trace`; read by [`crate::telemetry::init`].
pub const LOG_LEVEL: &str = "LOG_LEVEL";
/// The DynamoDB table.
pub const TABLE_NAME: &str = "TABLE_NAME";
/// The work queue's URL.
pub const QUEUE_URL: &str = "QUEUE_URL";
/// The bucket of plans and output lists.
pub const STATE_BUCKET: &str = "STATE_BUCKET";
/// How long a claim of a part holds without a sign of life, in seconds.
pub const LEASE_SECONDS: &str = "LEASE_SECONDS";
/// Attempts at a part after which its job fails.
pub const MAX_ATTEMPTS: &str = "MAX_ATTEMPTS";
/// Jobs of one sandbox that may run at a time; further ones are answered 429.
pub const MAX_RUNNING_JOBS: &str = "MAX_RUNNING_JOBS";
/// How long a worker works on a part before it leaves the rest as two halves, in seconds.
pub const SPLIT_AFTER_SECONDS: &str = "SPLIT_AFTER_SECONDS";
/// How long what an ended job left behind is left alone, in seconds.
pub const COLLECT_GRACE_SECONDS: &str = "COLLECT_GRACE_SECONDS";
/// Input bytes of a part, where the data can be cut.
pub const PART_TARGET_BYTES: &str = "PART_TARGET_BYTES";
/// The function's memory in MiB; Lambda says it.
pub const FUNCTION_MEMORY_MB: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
/// The key set (RFC 7517) that tokens are signed with: as JSON, or the `https` URL of it.
pub const AUTH_JWKS: &str = "AUTH_JWKS";
/// The only `iss` of tokens that is taken; blank = any.
pub const AUTH_ISSUER: &str = "AUTH_ISSUER";
/// What must be among a token's `aud`; blank = anything.
pub const AUTH_AUDIENCE: &str = "AUTH_AUDIENCE";
/// The claim of a token that names its client.
pub const AUTH_CLIENT_CLAIM: &str = "AUTH_CLIENT_CLAIM";

/// Why a function does not start: everything that is wrong with its settings.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the settings are not usable: {}", .0.join("; "))]
pub struct BadSettings(pub Vec<String>);

/// The settings under the names that a function declares.
#[derive(Debug)]
pub struct Settings {
    names: &'static [&'static str],
    values: BTreeMap<&'static str, String>,
    problems: Vec<String>,
}

/// Reads the environment variables `names` through `take`, which sees no others: so the list that the template is compared
/// with is always whole.
pub fn read<T>(names: &'static [&'static str], take: impl FnOnce(&mut Settings) -> T) -> Result<T, BadSettings> {
    read_from(names, |name| std::env::var(name).ok(), take)
}

/// As [`read`], from any source.
pub fn read_from<T>(
    names: &'static [&'static str],
    source: impl Fn(&str) -> Option<String>,
    take: impl FnOnce(&mut Settings) -> T,
) -> Result<T, BadSettings> {
    let values = names.iter().filter_map(|name| Some((*name, source(name)?))).collect();
    let mut settings = Settings { names, values, problems: Vec::new() };
    let taken = take(&mut settings);
    if settings.problems.is_empty() { Ok(taken) } else { Err(BadSettings(settings.problems)) }
}

impl Settings {
    /// A text that must be there; empty where that is a problem.
    pub fn text(&mut self, name: &str) -> String {
        let value = self.optional(name);
        if value.is_none() && self.names.contains(&name) {
            self.problems.push(format!("{name} is not set"));
        }
        value.unwrap_or_default()
    }

    /// A text that may be absent; a blank one is.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        if !self.names.contains(&name) {
            self.problems.push(format!("{name} is read without being declared"));
        }
        self.values.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A whole number within `range`; the range's start where that is a problem.
    pub fn number(&mut self, name: &str, range: RangeInclusive<u64>) -> u64 {
        let read = |text: &str| text.parse().ok().filter(|n| range.contains(n));
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        self.parsed(name, |text| read(text).ok_or(wanted)).unwrap_or(*range.start())
    }

    /// A text that `read` makes something of, or says what it should be; `None` where that is a problem.
    pub fn parsed<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        read(&text).map_err(|wanted| self.problems.push(format!("{name} must be {wanted}"))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &[TABLE_NAME, LEASE_SECONDS, MAX_ATTEMPTS];

    fn read(values: &[(&str, &str)]) -> Result<(String, u64, u64), BadSettings> {
        let source = |name: &str| values.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        read_from(NAMES, source, |s| {
            (s.text(TABLE_NAME), s.number(LEASE_SECONDS, 1..=900), s.number(MAX_ATTEMPTS, 1..=9))
        })
    }

    #[test]
    fn sound_settings_become_a_struct() {
        let read = read(&[(TABLE_NAME, " t "), (LEASE_SECONDS, "120"), (MAX_ATTEMPTS, "5")]);
        assert_eq!(read, Ok(("t".into(), 120, 5)));
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let found = read(&[(TABLE_NAME, " "), (LEASE_SECONDS, "0"), (MAX_ATTEMPTS, "five")]).map(|_| ());
        let wanted = [
            "TABLE_NAME is not set",
            "LEASE_SECONDS must be a whole number from 1 to 900",
            "MAX_ATTEMPTS must be a whole number from 1 to 9",
        ];
        assert_eq!(found, Err(BadSettings(wanted.map(String::from).into())));
    }

    #[test]
    fn what_may_be_absent_may_be_blank() {
        let read = |value: &str| read_from(NAMES, |_| Some(value.into()), |s| s.optional(TABLE_NAME));
        assert_eq!((read(" t "), read(" ")), (Ok(Some("t".into())), Ok(None)));
    }

    #[test]
    fn a_name_that_is_not_declared_cannot_be_read() {
        let found = read_from(NAMES, |_| Some("1".into()), |s| s.text(QUEUE_URL)).map(|_| ());
        assert_eq!(found, Err(BadSettings(vec!["QUEUE_URL is read without being declared".into()])));
    }
}
