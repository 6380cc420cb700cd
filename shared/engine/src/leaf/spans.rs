//! Where the rows of a page are.

use super::hybrid::count_of;
use super::{LeafForm, LeafPage};
use std::ops::Range;
use std::sync::Arc;

/// Where the rows of a page start among its levels and values.
#[derive(Debug)]
pub(crate) struct Spans {
    /// The row of the first span; where the page starts with the rest of a row, that one.
    pub(crate) first_row: usize,
    /// Number of rows, that rest among them.
    pub(crate) rows: usize,
    starts: Starts,
}

/// How it is known where rows start.
#[derive(Debug)]
enum Starts {
    /// Of each row, and an end: its levels, none where a row is a level, and its values, none where a level is a value.
    Listed { levels: Vec<u32>, values: Vec<u32> },
    /// Of some: the others are counted from there on.
    Marked(Marks),
}

/// Of so many rows one is asked for at most, where they are counted and not listed. Tests have small pages, and count often.
pub(super) const SPARSE: usize = if cfg!(test) { 1 } else { 16 };

impl Spans {
    /// The rows of a page on which these are begun. `asked` tells how many rows of a range will be asked for.
    pub(crate) fn of(
        page: &Arc<LeafPage>,
        begun: Range<usize>,
        form: LeafForm,
        asked: impl FnOnce(Range<usize>) -> usize,
    ) -> Self {
        let continues = page.reps.first().is_some_and(|rep| *rep != 0);
        let first_row = begun.start - usize::from(continues);
        let rows = begun.end - first_row;
        let starts = match asked(first_row..begun.end) < rows / SPARSE {
            true => Starts::Marked(Marks::of(page, form, continues)),
            false => listed(page, form, continues, rows),
        };
        Self { first_row, rows, starts }
    }

    /// Where the levels of the row at that position of the page start; the end of all behind the last one.
    pub(crate) fn level(&self, row: usize) -> usize {
        match &self.starts {
            Starts::Listed { levels, .. } if levels.is_empty() => row,
            Starts::Listed { levels, .. } => levels[row] as usize,
            Starts::Marked(marks) => marks.level(row),
        }
    }

    /// Where the levels and the values of a row start.
    fn start(&self, row: usize) -> (usize, usize) {
        let level = self.level(row);
        let value = match &self.starts {
            Starts::Listed { values, .. } if values.is_empty() => level,
            Starts::Listed { values, .. } => values[row] as usize,
            Starts::Marked(marks) => marks.value(level),
        };
        (level, value)
    }

    /// The levels and values of rows that follow one another.
    pub(crate) fn run(&self, rows: Range<usize>) -> Run {
        let (level, value) = self.start(rows.start);
        let (levels_end, values_end) = match &self.starts {
            // A row alone is short, mostly.
            Starts::Marked(marks) if rows.len() == 1 => {
                let end = marks.end(level);
                (end, value + marks.page.values_within(level..end, marks.max_def))
            }
            _ => self.start(rows.end),
        };
        Run { rows, levels: level..levels_end, values: value..values_end }
    }

    /// The rows of a sorted list that lie here, as runs of positions in the page.
    pub(crate) fn runs<'r>(&self, rows: &'r [u32]) -> impl Iterator<Item = Range<usize>> + use<'r> {
        let first = self.first_row;
        rows_within(rows, first..first + self.rows).chunk_by(|a, b| a + 1 == *b).map(move |run| {
            let start = run[0] as usize - first;
            start..start + run.len()
        })
    }
}

/// Those rows of a sorted list that lie within a range.
pub(crate) fn rows_within(rows: &[u32], range: Range<usize>) -> &[u32] {
    let from = rows.partition_point(|row| (*row as usize) < range.start);
    let to = from + rows[from..].partition_point(|row| (*row as usize) < range.end);
    &rows[from..to]
}

/// Where each row starts.
fn listed(page: &LeafPage, form: LeafForm, continues: bool, rows: usize) -> Starts {
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
    Starts::Listed { levels, values }
}

/// A page, and how many rows and values start before every so many of its levels.
#[derive(Debug)]
struct Marks {
    page: Arc<LeafPage>,
    max_def: u8,
    /// The page starts with the rest of a row.
    continues: bool,
    /// New rows before each stretch; none where a row is a level.
    rows: Vec<u32>,
    /// Values before each stretch; none where a level is a value.
    values: Vec<u32>,
}

/// Levels from one mark to the next; a byte counts them.
const STRETCH: usize = 64;

impl Marks {
    fn of(page: &Arc<LeafPage>, form: LeafForm, continues: bool) -> Self {
        let before = |levels: &[u8], level: u8| {
            let mut all = Vec::with_capacity(levels.len().div_ceil(STRETCH));
            let mut before = 0;
            all.extend(levels.chunks(STRETCH).map(|stretch| {
                let start = before;
                before += count_of(stretch, level) as u32;
                start
            }));
            all
        };
        let (rows, values) = (before(&page.reps, 0), before(&page.defs, form.max_def));
        Self { page: page.clone(), max_def: form.max_def, continues, rows, values }
    }

    fn level(&self, row: usize) -> usize {
        if self.rows.is_empty() {
            return row;
        }
        let Some(new) = row.checked_sub(self.continues.into()) else { return 0 };
        let stretch = self.rows.partition_point(|before| *before as usize <= new) - 1;
        let start = stretch * STRETCH;
        let here = self.page.reps[start..].iter().take(STRETCH).enumerate();
        let mut starts = here.filter(|(_, rep)| **rep == 0).map(|(at, _)| start + at);
        starts.nth(new - self.rows[stretch] as usize).unwrap_or(self.page.levels)
    }

    /// Where the row ends that starts at that level.
    fn end(&self, level: usize) -> usize {
        let behind = self.page.reps.get(level + 1..).unwrap_or_default();
        level + 1 + behind.iter().position(|rep| *rep == 0).unwrap_or(behind.len())
    }

    fn value(&self, level: usize) -> usize {
        match self.values.get(level / STRETCH) {
            Some(before) => {
                let start = level / STRETCH * STRETCH;
                *before as usize + count_of(&self.page.defs[start..level], self.max_def)
            }
            None if self.values.is_empty() => level,
            None => self.page.count,
        }
    }
}

/// Rows of a page that follow one another.
pub(crate) struct Run {
    /// By position in the page.
    pub(crate) rows: Range<usize>,
    /// Their levels.
    pub(crate) levels: Range<usize>,
    /// Their values.
    pub(crate) values: Range<usize>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::leaf::{Ids, Values};
    use parquet::schema::parser::parse_message_type;
    use parquet::schema::types::SchemaDescriptor;
    use proptest::prelude::*;

    /// Levels of a page of an optional list of optional numbers: the greatest are 1 and 3.
    fn levels() -> impl Strategy<Value = Vec<(u8, u8)>> {
        proptest::collection::vec((0u8..=1, 0u8..=3), 0..300)
    }

    fn form() -> LeafForm {
        let list = "message m { optional group a (LIST) { repeated group list { optional int64 element; } } }";
        let schema = SchemaDescriptor::new(Arc::new(parse_message_type(list).unwrap()));
        LeafForm::of(&schema.column(0)).unwrap()
    }

    proptest! {
        #[test]
        fn rows_that_are_counted_start_where_those_do_that_are_listed(
            levels in levels(),
            is_flat: bool,
            is_full: bool,
            first_row in 1usize..9,
        ) {
            let reps = if is_flat { vec![] } else { levels.iter().map(|(rep, _)| *rep).collect() };
            let defs: Vec<u8> = if is_full { vec![] } else { levels.iter().map(|(_, def)| *def).collect() };
            let count = if is_full { levels.len() } else { count_of(&defs, 3) };
            let values = Values::Ids(Ids::default());
            let page = Arc::new(LeafPage { levels: levels.len(), reps, defs, count, values });
            let begun = first_row..first_row + if is_flat { levels.len() } else { count_of(&page.reps, 0) };
            let listed = Spans::of(&page, begun.clone(), form(), |_| usize::MAX);
            let counted = Spans::of(&page, begun, form(), |_| 0);
            prop_assert_eq!(matches!(counted.starts, Starts::Marked(_)), listed.rows > 0);
            prop_assert_eq!((listed.first_row, listed.rows), (counted.first_row, counted.rows));
            for row in 0..=listed.rows {
                prop_assert_eq!((counted.level(row), counted.start(row)), (listed.level(row), listed.start(row)));
            }
            for (row, rows) in (0..listed.rows).flat_map(|row| [(row, 1), (row, 2)]) {
                let rows = row..(row + rows).min(listed.rows);
                let [listed, counted] = [&listed, &counted].map(|spans| spans.run(rows.clone()));
                prop_assert_eq!((counted.levels, counted.values), (listed.levels, listed.values));
            }
        }
    }
}
