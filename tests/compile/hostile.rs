//! Texts and files made to do harm: the compile ends with the right code, soon, and stores nothing.

use std::path::Path;
use std::sync::Arc;

use cimrepo::compile::{
    CompileOptions, CompileReport, FileIncludes, IncludeError, Includes, MofSource, compile,
};
use cimrepo::storage::{MemStorage, Storage};

use super::engine;

/// Compiles `/w/main.mof` of files in memory, and gives the codes and messages of its errors.
fn errors(files: &[(&str, &[u8])]) -> Vec<(&'static str, String)> {
    let storage = MemStorage::new();
    for (path, content) in files {
        storage.put(*path, content.to_vec());
    }
    let includes = FileIncludes::new(Arc::new(storage) as Arc<dyn Storage>, "/w");
    let mut includes = includes.environment([("HOME".to_owned(), "/w".to_owned())]);
    let (_, main) = files
        .iter()
        .find(|(path, _)| *path == "/w/main.mof")
        .unwrap();
    told(&run(main.to_vec(), &mut includes))
}

fn run(bytes: Vec<u8>, includes: &mut dyn Includes) -> CompileReport {
    let sources = [MofSource::new("/w/main.mof", bytes)];
    compile(&engine(), &sources, includes, &CompileOptions::default()).unwrap()
}

fn told(report: &CompileReport) -> Vec<(&'static str, String)> {
    let errors = report.diagnostics.iter().filter(|one| one.is_error());
    errors
        .map(|one| (one.code.name, one.message.clone()))
        .collect()
}

const INCLUDE: &str = "WBEMMOF_E_ERROR_INVALID_INCLUDE_FILE";

#[test]
fn files_that_include_each_other_are_refused_with_the_chain() {
    let files: [(&str, &[u8]); 3] = [
        ("/w/main.mof", b"#include \"a.mof\"\n"),
        ("/w/a.mof", b"\n#include \"b.mof\"\n"),
        ("/w/b.mof", b"\n\n#include \"A.MOF\"\n"),
    ];
    let found = errors(&files);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, INCLUDE);
    assert!(found[0].1.contains("includes itself"), "{found:?}");

    let itself: [(&str, &[u8]); 1] = [("/w/main.mof", b"#include \"main.mof\"\n")];
    assert_eq!(errors(&itself)[0].0, INCLUDE);
}

#[test]
fn includes_stay_in_their_tree_and_know_their_environment() {
    let rows = [
        ("../secret.mof", "outside"),
        ("/etc/secret.mof", "outside"),
        ("%HOME%/../etc/secret.mof", "outside"),
        ("%NOBODY%/x.mof", "no `NOBODY`"),
        ("none.mof", "no such file"),
    ];
    for (name, reason) in rows {
        let main = format!("#include \"{name}\"\nclass A {{}};\n");
        let files: [(&str, &[u8]); 3] = [
            ("/w/main.mof", main.as_bytes()),
            ("/secret.mof", b"class S {};"),
            ("/etc/secret.mof", b"class S {};"),
        ];
        let found = errors(&files);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert!(
            found[0].0 == INCLUDE && found[0].1.contains(reason),
            "{name}: {found:?}"
        );
    }
}

/// Every file includes the next one, without end.
struct Endless(u32);

impl Includes for Endless {
    fn load(&mut self, _: &Path, _: &str) -> Result<MofSource, IncludeError> {
        self.0 += 1;
        let next = format!("#include \"{}.mof\"\n", self.0 + 1);
        Ok(MofSource::new(format!("{}.mof", self.0), next))
    }
}

#[test]
fn includes_without_end_are_cut_off() {
    let mut endless = Endless(0);
    let report = run(b"#include \"1.mof\"\n".to_vec(), &mut endless);
    let found = told(&report);
    assert!(found.len() == 1 && found[0].0 == INCLUDE, "{found:?}");
    assert!(endless.0 <= 21, "{}", endless.0);
}

#[test]
fn nesting_without_end_is_one_error_or_a_few() {
    let texts = [
        "{".repeat(10 << 20),
        "[".repeat(1 << 20),
        "(".repeat(1 << 20),
        format!("instance of A {{ X = {}", "{".repeat(1 << 20)),
        "instance of A { X = ".repeat(50_000),
        "class A { uint8 M(".repeat(50_000),
        format!(
            "class A {{ string X = {}\"\"; }};",
            "\"a\" ".repeat(200_000)
        ),
    ];
    for text in texts {
        let start = text[..20].to_owned();
        let files: [(&str, &[u8]); 1] = [("/w/main.mof", text.as_bytes())];
        let found = errors(&files);
        assert!(found.len() <= 50, "{start}: {} errors", found.len());
    }
}

#[test]
fn aliases_that_need_each_other_are_refused() {
    let text = "class A { [key] A ref K; };\n\
        instance of A as $X { K = $Y; };\ninstance of A as $Y { K = $X; };\n";
    let found = errors(&[("/w/main.mof", text.as_bytes())]);
    assert!(!found.is_empty(), "a circle of keys has no path");
}
