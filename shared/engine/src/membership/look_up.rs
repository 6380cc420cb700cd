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
            while let Some((at, place)) = left.peek().copied() {
                let Some((level, run)) = level_of(&spans, place, self.carried)? else { break };
                let def = view.def(level);
                let value = match def == self.chunk.form().max_def {
                    true => Some(view.get(run.values.start + view.values_within(run.levels.start..level))?),
                    false => None,
                };
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
        let row = (spans.first_row + last) as u32;
        let levels = spans.run(last..last + 1).levels.len() as u32;
        let before = if last == 0 && self.carried.0 == row { self.carried.1 } else { 0 };
        self.carried = (row, before + levels);
    }
}

/// The level of a place on a page, and its row there; `None`: it stands on a later page.
fn level_of(spans: &Spans, (row, level): (u32, u32), carried: (u32, u32)) -> Result<Option<(usize, Run)>, Damaged> {
    let of_row = (row as usize).checked_sub(spans.first_row).ok_or(Damaged)?;
    if of_row >= spans.rows {
        return Ok(None);
    }
    let before = if of_row == 0 && carried.0 == row { carried.1 } else { 0 };
    let run = spans.run(of_row..of_row + 1);
    let level = run.levels.start + level.checked_sub(before).ok_or(Damaged)? as usize;
    Ok((level < run.levels.end).then_some((level, run)))
}
