//! Backup, verify, restore, compare.

use std::path::Path;

use cimrepo::backup::{Backup, BackupOptions, Compression, OpenBackup, backup};
use cimrepo::base::page_no::{PAGE_SIZE, PageBytes, Space};
use cimrepo::base::progress::Unobserved;
use cimrepo::base::site::{FileRole, Site};
use cimrepo::format::Dialect;
use cimrepo::format::heap::page::{ObjectPage, end_in_last_page, pages_of};
use cimrepo::format::index::page::IndexPage;
use cimrepo::restore::{Installed, RestoreOptions, restore};
use cimrepo::storage::{MemStorage, Storage};
use cimrepo::store::{Repository, Snapshot};

use crate::support::small::{small_v21, small_v22};
use crate::support::{Files, PLACE, assert_clean, corpus, in_memory, load, name_of};
use crate::tiny::{
    DIALECTS, NEW, REPLACE, assert_same_content, assert_same_pages, checked, content, listing,
    load_into, opened, save, single, stored_at, tiny,
};

/// The real repositories and generated ones of both dialects.
fn repositories(test: &str) -> Vec<(String, Files)> {
    let mut all = vec![
        ("small 2.2".to_owned(), small_v22()),
        ("small 2.1".to_owned(), small_v21()),
    ];
    all.extend(DIALECTS.map(|dialect| (format!("tiny {dialect}"), tiny(dialect, 1))));
    all.extend(corpus(test).iter().map(|path| (name_of(path), load(path))));
    all
}

fn plain(compression: Compression) -> BackupOptions {
    BackupOptions {
        compression,
        ..single()
    }
}

/// Backs up, verifies, restores into a new directory and verifies that. Gives the storage that
/// holds all of it: the repository at [`PLACE`], the backup as `backup`, the restored one as
/// `restored`.
fn there_and_back(files: &Files, options: &BackupOptions, what: &str) -> MemStorage {
    let (storage, _) = in_memory(files);
    let summary = save(&storage, PLACE, "backup", options).unwrap();
    let backup = checked(&storage, "backup").unwrap();
    assert_eq!(
        backup.manifest().content_identity,
        summary.content_identity,
        "{what}"
    );
    assert_eq!(backup.info().bytes, summary.bytes, "{what}");
    assert_eq!(backup.info().pages, summary.pages, "{what}");
    let restored = load_into(&storage, "backup", "restored", NEW).unwrap();
    assert_eq!(restored.installed, Installed::New, "{what}");
    assert_clean(&opened(&storage, "restored").unwrap(), what);
    // A backup of what was restored has the same identity.
    let again = save(&storage, "restored", "again", &single()).unwrap();
    assert_eq!(again.content_identity, summary.content_identity, "{what}");
    storage
}

fn snapshots(storage: &MemStorage) -> [Snapshot; 3] {
    let backup = OpenBackup::new()
        .open_in(&crate::tiny::shared(storage), "backup")
        .unwrap();
    [
        opened(storage, PLACE).unwrap().snapshot(),
        backup.snapshot(),
        opened(storage, "restored").unwrap().snapshot(),
    ]
}

#[test]
fn every_page_and_record_comes_back() {
    for (what, files) in repositories("every_page_and_record_comes_back") {
        for compression in [Compression::None, Compression::Lz4] {
            let what = format!("{what}, {compression:?}");
            let [original, backup, restored] =
                snapshots(&there_and_back(&files, &plain(compression), &what));
            assert_same_pages(&original, &backup, &what);
            assert_same_pages(&original, &restored, &what);
            assert_same_content(&original, &restored, &what);
            assert_eq!(
                backup.mapping().generation(),
                original.mapping().generation()
            );
        }
    }
}

#[test]
fn it_works_the_same_on_files_and_with_threads() {
    let place = tempfile::tempdir().unwrap();
    for (what, files) in repositories("it_works_the_same_on_files_and_with_threads") {
        let original = place.path().join("original");
        std::fs::create_dir(&original).unwrap();
        crate::support::write_to(&files, &original, str::to_owned);
        let repository = Repository::open_read_only(&original).unwrap();
        let target = place.path().join("the backup");
        let threads = std::num::NonZeroUsize::new(3);
        let options = BackupOptions {
            threads,
            ..BackupOptions::default()
        };
        let summary = backup(&repository, &target, &options, &Unobserved).unwrap();
        assert_eq!(summary.bytes, std::fs::metadata(&target).unwrap().len());
        let restored = place.path().join("restored");
        let options = RestoreOptions {
            threads,
            ..RestoreOptions::default()
        };
        restore(
            &Backup::open(&target).unwrap(),
            &restored,
            options,
            &Unobserved,
        )
        .unwrap();
        let back = Repository::open_read_only(&restored).unwrap();
        assert_clean(&back, &what);
        assert_same_pages(&repository.snapshot(), &back.snapshot(), &what);
        // One thread makes the same pages, chunks and files of it.
        let (storage, _) = in_memory(&files);
        save(&storage, PLACE, "backup", &single()).unwrap();
        assert_eq!(
            checked(&storage, "backup").unwrap().manifest(),
            Backup::open(&target).unwrap().manifest(),
            "{what}"
        );
        load_into(&storage, "backup", "restored", NEW).unwrap();
        assert!(
            listing(&storage, "restored") == listing(&cimrepo::storage::RealStorage, &restored),
            "{what}"
        );
        // Windows removes no directory with a file open in it.
        drop((repository, back));
        for directory in [&original, &restored] {
            std::fs::remove_dir_all(directory).unwrap();
        }
    }
}

#[test]
fn a_forensic_backup_brings_every_byte_back() {
    for (what, mut files) in repositories("a_forensic_backup_brings_every_byte_back") {
        let whole = listing(&there_and_back(&files, &forensic(), &what), "restored");
        assert!(whole == files, "{what}: {:?}", whole.keys());
        // Files that do not end at a page border: what stands behind the last page is none.
        for (name, odd) in [("OBJECTS.DATA", 1), ("INDEX.BTR", 8191)] {
            let end = vec![0xD7; odd];
            files.get_mut(name).unwrap().extend(end);
        }
        let (storage, _) = in_memory(&files);
        save(&storage, PLACE, "backup", &forensic()).unwrap();
        load_into(&storage, "backup", "restored", NEW).unwrap();
        assert!(listing(&storage, "restored") == files, "{what}, odd ends");
    }
}

fn forensic() -> BackupOptions {
    BackupOptions {
        forensic: true,
        ..single()
    }
}

#[test]
fn a_forensic_backup_can_be_incremental() {
    for files in [small_v22(), small_v21()] {
        let (storage, _) = in_memory(&files);
        save(&storage, PLACE, "repository/base", &single()).unwrap();
        let options = BackupOptions {
            base: Some("repository/base".into()),
            ..forensic()
        };
        let summary = save(&storage, PLACE, "repository/top", &options).unwrap();
        assert!(summary.pages == 0 && summary.pages_in_base > 0);
        load_into(&storage, "repository/top", "restored", NEW).unwrap();
        assert!(listing(&storage, "restored") == files);
    }
}

#[test]
fn a_scrubbed_backup_keeps_the_content_and_no_slack() {
    for (what, files) in repositories("a_scrubbed_backup_keeps_the_content_and_no_slack") {
        let options = BackupOptions {
            scrub: true,
            ..single()
        };
        let storage = there_and_back(&files, &options, &what);
        let [original, backup, restored] = snapshots(&storage);
        assert_same_content(&original, &restored, &what);
        assert_same_pages(&backup, &restored, &what);
        let (before, after) = (slack(&original), slack(&restored));
        assert_eq!(before.len(), after.len(), "{what}");
        assert!(
            after
                .iter()
                .all(|slack| slack.iter().all(|&byte| byte == 0)),
            "{what}: slack is left"
        );
        let dirty = before
            .iter()
            .filter(|slack| slack.iter().any(|&byte| byte != 0))
            .count();
        println!(
            "{what}: {dirty} of {} pages had slack that was not zero",
            before.len()
        );
        assert!(
            dirty > 0 || ["tiny 2.2", "small 2.1"].contains(&&*what),
            "{what}: nothing was there to be scrubbed"
        );
    }
}

/// What stands behind the content of each mapped page.
fn slack(snapshot: &Snapshot) -> Vec<Vec<u8>> {
    let is_v21 = snapshot.dialect() == Dialect::V21;
    let mut slacks = Vec::new();
    for (page, ..) in snapshot
        .mapping()
        .index
        .mapped()
        .filter(|(page, ..)| !(is_v21 && page.get() == 0))
    {
        let bytes = snapshot.page(Space::Index, page).unwrap();
        slacks.push(
            IndexPage::parse(&bytes, page, Site::page(Space::Index, page))
                .unwrap()
                .slack()
                .to_vec(),
        );
    }
    let admin = admin_chain(snapshot);
    let mut continues = 0;
    for (page, ..) in snapshot.mapping().objects.mapped() {
        let bytes = snapshot.page(Space::Objects, page).unwrap();
        if let Some(used) = admin
            .iter()
            .find(|(admin, _)| *admin == page.get())
            .map(|(_, used)| *used)
        {
            slacks.push(bytes[used..].to_vec());
        } else if continues != 0 {
            continues -= 1;
        } else {
            continues = object_slack(snapshot, page, &bytes, &mut slacks);
        }
    }
    slacks
}

/// Adds the slack of an object page that is no continuation; gives the number of pages that
/// continue its record.
fn object_slack(
    snapshot: &Snapshot,
    page: cimrepo::base::page_no::LogicalPage,
    bytes: &PageBytes,
    slacks: &mut Vec<Vec<u8>>,
) -> u32 {
    let view = ObjectPage::new(bytes);
    let Some(head) = view.multi_page_head() else {
        slacks.push(bytes[view.end()..].to_vec());
        return 0;
    };
    let more = pages_of(head.size) - 1;
    let last = snapshot
        .page(Space::Objects, page.checked_add(more).unwrap())
        .unwrap();
    slacks.push(last[end_in_last_page(head.size)..].to_vec());
    more
}

/// The admin pages of the heap, each with the bytes it uses.
fn admin_chain(snapshot: &Snapshot) -> Vec<(u32, usize)> {
    let mut chain = Vec::new();
    let mut next = (snapshot.dialect() == Dialect::V21).then_some(0);
    while let Some(number) = next {
        let page = crate::support::small::logical(number);
        let bytes = snapshot.page(Space::Objects, page).unwrap();
        let site = Site::file(FileRole::Objects);
        let admin =
            cimrepo::format::heap::admin_page::ObjectAdminPage::parse(&bytes, site).unwrap();
        chain.push((number, admin.used()));
        next = (admin.next != 0).then_some(admin.next);
    }
    assert!(chain.iter().all(|(_, used)| *used <= PAGE_SIZE));
    chain
}

#[test]
fn the_parts_of_a_chain_give_each_state_again() {
    for dialect in DIALECTS {
        let storage = MemStorage::new();
        storage.create_dir(Path::new("kept")).unwrap();
        let mut base = None;
        for version in 0..4u8 {
            make_state(&storage, dialect, version);
            let target = format!("kept/state {version}");
            let options = BackupOptions {
                base: base.clone(),
                ..single()
            };
            let summary = save(&storage, "repository", &target, &options).unwrap();
            if version > 0 {
                assert!(
                    summary.pages > 0 && summary.pages_in_base > 0,
                    "{dialect}: {summary:?}"
                );
            }
            base = Some(target.into());
        }
        for version in 0..4u8 {
            let path = format!("kept/state {version}");
            let backup = checked(&storage, &path).unwrap();
            assert_eq!(backup.chain_len(), usize::from(version) + 1);
            let into = format!("restored {version}");
            load_into(&storage, &path, &into, NEW).unwrap();
            let restored = opened(&storage, &into).unwrap();
            assert_clean(&restored, &path);
            stored_at(&storage, "expected", &tiny(dialect, version));
            assert!(
                content(&restored.snapshot())
                    == content(&opened(&storage, "expected").unwrap().snapshot())
            );
            assert_same_pages(&backup.snapshot(), &restored.snapshot(), &path);
            let full = save(&storage, &into, "full", &single()).unwrap();
            assert_eq!(
                full.content_identity,
                backup.manifest().content_identity,
                "{path}"
            );
            assert_eq!(full.pages_in_base, 0);
        }
    }
}

/// Brings the repository to a state: as next generation, where the dialect has that.
fn make_state(storage: &MemStorage, dialect: Dialect, version: u8) {
    let files = tiny(dialect, version);
    if version == 0 || dialect == Dialect::V21 {
        return stored_at(storage, "repository", &files);
    }
    stored_at(storage, "other", &files);
    save(storage, "other", "other backup", &single()).unwrap();
    let summary = load_into(storage, "other backup", "repository", REPLACE).unwrap();
    assert!(
        matches!(summary.installed, Installed::NextGeneration { .. }),
        "{summary:?}"
    );
    assert!(
        summary.pages_kept > 0 && summary.pages_written > 0,
        "{summary:?}"
    );
}

#[test]
fn real_repositories_go_through_a_chain() {
    for path in corpus("real_repositories_go_through_a_chain") {
        let what = name_of(&path);
        let (storage, _) = in_memory(&load(&path));
        let full = save(&storage, PLACE, "repository/full", &single()).unwrap();
        let mut options = BackupOptions {
            base: Some("repository/full".into()),
            scrub: true,
            ..single()
        };
        let scrubbed = save(&storage, PLACE, "repository/scrubbed", &options).unwrap();
        options = BackupOptions {
            base: Some("repository/scrubbed".into()),
            ..single()
        };
        let third = save(&storage, PLACE, "repository/third", &options).unwrap();
        println!(
            "{what}: {} pages, scrubbed {}, back again {}",
            full.pages, scrubbed.pages, third.pages
        );
        // What scrubbing changed is in both of the later ones: only the next base is looked at.
        assert!(
            scrubbed.pages > 0 && third.pages == scrubbed.pages,
            "{what}"
        );
        assert_eq!(third.content_identity, full.content_identity, "{what}");
        load_into(&storage, "repository/third", "restored", NEW).unwrap();
        let restored = opened(&storage, "restored").unwrap();
        assert_clean(&restored, &what);
        assert_same_pages(
            &opened(&storage, PLACE).unwrap().snapshot(),
            &restored.snapshot(),
            &what,
        );
    }
}

#[test]
fn a_backup_is_read_like_a_repository_from_any_storage() {
    let (storage, _) = in_memory(&small_v22());
    save(&storage, PLACE, "backup", &single()).unwrap();
    let bytes = crate::tiny::bytes_of(&storage, Path::new("backup"));
    let elsewhere = MemStorage::new();
    elsewhere.put("another name", bytes);
    let backup = checked(&elsewhere, "another name").unwrap();
    let counts = opened(&storage, PLACE).unwrap().snapshot().counts();
    assert_eq!(backup.snapshot().counts(), counts);
    let summary = &backup.manifest().summary;
    assert_eq!(
        (summary.keys, summary.records),
        (counts.keys, counts.records)
    );
    assert_eq!(
        (summary.class_definitions, summary.instances),
        (counts.class_definitions, counts.instances)
    );
    assert_eq!(summary.namespaces.len() as u64, counts.namespaces);
}
