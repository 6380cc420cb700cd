#![allow(clippy::unwrap_used)]

use super::*;
use arrow_array::Array;
use arrow_array::cast::AsArray;
use std::collections::{BTreeMap, BTreeSet};

fn schema() -> Schema {
    let file = RegistryFile::read(REGISTRY).unwrap();
    file.sandboxes[0].datasets[0].item.schema.clone().unwrap()
}

fn json(batches: &[RecordBatch]) -> Vec<serde_json::Value> {
    let mut text = Vec::new();
    let mut writer = arrow_json::LineDelimitedWriter::new(&mut text);
    batches.iter().for_each(|b| writer.write(b).unwrap());
    writer.finish().unwrap();
    text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
}

#[test]
fn the_same_seed_draws_the_same_rows_and_another_seed_others() {
    let sample = Sample { profiles: 300, seed: 7 };
    let rows = sample.batches(&schema()).unwrap();
    assert_eq!(rows, sample.batches(&schema()).unwrap());
    assert_ne!(rows, Sample { seed: 8, ..sample }.batches(&schema()).unwrap());
}

#[test]
fn the_sample_stays_what_it_was_in_the_first_release() {
    let rows = json(&Sample { profiles: 20, ..Sample::default() }.batches(&schema()).unwrap());
    let expected = [
        (0, "07b389bacfd8f97000000000", "oskar.diallo.0@example.net"),
        (19, "99fb536ef3fcd54a00000013", "emil.lopez.19@example.net"),
    ];
    for (row, profile_id, address) in expected {
        assert_eq!(rows[row]["profileId"], profile_id);
        assert_eq!(rows[row]["personalEmail"]["address"], address);
    }
}

#[test]
fn segments_have_exactly_their_sizes() {
    let sample = Sample { profiles: 20_000, ..Sample::default() };
    let ids = sample_segments().unwrap();
    assert_eq!(ids.len(), 50);
    let mut current: BTreeMap<String, usize> = BTreeMap::new();
    let mut statuses = BTreeMap::new();
    let mut timeless = 0;
    for row in json(&sample.batches(&schema()).unwrap()) {
        for (id, membership) in row["segmentMembership"]["ups"].as_object().into_iter().flatten() {
            let status = membership["status"].as_str().unwrap().to_owned();
            *current.entry(id.clone()).or_default() += usize::from(status != "exited");
            *statuses.entry(status).or_insert(0) += 1;
            timeless += usize::from(membership["lastQualificationTime"].is_null());
        }
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
    let batches = sample.batches(&schema()).unwrap();
    let ids: BTreeSet<String> = batches
        .iter()
        .flat_map(|b| b.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(ids.len(), 2_000);
    assert!(ids.contains(&profile_id(&sample, 1_234)));
    for row in json(&batches) {
        let identities = row["identityMap"].as_object().unwrap().values().flat_map(|l| l.as_array().unwrap());
        assert_eq!(identities.filter(|i| i["primary"] == true).count(), 1, "{row}");
    }
    assert!(batches.iter().all(|b| b.column_by_name("ingestTime").unwrap().null_count() == 0));
}
