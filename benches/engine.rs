//! The engine by itself: reading and writing a repository of 20,000 generated objects. Commits are
//! in memory alone: what a disk adds is measured by the program in `benches/peers`, beside other
//! stores.

#![allow(
    missing_docs,
    reason = "a macro of the harness makes a public function"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot measure stops"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{BulkBuilder, Snapshot};
use cimrepo::store::{Durability, EngineOptions, Transaction};
use cimrepo::{Direction, KeyRange};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const OBJECTS: u64 = 20_000;

/// Hexadecimal digits that have no order.
fn digits(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!(
        "{mixed:016X}{:016X}",
        mixed.rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    )
    .repeat(2)
}

fn key(number: u64) -> Vec<u8> {
    format!("NS_{}\\CD_{}", digits(number % 5), digits(number + 10)).into_bytes()
}

fn value(number: u64) -> Vec<u8> {
    vec![number.to_le_bytes()[0]; 300 + usize::try_from(number * 7919 % 1200).unwrap()]
}

fn build() -> Directory {
    let directory = Directory::new(Arc::new(MemStorage::new()), ".");
    let mut order: Vec<(Vec<u8>, u64)> = (0..OBJECTS).map(|number| (key(number), number)).collect();
    order.sort();
    let mut builder = BulkBuilder::create_seeded(directory.clone(), 1).unwrap();
    for (key, number) in order {
        let record = builder.record(&value(number)).unwrap();
        builder.key(&key, Some(record)).unwrap();
    }
    builder.finish().unwrap();
    directory
}

fn put(transaction: &mut Transaction<'_>, number: u64, version: u64) {
    let naming = |record| [key(number), format!(".{record}").into_bytes()].concat();
    if let Some(old) = transaction.reference(&key(number)).unwrap() {
        transaction.remove_key(&naming(old)).unwrap();
        transaction.remove_record(old).unwrap();
    }
    let record = transaction.insert_record(&value(number + version)).unwrap();
    transaction.insert_key(&naming(record)).unwrap();
}

fn scan(snapshot: &Snapshot, prefix: &[u8]) -> usize {
    let mut keys = snapshot.keys(KeyRange::prefix(prefix), Direction::Forward);
    let mut bytes = 0;
    while let Some(key) = keys.next_text() {
        let reference = cimrepo::format::index::key::reference(key.unwrap())
            .unwrap()
            .unwrap();
        bytes += snapshot.record_view(reference).unwrap().len();
    }
    bytes
}

fn engine(criterion: &mut Criterion) {
    let directory = build();
    let options = EngineOptions::new()
        .background(false)
        .durability(Durability::None)
        .checkpoint_at(u64::MAX, Duration::MAX);
    let engine = options.open_in(&directory).unwrap();
    let snapshot = engine.snapshot();
    let keys: Vec<Vec<u8>> = (0..OBJECTS).map(key).collect();
    let mut group = criterion.benchmark_group("engine");
    let mut number = 0;
    let mut next = move || {
        number = (number + 7919) % OBJECTS;
        number
    };
    group.bench_function("object by its key", |bencher| {
        bencher.iter(|| {
            let key = &keys[usize::try_from(next()).unwrap()];
            let reference = snapshot.reference(black_box(key)).unwrap().unwrap();
            snapshot.record_view(reference).unwrap().len()
        });
    });
    group.throughput(Throughput::Elements(OBJECTS / 5));
    let prefix = format!("NS_{}\\CD_", digits(0)).into_bytes();
    group.bench_function("scan of a namespace", |bencher| {
        bencher.iter(|| scan(&snapshot, black_box(&prefix)))
    });
    drop(snapshot);
    for size in [1, 100] {
        group.throughput(Throughput::Elements(size));
        group.bench_function(format!("transaction of {size}"), |bencher| {
            let numbers = || (0..size).map(|_| next()).collect::<Vec<u64>>();
            bencher.iter_batched(
                numbers,
                |numbers| {
                    let mut transaction = engine.begin_write().unwrap();
                    numbers
                        .iter()
                        .for_each(|&number| put(&mut transaction, number, number % 3));
                    transaction.commit().unwrap();
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
