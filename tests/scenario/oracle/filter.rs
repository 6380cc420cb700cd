//! Whether a profile is a member.

use super::request::Segment;
use crate::types::micros;
use serde_json::Value;

/// Whether a merged `segmentMembership` has a membership that the entry asks for.
pub(super) fn matches(memberships: &Value, asked: &Segment, window: (Option<i64>, Option<i64>)) -> bool {
    let namespaces = memberships.as_object().into_iter().flatten();
    let same = namespaces.filter(|(namespace, _)| namespace.eq_ignore_ascii_case(&asked.namespace));
    same.into_iter().any(|(_, segments)| {
        let membership = &segments[&asked.id];
        let status = membership["status"].as_str();
        let wanted = status.is_some_and(|status| asked.statuses.iter().any(|s| s == status));
        wanted && lies_in(window, micros(&membership["lastQualificationTime"]))
    })
}

/// Whether a time lies in a window, ends included. No time lies in none.
fn lies_in((start, end): (Option<i64>, Option<i64>), time: Option<i64>) -> bool {
    match time {
        None => start.is_none() && end.is_none(),
        Some(time) => start.is_none_or(|start| start <= time) && end.is_none_or(|end| time <= end),
    }
}
