//! Real threads, all at once: writers, readers, pauses with copies, backups, restores by force.
//!
//! Three seconds in the gate. For longer:
//! `CIMREPO_STRESS_SECONDS=300 cargo test --release --all-features --test service stress -- --nocapture`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use cimrepo::backup::{Backup, BackupOptions};
use cimrepo::base::progress::Unobserved;
use parking_lot::Mutex;

use super::*;

const WRITERS: usize = 4;
const READERS: usize = 4;
const BASELINE: usize = 20;

/// What a writer was told on the connection that it has.
struct Told {
    connection: Arc<Connection>,
    /// Its commits on this connection: the number of the first, and of the last that was acknowledged, and begun.
    first: u64,
    acknowledged: Option<u64>,
    begun: Option<u64>,
}

/// How often what was done.
#[derive(Default)]
struct Counts {
    commits: AtomicU64,
    scans: AtomicU64,
    pauses: AtomicU64,
    backups: AtomicU64,
    restores: AtomicU64,
    disconnected: AtomicU64,
    refused: AtomicU64,
}

struct Field {
    place: tempfile::TempDir,
    service: Service,
    told: Vec<Mutex<Told>>,
    is_over: AtomicBool,
    counts: Counts,
}

impl Field {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("Repository");
        std::fs::create_dir(&path).unwrap();
        let mut builder = BulkBuilder::create_seeded(Directory::real(&path), 1).unwrap();
        for number in 0..BASELINE {
            let record = builder.record(&[7; 300]).unwrap();
            builder.key(format!("NS_0\\BASE{number:03}").as_bytes(), Some(record)).unwrap();
        }
        builder.finish().unwrap();
        let engine = EngineOptions::new().checkpoint_at(256 << 10, Duration::from_millis(300));
        let service = ServiceOptions::new().engine(engine).open(&path).unwrap();
        service.backup_restore().backup(place.path().join("base"), NONE).unwrap();
        let connect = || Arc::new(service.connect().unwrap());
        let told = (0..WRITERS)
            .map(|_| Mutex::new(Told { connection: connect(), first: 0, acknowledged: None, begun: None }))
            .collect();
        Self { place, service, told, is_over: AtomicBool::new(false), counts: Counts::default() }
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Commits pairs of keys with a record, one transaction after the other.
    fn write(&self, writer: usize) {
        let mut number = 0;
        while self.goes_on() {
            let connection = self.told[writer].lock().connection.clone();
            self.told[writer].lock().begun = Some(number);
            match pair(&connection, writer, number) {
                Ok(()) => {
                    self.told[writer].lock().acknowledged = Some(number);
                    self.counts.commits.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
                Err(Error::Disconnected) => {
                    self.counts.disconnected.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                    let connection = Arc::new(self.service.connect().unwrap());
                    *self.told[writer].lock() = Told { connection, first: number, acknowledged: None, begun: None };
                }
                Err(error) => panic!("writer {writer}: {error}"),
            }
        }
    }

    /// Enumerates: the whole of one state, or the error of a broken connection behind a part of it.
    fn read(&self) {
        let mut connection = self.service.connect().unwrap();
        while self.goes_on() {
            let mut names = Vec::new();
            let mut broken = false;
            match connection.keys(KeyRange::all(), Direction::Forward) {
                Ok(keys) => {
                    for key in keys {
                        match key {
                            Ok(key) => names.push(name_of_key(&key.to_string())),
                            Err(Error::Disconnected) => broken = true,
                            Err(error) => panic!("reader: {error}"),
                        }
                    }
                }
                Err(Error::Disconnected) => broken = true,
                Err(error) => panic!("reader: {error}"),
            }
            if broken {
                assert!(connection.is_broken());
                self.counts.disconnected.fetch_add(1, Ordering::Relaxed);
                connection = self.service.connect().unwrap();
            } else {
                one_state(&names);
                self.counts.scans.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Pauses, copies the directory, looks at the copy, resumes.
    fn pause(&self, number: usize) {
        let object = self.service.backup_restore();
        let target = self.at(&format!("copy{number}"));
        while self.goes_on() {
            match object.pause() {
                Ok(()) => {}
                Err(Error::InvalidOperation(_)) => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(1));
                    continue;
                }
                Err(error) => panic!("pause: {error}"),
            }
            let state = names(&self.service.snapshot().unwrap());
            self.holds_what_was_acknowledged(&state);
            std::fs::create_dir(&target).unwrap();
            for entry in std::fs::read_dir(self.at("Repository")).unwrap() {
                let entry = entry.unwrap();
                // Windows lets no one read it while it is locked, and it means nothing in a copy.
                if entry.file_name() == "cimrepo.lock" {
                    continue;
                }
                std::fs::copy(entry.path(), target.join(entry.file_name())).unwrap();
            }
            object.resume().unwrap();
            assert_eq!(names(&read(&Directory::real(&target))), state);
            std::fs::remove_dir_all(&target).unwrap();
            self.counts.pauses.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// No writer writes: whatever was acknowledged on a connection that is whole is there.
    fn holds_what_was_acknowledged(&self, state: &[String]) {
        let held = one_state(state);
        for (writer, told) in self.told.iter().enumerate() {
            let told = told.lock();
            let range = held.get(&writer);
            if let (Some(last), false) = (told.acknowledged, told.connection.is_broken()) {
                let &(first, end) = range.unwrap_or_else(|| panic!("all of writer {writer} is lost"));
                assert!(first <= told.first && end >= last, "writer {writer}: {last} is not in {first} to {end}");
                assert!(Some(end) <= told.begun, "writer {writer}: {end} was never begun");
            }
        }
    }

    fn back_up(&self) {
        let file = self.at("hot");
        let object = self.service.backup_restore();
        while self.goes_on() {
            match object.backup_with(&file, NONE, &BackupOptions::default(), &Unobserved) {
                Ok(_) => {
                    let backup = Backup::open(&file).unwrap();
                    let report = backup.verify(VerifyOptions::default(), &Unobserved).unwrap();
                    assert!(report.repository.is_consistent(), "{:?}", report.repository);
                    one_state(&names(&backup.snapshot()));
                    self.counts.backups.fetch_add(1, Ordering::Relaxed);
                }
                Err(Error::InvalidOperation(_)) => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => panic!("backup: {error}"),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn restore(&self) {
        let object = self.service.backup_restore();
        while self.goes_on() {
            match object.restore(self.at("base"), FORCE) {
                Ok(_) => {
                    self.counts.restores.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(200));
                }
                Err(Error::InvalidOperation(_)) => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(1));
                }
                Err(error) => panic!("restore: {error}"),
            }
        }
    }
}

fn pair(connection: &Connection, writer: usize, number: u64) -> Result<()> {
    let mut transaction = connection.begin_write()?;
    let record = transaction.insert_record(&[u8::try_from(writer).unwrap(); 700])?;
    transaction.insert_key(format!("NS_0\\W{writer}A{number:08}.{record}").as_bytes())?;
    transaction.insert_key(format!("NS_0\\W{writer}B{number:08}").as_bytes())?;
    transaction.commit()
}

/// Asserts that these are the names of one state: all that the backup has, and of each writer whole transactions, one behind the other.
/// Gives the first and the last number of each writer.
fn one_state(names: &[String]) -> BTreeMap<usize, (u64, u64)> {
    assert_eq!(names.iter().filter(|name| name.starts_with("BASE")).count(), BASELINE);
    let mut halves: BTreeMap<(usize, char), BTreeSet<u64>> = BTreeMap::new();
    for name in names.iter().filter(|name| name.starts_with('W')) {
        let writer = name[1..2].parse().unwrap();
        let half = name.chars().nth(2).unwrap();
        halves.entry((writer, half)).or_default().insert(name[3..].parse().unwrap());
    }
    let mut ranges = BTreeMap::new();
    for ((writer, half), numbers) in &halves {
        let other = if *half == 'A' { 'B' } else { 'A' };
        assert_eq!(halves.get(&(*writer, other)), Some(numbers), "a transaction of writer {writer} is torn");
        let (first, last) = (*numbers.first().unwrap(), *numbers.last().unwrap());
        assert_eq!(numbers.len() as u64, last - first + 1, "writer {writer} has a gap");
        ranges.insert(*writer, (first, last));
    }
    ranges
}

#[test]
fn stress_everything_at_once() {
    let seconds = std::env::var("CIMREPO_STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let field = Field::new();
    let start = Instant::now();
    thread::scope(|scope| {
        let field = &field;
        let mut threads: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || field.write(writer))).collect();
        threads.extend((0..READERS).map(|_| scope.spawn(|| field.read())));
        threads.extend((0..2).map(|number| scope.spawn(move || field.pause(number))));
        threads.push(scope.spawn(|| field.back_up()));
        threads.push(scope.spawn(|| field.restore()));
        while start.elapsed() < Duration::from_secs(seconds) && !threads.iter().any(|thread| thread.is_finished()) {
            thread::sleep(Duration::from_millis(20));
        }
        field.is_over.store(true, Ordering::Relaxed);
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counts = &field.counts;
    println!(
        "{seconds} s: {} commits, {} scans, {} pauses with a copy, {} backups, {} restores, {} times disconnected, {} refused",
        count(&counts.commits),
        count(&counts.scans),
        count(&counts.pauses),
        count(&counts.backups),
        count(&counts.restores),
        count(&counts.disconnected),
        count(&counts.refused),
    );
    for counter in [&counts.commits, &counts.scans, &counts.pauses, &counts.backups, &counts.restores] {
        assert!(count(counter) > 0);
    }
    let Field { place, service, told, .. } = field;
    let state = names(&service.snapshot().unwrap());
    drop(told);
    assert_eq!(service.activity(), cimrepo::repository::Activity::default(), "nothing is left over");
    service.close().unwrap();
    assert_eq!(names(&read(&Directory::real(place.path().join("Repository")))), state);
}
