//! Least and greatest profile ids of what is written.

use crate::error::EngineError;
use crate::input::InputFile;
use crate::leaf::{ChunkBytes, Damaged, Entries, LeafPage, Spans, Values};
use domain::ports::objects::ReadObjects;

/// Least and greatest of the texts seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds(Option<(String, String)>);

impl Bounds {
    /// Includes a text.
    pub(crate) fn widen(&mut self, text: &str) {
        match &mut self.0 {
            None => self.0 = Some((text.to_owned(), text.to_owned())),
            Some((low, _)) if text < low.as_str() => text.clone_into(low),
            Some((_, high)) if text > high.as_str() => text.clone_into(high),
            Some(_) => {}
        }
    }

    /// Includes all that others include.
    pub(crate) fn include(&mut self, other: &Self) {
        for text in other.0.iter().flat_map(|(low, high)| [low, high]) {
            self.widen(text);
        }
    }

    /// Least and greatest, if there is any.
    pub(crate) fn into_inner(self) -> Option<(String, String)> {
        self.0
    }
}

/// The bounds of a row group's profile ids: the footer's, else those of the ids themselves.
pub(crate) fn ids_within<O: ReadObjects>(
    input: &InputFile<O>,
    group: usize,
    leaf: usize,
    bytes: ChunkBytes,
) -> Result<Bounds, EngineError> {
    let mut bounds = Bounds::default();
    let told = input.chunk(group, leaf).statistics().filter(|statistics| !statistics.is_min_max_deprecated());
    let told = told.and_then(|statistics| Some([statistics.min_bytes_opt()?, statistics.max_bytes_opt()?]));
    if let Some([Ok(least), Ok(greatest)]) = told.map(|told| told.map(std::str::from_utf8)) {
        bounds.widen(least);
        bounds.widen(greatest);
        return Ok(bounds);
    }
    let mut chunk = input.open_chunk(group, leaf, bytes)?;
    let all: Vec<u32> = (0..input.rows(group) as u32).collect();
    while let Some((spans, page)) = chunk.next_for(|here| here.len()).map_err(|_| input.damage())? {
        widen(&mut bounds, (&page, &spans), &all, chunk.dictionary.as_ref()).map_err(|_| input.damage())?;
    }
    Ok(bounds)
}

/// Widens bounds by the texts that some rows have on a page.
pub(crate) fn widen(
    bounds: &mut Bounds,
    (page, spans): (&LeafPage, &Spans),
    rows: &[u32],
    entries: Option<&Entries>,
) -> Result<(), Damaged> {
    let mut range: Option<(&[u8], &[u8])> = None;
    let mut tell = |text| {
        range = Some(range.map_or((text, text), |(least, greatest)| (least.min(text), greatest.max(text))));
    };
    match (&page.values, entries) {
        (Values::Ids(ids), Some(entries)) => {
            for value in spans.runs(rows).flat_map(|run| spans.run(run).values) {
                tell(entries.get(ids.get(value).ok_or(Damaged)?));
            }
        }
        (Values::Plain(bytes), _) => {
            let mut runs = spans.runs(rows).map(|run| spans.run(run).values).peekable();
            let mut at = 0;
            LeafPage::each_text(bytes, page.count, |text| {
                while runs.next_if(|run| run.end <= at).is_some() {}
                if runs.peek().is_some_and(|run| run.contains(&at)) {
                    tell(text);
                }
                at += 1;
            })?;
        }
        (Values::Ids(_) | Values::Bits(_), _) => return Err(Damaged),
    }
    for text in range.into_iter().flat_map(|(least, greatest)| [least, greatest]) {
        bounds.widen(std::str::from_utf8(text).map_err(|_| Damaged)?);
    }
    Ok(())
}
