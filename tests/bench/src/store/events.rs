//! The rows of the event table.

use super::bucket::ProfileNumber;
use super::people::{Identities, Somebody, pick};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

const TYPES: &[&str] = &[
    "web.webpagedetails.pageViews",
    "web.webpagedetails.pageViews",
    "web.webpagedetails.pageViews",
    "commerce.productViews",
    "commerce.productListAdds",
    PURCHASE,
];
const PURCHASE: &str = "commerce.purchases";
const THINGS: &[&str] = &[
    "Bread knife",
    "Desk lamp",
    "Espresso beans, 1 kg",
    "Garden hose",
    "Linen sheets",
    "Notebook",
    "Rain jacket",
    "Tea pot",
    "Trail shoes",
    "Umbrella",
    "Watering can",
    "Wool socks",
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    price_total: f64,
    currency_code: &'static str,
}

#[derive(Serialize)]
struct Commerce {
    order: Order,
}

#[derive(Serialize)]
struct Item {
    sku: String,
    name: &'static str,
}

/// A row of the event table.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    profile_id: String,
    identity_map: Identities,
    timestamp: i64,
    ingest_time: i64,
    event_type: &'static str,
    commerce: Option<Commerce>,
    product_list_items: Option<Vec<Item>>,
}

/// The events of a profile in their order: one in ten profiles has some, 1.25 each.
pub fn of(seed: u64, profile: ProfileNumber) -> Vec<Event> {
    if profile.number % 10 != 3 {
        return Vec::new();
    }
    let mut somebody = Somebody::new(seed, profile);
    let mut random = StdRng::seed_from_u64(profile.random ^ 0xe7e7);
    let count = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 4][random.random_range(0..20)];
    let mut times: Vec<i64> = (0..count).map(|_| somebody.time(60)).collect();
    times.sort_unstable();
    times.into_iter().map(|at| event(profile, &somebody, at, &mut random)).collect()
}

fn event(profile: ProfileNumber, somebody: &Somebody, timestamp: i64, random: &mut StdRng) -> Event {
    let event_type = pick(random, TYPES);
    let order = (event_type == PURCHASE).then(|| Order {
        price_total: f64::from(random.random_range(100..30_000)) / 100.0,
        currency_code: pick(random, &["EUR", "EUR", "GBP", "USD"]),
    });
    let items = event_type.starts_with("commerce").then(|| {
        let item = |thing: usize| Item { sku: format!("SKU-{thing:04}"), name: THINGS[thing % THINGS.len()] };
        (0..random.random_range(1..4)).map(|_| item(random.random_range(0..2_000))).collect()
    });
    Event {
        profile_id: profile.id(),
        identity_map: somebody.device(),
        timestamp,
        ingest_time: timestamp + random.random_range(1..600) * 1_000_000,
        event_type,
        commerce: order.map(|order| Commerce { order }),
        product_list_items: items,
    }
}
