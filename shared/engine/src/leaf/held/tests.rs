//! Rows that are held are told and encoded as those of the pages that they came from.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::leaf::pages::{data_page, dictionary};
use crate::leaf::{LeafEncoder, Raise, Widening};
use parquet::basic::{Encoding, PageType};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};
use proptest::prelude::*;
use std::sync::Arc;

/// An optional list of optional texts: the greatest levels are 1 and 3.
fn list() -> ColumnDescPtr {
    let list = "message m { optional group a (LIST) { repeated group list { optional binary element; } } }";
    SchemaDescriptor::new(Arc::new(parse_message_type(list).unwrap())).column(0)
}

fn entries() -> Entries {
    let plain = ["zero", "one", "two"].map(plain_text).concat();
    Entries::new(plain.into(), 3, ValueForm::Texts).unwrap()
}

fn plain_text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// What a row has: of each level both levels and the value.
type Row = Vec<(u8, u8, Option<String>)>;

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let values = proptest::collection::vec(proptest::option::of(0usize..3), 1..4);
    let row = prop_oneof![
        Just(vec![(0, 0, None)]),
        Just(vec![(0, 1, None)]),
        values.prop_map(|values| {
            let level = |(at, value): (usize, Option<usize>)| {
                let text = value.map(|id| ["zero", "one", "two"][id].to_owned());
                (u8::from(at > 0), if text.is_some() { 3 } else { 2 }, text)
            };
            values.into_iter().enumerate().map(level).collect()
        }),
    ];
    proptest::collection::vec(row, 1..40)
}

/// A page of some levels, whose values are ids or plain.
fn page(levels: &[(u8, u8, Option<String>)], are_ids: bool) -> Arc<LeafPage> {
    let texts: Vec<&str> = levels.iter().filter_map(|(.., text)| text.as_deref()).collect();
    let id = |text: &&str| ["zero", "one", "two"].iter().position(|known| known == text).unwrap() as u8;
    let values = match are_ids {
        true => Values::Ids(Ids::Small(texts.iter().map(id).collect())),
        false => Values::Plain(texts.iter().flat_map(|text| plain_text(text)).collect::<Vec<u8>>().into()),
    };
    let (reps, defs) = levels.iter().map(|(rep, def, _)| (*rep, *def)).unzip();
    Arc::new(LeafPage { levels: levels.len(), reps, defs, count: texts.len(), values })
}

fn held_row(held: &HeldLeaf, row: usize) -> Row {
    let level = |level: usize| {
        let text = held.value(level).unwrap().map(|text| String::from_utf8(text.to_vec()).unwrap());
        (held.rep(level), held.def(level).unwrap(), text)
    };
    held.levels(row).map(level).collect()
}

proptest! {
    #[test]
    fn rows_are_held_as_they_were_on_pages_that_cut_them(
        rows in rows(),
        cut in 0usize..1_000,
        kinds: [bool; 2],
        is_chosen in proptest::collection::vec(any::<bool>(), 40),
    ) {
        let form = LeafForm::of(&list()).unwrap();
        let levels: Vec<_> = rows.iter().flatten().cloned().collect();
        let chosen: Vec<u32> = (0..rows.len() as u32).filter(|row| is_chosen[*row as usize]).collect();
        let mut held = HeldLeaf::new(&list()).unwrap();
        let (first, second) = levels.split_at(cut % levels.len());
        let mut first_row = 0;
        for (levels, are_ids) in [first, second].into_iter().zip(kinds).filter(|(levels, _)| !levels.is_empty()) {
            let page = page(levels, are_ids);
            let begun = first_row..first_row + levels.iter().filter(|(rep, ..)| *rep == 0).count();
            let spans = Spans::of(&page, begun.clone(), form, |_| usize::MAX);
            held.push(&page, &spans, &chosen, Some(&entries())).unwrap();
            first_row = begun.end;
        }
        for (at, row) in chosen.iter().enumerate() {
            prop_assert_eq!(&held_row(&held, at), &rows[*row as usize]);
        }
    }
}

#[test]
fn leaves_nest_alike_that_have_the_same_levels_in_the_same_rows() {
    let held = |levels: &[(u8, u8)]| {
        let levels: Vec<_> = levels.iter().map(|(rep, def)| (*rep, *def, None)).collect();
        let (page, mut held) = (page(&levels, true), HeldLeaf::new(&list()).unwrap());
        let spans = Spans::of(&page, 0..2, LeafForm::of(&list()).unwrap(), |_| usize::MAX);
        held.push(&page, &spans, &[0, 1], Some(&entries())).unwrap();
        held
    };
    let one = held(&[(0, 2), (1, 2), (0, 1)]);
    assert!(one.nests_as(&held(&[(0, 2), (1, 2), (0, 2)])));
    assert!(!one.nests_as(&held(&[(0, 2), (0, 2), (1, 2)])));
    assert!(!one.nests_as(&held(&[(0, 2), (0, 2)])));
}

/// The pages' types and encodings, and the values, of a flat column that is taken from held columns in turn.
fn written(columns: &[HeldLeaf], column: &ColumnDescPtr, rows: usize) -> (Vec<(PageType, Encoding)>, Vec<Vec<u8>>) {
    let mut encoder = LeafEncoder::unpacked(column.clone()).unwrap();
    encoder.begin_held(columns.len());
    for row in 0..rows {
        let among = row % columns.len();
        encoder.begin_row().unwrap();
        let (levels, how) = (columns[among].levels(row / columns.len()), (&Raise::default(), Widening::None));
        encoder.push_held((among, &columns[among]), (levels, 0), how).unwrap();
    }
    let form = LeafForm::of(column).unwrap();
    let (mut entries, mut pages, mut values) = (None, Vec::new(), Vec::new());
    for page in encoder.into_pages().unwrap() {
        pages.push((page.page_type(), page.encoding()));
        if page.is_dictionary_page() {
            entries = Some(dictionary(&page, form).unwrap());
            continue;
        }
        let page = Arc::new(data_page(&page, form, entries.as_ref(), true).unwrap());
        let mut held = HeldLeaf::new(column).unwrap();
        let spans = Spans::of(&page, 0..page.levels, form, |_| usize::MAX);
        held.push(&page, &spans, &(0..page.levels as u32).collect::<Vec<_>>(), entries.as_ref()).unwrap();
        values.extend((0..page.levels).map(|level| held.value(level).unwrap().unwrap().to_vec()));
    }
    (pages, values)
}

#[test]
fn a_dictionary_that_is_full_within_the_first_page_is_not_written() {
    let texts = "message m { required binary a; }";
    let column = SchemaDescriptor::new(Arc::new(parse_message_type(texts).unwrap())).column(0);
    let form = LeafForm::of(&column).unwrap();
    let held = |values: &[String], are_ids: bool| {
        let plain: Vec<u8> = values.iter().flat_map(|text| plain_text(text)).collect();
        let entries = are_ids.then(|| Entries::new(plain.clone().into(), values.len(), ValueForm::Texts).unwrap());
        let values_of = match are_ids {
            true => Values::Ids(Ids::Large((0..values.len() as u32).collect())),
            false => Values::Plain(plain.into()),
        };
        let (reps, defs) = (Vec::new(), Vec::new());
        let page = LeafPage { levels: values.len(), reps, defs, count: values.len(), values: values_of };
        let (page, all) = (Arc::new(page), (0..values.len() as u32).collect::<Vec<_>>());
        let mut held = HeldLeaf::new(&column).unwrap();
        held.push(&page, &Spans::of(&page, 0..page.levels, form, |_| usize::MAX), &all, entries.as_ref()).unwrap();
        held
    };
    let texts = |from: usize, length: usize| (from..from + 3_000).map(|n| format!("{n:0length$}")).collect::<Vec<_>>();
    // Of 400 bytes each there is room for some 2,600 in a dictionary.
    let (ids, plain) = (texts(0, 400), texts(3_000, 400));
    let expected: Vec<_> =
        ids.iter().zip(&plain).flat_map(|(a, b)| [a.clone().into_bytes(), b.clone().into()]).collect();
    let (pages, values) = written(&[held(&ids, true), held(&plain, false)], &column, 6_000);
    assert_eq!(values, expected);
    assert!(pages.iter().all(|page| *page == (PageType::DATA_PAGE, Encoding::PLAIN)), "{pages:?}");
    let (short, plain) = (texts(0, 4), texts(0, 4));
    let (pages, values) = written(&[held(&short, true), held(&plain, false)], &column, 6_000);
    assert_eq!(values.len(), 6_000);
    let of_ids = (PageType::DATA_PAGE, Encoding::RLE_DICTIONARY);
    assert_eq!(pages, [(PageType::DICTIONARY_PAGE, Encoding::PLAIN), of_ids]);
}
