//! Real files: the schema of DMTF whole. Ignored without `CIMREPO_MOF`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cimrepo::compile::{CompileOptions, FileIncludes, MofSource, Outcome, compile, compile_in};
use cimrepo::storage::RealStorage;

use super::{catalog, engine};

/// The unpacked MOF files: `$CIMREPO_MOF`, else `target/corpus/mof`.
pub(crate) fn place() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpus/mof");
    let place = std::env::var_os("CIMREPO_MOF").map_or_else(default, PathBuf::from);
    place.is_dir().then_some(place)
}

#[test]
fn the_schema_of_dmtf_is_compiled_whole() {
    let Some(place) = place() else {
        eprintln!("no MOF files: nothing was compiled");
        return;
    };
    let main = place.join("dmtf-2.41/DMTF/cim_schema_2.41.0.mof");
    if !main.is_file() {
        eprintln!("no schema of DMTF: nothing was compiled");
        return;
    }
    let engine = engine();
    let source = MofSource::new(main.to_str().unwrap(), std::fs::read(&main).unwrap());
    let mut includes = FileIncludes::new(Arc::new(RealStorage), "/");
    let report = compile(
        &engine,
        &[source],
        &mut includes,
        &CompileOptions::default(),
    )
    .unwrap();
    let errors: Vec<_> = report
        .diagnostics
        .iter()
        .filter(|one| one.is_error())
        .collect();
    let shown: Vec<String> = errors
        .iter()
        .take(5)
        .map(|one| report.sources.render(one))
        .collect();
    assert!(report.is_stored(), "{}", shown.join("\n"));
    assert_eq!(report.count(Outcome::Created), 1_438);
    assert_eq!(
        catalog(&engine)
            .classes(r"root\default")
            .filter(|one| one.is_ok())
            .count(),
        1_438 + 2
    );
}

/// The files below a directory, in order.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// Compiles every file alone into a new repository, and prints by folder how many are stored and
/// why the others are not.
#[test]
#[ignore = "thousands of files; run it with --ignored --nocapture"]
fn every_file_is_stored_or_refused_with_a_reason() {
    let Some(place) = place() else {
        eprintln!("no MOF files: nothing was compiled");
        return;
    };
    let engine = engine();
    let mut all = Vec::new();
    files(&place, &mut all);
    let mut table: BTreeMap<String, BTreeMap<&'static str, Vec<String>>> = BTreeMap::new();
    for file in &all {
        let folder = file
            .strip_prefix(&place)
            .unwrap()
            .components()
            .next()
            .unwrap();
        let source = MofSource::new(file.to_str().unwrap(), std::fs::read(file).unwrap());
        let mut includes = FileIncludes::new(Arc::new(RealStorage), "/");
        let mut writer = engine.begin_catalog_write().unwrap();
        let report = compile_in(
            &mut writer,
            &[source],
            &mut includes,
            &CompileOptions::default(),
        )
        .unwrap();
        let first = report.diagnostics.iter().find(|one| one.is_error());
        assert_eq!(report.is_stored(), first.is_none(), "{}", file.display());
        let shown = first
            .map(|one| report.sources.render(one))
            .unwrap_or_default();
        assert!(first.is_none_or(|one| one.place.is_some()), "{shown}");
        let row = table
            .entry(folder.as_os_str().to_str().unwrap().to_owned())
            .or_default();
        row.entry(first.map_or("stored", |one| one.code.name))
            .or_default()
            .push(shown);
    }
    for (folder, row) in &table {
        let counts: Vec<String> = row
            .iter()
            .map(|(code, files)| format!("{code} {}", files.len()))
            .collect();
        println!("{folder}: {}", counts.join(", "));
        let other = |code: &str| {
            ![
                "stored",
                "WBEM_E_INVALID_SUPERCLASS",
                "WBEM_E_INVALID_CLASS",
            ]
            .contains(&code)
        };
        for (_, texts) in row.iter().filter(|(code, _)| other(code)) {
            texts
                .iter()
                .take(8)
                .for_each(|text| println!("  {}", text.lines().next().unwrap_or_default()));
        }
    }
    assert!(all.len() > 1_000, "{}", all.len());
}
