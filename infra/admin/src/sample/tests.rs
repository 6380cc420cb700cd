#![allow(clippy::unwrap_used)]

use super::*;
use crate::fakes::{MemoryTables, json, live_rows, read_parquet};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use testkit::MemoryObjects;

/// The tables of the sample registry, empty.
struct Setting {
    tables: MemoryTables,
    objects: MemoryObjects,
    datasets: Vec<Dataset>,
}

impl Setting {
    fn new() -> Self {
        let tables = MemoryTables::default();
        let file = RegistryFile::read(REGISTRY).unwrap();
        let declared = file.sandboxes[0].datasets.iter().map(|d| &d.item);
        let datasets = declared.filter_map(|d| {
            tables.put(&d.dataset.table, d.schema.as_ref()?, d.buckets, None);
            Some(d.dataset.clone())
        });
        let datasets = datasets.collect();
        Self { tables, objects: MemoryObjects::default(), datasets }
    }

    async fn load(&self, sample: &Sample, id: &str) -> Option<Imported> {
        load(sample, self.dataset(id), false, &self.tables, &self.objects).await.unwrap()
    }

    fn dataset(&self, id: &str) -> &Dataset {
        self.datasets.iter().find(|d| d.id == id).unwrap()
    }

    async fn live(&self, id: &str) -> Vec<Value> {
        let dataset = self.dataset(id);
        live_rows(&self.tables, &self.objects, &dataset.table, &dataset.columns.profile_id).await
    }
}

fn schema(number: usize) -> Schema {
    let file = RegistryFile::read(REGISTRY).unwrap();
    file.sandboxes[0].datasets[number].item.schema.clone().unwrap()
}

fn text<'v>(row: &'v Value, name: &str) -> &'v str {
    row[name].as_str().unwrap()
}

/// All fragments of each profile.
fn by_profile(rows: Vec<Value>) -> BTreeMap<String, Vec<Value>> {
    let mut profiles: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in rows {
        profiles.entry(text(&row, "profileId").to_owned()).or_default().push(row);
    }
    profiles
}

/// The memberships of a profile: of entries for the same segment the later one.
fn united(fragments: &[Value]) -> BTreeMap<String, Value> {
    let mut united = BTreeMap::new();
    for entries in fragments.iter().filter_map(|f| f["segmentMembership"]["ups"].as_object()) {
        for (id, entry) in entries {
            let time = |entry: &Value| entry["lastQualificationTime"].as_str().map(str::to_owned);
            let known = united.entry(id.clone()).or_insert_with(|| entry.clone());
            if time(entry) > time(known) {
                *known = entry.clone();
            }
        }
    }
    united
}

#[test]
fn the_same_seed_draws_the_same_rows_and_another_seed_others() {
    let sample = Sample { profiles: 2_000, seed: 7 };
    let other = Sample { seed: 8, ..sample };
    let later = history::evolved(&schema(0)).unwrap();
    let all = |sample: &Sample| {
        let changes = sample.changes(&later).unwrap();
        let rows = [sample.batches(&schema(0)), Ok(changes.rows), sample.crm(&schema(1)), sample.events(&schema(2))];
        (rows.map(Result::unwrap), changes.by_position, changes.by_equality)
    };
    let drawn = all(&sample);
    assert_eq!(drawn, all(&sample));
    let others = all(&other);
    assert!(drawn.0.iter().zip(&others.0).all(|(a, b)| a != b));
    assert!(drawn.1.is_disjoint(&others.1) && drawn.2.is_disjoint(&others.2));
}

#[test]
fn the_sample_stays_what_it_was_in_the_first_release() {
    let rows = json(&Sample { profiles: 20, ..Sample::default() }.batches(&schema(0)).unwrap());
    let expected = [
        (0, "07b389bacfd8f97000000000", "oskar.diallo.0@example.net"),
        (19, "99fb536ef3fcd54a00000013", "emil.lopez.19@example.net"),
    ];
    for (row, profile_id, address) in expected {
        assert_eq!(rows[row]["profileId"], profile_id);
        assert_eq!(rows[row]["personalEmail"]["address"], address);
    }
}

#[tokio::test]
async fn segments_have_exactly_their_sizes_once_fragments_are_merged_and_deleted_rows_left_out() {
    let (setting, sample) = (Setting::new(), Sample { profiles: 20_000, ..Sample::default() });
    setting.load(&sample, &profile_dataset().unwrap()).await.unwrap();
    let ids = sample_segments().unwrap();
    assert_eq!(ids.len(), 50);
    let profiles = by_profile(setting.live(&profile_dataset().unwrap()).await);
    assert_eq!(profiles.len(), 20_000);
    let mut current: BTreeMap<String, usize> = BTreeMap::new();
    let mut statuses = BTreeMap::new();
    let mut timeless = 0;
    for (id, membership) in profiles.values().flat_map(|fragments| united(fragments)) {
        let status = text(&membership, "status").to_owned();
        *current.entry(id).or_default() += usize::from(status != "exited");
        *statuses.entry(status).or_insert(0) += 1;
        timeless += usize::from(membership["lastQualificationTime"].is_null());
    }
    for (rank, id) in ids.iter().enumerate() {
        assert_eq!(current[id], current_members(sample.profiles, rank), "{id}");
    }
    assert!(statuses["realized"] > 5 * statuses["exited"] && statuses["exited"] > statuses["existing"], "{statuses:?}");
    assert!(timeless > 0);
    assert_eq!((current_members(100_000, 0), current_members(100_000, 49)), (40_000, 20));
}

#[test]
fn profiles_differ_and_have_one_primary_identity() {
    let sample = Sample { profiles: 2_000, ..Sample::default() };
    let mut rows = json(&sample.batches(&schema(0)).unwrap());
    let ids: BTreeSet<_> = rows.iter().map(|r| text(r, "profileId").to_owned()).collect();
    assert_eq!(ids.len(), 2_000);
    assert!(ids.contains(&profile_id(&sample, 1_234)));
    rows.extend(json(&sample.changes(&history::evolved(&schema(0)).unwrap()).unwrap().rows));
    rows.extend(json(&sample.crm(&schema(1)).unwrap()));
    rows.extend(json(&sample.events(&schema(2)).unwrap()));
    for row in rows {
        let identities = row["identityMap"].as_object().unwrap().values().flat_map(|l| l.as_array().unwrap());
        assert_eq!(identities.filter(|i| i["primary"] == true).count(), 1, "{row}");
    }
}

#[tokio::test]
async fn what_was_deleted_came_again_and_what_was_updated_has_two_fragments() {
    let (setting, sample) = (Setting::new(), Sample { profiles: 20_000, ..Sample::default() });
    let imported = setting.load(&sample, &profile_dataset().unwrap()).await.unwrap();
    let table = &setting.dataset(&profile_dataset().unwrap()).table;
    let of = |wanted| (0..sample.profiles).filter(|n| History::of(&sample, *n) == wanted).collect::<Vec<_>>();
    let (updated, corrected, replaced) = (of(History::Updated), of(History::Corrected), of(History::Replaced));
    assert_eq!((updated.len(), corrected.len(), replaced.len()), (UPDATED, CORRECTED, REPLACED));
    let later = (updated.len() + corrected.len() + replaced.len()) as u64;
    assert_eq!((imported.rows, imported.files), (20_000 + later, 32));
    let rows_of = |wanted: fn(&domain::plan::DeleteKind) -> bool| {
        let deletes = setting.tables.deletes_of(table).into_iter().filter(|d| wanted(&d.kind));
        deletes.map(|d| d.rows).sum::<u64>() as usize
    };
    assert_eq!(rows_of(|kind| *kind == domain::plan::DeleteKind::Position), corrected.len());
    assert_eq!(rows_of(|kind| *kind != domain::plan::DeleteKind::Position), replaced.len());

    let profiles = by_profile(setting.live(&profile_dataset().unwrap()).await);
    for (n, fragments) in (0..).map(|n| (n, &profiles[&profile_id(&sample, n)])).take(20_000) {
        let two = History::of(&sample, n) == History::Updated;
        assert_eq!(fragments.len(), 1 + usize::from(two), "{n}");
        if two {
            assert!(text(&fragments[0], "ingestTime") < text(&fragments[1], "ingestTime"), "{n}");
        }
    }
    let points = |n: &u32| profiles[&profile_id(&sample, *n)].last().unwrap()["loyalty"]["points"].as_i64();
    assert!(updated.iter().filter_map(points).any(|points| points > i64::from(i32::MAX)));
}

#[tokio::test]
async fn the_first_files_are_of_the_older_schema() {
    let (setting, sample) = (Setting::new(), Sample { profiles: 2_000, ..Sample::default() });
    setting.load(&sample, &profile_dataset().unwrap()).await.unwrap();
    let table = &setting.dataset(&profile_dataset().unwrap()).table;
    let loyalty = |schema: &Schema| serde_json::to_value(schema.field("loyalty").unwrap()).unwrap();
    let now = loyalty(&setting.tables.look_at(table).schema)["type"]["fields"].clone();
    assert_eq!((&now[1]["type"], &now[3]["name"]), (&"long".into(), &"expires".into()));
    let ids: BTreeSet<_> = (0..4).map(|i| now[i]["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), 4);
    let files = setting.tables.files_of(table);
    for (file, columns) in [
        (&files[0], "tier Utf8, points Int32, joined Date32"),
        (&files[16], "tier Utf8, points Int64, joined Date32, expires Date32"),
    ] {
        let batch = read_parquet(&setting.objects, &file.location).await.remove(0);
        let arrow_schema::DataType::Struct(fields) =
            batch.schema().field_with_name("loyalty").unwrap().data_type().clone()
        else {
            panic!("loyalty is a struct");
        };
        let found: Vec<_> = fields.iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
        assert_eq!(found.join(", "), columns);
    }
    assert_eq!(history::evolved(&setting.tables.look_at(table).schema), None);
}

#[tokio::test]
async fn a_load_that_broke_off_is_finished_and_a_finished_one_is_left_alone() {
    let (setting, sample) = (Setting::new(), Sample { profiles: 2_000, ..Sample::default() });
    let dataset = setting.dataset(&profile_dataset().unwrap());
    let batches = sample.batches(&schema(0)).unwrap();
    import::load(dataset, batches, None, &setting.tables, &setting.objects).await.unwrap();
    let rest = setting.load(&sample, &dataset.id).await.unwrap();
    let later = (0..2_000).filter(|n| History::of(&sample, *n) != History::Untouched).count();
    assert_eq!(rest.rows, later as u64);
    for id in [profile_dataset(), crm_dataset(), event_dataset()].map(Result::unwrap) {
        setting.load(&sample, &id).await;
        assert_eq!(setting.load(&sample, &id).await, None);
    }
    let broken_off = Setting::new();
    broken_off.load(&sample, &dataset.id).await;
    assert_eq!(setting.live(&dataset.id).await, broken_off.live(&dataset.id).await);
}

#[tokio::test]
async fn the_crm_knows_three_in_ten_and_agrees_with_their_profiles_only_mostly() {
    let (setting, sample) = (Setting::new(), Sample { profiles: 20_000, ..Sample::default() });
    for id in [profile_dataset(), crm_dataset()].map(Result::unwrap) {
        setting.load(&sample, &id).await.unwrap();
    }
    let profiles = by_profile(setting.live(&profile_dataset().unwrap()).await);
    let records = setting.live(&crm_dataset().unwrap()).await;
    assert_eq!(records.len(), CRM);
    let mut differing = BTreeMap::new();
    for record in &records {
        let fragments = &profiles[text(record, "customer_id")];
        assert_eq!(record["identityMap"]["CRMID"], fragments[0]["identityMap"]["CRMID"]);
        for path in ["/personalEmail/address", "/loyalty/points", "/preferredLanguage"] {
            let (theirs, ours) = (record.pointer(path), fragments[0].pointer(path));
            *differing.entry(path).or_insert(0) += usize::from(theirs.is_some() && ours.is_some() && theirs != ours);
        }
        *differing.entry("newer").or_insert(0) +=
            usize::from(text(record, "updated_at") > text(&fragments[0], "ingestTime"));
    }
    assert!(differing.values().all(|n| n * 20 > records.len() && n * 2 < records.len() + 1_000), "{differing:?}");
}

#[tokio::test]
async fn one_in_five_has_events_and_so_have_strangers() {
    let (setting, sample) = (Setting::new(), Sample { profiles: 20_000, ..Sample::default() });
    setting.load(&sample, &event_dataset().unwrap()).await.unwrap();
    let events = setting.live(&event_dataset().unwrap()).await;
    assert_eq!(events.len(), EVENTS);
    let known: BTreeSet<_> = (0..sample.profiles).map(|n| profile_id(&sample, n)).collect();
    let seen = by_profile(events);
    let strangers = seen.keys().filter(|id| !known.contains(*id)).count();
    assert_eq!((strangers, sample.strangers()), (100, 100));
    assert_eq!(seen.len() - strangers, SEEN);
    assert_eq!(seen.values().map(Vec::len).max(), Some(8));
    for event in seen.values().flatten() {
        assert!(text(event, "timestamp") < text(event, "ingestTime"));
        let items = event["productListItems"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!(event["commerce"].is_object(), event["eventType"] == "commerce.purchases");
        let sum: f64 = items.iter().map(|item| item["priceTotal"].as_f64().unwrap()).sum();
        if let Some(total) = event["commerce"]["order"]["priceTotal"].as_f64() {
            assert!((total - sum).abs() < 0.001, "{event}");
        }
    }
    assert!(seen.values().any(|events| !events.iter().map(|e| text(e, "timestamp")).is_sorted()));
}

/// What 20,000 profiles come to.
const UPDATED: usize = 1_012;
const CORRECTED: usize = 57;
const REPLACED: usize = 79;
const CRM: usize = 6_104;
const SEEN: usize = 4_004;
const EVENTS: usize = 11_377;
