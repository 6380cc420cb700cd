//! The exports that are compared.

use crate::store::segments::{self, NARROW, RARE, WIDE};
use crate::store::{Parameters, Table};
use domain::filter::{SegmentEntry, Window};
use domain::id::BatchId;
use domain::instant::Micros;

/// The five columns of an everyday export.
const FIVE: &str = "profileId, identityMap, personalEmail.address, person.name, loyalty.tier";

/// An export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// Which fields, as a request names them; empty = all.
    pub fields: &'static str,
    /// Whose members.
    audience: Audience,
    /// Which tables.
    pub tables: &'static [Table],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    Everybody,
    One(usize),
    /// Twenty audiences, a batch for each.
    Twenty,
}

const ALONE: &[Table] = &[Table::Profiles];
const MERGED: &[Table] = &[Table::Profiles, Table::Crm];
const WITH_EVENTS: &[Table] = &[Table::Profiles, Table::Events];

/// All of them.
pub const CASES: [Case; 9] = [
    case("wide-5", "an audience of 30 %, 5 columns", FIVE, Audience::One(WIDE), ALONE),
    case("wide-all", "an audience of 30 %, all columns", "", Audience::One(WIDE), ALONE),
    case("narrow-5", "an audience of 0.5 %, 5 columns", FIVE, Audience::One(NARROW), ALONE),
    case("narrow-all", "an audience of 0.5 %, all columns", "", Audience::One(NARROW), ALONE),
    case("rare-5", "an audience of 20 profiles, 5 columns", FIVE, Audience::One(RARE), ALONE),
    case("batches-20", "20 audiences, a batch for each, all columns", "", Audience::Twenty, ALONE),
    case("everything", "no filter, all columns", "", Audience::Everybody, ALONE),
    case(
        "merge",
        "two tables merged by latest value, an audience of 30 %, all columns",
        "",
        Audience::One(WIDE),
        MERGED,
    ),
    case("events", "an audience of 30 %, all columns, with events", "", Audience::One(WIDE), WITH_EVENTS),
];

const fn case(
    name: &'static str,
    about: &'static str,
    fields: &'static str,
    audience: Audience,
    tables: &'static [Table],
) -> Case {
    Case { name, about, fields, audience, tables }
}

impl Case {
    /// The case of that name.
    pub fn named(name: &str) -> Option<Self> {
        CASES.into_iter().find(|case| case.name == name)
    }

    /// The audiences whose members are exported; none = everybody.
    pub fn segments(&self, parameters: &Parameters) -> Vec<SegmentEntry> {
        let numbers: Vec<usize> = match self.audience {
            Audience::Everybody => vec![],
            Audience::One(segment) => vec![segment],
            Audience::Twenty => segments::usual().collect(),
        };
        let ids = segments::ids(parameters.seed);
        numbers.into_iter().map(|n| SegmentEntry::new(&ids[n], "ups", &[])).collect()
    }

    /// Whether it is known what every engine does: unpack the columns of every row group, pack the result.
    pub fn has_floor(&self) -> bool {
        matches!(self.audience, Audience::One(WIDE | NARROW))
    }

    /// Whether there is a batch for each audience.
    pub fn segment_per_batch(&self) -> bool {
        self.audience == Audience::Twenty
    }

    /// The ids of the batches.
    pub fn batches(&self) -> Vec<BatchId> {
        let count = if self.segment_per_batch() { segments::usual().count() } else { 1 };
        (1..=count as u128).map(|n| BatchId::new(0xba7c << 64 | n)).collect()
    }

    /// When memberships must have been qualified last: nearly all were. Both ends lie within.
    pub fn window(&self) -> Window {
        let at = |text| Micros::parse_rfc3339(text);
        match self.audience {
            Audience::Everybody => Window::default(),
            _ => Window { start: at("2025-12-05T00:00:00Z"), end: at("2026-06-01T00:00:00Z") },
        }
    }

    /// The fields as dot paths; empty = all.
    pub fn paths(&self) -> Vec<&'static str> {
        self.fields.split(',').map(str::trim).filter(|path| !path.is_empty()).collect()
    }
}
