//! Real binary MOFs, where there are any.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use cimrepo::format::bmf::{BmfContent, BmfPrinter, resources};
use cimrepo::text::mof::{ParseOptions, parse};

/// The files of `$CIMREPO_BMF`, else of `target/corpus/bmf`. Without any, says so past the capture
/// of test output.
pub fn files(test: &str) -> Vec<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpus/bmf");
    let place = std::env::var_os("CIMREPO_BMF").map_or_else(default, PathBuf::from);
    let entries = fs::read_dir(&place)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    if files.is_empty() {
        let line = format!(
            "*** {test}: NOT TESTED, no binary MOF in {}; set CIMREPO_BMF ***",
            place.display()
        );
        #[expect(
            clippy::explicit_write,
            reason = "what eprintln prints is kept back when a test passes"
        )]
        writeln!(std::io::stderr(), "{line}").unwrap();
    }
    files
}

#[test]
fn each_real_file_is_read_wholly() {
    let (mut classes, mut instances, mut methods, mut unsaid, mut notes) = (0, 0, 0, 0, 0);
    let files = files("bmf::real");
    for path in &files {
        let name = path.display();
        let bytes = fs::read(path).unwrap();
        let mut found = 0;
        for resource in resources(&bytes) {
            found += 1;
            let body = resource
                .body
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            notes += body.notes().len();
            let mut printer = BmfPrinter::new();
            let mut count = 0;
            for object in body.objects() {
                let object = object.unwrap_or_else(|error| panic!("{name}: {error}"));
                count += 1;
                notes += object.notes.len();
                for note in body.notes().iter().chain(&object.notes) {
                    println!("{name}: {note}");
                }
                match &object.content {
                    BmfContent::Class(class) => {
                        classes += 1;
                        methods += class.methods.len();
                    }
                    BmfContent::Instance(_) => instances += 1,
                }
                let printed = printer.object(&object);
                let parsed = parse(&printed.text, ParseOptions::default().strict(true));
                assert!(
                    parsed.diagnostics.is_empty(),
                    "{name}: {:?}",
                    parsed.diagnostics
                );
                for left in &printed.unsaid {
                    println!("UNSAID {name}: {} {left}", object.content.class_name());
                }
                unsaid += printed.unsaid.len();
            }
            assert_eq!(count, body.count(), "{name}");
        }
        assert!(found > 0, "{name} has no binary MOF");
    }
    let files = files.len();
    println!(
        "{files} files: {classes} classes, {instances} instances, {methods} methods, {unsaid} \
            unsaid, {notes} notes"
    );
}
