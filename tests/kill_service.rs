//! A process that has a repository in use is killed, again and again: while it pauses and copies,
//! backs up, restores, and keeps a directory of backups. Two writers commit meanwhile. Behind each
//! kill the content is the old or the new, every backup and chain is whole, and the next process
//! writes, pauses and backs up at once.
//!
//! `cargo test --all-features --test kill_service` kills a few times of each kind;
//! `cargo test --release --all-features --test kill_service -- 320` as often as it is told, all
//! kinds in turn. As in `tests/kill.rs`, what was given to the system stays: power loss is
//! simulated in `tests/faults` and `tests/service/faults.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cimrepo::backup::{Backup, BackupOptions, BackupSet, SetOptions, backup};
use cimrepo::base::progress::Unobserved;
use cimrepo::service::{BackupRestore, BackupRestoreFlags, Connection, Service, ServiceOptions};
use cimrepo::storage::Directory;
use cimrepo::store::EngineOptions;
use cimrepo::store::{BulkBuilder, OpenOptions, Repository, Snapshot};
use cimrepo::verify::{VerifyOptions, verify};
use cimrepo::{Direction, Error, KeyRange, Result};

const WRITERS: u64 = 2;
const ROUNDS: usize = 8;
const NONE: BackupRestoreFlags = BackupRestoreFlags::empty();

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Pause,
    Backup,
    Restore,
    Keep,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Pause, "pause"),
    (Kind::Backup, "backup"),
    (Kind::Restore, "restore"),
    (Kind::Keep, "keep"),
];

fn say(line: &str) {
    std::io::stdout()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

/// Options under which checkpoints come often.
fn open(place: &Path) -> Service {
    let engine = EngineOptions::new().checkpoint_at(200_000, Duration::from_millis(20));
    ServiceOptions::new()
        .engine(engine)
        .open(place.join("r"))
        .unwrap()
}

/// A transaction: two keys and a record. What a connection has written has its name.
fn commit(connection: &Connection, name: &str, number: u64) -> Result<()> {
    let mut transaction = connection.begin_write()?;
    let record =
        transaction.insert_record(&vec![7; 200 + usize::try_from(number * 37 % 900).unwrap()])?;
    transaction.insert_key(format!("NS_0\\{name}_A{number:06}.{record}").as_bytes())?;
    transaction.insert_key(format!("NS_0\\{name}_B{number:06}").as_bytes())?;
    transaction.commit()
}

/// The commits of each connection: `name` to numbers; panics when one is there in part or there is
/// a gap.
fn commits(snapshot: &Snapshot) -> BTreeMap<String, BTreeSet<u64>> {
    let mut halves: [BTreeMap<String, BTreeSet<u64>>; 2] = Default::default();
    for key in snapshot.keys(KeyRange::prefix(b"NS_0\\W"), Direction::Forward) {
        let key = key.unwrap();
        let text = key.to_string();
        let (name, rest) = text
            .strip_prefix("NS_0\\")
            .unwrap()
            .split_once('_')
            .unwrap();
        let half = usize::from(rest.starts_with('B'));
        if let Some(record) = key.reference() {
            snapshot.record(record).unwrap();
        }
        halves[half]
            .entry(name.to_owned())
            .or_default()
            .insert(rest[1..7].parse().unwrap());
    }
    let [a, b] = halves;
    assert!(a == b, "a commit is there in part");
    for (name, numbers) in &a {
        assert_eq!(
            *numbers.last().unwrap() + 1,
            numbers.len() as u64,
            "{name} has a gap"
        );
    }
    a
}

/// Does one kind of thing, and writes, until it is killed.
fn child(kind: Kind, place: &Path) {
    let service = open(place);
    let next = AtomicU64::new(0);
    say("open");
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (service, next) = (&service, &next);
            scope.spawn(move || {
                loop {
                    let connection = service.connect().unwrap();
                    let name = format!(
                        "W{writer}P{}C{}",
                        std::process::id(),
                        next.fetch_add(1, Ordering::Relaxed)
                    );
                    say(&format!("connected {name}"));
                    for number in 0.. {
                        match commit(&connection, &name, number) {
                            Ok(()) => say(&format!("commit {name} {number}")),
                            Err(Error::Disconnected) => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
        let object = service.backup_restore();
        loop {
            act(kind, place, &object);
        }
    });
}

fn act(kind: Kind, place: &Path, object: &BackupRestore) {
    match kind {
        Kind::Pause => {
            let copy = place.join("copy");
            std::fs::remove_dir_all(&copy).ok();
            object.pause().unwrap();
            say("paused");
            copied(&place.join("r"), &copy);
            object.resume().unwrap();
        }
        Kind::Backup => {
            object.backup(place.join("hot"), NONE).unwrap();
            say("backup");
        }
        Kind::Restore => {
            say("restoring");
            object
                .restore(place.join("base"), BackupRestoreFlags::FORCE_SHUTDOWN)
                .unwrap();
            say("restored");
            thread::sleep(Duration::from_millis(20));
        }
        Kind::Keep => {
            let set = BackupSet::create(place.join("kept")).unwrap();
            let options = SetOptions {
                keep: NonZeroUsize::new(2),
                full_after: 2,
                ..SetOptions::default()
            };
            let done = object.backup_into(&set, &options, &Unobserved).unwrap();
            assert!(done.not_removed.is_none(), "{done:?}");
            say(&format!(
                "kept {}",
                done.path.file_name().unwrap().to_str().unwrap()
            ));
        }
    }
}

fn copied(directory: &Path, copy: &Path) {
    std::fs::create_dir(copy).unwrap();
    for file in std::fs::read_dir(directory).unwrap() {
        let file = file.unwrap();
        if file.file_name() != "cimrepo.lock" {
            std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
    }
}

/// Lets a child work for a while and kills it; gives what it said.
fn kill_one(kind: &str, place: &Path, after: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--child", kind, place.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert_eq!(first, "open\n", "a child opens what the one before left");
    let reader = thread::spawn(move || {
        let (mut lines, mut bytes) = (Vec::new(), Vec::new());
        while out.read_until(b'\n', &mut bytes).unwrap() > 0 {
            // A line that the kill cut was not said.
            lines.extend(
                String::from_utf8(std::mem::take(&mut bytes))
                    .unwrap()
                    .strip_suffix('\n')
                    .map(str::to_owned),
            );
        }
        lines
    });
    thread::sleep(after);
    assert!(
        child.try_wait().unwrap().is_none(),
        "the child ended by itself"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

/// What a child said of its commits: how many each connection was told of, and whose connections
/// the last restore that was told of did not break; whether another was under way.
struct Said {
    acknowledged: BTreeMap<String, u64>,
    current: BTreeSet<String>,
    is_restoring: bool,
}

fn said(lines: &[String]) -> Said {
    let mut said = Said {
        acknowledged: BTreeMap::new(),
        current: BTreeSet::new(),
        is_restoring: false,
    };
    for line in lines {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["connected", name] => _ = said.current.insert(name.to_owned()),
            ["commit", name, number] => {
                said.acknowledged
                    .insert(name.to_owned(), number.parse::<u64>().unwrap() + 1);
            }
            ["restoring"] => said.is_restoring = true,
            ["restored"] => {
                said.is_restoring = false;
                // One that came to be during the restore may be of before or behind it.
                said.current.clear();
            }
            _ => {}
        }
    }
    said
}

/// The content behind a kill: the old, with everything acknowledged, or where a restore was under
/// way the new.
fn check_content(
    before: &BTreeMap<String, BTreeSet<u64>>,
    now: &BTreeMap<String, BTreeSet<u64>>,
    said: &Said,
    kind: Kind,
) {
    let has = |name: &String| now.get(name).map_or(0, |numbers| numbers.len() as u64);
    for (name, &told) in &said.acknowledged {
        assert!(
            has(name) <= told + 1,
            "{name}: told {told}, there are {}",
            has(name)
        );
    }
    let old = said
        .current
        .iter()
        .all(|name| has(name) >= said.acknowledged.get(name).copied().unwrap_or(0));
    if kind != Kind::Restore {
        assert!(old, "what was acknowledged is lost");
        assert!(
            before
                .iter()
                .all(|(name, numbers)| now.get(name) == Some(numbers)),
            "what was there is lost"
        );
    } else if !said.is_restoring {
        assert!(old, "what was acknowledged behind the restore is lost");
    } else if !old {
        let of_before = now
            .keys()
            .filter(|name| said.current.contains(*name) || before.contains_key(*name));
        assert_eq!(of_before.count(), 0, "neither old nor new");
    }
}

/// Every backup that counts is whole.
fn check_backups(place: &Path, lines: &[String]) -> usize {
    let is_whole = |path: &Path| {
        let backup = Backup::open(path).unwrap();
        let report = backup
            .verify(VerifyOptions::default(), &Unobserved)
            .unwrap();
        assert!(report.is_consistent(), "{}", path.display());
        commits(&backup.snapshot());
    };
    let hot = place.join("hot");
    let was_told = lines.iter().any(|line| line == "backup");
    assert!(hot.exists() || !was_told, "an acknowledged backup is gone");
    if hot.exists() {
        is_whole(&hot);
    }
    is_whole(&place.join("base"));
    let Ok(set) = BackupSet::open(place.join("kept")) else {
        return 0;
    };
    let entries = set.entries().unwrap();
    let names: Vec<&str> = entries
        .iter()
        .map(|entry| entry.path.file_name().unwrap().to_str().unwrap())
        .collect();
    let told = lines
        .iter()
        .filter_map(|line| line.strip_prefix("kept "))
        .next_back();
    assert!(
        told.is_none_or(|told| names.iter().any(|name| *name >= told)),
        "{told:?} is gone: {names:?}"
    );
    for entry in &entries {
        assert!(entry.info.is_ok(), "a chain is broken: {entry:?}");
    }
    entries
        .iter()
        .rev()
        .take(2)
        .for_each(|entry| is_whole(&entry.path));
    entries.len()
}

/// The next process: nothing is locked, nothing is paused, everything works.
fn goes_on(place: &Path, round: usize) -> BTreeMap<String, BTreeSet<u64>> {
    let service = open(place);
    let connection = service.connect().unwrap();
    commit(&connection, &format!("WXR{round}"), 0).unwrap();
    let object = service.backup_restore();
    let run = object.while_paused(|directory| {
        let repository = OpenOptions::new().open_in(directory).unwrap();
        assert!(
            verify(&repository, VerifyOptions::default(), &Unobserved)
                .unwrap()
                .is_consistent()
        );
        commits(&repository.snapshot())
    });
    let run = run.unwrap();
    assert!(run.held);
    drop((connection, object));
    service.close().unwrap();
    run.value
}

/// Whoever reads or backs up what was left reads the same state: nothing is found, and the
/// journal's commits are in it.
fn check_readers(opened: &Repository, read: &BTreeMap<String, BTreeSet<u64>>, target: &Path) {
    let report = verify(opened, VerifyOptions::default(), &Unobserved).unwrap();
    assert!(report.is_consistent(), "{report:?}");
    for forensic in [false, true] {
        let options = BackupOptions {
            forensic,
            ..BackupOptions::default()
        };
        let summary = backup(opened, target, &options, &Unobserved).unwrap();
        assert!(summary.damage.is_none(), "{:?}", summary.damage);
        assert_eq!(
            &commits(&Backup::open(target).unwrap().snapshot()),
            read,
            "forensic: {forensic}"
        );
    }
    std::fs::remove_file(target).unwrap();
}

fn kill_again_and_again(rounds: usize) {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let repository = place.join("r");
    std::fs::create_dir(&repository).unwrap();
    let mut builder = BulkBuilder::create(Directory::real(&repository)).unwrap();
    for number in 0..40 {
        let record = builder.record(&[5; 3_000]).unwrap();
        builder
            .key(format!("NS_0\\BASE{number:03}").as_bytes(), Some(record))
            .unwrap();
    }
    builder.finish().unwrap();
    let service = open(place);
    service
        .backup_restore()
        .backup(place.join("base"), NONE)
        .unwrap();
    service.close().unwrap();
    let begun = Instant::now();
    let mut before = BTreeMap::new();
    let (mut said_counts, mut old, mut new) = (BTreeMap::<String, usize>::new(), 0, 0);
    for round in 0..rounds {
        let (kind, word) = KINDS[round % KINDS.len()];
        let lines = kill_one(
            word,
            place,
            Duration::from_millis((round as u64 * 7919) % 331),
        );
        for line in &lines {
            *said_counts
                .entry(line.split(' ').next().unwrap().to_owned())
                .or_default() += 1;
        }
        let opened = OpenOptions::new().open(&repository).unwrap();
        assert!(opened.is_whole(), "round {round}");
        let read = commits(&opened.snapshot());
        check_readers(&opened, &read, &place.join(format!("seen{round}")));
        drop(opened);
        check_backups(place, &lines);
        // The journal is taken over: what it holds counts.
        let service = open(place);
        let now = commits(&service.snapshot().unwrap());
        assert_eq!(
            read, now,
            "round {round}: a reader sees what the next process takes over"
        );
        service.close().unwrap();
        let told = said(&lines);
        check_content(&before, &now, &told, kind);
        if kind == Kind::Restore && told.is_restoring {
            let is_new = before.keys().all(|name| !now.contains_key(name)) && !before.is_empty();
            *(if is_new { &mut new } else { &mut old }) += 1;
        }
        before = goes_on(place, round);
    }
    println!(
        "{rounds} kills in {:.0?}: {said_counts:?}; in the middle of a restore {old} with the \
            content before it, {new} with the backup's; \
         every backup and chain whole, every commit there that was acknowledged, the gate open",
        begun.elapsed()
    );
    assert!(
        ["commit", "paused", "restored"]
            .iter()
            .all(|word| said_counts.contains_key(*word)),
        "{said_counts:?}"
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, kind, place] = &arguments[..]
        && flag == "--child"
    {
        let (kind, _) = KINDS.into_iter().find(|(_, word)| word == kind).unwrap();
        return child(kind, &PathBuf::from(place));
    }
    let words: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let rounds = words.iter().find_map(|word| word.parse().ok());
    if rounds.is_none()
        && !words.is_empty()
        && !words
            .iter()
            .any(|word| "kill_service".contains(word.as_str()))
    {
        return; // it is not meant
    }
    kill_again_and_again(rounds.unwrap_or(ROUNDS));
}
