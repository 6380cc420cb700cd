//! Where the rows of a page are.

use super::hybrid::count_of;
use super::{LeafForm, LeafPage};
use std::ops::Range;

/// Where the rows of a page start among its levels and values.
#[derive(Debug)]
pub(crate) struct Spans {
    /// The row of the first span; where the page starts with the rest of a row, that one.
    pub(crate) first_row: usize,
    /// Number of rows, that rest among them.
    pub(crate) rows: usize,
    /// Where each row's levels start, and an end; none where a row is a level.
    levels: Vec<u32>,
    /// Where each row's values start, and an end; none where a level is a value.
    values: Vec<u32>,
}

impl Spans {
    /// The rows of a page whose first new row has that number.
    pub(crate) fn of(page: &LeafPage, first_row: usize, form: LeafForm) -> Self {
        let continues = page.reps.first().is_some_and(|rep| *rep != 0);
        let rows = match page.reps.is_empty() {
            true => page.levels,
            false => count_of(&page.reps, 0) + usize::from(continues),
        };
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        // What is written where a row does not start is written over.
        match (page.reps.is_empty(), page.defs.is_empty()) {
            (true, true) => {}
            (true, false) => {
                values.reserve(rows + 1);
                let mut before = 0;
                values.extend(page.defs.iter().map(|def| {
                    let start = before;
                    before += u32::from(*def == form.max_def);
                    start
                }));
            }
            (false, true) => {
                levels.resize(rows + 1, 0);
                let mut row = usize::from(continues);
                for (at, rep) in (0u32..).zip(&page.reps) {
                    levels[row] = at;
                    row += usize::from(*rep == 0);
                }
            }
            (false, false) => {
                levels.resize(rows + 1, 0);
                values.resize(rows + 1, 0);
                let (mut row, mut before) = (usize::from(continues), 0);
                for (at, (rep, def)) in (0u32..).zip(page.reps.iter().zip(&page.defs)) {
                    (levels[row], values[row]) = (at, before);
                    row += usize::from(*rep == 0);
                    before += u32::from(*def == form.max_def);
                }
            }
        }
        if let Some(end) = levels.last_mut() {
            *end = page.levels as u32;
        }
        match values.last_mut() {
            Some(end) if !page.reps.is_empty() => *end = page.count as u32,
            Some(_) => values.push(page.count as u32),
            None => {}
        }
        Self { first_row: first_row - usize::from(continues), rows, levels, values }
    }

    /// Where the levels of the row at that position of the page start; the end of all behind the last one.
    pub(crate) fn level(&self, row: usize) -> usize {
        if self.levels.is_empty() { row } else { self.levels[row] as usize }
    }

    /// Where its values start.
    pub(crate) fn value(&self, row: usize) -> usize {
        if self.values.is_empty() { self.level(row) } else { self.values[row] as usize }
    }

    /// The rows of a sorted list that lie here, as runs of positions in the page.
    pub(crate) fn runs<'r>(&self, rows: &'r [u32]) -> impl Iterator<Item = Range<usize>> + use<'r> {
        let (first, end) = (self.first_row, self.first_row + self.rows);
        let from = rows.partition_point(|row| (*row as usize) < first);
        let to = from + rows[from..].partition_point(|row| (*row as usize) < end);
        let here = &rows[from..to];
        here.chunk_by(|a, b| a + 1 == *b).map(move |run| {
            let start = run[0] as usize - first;
            start..start + run.len()
        })
    }
}

/// Rows of a page that follow one another.
pub(super) struct Run {
    pub(super) rows: Range<usize>,
    pub(super) levels: Range<usize>,
    pub(super) values: Range<usize>,
}

impl Run {
    /// The run of these rows.
    pub(super) fn of(spans: &Spans, rows: Range<usize>) -> Self {
        let levels = spans.level(rows.start)..spans.level(rows.end);
        let values = spans.value(rows.start)..spans.value(rows.end);
        Self { rows, levels, values }
    }
}
