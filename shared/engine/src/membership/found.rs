//! The wanted memberships of a row group, found on its leaf columns: segments by dictionary id, the rest only where a
//! segment is wanted.

use super::{Asked, BoundMemberships, Statuses, Wanted};
use crate::error::EngineError;
use crate::leaf::{Damaged, LeafChunk, LeafPage, PageView, Spans, Values};
use crate::row_group::RowGroup;
use domain::filter::MembershipStatus;
use domain::instant::Micros;
use domain::ports::objects::ReadObjects;

/// A stored membership in a wanted segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// The row, by position in the row group.
    pub(crate) row: u32,
    /// Its namespace, by position in [`Members::namespaces`].
    pub(crate) namespace: u32,
    /// Its segment, by number among the wanted ones.
    pub(crate) segment: u32,
    /// Whether anything is stored under the segment.
    pub(crate) present: bool,
    /// Its status.
    pub(crate) status: Statuses,
    /// When it was qualified last; not read where nobody asks for it.
    pub(crate) time: Option<Micros>,
}

/// The wanted memberships of a row group, in order of row.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// The namespaces of these memberships as they are stored.
    pub(crate) namespaces: Vec<String>,
    /// The memberships.
    pub(crate) found: Vec<Found>,
}

impl Members {
    /// The namespace of a membership as it is stored.
    pub(crate) fn namespace(&self, found: &Found) -> &str {
        self.namespaces.get(found.namespace as usize).map_or("", String::as_str)
    }

    /// Who asks for a membership.
    pub(crate) fn asked<'w>(&self, wanted: &'w Wanted, found: &Found) -> &'w [Asked] {
        wanted.asked(self.namespace(found), found.segment)
    }
}

/// Where a membership stands: its row, its level within the row, and which of the row's namespaces it is under.
#[derive(Clone, Copy, Debug)]
struct Place {
    row: u32,
    level: u32,
    namespace: u32,
    segment: u32,
}

impl BoundMemberships<'_> {
    /// Finds the wanted memberships of a row group. Times are read of those that `is_timed` picks.
    pub(crate) async fn find<O: ReadObjects>(
        &self,
        group: &mut RowGroup<'_, O>,
        is_timed: impl Fn(&Members, &Found) -> bool,
    ) -> Result<Members, EngineError> {
        let mut members = Members::default();
        let input = group.input;
        let damaged = |_: Damaged| input.damage();
        let chunks = <[LeafChunk; 3]>::try_from(group.chunks(&self.texts).await?).map_err(|_| input.damage())?;
        let [mut namespaces, mut segments, mut statuses] = chunks;
        let places = places(&mut segments, self.wanted).map_err(damaged)?;
        if places.is_empty() {
            return Ok(members);
        }
        members.found.reserve(places.len());
        members.found.extend(places.iter().map(|place| Found {
            row: place.row,
            namespace: u32::MAX,
            segment: place.segment,
            present: false,
            status: Statuses::default(),
            time: None,
        }));
        read_namespaces(&mut namespaces, &places, &mut members).map_err(damaged)?;
        let there = self.entry_def;
        let of_statuses = places.iter().map(|place| (place.row, place.level));
        let tell = |at: usize, def: u8, value: Option<&[u8]>| {
            let found: &mut Found = &mut members.found[at];
            found.present = def >= there;
            let status = value.and_then(|text| std::str::from_utf8(text).ok()).and_then(MembershipStatus::parse);
            found.status = Statuses::of(status);
        };
        look_up(&mut statuses, of_statuses, tell).map_err(damaged)?;
        if let Some(time) = self.time {
            let timed: Vec<usize> = (0..places.len()).filter(|at| is_timed(&members, &members.found[*at])).collect();
            if !timed.is_empty() {
                let mut chunk = group.chunks(&[time.leaf]).await?.pop().ok_or_else(|| input.damage())?;
                let of_times = timed.iter().map(|at| (places[*at].row, places[*at].level));
                let tell = |at: usize, _: u8, value: Option<&[u8]>| {
                    members.found[timed[at]].time = value.and_then(|value| time.unit.micros(value));
                };
                look_up(&mut chunk, of_times, tell).map_err(damaged)?;
                group.keep(time.leaf, chunk);
            }
        }
        for (leaf, chunk) in self.texts.iter().zip([namespaces, segments, statuses]) {
            group.keep(*leaf, chunk);
        }
        Ok(members)
    }
}

/// The places of all wanted segments, whatever the namespace.
fn places(chunk: &mut LeafChunk, wanted: &Wanted) -> Result<Vec<Place>, Damaged> {
    let mut classes: Vec<Option<u32>> = Vec::new();
    if let Some(entries) = chunk.read_dictionary()? {
        classes = entries.iter().map(|entry| wanted.segment(entry)).collect();
        if chunk.is_all_ids() && classes.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
    }
    let mut places = Vec::new();
    // The row that is open: its number, and its levels and namespaces so far.
    let (mut row, mut levels, mut namespaces) = (None::<u32>, 0, 0);
    let mut hits: Vec<(usize, u32)> = Vec::new();
    while let Some((_, page)) = chunk.next(|_| true)? {
        hits.clear();
        match &page.values {
            Values::Ids(ids) => {
                let class = |(at, id): (usize, &u32)| Some((at, (*classes.get(*id as usize)?)?));
                hits.extend(ids.iter().enumerate().filter_map(class));
            }
            Values::Plain(bytes) => {
                let mut at = 0;
                LeafPage::each_text(bytes, page.count, |text| {
                    hits.extend(wanted.segment(text).map(|segment| (at, segment)));
                    at += 1;
                })?;
            }
            Values::Bits(_) => return Err(Damaged),
        }
        let (mut level, mut value) = (0, 0);
        let max_def = chunk.form().max_def;
        let reps = page.repetitions();
        for (hit, segment) in &hits {
            let at = match page.defs.is_empty() {
                true => *hit,
                false => {
                    let mut at = level;
                    while at < page.levels && (value < *hit || page.defs[at] != max_def) {
                        value += usize::from(page.defs[at] == max_def);
                        at += 1;
                    }
                    at
                }
            };
            pass(reps.get(level..=at).ok_or(Damaged)?, (&mut row, &mut levels, &mut namespaces));
            (level, value) = (at + 1, hit + 1);
            let of_row = row.ok_or(Damaged)?;
            places.push(Place { row: of_row, level: levels - 1, namespace: namespaces - 1, segment: *segment });
        }
        pass(reps.get(level..).ok_or(Damaged)?, (&mut row, &mut levels, &mut namespaces));
    }
    Ok(places)
}

/// Goes over levels of a map of maps and tells where it stands then.
fn pass(reps: &[u8], (row, levels, namespaces): (&mut Option<u32>, &mut u32, &mut u32)) {
    let of_last_row = match reps.iter().rposition(|rep| *rep == 0) {
        None => reps,
        Some(start) => {
            let rows = reps.iter().map(|rep| u32::from(*rep == 0)).sum::<u32>();
            *row = Some(row.map_or(rows - 1, |row| row + rows));
            (*levels, *namespaces) = (0, 0);
            &reps[start..]
        }
    };
    *levels += of_last_row.len() as u32;
    *namespaces += of_last_row.iter().map(|rep| u32::from(*rep <= 1)).sum::<u32>();
}

fn read_namespaces(chunk: &mut LeafChunk, places: &[Place], members: &mut Members) -> Result<(), Damaged> {
    if let Some(entries) = chunk.read_dictionary()?
        && entries.len() == 1
    {
        let only = entries.get(0).to_vec();
        if chunk.is_all_ids() {
            members.namespaces.push(text(&only)?);
            members.found.iter_mut().for_each(|found| found.namespace = 0);
            // Its pages were not read.
            chunk.forget_pages();
            return Ok(());
        }
    }
    let Members { namespaces, found } = members;
    let mut failed = false;
    let tell = |at: usize, _: u8, value: Option<&[u8]>| {
        let Some(value) = value else { return };
        let known = namespaces.iter().position(|name| name.as_bytes() == value);
        let number = known.unwrap_or_else(|| {
            match text(value) {
                Ok(name) => namespaces.push(name),
                Err(Damaged) => failed = true,
            }
            namespaces.len().saturating_sub(1)
        });
        found[at].namespace = number as u32;
    };
    look_up(chunk, places.iter().map(|place| (place.row, place.namespace)), tell)?;
    if failed { Err(Damaged) } else { Ok(()) }
}

fn text(bytes: &[u8]) -> Result<String, Damaged> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Damaged)
}

/// Tells definition level and value at places in order, each given as a row and a level within it.
fn look_up(
    chunk: &mut LeafChunk,
    places: impl Iterator<Item = (u32, u32)> + Clone,
    mut tell: impl FnMut(usize, u8, Option<&[u8]>),
) -> Result<(), Damaged> {
    let form = chunk.form();
    let mut left = places.clone().enumerate().peekable();
    // Levels of a row that stood on the pages before.
    let mut carried = (0, 0);
    loop {
        let next = left.peek().map(|(_, (row, _))| *row as usize);
        let Some(next) = next else { return chunk.finish_row() };
        let Some((first_row, page)) = chunk.next(|rows| next < rows.end)? else { return Err(Damaged) };
        let spans = Spans::of(&page, first_row, form);
        let view = PageView::new(&page, chunk.dictionary.as_ref(), form);
        while let Some((at, (row, level))) = left.peek().copied() {
            let Some(of_page) = (row as usize).checked_sub(spans.first_row) else { return Err(Damaged) };
            if of_page >= spans.rows {
                break;
            }
            let before = if of_page == 0 && carried.0 == row { carried.1 } else { 0 };
            let level = spans.level(of_page) + (level.checked_sub(before).ok_or(Damaged)?) as usize;
            if level >= spans.level(of_page + 1) {
                // The row goes on, on the next page.
                break;
            }
            let def = view.def(level);
            let value = match def == form.max_def {
                false => None,
                true => {
                    let value = match page.defs.is_empty() {
                        true => level,
                        false => {
                            let defs = &page.defs[spans.level(of_page)..level];
                            spans.value(of_page) + defs.iter().filter(|def| **def == form.max_def).count()
                        }
                    };
                    Some(view.get(value)?)
                }
            };
            tell(at, def, value);
            left.next();
        }
        if let Some(last) = spans.rows.checked_sub(1) {
            let row = (spans.first_row + last) as u32;
            let levels = (spans.level(last + 1) - spans.level(last)) as u32;
            carried = (row, if last == 0 && carried.0 == row { carried.1 + levels } else { levels });
        }
    }
}
