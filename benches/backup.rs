//! Backup and restore beside a plain copy of the same files, taken in turn so that a busy machine
//! slows all alike: of each the median, and the median of its ratios to the copy of the same round.
//! A copy, too, is durable: each file is synced.
//!
//! No criterion here: it measures one thing after the other, and what counts is the ratio within a
//! round.

#![allow(
    missing_docs,
    reason = "a macro of the harness makes a public function"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot measure stops"
)]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cimrepo::backup::{Backup, BackupOptions, Compression, backup};
use cimrepo::base::progress::Unobserved;
use cimrepo::restore::{RestoreOptions, restore};
use cimrepo::store::Repository;

const ROUNDS: usize = 25;

/// Copies the files and makes the copies durable.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        fs::copy(entry.path(), &target).unwrap();
        fs::File::options()
            .write(true)
            .open(&target)
            .unwrap()
            .sync_all()
            .unwrap();
    }
    fs::File::open(to).unwrap().sync_all().unwrap();
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median<T: PartialOrd + Copy>(values: &mut [T]) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap());
    values[values.len() / 2]
}

struct Row {
    name: &'static str,
    times: Vec<Duration>,
    bytes: u64,
}

fn main() {
    let rounds = support::rounds(ROUNDS);
    for (name, path) in support::repositories() {
        let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let at = |name: &str| scratch.path().join(name);
        let row = |name| Row {
            name,
            times: Vec::new(),
            bytes: 0,
        };
        let mut rows = [
            row("copy and sync"),
            row("backup, plain, unverified"),
            row("backup, unverified"),
            row("backup, plain"),
            row("backup"),
            row("verify the backup"),
            row("restore, plain"),
            row("restore"),
        ];
        // The first round warms caches up and is not counted.
        for round in 0..=rounds {
            let times = round_of(&path, &at, &mut rows);
            for (row, time) in rows.iter_mut().zip(times).filter(|_| round > 0) {
                row.times.push(time);
            }
        }
        println!(
            "\n{name}: median of {rounds} rounds; ratio to the copy of the same round: median \
                (least to greatest)"
        );
        let copies = rows[0].times.clone();
        for row in &mut rows {
            let mut ratios: Vec<f64> = row
                .times
                .iter()
                .zip(&copies)
                .map(|(time, copy)| time.as_secs_f64() / copy.as_secs_f64())
                .collect();
            let ratio = median(&mut ratios);
            let (least, greatest) = (ratios[0], ratios[ratios.len() - 1]);
            let time = median(&mut row.times).as_secs_f64() * 1e3;
            let size = row.bytes as f64 / 1e6;
            println!(
                "{:<26}{time:8.1} ms   {ratio:4.2} ({least:.2} to {greatest:.2})   {size:6.2} MB",
                row.name
            );
        }
    }
}

/// One round: everything once, into a clean directory.
fn round_of(
    path: &Path,
    at: &dyn Fn(&str) -> std::path::PathBuf,
    rows: &mut [Row; 8],
) -> [Duration; 8] {
    let back_up = |compression, skip_verify, file: &str| {
        let repository = Repository::open_read_only(path).unwrap();
        let options = BackupOptions {
            compression,
            skip_verify,
            ..BackupOptions::default()
        };
        backup(&repository, at(file), &options, &Unobserved).unwrap();
    };
    let check = |file: &str| {
        let report = Backup::open(at(file))
            .unwrap()
            .verify(Default::default(), &Unobserved)
            .unwrap();
        assert!(report.is_consistent());
    };
    let put_back = |file: &str, to: &str| {
        let backup = Backup::open(at(file)).unwrap();
        restore(&backup, at(to), RestoreOptions::default(), &Unobserved).unwrap();
    };
    let times = [
        timed(|| copy(path, &at("copy"))),
        timed(|| back_up(Compression::None, true, "unverified-plain.cimbak")),
        timed(|| back_up(Compression::default(), true, "unverified.cimbak")),
        timed(|| back_up(Compression::None, false, "plain.cimbak")),
        timed(|| back_up(Compression::default(), false, "packed.cimbak")),
        timed(|| check("packed.cimbak")),
        timed(|| put_back("plain.cimbak", "from-plain")),
        timed(|| put_back("packed.cimbak", "from-packed")),
    ];
    let size = |name: &str| fs::metadata(at(name)).unwrap().len();
    let files = |name: &str| {
        fs::read_dir(at(name))
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum()
    };
    rows[0].bytes = files("copy");
    for (row, file) in rows[1..].iter_mut().zip(
        ["plain.cimbak", "packed.cimbak"]
            .into_iter()
            .cycle()
            .take(4),
    ) {
        row.bytes = size(file);
    }
    rows[5].bytes = size("packed.cimbak");
    (rows[6].bytes, rows[7].bytes) = (files("from-plain"), files("from-packed"));
    for name in ["copy", "from-plain", "from-packed"] {
        fs::remove_dir_all(at(name)).unwrap();
    }
    for name in [
        "plain.cimbak",
        "packed.cimbak",
        "unverified-plain.cimbak",
        "unverified.cimbak",
    ] {
        fs::remove_file(at(name)).unwrap();
    }
    times
}
