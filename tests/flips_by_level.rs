//! The share of flipped bits that each level of verification finds, in repositories of real
//! objects.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use cimrepo::catalog::{CatalogWriter, Put, PutClass, create};
use cimrepo::cim::{Class, Flavor, Instance, Property, Qualifier, ScalarType};
use cimrepo::storage::{Directory, MemStorage, Storage, read_exact_at};
use cimrepo::store::EngineOptions;
use cimrepo::verify::Level;

use support::areas::{Area, areas};
use support::flips::{Look, Tally, positions, run};
use support::{Files, corpus, load, name_of};

/// Bits of each data file that are flipped in a small repository.
const SMALL_FLIPS: usize = 200;

/// The same in a real one, where every look at all objects takes a while.
const REAL_FLIPS: usize = 15;

const LEVELS: [Level; 3] = [Level::Structure, Level::References, Level::Schema];

/// Classes with qualifiers, defaults and a reference, and instances that refer to one another.
fn fill(writer: &mut CatalogWriter<'_>) {
    writer.create_namespace(r"ROOT\Shop").unwrap();
    let shelf = Class::builder("Shop_Shelf")
        .qualifier(Qualifier::new(
            "Description",
            "where things stand",
            Flavor::TO_SUBCLASS,
        ))
        .property(Property::new("Name", ScalarType::String).key())
        .property(Property::new("Boards", ScalarType::Uint32).default(3u32))
        .build();
    let shelf = writer
        .put_class(r"ROOT\Shop", &shelf, PutClass::CREATE)
        .unwrap()
        .class
        .clone();
    let thing = Class::builder("Shop_Thing")
        .property(Property::new("Number", ScalarType::Uint32).key())
        .property(Property::new("Note", ScalarType::String))
        .property(Property::new("Stands", ScalarType::Reference).of_class("Shop_Shelf"))
        .build();
    let thing = writer
        .put_class(r"ROOT\Shop", &thing, PutClass::CREATE)
        .unwrap()
        .class
        .clone();
    for number in 0..40u32 {
        let name = format!("shelf {number}");
        let instance = Instance::new(shelf.clone())
            .with("Name", name.as_str())
            .unwrap();
        writer
            .put_instance(r"ROOT\Shop", &instance, Put::CreateOnly)
            .unwrap();
        let path = cimrepo::cim::value::Value::Reference(format!(r#"Shop_Shelf.Name="{name}""#));
        let instance = Instance::new(thing.clone()).with("Number", number).unwrap();
        let instance = instance
            .with("Note", "a note of some length")
            .unwrap()
            .with("Stands", path)
            .unwrap();
        writer
            .put_instance(r"ROOT\Shop", &instance, Put::CreateOnly)
            .unwrap();
    }
}

/// A repository that the engine has made, with objects of every kind.
fn made() -> Files {
    let storage = MemStorage::new();
    storage.create_dir(Path::new("made")).unwrap();
    let directory = Directory::new(Arc::new(storage.clone()), "made");
    create(&directory).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory)
        .unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    fill(&mut writer);
    writer.commit().unwrap();
    engine.close().unwrap();
    let read = |name: &str| {
        let file = storage
            .open(&directory.join(name), cimrepo::storage::OpenMode::Read)
            .unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        read_exact_at(&*file, 0, &mut bytes).unwrap();
        bytes
    };
    let names = storage
        .read_dir(&directory.path)
        .unwrap()
        .into_iter()
        .map(|entry| entry.name);
    let role = |name: &String| cimrepo::base::site::FileRole::from_file_name(name).is_some();
    names
        .filter(role)
        .map(|name| (name.clone(), read(&name)))
        .collect()
}

/// Flips bits of both data files and prints, by area, how many each level finds.
fn flip(what: &str, files: &Files, count: usize) {
    let areas = areas(files, false);
    let data = ["OBJECTS.DATA", "INDEX.BTR"];
    let spread = |name: &&str| positions(name, &areas[*name], count, |area| !area.is_never_seen());
    let list: Vec<_> = data.iter().flat_map(spread).collect();
    let mut before = vec![false; list.len()];
    let mut table: BTreeMap<Area, [Tally; 3]> = BTreeMap::new();
    for (column, level) in LEVELS.into_iter().enumerate() {
        let seen = run(
            files,
            &list,
            Look {
                all_generations: false,
                read_all: false,
                level,
            },
        );
        for ((position, seen), before) in list.iter().zip(&seen).zip(&before) {
            let area = areas[&position.file][position.byte];
            assert!(
                *seen || !area.is_always_seen(),
                "{what}, {level:?}: no word of {position:?}"
            );
            assert!(
                *seen || !before,
                "{what}, {level:?}: {position:?} was found by the level before"
            );
            let tally = &mut table.entry(area).or_default()[column];
            tally.flips += 1;
            tally.seen += usize::from(*seen);
        }
        before = seen;
    }
    for (area, [structure, references, schema]) in table {
        println!(
            "{what:<10} {area:<12?} of {:>4}: structure {:>4}, references {:>4}, schema {:>4}",
            structure.flips, structure.seen, references.seen, schema.seen
        );
    }
}

#[test]
fn deeper_levels_find_more_in_a_repository_of_ours() {
    flip("made", &made(), SMALL_FLIPS);
}

#[test]
fn deeper_levels_find_more_in_real_repositories() {
    for path in corpus("deeper_levels_find_more_in_real_repositories") {
        // What lies next to the files is none of the repository's.
        assert!(fs::metadata(&path).unwrap().is_dir());
        flip(&name_of(&path), &load(&path), REAL_FLIPS);
    }
}
