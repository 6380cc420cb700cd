//! What people did in the shop: a few events of every fifth profile, and of some whom no profile dataset knows.

use super::Sample;
use super::draw::Draw;
use super::people::{self, BASE_MICROS, DAY_MICROS, IdentityMap, device};
use super::segments::Memberships;
use serde::Serialize;

/// Events of one who has any.
const COUNTS: [u32; 8] = [1, 1, 1, 2, 2, 3, 4, 8];
const HOUR_MICROS: u64 = 3_600_000_000;
/// Page name and path.
const PAGES: [(&str, &str); 6] = [
    ("Home", ""),
    ("Sale", "sale"),
    ("Running shoes", "shoes/running"),
    ("Coffee", "coffee"),
    ("Garden", "garden"),
    ("Help", "help"),
];
const BROWSERS: [(&str, &str); 4] = [
    ("Chrome", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/148.0.0.0 Safari/537.36"),
    ("Firefox", "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"),
    ("Safari", "Mozilla/5.0 (iPhone; CPU iPhone OS 26_4 like Mac OS X) AppleWebKit/605.1.15 Version/26.4 Safari/604.1"),
    ("Edge", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/148.0.0.0 Edg/148.0.0.0"),
];
/// SKU, name, price in cents.
const PRODUCTS: [(&str, &str, u64); 8] = [
    ("SH-1042", "Trail running shoe", 12_990),
    ("SH-1077", "Road running shoe", 11_490),
    ("CF-0201", "Espresso beans, 1 kg", 2_290),
    ("CF-0310", "Filter coffee, 500 g", 1_190),
    ("GD-3301", "Raised bed", 8_900),
    ("GD-3350", "Watering can", 1_790),
    ("BK-9001", "Bird guide", 2_450),
    ("TR-7004", "Camping lamp", 3_900),
];

/// An ExperienceEvent as the sample's table has it. Times are in microseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    profile_id: String,
    identity_map: IdentityMap,
    timestamp: i64,
    ingest_time: i64,
    event_type: &'static str,
    web: Option<Web>,
    environment: Environment,
    commerce: Option<Commerce>,
    product_list_items: Option<Vec<Item>>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Web {
    web_page_details: Page,
}

#[derive(Clone, Debug, Serialize)]
struct Page {
    name: &'static str,
    #[serde(rename = "URL")]
    url: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Environment {
    browser_details: Browser,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Browser {
    name: Option<&'static str>,
    user_agent: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct Commerce {
    order: Order,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    price_total: f64,
    currency_code: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(rename = "SKU")]
    sku: &'static str,
    name: &'static str,
    quantity: i32,
    price_total: f64,
}

/// The events of the profile of that number, in no order. Numbers from the sample's size on are strangers: profiles
/// without a record, all of whom have events.
pub fn events(sample: &Sample, number: u32) -> Vec<Event> {
    let draw = &mut Draw::of(sample.seed, 7, u64::from(number));
    let stranger = number >= sample.profiles;
    if !stranger && !draw.percent(20) {
        return Vec::new();
    }
    let identities =
        if stranger { IdentityMap::from([("ECID", vec![device(draw, true)])]) } else { known(sample, number) };
    let profile_id = people::profile_id(sample, number);
    (0..draw.pick(&COUNTS)).map(|_| event(draw, profile_id.clone(), identities.clone())).collect()
}

/// The identities by which a known visitor is seen: the primary one, and the first device.
fn known(sample: &Sample, number: u32) -> IdentityMap {
    let mut identities = people::profile(sample, number, Memberships::new()).identity_map;
    identities.remove("Email");
    if let Some(devices) = identities.get_mut("ECID") {
        devices.truncate(1);
    }
    identities
}

fn event(draw: &mut Draw, profile_id: String, identity_map: IdentityMap) -> Event {
    let timestamp = BASE_MICROS - DAY_MICROS - draw.below(89 * DAY_MICROS.unsigned_abs()) as i64;
    let delay = if draw.percent(3) { 20 * HOUR_MICROS } else { HOUR_MICROS };
    let (name, user_agent) = draw.pick(&BROWSERS);
    let (event_type, products) = match draw.below(10) {
        0..5 => ("web.webpagedetails.pageViews", 0),
        5..7 => ("commerce.productListAdds", 1),
        7..9 => ("commerce.purchases", 1 + draw.below(3)),
        _ => ("userAccount.login", 0),
    };
    let items: Vec<_> = (0..products).map(|_| item(draw)).collect();
    let order = || Order {
        price_total: cents(items.iter().map(|(_, cents)| cents).sum()),
        currency_code: draw.pick(&["EUR", "EUR", "USD", "GBP"]),
    };
    let commerce = (event_type == "commerce.purchases").then(order).map(|order| Commerce { order });
    Event {
        profile_id,
        identity_map,
        timestamp,
        ingest_time: timestamp + 1 + draw.below(delay) as i64,
        event_type,
        web: draw.percent(80).then(|| web(draw)),
        environment: Environment { browser_details: Browser { name: draw.percent(70).then_some(name), user_agent } },
        commerce,
        product_list_items: (!items.is_empty()).then(|| items.into_iter().map(|(item, _)| item).collect()),
    }
}

fn web(draw: &mut Draw) -> Web {
    let (name, path) = draw.pick(&PAGES);
    Web { web_page_details: Page { name, url: format!("https://shop.example.com/{path}") } }
}

/// A line of an order, and its price in cents.
fn item(draw: &mut Draw) -> (Item, u64) {
    let (sku, name, price) = draw.pick(&PRODUCTS);
    let quantity = 1 + draw.below(3);
    (Item { sku, name, quantity: quantity as i32, price_total: cents(price * quantity) }, price * quantity)
}

fn cents(cents: u64) -> f64 {
    cents as f64 / 100.0
}
