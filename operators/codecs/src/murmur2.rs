//! Murmur2 with Kafka's seed, so that equal keys land where Kafka's own clients put them.

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// The hash of a key, as Kafka computes it.
pub(crate) fn murmur2(key: &[u8]) -> u32 {
    // Kafka counts lengths in 32 bits; no key of a message is longer.
    let mut hash = SEED ^ key.len() as u32;
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (i, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition Kafka's own clients choose for a key; `partitions` is at least 1.
pub fn partition(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_the_values_kafka_publishes() {
        let published: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in published {
            assert_eq!(murmur2(key).cast_signed(), hash, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn the_sign_is_masked_and_not_inverted() {
        // The hash of "21" is -973932308; without its sign bit it is 1173551340.
        assert_eq!(partition(b"21", 7), 1_173_551_340 % 7);
        assert_ne!(partition(b"21", 7), 973_932_308 % 7);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_partition(key: Vec<u8>, partitions in 1u32..100) {
            prop_assert!(partition(&key, partitions) < partitions);
        }
    }
}
