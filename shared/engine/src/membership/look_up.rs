//! Values of a leaf column at places that are known from another one.

use crate::leaf::{Damaged, LeafChunk, LeafPage, PageView, Run, Spans};
use std::ops::Range;
use std::sync::Arc;

/// Looks values up, in order.
pub(super) struct LookUp {
    chunk: LeafChunk,
    /// The page on which the last place was.
    page: Option<(Spans, Arc<LeafPage>)>,
    /// A row, and how many of its levels stood on the pages before.
    carried: (u32, u32),
}

impl LookUp {
    /// Looks up in a chunk.
    pub(super) fn new(chunk: LeafChunk) -> Self {
        Self { chunk, page: None, carried: (0, 0) }
    }

    /// The chunk, after the last place; `None` where nothing was looked up.
    pub(super) fn into_chunk(mut self) -> Result<Option<LeafChunk>, Damaged> {
        if self.page.is_none() {
            return Ok(None);
        }
        self.chunk.finish_row()?;
        Ok(Some(self.chunk))
    }

    /// Tells definition level and value at places, each given as a row and a level within it; none stands before one that
    /// was looked up earlier.
    pub(super) fn tell(
        &mut self,
        places: impl Iterator<Item = (u32, u32)> + Clone,
        mut tell: impl FnMut(usize, u8, Option<&[u8]>),
    ) -> Result<(), Damaged> {
        let mut left = places.enumerate().peekable();
        while let Some((_, (row, _))) = left.peek().copied() {
            let (spans, page) = match self.page.take() {
                Some(page) => page,
                None => {
                    let form = self.chunk.form();
                    let (begun, page) = self.chunk.next(|rows| (row as usize) < rows.end)?.ok_or(Damaged)?;
                    let asked = |here: Range<usize>| {
                        left.clone().take_while(|(_, (row, _))| (*row as usize) < here.end).count()
                    };
                    (Spans::of(&page, begun, form, asked), page)
                }
            };
            let view = PageView::new(&page, self.chunk.dictionary.as_ref(), self.chunk.form());
            let mut open: Option<OpenRow> = None;
            while let Some((at, (row, level))) = left.peek().copied() {
                let of_row = (row as usize).checked_sub(spans.first_row).ok_or(Damaged)?;
                if of_row >= spans.rows {
                    break;
                }
                let row = match &mut open {
                    Some(open) if open.run.rows.start == of_row => open,
                    open => open.insert(OpenRow::new(spans.run(of_row..of_row + 1), self.before(&spans, of_row))),
                };
                let level = row.run.levels.start + level.checked_sub(row.before).ok_or(Damaged)? as usize;
                if level >= row.run.levels.end {
                    break;
                }
                let (def, value) = (view.def(level), row.value_of(level, &view)?);
                let value = (def == self.chunk.form().max_def).then(|| view.get(value)).transpose()?;
                tell(at, def, value);
                left.next();
            }
            if left.peek().is_some() {
                self.carry(&spans);
            } else {
                self.page = Some((spans, page));
            }
        }
        Ok(())
    }

    /// Remembers how many levels of the page's last row are behind.
    fn carry(&mut self, spans: &Spans) {
        let Some(last) = spans.rows.checked_sub(1) else { return };
        let levels = spans.run(last..last + 1).levels.len() as u32;
        self.carried = ((spans.first_row + last) as u32, self.before(spans, last) + levels);
    }

    /// How many levels of a row of this page stood on the pages before.
    fn before(&self, spans: &Spans, of_row: usize) -> u32 {
        let is_carried = of_row == 0 && self.carried.0 as usize == spans.first_row;
        if is_carried { self.carried.1 } else { 0 }
    }
}

/// A row of a page that is looked into, level by level.
struct OpenRow {
    run: Run,
    /// How many of its levels stood on the pages before.
    before: u32,
    /// A level of it, and the first value from there on.
    walked: (usize, usize),
}

impl OpenRow {
    fn new(run: Run, before: u32) -> Self {
        let walked = (run.levels.start, run.values.start);
        Self { run, before, walked }
    }

    /// The first value from a level on, which stands before none that was looked at.
    fn value_of(&mut self, level: usize, view: &PageView<'_>) -> Result<usize, Damaged> {
        let (from, value) = self.walked;
        if level < from {
            return Err(Damaged);
        }
        self.walked = (level, value + view.values_within(from..level));
        Ok(self.walked.1)
    }
}
