//! Remains of earlier states: what was deleted is found, what is found is right.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use cimrepo::base::page_no::PAGE_SIZE;
use cimrepo::base::progress::{Progress, Unobserved};
use cimrepo::catalog::{Catalog, CatalogWriter, Put, PutClass, ROOT};
use cimrepo::cim::class::{Class, Property};
use cimrepo::cim::instance::Instance;
use cimrepo::cim::types::ScalarType;
use cimrepo::forensics::carve::scan::{MAX_HITS, hits};
use cimrepo::forensics::carve::{Certainty, Evidence, Kind, Object, Status};
use cimrepo::forensics::{CarveOptions, Carver, Remnant};
use cimrepo::format::Dialect;
use cimrepo::format::record::class_record::ClassRecordView;
use cimrepo::format::record::instance_record::InstanceRecordView;
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::{EngineOptions, OpenOptions, Repository};
use proptest::prelude::*;

use support::{Files, corpus, in_memory, load, name_of};

fn carve(directory: &Directory) -> Carver {
    let evidence = Evidence::open(directory, OpenOptions::new()).unwrap();
    Carver::new(evidence, CarveOptions::new(), &Unobserved).unwrap()
}

fn remnants(files: &Files) -> Vec<Remnant> {
    let (_storage, directory) = in_memory(files);
    carve(&directory).collect()
}

/// The bytes of a record by its first place, read from the file itself.
fn at_place(files: &Files, remnant: &Remnant) -> Vec<u8> {
    let place = &remnant.places[0];
    let file = &files[place.file().file_name()];
    let page = |number: usize| &file[number * PAGE_SIZE..][..PAGE_SIZE];
    let mut joined: Vec<u8> = Vec::new();
    for (number, physical) in place.pages.iter().enumerate() {
        let start = if number == 0 {
            place.offset as usize
        } else {
            0
        };
        joined.extend(&page(physical.index())[start..]);
    }
    joined.truncate(place.size as usize);
    joined
}

/// Checks a row against the files, by nothing but the codec of records.
fn check_row(files: &Files, dialect: Dialect, remnant: &Remnant) {
    if remnant.kind == Kind::Key {
        return;
    }
    assert_eq!(at_place(files, remnant), remnant.bytes, "{remnant:?}");
    match &remnant.object {
        Some(Object::Class(class)) => {
            let view = ClassRecordView::parse(&remnant.bytes).unwrap();
            assert_eq!(Some(view.stamp()), remnant.written);
            assert_eq!(Some(class.name().as_str()), remnant.class.as_deref());
        }
        Some(Object::Instance(instance)) => {
            let view = InstanceRecordView::parse(&remnant.bytes, dialect).unwrap();
            let hash = view.class_hash().unwrap();
            let class = instance.class();
            let own = cimrepo::format::name_hash::NameHash::of(dialect, class.name().as_str());
            assert_eq!(hash, own);
            let (_, notes) = view.to_exact(class).unwrap();
            assert!(notes.heap.is_in_order());
        }
        _ => {}
    }
}

#[test]
fn each_real_repository_gives_rows_that_are_right() {
    for path in corpus("each_real_repository_gives_rows_that_are_right") {
        let files = load(&path);
        let dialect = Repository::open_read_only(&path).unwrap().dialect();
        let rows: Vec<Remnant> = carve(&Directory::real(&path)).collect();
        let mut counts: BTreeMap<(Kind, Status), usize> = BTreeMap::new();
        for row in &rows {
            check_row(&files, dialect, row);
            *counts.entry((row.kind, row.status)).or_default() += 1;
        }
        println!("{}: {counts:?}", name_of(&path));
        let is_sorted = rows.is_sorted_by_key(|row| (row.kind, row.namespace.clone()));
        assert!(is_sorted, "{}", name_of(&path));
    }
}

/// A class of a live repository is found, certain and with the right name, when nothing but
/// OBJECTS.DATA is left.
#[test]
fn objects_alone_give_the_classes_of_single_pages() {
    // The smallest tells as much as the others, and sooner.
    let repositories = corpus("objects_alone_give_the_classes_of_single_pages");
    let size = |path: &std::path::PathBuf| load(path)["OBJECTS.DATA"].len();
    if let Some(path) = repositories.into_iter().min_by_key(size) {
        let catalog = Catalog::new(Repository::open_read_only(&path).unwrap().snapshot());
        let mut files = load(&path);
        files.retain(|name, _| name == "OBJECTS.DATA");
        let rows = remnants(&files);
        assert!(rows.iter().all(|row| row.status == Status::Unknown));
        let found: std::collections::BTreeSet<(u64, &str)> = rows
            .iter()
            .filter(|row| row.kind == Kind::Class)
            .filter_map(|row| Some((row.written?, row.class.as_deref()?)))
            .collect();
        let (mut whole, mut missing) = (0, 0);
        for class in catalog.classes(r"ROOT\CIMV2").flatten() {
            let is_single = class.record.size as usize + 32 <= PAGE_SIZE;
            let is_found = found.contains(&(class.stamp.0, class.class.name().as_str()));
            whole += usize::from(is_single && is_found);
            missing += usize::from(is_single && !is_found);
        }
        println!("{}: {whole} of {}", name_of(&path), whole + missing);
        assert_eq!(missing, 0, "{}", name_of(&path));
    }
}

fn filter() -> Class {
    let text = |name| Property::new(name, ScalarType::String);
    Class::builder("Planted")
        .property(text("Name").key())
        .property(text("Query"))
        .build()
}

/// A repository in which `planted` instances were put and deleted, with so many transactions
/// behind the deletion.
fn with_deleted(planted: usize, behind: usize) -> Files {
    let storage = MemStorage::new();
    let directory = Directory::new(Arc::new(storage.clone()), Path::new("r"));
    storage.create_dir(Path::new("r")).unwrap();
    cimrepo::catalog::create::create(&directory).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory)
        .unwrap();
    let change = |change: &mut dyn FnMut(&mut CatalogWriter<'_>)| {
        let mut writer = engine.begin_catalog_write().unwrap();
        change(&mut writer);
        writer.commit().unwrap();
        engine.checkpoint().unwrap();
    };
    change(&mut |writer| {
        writer
            .put_class(ROOT, &filter(), PutClass::CREATE)
            .map(drop)
            .unwrap()
    });
    let class = {
        let catalog = Catalog::new(engine.snapshot());
        catalog
            .class(ROOT, "Planted")
            .unwrap()
            .unwrap()
            .class
            .clone()
    };
    let instance = |name: String| {
        let mut instance = Instance::new(class.clone());
        instance.set("Name", name.as_str()).unwrap();
        instance
            .set("Query", "SELECT * FROM Win32_ProcessStartTrace")
            .unwrap();
        instance
    };
    for number in 0..planted {
        change(&mut |writer| {
            let instance = instance(format!("planted {number}"));
            writer
                .put_instance(ROOT, &instance, Put::CreateOrUpdate)
                .map(drop)
                .unwrap();
        });
    }
    for number in 0..planted {
        change(&mut |writer| {
            let path = format!("Planted.Name=\"planted {number}\"")
                .parse()
                .unwrap();
            writer.delete_instance(ROOT, &path).map(drop).unwrap();
        });
    }
    for number in 0..behind {
        change(&mut |writer| {
            let instance = instance(format!("other {number}"));
            writer
                .put_instance(ROOT, &instance, Put::CreateOrUpdate)
                .map(drop)
                .unwrap();
        });
    }
    engine.close().unwrap();
    let mut files = Files::new();
    for entry in storage.read_dir(Path::new("r")).unwrap() {
        let file = storage
            .open(
                &Path::new("r").join(&entry.name),
                cimrepo::storage::OpenMode::Read,
            )
            .unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        cimrepo::storage::read_exact_at(file.as_ref(), 0, &mut bytes).unwrap();
        files.insert(entry.name, bytes);
    }
    files
}

#[test]
fn deleted_objects_are_found_as_long_as_their_pages_are() {
    const PLANTED: usize = 8;
    for behind in [0, 1, 3, 10, 100] {
        let files = with_deleted(PLANTED, behind);
        let rows = remnants(&files);
        let is_planted = |row: &&Remnant| {
            let path = row.path.as_deref().unwrap_or_default();
            row.kind == Kind::Instance && path.contains("planted ")
        };
        let found: std::collections::BTreeSet<&str> = rows
            .iter()
            .filter(is_planted)
            .inspect(|row| {
                assert_eq!(
                    (row.status, row.certainty),
                    (Status::Deleted, Certainty::Certain)
                );
                assert_eq!(row.namespace.as_deref(), Some(ROOT));
            })
            .filter_map(|row| row.path.as_deref())
            .collect();
        println!("{behind} transactions: {} of {PLANTED}", found.len());
        assert!(behind > 1 || !found.is_empty(), "{behind}");
        // An object that is there is never called deleted.
        let others = rows.iter().filter(|row| {
            let path = row.path.as_deref().unwrap_or_default();
            row.kind == Kind::Instance && path.contains("other ")
        });
        others.for_each(|row| assert_ne!(row.status, Status::Deleted, "{row:?}"));
        rows.iter()
            .for_each(|row| check_row(&files, Dialect::V22, row));
    }
}

#[test]
fn a_search_can_be_cancelled() {
    let files = with_deleted(1, 0);
    let (_storage, directory) = in_memory(&files);
    let evidence = Evidence::open(&directory, OpenOptions::new()).unwrap();
    let stop = |_: Progress| ControlFlow::Break(());
    let carver = Carver::new(evidence, CarveOptions::new(), &stop);
    assert!(matches!(carver, Err(cimrepo::Error::Cancelled)));
}

/// Free pages full of heads of records, each of which claims the rest of its page.
#[test]
fn garbage_like_records_ends_soon_and_is_said() {
    let mut files = with_deleted(1, 0);
    let mut head: Vec<u8> = (0..64).flat_map(|_| [b'A', 0]).collect();
    for _ in 0..2 {
        head.extend(0x01D0_0000_0000_0001u64.to_le_bytes());
    }
    let mut garbage = Vec::new();
    while garbage.len() < 200 * PAGE_SIZE {
        let left = PAGE_SIZE - garbage.len() % PAGE_SIZE;
        let claims = u32::try_from(left.saturating_sub(144)).unwrap();
        garbage.extend(&head);
        garbage.extend(claims.to_le_bytes());
        garbage.extend([0; 5]);
    }
    files.get_mut("OBJECTS.DATA").unwrap().extend(garbage);
    let (_storage, directory) = in_memory(&files);
    let mut carver = carve(&directory);
    assert!(carver.by_ref().all(|row| row.kind != Kind::Reference));
    assert_eq!(carver.counts().unreadable, 0);
}

#[test]
fn the_command_says_by_its_code_whether_it_found_something() {
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cimrepo"));
        command.args(arguments).output().unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("with");
    fs::create_dir(&place).unwrap();
    support::write_to(&with_deleted(2, 0), &place, ToOwned::to_owned);
    let place = place.to_str().unwrap();
    let out = dir.path().join("out");
    let found = run(&["recover", place, "--json", "--out", out.to_str().unwrap()]);
    assert_eq!(found.status.code(), Some(0), "{found:?}");
    assert!(fs::read_dir(&out).unwrap().count() > 0);
    let none = run(&["recover", place, "--class", "NoSuchClass"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    let backup = dir.path().join("b.cimbak");
    let backup = backup.to_str().unwrap();
    assert_eq!(
        run(&["backup", place, backup, "--forensic"]).status.code(),
        Some(0)
    );
    let same = run(&["recover", backup, "--json"]);
    assert_eq!(same.stdout, run(&["recover", place, "--json"]).stdout);
    let plain = dir.path().join("p.cimbak");
    let plain = plain.to_str().unwrap();
    assert_eq!(run(&["backup", place, plain]).status.code(), Some(0));
    assert_eq!(run(&["recover", plain]).status.code(), Some(2));
}

/// Two sources that go to one directory: neither overwrites what the other left, and nothing is
/// more readable than its source.
#[cfg(unix)]
#[test]
fn records_are_written_no_more_readable_than_their_source() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let sources = ["one", "two"].map(|name| dir.path().join(name));
    for source in &sources {
        fs::create_dir(source).unwrap();
        support::write_to(&with_deleted(2, 0), source, ToOwned::to_owned);
        for file in fs::read_dir(source).unwrap() {
            let private = fs::Permissions::from_mode(0o600);
            fs::set_permissions(file.unwrap().path(), private).unwrap();
        }
    }
    let written = |sources: &[std::path::PathBuf], out: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cimrepo"));
        command.arg("recover").args(sources).arg("--out");
        let run = command.arg(dir.path().join(out)).output().unwrap();
        assert_eq!(run.status.code(), Some(0), "{run:?}");
        let entries = fs::read_dir(dir.path().join(out)).unwrap();
        let modes = entries.map(|entry| entry.unwrap().metadata().unwrap().permissions().mode());
        modes.map(|mode| mode & 0o777).collect::<Vec<_>>()
    };
    let (one, both) = (written(&sources[..1], "first"), written(&sources, "all"));
    assert!(
        !one.is_empty() && one.iter().all(|mode| *mode == 0o600),
        "{one:?}"
    );
    assert_eq!(both.len(), 2 * one.len());

    let mut again = std::process::Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    again.arg("recover").arg(&sources[0]).arg("--out");
    let again = again.arg(dir.path().join("all")).output().unwrap();
    assert_eq!(again.status.code(), Some(2), "{again:?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(64)
    })]

    /// Whatever the bytes, candidates lie in them, and there are not more than the limit.
    #[test]
    fn candidates_lie_in_their_region(
        bytes in proptest::collection::vec(prop_oneof![
            Just(0u8), Just(1), Just(0xD0), Just(b'A'), Just(b'0'), any::<u8>()
        ], 0..1024),
        is_old: bool,
    ) {
        let dialect = if is_old { Dialect::V21 } else { Dialect::V22 };
        let (found, _) = hits(&bytes, dialect);
        prop_assert!(found.len() <= MAX_HITS);
        prop_assert!(found.iter().all(|hit| hit.offset + hit.length <= bytes.len()));
    }

    /// A record is found at whatever offset it lies, in whatever it lies.
    #[test]
    fn a_planted_record_is_found(
        front in proptest::collection::vec(any::<u8>(), 0..300),
        behind in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let class = cimrepo::cim::full_class::FullClass::compose(filter(), None).unwrap();
        let stamp = 0x01D0_1234_5678_9ABC;
        let record = cimrepo::format::record::class_record::encode_class_record(&class, stamp);
        let record = record.unwrap();
        let bytes = [&front[..], &record, &behind].concat();
        let (found, _) = hits(&bytes, Dialect::V22);
        let is_there = found.iter().any(|hit| {
            (hit.offset, hit.length, hit.kind) == (front.len(), record.len(), Kind::Class)
        });
        prop_assert!(is_there);
    }
}
