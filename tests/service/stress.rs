//! Real threads, all at once: writers, readers, pauses with copies, backups, restores by force.
//!
//! A few rounds in the gate. `CIMREPO_STRESS_ROUNDS=200` pauses and backs up so often, and restores
//! a quarter as often; `CIMREPO_STRESS_SECONDS=300` goes on for at least so long;
//! `CIMREPO_STRESS_SEED` chooses the times between. With `CIMREPO_STRESS_KEEP=DIRECTORY` some
//! paused copies are kept there for another reader, beside what a backup taken during the same
//! pause was restored to. With
//! `cargo test --release --all-features --test service stress -- --nocapture`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use cimrepo::backup::Backup;
use cimrepo::base::progress::Unobserved;
use cimrepo::restore::{RestoreOptions, restore};
use parking_lot::Mutex;

use super::*;

const WRITERS: usize = 4;
const READERS: usize = 4;
/// So many rounds have one restore.
const RESTORE_EVERY: u64 = 4;
/// Objects of a page each in the backup that is restored: an independent reader takes a repository
/// for one of dialect 2.1 when it has ten times as many physical pages as logical ones, which a
/// restore of next to nothing over much leaves.
const BASELINE: usize = 60;

/// What a writer was told on the connection that it has: its commits, and the number of the first.
struct Told {
    connection: Arc<Connection>,
    first: u64,
    commits: Vec<Commit>,
}

/// When a commit was begun, and when acknowledged.
struct Commit {
    begun: u64,
    acknowledged: Option<u64>,
}

/// How often what was done.
#[derive(Default)]
struct Counts {
    commits: AtomicU64,
    scans: AtomicU64,
    pauses: AtomicU64,
    backups: AtomicU64,
    restores: AtomicU64,
    /// Calls that were begun, and that have ended.
    restores_tried: AtomicU64,
    restores_ended: AtomicU64,
    disconnected: AtomicU64,
    refused: AtomicU64,
    /// Backups beside which a restore made void what was told: verified and restored, but not
    /// counted as backups.
    void: AtomicU64,
}

/// How much is done at least.
struct Aim {
    rounds: u64,
    until: Instant,
    seed: u64,
    keep: Option<PathBuf>,
}

impl Aim {
    fn asked() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
        Self {
            rounds: number("CIMREPO_STRESS_ROUNDS").unwrap_or(8),
            until: Instant::now()
                + Duration::from_secs(number("CIMREPO_STRESS_SECONDS").unwrap_or(0)),
            seed: number("CIMREPO_STRESS_SEED").unwrap_or(1),
            keep: std::env::var_os("CIMREPO_STRESS_KEEP").map(PathBuf::from),
        }
    }
}

/// Times between what is done: they look random and follow from a seed.
struct Times(u64);

impl Times {
    fn rest(&mut self, most_ms: u64) {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        thread::sleep(Duration::from_micros((self.0 >> 33) % (most_ms * 1000)));
    }
}

struct Field {
    place: tempfile::TempDir,
    service: Service,
    told: Vec<Mutex<Told>>,
    is_over: AtomicBool,
    /// What has happened so far: the time by which calls are put in order.
    clock: AtomicU64,
    counts: Counts,
    aim: Aim,
}

impl Field {
    fn new(aim: Aim) -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("Repository");
        std::fs::create_dir(&path).unwrap();
        let mut builder = BulkBuilder::create_seeded(Directory::real(&path), 1).unwrap();
        for number in 0..BASELINE {
            let record = builder.record(&[7; 6000]).unwrap();
            builder
                .key(format!("NS_0\\BASE{number:03}").as_bytes(), Some(record))
                .unwrap();
        }
        builder.finish().unwrap();
        let engine = EngineOptions::new().checkpoint_at(256 << 10, Duration::from_millis(300));
        let service = ServiceOptions::new().engine(engine).open(&path).unwrap();
        service
            .backup_restore()
            .backup(place.path().join("base"), NONE)
            .unwrap();
        let connect = || Arc::new(service.connect().unwrap());
        let told = (0..WRITERS)
            .map(|_| {
                Mutex::new(Told {
                    connection: connect(),
                    first: 0,
                    commits: Vec::new(),
                })
            })
            .collect();
        let (is_over, clock) = (AtomicBool::new(false), AtomicU64::new(0));
        Self {
            place,
            service,
            told,
            is_over,
            clock,
            counts: Counts::default(),
            aim,
        }
    }

    /// A moment behind all that were asked for before.
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Backups take longest; the others wait for them, so that all is done beside all to the end.
    fn keep_step(&self, ahead: u64, times: &mut Times) {
        while self.goes_on()
            && self.counts.backups.load(Ordering::Relaxed) < ahead.min(self.aim.rounds)
        {
            times.rest(4);
        }
    }

    /// Whether one of those who pause, back up and restore has more to do.
    fn has_more(&self, done: &AtomicU64, of: u64) -> bool {
        self.goes_on() && (done.load(Ordering::Relaxed) < of || Instant::now() < self.aim.until)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Commits pairs of keys with a record, one transaction after the other.
    fn write(&self, writer: usize) {
        let mut number = 0;
        while self.goes_on() {
            let connection = {
                let mut told = self.told[writer].lock();
                told.commits.push(Commit {
                    begun: self.now(),
                    acknowledged: None,
                });
                told.connection.clone()
            };
            match pair(&connection, writer, number) {
                Ok(()) => {
                    self.told[writer]
                        .lock()
                        .commits
                        .last_mut()
                        .unwrap()
                        .acknowledged = Some(self.now());
                    self.counts.commits.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
                Err(Error::Disconnected) => {
                    self.counts.disconnected.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                    let connection = Arc::new(self.service.connect().unwrap());
                    *self.told[writer].lock() = Told {
                        connection,
                        first: number,
                        commits: Vec::new(),
                    };
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
    fn pause(&self, number: u64) {
        let object = self.service.backup_restore();
        let target = self.at(&format!("copy{number}"));
        let mut times = Times(self.aim.seed + number);
        while self.has_more(&self.counts.pauses, self.aim.rounds) {
            self.keep_step(
                self.counts.pauses.load(Ordering::Relaxed).saturating_sub(2),
                &mut times,
            );
            match object.pause() {
                Ok(_) => {}
                Err(Error::InvalidOperation(_)) => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                    times.rest(2);
                    continue;
                }
                Err(error) => panic!("pause: {error}"),
            }
            let state = names(&self.service.snapshot().unwrap());
            copy_directory(&self.at("Repository"), &target);
            let kept = self.keep(&target, &object);
            // To the end of the pause: no one was told of a commit that is not in it.
            let now = self.now();
            self.is_of_an_instant(&one_state(&state), [now; 2]).unwrap();
            object.resume().unwrap();
            assert_eq!(names(&read(&Directory::real(&target))), state);
            std::fs::remove_dir_all(&target).unwrap();
            if let Some(kept) = kept {
                same_content(
                    &read(&Directory::real(&kept[0])),
                    &read(&Directory::real(&kept[1])),
                );
            }
            self.counts.pauses.fetch_add(1, Ordering::Relaxed);
            times.rest(4);
        }
    }

    /// One copy in ten is kept where that is asked for, and beside it what a backup of the same
    /// state is restored to.
    fn keep(&self, copy: &Path, object: &BackupRestore) -> Option<[PathBuf; 2]> {
        let number = self.counts.pauses.load(Ordering::Relaxed);
        let keep = self
            .aim
            .keep
            .as_ref()
            .filter(|_| number.is_multiple_of(10))?;
        let places =
            ["copied", "restored"].map(|kind| keep.join(kind).join(format!("{number:04}")));
        if places.iter().any(|place| place.exists()) {
            return None;
        }
        places
            .iter()
            .for_each(|place| std::fs::create_dir_all(place.parent().unwrap()).unwrap());
        copy_directory(copy, &places[0]);
        let file = copy.with_extension("kept");
        object.backup(&file, NONE).unwrap();
        restore(
            &Backup::open(&file).unwrap(),
            &places[1],
            RestoreOptions::default(),
            &Unobserved,
        )
        .unwrap();
        Some(places)
    }

    /// Whether this is the state at one instant between two: there is one by which everything in it
    /// was begun, and nothing that is not in it was acknowledged. Connections that were broken tell
    /// nothing.
    fn is_of_an_instant(
        &self,
        held: &BTreeMap<usize, (u64, u64)>,
        [mut earliest, mut latest]: [u64; 2],
    ) -> std::result::Result<(), String> {
        for (writer, told) in self.told.iter().enumerate() {
            let told = told.lock();
            if told.connection.is_broken() {
                continue;
            }
            let range = held.get(&writer);
            let end = told.first + told.commits.len() as u64;
            if range.is_some_and(|&(_, last)| last >= end) {
                return Err(format!(
                    "writer {writer}: {range:?} is there, {end} was never begun"
                ));
            }
            for (number, commit) in (told.first..).zip(&told.commits) {
                if range.is_some_and(|&(first, last)| (first..=last).contains(&number)) {
                    earliest = earliest.max(commit.begun);
                } else {
                    latest = latest.min(commit.acknowledged.unwrap_or(latest));
                }
            }
        }
        if earliest <= latest {
            Ok(())
        } else {
            Err(format!(
                "what was begun at {earliest} is there, and what was acknowledged at {latest} is \
                    not"
            ))
        }
    }

    /// Backs up while all go on, and restores elsewhere: the state of an instant during the call.
    fn back_up(&self) {
        let (file, other) = (self.at("hot"), self.at("elsewhere"));
        let object = self.service.backup_restore();
        let mut times = Times(self.aim.seed + 100);
        while self.has_more(&self.counts.backups, self.aim.rounds) {
            let tried = self.counts.restores_tried.load(Ordering::SeqCst);
            let is_quiet = self.counts.restores_ended.load(Ordering::SeqCst) == tried;
            let before = self.now();
            match object.backup(&file, NONE) {
                Ok(_) => {
                    let instant = [before, self.now()];
                    let backup = Backup::open(&file).unwrap();
                    let checked =
                        self.is_of_an_instant(&one_state(&names(&backup.snapshot())), instant);
                    // A restore beside it makes void what was told.
                    let counter =
                        if is_quiet && self.counts.restores_tried.load(Ordering::SeqCst) == tried {
                            checked.unwrap();
                            &self.counts.backups
                        } else {
                            &self.counts.void
                        };
                    let report = backup
                        .verify(VerifyOptions::default(), &Unobserved)
                        .unwrap();
                    assert!(report.is_consistent(), "{report:?}");
                    restore(&backup, &other, RestoreOptions::default(), &Unobserved).unwrap();
                    same_content(&read(&Directory::real(&other)), &backup.snapshot());
                    std::fs::remove_dir_all(&other).unwrap();
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                Err(Error::InvalidOperation(_)) => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => panic!("backup: {error}"),
            }
            times.rest(6);
        }
    }

    fn restore(&self) {
        let object = self.service.backup_restore();
        let mut times = Times(self.aim.seed + 200);
        while self.has_more(
            &self.counts.restores,
            self.aim.rounds.div_ceil(RESTORE_EVERY),
        ) {
            self.keep_step(
                self.counts.restores.load(Ordering::Relaxed) * RESTORE_EVERY,
                &mut times,
            );
            self.counts.restores_tried.fetch_add(1, Ordering::SeqCst);
            let restored = object.restore(self.at("base"), FORCE);
            self.counts.restores_ended.fetch_add(1, Ordering::SeqCst);
            match restored {
                Ok(_) => {
                    self.counts.restores.fetch_add(1, Ordering::Relaxed);
                    times.rest(400);
                }
                Err(Error::InvalidOperation(_)) => {
                    self.counts.refused.fetch_add(1, Ordering::Relaxed);
                    times.rest(2);
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

/// Asserts that these are the names of one state: all that the backup has, and of each writer whole
/// transactions, one behind the other. Gives the first and the last number of each writer.
fn one_state(names: &[String]) -> BTreeMap<usize, (u64, u64)> {
    assert_eq!(
        names.iter().filter(|name| name.starts_with("BASE")).count(),
        BASELINE
    );
    let mut halves: BTreeMap<(usize, char), BTreeSet<u64>> = BTreeMap::new();
    for name in names.iter().filter(|name| name.starts_with('W')) {
        let writer = name[1..2].parse().unwrap();
        let half = name.chars().nth(2).unwrap();
        halves
            .entry((writer, half))
            .or_default()
            .insert(name[3..].parse().unwrap());
    }
    let mut ranges = BTreeMap::new();
    for ((writer, half), numbers) in &halves {
        let other = if *half == 'A' { 'B' } else { 'A' };
        assert_eq!(
            halves.get(&(*writer, other)),
            Some(numbers),
            "a transaction of writer {writer} is torn"
        );
        let (first, last) = (*numbers.first().unwrap(), *numbers.last().unwrap());
        assert_eq!(
            numbers.len() as u64,
            last - first + 1,
            "writer {writer} has a gap"
        );
        ranges.insert(*writer, (first, last));
    }
    ranges
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        // Windows lets no one read it while it is locked, and it means nothing in a copy.
        if entry.file_name() != "cimrepo.lock" {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Every key and the bytes of every record.
fn same_content(left: &Snapshot, right: &Snapshot) {
    let content = |snapshot: &Snapshot| -> Vec<(String, Option<Vec<u8>>)> {
        let keys = snapshot
            .keys(KeyRange::all(), Direction::Forward)
            .map(Result::unwrap);
        keys.map(|key| {
            (
                key.to_string(),
                key.reference()
                    .map(|record| snapshot.record(record).unwrap()),
            )
        })
        .collect()
    };
    assert!(content(left) == content(right));
}

#[test]
fn stress_everything_at_once() {
    let field = Field::new(Aim::asked());
    let start = Instant::now();
    thread::scope(|scope| {
        let field = &field;
        let mut threads: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || field.write(writer)))
            .collect();
        threads.extend((0..READERS).map(|_| scope.spawn(|| field.read())));
        let mut actors: Vec<_> = (0..2)
            .map(|number| scope.spawn(move || field.pause(number)))
            .collect();
        actors.push(scope.spawn(|| field.back_up()));
        actors.push(scope.spawn(|| field.restore()));
        while !actors.iter().all(|actor| actor.is_finished())
            && !threads.iter().any(|thread| thread.is_finished())
        {
            thread::sleep(Duration::from_millis(20));
        }
        field.is_over.store(true, Ordering::Relaxed);
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counts = &field.counts;
    println!(
        "{:.0?}: {} commits, {} scans, {} pauses with a copy, {} backups held against their \
            instant and restored elsewhere, \
         {} more with a restore beside them, {} restores, {} times disconnected, {} refused",
        start.elapsed(),
        count(&counts.commits),
        count(&counts.scans),
        count(&counts.pauses),
        count(&counts.backups),
        count(&counts.void),
        count(&counts.restores),
        count(&counts.disconnected),
        count(&counts.refused),
    );
    assert!(count(&counts.commits) > 0 && count(&counts.scans) > 0);
    for (counter, of) in [
        (&counts.pauses, 1),
        (&counts.backups, 1),
        (&counts.restores, RESTORE_EVERY),
    ] {
        assert!(count(counter) >= field.aim.rounds.div_ceil(of));
    }
    let Field {
        place,
        service,
        told,
        ..
    } = field;
    let state = names(&service.snapshot().unwrap());
    drop(told);
    assert_eq!(
        service.activity(),
        cimrepo::store::Activity::default(),
        "nothing is left over"
    );
    service.close().unwrap();
    assert_eq!(
        names(&read(&Directory::real(place.path().join("Repository")))),
        state
    );
}
