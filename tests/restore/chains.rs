//! Pages that lie in several backups come from the right one, each to its place.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use cimrepo::backup::{BackupOptions, OpenBackup};
use cimrepo::base::page_no::{LogicalPage, Space};
use cimrepo::base::progress::Unobserved;
use cimrepo::format::Dialect;
use cimrepo::format::own::manifest::PageState;
use cimrepo::restore::{RestoreOptions, restore_in};
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::BulkBuilder;

use crate::support::edit::edit_mapping;
use crate::support::{Files, PLACE};
use crate::tiny::{
    DIALECTS, NEW, assert_same_pages, directory, listing, opened, save, shared, single, sound,
    stored_at, tiny,
};

fn on(base: &str) -> BackupOptions {
    BackupOptions {
        base: Some(base.into()),
        ..single()
    }
}

/// Restores it with one thread and with two; each time every page is that of the repository it was
/// made of.
fn assert_restores(storage: &MemStorage, backup: &str, source: &str) {
    let backup = OpenBackup::new().open_in(&shared(storage), backup).unwrap();
    for threads in [1, 2] {
        let into = format!("restored by {threads} of {}", backup.path().display());
        let options = RestoreOptions {
            threads: NonZeroUsize::new(threads),
            ..NEW
        };
        restore_in(&backup, &directory(storage, &into), options, &Unobserved).unwrap();
        assert!(
            sound(storage, &into).unwrap() == sound(storage, source).unwrap(),
            "{into}"
        );
        let [restored, from] =
            [&*into, source].map(|place| opened(storage, place).unwrap().snapshot());
        assert_same_pages(&restored, &from, &into);
        for name in listing(storage, &into).keys() {
            storage.remove_file(&Path::new(&into).join(name)).unwrap();
        }
    }
}

#[test]
fn of_a_chain_each_page_comes_from_the_last_that_has_it() {
    for dialect in DIALECTS {
        let storage = MemStorage::new();
        for (version, place) in [(0, "first"), (1, "second")] {
            stored_at(&storage, place, &tiny(dialect, version));
        }
        save(&storage, "first", "one", &single()).unwrap();
        save(&storage, "second", "two", &on("one")).unwrap();
        // What the second changed is changed back, so that the first has it, but as no page of the
        // chain.
        save(&storage, "first", "three", &on("two")).unwrap();
        save(&storage, "second", "four", &on("three")).unwrap();
        for (backup, source) in [
            ("one", "first"),
            ("two", "second"),
            ("three", "first"),
            ("four", "second"),
        ] {
            assert_restores(&storage, backup, source);
        }
    }
}

/// A repository of which several pages are the same, byte for byte: those that continue a record of
/// equal bytes. And the same files with a mapping that has all of them in one place, which is
/// damage.
fn with_equal_pages() -> (Files, Files) {
    let storage = MemStorage::new();
    let place = Directory::new(Arc::new(storage.clone()), PLACE);
    storage.create_dir(Path::new(PLACE)).unwrap();
    let mut builder = BulkBuilder::create_seeded(place, 1).unwrap();
    let record = builder.record(&[7; 60_000]).unwrap();
    builder.key(b"NS_0\\CD_1", Some(record)).unwrap();
    builder.finish().unwrap();
    let healthy = listing(&storage, PLACE);
    let mut damaged = healthy.clone();
    for name in healthy.keys().filter(|name| name.starts_with("MAPPING")) {
        edit_mapping(&mut damaged, name, |mapping| {
            let first = mapping.objects.entries[2].physical;
            mapping.objects.entries[3].physical = first;
            mapping.objects.entries[5].physical = first;
        });
    }
    (healthy, damaged)
}

#[test]
fn pages_that_a_forensic_base_holds_once_get_places_of_their_own() {
    let (healthy, damaged) = with_equal_pages();
    let storage = MemStorage::new();
    stored_at(&storage, "healthy", &healthy);
    stored_at(&storage, "damaged", &damaged);
    let forensic = BackupOptions {
        forensic: true,
        ..single()
    };
    assert!(
        save(&storage, "damaged", "base", &forensic)
            .unwrap()
            .damage
            .is_some()
    );
    let base = OpenBackup::new()
        .open_in(&shared(&storage), "base")
        .unwrap();
    let page = |number| {
        base.manifest()
            .space(Space::Objects)
            .page(LogicalPage::new(number).unwrap())
    };
    assert!(matches!(
        (page(3), page(5)),
        (PageState::Same(..), PageState::Same(..))
    ));
    save(&storage, "healthy", "increment", &on("base")).unwrap();
    save(&storage, "healthy", "another", &on("increment")).unwrap();
    for backup in ["increment", "another"] {
        let top = OpenBackup::new()
            .open_in(&shared(&storage), backup)
            .unwrap();
        let page = |number| {
            top.manifest()
                .space(Space::Objects)
                .page(LogicalPage::new(number).unwrap())
        };
        assert!(matches!(
            (page(3), page(5)),
            (PageState::InBase(_), PageState::InBase(_))
        ));
        assert_eq!(top.header().dialect, Dialect::V22);
        assert_restores(&storage, backup, "healthy");
    }
}
