//! Parquet's hybrid of run lengths and bit packing, in which levels and dictionary ids are kept.

use super::Damaged;

/// Values are unpacked eight at a time: so many too many at most.
const BEYOND: usize = 7;

/// A level or a dictionary id.
pub(crate) trait Small: Copy + Eq {
    /// The value of these low bits.
    fn of(bits: u64) -> Self;
    /// The value as bits.
    fn bits(self) -> u64;
}

impl Small for u8 {
    #[inline]
    fn of(bits: u64) -> Self {
        bits as u8
    }
    fn bits(self) -> u64 {
        self.into()
    }
}

impl Small for u32 {
    #[inline]
    fn of(bits: u64) -> Self {
        bits as u32
    }
    fn bits(self) -> u64 {
        self.into()
    }
}

/// Bits that values up to `greatest` take.
pub(crate) fn width_of(greatest: u32) -> u8 {
    (u32::BITS - greatest.leading_zeros()) as u8
}

/// The one value that all of `count` are, where a single run says so.
pub(crate) fn constant(mut bytes: &[u8], width: u8, count: usize) -> Option<u64> {
    if width == 0 {
        return Some(0);
    }
    let header = varint(&mut bytes).ok()?;
    let is_run = header & 1 == 0 && header >> 1 >= count as u64;
    is_run.then(|| run_value(&mut bytes, width).ok()).flatten()
}

/// Reads `count` values of `width` bits (at most 32).
pub(crate) fn decode<T: Small>(bytes: &[u8], width: u8, count: usize) -> Result<Vec<T>, Damaged> {
    let (mut all, mut at) = (vec![T::of(0); count + BEYOND], 0);
    for piece in pieces(bytes, width, count) {
        let (piece, values) = piece?;
        match piece {
            Piece::Same(value) => all[at..at + values].fill(T::of(value)),
            Piece::Packed(start) => unpack_to(&mut all[at..], &bytes[start..], width, values),
        }
        at += values;
    }
    all.truncate(count);
    Ok(all)
}

/// What values are kept in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    /// A run of one value.
    Same(u64),
    /// Packed values, from that byte on.
    Packed(usize),
}

/// The pieces that `count` values of `width` bits (at most 32) are kept in, each with how many of them it has.
pub(super) fn pieces(bytes: &[u8], width: u8, count: usize) -> impl Iterator<Item = Result<(Piece, usize), Damaged>> {
    let (mut rest, mut left) = (bytes, count);
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let piece = next_piece(&mut rest, width, left, bytes.len());
        left = piece.as_ref().map_or(0, |(_, values)| left - values);
        Some(piece)
    })
}

/// Takes the next piece of so many values off the rest of all bytes.
#[inline]
fn next_piece(rest: &mut &[u8], width: u8, left: usize, all: usize) -> Result<(Piece, usize), Damaged> {
    if width == 0 {
        return Ok((Piece::Same(0), left));
    }
    if width > 32 {
        return Err(Damaged);
    }
    let header = varint(rest)?;
    let length = usize::try_from(header >> 1).map_err(|_| Damaged)?;
    if header & 1 == 0 {
        return Ok((Piece::Same(run_value(rest, width)?), length.min(left)));
    }
    let start = all - rest.len();
    // The last group may be cut off after the last value.
    let (packed, behind) = (*rest).split_at(rest.len().min(length.saturating_mul(width.into())));
    *rest = behind;
    let values = left.min(length.saturating_mul(8));
    if (values * usize::from(width)).div_ceil(8) > packed.len() {
        return Err(Damaged);
    }
    Ok((Piece::Packed(start), values))
}

/// One of packed values of one to 32 bits.
pub(super) fn value_at(packed: &[u8], width: u8, at: usize) -> u64 {
    bits_from(packed, at * usize::from(width)) & ones(width)
}

/// Adds `count` values that are packed from the most significant bit on, as old writers keep levels. Returns the bytes that
/// they took.
pub(crate) fn decode_big_endian(bytes: &[u8], width: u8, count: usize, out: &mut Vec<u8>) -> Result<usize, Damaged> {
    let (width, taken) = (usize::from(width), (count * usize::from(width)).div_ceil(8));
    let bytes = bytes.get(..taken).ok_or(Damaged)?;
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    out.extend((0..count).map(|i| (i * width..(i + 1) * width).fold(0, |value, at| value << 1 | bit(at))));
    Ok(taken)
}

/// Unpacks `count` values of `width` bits (one to 32).
pub(super) fn unpack<T: Small>(packed: &[u8], width: u8, count: usize) -> Vec<T> {
    let mut all = vec![T::of(0); count + BEYOND];
    unpack_to(&mut all, packed, width, count);
    all.truncate(count);
    all
}

/// Unpacks values to where they belong, eight at a time: a group takes as many bytes as a value takes bits. The last group is
/// written whole, over up to [`BEYOND`] places behind the values.
fn unpack_to<T: Small>(to: &mut [T], packed: &[u8], width: u8, count: usize) {
    let (groups, _) = to[..count.next_multiple_of(8)].as_chunks_mut();
    match width {
        1 => unpack_small::<T, 1>(groups, packed),
        2 => unpack_quarters(groups.as_flattened_mut(), packed),
        3 => unpack_small::<T, 3>(groups, packed),
        4 => unpack_small::<T, 4>(groups, packed),
        5 => unpack_small::<T, 5>(groups, packed),
        6 => unpack_small::<T, 6>(groups, packed),
        7 => unpack_small::<T, 7>(groups, packed),
        8 => unpack_small::<T, 8>(groups, packed),
        _ => unpack_large(groups, packed, width.into()),
    }
}

/// Unpacks values of up to eight bits.
fn unpack_small<T: Small, const WIDTH: usize>(groups: &mut [[T; 8]], packed: &[u8]) {
    let (whole, cut_off) = packed.as_chunks::<WIDTH>();
    let group = |packed: &[u8]| spread::<WIDTH>(little_endian(packed)).to_le_bytes().map(|value| T::of(value.into()));
    let mut groups = groups.iter_mut();
    whole.iter().zip(&mut groups).for_each(|(packed, values)| *values = group(packed));
    groups.for_each(|values| *values = group(cut_off));
}

/// Unpacks values of two bits: a byte has four of them, which are put apart faster than eight.
fn unpack_quarters<T: Small>(to: &mut [T], packed: &[u8]) {
    let (fours, _) = to.as_chunks_mut::<4>();
    let mut fours = fours.iter_mut();
    let apart = |byte: u8| {
        let halves = (u32::from(byte) | u32::from(byte) << 12) & 0x000f_000f;
        (halves | halves << 6) & 0x0303_0303
    };
    let of = |value: u8| T::of(value.into());
    packed.iter().zip(&mut fours).for_each(|(byte, four)| *four = apart(*byte).to_le_bytes().map(of));
    fours.for_each(|four| *four = [T::of(0); 4]);
}

/// Eight values of up to eight bits each, the lowest first and nothing above them, as a byte each.
#[inline]
fn spread<const WIDTH: usize>(packed: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    if WIDTH == 1 {
        // A byte of it for each bit, in which that bit alone is left; then its top bit, whichever it was.
        let bits = (packed * EACH) & 0x8040_2010_0804_0201;
        return (bits + 0x7f * EACH) >> 7 & EACH;
    }
    // Halved three times, each half into a lane of its own.
    let halves = const { ones(4 * WIDTH as u8) };
    let quarters = const { ones(2 * WIDTH as u8) * 0x1_0000_0001 };
    let eighths = const { ones(WIDTH as u8) * 0x1_0001_0001_0001 };
    let lanes = packed & halves | (packed >> (4 * WIDTH) & halves) << 32;
    let lanes = lanes & quarters | (lanes >> (2 * WIDTH) & quarters) << 16;
    lanes & eighths | (lanes >> WIDTH & eighths) << 8
}

/// Unpacks values of more than eight bits.
fn unpack_large<T: Small>(groups: &mut [[T; 8]], packed: &[u8], bits: usize) {
    let mask = ones(bits as u8);
    for (group, bit) in groups.iter_mut().zip((0..).step_by(8 * bits)) {
        if bits <= 16 {
            // Four of them lie within eight bytes.
            let (low, high) = (bits_from(packed, bit), bits_from(packed, bit + 4 * bits));
            let of = |four: u64, n: usize| T::of(four >> (n * bits) & mask);
            *group =
                [of(low, 0), of(low, 1), of(low, 2), of(low, 3), of(high, 0), of(high, 1), of(high, 2), of(high, 3)];
        } else {
            *group = std::array::from_fn(|n| T::of(bits_from(packed, bit + n * bits) & mask));
        }
    }
}

/// As many low bits as that are set, of one to 64.
const fn ones(bits: u8) -> u64 {
    u64::MAX >> (64 - bits)
}

/// The bits from that one on: 57 at least, with zeros behind the end.
#[inline]
fn bits_from(bytes: &[u8], bit: usize) -> u64 {
    word(bytes, bit >> 3) >> (bit & 7)
}

/// Eight bytes from a position on, with zeros behind the end.
#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk::<8>() {
        Some(whole) => u64::from_le_bytes(*whole),
        None => little_endian(rest),
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn run_value(bytes: &mut &[u8], width: u8) -> Result<u64, Damaged> {
    let (value, rest) = bytes.split_at_checked(usize::from(width).div_ceil(8)).ok_or(Damaged)?;
    *bytes = rest;
    Ok(little_endian(value))
}

/// How often a level occurs.
pub(crate) fn count_of(levels: &[u8], level: u8) -> usize {
    // Sums of bytes, which do not overflow within a stretch.
    let of_stretch = |stretch: &[u8]| usize::from(stretch.iter().map(|l| u8::from(*l == level)).sum::<u8>());
    levels.chunks(255).map(of_stretch).sum()
}

#[inline]
fn varint(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    // Most headers are one byte.
    if let Some((byte, rest)) = bytes.split_first()
        && byte & 0x80 == 0
    {
        *bytes = rest;
        return Ok((*byte).into());
    }
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(Damaged)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Damaged)
}

/// Runs shorter than this are packed.
const LEAST_RUN: usize = 8;

/// Adds values of `width` bits (at most 32) in their encoded form.
pub(crate) fn encode<T: Small>(values: &[T], width: u8, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let (mut packed_from, mut at) = (0, 0);
    while at < values.len() {
        let mut run = values[at..].iter().take_while(|v| **v == values[at]).count();
        if run >= LEAST_RUN {
            // Packed values come in groups of eight: the run gives what the last group lacks.
            let lent = (at - packed_from).next_multiple_of(8) - (at - packed_from);
            (at, run) = (at + lent, run - lent);
        }
        if run >= LEAST_RUN {
            pack(&values[packed_from..at], width, out);
            put_varint((run as u64) << 1, out);
            out.extend(&values[at].bits().to_le_bytes()[..usize::from(width).div_ceil(8)]);
            packed_from = at + run;
        }
        at += run;
    }
    pack(&values[packed_from..], width, out);
}

/// Adds a packed run; its last group is filled up with zeros.
fn pack<T: Small>(values: &[T], width: u8, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    put_varint((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * usize::from(width);
    let (mut held, mut bits) = (0u64, 0);
    for value in values {
        held |= value.bits() << bits;
        bits += u32::from(width);
        if bits >= 32 {
            out.extend((held as u32).to_le_bytes());
            (held, bits) = (held >> 32, bits - 32);
        }
    }
    out.extend(&held.to_le_bytes()[..bits.div_ceil(8) as usize]);
    out.resize(end, 0);
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn runs() -> impl Strategy<Value = (u8, Vec<u32>)> {
        (1u8..=32).prop_flat_map(|width| {
            let value = (0..=(1u64 << width) - 1).prop_map(|v| v as u32);
            let run = (value, prop_oneof![3 => 1..4usize, 1 => 5..40usize]);
            let runs = proptest::collection::vec(run, 0..40);
            runs.prop_map(move |runs| (width, runs.into_iter().flat_map(|(v, n)| vec![v; n]).collect()))
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded((width, values) in runs()) {
            let mut bytes = Vec::new();
            encode(&values, width, &mut bytes);
            let decoded: Vec<u32> = decode(&bytes, width, values.len()).unwrap();
            prop_assert_eq!(&decoded, &values);
            if width <= 8 {
                let small: Vec<u8> = decode(&bytes, width, values.len()).unwrap();
                prop_assert!(small.iter().map(|value| u32::from(*value)).eq(values.iter().copied()));
            }
            if let Some(value) = constant(&bytes, width, values.len()) {
                prop_assert!(values.iter().all(|v| u64::from(*v) == value));
            }
        }

        #[test]
        fn any_bytes_are_values_or_damaged(bytes: Vec<u8>, width in 0u8..40, count in 0usize..200) {
            if let Ok(decoded) = decode::<u32>(&bytes, width, count) {
                prop_assert_eq!(decoded.len(), count);
            }
        }
    }

    #[test]
    fn levels_of_old_writers_are_read_from_the_most_significant_bit() {
        let mut levels = Vec::new();
        // The format's own example: 0 to 7 in three bits each.
        assert_eq!(decode_big_endian(&[0b0000_0101, 0b0011_1001, 0b0111_0111], 3, 8, &mut levels).unwrap(), 3);
        assert_eq!(levels, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(decode_big_endian(&[0], 3, 8, &mut levels).is_err());
    }

    #[test]
    fn widths_hold_their_greatest_value() {
        assert_eq!([0, 1, 2, 3, 4, 255, 256, u32::MAX].map(width_of), [0, 1, 2, 2, 3, 8, 9, 32]);
    }
}
