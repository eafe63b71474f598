//! MOF: the parser alone, a compile into a new repository, and the export of real ones. With
//! `CIMREPO_MOF` (default `target/corpus/mof`) the schema of DMTF is read, else one made here.

#![allow(
    missing_docs,
    reason = "a macro of the harness makes a public function"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot measure stops"
)]

mod support;

use std::fmt::Write;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cimrepo::base::error::Error;
use cimrepo::catalog::{Catalog, Census, create};
use cimrepo::compile::{CompileOptions, FileIncludes, MofSource, compile};
use cimrepo::export::{Sink, export_mof};
use cimrepo::storage::{Directory, MemStorage, RealStorage};
use cimrepo::store::{EngineOptions, Repository};
use cimrepo::text::mof::{ParseOptions, Unsaid, parse};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// The schema of DMTF, as far as it is there.
fn schema() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpus/mof");
    let place = std::env::var_os("CIMREPO_MOF").map_or_else(default, PathBuf::from);
    let main = place.join("dmtf-2.41/DMTF/cim_schema_2.41.0.mof");
    main.is_file().then_some(main)
}

/// The MOF files below a directory, joined.
fn joined(directory: &Path, text: &mut String) {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            joined(&path, text);
        } else {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// Classes of the shape of those of a schema.
fn made() -> String {
    let mut text = String::new();
    for class in 0..1_500 {
        writeln!(
            text,
            "[Version(\"1\"), Description(\"Made class {class}\")] class M_{class}\n{{"
        )
        .unwrap();
        for property in 0..12 {
            let words = "A made property with a sentence of the usual length. ".repeat(3);
            writeln!(
                text,
                "  [Description(\"{words}\"), Write, MaxLen(64)] string P{property};"
            )
            .unwrap();
        }
        text.push_str("};\n");
    }
    text
}

fn parsing(criterion: &mut Criterion) {
    let mut text = String::new();
    match schema() {
        Some(main) => joined(main.parent().unwrap(), &mut text),
        None => text = made(),
    }
    let mut group = criterion.benchmark_group("mof");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("parse", |bench| {
        bench.iter(|| {
            black_box(parse(&text, ParseOptions::default()))
                .file
                .items
                .len()
        })
    });
    group.finish();
}

/// A new repository in memory, and in it the sources.
fn compiled(source: &MofSource) -> usize {
    let directory = Directory::new(Arc::new(MemStorage::new()), ".");
    create(&directory).unwrap();
    let engine = EngineOptions::new().background(false).open_in(&directory);
    let engine = engine.unwrap();
    let mut includes = FileIncludes::new(Arc::new(RealStorage), "/");
    let sources = std::slice::from_ref(source);
    let options = CompileOptions::default();
    let report = compile(&engine, sources, &mut includes, &options).unwrap();
    assert!(report.is_stored());
    report.operations.len()
}

fn compiling(criterion: &mut Criterion) {
    let source = match schema() {
        Some(main) => MofSource::new(main.to_str().unwrap(), std::fs::read(&main).unwrap()),
        None => MofSource::new("made.mof", made()),
    };
    let mut group = criterion.benchmark_group("mof");
    group.sample_size(10);
    group.bench_function("compile", |bench| bench.iter(|| compiled(&source)));
    group.finish();
}

/// Counts what is printed.
#[derive(Default)]
struct Counter(u64);

impl Sink for Counter {
    type Error = std::convert::Infallible;

    fn text(&mut self, text: &str) -> Result<(), Self::Error> {
        self.0 += text.len() as u64;
        Ok(())
    }

    fn unsaid(&mut self, _: &str, _: &Unsaid) -> Result<(), Self::Error> {
        Ok(())
    }

    fn lost(&mut self, _: &str, _: &Error) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn exported(path: &Path) -> u64 {
    let repository = Repository::open_read_only(path).unwrap();
    let catalog = Catalog::new(repository.snapshot());
    let namespaces: Vec<String> = catalog.namespaces().into_iter().flatten().collect();
    let mut sink = Counter::default();
    let mut census = Census::default();
    export_mof(&catalog, &namespaces, None, &mut census, &mut sink).unwrap();
    sink.0
}

fn exporting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mof");
    group.sample_size(10);
    for (name, path) in support::repositories() {
        group.throughput(Throughput::Bytes(support::file_bytes(&path)));
        group.bench_function(format!("export/{name}"), |bench| {
            bench.iter(|| exported(&path))
        });
    }
    group.finish();
}

criterion_group!(benches, parsing, compiling, exporting);
criterion_main!(benches);
