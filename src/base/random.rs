//! Numbers that differ from run to run. They are meant to be unique, not secret.

use std::hash::{BuildHasher, RandomState};

/// A random 64-bit number, from the randomness with which the standard library seeds its hash maps.
pub(crate) fn random_u64() -> u64 {
    // Each `RandomState` of a process has its own keys; the hash of a fixed value under them is a
    // keyed SipHash output.
    RandomState::new().hash_one(0x0063_696D_7265_706F_u64)
}

/// A random UUID (version 4, RFC 9562) that serves as an identity.
pub(crate) fn random_uuid() -> [u8; 16] {
    let mut uuid = [0; 16];
    let (high, low) = uuid.split_at_mut(8);
    high.copy_from_slice(&random_u64().to_le_bytes());
    low.copy_from_slice(&random_u64().to_le_bytes());
    uuid[6] = uuid[6] & 0x0F | 0x40;
    uuid[8] = uuid[8] & 0x3F | 0x80;
    uuid
}

/// Generates 32-bit numbers that never repeat: a counter passed through a random permutation.
#[derive(Debug, Clone)]
pub(crate) struct UniqueIds {
    key: u32,
    next: u32,
    /// Smaller numbers are skipped.
    least: u32,
}

impl UniqueIds {
    /// A sequence that differs from run to run.
    pub(crate) fn random() -> Self {
        Self::seeded(random_u64())
    }

    /// The sequence for a seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = seed.to_le_bytes();
        Self {
            key: u32::from_le_bytes([a, b, c, d]),
            next: u32::from_le_bytes([e, f, g, h]),
            least: 0,
        }
    }

    /// A sequence of numbers that all have ten digits, the most possible, so that texts that
    /// contain them have their greatest length.
    pub(crate) fn longest() -> Self {
        Self {
            least: 1_000_000_000,
            ..Self::seeded(0)
        }
    }

    /// The next number of the permutation, before skipping. Each step of the mixing is a bijection,
    /// so 2^32 calls yield 2^32 different numbers.
    fn mix(&mut self) -> u32 {
        let mut x = self.next ^ self.key;
        self.next = self.next.wrapping_add(1);
        x ^= x >> 16;
        x = x.wrapping_mul(0x85EB_CA6B);
        x ^= x >> 13;
        x = x.wrapping_mul(0xC2B2_AE35);
        x ^ (x >> 16)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u32 {
        loop {
            let next = self.mix();
            if next >= self.least {
                return next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_do_not_repeat() {
        let mut ids = UniqueIds::seeded(7);
        let seen: HashSet<u32> = (0..100_000).map(|_| ids.next()).collect();
        assert_eq!(seen.len(), 100_000);
    }

    #[test]
    fn uuids_differ_and_have_version_4() {
        let (a, b) = (random_uuid(), random_uuid());
        assert_ne!(a, b);
        assert_eq!(a[6] >> 4, 4);
        assert_eq!(a[8] >> 6, 2);
    }
}
