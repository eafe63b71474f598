//! What the benches run on: every repository under `CIMREPO_CORPUS`, by default `target/corpus/repositories`.

use std::path::PathBuf;

/// The repositories, by name. Without any, says so: there is nothing to measure then.
pub fn repositories() -> Vec<(String, PathBuf)> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/corpus/repositories");
    let root = std::env::var_os("CIMREPO_CORPUS").map_or(default, PathBuf::from);
    let entries = std::fs::read_dir(&root).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    found.sort();
    if found.is_empty() {
        eprintln!("no repositories under {}: nothing is measured; set CIMREPO_CORPUS", root.display());
    }
    found
}
