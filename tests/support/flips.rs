//! Single-bit changes all over a repository: nothing may panic, and what must be detected is
//! detected.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use cimrepo::Direction;
use cimrepo::KeyRange;
use cimrepo::base::progress::Unobserved;
use cimrepo::storage::{Directory, MemStorage, OpenMode, Storage, read_exact_at, write_all_at};
use cimrepo::store::OpenOptions;
use cimrepo::verify::{Level, verify_content};

use super::areas::{Area, Areas};
use super::{Files, PLACE, check, in_memory};

/// A bit of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Name of the file.
    pub file: String,
    /// Number of the byte.
    pub byte: usize,
    /// Number of the bit.
    pub bit: u8,
}

/// The results of the flips in an area of a file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Number of bits that were changed.
    pub flips: usize,
    /// Number of changes that were reported.
    pub seen: usize,
}

/// The way in which a flip is examined.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Verify every generation, not only the one that was opened.
    pub all_generations: bool,
    /// Scan and count as well, and verify rejected generations.
    pub read_all: bool,
    /// Depth of the verification of the current generation.
    pub level: Level,
}

/// About `count` bits of a file, evenly spread over the bytes that `wanted` accepts, and over all
/// eight bits of a byte in turn.
pub fn positions(
    file: &str,
    areas: &[Area],
    count: usize,
    wanted: impl Fn(Area) -> bool,
) -> Vec<Position> {
    let bytes: Vec<usize> = (0..areas.len())
        .filter(|&byte| wanted(areas[byte]))
        .collect();
    let bits = bytes.len() * 8;
    // An odd step reaches every bit of a byte.
    let step = (bits / count.max(1)).max(1) | 1;
    let position = |bit: usize| Position {
        file: file.to_owned(),
        byte: bytes[bit / 8],
        bit: u8::try_from(bit % 8).unwrap(),
    };
    (0..bits)
        .step_by(if bits <= count { 1 } else { step })
        .map(position)
        .collect()
}

/// Flips each bit on its own and returns whether it was detected. Works on both halves of the list
/// in parallel.
pub fn run(files: &Files, positions: &[Position], look: Look) -> Vec<bool> {
    let (front, back) = positions.split_at(positions.len() / 2);
    std::thread::scope(|scope| {
        let halves = [front, back].map(|half| scope.spawn(move || run_some(files, half, look)));
        halves
            .into_iter()
            .flat_map(|half| half.join().unwrap())
            .collect()
    })
}

fn run_some(files: &Files, positions: &[Position], look: Look) -> Vec<bool> {
    let (storage, directory) = in_memory(files);
    let flipped = |position: &Position| {
        flip(&storage, position);
        let seen = catch_unwind(AssertUnwindSafe(|| is_seen(&directory, look)));
        flip(&storage, position);
        seen.unwrap_or_else(|_| panic!("a panic after a change of {position:?}"))
    };
    positions.iter().map(flipped).collect()
}

fn flip(storage: &MemStorage, position: &Position) {
    let file = storage
        .open(&Path::new(PLACE).join(&position.file), OpenMode::Write)
        .unwrap();
    let mut byte = [0];
    read_exact_at(&*file, position.byte as u64, &mut byte).unwrap();
    byte[0] ^= 1 << position.bit;
    write_all_at(&*file, position.byte as u64, &byte).unwrap();
    file.sync().unwrap();
}

/// Opens and verifies; returns true if anything was reported.
fn is_seen(directory: &Directory, look: Look) -> bool {
    let Ok(repository) = OpenOptions::new().open_in(directory) else {
        return true;
    };
    let is_refused = !repository.refused().is_empty() || !repository.is_whole();
    // Damage that opening detected need not be looked for in every generation; three take three
    // times as long.
    let mut report = check(
        &repository,
        look.all_generations && (look.read_all || !is_refused),
    );
    if look.level > Level::Structure
        && report.is_consistent()
        && let Some(current) = report.generations.first_mut()
    {
        verify_content(&repository.snapshot(), look.level, &Unobserved, current).unwrap();
    }
    if look.read_all {
        let snapshot = repository.snapshot();
        assert!(snapshot.counts().keys <= 1_000_000);
        assert!(snapshot.keys(KeyRange::all(), Direction::Backward).count() <= 1_000_000);
    }
    is_refused || !report.is_consistent()
}

/// Sums up by file and area.
pub fn tally(
    positions: &[Position],
    seen: &[bool],
    areas: &Areas,
) -> BTreeMap<(String, Area), Tally> {
    let mut tallies: BTreeMap<(String, Area), Tally> = BTreeMap::new();
    for (position, &seen) in positions.iter().zip(seen) {
        let area = areas[&position.file][position.byte];
        let tally = tallies.entry((position.file.clone(), area)).or_default();
        tally.flips += 1;
        tally.seen += usize::from(seen);
    }
    tallies
}

/// Prints a row for each file, followed by one for each area.
pub fn print(what: &str, tallies: &BTreeMap<(String, Area), Tally>) {
    println!(
        "{what:<8} {:<14} {:<12} {:>6} {:>6} {:>6}",
        "file", "area", "flips", "seen", "%"
    );
    let mut files: Vec<&str> = tallies.keys().map(|(file, _)| file.as_str()).collect();
    files.dedup();
    for name in files {
        let of_file = || tallies.iter().filter(|((file, _), _)| file == name);
        let sum = |tally: Tally, (_, next): (_, &Tally)| Tally {
            flips: tally.flips + next.flips,
            seen: tally.seen + next.seen,
        };
        row(what, name, "all", of_file().fold(Tally::default(), sum));
        of_file().for_each(|((_, area), tally)| row(what, "", &format!("{area:?}"), *tally));
    }
}

fn row(what: &str, file: &str, area: &str, Tally { flips, seen }: Tally) {
    let tenths = seen * 1000 / flips.max(1);
    println!(
        "{what:<8} {file:<14} {area:<12} {flips:>6} {seen:>6} {:>4}.{}",
        tenths / 10,
        tenths % 10
    );
}
