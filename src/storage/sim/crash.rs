//! The content of a disk after a loss of power.

use super::image::Image;
use super::pending::{EntryOp, FileOp};

/// Which of the unsynced operations reached the disk before the power failed.
///
/// The operations are numbered from 0 to [`SimStorage::unsynced`](super::SimStorage::unsynced).
/// First come the sectors and lengths of every file, file by file and in the order in which they
/// were made, then creations, renames and removals in their order. With a number that no operation
/// has, `LoseOne` and `TearOne` keep all operations and `KeepOne` drops all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPolicy {
    /// None.
    DropAll,
    /// All.
    KeepAll,
    /// All except this one.
    LoseOne(usize),
    /// All, but only the first half of this one if it writes a sector. Other operations cannot be
    /// torn.
    TearOne(usize),
    /// Only this one.
    KeepOne(usize),
    /// Each one is kept, lost or torn at random, as decided by the seed. The seed also determines
    /// how likely they are to survive. It further selects the content of a part by which a file was
    /// extended when the write into it was lost: zeros, or the garbage byte 0xA5.
    Seeded(u64),
}

/// The fate of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Lost,
    FirstHalf,
    SecondHalf,
}

/// Assigns fates, one operation after the other.
pub(super) struct Fates {
    policy: CrashPolicy,
    next: usize,
}

impl Fates {
    pub(super) fn new(policy: CrashPolicy) -> Self {
        Self { policy, next: 0 }
    }

    fn next(&mut self) -> Fate {
        let number = self.next;
        self.next += 1;
        let kept = |kept: bool| if kept { Fate::Kept } else { Fate::Lost };
        match self.policy {
            CrashPolicy::DropAll => Fate::Lost,
            CrashPolicy::KeepAll => Fate::Kept,
            CrashPolicy::LoseOne(one) => kept(number != one),
            CrashPolicy::KeepOne(one) => kept(number == one),
            CrashPolicy::TearOne(one) => {
                if number == one {
                    Fate::FirstHalf
                } else {
                    Fate::Kept
                }
            }
            CrashPolicy::Seeded(seed) => seeded(seed, number as u64),
        }
    }

    /// The content of the new part of a file where nothing was written.
    fn garbage(&self) -> u8 {
        match self.policy {
            CrashPolicy::Seeded(seed) if mix(seed) & 1 == 1 => 0xA5,
            _ => 0,
        }
    }

    /// The content of a file after the crash.
    pub(super) fn replay_file(&mut self, durable: &Image, operations: &[FileOp]) -> Image {
        let mut image = durable.clone();
        for operation in operations {
            match (operation, self.next()) {
                (FileOp::Sector(piece, sector), Fate::Kept) => image.put(*piece, sector),
                (FileOp::Sector(piece, sector), Fate::FirstHalf) => {
                    image.put(piece.halves().0, sector)
                }
                (FileOp::Sector(piece, sector), Fate::SecondHalf) => {
                    image.put(piece.halves().1, sector)
                }
                (_, Fate::Lost) => {}
                (FileOp::SetLen(len), _) => image.set_len(*len),
                (FileOp::Extend { from, to }, _) if image.len() < *to => {
                    let from = image.len().max(*from);
                    image.set_len(*to);
                    if self.garbage() != 0 {
                        image.fill(from..*to, self.garbage());
                    }
                }
                (FileOp::Extend { .. }, _) => {}
            }
        }
        image
    }

    /// The entry operations that survived.
    pub(super) fn surviving<'o>(&mut self, operations: &'o [EntryOp]) -> Vec<&'o EntryOp> {
        operations
            .iter()
            .filter(|_| self.next() != Fate::Lost)
            .collect()
    }
}

/// The fate of an operation under a seed. A quarter of the seeds keep nearly all operations, and a
/// quarter nearly none. Recovery in practice meets states close to one of these extremes, which
/// even chances would almost never produce.
fn seeded(seed: u64, number: u64) -> Fate {
    let chances = match mix(seed) >> 8 & 3 {
        0 => 250,
        1 => 6,
        _ => 128,
    };
    let roll = mix(mix(seed) ^ number);
    match (roll & 0xFF < chances, roll >> 8 & 7) {
        (true, _) => Fate::Kept,
        (false, 0) => Fate::FirstHalf,
        (false, 1) => Fate::SecondHalf,
        (false, _) => Fate::Lost,
    }
}

/// A bijection that destroys all order: the finalizer of SplitMix64.
fn mix(value: u64) -> u64 {
    let mut x = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}
