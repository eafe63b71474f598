//! Every walk ends, and costs no more than the files are large: whatever they claim, and whatever
//! the system refuses.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use cimrepo::base::corruption::CorruptionCode;
use cimrepo::base::limits::MAX_LOGICAL_PAGES;
use cimrepo::base::page_no::{PAGE_SIZE, Space};
use cimrepo::storage::sim::{Fault, FaultPlan, SimStorage};
use cimrepo::storage::{Directory, Storage};
use cimrepo::store::{OpenOptions, Repository};
use cimrepo::{Direction, Error, KeyRange};

use support::edit::{edit_mapping, edit_page, root_and_child, set_word, word};
use support::flood::floods;
use support::small::{physical, small_v21, small_v22, stored};
use support::{Files, PLACE, check, codes, open};

/// A disk with a repository, opened.
fn on_disk(files: &Files) -> (SimStorage, Repository) {
    let disk = SimStorage::new();
    for (name, bytes) in files {
        disk.put(Path::new(PLACE).join(name), bytes);
    }
    let storage: std::sync::Arc<dyn Storage> = std::sync::Arc::new(disk.clone());
    let repository = OpenOptions::new()
        .open_in(&Directory::new(storage, PLACE))
        .unwrap();
    (disk, repository)
}

#[test]
fn a_disk_that_stays_broken_ends_every_walk() {
    for files in [small_v21(), small_v22()] {
        let (disk, repository) = on_disk(&files);
        let snapshot = repository.snapshot();
        let pages =
            |space| usize::try_from(snapshot.mapping().section(space).mapped_count()).unwrap();
        disk.set_plan(FaultPlan::from(disk.operations(), Fault::Io));
        let errors: Vec<Error> = snapshot
            .records()
            .map(Result::unwrap_err)
            .take(1_000)
            .collect();
        assert!(
            (1..=pages(Space::Objects)).contains(&errors.len()),
            "{} errors",
            errors.len()
        );
        assert!(
            errors.iter().all(|error| matches!(error, Error::Io { .. })),
            "{errors:?}"
        );
        for direction in [Direction::Forward, Direction::Backward] {
            let errors = snapshot
                .keys(KeyRange::all(), direction)
                .map(Result::unwrap_err)
                .take(1_000)
                .count();
            assert!(
                (1..=pages(Space::Index)).contains(&errors),
                "{errors} errors"
            );
        }
        assert!(snapshot.counts().unreadable >= 2);
    }
}

/// Does it on another thread, and gives up when it takes minutes: what it does ends in seconds, or
/// not in a lifetime.
fn in_time<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(act()));
    receiver
        .recv_timeout(Duration::from_secs(120))
        .unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// A page that begins a record of 4 GiB, and a mapping of the greatest size all of whose pages are
/// that one, but for a gap just before each claim is met: whoever looks for the gap page by page
/// looks a million million times.
fn heads_without_end() -> Files {
    let mut files = small_v21();
    files.retain(|name, _| !["OBJECTS.MAP", "MAPPING2.MAP"].contains(&&**name));
    let mut heap = vec![0; 2 * PAGE_SIZE];
    set_word(&mut heap, 0, 1); // an admin page that lists nothing
    for (at, word) in [1, 32, u32::MAX, 0].into_iter().enumerate() {
        set_word(&mut heap, PAGE_SIZE + 4 * at, word);
    }
    files.insert("OBJECTS.DATA".to_owned(), heap);
    let mut version = vec![0; 4];
    set_word(&mut version, 0, 1);
    files.insert("MAPPING.VER".to_owned(), version);
    edit_mapping(&mut files, "MAPPING1.MAP", |mapping| {
        let section = &mut mapping.objects;
        (section.physical_pages, section.free) = (2, Vec::new());
        section.entries.resize(
            usize::try_from(MAX_LOGICAL_PAGES).unwrap(),
            Default::default(),
        );
        for (page, entry) in section.entries.iter_mut().enumerate() {
            let is_gap = page % 524_288 == 524_287;
            entry.physical = (!is_gap).then(|| physical(stored(page.min(1))));
        }
    });
    files
}

#[test]
fn heads_of_gigabytes_on_every_page_cost_one_look_each() {
    let files = heads_without_end();
    let (found, errors) = in_time("records", {
        let files = files.clone();
        move || {
            let snapshot = open(&files).unwrap().snapshot();
            let found = codes(&check(&open(&files).unwrap(), false));
            let records: Vec<_> = snapshot.records().collect();
            (found, records)
        }
    });
    assert!(
        found.contains(&CorruptionCode::MappingPageTwice)
            && found.contains(&CorruptionCode::RecordMultiPage)
    );
    let [Err(Error::Corrupt(error))] = &errors[..] else {
        panic!("{} results", errors.len())
    };
    assert_eq!(error.code, CorruptionCode::RecordMultiPage);
    assert!(
        error.to_string().contains("page 524286 of them is missing"),
        "{error}"
    );
}

/// The same with every head at a place of its own.
#[test]
fn heads_of_gigabytes_at_different_places_are_measured_in_no_time() {
    const PAGES: usize = 3_000;
    let mut files = heads_without_end();
    let head = files["OBJECTS.DATA"][PAGE_SIZE..].to_vec();
    files
        .get_mut("OBJECTS.DATA")
        .unwrap()
        .extend(head.repeat(PAGES - 1));
    edit_mapping(&mut files, "MAPPING1.MAP", |mapping| {
        mapping.objects.physical_pages = stored(PAGES) + 1;
        for (page, entry) in mapping
            .objects
            .entries
            .iter_mut()
            .enumerate()
            .take(PAGES + 1)
        {
            entry.physical = Some(physical(stored(page)));
        }
    });
    let errors = in_time("records", move || {
        open(&files)
            .unwrap()
            .snapshot()
            .records()
            .filter(Result::is_err)
            .count()
    });
    assert_eq!(errors, PAGES);
}

/// Scans, counts, look-ups and a verification of each, in a build without optimisation and beside
/// other work.
#[test]
fn floods_of_keys_end_in_time() {
    for (what, files) in floods(if cfg!(debug_assertions) { 30 } else { 770 }) {
        let (counts, found) = in_time(what, move || {
            let repository = open(&files).unwrap();
            let snapshot = repository.snapshot();
            assert!(!matches!(snapshot.contains_key(&[b'A'; 2_000]), Ok(true)));
            let backwards = snapshot
                .keys(KeyRange::all(), Direction::Backward)
                .filter(Result::is_ok)
                .count();
            let counts = snapshot.counts();
            assert_eq!(backwards as u64, counts.keys);
            (counts, codes(&check(&repository, false)))
        });
        println!("{what}: {} keys read", counts.keys);
        assert!(!found.is_empty(), "{what}");
        if what == "keys of thousands of tokens" {
            assert!(
                found.contains(&CorruptionCode::IndexDefinition) && counts.unreadable > 0,
                "{found:?}"
            );
        }
    }
}

/// One damaged definition, which overlaps others, hides neither the other keys of its page nor the
/// pages below it.
#[test]
fn a_damaged_definition_hides_its_key_alone() {
    for files in [small_v21(), small_v22()] {
        let keys = |files: &Files| {
            let snapshot = open(files).unwrap().snapshot();
            snapshot
                .keys(KeyRange::all(), Direction::Forward)
                .filter_map(Result::ok)
                .count()
        };
        let (root, _) = root_and_child(&files);
        let mut damaged = files.clone();
        edit_page(&mut damaged, Space::Index, root, |page| {
            let keys = usize::try_from(word(page, 16)).unwrap();
            let offset = 20 + 4 * keys + 4 * (keys + 1) + 2 * (keys / 2);
            page[offset..offset + 2].fill(0xFF);
        });
        assert_eq!(keys(&damaged), keys(&files) - 1);
    }
}

/// What is not a regular file is never opened: to open a pipe would be to wait for ever.
#[cfg(unix)]
mod pipes {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use cimrepo::Error;
    use cimrepo::backup::{Backup, BackupOptions, OpenBackup, backup};
    use cimrepo::base::corruption::CorruptionCode;
    use cimrepo::base::error::BackupFault;
    use cimrepo::base::progress::Unobserved;
    use cimrepo::base::site::FileRole;
    use cimrepo::store::Repository;

    use super::in_time;
    use super::support::small::{current_file, small_v21, small_v22};
    use super::support::write_to;

    fn pipe(path: &Path) {
        if path.exists() {
            fs::remove_file(path).unwrap();
        }
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    fn fault(
        path: &Path,
        open: impl FnOnce(PathBuf) -> cimrepo::Result<Backup> + Send + 'static,
    ) -> BackupFault {
        let path = path.to_owned();
        match in_time("opening a backup", move || open(path)).unwrap_err() {
            Error::Backup { fault, .. } => *fault,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn in_place_of_a_backup_or_its_base() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir(at("repository")).unwrap();
        write_to(&small_v22(), &at("repository"), str::to_owned);
        let repository = Repository::open_read_only(at("repository")).unwrap();
        let options = |base: &str| BackupOptions {
            base: Some(at(base)),
            ..BackupOptions::default()
        };
        backup(
            &repository,
            at("base"),
            &BackupOptions::default(),
            &Unobserved,
        )
        .unwrap();
        backup(&repository, at("top"), &options("base"), &Unobserved).unwrap();
        pipe(&at("base"));
        assert_eq!(fault(&at("base"), Backup::open), BackupFault::NotABackup);
        let wrong = fault(&at("top"), Backup::open);
        assert!(
            matches!(&wrong, BackupFault::BaseWrong { found, .. } if found.contains("no backup")),
            "{wrong}"
        );
        pipe(&at("given"));
        let given = at("given");
        let wrong = fault(&at("top"), move |path| {
            OpenBackup::new().base(given).open(path)
        });
        assert!(matches!(wrong, BackupFault::BaseWrong { .. }), "{wrong}");
        let (target, options) = (at("next"), options("base"));
        let error = in_time("a backup", move || {
            backup(&repository, target, &options, &Unobserved)
        })
        .unwrap_err();
        assert!(matches!(error, Error::Backup { .. }), "{error}");
    }

    #[test]
    fn in_place_of_a_file_of_a_repository() {
        for files in [small_v21(), small_v22()] {
            let names: Vec<String> = files.keys().cloned().collect();
            for name in names {
                let place = tempfile::tempdir().unwrap();
                write_to(&files, place.path(), str::to_owned);
                let path = place.path().join(&name);
                pipe(&path);
                let at = place.path().to_owned();
                let repository = in_time(&name, move || Repository::open_read_only(at)).unwrap();
                let role = FileRole::from_file_name(&name).unwrap();
                let reasons = repository
                    .refused()
                    .iter()
                    .filter(|refusal| refusal.role == role);
                let reasons: Vec<String> =
                    reasons.map(|refusal| refusal.reason.to_string()).collect();
                assert!(
                    reasons
                        .iter()
                        .any(|reason| reason.contains("not a regular file")),
                    "{name}: {reasons:?}"
                );
                let is_data = matches!(role, FileRole::Objects | FileRole::Index);
                assert_eq!(
                    repository.missing().collect::<Vec<_>>(),
                    if is_data { vec![role] } else { vec![] }
                );
                if is_data {
                    let target = place.path().join("x.cimbak");
                    let error = backup(&repository, target, &BackupOptions::default(), &Unobserved)
                        .unwrap_err();
                    assert!(error.to_string().contains("not a regular file"), "{error}");
                }
            }
        }
    }

    #[test]
    fn in_place_of_the_only_mapping() {
        let mut files = small_v22();
        let current = current_file(&files);
        files.retain(|name, _| !name.starts_with("MAPPING"));
        let place = tempfile::tempdir().unwrap();
        write_to(&files, place.path(), str::to_owned);
        pipe(&place.path().join(&current));
        let at = place.path().to_owned();
        let error = in_time("opening", move || Repository::open_read_only(at)).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("{current} is not a regular file")),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains(CorruptionCode::FileMissing.as_str()),
            "{error}"
        );
    }
}
