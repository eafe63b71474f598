//! Repositories of our own, and the command over them.

use std::path::Path;
use std::sync::Arc;

use cimrepo::catalog::Catalog;
use cimrepo::catalog::{CatalogWriter, create};
use cimrepo::cim::{Class, ClassBuilder, Property, ScalarType};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::EngineOptions;
use cimrepo::store::OpenOptions;

use crate::support::Files;

/// Where the repository lies in its storage.
const PLACE: &str = ".";

/// The files of a new repository after changes that must be possible.
pub fn made(change: impl FnOnce(&mut CatalogWriter<'_>) -> cimrepo::Result<()>) -> Files {
    let storage = MemStorage::new();
    let directory = Directory::new(Arc::new(storage.clone()), PLACE);
    create(&directory).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory)
        .unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    change(&mut writer).unwrap();
    writer.commit().unwrap();
    engine.close().unwrap();
    let names = [
        "OBJECTS.DATA",
        "INDEX.BTR",
        "MAPPING1.MAP",
        "MAPPING2.MAP",
        "MAPPING3.MAP",
    ];
    names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), storage.get(name)?)))
        .collect()
}

/// The objects of these files.
pub fn catalog(files: &Files) -> Catalog {
    let repository = OpenOptions::new()
        .open_in(&crate::support::in_memory(files).1)
        .unwrap();
    Catalog::new(repository.snapshot())
}

/// A class with a number as key.
pub fn keyed(name: &str) -> ClassBuilder {
    Class::builder(name).property(Property::new("Id", ScalarType::Uint32).key())
}

/// What the command printed and how it ended.
#[cfg(feature = "cli")]
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs the command.
#[cfg(feature = "cli")]
pub fn cimrepo(arguments: &[&dyn AsRef<Path>]) -> Ran {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    command.args(
        arguments
            .iter()
            .map(|argument| argument.as_ref().as_os_str()),
    );
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// The files on disk, for the command.
pub fn on_disk(files: &Files) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    crate::support::write_to(files, dir.path(), ToOwned::to_owned);
    dir
}
