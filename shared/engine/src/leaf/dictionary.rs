//! Dictionaries: the entries of one that is read, and one that is made.

use super::{Damaged, ValueForm};
use bytes::Bytes;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

/// The entries of a dictionary that was read.
#[derive(Clone, Debug)]
pub(crate) struct Entries {
    bytes: Bytes,
    /// Where each entry starts and ends.
    spans: Vec<(u32, u32)>,
}

impl Entries {
    /// Reads so many plain values.
    pub(crate) fn new(bytes: Bytes, count: usize, form: ValueForm) -> Result<Self, Damaged> {
        if count > bytes.len() {
            // Only empty texts are smaller than a byte, and those have lengths.
            return Err(Damaged);
        }
        let mut spans = Vec::with_capacity(count);
        let mut at = 0;
        for _ in 0..count {
            let (start, end) = match form {
                ValueForm::Texts => text_at(&bytes, at)?,
                ValueForm::Fixed(size) => (at, at + size),
                ValueForm::Bits => return Err(Damaged),
            };
            if end > bytes.len() {
                return Err(Damaged);
            }
            spans.push((start as u32, end as u32));
            at = end;
        }
        Ok(Self { bytes, spans })
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Bytes that they take in memory.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + self.spans.capacity() * size_of::<(u32, u32)>()
    }

    /// An entry; nothing for an id that there is not.
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        self.spans.get(id as usize).map_or(&[], |(start, end)| &self.bytes[*start as usize..*end as usize])
    }

    /// All entries in order of id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len() as u32).map(|id| self.get(id))
    }
}

/// Bytes before a plain text that tell its length.
pub(super) const LENGTH_BYTES: usize = 4;

/// Where the text behind the length at a position starts and ends.
pub(crate) fn text_at(bytes: &[u8], at: usize) -> Result<(usize, usize), Damaged> {
    let length = bytes.get(at..).and_then(|rest| rest.first_chunk::<LENGTH_BYTES>()).ok_or(Damaged)?;
    let (start, length) = (at + LENGTH_BYTES, u32::from_le_bytes(*length) as usize);
    if length > bytes.len() - start {
        return Err(Damaged);
    }
    Ok((start, start + length))
}

/// A dictionary in the making, as plain values.
pub(crate) struct Dictionary {
    form: ValueForm,
    /// The entries, plain.
    pub(crate) bytes: Vec<u8>,
    /// Where each entry's bytes start and end.
    spans: Vec<(u32, u32)>,
    /// Whether a value has found no room.
    pub(crate) is_full: bool,
    /// Ids by hash; of two entries with one hash the later one stands under the next that is free.
    known: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    keys: ahash::RandomState,
}

impl Dictionary {
    /// One without entries.
    pub(crate) fn new(form: ValueForm) -> Self {
        let keys = ahash::RandomState::with_seeds(1, 2, 3, 4);
        Self { form, bytes: Vec::new(), spans: Vec::new(), is_full: false, known: HashMap::default(), keys }
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// An entry.
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        let (start, end) = self.spans[id as usize];
        &self.bytes[start as usize..end as usize]
    }

    /// Bytes that it takes in memory, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * 8 + self.known.capacity() * 16
    }

    /// The id of a value, which becomes an entry if it is none and `room` bytes are enough; else `None`.
    pub(crate) fn id_of(&mut self, value: &[u8], room: usize) -> Option<u32> {
        let mut hash = self.keys.hash_one(value);
        loop {
            match self.known.entry(hash) {
                Entry::Occupied(known) => {
                    let (start, end) = self.spans[*known.get() as usize];
                    if &self.bytes[start as usize..end as usize] == value {
                        return Some(*known.get());
                    }
                    hash = hash.wrapping_add(1);
                }
                Entry::Vacant(_) if self.bytes.len() + value.len() + LENGTH_BYTES > room => {
                    self.is_full = true;
                    return None;
                }
                Entry::Vacant(free) => {
                    let id = *free.insert(self.spans.len() as u32);
                    put_plain(self.form, value, &mut self.bytes);
                    self.spans.push(((self.bytes.len() - value.len()) as u32, self.bytes.len() as u32));
                    return Some(id);
                }
            }
        }
    }
}

/// Adds a value in its plain form.
pub(crate) fn put_plain(form: ValueForm, value: &[u8], out: &mut Vec<u8>) {
    if form == ValueForm::Texts {
        out.extend((value.len() as u32).to_le_bytes());
    }
    out.extend(value);
}

/// A key that is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
