//! Decoding every class and instance of real repositories: the engine beside the independent
//! readers that `.ci/interop` installs, and beside the limit of it all, reading the files and their
//! CRC-32.
//!
//! Everything is the processor time of one thread, from opening the files to the last value;
//! medians of several rounds. The readers know dialect 2.2 alone here.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot measure stops"
)]

mod support;

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use cimrepo::catalog::Catalog;
use cimrepo::format::Dialect;
use cimrepo::format::index::object_key::SYSTEM_NAMESPACE;
use cimrepo::store::Repository;

use support::{file_bytes, read_and_crc};

const ROUNDS: usize = 15;
/// How often in a round: the system counts processor time in steps of milliseconds.
const READINGS: u32 = 20;
const DECODINGS: u32 = 4;
const ROUNDS_OF_OTHERS: usize = 3;

/// Every namespace, class and instance, with what classes inherit; gives their number.
fn decode_all(path: &Path) -> usize {
    let catalog = Catalog::new(Repository::open_read_only(path).unwrap().snapshot());
    let found = catalog.namespaces().into_iter().map(Result::unwrap);
    let mut count = 0;
    for namespace in [SYSTEM_NAMESPACE.to_owned()].into_iter().chain(found) {
        for class in catalog.classes(&namespace) {
            black_box(class.unwrap());
            count += 1;
        }
        for instance in catalog.all_instances(&namespace) {
            black_box(instance.unwrap());
            count += 1;
        }
    }
    count
}

/// Seconds that this thread has had a processor; where the system does not tell, seconds that went
/// by.
fn processor_seconds(begun: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = told
        .split(' ')
        .next()
        .and_then(|number| number.parse::<f64>().ok());
    nanoseconds.map_or_else(
        || begun.elapsed().as_secs_f64(),
        |nanoseconds| nanoseconds * 1e-9,
    )
}

/// Seconds that each run of this takes.
fn seconds_each(runs: u32, mut run: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let before = processor_seconds(begun);
    (0..runs).for_each(|_| run());
    (processor_seconds(begun) - before) / f64::from(runs)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds of an independent reader, and how many objects it failed at; none where it is not
/// installed.
fn by_reader(reader: &str, path: &Path) -> Option<(f64, u64)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("target/interop/venv/bin/python"));
    let output = command
        .arg(root.join(".ci/interop.py"))
        .args([reader, "time"])
        .arg(path)
        .output()
        .ok()?;
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    Some((told["seconds"].as_f64()?, told["failed"].as_u64()?))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn row(what: &str, seconds: f64, objects: usize, bytes: u64, limit: f64) {
    let (milliseconds, per_second) = (seconds * 1e3, objects as f64 / seconds);
    let (megabytes, ratio) = (bytes as f64 / seconds / 1e6, seconds / limit);
    println!(
        "  {what:24} {milliseconds:10.1} ms {per_second:10.0} objects/s {megabytes:8.1} MB/s \
            {ratio:9.2} times reading"
    );
}

fn main() {
    for (name, path) in support::repositories() {
        let (mut limits, mut own, mut objects) = (Vec::new(), Vec::new(), 0);
        for _ in 0..support::rounds(ROUNDS) {
            limits.push(seconds_each(READINGS, || {
                _ = black_box(read_and_crc(&path))
            }));
            own.push(seconds_each(DECODINGS, || objects = decode_all(&path)));
        }
        let ratio = median(
            own.iter()
                .zip(&limits)
                .map(|(own, limit)| own / limit)
                .collect(),
        );
        let (bytes, limit) = (file_bytes(&path), median(limits));
        println!(
            "{name}: {objects} objects in files of {bytes} bytes; the ratio of each round: \
                {ratio:.2}"
        );
        row("reading and CRC-32", limit, objects, bytes, limit);
        row("cimrepo", median(own), objects, bytes, limit);
        if support::is_quick() {
            continue;
        }
        if Repository::open_read_only(&path).unwrap().dialect() != Dialect::V22 {
            println!("  the others are not asked: the files are of dialect 2.1");
            continue;
        }
        for (reader, title) in [("dissect", "dissect.cim"), ("pycim", "python-cim")] {
            let rounds: Option<Vec<(f64, u64)>> = (0..ROUNDS_OF_OTHERS)
                .map(|_| by_reader(reader, &path))
                .collect();
            let Some(rounds) = rounds else {
                println!("  {title} is not measured: .ci/interop installs it");
                continue;
            };
            let failed = rounds[0].1;
            row(
                title,
                median(rounds.into_iter().map(|(seconds, _)| seconds).collect()),
                objects,
                bytes,
                limit,
            );
            println!("  {:24} {failed} objects it failed at", "");
        }
    }
}
