//! Parts in which nothing is to be merged.

use super::grouping::ascend;
use crate::error::EngineError;
use crate::input::InputFile;
use crate::layout::ProfileIds;
use crate::leaf::PageView;
use crate::part::{Part, Progress, Step, Tally};
use domain::plan::DataFile;
use domain::ports::objects::ReadObjects;

/// Whether it is seen that every row of a part's one file is a profile: where everybody is exported, its ids ascend, and no two
/// are the same. The first page that does not tell so ends the attempt.
pub(super) async fn are_profiles<O: ReadObjects>(
    part: &Part<'_, O>,
    file: &DataFile,
    input: &InputFile<O>,
    tally: &mut Tally<impl FnMut(Progress) -> Step + Send>,
) -> Result<bool, EngineError> {
    let source = &part.sources[file.source];
    let Some(leaf) = ProfileIds::bind(source, input).leaf_of_texts() else { return Ok(false) };
    if part.wanted.is_some() || part.task.part.slice.is_some() || source.holds_events() {
        return Ok(false);
    }
    let mut last: Option<Vec<u8>> = None;
    for &group in &input.groups {
        for mut chunk in input.chunks(group, &[leaf]).await? {
            while let Some((_, page)) = chunk.next(|_| true).map_err(|_| input.damage())? {
                let view = PageView::new(&page, chunk.dictionary.as_ref(), chunk.form());
                let Some(ids) = view.distinct().map_err(|_| input.damage())? else { return Ok(false) };
                if !ascend(last.as_deref(), &ids) {
                    return Ok(false);
                }
                last = ids.last().map(|id| id.to_vec()).or(last);
                tally.report(0)?;
            }
        }
    }
    Ok(true)
}
