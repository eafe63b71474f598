//! A process that commits from several threads is killed, again and again. Every commit that it
//! acknowledged is there, none is there in part, and the repository verifies.
//!
//! `cargo test --all-features --test kill` kills a few times;
//! `cargo test --release --all-features --test kill -- 300` as often as it is told. A killed
//! process loses what it had in its own memory; what it gave to the system stays. So this shows the
//! order of calls and the taking over, and not what a loss of power does: that is simulated in
//! `tests/engine/crashes.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cimrepo::backup::{Backup, BackupOptions, backup};
use cimrepo::base::progress::Unobserved;
use cimrepo::base::site::FileRole;
use cimrepo::format::index::key::reference;
use cimrepo::format::mapping::Mapping;
use cimrepo::storage::Directory;
use cimrepo::store::{BulkBuilder, OpenOptions, Repository, Snapshot};
use cimrepo::store::{Engine, EngineOptions};
use cimrepo::verify::{VerifyOptions, verify, verify_snapshot};
use cimrepo::{Direction, KeyRange};

const THREADS: u64 = 4;

/// Objects of a thread that are there at a time: each commit puts one and takes the oldest away.
const WINDOW: u64 = 5;

const ROUNDS: u64 = 12;

fn name(thread: u64, number: u64) -> [String; 2] {
    [
        format!("NS_{thread}\\CI_C\\IL_{number:012}"),
        format!("NS_{thread}\\KI_C\\I_{number:012}"),
    ]
}

fn bytes(thread: u64, number: u64) -> Vec<u8> {
    let size = if number % 50 == 7 {
        20_000
    } else {
        50 + number * 37 % 700
    };
    (0..size)
        .map(|at| ((at * 7 + number * 31 + thread) % 251).to_le_bytes()[0])
        .collect()
}

/// The number of a thread's last commit, 0 for none; panics when what is there is not exactly the
/// state behind it.
fn last(snapshot: &Snapshot, thread: u64) -> u64 {
    let keys = |kind: &str| -> Vec<String> {
        let range = KeyRange::prefix(format!("NS_{thread}\\{kind}").as_bytes());
        snapshot
            .keys(range, Direction::Forward)
            .map(|key| key.unwrap().to_string())
            .collect()
    };
    let (own, named) = (keys("CI_C\\IL_"), keys("KI_C\\I_"));
    assert_eq!(own.len(), named.len(), "thread {thread}: half a commit");
    let Some(newest) = own.last() else { return 0 };
    let number: u64 = newest.split(['_', '.']).nth(3).unwrap().parse().unwrap();
    let expected = number.saturating_sub(WINDOW) + 1..=number;
    assert_eq!(
        own.len() as u64,
        expected.end() - expected.start() + 1,
        "thread {thread}: {own:?}"
    );
    for ((number, own), named) in expected.zip(&own).zip(&named) {
        let record = reference(own.as_bytes()).unwrap().unwrap();
        let [first, second] = name(thread, number).map(|name| format!("{name}.{record}"));
        assert_eq!((own, named), (&first, &second), "thread {thread}");
        assert_eq!(
            snapshot.record(record).unwrap(),
            bytes(thread, number),
            "thread {thread}, commit {number}"
        );
    }
    number
}

fn commit(engine: &Engine, thread: u64, number: u64) -> cimrepo::Result<()> {
    let mut transaction = engine.begin_write()?;
    let record = transaction.insert_record(&bytes(thread, number))?;
    for name in name(thread, number) {
        transaction.insert_key(format!("{name}.{record}").as_bytes())?;
    }
    if number > WINDOW {
        let [own, named] = name(thread, number - WINDOW);
        let key = transaction.find(format!("{own}.").as_bytes())?.unwrap();
        let record = key.reference().unwrap();
        transaction.remove_key(key.as_bytes())?;
        transaction.remove_key(format!("{named}.{record}").as_bytes())?;
        transaction.remove_record(record)?;
    }
    transaction.commit()
}

/// Commits until it is killed, and says so.
fn child(directory: &str) {
    // Checkpoints all the time, and compactions beside the commits.
    let options = EngineOptions::new().checkpoint_at(300_000, Duration::from_millis(20));
    let engine = options.open(directory).unwrap();
    let snapshot = engine.snapshot();
    println!("open");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (engine, from) = (&engine, last(&snapshot, thread) + 1);
            scope.spawn(move || {
                for number in from.. {
                    commit(engine, thread, number).unwrap();
                    let line = format!("{thread} {number}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                    if thread == 0 && number % 40 == 0 {
                        engine.compact(&Unobserved).unwrap();
                    }
                }
            });
        }
    });
}

/// Lets a child work for a while and kills it; gives what it acknowledged. The while begins with
/// the process, or with its first commit: how long a start takes differs from machine to machine.
fn kill_one(directory: &Path, from_first_commit: bool, after: Duration) -> Vec<(u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--child", directory.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let (said, first) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut lines = Vec::new();
        let mut bytes = Vec::new();
        let mut out = BufReader::new(out);
        // A line that the kill cut was not acknowledged.
        while out.read_until(b'\n', &mut bytes).unwrap() > 0 {
            let line = String::from_utf8(std::mem::take(&mut bytes)).unwrap();
            let numbers = line
                .strip_suffix('\n')
                .and_then(|line| line.split_once(' '));
            lines.extend(
                numbers.map(|(thread, number)| (thread.parse().unwrap(), number.parse().unwrap())),
            );
            if lines.len() == 1 {
                said.send(()).ok();
            }
        }
        lines
    });
    if from_first_commit {
        first.recv().expect("the child ended before it committed");
    }
    std::thread::sleep(after);
    assert!(
        child.try_wait().unwrap().is_none(),
        "the child ended by itself"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn verified(directory: &Path, engine: &Engine) {
    let report =
        verify_snapshot(&engine.snapshot(), VerifyOptions::default(), &Unobserved).unwrap();
    assert!(report.is_consistent(), "{:?}", report.findings);
    let repository = OpenOptions::new().open(directory).unwrap();
    assert!(repository.is_whole());
    found_consistent(&repository);
}

/// A process that is killed while it writes a mapping leaves that file unfinished: the one of the
/// next generation, and no other (W-4, W-19). That is no finding.
fn found_consistent(repository: &Repository) {
    let report = verify(repository, VerifyOptions::default(), &Unobserved).unwrap();
    assert!(report.is_consistent(), "{report:?}");
    let [generation] = &report.generations[..] else {
        panic!("{report:?}")
    };
    let next = FileRole::Mapping(Mapping::slot_of(generation.generation + 1));
    assert!(
        report.refused.iter().all(|refusal| refusal.role == next),
        "{report:?}"
    );
}

/// What whoever reads or backs up finds before the next process takes the journal over: the numbers
/// of the last commits.
fn read(place: &Path, round: u64) -> [u64; 4] {
    let repository = OpenOptions::new().open(place).unwrap();
    let there = [0, 1, 2, 3].map(|thread| last(&repository.snapshot(), thread));
    found_consistent(&repository);
    let target = place.with_extension("cimbak");
    let options = BackupOptions {
        forensic: round.is_multiple_of(2),
        ..BackupOptions::default()
    };
    backup(&repository, &target, &options, &Unobserved).unwrap();
    let snapshot = Backup::open(&target).unwrap().snapshot();
    assert_eq!(
        [0, 1, 2, 3].map(|thread| last(&snapshot, thread)),
        there,
        "forensic: {}",
        options.forensic
    );
    std::fs::remove_file(&target).unwrap();
    there
}

fn copied(directory: &Path, into: &Path) -> PathBuf {
    let copy = into.join("r");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(directory).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    copy
}

fn kill_again_and_again(rounds: u64) {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("r");
    std::fs::create_dir(&directory).unwrap();
    let mut builder = BulkBuilder::create(Directory::real(&directory)).unwrap();
    builder.key(b"NS\\FIRST", None).unwrap();
    builder.finish().unwrap();
    let (mut acknowledged, mut commits, mut journals, begun) = ([0; 4], 0, 0, Instant::now());
    for round in 0..rounds {
        // From one that has hardly begun to one that has made several checkpoints.
        let after = Duration::from_millis(20 + round * 7919 % 331);
        for (thread, number) in kill_one(&directory, round % 4 > 0, after) {
            acknowledged[usize::try_from(thread).unwrap()] = number;
            commits += 1;
        }
        let files = std::fs::read_dir(&directory).unwrap();
        let is_journal = |name: std::ffi::OsString| name.to_string_lossy().ends_with(".journal");
        journals += u64::from(
            files
                .into_iter()
                .any(|file| is_journal(file.unwrap().file_name())),
        );
        // Two times of three a copy is looked at, so that the next process takes over from the one
        // that was killed.
        let copy = tempfile::tempdir().unwrap();
        let place = if round % 3 == 0 {
            directory.clone()
        } else {
            copied(&directory, copy.path())
        };
        let read = read(&place, round);
        let engine = EngineOptions::new().background(false).open(&place).unwrap();
        for (thread, told) in (0..).zip(&mut acknowledged) {
            let there = last(&engine.snapshot(), thread);
            let seen = read[usize::try_from(thread).unwrap()];
            assert_eq!(
                seen, there,
                "round {round}: a reader sees what the next process takes over"
            );
            assert!(
                there >= *told,
                "round {round}: commit {told} of thread {thread} was acknowledged, the last is \
                    {there}"
            );
            assert!(
                there <= *told + 1,
                "round {round}: thread {thread} was told {told}, and {there} is there"
            );
            *told = there;
        }
        verified(&place, &engine);
        engine.close().unwrap();
    }
    println!(
        "{rounds} kills in {:.0?}: {commits} acknowledged commits, all there, none in part; \
            {journals} times a journal was taken over",
        begun.elapsed()
    );
    assert!(commits > rounds && journals > 0);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, directory] = &arguments[..]
        && flag == "--child"
    {
        return child(directory);
    }
    let words: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let rounds = words.iter().find_map(|word| word.parse().ok());
    if rounds.is_none()
        && !words.is_empty()
        && !words.iter().any(|word| "kill".contains(word.as_str()))
    {
        return; // it is not meant
    }
    kill_again_and_again(rounds.unwrap_or(ROUNDS));
}
