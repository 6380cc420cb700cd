//! The engine equals the oracle on generated tables, requests and file layouts.

use super::layouts::{Layout, laid_out};
use super::oracle;
use super::table::*;
use crate::gathered::Gathering;
use crate::input::InputFile;
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use domain::fields::Projection;
use domain::filter::{MembershipStatus, ProfileFilter, SegmentEntry, Window};
use domain::instant::Micros;
use domain::plan::Counts;
use domain::registry::IdentityGraph;
use futures::TryStreamExt;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};
use testkit::MemoryObjects;

const TIMES: [&str; 4] =
    ["2018-01-01T00:00:00Z", "2018-01-01T00:00:00.000001Z", "2018-02-01T00:00:00Z", "1969-12-31T23:59:59.999999Z"];
const NAMESPACES: [&str; 4] = ["ups", "UPS", "aam", "ups "];
const SEGMENTS: [&str; 3] = ["s1", "S1", "s2"];
const STATUSES: [&str; 5] = ["realized", "existing", "exited", "Realized", ""];
const PATHS: [&str; 16] = [
    "profileId",
    "ingestTime",
    "identityMap",
    "identityMap.ECID",
    "identityMap.ECID.id",
    "identityMap.*.primary",
    "identities.authenticatedState",
    "segmentMembership.ups",
    "segmentMembership.ups.s1.status",
    "segmentMembership.*.s2",
    "segmentMembership.aam.*.version",
    "personalEmail.label",
    "score",
    "orders.price",
    "orders",
    "tags",
];

fn object(keys: &'static [&'static str], value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec((select(keys), value), 0..4)
        .prop_map(|entries| Value::Object(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>()))
}

fn nullable(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    option::weighted(0.85, value).prop_map(|v| v.unwrap_or(Value::Null))
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = Value> {
    nullable(select(texts).prop_map(Value::from))
}

fn memberships() -> impl Strategy<Value = Value> {
    let entry = (one_of(&STATUSES), one_of(&TIMES), nullable((0..3).prop_map(Value::from))).prop_map(
        |(status, time, version)| json!({ "status": status, "lastQualificationTime": time, "version": version }),
    );
    nullable(object(&NAMESPACES, nullable(object(&SEGMENTS, nullable(entry)))))
}

fn identities() -> impl Strategy<Value = Value> {
    let identity = nullable(
        (one_of(&["i1", "i2"]), nullable(any::<bool>().prop_map(Value::from)))
            .prop_map(|(id, primary)| json!({ "id": id, "primary": primary })),
    );
    let list = prop_oneof![
        4 => vec(identity, 0..3).prop_map(Value::from),
        1 => select(&[25usize, 50, 51]).prop_map(|n| Value::from(vec![json!({ "id": "x" }); n])),
    ];
    nullable(object(&["ECID", "Email"], nullable(list)))
}

fn row() -> impl Strategy<Value = Value> {
    let order = nullable(
        (one_of(&["x", "y"]), nullable((0..9).prop_map(Value::from)))
            .prop_map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity, "price": 2.25 })),
    );
    let email = (one_of(&["a@b", ""]), one_of(&["home"])).prop_map(|(a, l)| json!({ "address": a, "label": l }));
    (memberships(), identities(), nullable(vec(order, 0..3).prop_map(Value::from)), nullable(email), one_of(&TIMES))
        .prop_map(|(memberships, identities, orders, email, time)| {
            json!({ "segmentMembership": memberships, "identityMap": identities, "orders": orders,
                    "personalEmail": email, "ingestTime": time, "score": 3, "tags": [null, "t"] })
        })
}

fn filter() -> impl Strategy<Value = ProfileFilter> {
    use MembershipStatus::*;
    let entry =
        (select(&SEGMENTS), select(&["ups", "Ups", "aam"]), subsequence(vec![Realized, Existing, Exited], 0..=3))
            .prop_map(|(id, namespace, statuses)| SegmentEntry::new(id, namespace, &statuses));
    let end = || option::weighted(0.3, select(&TIMES).prop_map(|t| Micros::parse_rfc3339(t).unwrap()));
    (vec(entry, 0..4), end(), end()).prop_map(|(segments, start, end)| ProfileFilter {
        segments,
        window: Window { start, end },
        ..ProfileFilter::default()
    })
}

/// Files as writers of many kinds lay them out.
fn layout() -> impl Strategy<Value = Layout> {
    let compressions = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::try_new(1).unwrap()),
        Compression::ZSTD(ZstdLevel::try_new(3).unwrap()),
    ];
    let encodings = [None, None, Some(Encoding::DELTA_BYTE_ARRAY), Some(Encoding::DELTA_LENGTH_BYTE_ARRAY)];
    let dictionaries = [None, Some(1), Some(8), Some(1 << 20)];
    (
        1..6usize,
        1..4usize,
        select(dictionaries.to_vec()),
        any::<bool>(),
        select(compressions.to_vec()),
        select(encodings.to_vec()),
        any::<bool>(),
    )
        .prop_map(|(group_rows, page_rows, dictionary, second_version, compression, encoding, offset_index)| {
            Layout { group_rows, page_rows, dictionary, second_version, compression, encoding, offset_index }
        })
}

/// What a job exports of some files, which are laid out by turns, in order of text, and what it counts.
async fn exported_rows(job: &Job, files: &[Vec<Value>], layouts: Option<[Layout; 2]>) -> (Vec<String>, Counts) {
    let store = MemoryObjects::default();
    let mut inputs = Vec::new();
    for (i, rows) in files.iter().enumerate() {
        let rows = batch(&arrow_schema(&source_schema()), rows);
        let body = layouts.map_or_else(|| parquet(&rows, 1_000), |layouts| laid_out(&rows, layouts[i % 2]));
        inputs.push(put(&store, &format!("{i}"), body).await);
    }
    let (rows, outputs) = job.files(&store, inputs).await;
    let mut rows: Vec<_> = rows.iter().map(Value::to_string).collect();
    rows.sort();
    (rows, Counts { bytes: 0, ..outputs.counts })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_exports_what_the_oracle_says(
        files in vec(vec(row(), 0..14), 1..3),
        filter in filter(),
        paths in subsequence(PATHS.to_vec(), 0..6),
        layout in layout(),
        row_batch in 1..5usize,
        unique_profiles in any::<bool>(),
        copied_bytes in select(&[0i64, 1 << 20]),
    ) {
        let mut next = 0..;
        let files: Vec<Vec<Value>> = files
            .into_iter()
            .map(|rows| rows.into_iter().map(|mut row| {
                row["profileId"] = format!("p{}", next.next().unwrap()).into();
                row
            }).collect())
            .collect();
        let mut job = Job { filter, unique_profiles, projection: Projection::parse(&paths.join(",")), ..Job::default() };
        (job.settings.row_batch, job.settings.copied_bytes) = (row_batch, copied_bytes);
        let all: Vec<Value> = files.iter().flat_map(|rows| canonical(rows)).collect();
        let (wanted, mut counts) = oracle::export(&all, &source_schema(), &job.projection.paths, &job.filter);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (rows, outputs) = runtime.block_on(async {
            let store = MemoryObjects::default();
            let mut inputs = Vec::new();
            for (i, rows) in files.iter().enumerate() {
                let body = laid_out(&batch(&arrow_schema(&source_schema()), rows), layout);
                inputs.push(put(&store, &format!("{i}"), body).await);
            }
            job.files(&store, inputs).await
        });
        prop_assert_eq!(rows, wanted);
        counts.bytes = outputs.files.iter().map(|f| f.bytes).sum();
        prop_assert_eq!(outputs.counts, counts);
    }

    #[test]
    fn memory_and_layout_change_nothing_about_merged_profiles(
        files in vec(vec((0..6u8, row()), 0..10), 1..4),
        filter in filter(),
        paths in subsequence(PATHS.to_vec(), 0..6),
        layouts in [layout(), layout()],
        row_batch in 1..5usize,
        (merge_bytes, batch_bytes) in (select(&[1u64, 500, 2_000]), select(&[1u64, 300, 16 << 20])),
        index_bytes in select(&[1u64, 300, 3_000, 192 << 20]),
        pdg in any::<bool>(),
    ) {
        let files: Vec<Vec<Value>> = files
            .into_iter()
            .map(|rows| rows.into_iter().map(|(id, mut row)| {
                row["profileId"] = format!("p{id}").into();
                row
            }).collect())
            .collect();
        let mut job = Job { filter, unique_profiles: false, projection: Projection::parse(&paths.join(",")), ..Job::default() };
        job.identity_graph = if pdg { IdentityGraph::Pdg } else { IdentityGraph::None };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let whole = runtime.block_on(exported_rows(&job, &files, None));
        job.settings = crate::Settings { row_batch, merge_bytes, batch_bytes, index_bytes, ..job.settings };
        prop_assert_eq!(runtime.block_on(exported_rows(&job, &files, Some(layouts))), whole);
    }

    #[test]
    fn rows_that_are_picked_are_decoded_as_they_are_among_all(
        (rows, picked) in vec(row(), 1..14).prop_flat_map(|rows| {
            let picked = vec(any::<bool>(), rows.len());
            (Just(rows), picked)
        }),
        layout in layout(),
        row_batch in 1..5usize,
    ) {
        let layout = Layout { group_rows: rows.len(), ..layout };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (all, some) = runtime.block_on(async {
            let store = MemoryObjects::default();
            let file = put(&store, "a", laid_out(&batch(&arrow_schema(&source_schema()), &rows), layout)).await;
            let input = InputFile::open(&store, &file, None).await.unwrap();
            let leaves: Vec<usize> = (0..input.schema().num_columns()).collect();
            let numbers: Vec<u32> = (0..).zip(&picked).filter(|(_, picked)| **picked).map(|(row, _)| row).collect();
            let all: Vec<_> = input.stream(0, &leaves, None, 100).unwrap().try_collect().await.unwrap();
            let wanted = Gathering::new(&leaves, numbers);
            let some: Vec<_> = input.read_rows(0, wanted, row_batch).await.unwrap().try_collect().await.unwrap();
            (all, some)
        });
        let schema = all[0].schema();
        let all = filter_record_batch(&concat_batches(&schema, &all).unwrap(), &picked.into()).unwrap();
        prop_assert!(some.iter().all(|batch| batch.num_rows() <= row_batch));
        prop_assert_eq!(concat_batches(&schema, &some).unwrap(), all);
    }

    #[test]
    fn a_flipped_byte_is_an_error_or_nothing_and_never_a_panic(at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let rows: Vec<_> = (0..40).map(|i| member(&format!("p{i}"), "ups", "s1", "realized", TIMES[0])).collect();
        let mut body = parquet(&batch(&arrow_schema(&source_schema()), &rows), 10).to_vec();
        let at = at.index(body.len());
        body[at] ^= flip;
        let mut job = Job::segment("ups", "s1", &[]);
        job.projection = Projection::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = MemoryObjects::default();
            let file = put(&store, "a", body.into()).await;
            drop(job.export(&store, vec![file], |_| crate::Step::Continue).await);
        });
    }
}
