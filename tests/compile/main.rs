//! MOF compiled into repositories: what is stored, what is refused, and real files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

#[path = "../support/bmf.rs"]
mod bmf;

mod amendment;
mod binary;
mod codes;
#[cfg(feature = "cli")]
mod command;
mod corpus;
mod faults;
mod hostile;
mod meaning;
mod rules;

use std::sync::Arc;

use cimrepo::catalog::Catalog;
use cimrepo::catalog::create;
use cimrepo::compile::{CompileOptions, CompileReport, MofSource, NoIncludes, compile};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{Engine, EngineOptions};

/// A new repository in memory.
pub(crate) fn engine() -> Engine {
    let directory = Directory::new(Arc::new(MemStorage::new()), ".");
    create(&directory).unwrap();
    EngineOptions::new().open_in(&directory).unwrap()
}

/// Options whose keys are always the same.
pub(crate) fn options() -> CompileOptions {
    let mut options = CompileOptions::default();
    options.new_key = Arc::new(|| "{00000000-0000-4000-8000-000000000000}".to_owned());
    options
}

pub(crate) fn run(engine: &Engine, text: &str, options: &CompileOptions) -> CompileReport {
    compile(
        engine,
        &[MofSource::new("test.mof", text)],
        &mut NoIncludes,
        options,
    )
    .unwrap()
}

/// Compiles a text that has no error.
pub(crate) fn stored(engine: &Engine, text: &str) -> CompileReport {
    let report = run(engine, text, &options());
    let all: Vec<String> = report
        .diagnostics
        .iter()
        .map(|one| report.sources.render(one))
        .collect();
    assert!(report.is_stored(), "{}", all.join("\n"));
    report
}

pub(crate) fn catalog(engine: &Engine) -> Catalog {
    Catalog::new(engine.snapshot())
}
