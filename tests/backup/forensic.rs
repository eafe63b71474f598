//! Forensic backups: of whatever is there, and back again byte for byte.

use std::path::Path;

use cimrepo::Error;
use cimrepo::backup::{BackupOptions, Compression, OpenBackup};
use cimrepo::base::error::BackupFault;
use cimrepo::base::page_no::{PAGE_SIZE, Space};
use cimrepo::base::progress::Unobserved;
use cimrepo::format::Dialect;
use cimrepo::format::own::manifest::PageState;
use cimrepo::restore::{Installed, RestoreOptions};
use cimrepo::storage::{MemStorage, Storage};
use cimrepo::store::BulkBuilder;

use crate::support::edit::edit_mapping;
use crate::support::small::{current_file, logical, small_v21, small_v22};
use crate::support::{Files, PLACE, in_memory};
use crate::tiny::{
    NEW, REPLACE, VERIFY, checked, directory, fault_of, listing, load_into, opened, save, shared,
    single, sound, tiny,
};

const DAMAGED: RestoreOptions = RestoreOptions {
    damaged: true,
    ..NEW
};

fn forensic() -> BackupOptions {
    BackupOptions {
        forensic: true,
        ..single()
    }
}

/// Repositories with one kind of damage each, in both dialects.
fn damaged() -> Vec<(String, Files)> {
    let mut all = Vec::new();
    for (dialect, files) in [("2.2", small_v22()), ("2.1", small_v21())] {
        type Damage = (&'static str, fn(&mut Files));
        let ways: [Damage; 9] = [
            ("pages", |files| {
                files.get_mut("INDEX.BTR").unwrap()[2 * PAGE_SIZE..8 * PAGE_SIZE].fill(0xAA)
            }),
            ("all of the heap", |files| {
                files.get_mut("OBJECTS.DATA").unwrap().fill(7)
            }),
            ("a cut heap", |files| {
                let bytes = files.get_mut("OBJECTS.DATA").unwrap();
                bytes.truncate(bytes.len() / 2 - 100);
            }),
            ("a cut index", |files| {
                files
                    .get_mut("INDEX.BTR")
                    .unwrap()
                    .truncate(3 * PAGE_SIZE + 1)
            }),
            ("an empty index", |files| {
                files.get_mut("INDEX.BTR").unwrap().clear()
            }),
            ("no heap", |files| drop(files.remove("OBJECTS.DATA"))),
            ("no index", |files| drop(files.remove("INDEX.BTR"))),
            ("a torn mapping", |files| {
                let name = current_file(files);
                files.get_mut(&name).unwrap()[100..200].fill(0x55);
            }),
            ("only one mapping, and pages twice", |files| {
                let name = current_file(files);
                files.retain(|other, _| *other == name || !other.contains("MAP"));
                edit_mapping(files, &name, |mapping| {
                    let first = mapping.objects.entries[4].physical;
                    mapping.objects.entries[5].physical = first;
                    mapping.objects.entries[7].physical = first;
                });
            }),
        ];
        for (what, damage) in ways {
            let mut files = files.clone();
            damage(&mut files);
            all.push((format!("{dialect}, {what}"), files));
        }
    }
    all
}

#[test]
fn what_was_damaged_comes_back_as_it_was_where_that_is_asked_for() {
    for (what, files) in damaged() {
        let (storage, _) = in_memory(&files);
        let summary = save(&storage, PLACE, "it", &forensic()).unwrap();
        let backup = OpenBackup::new().open_in(&shared(&storage), "it").unwrap();
        let report = backup
            .verify(VERIFY, &Unobserved)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(summary.damage.is_some(), !report.is_consistent(), "{what}");
        if report.is_consistent() {
            // Another generation is whole.
            assert!(what.contains("torn"), "{what}");
        } else {
            let error = load_into(&storage, "it", "restored", NEW).unwrap_err();
            let fault = fault_of(&error).unwrap_or_else(|| panic!("{what}: {error}"));
            assert!(
                matches!(
                    fault,
                    BackupFault::Inconsistent(_) | BackupFault::Structure(_)
                ),
                "{what}: {fault}"
            );
            assert!(
                storage.kind(Path::new("restored")).unwrap().is_none(),
                "{what}"
            );
        }
        let summary = load_into(&storage, "it", "restored", DAMAGED)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(summary.findings > 0, !report.is_consistent(), "{what}");
        assert_eq!(summary.installed, Installed::New, "{what}");
        assert!(
            listing(&storage, "restored") == files,
            "{what}: {:?}",
            listing(&storage, "restored").keys()
        );
    }
}

#[test]
fn what_is_damaged_replaces_nothing_and_comes_from_a_forensic_backup_alone() {
    let mut files = tiny(Dialect::V22, 1);
    files.get_mut("OBJECTS.DATA").unwrap()[PAGE_SIZE] ^= 1;
    let (storage, _) = in_memory(&files);
    save(&storage, PLACE, "it", &forensic()).unwrap();
    for (name, bytes) in tiny(Dialect::V22, 0) {
        storage.put(Path::new("target").join(name), bytes);
    }
    let error = load_into(
        &storage,
        "it",
        "target",
        RestoreOptions {
            damaged: true,
            ..REPLACE
        },
    )
    .unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    assert!(listing(&storage, "target") == tiny(Dialect::V22, 0));
    // A backup that is damaged itself is none.
    let mut bytes = storage.get("it").unwrap();
    bytes[300] ^= 1;
    storage.put("it", bytes);
    let error = load_into(&storage, "it", "restored", DAMAGED).unwrap_err();
    assert!(
        matches!(fault_of(&error), Some(BackupFault::Checksum(_))),
        "{error}"
    );
}

#[test]
fn pages_in_one_place_are_held_once() {
    let mut files = small_v22();
    let current = current_file(&files);
    files.retain(|name, _| !name.starts_with("MAPPING") || *name == current);
    edit_mapping(&mut files, &current, |mapping| {
        let entry = mapping.objects.entries[0];
        mapping
            .objects
            .entries
            .extend(std::iter::repeat_n(entry, 100_000));
    });
    let (storage, _) = in_memory(&files);
    let plain = BackupOptions {
        compression: Compression::None,
        ..forensic()
    };
    let summary = save(&storage, PLACE, "it", &plain).unwrap();
    let size: usize = files.values().map(Vec::len).sum();
    let bytes = usize::try_from(summary.bytes).unwrap();
    // The mapping stands in it twice; a digest and a pair of numbers is what each page costs.
    assert!(
        bytes < 2 * size + 100_000 * 50,
        "{bytes} for files of {size}"
    );
    let backup = OpenBackup::new().open_in(&shared(&storage), "it").unwrap();
    let pages = &backup.manifest().space(Space::Objects).pages;
    assert!(matches!(pages[pages.len() - 1], PageState::Same(page, _) if page == logical(0)));
    let page = |number: usize| {
        backup
            .snapshot()
            .page(Space::Objects, logical(number.try_into().unwrap()))
            .unwrap()
    };
    assert!(page(pages.len() - 1) == page(0));
    assert!(!backup.verify(VERIFY, &Unobserved).unwrap().is_consistent());
    load_into(&storage, "it", "restored", DAMAGED).unwrap();
    assert!(listing(&storage, "restored") == files);
    // One that is based on it finds them too.
    let base = BackupOptions {
        base: Some("it".into()),
        ..forensic()
    };
    let summary = save(&storage, PLACE, "next", &base).unwrap();
    assert!(
        summary.pages == 0 && summary.pages_in_base > 0,
        "{summary:?}"
    );
    load_into(&storage, "next", "again", DAMAGED).unwrap();
    assert!(listing(&storage, "again") == files);
}

#[test]
fn a_repository_without_objects_is_backed_up_and_restored() {
    let storage = MemStorage::new();
    storage.create_dir(Path::new(PLACE)).unwrap();
    let mut builder = BulkBuilder::create_seeded(directory(&storage, PLACE), 7).unwrap();
    builder.key(br"NS_1\CR_2\C_3", None).unwrap();
    builder.finish().unwrap();
    assert!(
        storage
            .get(format!("{PLACE}/OBJECTS.DATA"))
            .unwrap()
            .is_empty()
    );
    let content = sound(&storage, PLACE).unwrap();
    for (number, options) in [
        single(),
        forensic(),
        BackupOptions {
            scrub: true,
            ..single()
        },
    ]
    .iter()
    .enumerate()
    {
        let file = format!("backup {number}");
        save(&storage, PLACE, &file, options).unwrap();
        checked(&storage, &file).unwrap();
        let into = format!("restored {number}");
        load_into(&storage, &file, &into, NEW).unwrap();
        assert!(sound(&storage, &into).unwrap() == content);
        load_into(&storage, &file, &into, REPLACE).unwrap();
        assert!(sound(&storage, &into).unwrap() == content);
        assert!(opened(&storage, &into).unwrap().missing().next().is_none());
    }
}
