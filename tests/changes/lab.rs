//! What the tests of changes share.

use std::sync::{Arc, OnceLock};

use cimrepo::Error;
use cimrepo::base::rule::Rule;
use cimrepo::catalog::Catalog;
use cimrepo::catalog::{CatalogWriter, create};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::OpenOptions;
use cimrepo::store::{Engine, EngineOptions};

use crate::support::content::{Content, check_keys};
use crate::support::{Files, assert_clean, in_memory};

/// A new repository in memory.
pub fn new_repository() -> Directory {
    static FILES: OnceLock<Files> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let storage = MemStorage::new();
        create(&Directory::new(Arc::new(storage.clone()), ".")).unwrap();
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
    });
    in_memory(files).1
}

/// A repository opened for writing, which is checked when it is closed.
pub struct Lab {
    pub engine: Engine,
    directory: Directory,
}

impl Lab {
    pub fn new() -> Self {
        Self::over(new_repository())
    }

    pub fn over(directory: Directory) -> Self {
        let engine = EngineOptions::new()
            .background(false)
            .open_in(&directory)
            .unwrap();
        Self { engine, directory }
    }

    pub fn writer(&self) -> CatalogWriter<'_> {
        self.engine.begin_catalog_write().unwrap()
    }

    pub fn catalog(&self) -> Catalog {
        Catalog::new(self.engine.snapshot())
    }

    /// Runs changes that must be possible, commits them and checks all keys.
    pub fn write(
        &self,
        change: impl FnOnce(&mut CatalogWriter<'_>) -> cimrepo::Result<()>,
    ) -> Content {
        self.write_unchecked(change);
        check_keys(&self.catalog(), "after a change")
    }

    /// Runs changes that must be possible and commits them. To be checked later: of a large
    /// repository that takes long.
    pub fn write_unchecked(
        &self,
        change: impl FnOnce(&mut CatalogWriter<'_>) -> cimrepo::Result<()>,
    ) {
        let mut writer = self.writer();
        change(&mut writer).unwrap();
        writer.commit().unwrap();
    }

    /// Runs a change that must break this rule. Nothing has changed then.
    pub fn refused<T: std::fmt::Debug>(
        &self,
        rule: Rule,
        change: impl FnOnce(&mut CatalogWriter<'_>) -> cimrepo::Result<T>,
    ) -> String {
        let before = keys(&self.catalog());
        let mut writer = self.writer();
        let error = change(&mut writer).unwrap_err();
        let Error::Rule { rule: found, text } = &error else {
            panic!("{error:?} is not {rule:?}")
        };
        assert_eq!(*found, rule, "{error}");
        let text = text.to_string();
        writer.commit().unwrap();
        assert_eq!(keys(&self.catalog()), before, "{text}");
        text
    }

    /// Closes the repository and verifies it.
    pub fn close(self) {
        check_keys(&self.catalog(), "at the end");
        self.engine.close().unwrap();
        assert_clean(
            &OpenOptions::new().open_in(&self.directory).unwrap(),
            "at the end",
        );
    }
}

fn keys(catalog: &Catalog) -> Vec<String> {
    crate::support::content::keys(catalog, "")
        .iter()
        .map(ToString::to_string)
        .collect()
}
