//! The front door: an embedder's program needs one `use` line, and may share the main types between
//! threads.

#![allow(clippy::unwrap_used)]

use cimrepo::query::Row;
use cimrepo::service::{Connection, NamespaceConnection, Standby};
use cimrepo::{
    Backup, BackupOptions, Catalog, Class, Engine, Error, Instance, Property, Put, PutClass,
    Repository, RestoreOptions, ScalarType, Service, Snapshot, StoredClass, StoredInstance,
    Unobserved, Value, VerifyOptions, backup, query, restore, verify,
};

/// Compiles for those alone that any thread may hold, for as long as it likes.
const fn is_shared<T: Send + Sync + 'static>() {}

#[test]
fn the_main_types_are_shared_between_threads() {
    is_shared::<Repository>();
    is_shared::<Snapshot>();
    is_shared::<Catalog>();
    is_shared::<Engine>();
    is_shared::<Backup>();
    is_shared::<Service>();
    is_shared::<Connection>();
    is_shared::<NamespaceConnection>();
    is_shared::<Standby>();
    is_shared::<StoredClass>();
    is_shared::<StoredInstance>();
    is_shared::<Class>();
    is_shared::<Instance>();
    is_shared::<Value>();
    is_shared::<Error>();
}

#[test]
fn a_repository_goes_from_its_creation_to_its_restore() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Repository");

    let engine = Engine::create(&path).unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    writer.create_namespace(r"ROOT\Shop").unwrap();
    let shelf = Class::builder("Shelf")
        .property(Property::new("Name", ScalarType::String).key())
        .build();
    let shelf = writer
        .put_class(r"ROOT\Shop", &shelf, PutClass::CREATE)
        .unwrap();
    let left = Instance::new(shelf.class.clone())
        .with("Name", "left")
        .unwrap();
    writer
        .put_instance(r"ROOT\Shop", &left, Put::CreateOnly)
        .unwrap();
    writer.commit().unwrap();
    engine.close().unwrap();

    let repository = Repository::open_read_only(&path).unwrap();
    let report = verify(&repository, VerifyOptions::default(), &Unobserved).unwrap();
    assert_eq!(report.findings().count(), 0);
    let file = folder.path().join("monday.cimbak");
    backup(&repository, &file, &BackupOptions::default(), &Unobserved).unwrap();
    let restored = folder.path().join("restored");
    let opened = Backup::open(&file).unwrap();
    restore(&opened, &restored, RestoreOptions::default(), &Unobserved).unwrap();

    let catalog = Repository::open_read_only(&restored).unwrap().catalog();
    let text = "SELECT * FROM Shelf";
    let rows = query(&catalog, r"ROOT\Shop", text, Default::default()).unwrap();
    let rows: Vec<_> = rows.map(Result::unwrap).collect();
    assert!(matches!(&*rows, [Row::Instance(row)] if row.stored.instance == left));
}

#[test]
fn a_repository_is_created_in_a_missing_or_an_empty_directory() {
    let folder = tempfile::tempdir().unwrap();
    drop(Engine::create(folder.path().join("missing")).unwrap());
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    drop(Engine::create(&empty).unwrap());

    let again = Engine::create(&empty).unwrap_err();
    assert!(matches!(again, Error::InvalidArgument(_)), "{again}");
    let deep = folder.path().join("not/there");
    let deep = Engine::create(&deep).unwrap_err();
    assert!(matches!(deep, Error::Io { .. }), "{deep}");
    assert!(!folder.path().join("not").exists());
}
