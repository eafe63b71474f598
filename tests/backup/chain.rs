//! Incremental backups and their bases: what belongs together is found, what does not is named.

use std::ops::ControlFlow;
use std::path::Path;

use cimrepo::Error;
use cimrepo::backup::{BackupOptions, OpenBackup, backup_in, uuid_text};
use cimrepo::base::error::BackupFault;
use cimrepo::base::limits::MAX_BACKUP_CHAIN;
use cimrepo::format::Dialect;
use cimrepo::format::own::backup_file::{HEADER_SIZE, Header};
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::OpenOptions;

use crate::forge::Parts;
use crate::tiny::{bytes_of, checked, fault_of, save, shared, single, stored_at, tiny};

const BASE: &str = "kept/base";
const TOP: &str = "kept/top";

/// A repository of version 1, a backup of version 0 and one of version 1 that is based on it.
fn pair() -> MemStorage {
    let storage = MemStorage::new();
    storage.create_dir(Path::new("kept")).unwrap();
    stored_at(&storage, "repository", &tiny(Dialect::V22, 0));
    save(&storage, "repository", BASE, &single()).unwrap();
    stored_at(&storage, "repository", &tiny(Dialect::V22, 1));
    save(&storage, "repository", TOP, &based_on(BASE)).unwrap();
    checked(&storage, TOP).unwrap();
    storage
}

fn based_on(path: &str) -> BackupOptions {
    BackupOptions {
        base: Some(path.into()),
        ..single()
    }
}

fn get(storage: &MemStorage, path: &str) -> Vec<u8> {
    bytes_of(storage, Path::new(path))
}

fn fault(storage: &MemStorage, path: &str) -> BackupFault {
    let error = checked(storage, path)
        .err()
        .unwrap_or_else(|| panic!("{path} is taken for right"));
    fault_of(&error)
        .unwrap_or_else(|| panic!("{error}"))
        .clone()
}

fn identity(bytes: &[u8]) -> String {
    uuid_text(&Header::parse(&bytes[..HEADER_SIZE]).unwrap().identity)
}

#[test]
fn a_missing_base_is_named() {
    let storage = pair();
    let expected = identity(&get(&storage, BASE));
    storage.remove_file(Path::new(BASE)).unwrap();
    match fault(&storage, TOP) {
        BackupFault::BaseMissing { base, hint } => {
            assert_eq!(base, expected);
            assert!(hint.contains("called base"), "{hint}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_base_is_found_under_another_name_or_where_it_is_said_to_be() {
    let storage = pair();
    storage
        .rename(Path::new(BASE), Path::new("kept/renamed"))
        .unwrap();
    assert_eq!(checked(&storage, TOP).unwrap().chain_len(), 2);
    storage.create_dir(Path::new("elsewhere")).unwrap();
    storage
        .rename(Path::new("kept/renamed"), Path::new("elsewhere/far away"))
        .unwrap();
    assert!(matches!(
        fault(&storage, TOP),
        BackupFault::BaseMissing { .. }
    ));
    let backup = OpenBackup::new()
        .base("elsewhere/far away")
        .open_in(&shared(&storage), TOP)
        .unwrap();
    assert_eq!(backup.chain_len(), 2);
}

#[test]
fn another_backup_in_place_of_the_base_is_named() {
    let storage = pair();
    let expected = identity(&get(&storage, BASE));
    save(&storage, "repository", BASE, &single()).unwrap();
    let other = identity(&get(&storage, BASE));
    match fault(&storage, TOP) {
        BackupFault::BaseWrong { base, found } => {
            assert!(
                base == expected && found.contains(&other),
                "{base}: {found}"
            )
        }
        other => panic!("{other}"),
    }
    storage.put(BASE, b"no backup at all".to_vec());
    match fault(&storage, TOP) {
        BackupFault::BaseWrong { base, found } => {
            assert!(base == expected && found.contains("no backup"), "{found}")
        }
        other => panic!("{other}"),
    }
    // One that is named and is the wrong one is not passed over in silence either.
    storage.put("wrong", get(&storage, TOP));
    let error = OpenBackup::new()
        .base("wrong")
        .open_in(&shared(&storage), TOP)
        .unwrap_err();
    assert!(
        matches!(fault_of(&error), Some(BackupFault::BaseWrong { .. })),
        "{error}"
    );
}

#[test]
fn a_base_with_the_same_identity_and_another_seal_is_refused() {
    let storage = pair();
    let mut parts = Parts::of(&get(&storage, BASE));
    parts.header.created += 1;
    storage.put(BASE, parts.to_bytes());
    checked(&storage, BASE).unwrap();
    assert!(matches!(
        fault(&storage, TOP),
        BackupFault::BaseWrong { .. }
    ));
}

#[test]
fn a_page_that_the_base_does_not_have_is_a_contradiction() {
    let storage = pair();
    let mut parts = Parts::of(&get(&storage, TOP));
    let pages = parts
        .manifest
        .spaces
        .iter_mut()
        .flat_map(|space| &mut space.pages);
    for page in pages {
        if let cimrepo::format::own::manifest::PageState::InBase(digest) = page {
            digest[0] ^= 1;
            break;
        }
    }
    storage.put(TOP, parts.to_bytes());
    assert!(matches!(fault(&storage, TOP), BackupFault::Structure(_)));
}

#[test]
fn damage_of_the_base_is_seen_through_the_top() {
    let storage = pair();
    let bytes = get(&storage, BASE);
    let mut flips = 0;
    let places = (0..HEADER_SIZE).chain((HEADER_SIZE..bytes.len()).step_by(bytes.len() / 500));
    for place in places {
        let mut changed = bytes.clone();
        changed[place] ^= 1 << (place % 8);
        storage.put(BASE, changed);
        let fault = fault(&storage, TOP);
        // A base whose header is damaged cannot even be told to be the base.
        let is_right = if place < HEADER_SIZE {
            matches!(fault, BackupFault::BaseWrong { .. })
        } else {
            matches!(fault, BackupFault::Checksum(_))
        };
        assert!(is_right, "byte {place}: {fault}");
        flips += 1;
    }
    println!("{flips} flips in the base, all seen");
    for end in (0..bytes.len()).step_by(512) {
        storage.put(BASE, bytes[..end].to_vec());
        let fault = fault(&storage, TOP);
        let is_right = if end < HEADER_SIZE {
            matches!(fault, BackupFault::BaseWrong { .. })
        } else {
            matches!(fault, BackupFault::Truncated(_))
        };
        assert!(is_right, "cut at {end}: {fault}");
    }
}

#[test]
fn an_incremental_backup_does_not_replace_what_it_is_based_on() {
    let storage = pair();
    let before = (get(&storage, BASE), get(&storage, TOP));
    for (base, target) in [(BASE, BASE), (TOP, TOP), (TOP, BASE)] {
        let error = save(&storage, "repository", target, &based_on(base)).unwrap_err();
        assert!(
            matches!(error, Error::InvalidArgument(_)),
            "{target} on {base}: {error}"
        );
    }
    // Beside the chain it may replace what it likes.
    save(&storage, "repository", TOP, &based_on(BASE)).unwrap();
    assert_eq!(get(&storage, BASE), before.0);
    assert_ne!(get(&storage, TOP), before.1);
}

#[test]
fn a_base_that_is_replaced_meanwhile_is_noticed_before_anything_is() {
    let storage = pair();
    let (base, older) = (get(&storage, BASE), get(&storage, TOP));
    save(&storage, "repository", "kept/other", &single()).unwrap();
    let other = get(&storage, "kept/other");
    let repository = OpenOptions::new()
        .open_in(&Directory::new(shared(&storage), "repository"))
        .unwrap();
    for found in [Some(other), None] {
        storage.put(BASE, base.clone());
        let replace = |_| {
            match &found {
                Some(bytes) => storage.put(BASE, bytes.clone()),
                None => _ = storage.remove_file(Path::new(BASE)),
            }
            ControlFlow::Continue(())
        };
        let error = backup_in(
            &repository,
            &shared(&storage),
            TOP,
            &based_on(BASE),
            &replace,
        )
        .unwrap_err();
        assert!(
            matches!(fault_of(&error), Some(BackupFault::BaseWrong { .. })),
            "{error}"
        );
        assert!(error.path().unwrap().ends_with(BASE), "{error}");
        assert_eq!(get(&storage, TOP), older);
        assert!(
            storage
                .read_dir(Path::new("kept"))
                .unwrap()
                .iter()
                .all(|entry| !entry.name.contains("partial"))
        );
    }
}

#[test]
fn a_base_that_cannot_be_used_is_refused_and_nothing_is_written() {
    let storage = pair();
    stored_at(&storage, "old", &tiny(Dialect::V21, 0));
    save(&storage, "old", "kept/old", &single()).unwrap();
    let error = save(&storage, "repository", "kept/new", &based_on("kept/old")).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    storage.put("kept/text", b"text".to_vec());
    let error = save(&storage, "repository", "kept/new", &based_on("kept/text")).unwrap_err();
    assert_eq!(fault_of(&error), Some(&BackupFault::NotABackup));
    assert!(matches!(
        save(&storage, "repository", "kept/new", &based_on("kept/none")),
        Err(Error::Io { .. })
    ));
    let bytes = get(&storage, BASE);
    storage.put("kept/cut", bytes[..bytes.len() - 1].to_vec());
    let error = save(&storage, "repository", "kept/new", &based_on("kept/cut")).unwrap_err();
    assert!(
        matches!(fault_of(&error), Some(BackupFault::Truncated(_))),
        "{error}"
    );
    assert!(storage.get("kept/new").is_none());
}

#[test]
fn chains_have_a_limit() {
    let storage = MemStorage::new();
    storage.create_dir(Path::new("kept")).unwrap();
    stored_at(&storage, "repository", &tiny(Dialect::V22, 0));
    save(&storage, "repository", "kept/1", &single()).unwrap();
    for number in 2..=MAX_BACKUP_CHAIN {
        let base = format!("kept/{}", number - 1);
        save(
            &storage,
            "repository",
            &format!("kept/{number}"),
            &based_on(&base),
        )
        .unwrap();
    }
    let last = format!("kept/{MAX_BACKUP_CHAIN}");
    assert_eq!(
        checked(&storage, &last).unwrap().chain_len(),
        MAX_BACKUP_CHAIN
    );
    let error = save(&storage, "repository", "kept/more", &based_on(&last)).unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    // One that someone made longer all the same.
    let mut parts = Parts::of(&get(&storage, &last));
    parts.header.base = Some((
        parts.header.identity,
        *checked(&storage, &last).unwrap().seal(),
    ));
    parts.header.identity[0] ^= 0xFF;
    parts.manifest.base_name = MAX_BACKUP_CHAIN.to_string();
    storage.put("kept/more", parts.to_bytes());
    assert!(matches!(
        fault(&storage, "kept/more"),
        BackupFault::Structure(_)
    ));
}

/// The base with a byte changed in a chunk of pages: it opens.
fn with_damaged_chunk(bytes: &[u8]) -> Vec<u8> {
    let chunk = Parts::of(bytes).manifest.chunks[0];
    let mut damaged = bytes.to_vec();
    damaged[usize::try_from(chunk.offset).unwrap() + 40] ^= 1;
    damaged
}

#[test]
fn nothing_is_based_on_a_damaged_backup() {
    let storage = pair();
    let (base, older) = (get(&storage, BASE), get(&storage, TOP));
    storage.put(BASE, with_damaged_chunk(&base));
    for (on, target) in [(BASE, "kept/new"), (BASE, TOP), (TOP, "kept/new")] {
        let error = save(&storage, "repository", target, &based_on(on)).unwrap_err();
        assert!(
            matches!(fault_of(&error), Some(BackupFault::Checksum(_))),
            "{on}: {error}"
        );
    }
    assert!(storage.get("kept/new").is_none() && get(&storage, TOP) == older);
    assert_eq!(storage.read_dir(Path::new("kept")).unwrap().len(), 2);
}

#[test]
fn of_several_copies_of_a_base_the_one_that_is_whole_is_taken() {
    let storage = pair();
    let base = get(&storage, BASE);
    let mut cut_off = base.clone();
    cut_off.truncate(base.len() - 1);
    let mut manifest = base.clone();
    manifest[base.len() - 200] ^= 1;
    for damaged in [with_damaged_chunk(&base), cut_off, manifest] {
        storage.put(BASE, damaged.clone());
        assert!(checked(&storage, TOP).is_err());
        storage.put("kept/copy", base.clone());
        checked(&storage, TOP).unwrap();
        save(&storage, "repository", "kept/next", &based_on(TOP)).unwrap();
        storage.remove_file(Path::new("kept/copy")).unwrap();
        storage.put("elsewhere/copy", base.clone());
        let open = OpenBackup::new().base(BASE).base("elsewhere/copy");
        let opened = open.open_in(&shared(&storage), TOP).unwrap();
        let report = opened
            .verify(crate::tiny::VERIFY, &cimrepo::base::progress::Unobserved)
            .unwrap();
        assert!(report.is_consistent());
        // With none that is whole the first one is named.
        storage.put("kept/copy", damaged);
        let error = checked(&storage, TOP).unwrap_err();
        assert!(error.path().unwrap().ends_with(BASE), "{error}");
        storage.remove_file(Path::new("kept/copy")).unwrap();
    }
}
