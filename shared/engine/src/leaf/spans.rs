//! Where the rows of a page are.

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
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        if page.reps.is_empty() {
            if !page.defs.is_empty() {
                let mut before = 0;
                values.reserve(page.levels + 1);
                values.extend(page.defs.iter().map(|def| {
                    before += u32::from(*def == form.max_def);
                    before - u32::from(*def == form.max_def)
                }));
                values.push(before);
            }
            return Self { first_row, rows: page.levels, levels, values };
        }
        let continues = page.reps[0] != 0;
        if page.defs.is_empty() {
            levels.extend((0u32..).zip(&page.reps).filter(|(at, rep)| **rep == 0 || *at == 0).map(|(at, _)| at));
        } else {
            let mut before = 0;
            for (at, (rep, def)) in (0u32..).zip(page.reps.iter().zip(&page.defs)) {
                if *rep == 0 || at == 0 {
                    levels.push(at);
                    values.push(before);
                }
                before += u32::from(*def == form.max_def);
            }
            values.push(before);
        }
        let rows = levels.len();
        levels.push(page.levels as u32);
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
