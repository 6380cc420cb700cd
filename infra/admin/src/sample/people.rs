//! One profile, drawn from its number.

use super::Sample;
use super::draw::Draw;
use super::segments::Memberships;
use serde::Serialize;
use std::collections::BTreeMap;

/// 2026-06-01T00:00:00Z, the sample's today, in microseconds since 1970.
pub const BASE_MICROS: i64 = 1_780_272_000_000_000;
/// A day in microseconds.
pub const DAY_MICROS: i64 = 86_400_000_000;
/// The same today in days since 1970.
pub const BASE_DAY: i32 = 20_605;

const FIRST_NAMES: [(&str, &str); 24] = [
    ("Ada", "female"),
    ("Amir", "male"),
    ("Aiko", "female"),
    ("Bruno", "male"),
    ("Carmen", "female"),
    ("Chidi", "male"),
    ("Dana", "non_specific"),
    ("Elif", "female"),
    ("Emil", "male"),
    ("Fatima", "female"),
    ("Grace", "female"),
    ("Hiro", "male"),
    ("Ines", "female"),
    ("Jonas", "male"),
    ("Kim", "non_specific"),
    ("Lucía", "female"),
    ("Marek", "male"),
    ("Noor", "female"),
    ("Oskar", "male"),
    ("Priya", "female"),
    ("Ravi", "male"),
    ("Sofia", "female"),
    ("Tomás", "male"),
    ("Zoë", "female"),
];
const LAST_NAMES: [&str; 24] = [
    "Andersen", "Bauer", "Chen", "Diallo", "Evans", "Fischer", "García", "Haddad", "Ito", "Jensen", "Kowalski",
    "Lopez", "Müller", "Nguyen", "Okafor", "Patel", "Quinn", "Rossi", "Sato", "Taylor", "Usman", "Vasquez", "Weber",
    "Yılmaz",
];
/// City, postal code prefix, country, language.
const CITIES: [(&str, &str, &str, &str); 12] = [
    ("Berlin", "10", "DE", "de-DE"),
    ("Hamburg", "20", "DE", "de-DE"),
    ("Lyon", "69", "FR", "fr-FR"),
    ("Madrid", "28", "ES", "es-ES"),
    ("Osaka", "53", "JP", "ja-JP"),
    ("Austin", "78", "US", "en-US"),
    ("Portland", "97", "US", "en-US"),
    ("Boston", "02", "US", "en-US"),
    ("Leeds", "LS", "GB", "en-GB"),
    ("Porto", "40", "PT", "pt-PT"),
    ("Kraków", "30", "PL", "pl-PL"),
    ("Toronto", "M5", "CA", "en-CA"),
];
const STREETS: [&str; 8] = [
    "Mill Lane",
    "Station Road",
    "Garden Street",
    "Harbour View",
    "Oak Avenue",
    "Church Square",
    "River Walk",
    "Hill Road",
];
const TIERS: [&str; 10] =
    ["bronze", "bronze", "bronze", "bronze", "bronze", "silver", "silver", "silver", "gold", "platinum"];
const TAGS: [&str; 12] = [
    "sale",
    "organic",
    "gift",
    "express",
    "newsletter",
    "in-store",
    "app",
    "family",
    "sport",
    "travel",
    "books",
    "garden",
];
const MAIL_DOMAINS: [&str; 3] = ["example.com", "example.net", "example.org"];

/// A profile fragment as the sample's table has it. Times are in microseconds, dates in days since 1970.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile<'s> {
    pub profile_id: String,
    pub ingest_time: i64,
    pub identity_map: IdentityMap,
    pub segment_membership: Option<Memberships<'s>>,
    pub person: Option<Person>,
    pub personal_email: Option<Email>,
    pub mobile_phone: Option<Phone>,
    pub home_address: Option<Address>,
    pub loyalty: Option<Loyalty>,
    pub consents: Consents,
    pub preferred_language: &'static str,
    pub test_profile: bool,
    pub lifetime_value: Option<f64>,
    pub tags: Option<Vec<&'static str>>,
}

/// Identities by namespace.
pub type IdentityMap = BTreeMap<&'static str, Vec<Identity>>;

/// An identity of a profile.

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub id: String,
    pub authenticated_state: &'static str,
    pub primary: bool,
}

/// Who it is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    name: Name,
    birth_date: Option<i32>,
    gender: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    first_name: &'static str,
    last_name: &'static str,
}

/// An e-mail address.
#[derive(Clone, Debug, Serialize)]
pub struct Email {
    pub address: String,
}

/// A telephone number.
#[derive(Clone, Debug, Serialize)]
pub struct Phone {
    number: String,
}

/// A postal address.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    street1: String,
    city: &'static str,
    postal_code: String,
    country_code: &'static str,
}

/// A place in the loyalty programme. The table got `expires` after its first rows.
#[derive(Clone, Debug, Serialize)]
pub struct Loyalty {
    pub tier: &'static str,
    pub points: i64,
    pub joined: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<i32>,
}

/// What may be done with it.
#[derive(Clone, Debug, Serialize)]
pub struct Consents {
    marketing: Marketing,
}

#[derive(Clone, Debug, Serialize)]
struct Marketing {
    email: Consent,
}

#[derive(Clone, Debug, Serialize)]
struct Consent {
    val: &'static str,
}

/// The id of the profile of that number; another dataset names the same person by it.
pub fn profile_id(sample: &Sample, number: u32) -> String {
    let mut draw = Draw::of(sample.seed, 0, u64::from(number));
    format!("{:016x}{:08x}", draw.bits(), number)
}

/// The profile of that number.
pub fn profile<'s>(sample: &Sample, number: u32, memberships: Memberships<'s>) -> Profile<'s> {
    let draw = &mut Draw::of(sample.seed, 1, u64::from(number));
    let (first_name, gender) = draw.pick(&FIRST_NAMES);
    let last_name = draw.pick(&LAST_NAMES);
    let (city, post, country, language) = draw.pick(&CITIES);
    let address = draw.percent(92).then(|| mail(first_name, last_name, number, draw.pick(&MAIL_DOMAINS)));
    Profile {
        profile_id: profile_id(sample, number),
        ingest_time: BASE_MICROS - draw.below(90 * DAY_MICROS as u64) as i64,
        identity_map: identities(draw, number, address.as_deref()),
        segment_membership: (!memberships.is_empty()).then_some(memberships),
        person: Some(Person {
            name: Name { first_name, last_name },
            birth_date: draw.percent(80).then(|| BASE_DAY - 18 * 365 - draw.below(60 * 365) as i32),
            gender,
        }),
        mobile_phone: draw
            .percent(70)
            .then(|| Phone { number: format!("+1-{}-555-01{:02}", 200 + draw.below(700), draw.below(100)) }),
        home_address: draw.percent(85).then(|| Address {
            street1: format!("{} {}", 1 + draw.below(180), draw.pick(&STREETS)),
            city,
            postal_code: format!("{post}{:03}", draw.below(1_000)),
            country_code: country,
        }),
        loyalty: draw.percent(60).then(|| Loyalty {
            tier: draw.pick(&TIERS),
            points: draw.below(25_000) as i64,
            joined: BASE_DAY - draw.below(3_650) as i32,
            expires: None,
        }),
        consents: Consents {
            marketing: Marketing { email: Consent { val: if draw.percent(75) { "y" } else { "n" } } },
        },
        preferred_language: language,
        test_profile: draw.below(1_000) == 0,
        lifetime_value: draw.percent(90).then(|| draw.below(500_000) as f64 / 100.0),
        tags: draw.percent(65).then(|| (0..draw.below(5)).map(|_| draw.pick(&TAGS)).collect()),
        personal_email: address.map(|address| Email { address }),
    }
}

/// An ECID for every device, the address, and the customer number of those who have an account.
fn identities(draw: &mut Draw, number: u32, address: Option<&str>) -> IdentityMap {
    let customer = draw.percent(80);
    let devices = [1, 1, 1, 2, 2, 3, 4];
    let ecids = (0..draw.pick(&devices)).map(|i| device(draw, i == 0 && !customer));
    let mut map = BTreeMap::from([("ECID", ecids.collect())]);
    if let Some(address) = address {
        let id = address.to_owned();
        map.insert("Email", vec![Identity { id, authenticated_state: "loggedOut", primary: false }]);
    }
    if customer {
        let id = format!("C-{number:08}");
        map.insert("CRMID", vec![Identity { id, authenticated_state: "authenticated", primary: true }]);
    }
    map
}

/// A device that was seen.
pub fn device(draw: &mut Draw, primary: bool) -> Identity {
    let id = format!("{:019}{:019}", draw.bits() >> 1, draw.bits() >> 1);
    Identity { id, authenticated_state: "ambiguous", primary }
}

impl Profile<'_> {
    /// Its customer number, where it has an account.
    pub fn customer_number(&self) -> Option<&str> {
        self.identity_map.get("CRMID").and_then(|ids| ids.first()).map(|id| id.id.as_str())
    }
}

fn mail(first: &str, last: &str, number: u32, domain: &str) -> String {
    let plain = |name: &str| {
        let ascii = |c| match c {
            'á' => 'a',
            'í' | 'ı' => 'i',
            'ë' => 'e',
            'ü' => 'u',
            other => other,
        };
        name.to_lowercase().chars().map(ascii).collect::<String>()
    };
    format!("{}.{}.{number}@{domain}", plain(first), plain(last))
}
