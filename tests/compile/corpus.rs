//! Real files: the schema of DMTF whole. Ignored without `CIMREPO_MOF`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cimrepo::compile::{CompileOptions, FileIncludes, MofSource, Outcome, compile};
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
    let report = compile(&engine, &[source], &mut includes, &CompileOptions::default()).unwrap();
    let errors: Vec<_> = report.diagnostics.iter().filter(|one| one.is_error()).collect();
    let shown: Vec<String> = errors.iter().take(5).map(|one| report.sources.render(one)).collect();
    assert!(report.is_stored(), "{}", shown.join("\n"));
    assert_eq!(report.count(Outcome::Created), 1_438);
    assert_eq!(catalog(&engine).classes(r"root\default").filter(|one| one.is_ok()).count(), 1_438 + 2);
}
