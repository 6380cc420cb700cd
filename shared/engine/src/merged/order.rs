//! In which order profile ids stand in a part: it may tell that nothing is to be merged.

use super::grouping::ascend;
use crate::error::EngineError;
use crate::input::InputFile;
use crate::layout::ProfileIds;
use crate::leaf::PageView;
use crate::part::{Part, Progress, Step, Tally};
use domain::ports::objects::ReadObjects;

/// What is known of the ids of a part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// They ascend, and no two are the same: every row is a profile.
    Distinct,
    /// They may ascend: rows of one profile may stand side by side.
    Hoped,
    /// They do not ascend.
    None,
}

impl Order {
    /// Looks at the ids of a part of one whole file from which everybody is exported, up to the first page on which two are the
    /// same, or out of order; of any other part nothing is known yet.
    pub(super) async fn of<O: ReadObjects>(
        part: &Part<'_, O>,
        inputs: &[InputFile<O>],
        tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
    ) -> Result<Self, EngineError> {
        let ([input], [file]) = (inputs, &part.task.part.files[..]) else { return Ok(Self::None) };
        let source = &part.sources[file.source];
        let Some(leaf) = ProfileIds::bind(source, input).leaf_of_texts() else { return Ok(Self::Hoped) };
        let is_whole = file.range.is_none() && part.task.part.slice.is_none();
        if part.wanted.is_some() || !is_whole || source.holds_events() {
            return Ok(Self::Hoped);
        }
        let mut last: Option<Vec<u8>> = None;
        for &group in &input.groups {
            for mut chunk in input.chunks(group, &[leaf]).await? {
                while let Some((_, page)) = chunk.next(|_| true).map_err(|_| input.damage())? {
                    let view = PageView::new(&page, chunk.dictionary.as_ref(), chunk.form());
                    let Some(ids) = view.distinct().map_err(|_| input.damage())? else { return Ok(Self::Hoped) };
                    if !ascend(last.as_deref(), &ids) {
                        let is_sorted = last.as_deref().into_iter().chain(ids).is_sorted();
                        return Ok(if is_sorted { Self::Hoped } else { Self::None });
                    }
                    last = ids.last().map(|id| id.to_vec()).or(last);
                    tally.report(0)?;
                }
            }
        }
        Ok(Self::Distinct)
    }
}
