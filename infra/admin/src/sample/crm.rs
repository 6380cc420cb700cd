//! What a CRM knows of those who have an account: some of it the same as the profiles say, some of it not.

use super::Sample;
use super::draw::Draw;
use super::people::{self, BASE_DAY, BASE_MICROS, DAY_MICROS, Email, IdentityMap};
use super::segments::Memberships;
use serde::Serialize;

const LANGUAGES: [&str; 6] = ["de-DE", "en-GB", "en-US", "es-ES", "fr-FR", "ja-JP"];
const SEGMENTS: [&str; 8] =
    ["consumer", "consumer", "consumer", "consumer", "small business", "small business", "partner", "enterprise"];

/// A CRM record as the sample's table has it, which calls two columns its own way.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    #[serde(rename = "customer_id")]
    profile_id: String,
    #[serde(rename = "updated_at")]
    ingest_time: i64,
    identity_map: IdentityMap,
    personal_email: Option<Email>,
    loyalty: Option<Points>,
    preferred_language: Option<&'static str>,
    crm: Crm,
}

#[derive(Clone, Debug, Serialize)]
struct Points {
    points: i64,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Crm {
    customer_number: String,
    segment: &'static str,
    since: i32,
}

/// The record of the profile of that number: 38 of 100 who have an account have one, 30 of 100 profiles.
pub fn record(sample: &Sample, number: u32) -> Option<Record> {
    let draw = &mut Draw::of(sample.seed, 6, u64::from(number));
    if !draw.percent(38) {
        return None;
    }
    let profile = people::profile(sample, number, Memberships::new());
    let customer_number = profile.customer_number()?.to_owned();
    let points = profile.loyalty.as_ref().map_or(0, |l| l.points);
    Some(Record {
        ingest_time: BASE_MICROS - draw.below(90 * DAY_MICROS.unsigned_abs()) as i64,
        personal_email: match draw.below(20) {
            0..3 => None,
            3..8 => Some(Email { address: format!("{}@work.example", customer_number.to_lowercase()) }),
            _ => profile.personal_email,
        },
        loyalty: draw.percent(60).then(|| Points { points: points + draw.pick(&[0, 0, 250, 1_000]) }),
        preferred_language: match draw.below(10) {
            0 => None,
            1..3 => Some(draw.pick(&LANGUAGES)),
            _ => Some(profile.preferred_language),
        },
        crm: Crm { customer_number, segment: draw.pick(&SEGMENTS), since: BASE_DAY - draw.below(3_650) as i32 },
        identity_map: profile.identity_map.into_iter().filter(|(namespace, _)| *namespace == "CRMID").collect(),
        profile_id: profile.profile_id,
    })
}
