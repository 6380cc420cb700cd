//! Which profiles an export carries.

use crate::fields::Projection;
use crate::instant::Micros;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The state of a profile's membership in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MembershipStatus {
    /// A member now.
    Realized,
    /// A member now, under the older name.
    Existing,
    /// A member no more.
    Exited,
}

impl MembershipStatus {
    /// The name on the wire and in the stored map.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Realized => "realized",
            Self::Existing => "existing",
            Self::Exited => "exited",
        }
    }

    /// The status of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Realized, Self::Existing, Self::Exited].into_iter().find(|s| s.as_str() == text)
    }
}

/// One entry of `filter.segments`, with its defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentEntry {
    /// The segment's id within its namespace; compared exactly.
    pub segment_id: String,
    /// Namespace; compared without regard to ASCII case.
    pub namespace: String,
    /// The stored statuses that match: what was asked for, with `existing` beside `realized`. Never empty.
    pub matches: BTreeSet<MembershipStatus>,
}

impl SegmentEntry {
    /// An entry for the statuses asked for (none = `realized`), widened by the rule that who asks for `realized` also
    /// means a stored `existing`.
    pub fn new(segment_id: &str, namespace: &str, asked: &[MembershipStatus]) -> Self {
        let mut matches: BTreeSet<_> = asked.iter().copied().collect();
        if matches.is_empty() {
            matches.insert(MembershipStatus::Realized);
        }
        if matches.contains(&MembershipStatus::Realized) {
            matches.insert(MembershipStatus::Existing);
        }
        Self { segment_id: segment_id.to_owned(), namespace: namespace.to_owned(), matches }
    }
}

/// A span of time in which both ends lie; an absent end is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The earliest instant that lies in it.
    pub start: Option<Micros>,
    /// The latest instant that lies in it.
    pub end: Option<Micros>,
}

impl Window {
    /// Whether it admits everything, a membership without a time included.
    pub fn is_open(&self) -> bool {
        self.start.is_none() && self.end.is_none()
    }

    /// Whether an instant lies in it. No instant lies in no window but the open one.
    pub fn contains(&self, at: Option<Micros>) -> bool {
        match at {
            None => self.is_open(),
            Some(at) => self.start.is_none_or(|s| s <= at) && self.end.is_none_or(|e| at <= e),
        }
    }
}

/// Who is exported: members of any of the segments, or everybody where there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileFilter {
    /// Any of these; empty = every profile.
    pub segments: Vec<SegmentEntry>,
    /// When a membership must have been qualified last; judged per entry.
    pub window: Window,
    /// Only profiles whose update time is strictly after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_after: Option<Micros>,
    /// Whether profiles that have events and no fragment are exported; they match no segment.
    #[serde(default)]
    pub empty_profiles: bool,
}

/// Which events of the exported profiles go along, by the time they were ingested; both ends lie outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventList {
    /// Which fields of an event.
    pub projection: Projection,
    /// Only events ingested strictly after it.
    pub after: Option<Micros>,
    /// Only events ingested strictly before it.
    pub before: Option<Micros>,
}

impl EventList {
    /// Whether an event ingested then goes along; one without the time only where no end is set.
    pub fn admits(&self, ingested: Option<Micros>) -> bool {
        match ingested {
            None => self.after.is_none() && self.before.is_none(),
            Some(at) => self.after.is_none_or(|after| after < at) && self.before.is_none_or(|before| at < before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MembershipStatus::*;

    #[test]
    fn who_asks_for_realized_also_means_existing_and_not_the_other_way_round() {
        let matches =
            |asked: &[MembershipStatus]| SegmentEntry::new("s", "ups", asked).matches.into_iter().collect::<Vec<_>>();
        assert_eq!(matches(&[]), [Realized, Existing]);
        assert_eq!(matches(&[Realized]), [Realized, Existing]);
        assert_eq!(matches(&[Existing]), [Existing]);
        assert_eq!(matches(&[Exited]), [Exited]);
        assert_eq!(matches(&[Exited, Realized]), [Realized, Existing, Exited]);
    }

    #[test]
    fn both_ends_of_a_window_lie_in_it_and_no_time_lies_only_in_the_open_one() {
        let window = Window { start: Some(Micros(10)), end: Some(Micros(20)) };
        let inside: Vec<_> = (9..=21).filter(|t| window.contains(Some(Micros(*t)))).collect();
        assert_eq!(inside, (10..=20).collect::<Vec<_>>());
        assert!(!window.contains(None));
        assert!(Window::default().contains(None));
        assert!(!Window { start: Some(Micros(0)), end: None }.contains(None));
    }

    #[test]
    fn both_ends_of_an_event_lists_window_lie_outside() {
        let list = EventList { after: Some(Micros(10)), before: Some(Micros(13)), ..EventList::default() };
        let inside: Vec<_> = (9..=14).filter(|t| list.admits(Some(Micros(*t)))).collect();
        assert_eq!(inside, [11, 12]);
        assert!(!list.admits(None));
        assert!(EventList::default().admits(None));
    }
}
