//! The input of the benches: every repository under `CIMREPO_CORPUS`, by default
//! `target/corpus/repositories`.

// Each bench uses a part of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

/// The repositories, by name. Without any, says so: there is nothing to measure then.
pub fn repositories() -> Vec<(String, PathBuf)> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/corpus/repositories");
    let root = std::env::var_os("CIMREPO_CORPUS").map_or(default, PathBuf::from);
    let entries = std::fs::read_dir(&root).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            )
        })
        .collect();
    found.sort();
    if found.is_empty() {
        eprintln!(
            "no repositories under {}: nothing is measured; set CIMREPO_CORPUS",
            root.display()
        );
    }
    found
}

/// True if nothing is to be measured and each part runs once: `cargo test --benches`, which leaves
/// out the `--bench` of `cargo bench`.
pub fn is_quick() -> bool {
    !std::env::args().any(|word| word == "--bench")
}

/// The rounds of a measurement, or one where nothing is measured.
pub fn rounds(measured: usize) -> usize {
    if is_quick() { 1 } else { measured }
}

/// The size of all files of a directory together.
pub fn file_bytes(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap();
    entries
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum()
}

/// Reads every file in pieces of 1 MiB and takes its CRC.
pub fn read_and_crc(path: &Path) -> u32 {
    use std::io::Read;
    let mut sum = 0u32;
    let mut piece = vec![0; 1 << 20];
    for entry in std::fs::read_dir(path).unwrap() {
        let mut file = std::fs::File::open(entry.unwrap().path()).unwrap();
        let mut hash = crc32fast::Hasher::new();
        loop {
            let count = file.read(&mut piece).unwrap();
            if count == 0 {
                break;
            }
            hash.update(&piece[..count]);
        }
        sum ^= hash.finalize();
    }
    sum
}
