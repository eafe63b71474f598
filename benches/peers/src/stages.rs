//! The measurements. Each runs in a process of its own and prints its figures, one `name value` a
//! line.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::sync::Barrier;
use std::time::Instant;

use cimrepo::format::checksum::crc32;

use crate::clock::{Clock, Time, bytes_written, median, quantile};
use crate::stores::{self, Outcome, Reader, look_at};
use crate::workload::{NAMESPACES, Object, Random, batch, class_prefix, key, value};

/// Commits that take turns with as many appends of the disk's own: the speed of a disk moves
/// tenfold, the ratio does not.
const BLOCK: usize = 20;

/// Runs one measurement.
pub fn run(stage: &str, store: &str, dir: &Path, objects: u64) -> Outcome<()> {
    match stage {
        "load" => load(store, dir, objects),
        "read-1" => read(store, dir, objects, 1),
        "read-2" => read(store, dir, objects, 2),
        "scan" => scan(store, dir),
        "open" => open(store, dir, objects, 9),
        "commit-1" => commit(store, dir, objects, 1, 400),
        "commit-100" => commit(store, dir, objects, 100, 60),
        "copy" => copy(store, dir, objects, 6),
        "kill" => kill(store, dir, objects),
        "open-killed" => open(store, dir, objects, 1),
        "limit" => limit(objects),
        _ => Err(format!("there is no stage {stage}").into()),
    }
}

fn print(name: &str, value: f64) {
    println!("{name} {value:e}");
}

/// All objects in key order, durable at the end. The making of the objects is not measured.
fn load(store: &str, dir: &Path, objects: u64) -> Outcome<()> {
    fs::create_dir_all(dir)?;
    let mut order: Vec<(Vec<u8>, u64)> = (0..objects).map(|number| (key(number), number)).collect();
    order.sort();
    let clock = Clock::start();
    let mut loading = stores::load(store, dir)?;
    let (mut time, mut payload) = (clock.read(), 0);
    for piece in order.chunks(10_000) {
        let piece: Vec<_> = piece
            .iter()
            .map(|(key, number)| (key.clone(), value(*number, 0)))
            .collect();
        payload += piece
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum::<usize>();
        let clock = Clock::start();
        loading.push(&piece)?;
        time += clock.read();
    }
    let clock = Clock::start();
    loading.finish()?;
    time += clock.read();
    print("wall_us", time.wall / objects as f64 * 1e6);
    print("processor_us", time.processor / objects as f64 * 1e6);
    print("size", bytes_below(dir)? as f64 / payload as f64);
    Ok(())
}

/// Point reads of keys that are there, in random order, all of it in memory.
fn read(store: &str, dir: &Path, objects: u64, threads: u64) -> Outcome<()> {
    let store = stores::open(store, dir)?;
    let count = 200_000;
    let keys = |thread| {
        let mut random = Random::new(thread);
        (0..count)
            .map(|_| key(random.below(objects)))
            .collect::<Vec<_>>()
    };
    let keys: Vec<Vec<Vec<u8>>> = (1..=threads).map(keys).collect();
    store.reader()?.scan(b"NS_")?;
    let gate = Barrier::new(keys.len() + 1);
    let time = std::thread::scope(|scope| -> Outcome<Time> {
        let mut running = Vec::new();
        for keys in &keys {
            let (store, gate) = (&store, &gate);
            running.push(scope.spawn(move || -> Outcome<()> {
                let mut reader = store.reader()?;
                get_all(reader.as_mut(), keys)?; // what a thread keeps for itself is warm
                gate.wait();
                get_all(reader.as_mut(), keys)
            }));
        }
        gate.wait();
        let clock = Clock::start();
        for thread in running {
            thread.join().map_err(|_| "a reader panicked")??;
        }
        Ok(clock.read())
    })?;
    let all = (count * threads) as f64;
    print("per_second", all / time.wall);
    print("processor_us", time.processor / all * 1e6);
    Ok(())
}

fn get_all(reader: &mut dyn Reader, keys: &[Vec<u8>]) -> Outcome<()> {
    keys.iter().try_for_each(|key| match reader.get(key)? {
        Some(_) => Ok(()),
        None => Err("an object is missing".into()),
    })
}

/// All class definitions of one namespace after the other.
fn scan(store: &str, dir: &Path) -> Outcome<()> {
    let store = stores::open(store, dir)?;
    let mut reader = store.reader()?;
    reader.scan(b"NS_")?;
    let prefixes: Vec<Vec<u8>> = (0..NAMESPACES).map(class_prefix).collect();
    let (mut count, clock) = (0, Clock::start());
    for _ in 0..5 {
        for prefix in &prefixes {
            count += reader.scan(prefix)?;
        }
    }
    let time = clock.read();
    print("found", count as f64 / 5.0);
    print("processor_us", time.processor / count as f64 * 1e6);
    Ok(())
}

/// From nothing to the first object.
fn open(store: &str, dir: &Path, objects: u64, times: usize) -> Outcome<()> {
    let key = key(objects / 2);
    let (mut walls, mut processor, mut reading) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..times {
        if store == "cimrepo" {
            let clock = Clock::start();
            black_box(read_what_opening_reads(dir)?);
            reading.push(clock.read().processor * 1e3);
        }
        let clock = Clock::start();
        let store = stores::open(store, dir)?;
        store.reader()?.get(&key)?.ok_or("an object is missing")?;
        let time = clock.read();
        walls.push(time.wall * 1e3);
        processor.push(time.processor * 1e3);
    }
    print("wall_ms", median(&mut walls));
    print("processor_ms", median(&mut processor));
    if !reading.is_empty() {
        print("reading_ms", median(&mut reading));
    }
    Ok(())
}

/// What cannot be left out where a repository is opened: the bytes of a mapping file and of the
/// journal, and their CRC-32.
fn read_what_opening_reads(dir: &Path) -> Outcome<u32> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.ends_with("MAPPING1.MAP")
            || path
                .extension()
                .is_some_and(|extension| extension == "journal")
        {
            sum ^= crc32(&fs::read(path)?);
        }
    }
    Ok(sum)
}

/// Durable transactions, in turn with appends to a file beside the store, each with a sync: of 4
/// KiB, or of as many bytes as the objects of the transaction have where it has many.
fn commit(store: &str, dir: &Path, objects: u64, size: usize, times: usize) -> Outcome<()> {
    let beside = dir.with_extension("append");
    let mut file = File::create(&beside)?;
    let store = stores::open(store, dir)?;
    let mut random = Random::fresh();
    store.put(&batch(&mut random, objects, size))?;
    let (mut walls, mut appends, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut processor, mut append_processor, mut written, mut payload) = (0.0, 0.0, 0.0, 0);
    while walls.len() < times {
        let batches: Vec<_> = (0..BLOCK)
            .map(|_| batch(&mut random, objects, size))
            .collect();
        let (mut block, mut limit) = (Vec::new(), Vec::new());
        let before = bytes_written();
        for batch in &batches {
            payload += bytes_of(batch);
            let clock = Clock::start();
            store.put(batch)?;
            let time = clock.read();
            block.push(time.wall * 1e3);
            processor += time.processor;
        }
        written += bytes_written() - before;
        for batch in &batches {
            let bytes = vec![0x5A; if size == 1 { 4096 } else { bytes_of(batch) }];
            let clock = Clock::start();
            file.write_all(&bytes)?;
            file.sync_data()?;
            let time = clock.read();
            limit.push(time.wall * 1e3);
            append_processor += time.processor;
        }
        ratios.push(median(&mut block) / median(&mut limit));
        walls.append(&mut block);
        appends.append(&mut limit);
    }
    let count = walls.len() as f64;
    print("wall_ms", median(&mut walls));
    print("append_ms", median(&mut appends));
    print("ratio", median(&mut ratios));
    print("processor_us", processor / count * 1e6);
    print("append_processor_us", append_processor / count * 1e6);
    print("written", written / count);
    print("amplification", written / payload as f64);
    drop(store);
    fs::remove_file(beside)?;
    Ok(())
}

fn bytes_of(objects: &[Object]) -> usize {
    objects
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

/// What a copy of the store costs those who write meanwhile: durable transactions of one object, in
/// turn without a copy and for as long as one is made.
fn copy(store: &str, dir: &Path, objects: u64, times: usize) -> Outcome<()> {
    let target = dir.with_extension("copy");
    let store = stores::open(store, dir)?;
    let mut random = Random::fresh();
    store.put(&batch(&mut random, objects, 1))?;
    let mut one = |walls: &mut Vec<f64>| -> Outcome<()> {
        let batch = batch(&mut random, objects, 1);
        let start = Instant::now();
        store.put(&batch)?;
        walls.push(start.elapsed().as_secs_f64() * 1e3);
        Ok(())
    };
    let (mut without, mut with, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..times {
        if target.exists() {
            fs::remove_file(&target)?;
        }
        let before = with.len();
        std::thread::scope(|scope| -> Outcome<()> {
            let (store, target) = (&store, &target);
            let copying = scope.spawn(move || {
                let start = Instant::now();
                store
                    .copy(target)
                    .map(|()| start.elapsed().as_secs_f64() * 1e3)
            });
            while !copying.is_finished() {
                one(&mut with)?;
            }
            copies.push(copying.join().map_err(|_| "the copying panicked")??);
            Ok(())
        })?;
        for _ in 0..(with.len() - before).max(20) {
            one(&mut without)?;
        }
    }
    fs::remove_file(&target)?;
    print("copy_ms", median(&mut copies));
    print("commits", with.len() as f64);
    for (name, walls) in [("without", &mut without), ("with", &mut with)] {
        print(&format!("{name}_p50_ms"), quantile(walls, 0.5));
        print(&format!("{name}_p99_ms"), quantile(walls, 0.99));
    }
    print(
        "p99_ratio",
        quantile(&mut with, 0.99) / quantile(&mut without, 0.99),
    );
    Ok(())
}

/// A thousand durable transactions; then the process is gone without closing anything.
fn kill(store: &str, dir: &Path, objects: u64) -> Outcome<()> {
    let store = stores::open(store, dir)?;
    let mut random = Random::fresh();
    for _ in 0..1000 {
        store.put(&batch(&mut random, objects, 1))?;
    }
    std::process::exit(0);
}

/// What reading costs where no store is in the way: the values in memory, at known places.
fn limit(objects: u64) -> Outcome<()> {
    let mut order: Vec<(Vec<u8>, u64)> = (0..objects).map(|number| (key(number), number)).collect();
    order.sort();
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    for (_, number) in &order {
        let start = bytes.len();
        bytes.extend_from_slice(&value(*number, 0));
        places.push(start..bytes.len());
    }
    let mut random = Random::new(1);
    let picks: Vec<_> = (0..200_000)
        .map(|_| places[random.below(objects) as usize].clone())
        .collect();
    for (name, places) in [("random_us", &picks), ("sorted_us", &places)] {
        let clock = Clock::start();
        for place in places {
            look_at(&bytes[place.clone()]);
        }
        print(name, clock.read().processor / places.len() as f64 * 1e6);
    }
    Ok(())
}

fn bytes_below(dir: &Path) -> Outcome<u64> {
    let mut total = 0;
    for entry in fs::read_dir(dir)? {
        let (path, metadata) = {
            let entry = entry?;
            (entry.path(), entry.metadata()?)
        };
        total += if metadata.is_dir() {
            bytes_below(&path)?
        } else {
            allocated(&metadata)
        };
    }
    Ok(total)
}

/// Bytes that a file takes on the disk.
fn allocated(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.blocks() * 512
}
