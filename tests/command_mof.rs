//! The verbs that print MOF, as a user calls them: `export --format mof` and `bmf`.
#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

#[path = "support/bmf.rs"]
mod encoder;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cimrepo::catalog::{Put, PutClass, create};
use cimrepo::cim::{Class, Flavor, Instance, Property, Qualifier, ScalarType};
use cimrepo::format::bmf::{BmfContent, BmfObject};
use cimrepo::storage::Directory;
use cimrepo::store::EngineOptions;
use cimrepo::text::diagnostic::SourceId;
use cimrepo::text::mof::{ParseOptions, decode, parse};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cimrepo"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

/// A repository with one class and one instance below ROOT, whose note is `note`.
fn repository(directory: &Path, note: &str, qualifier: Option<Qualifier>) {
    fs::create_dir(directory).unwrap();
    let directory = Directory::real(directory);
    create(&directory).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory)
        .unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    writer.create_namespace(r"ROOT\Shop").unwrap();
    let mut class = Class::builder("Shelf")
        .property(Property::new("Name", ScalarType::String).key())
        .property(Property::new("Note", ScalarType::String))
        .build();
    class.qualifiers = qualifier.into_iter().collect();
    let class = writer
        .put_class(r"ROOT\Shop", &class, PutClass::CREATE)
        .unwrap();
    let instance = Instance::new(class.class.clone())
        .with("Name", "left")
        .unwrap();
    let instance = instance.with("Note", note).unwrap();
    writer
        .put_instance(r"ROOT\Shop", &instance, Put::CreateOnly)
        .unwrap();
    writer.commit().unwrap();
    engine.close().unwrap();
}

fn export(directory: &Path, arguments: &[&str]) -> Output {
    let head = ["export", directory.to_str().unwrap(), "--format", "mof"];
    run(&[&head[..], arguments].concat())
}

#[test]
fn what_is_exported_compiles_into_a_bare_repository_without_a_difference() {
    let place = tempfile::tempdir().unwrap();
    let (from, to, mof) = (
        place.path().join("from"),
        place.path().join("to"),
        place.path().join("all.mof"),
    );
    repository(&from, "one\ntwo", None);
    fs::write(&mof, export(&from, &[]).stdout).unwrap();
    let [from, to, mof] = [&from, &to, &mof].map(|path| path.to_str().unwrap());
    let made = run(&["create", to, "--bare"]);
    assert!(
        text(&made.stdout).ends_with(": 1 namespaces, 65 classes, 2 instances\n"),
        "{made:?}"
    );
    assert_eq!(
        run(&["diff", from, to]).status.code(),
        Some(1),
        "nothing is there yet"
    );
    let compiled = run(&["compile", to, mof, "--exact"]);
    assert_eq!(compiled.status.code(), Some(0), "{compiled:?}");
    let difference = run(&["diff", from, to]);
    assert_eq!(difference.status.code(), Some(0), "{difference:?}");
    assert_eq!(
        run(&["verify", to, "--level", "schema"]).status.code(),
        Some(0)
    );
}

#[test]
fn a_namespace_is_exported_in_both_encodings() {
    let place = tempfile::tempdir().unwrap();
    let plain = place.path().join("plain");
    repository(&plain, "one\ntwo", None);
    let shop = ["--namespace", r"root\shop"];
    let output = export(&plain, &shop);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let expected = r#"#pragma namespace("\\\\.\\ROOT\\Shop")

class Shelf
{
    [key] string Name;
    string Note;
};

instance of Shelf
{
    Name = "left";
    Note = "one\ntwo";
};
"#;
    assert!(
        text(&output.stdout).ends_with(expected),
        "{}",
        text(&output.stdout)
    );
    assert!(output.stdout.is_ascii());

    let wide = export(&plain, &[&shop[..], &["--encoding", "utf-16"]].concat());
    assert!(wide.stdout.starts_with(&[0xFF, 0xFE]));
    assert_eq!(
        decode(&wide.stdout, SourceId::default()).unwrap().text,
        text(&output.stdout)
    );

    let marked = place.path().join("marked");
    repository(&marked, "über \u{202e}", None);
    let output = export(&marked, &shop);
    assert!(output.stdout.starts_with("\u{feff}//".as_bytes()));
    assert!(text(&output.stdout).contains(r#"Note = "über \x202E";"#));
}

#[test]
fn what_mof_has_no_words_for_is_said_and_ends_with_1() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("r");
    repository(
        &directory,
        "",
        Some(Qualifier::new("dynamic", false, Flavor::empty())),
    );
    let output = export(&directory, &["--class", "Shelf"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains(r"ROOT\Shop:Shelf: dynamic: flavor 00 cannot be said"),
        "{said}"
    );
    let parsed = text(&output.stdout);
    assert!(
        parse(parsed, ParseOptions::default().strict(true))
            .diagnostics
            .is_empty()
    );

    let missing = export(&directory, &["--class", "Shelff"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("there is no"));
    // Two repositories do not make one text.
    repository(&place.path().join("s"), "", None);
    assert_eq!(export(place.path(), &[]).status.code(), Some(2));
}

fn object(name: &str) -> BmfObject {
    let class = Class::builder(name).superclass("WMIEvent").build();
    let namespace = Some(r"root\default".to_owned());
    BmfObject {
        offset: 0,
        namespace,
        flags: 0,
        alias: None,
        content: BmfContent::Class(class),
        notes: Vec::new(),
    }
}

#[test]
fn binary_mof_is_found_in_a_binary_and_printed() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("driver.sys");
    let path = file.to_str().unwrap();
    let container = encoder::container(&[object("A"), object("B")]);
    fs::write(&file, [&b"MZ\0\0"[..], &container, &[0; 9]].concat()).unwrap();

    let output = run(&["bmf", path]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let bytes = container.len();
    let expected = format!(
        "// Binary MOF at 0x4, {bytes} bytes: 2 objects\nclass A : WMIEvent\n{{\n}};\n\nclass B : \
            WMIEvent\n{{\n}};\n\n"
    );
    assert_eq!(text(&output.stdout), expected);
    let list = run(&["bmf", path, "--list"]);
    assert!(text(&list.stdout).ends_with("class     root\\default:A\nclass     root\\default:B\n"));
    let json = run(&["bmf", path, "--json"]);
    let rows: Vec<serde_json::Value> = text(&json.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(
        (&rows[0]["kind"], &rows[0]["objects"]),
        (&"bmf".into(), &2.into())
    );
    assert_eq!(
        (&rows[2]["class"], &rows[2]["superclass"]),
        (&"B".into(), &"WMIEvent".into())
    );

    // Cut off: nothing can be read. None there at all.
    fs::write(&file, &container[..container.len() - 1]).unwrap();
    let cut = run(&["bmf", path]);
    assert_eq!(cut.status.code(), Some(4));
    assert!(
        text(&cut.stderr).contains("of the container: the data is cut off"),
        "{}",
        text(&cut.stderr)
    );
    fs::write(&file, b"MZ").unwrap();
    let none = run(&["bmf", path]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("holds no binary MOF"));
    assert_eq!(
        run(&["bmf", place.path().join("none").to_str().unwrap()])
            .status
            .code(),
        Some(3)
    );
}
