//! A journal that someone planted hides and shows nothing unnoticed: both states are checked, and
//! what differs is named.

use cimrepo::catalog::create;
use cimrepo::catalog::diff::Change;
use cimrepo::storage::Directory;

use crate::{check, killed, open, still};

/// A repository of the system classes, with a journal in which `change` was committed.
fn with_journal(change: impl FnOnce(&mut cimrepo::catalog::CatalogWriter<'_>)) -> Directory {
    let storage = std::sync::Arc::new(cimrepo::storage::MemStorage::new());
    let directory = Directory::new(storage, ".");
    create(&directory).unwrap();
    let engine = still().open_in(&directory).unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    change(&mut writer);
    writer.commit().unwrap();
    killed(&directory).1
}

#[test]
fn what_a_journal_shows_is_named() {
    let directory = with_journal(|writer| writer.create_namespace(r"ROOT\PLANTED").unwrap());
    let report = check(&open(&directory));
    assert!(report.is_consistent(), "{report:?}");
    let difference = &report.journal.difference;
    assert!(
        difference.added > 0 && difference.keys_added > 0 && difference.removed == 0,
        "{difference:?}"
    );
    let planted = |one: &&cimrepo::catalog::diff::Difference| one.path == r"ROOT\PLANTED";
    assert_eq!(
        difference.first.iter().find(planted).map(|one| &one.change),
        Some(&Change::Added)
    );
}

#[test]
fn what_a_journal_hides_is_named() {
    let directory = with_journal(|writer| writer.delete_namespace(r"ROOT\SECURITY").unwrap());
    let report = check(&open(&directory));
    let difference = &report.journal.difference;
    assert!(
        difference.removed > 0 && difference.keys_removed > 0,
        "{difference:?}"
    );
    let hidden = |one: &&cimrepo::catalog::diff::Difference| one.path == r"ROOT\SECURITY";
    assert_eq!(
        difference.first.iter().find(hidden).map(|one| &one.change),
        Some(&Change::Removed)
    );
}
