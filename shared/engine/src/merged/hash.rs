//! Hashes of profile ids that are the same whatever the process: by which they are spread over buckets, and over shares.

/// 32-bit Murmur3 (x86 variant, seed 0) of a text's UTF-8 bytes, made non-negative, as Iceberg's specification of the bucket
/// transform has it.
pub(super) fn iceberg_hash(text: &[u8]) -> u32 {
    murmur3(text, 0) & i32::MAX as u32
}

/// The same with another seed: says nothing about buckets, nor they about it.
pub(super) fn halving_hash(text: &[u8]) -> u32 {
    murmur3(text, 0x9e37_79b9)
}

fn murmur3(text: &[u8], seed: u32) -> u32 {
    let (blocks, tail) = text.as_chunks::<4>();
    let hash = blocks.iter().fold(seed, |hash, block| {
        (hash ^ scrambled(u32::from_le_bytes(*block))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    let rest = tail.iter().rev().fold(0, |rest, byte| rest << 8 | u32::from(*byte));
    let mut hash = hash ^ scrambled(rest) ^ text.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

fn scrambled(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_example_and_known_values_come_out() {
        assert_eq!(iceberg_hash(b"iceberg"), 1_210_000_089);
        assert_eq!(iceberg_hash(b""), 0);
        assert_eq!(iceberg_hash(b"a"), 0x3c25_69b2);
        assert_eq!(iceberg_hash(b"The quick brown fox jumps over the lazy dog"), 0x2e4f_f723);
    }
}
