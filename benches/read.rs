//! Reading: opening a repository, looking keys up, scanning keys and records, verifying. Beside
//! them the physical limit of a verification: reading all bytes of the files and their CRC-32.

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

use std::hint::black_box;

use cimrepo::base::progress::Unobserved;
use cimrepo::store::{Repository, Snapshot};
use cimrepo::verify::{VerifyOptions, verify};
use cimrepo::{Direction, KeyRange};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use support::{file_bytes, read_and_crc};

fn scan_keys(snapshot: &Snapshot) -> u64 {
    let mut keys = snapshot.keys(KeyRange::all(), Direction::Forward);
    let mut bytes = 0;
    while let Some(key) = keys.next_text() {
        bytes += key.unwrap().len() as u64;
    }
    bytes
}

fn scan_records(snapshot: &Snapshot) -> u64 {
    snapshot
        .records()
        .map(|record| snapshot.record(record.unwrap()).unwrap().len() as u64)
        .sum()
}

fn read(criterion: &mut Criterion) {
    for (name, path) in support::repositories() {
        let snapshot = Repository::open_read_only(&path).unwrap().snapshot();
        let keys: Vec<Vec<u8>> = snapshot
            .keys(KeyRange::all(), Direction::Forward)
            .map(|key| key.unwrap().as_bytes().to_vec())
            .collect();
        let misses: Vec<Vec<u8>> = keys
            .iter()
            .map(|key| [key.as_slice(), b"x"].concat())
            .collect();

        let mut group = criterion.benchmark_group(format!("read/{name}"));
        group.bench_function("open", |bencher| {
            bencher.iter(|| Repository::open_read_only(black_box(&path)).unwrap())
        });
        group.throughput(Throughput::Elements(1));
        for (what, keys) in [("look-up hit", &keys), ("look-up miss", &misses)] {
            let mut number = 0;
            group.bench_function(what, |bencher| {
                bencher.iter(|| {
                    // A stride that is prime to most counts visits the keys in no order.
                    number = (number + 7919) % keys.len();
                    snapshot.contains_key(black_box(&keys[number])).unwrap()
                });
            });
        }
        group.throughput(Throughput::Elements(keys.len() as u64));
        group.bench_function("key scan", |bencher| bencher.iter(|| scan_keys(&snapshot)));
        group.throughput(Throughput::Elements(snapshot.records().count() as u64));
        group.bench_function("record scan", |bencher| {
            bencher.iter(|| scan_records(&snapshot))
        });
        group.throughput(Throughput::Bytes(file_bytes(&path)));
        group.bench_function("read and CRC the files", |bencher| {
            bencher.iter(|| read_and_crc(&path))
        });
        group.bench_function("verify", |bencher| {
            bencher.iter(|| {
                let repository = Repository::open_read_only(&path).unwrap();
                assert!(
                    verify(&repository, VerifyOptions::default(), &Unobserved)
                        .unwrap()
                        .is_consistent()
                );
            });
        });
        group.finish();
    }
}

criterion_group!(benches, read);
criterion_main!(benches);
