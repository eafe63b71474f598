//! A reader of a repository whose journal waits.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cimrepo::store::Durability;
use cimrepo::store::{JournalFate, OpenOptions};
use cimrepo::{Error, Result};

use crate::support::hooked::Hooked;
use crate::{check, files, fresh, killed, names, open, put, still, waiting};

#[test]
fn the_last_acknowledged_state_is_read_and_nothing_changes() {
    let (_, directory) = waiting();
    let before = files(&directory);
    let repository = open(&directory);
    assert_eq!(names(&repository.snapshot()), ["B", "FIRST"]);
    let [file] = repository.journal().files() else {
        panic!("{:?}", repository.journal())
    };
    assert_eq!(
        (file.commits, file.replayed, &file.fate),
        (Some(3), 3, &JournalFate::Replayed)
    );
    assert_eq!(
        (
            repository.journal().commits(),
            repository.journal().replayed()
        ),
        (3, 3)
    );
    let report = check(&repository);
    assert!(report.is_consistent(), "{report:?}");
    repository.ensure_unchanged().unwrap();
    let without = OpenOptions::new()
        .without_journal()
        .open_in(&directory)
        .unwrap();
    assert_eq!(names(&without.snapshot()), ["FIRST"]);
    let generation = without.snapshot().mapping().generation();
    let chosen = OpenOptions::new()
        .generation(generation)
        .open_in(&directory)
        .unwrap();
    assert_eq!(names(&chosen.snapshot()), ["FIRST"]);
    for left_out in [&without, &chosen] {
        let journal = left_out.journal();
        assert_eq!(
            (
                journal.commits(),
                journal.replayed(),
                journal.refused().count()
            ),
            (3, 0, 0)
        );
        assert!(check(left_out).is_consistent());
    }
    assert!(files(&directory) == before);
}

#[test]
fn what_only_one_of_the_two_states_has_is_counted() {
    let (_, directory) = waiting();
    let report = check(&open(&directory));
    let difference = &report.journal.difference;
    assert_eq!((difference.keys_added, difference.keys_removed), (1, 0));
    assert!(
        report
            .journal
            .without
            .as_ref()
            .is_some_and(|without| without.keys == 1)
    );
    assert_eq!(report.generations[0].keys, 2);
}

#[test]
fn a_reader_beside_a_writer_sees_what_was_acknowledged_before() {
    let (_, directory) = fresh();
    let engine = still().open_in(&directory).unwrap();
    for number in 0..12 {
        put(&engine, &format!("N{number:02}"), 200, Durability::Journal).unwrap();
        if number % 3 == 2 {
            engine.checkpoint().unwrap();
        }
        let repository = open(&directory);
        assert_eq!(names(&repository.snapshot()).len(), number + 2);
        // Commits that come while it is read change nothing of what was read, nor does a
        // checkpoint.
        put(&engine, &format!("M{number:02}"), 10, Durability::None).unwrap();
        engine.checkpoint().unwrap();
        repository.ensure_unchanged().unwrap();
        assert_eq!(names(&repository.snapshot()).len(), number + 2);
        crate::remove(&engine, &format!("M{number:02}")).unwrap();
    }
    engine.close().unwrap();
    assert!(open(&directory).journal().files().is_empty());
}

/// Opens while `meanwhile` is done each time a call of this name on a file of this ending is about
/// to be made.
fn open_beside(
    call: &'static str,
    ending: &'static str,
    times: u32,
    meanwhile: impl Fn(u32) + Send + Sync + 'static,
) -> (
    Arc<AtomicU32>,
    impl Fn(cimrepo::storage::MemStorage) -> Result<Vec<String>>,
) {
    let count = Arc::new(AtomicU32::new(0));
    let (counted, meanwhile) = (count.clone(), Arc::new(meanwhile));
    let open = move |storage| {
        let (counted, meanwhile) = (counted.clone(), meanwhile.clone());
        let hook = move |name: &str, path: &Path| -> io::Result<()> {
            let is_it = name == call && path.to_string_lossy().ends_with(ending);
            if is_it && counted.load(Ordering::Relaxed) < times {
                meanwhile(counted.fetch_add(1, Ordering::Relaxed));
            }
            Ok(())
        };
        let hooked = Hooked::new(storage, hook);
        OpenOptions::new()
            .open_in(&hooked.directory("."))
            .map(|repository| names(&repository.snapshot()))
    };
    (count, open)
}

#[test]
fn a_checkpoint_while_it_is_opened_is_begun_again_with() {
    let (storage, directory) = fresh();
    let engine = Arc::new(still().open_in(&directory).unwrap());
    put(&engine, "A", 100, Durability::Journal).unwrap();
    let writer = engine.clone();
    // The journal that was listed is gone when it is about to be read.
    let (count, open) = open_beside("open", ".journal", 1, move |_| {
        writer.checkpoint().unwrap();
        put(&writer, "B", 100, Durability::Journal).unwrap();
    });
    assert_eq!(open(storage).unwrap(), ["A", "B", "FIRST"]);
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[test]
fn a_writer_that_is_always_faster_is_said_so() {
    let (storage, directory) = fresh();
    let engine = Arc::new(still().open_in(&directory).unwrap());
    put(&engine, "A", 100, Durability::Journal).unwrap();
    let writer = engine.clone();
    let (count, open) = open_beside("open", ".journal", u32::MAX, move |number| {
        writer.checkpoint().unwrap();
        put(&writer, &format!("N{number}"), 100, Durability::Journal).unwrap();
    });
    assert!(matches!(open(storage), Err(Error::Overtaken { .. })));
    assert_eq!(count.load(Ordering::Relaxed), 8);
}

#[test]
fn replaying_can_be_cancelled() {
    let (_, directory) = waiting();
    let error = OpenOptions::new()
        .cancel_when(|| true)
        .open_in(&directory)
        .unwrap_err();
    assert!(matches!(error, Error::Cancelled));
    // Where there is nothing to replay nothing is asked.
    OpenOptions::new()
        .cancel_when(|| true)
        .open_in(&fresh().1)
        .unwrap();
}

#[test]
fn what_a_reader_replays_the_next_writer_takes_over() {
    let (_, directory) = waiting();
    let read = names(&open(&directory).snapshot());
    let engine = still().open_in(&directory).unwrap();
    assert_eq!(names(&engine.snapshot()), read);
    let (_, again) = killed(&directory);
    engine.close().unwrap();
    assert_eq!(names(&open(&directory).snapshot()), read);
    assert_eq!(names(&open(&again).snapshot()), read);
}
