//! What happened to some profiles after the sample's first load: newer fragments, corrections and replacements, and a
//! schema that had grown by then. Who is in which segment stays the same all through it.

use super::Sample;
use super::draw::Draw;
use super::people::{self, BASE_DAY, BASE_MICROS, DAY_MICROS, Email, Loyalty, Profile, device};
use super::segments::{Membership, Memberships};
use domain::schema::{Field, Kind, Nested, Schema};

/// What happened to a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// Nothing: it has one fragment. 94.2 of 100 profiles.
    Untouched,
    /// A newer fragment came, and the older stays: the two are merged. 5 of 100.
    Updated,
    /// The row was wrong, was deleted by its position, and came again. 4 of 1,000.
    Corrected,
    /// The row was replaced by its id: an equality delete, and the new row in the same snapshot. 4 of 1,000.
    Replaced,
}

impl History {
    /// The history of the profile of that number.
    pub fn of(sample: &Sample, number: u32) -> Self {
        match Draw::of(sample.seed, 3, u64::from(number)).below(1_000) {
            0..50 => Self::Updated,
            50..54 => Self::Corrected,
            54..58 => Self::Replaced,
            _ => Self::Untouched,
        }
    }
}

/// The row of the first load. `memberships` are those that the profile has in the end. A row that will be deleted claims
/// one more, in one of the segments, so that whoever reads deleted rows counts wrongly.
pub fn first<'s>(sample: &Sample, number: u32, memberships: Memberships<'s>, segments: &'s [String]) -> Profile<'s> {
    let memberships = match History::of(sample, number) {
        History::Untouched => memberships,
        History::Updated => split(sample, number, memberships).0,
        History::Corrected | History::Replaced => {
            let mut wrong = memberships;
            if let Some(id) = segments.get(number as usize % segments.len().max(1)) {
                let realized = Membership { last_qualification_time: Some(BASE_MICROS), status: "realized" };
                wrong.entry("ups").or_default().insert(id, realized);
            }
            wrong
        }
    };
    people::profile(sample, number, memberships)
}

/// The row that came later, where one did.
pub fn later<'s>(sample: &Sample, number: u32, memberships: Memberships<'s>) -> Option<Profile<'s>> {
    let history = History::of(sample, number);
    let memberships = match history {
        History::Untouched => return None,
        History::Updated => split(sample, number, memberships).1,
        History::Corrected | History::Replaced => memberships,
    };
    let draw = &mut Draw::of(sample.seed, 4, u64::from(number));
    let mut profile = people::profile(sample, number, memberships);
    let age = BASE_MICROS - profile.ingest_time;
    profile.ingest_time += 1 + draw.below(age.max(1).unsigned_abs()) as i64;
    if let Some(loyalty) = &mut profile.loyalty {
        loyalty.points += draw.below(5_000) as i64;
        loyalty.expires = Some(BASE_DAY + draw.below(730) as i32);
    }
    if history == History::Updated {
        update(&mut profile, draw);
    }
    Some(profile)
}

/// A fragment that knows some things anew and of others nothing.
fn update(profile: &mut Profile<'_>, draw: &mut Draw) {
    profile.person = None;
    if draw.percent(50) {
        profile.mobile_phone = None;
    }
    if draw.percent(60) {
        profile.home_address = None;
    }
    if draw.percent(40) {
        profile.tags = None;
    }
    profile.personal_email = match draw.below(10) {
        0..2 => None,
        2..5 => Some(Email { address: format!("me.{}@mail.example", &profile.profile_id[16..]) }),
        _ => profile.personal_email.take(),
    };
    profile.loyalty = match draw.below(10) {
        0..3 => None,
        // Accounts of whole companies, which an int cannot count: why the column was promoted.
        3 => Some(Loyalty {
            tier: "platinum",
            points: 3_000_000_000 + draw.below(1_000_000_000) as i64,
            joined: BASE_DAY - draw.below(3_650) as i32,
            expires: Some(BASE_DAY + 365),
        }),
        _ => profile.loyalty.take(),
    };
    profile.identity_map.entry("ECID").or_default().push(device(draw, false));
}

/// Shares a profile's memberships out to its older and its newer fragment. Their union is what it was: where both know a
/// segment, the older is out of date.
fn split<'s>(sample: &Sample, number: u32, memberships: Memberships<'s>) -> (Memberships<'s>, Memberships<'s>) {
    let draw = &mut Draw::of(sample.seed, 5, u64::from(number));
    let (mut older, mut newer) = (Memberships::new(), Memberships::new());
    for (namespace, entries) in memberships {
        for (id, membership) in entries {
            match (draw.below(10), membership.last_qualification_time) {
                (0..5, _) => older.entry(namespace).or_default().insert(id, membership),
                (8.., Some(time)) => {
                    let status = if membership.status == "exited" { "realized" } else { "exited" };
                    let before = Some(time - DAY_MICROS - draw.below(30 * DAY_MICROS.unsigned_abs()) as i64);
                    let stale = Membership { last_qualification_time: before, status };
                    older.entry(namespace).or_default().insert(id, stale);
                    newer.entry(namespace).or_default().insert(id, membership)
                }
                _ => newer.entry(namespace).or_default().insert(id, membership),
            };
        }
    }
    (older, newer)
}

/// The schema after the first load: `loyalty.points` is long, and there is `loyalty.expires`. `None` = it is so already.
pub fn evolved(schema: &Schema) -> Option<Schema> {
    let mut evolved = schema.clone();
    let mut last = 0;
    schema.fields.iter().for_each(|field| last_id(field, &mut last));
    let loyalty = evolved.fields.iter_mut().find(|f| f.name == "loyalty")?;
    let Kind::Nested(Nested::Struct { fields }) = &mut loyalty.kind else { return None };
    for field in fields.iter_mut().filter(|f| f.name == "points") {
        field.kind = Kind::Primitive("long".into());
    }
    if !fields.iter().any(|f| f.name == "expires") {
        let kind = Kind::Primitive("date".into());
        fields.push(Field { id: last + 1, name: "expires".into(), required: false, kind });
    }
    (evolved != *schema).then_some(evolved)
}

fn last_id(field: &Field, last: &mut i32) {
    *last = field.id.max(*last);
    last_id_below(&field.kind, last);
}

fn last_id_below(kind: &Kind, last: &mut i32) {
    match kind {
        Kind::Primitive(_) => {}
        Kind::Nested(Nested::Struct { fields }) => fields.iter().for_each(|field| last_id(field, last)),
        Kind::Nested(Nested::List { element_id, element, .. }) => {
            *last = (*element_id).max(*last);
            last_id_below(element, last);
        }
        Kind::Nested(Nested::Map { key_id, key, value_id, value, .. }) => {
            *last = (*key_id).max(*value_id).max(*last);
            last_id_below(key, last);
            last_id_below(value, last);
        }
    }
}
