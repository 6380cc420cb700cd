//! The rows of the profile table and of the CRM's.

use super::bucket::ProfileNumber;
use super::segments::{self, RARE, SEGMENTS};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// 2026-06-01T00:00:00Z in microseconds: nothing in the store is later.
pub const NOW: i64 = 1_780_272_000_000_000;
/// A day in microseconds.
pub const DAY: i64 = 86_400_000_000;

const FIRST: &[&str] = &[
    "Ada", "Amir", "Anna", "Ben", "Carmen", "Chloe", "Daniel", "Elena", "Emil", "Fatima", "Finn", "Grace", "Hana",
    "Hiro", "Ines", "Ivan", "Jonas", "Julia", "Kenji", "Lara", "Leo", "Lucia", "Malik", "Maria", "Mateo", "Mia",
    "Nadia", "Noah", "Olga", "Omar", "Paula", "Pedro", "Priya", "Quinn", "Rosa", "Samir", "Sofia", "Tariq", "Uma",
    "Yuki",
];
const LAST: &[&str] = &[
    "Abbas", "Andersen", "Bauer", "Becker", "Costa", "Diaz", "Dubois", "Evans", "Fischer", "Garcia", "Haddad",
    "Hansen", "Ito", "Ivanov", "Jansen", "Kaya", "Khan", "Kim", "Kowalski", "Larsen", "Lopez", "Martin", "Meyer",
    "Moreau", "Mori", "Nguyen", "Novak", "Okafor", "Olsen", "Patel", "Quinn", "Reyes", "Rossi", "Sato", "Schmidt",
    "Silva", "Smith", "Tanaka", "Vasquez", "Weber", "Wilson", "Yilmaz", "Zhang",
];
const CITIES: &[(&str, &str)] = &[
    ("Berlin", "DE"),
    ("Hamburg", "DE"),
    ("Munich", "DE"),
    ("Paris", "FR"),
    ("Lyon", "FR"),
    ("Madrid", "ES"),
    ("Seville", "ES"),
    ("Rome", "IT"),
    ("Milan", "IT"),
    ("London", "GB"),
    ("Leeds", "GB"),
    ("Dublin", "IE"),
    ("Vienna", "AT"),
    ("Zurich", "CH"),
    ("Oslo", "NO"),
    ("Copenhagen", "DK"),
    ("Lisbon", "PT"),
    ("Warsaw", "PL"),
    ("Prague", "CZ"),
    ("Athens", "GR"),
    ("New York", "US"),
    ("Chicago", "US"),
    ("Austin", "US"),
    ("Tokyo", "JP"),
];
const TIERS: &[&str] = &["bronze", "bronze", "bronze", "bronze", "silver", "silver", "gold", "platinum"];
const LANGUAGES: &[&str] = &["de", "en", "en", "en", "es", "fr", "it", "ja"];
const INTERESTS: &[&str] = &[
    "art", "books", "camping", "cars", "coffee", "cooking", "cycling", "dance", "film", "fishing", "football", "games",
    "garden", "golf", "hiking", "history", "jazz", "knitting", "music", "opera", "photo", "running", "sailing",
    "skiing", "swimming", "tea", "tennis", "theatre", "travel", "wine",
];

/// A map, in the order of its entries.
pub struct Entries<K, V>(pub Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Entries<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// One of a profile's identities.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    id: String,
    authenticated_state: &'static str,
    primary: bool,
}

/// Identities by namespace.
pub type Identities = Entries<&'static str, Vec<Identity>>;

/// A membership in an audience.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    last_qualification_time: i64,
    status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    first_name: Option<&'static str>,
    last_name: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Person {
    name: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    birth_date: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gender: Option<&'static str>,
}

#[derive(Serialize)]
struct Email {
    address: String,
}

#[derive(Serialize)]
struct Phone {
    number: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Address {
    city: &'static str,
    country: &'static str,
    postal_code: Option<String>,
}

#[derive(Serialize)]
struct Loyalty {
    tier: &'static str,
    points: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<i64>,
}

#[derive(Serialize)]
struct Consents {
    marketing: Option<bool>,
    sharing: bool,
}

/// A row of the profile table.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile<'a> {
    profile_id: String,
    identity_map: Identities,
    segment_membership: Option<Entries<&'static str, Entries<&'a str, Membership>>>,
    ingest_time: i64,
    person: Option<Person>,
    personal_email: Option<Email>,
    mobile_phone: Option<Phone>,
    home_address: Option<Address>,
    loyalty: Option<Loyalty>,
    consents: Option<Consents>,
    score: Option<f64>,
    preferred_language: Option<&'static str>,
    household_size: Option<i32>,
    interests: Option<Vec<&'static str>>,
    store_id: Option<String>,
    #[serde(flatten)]
    attributes: Entries<&'a str, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    manager: Option<String>,
    region: &'static str,
    open_invoices: Option<i32>,
}

/// A row of the CRM's table.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CrmRecord {
    profile_id: String,
    identity_map: Identities,
    ingest_time: i64,
    person: Option<Person>,
    personal_email: Option<Email>,
    loyalty: Option<Loyalty>,
    account: Account,
}

/// What all tables know of a person alike.
pub struct Somebody {
    profile: ProfileNumber,
    random: StdRng,
    ecid: String,
    first: &'static str,
    last: &'static str,
    email: Option<String>,
    crm_id: Option<String>,
    /// Whether the CRM has a record of it.
    pub in_crm: bool,
}

impl Somebody {
    /// The person of that number.
    pub fn new(seed: u64, profile: ProfileNumber) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ profile.random);
        let (first, last) = (pick(&mut random, FIRST), pick(&mut random, LAST));
        let host = pick(&mut random, &["example.com", "example.net", "example.org"]);
        let number = profile.number;
        let email = format!("{}.{}.{number}@{host}", first.to_lowercase(), last.to_lowercase());
        let email = chance(&mut random, 88).then_some(email);
        let in_crm = chance(&mut random, 30);
        let crm_id = (in_crm || chance(&mut random, 15)).then(|| format!("C-{number:08}"));
        let ecid = ecid(&mut random);
        Self { profile, random, ecid, first, last, email, crm_id, in_crm }
    }

    /// The identity that every event of it carries.
    pub fn device(&self) -> Identities {
        Entries(vec![("ECID", vec![identity(self.ecid.clone(), "ambiguous", true)])])
    }

    /// Its row in the profile table; `rare`: whether it is in the rarest audience; `attributes`: the names of what a store
    /// tells besides.
    pub fn profile<'a>(mut self, audiences: &'a Audiences, rare: bool, attributes: &'a [String]) -> Profile<'a> {
        let (segment_membership, ingest_time) = (self.memberships(audiences, rare), self.time(90));
        let mut devices = vec![identity(self.ecid.clone(), "ambiguous", true)];
        for percent in [12, 3] {
            if chance(&mut self.random, percent) {
                devices.push(identity(ecid(&mut self.random), "loggedOut", false));
            }
        }
        let mut identities = vec![("ECID", devices)];
        let email = self.email.iter().map(|email| ("Email", vec![identity(email.clone(), "authenticated", false)]));
        identities.extend(email);
        let crm_id = self.crm_id.iter().map(|id| ("CRMID", vec![identity(id.clone(), "authenticated", false)]));
        identities.extend(crm_id);
        Profile {
            profile_id: self.profile.id(),
            identity_map: Entries(identities),
            segment_membership,
            ingest_time,
            person: self.maybe(92, |it| it.person(true)),
            personal_email: self.email.clone().map(|address| Email { address }),
            mobile_phone: self.maybe(35, |it| Phone { number: format!("+49{:09}", it.below(1_000_000_000)) }),
            home_address: self.maybe(70, Self::address),
            loyalty: self.maybe(60, |it| it.loyalty(true)),
            consents: self.maybe(95, |it| Consents {
                marketing: it.maybe(90, |it| chance(&mut it.random, 55)),
                sharing: chance(&mut it.random, 30),
            }),
            score: self.maybe(75, |it| f64::from(it.below(10_000) as u32) / 10_000.0),
            preferred_language: self.maybe(80, |it| pick(&mut it.random, LANGUAGES)),
            household_size: self.maybe(40, |it| it.below(6) as i32 + 1),
            interests: self.maybe(45, |it| (0..it.below(5)).map(|_| pick(&mut it.random, INTERESTS)).collect()),
            store_id: self.maybe(50, |it| format!("store-{:03}", it.below(400))),
            attributes: self.attributes(attributes),
        }
    }

    /// Attributes of these names, of which it has about half.
    fn attributes<'a>(&mut self, names: &'a [String]) -> Entries<&'a str, Value> {
        let value = |(n, name): (usize, &'a String)| {
            let value = match (n % 3, self.below(1 << (n % 16 + 1))) {
                (0, drawn) => Value::from(format!("value-{drawn:05}")),
                (1, drawn) => Value::from(drawn),
                (_, drawn) => Value::from(drawn as f64 / 64.0),
            };
            chance(&mut self.random, 50).then_some((name.as_str(), value))
        };
        Entries(names.iter().enumerate().filter_map(value).collect())
    }

    /// Its record in the CRM, which disagrees with the profile table here and there.
    pub fn crm_record(mut self) -> CrmRecord {
        self.random = StdRng::seed_from_u64(!self.profile.random);
        let ids = self.crm_id.iter().map(|id| ("CRMID", vec![identity(id.clone(), "authenticated", true)]));
        let emails = self.email.iter().map(|email| ("Email", vec![identity(email.clone(), "authenticated", false)]));
        CrmRecord {
            profile_id: self.profile.id(),
            identity_map: Entries(ids.chain(emails).collect()),
            ingest_time: self.time(365),
            person: self.maybe(98, |it| it.person(false)),
            personal_email: self.email.clone().map(|address| Email { address }),
            loyalty: self.maybe(50, |it| it.loyalty(false)),
            account: Account {
                manager: self.maybe(70, |it| format!("manager-{:03}", it.below(250))),
                region: pick(&mut self.random, &["north", "south", "east", "west", "overseas"]),
                open_invoices: self.maybe(30, |it| it.below(9) as i32),
            },
        }
    }

    fn memberships<'a>(
        &mut self,
        audiences: &'a Audiences,
        rare: bool,
    ) -> Option<Entries<&'static str, Entries<&'a str, Membership>>> {
        let mut held = Vec::with_capacity(8);
        for (segment, threshold) in audiences.thresholds.iter().enumerate() {
            let certain = segment == RARE && rare;
            if self.random.random::<u16>() < *threshold || certain {
                let status = match self.below(100) {
                    5..15 if !certain => "existing",
                    0..5 if !certain => "exited",
                    _ => "realized",
                };
                let drawn = self.qualified();
                let last_qualification_time = if certain { NOW - 30 * DAY } else { drawn };
                held.push((&*audiences.ids[segment], Membership { last_qualification_time, status }));
            }
        }
        (!held.is_empty()).then(|| Entries(vec![("ups", Entries(held))]))
    }

    /// Most memberships were qualified by a daily run, some as something happened.
    fn qualified(&mut self) -> i64 {
        let day = NOW - DAY * (1 + self.below(180) as i64);
        if chance(&mut self.random, 70) { day } else { day + 1_000 * self.below(86_400_000) as i64 }
    }

    fn person(&mut self, whole: bool) -> Person {
        let name = Name {
            first_name: (whole || chance(&mut self.random, 90)).then_some(self.first),
            last_name: self.maybe(if whole { 97 } else { 100 }, |it| it.last),
        };
        if !whole {
            return Person { name, birth_date: None, gender: None };
        }
        let birth_date = self.maybe(65, |it| it.below(22_000) as i32 - 8_000);
        Person {
            name,
            birth_date,
            gender: self.maybe(50, |it| pick(&mut it.random, &["female", "male", "non_specific"])),
        }
    }

    fn address(&mut self) -> Address {
        let (city, country) = pick(&mut self.random, CITIES);
        Address { city, country, postal_code: self.maybe(90, |it| format!("{:05}", it.below(9_000) * 10)) }
    }

    fn loyalty(&mut self, whole: bool) -> Loyalty {
        Loyalty {
            tier: pick(&mut self.random, TIERS),
            points: self.maybe(80, |it| it.below(20_000) as i64 * 5),
            joined: if whole { self.maybe(70, |it| NOW - DAY * it.below(3_000) as i64) } else { None },
        }
    }

    /// Some second of the last days.
    pub fn time(&mut self, days: u64) -> i64 {
        NOW - 1_000_000 * self.below(days * 86_400) as i64
    }

    /// A draw below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.random.random_range(0..bound)
    }

    fn maybe<T>(&mut self, percent: u8, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        chance(&mut self.random, percent).then(|| value(self))
    }
}

/// The audiences, as memberships are drawn.
pub struct Audiences {
    ids: Vec<String>,
    thresholds: [u16; SEGMENTS],
}

impl Audiences {
    /// Those of a seed.
    pub fn new(seed: u64) -> Self {
        Self { ids: segments::ids(seed), thresholds: segments::thresholds() }
    }
}

fn identity(id: String, authenticated_state: &'static str, primary: bool) -> Identity {
    Identity { id, authenticated_state, primary }
}

/// 38 digits, as the Experience Cloud Id service hands them out.
fn ecid(random: &mut StdRng) -> String {
    let half = |random: &mut StdRng| random.random_range(0..10u64.pow(19));
    format!("{:019}{:019}", half(random), half(random))
}

fn chance(random: &mut StdRng, percent: u8) -> bool {
    random.random_range(0..100) < percent
}

/// One of these.
pub fn pick<T: Copy>(random: &mut StdRng, from: &[T]) -> T {
    from[random.random_range(0..from.len())]
}
