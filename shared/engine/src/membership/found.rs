//! The wanted memberships of a row group, found on its leaf columns: segments by dictionary id, the rest only where a
//! segment is wanted. Some rows at a time, so that a row group in which all rows are in many segments fits the memory.

use super::look_up::LookUp;
use super::places::{Place, Places};
use super::{Asked, BoundMemberships, Statuses, Wanted};
use crate::error::EngineError;
use crate::leaf::{Damaged, LeafChunk};
use crate::row_group::RowGroup;
use domain::filter::MembershipStatus;
use domain::instant::Micros;
use domain::ports::objects::ReadObjects;
use std::vec;

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

/// The wanted memberships of some rows of a row group, in order of row.
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

/// Reads the wanted memberships of a row group.
pub(crate) struct Finder<'b> {
    bound: &'b BoundMemberships<'b>,
    places: Told<'b>,
    statuses: LookUp,
    times: Option<LookUp>,
    /// Where namespaces stand; `None`: all memberships are of the one that is known.
    namespaces: Option<LookUp>,
    names: Vec<String>,
}

/// Who tells where wanted segments stand, some rows at a time.
enum Told<'b> {
    /// The column of segment ids.
    Now(Box<Places<'b>>),
    /// Whoever has read that before.
    Before(vec::IntoIter<Vec<Place>>),
}

impl Told<'_> {
    fn next(&mut self) -> Result<Vec<Place>, Damaged> {
        match self {
            Self::Now(places) => places.next(),
            Self::Before(places) => Ok(places.next().unwrap_or_default()),
        }
    }
}

impl BoundMemberships<'_> {
    /// The leaf of segment ids.
    pub(crate) fn segment_leaf(&self) -> usize {
        self.texts[1]
    }

    /// The leaf of times, where there is one.
    pub(crate) fn time_leaf(&self) -> Option<usize> {
        self.time.as_ref().map(|time| time.leaf)
    }

    /// Finds where wanted segments stand in a row group.
    pub(crate) async fn places<O: ReadObjects>(&self, group: &mut RowGroup<'_, O>) -> Result<Places<'_>, EngineError> {
        let chunk = group.chunks(&[self.segment_leaf()]).await?.pop();
        let places = chunk.ok_or(Damaged).and_then(|chunk| Places::new(chunk, self.wanted));
        places.map_err(|_| group.input.damage())
    }

    /// Begins to find the wanted memberships of a row group; where it is known in which places wanted segments stand, these
    /// are not looked for again.
    pub(crate) async fn finder<O: ReadObjects>(
        &self,
        group: &mut RowGroup<'_, O>,
        known: Option<Vec<Vec<Place>>>,
    ) -> Result<Finder<'_>, EngineError> {
        let input = group.input;
        let damaged = |_: Damaged| input.damage();
        let [namespaces, segments, statuses] = self.texts;
        let (mut namespaces, places, statuses) = match known {
            None => {
                let chunks = group.chunks(&[namespaces, segments, statuses]).await?;
                let [namespaces, segments, statuses] =
                    <[LeafChunk; 3]>::try_from(chunks).map_err(|_| input.damage())?;
                (namespaces, Told::Now(Box::new(Places::new(segments, self.wanted).map_err(damaged)?)), statuses)
            }
            Some(places) => {
                let chunks = group.chunks(&[namespaces, statuses]).await?;
                let [namespaces, statuses] = <[LeafChunk; 2]>::try_from(chunks).map_err(|_| input.damage())?;
                (namespaces, Told::Before(places.into_iter()), statuses)
            }
        };
        let names: Vec<String> = only_name(&mut namespaces).map_err(damaged)?.into_iter().collect();
        Ok(Finder {
            bound: self,
            places,
            statuses: LookUp::new(statuses),
            times: None,
            namespaces: names.is_empty().then(|| LookUp::new(namespaces)),
            names,
        })
    }
}

/// The name that every namespace has, where the footer and the dictionary tell it.
fn only_name(chunk: &mut LeafChunk) -> Result<Option<String>, Damaged> {
    let only = chunk.read_dictionary()?.filter(|entries| entries.len() == 1).map(|entries| text(entries.get(0)));
    only.filter(|_| chunk.is_all_ids()).transpose()
}

fn text(bytes: &[u8]) -> Result<String, Damaged> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Damaged)
}

impl Finder<'_> {
    /// The wanted memberships of the next rows that have any; `None` at the end. Times are read of those that `is_timed`
    /// picks.
    pub(crate) async fn next<O: ReadObjects>(
        &mut self,
        group: &mut RowGroup<'_, O>,
        is_timed: impl Fn(&Members, &Found) -> bool,
    ) -> Result<Option<Members>, EngineError> {
        let input = group.input;
        let places = self.places.next().map_err(|_| input.damage())?;
        if places.is_empty() {
            return Ok(None);
        }
        let mut members = self.members(&places).map_err(|_| input.damage())?;
        if let Some(time) = self.bound.time {
            let timed: Vec<usize> = (0..places.len()).filter(|at| is_timed(&members, &members.found[*at])).collect();
            if !timed.is_empty() && self.times.is_none() {
                self.times = group.chunks(&[time.leaf]).await?.pop().map(LookUp::new);
            }
            if let Some(times) = &mut self.times {
                let of_times = timed.iter().map(|at| (places[*at].row, places[*at].level));
                let tell = |at: usize, _: u8, value: Option<&[u8]>| {
                    members.found[timed[at]].time = value.and_then(|value| time.unit.micros(value));
                };
                times.tell(of_times, tell).map_err(|_| input.damage())?;
            }
        }
        Ok(Some(members))
    }

    /// Gives back what was read, to be read again.
    pub(crate) fn finish<O: ReadObjects>(self, group: &mut RowGroup<'_, O>) -> Result<(), EngineError> {
        let [namespaces, segments, statuses] = self.bound.texts;
        let time = self.bound.time.map_or(0, |time| time.leaf);
        if let Told::Now(places) = self.places {
            group.keep(segments, places.into_chunk());
        }
        let read = [(statuses, Some(self.statuses)), (time, self.times), (namespaces, self.namespaces)];
        for (leaf, read) in read {
            if let Some(chunk) = read.map(LookUp::into_chunk).transpose().map_err(|_| group.input.damage())?.flatten() {
                group.keep(leaf, chunk);
            }
        }
        Ok(())
    }

    /// Memberships at places, without their times.
    fn members(&mut self, places: &[Place]) -> Result<Members, Damaged> {
        let nothing =
            Found { row: 0, namespace: 0, segment: 0, present: false, status: Statuses::default(), time: None };
        let found = places.iter().map(|place| Found { row: place.row, segment: place.segment, ..nothing });
        let mut found: Vec<Found> = found.collect();
        let there = self.bound.entry_def;
        self.statuses.tell(places.iter().map(|place| (place.row, place.level)), |at, def, value| {
            found[at].present = def >= there;
            let status = value.and_then(|text| std::str::from_utf8(text).ok()).and_then(MembershipStatus::parse);
            found[at].status = Statuses::of(status);
        })?;
        if let Some(namespaces) = &mut self.namespaces {
            let (names, mut damage) = (&mut self.names, Ok(()));
            namespaces.tell(places.iter().map(|place| (place.row, place.namespace)), |at, _, value| {
                let value = value.unwrap_or_default();
                let known = names.iter().position(|name| name.as_bytes() == value);
                let number = known.unwrap_or_else(|| {
                    names.push(text(value).unwrap_or_else(|error| {
                        damage = Err(error);
                        String::new()
                    }));
                    names.len() - 1
                });
                found[at].namespace = number as u32;
            })?;
            damage?;
        }
        Ok(Members { namespaces: self.names.clone(), found })
    }
}
