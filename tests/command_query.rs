//! The verb `query`: forms of output, exit codes, and what goes to standard error.

#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use cimrepo::catalog::{Put, PutClass, create};
use cimrepo::cim::{Class, Instance, Property, ScalarType};
use cimrepo::storage::Directory;
use cimrepo::store::EngineOptions;

const NS: &str = r"root\shop";

/// A repository with a class, three instances and a class below.
fn repository(place: &Path) {
    create(&Directory::real(place)).unwrap();
    let engine = EngineOptions::new().background(false).open(place).unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    writer.create_namespace(r"ROOT\shop").unwrap();
    let shelf = Class::builder("Shelf")
        .property(Property::new("Id", ScalarType::String).key())
        .property(Property::new("Note", ScalarType::String));
    writer
        .put_class(NS, &shelf.build(), PutClass::default())
        .unwrap();
    writer
        .put_class(
            NS,
            &Class::builder("Rack").superclass("Shelf").build(),
            PutClass::default(),
        )
        .unwrap();
    let attic = r"ROOT\shop\attic";
    writer.create_namespace(attic).unwrap();
    let bare = Class::builder("Shelf").property(Property::new("Id", ScalarType::String).key());
    writer
        .put_class(attic, &bare.build(), PutClass::default())
        .unwrap();
    for (class, id, note) in [
        ("Shelf", "a", "x,\"y\""),
        ("Shelf", "b", "two\nlines"),
        ("Rack", "c", "\u{1b}[2J"),
    ] {
        let class = writer.catalog().class(NS, class).unwrap().unwrap();
        let instance = Instance::new(class.class.clone()).with("Id", id.to_owned());
        let instance = instance
            .and_then(|instance| instance.with("Note", note.to_owned()))
            .unwrap();
        writer.put_instance(NS, &instance, Put::default()).unwrap();
    }
    writer.commit().unwrap();
    engine.close().unwrap();
}

struct Shop(tempfile::TempDir);

impl Shop {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        repository(place.path());
        Self(place)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
        command
            .arg("query")
            .arg(self.0.path())
            .args(arguments)
            .args(["--namespace", NS]);
        command
    }

    /// The exit code, standard output and standard error.
    fn said(&self, arguments: &[&str]) -> (i32, String, String) {
        said(&self.command(arguments).output().unwrap())
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn rows_have_four_forms() {
    let shop = Shop::new();
    let one = "SELECT Id, Note FROM Shelf WHERE Id = 'a'";
    assert_eq!(
        shop.said(&[one]),
        (0, "Id : a\nNote : x,\"y\"\n".to_owned(), String::new())
    );
    let table = "Id,Note\na,\"x,\"\"y\"\"\"\n";
    assert_eq!(shop.said(&[one, "--format", "csv"]).1, table);
    let (_, mof, _) = shop.said(&[one, "--format", "mof"]);
    assert!(
        mof.starts_with("instance of Shelf\n{\n    Id = \"a\";\n") && mof.ends_with("};\n"),
        "{mof}"
    );
    let (_, json, _) = shop.said(&[one, "--json"]);
    assert!(
        json.contains(r#""properties":{"Id":"a","Note":"x,\"y\""}"#),
        "{json}"
    );
    let (_, count, _) = shop.said(&["SELECT COUNT(*) FROM Shelf", "--json"]);
    assert_eq!(count, "{\"schema\":1,\"kind\":\"count\",\"count\":3}\n");
    let (_, limited, _) = shop.said(&["SELECT * FROM Shelf", "--json", "--limit", "2"]);
    assert_eq!(limited.lines().count(), 2);
}

#[test]
fn nothing_stored_reaches_the_terminal_as_it_is() {
    let shop = Shop::new();
    for format in ["list", "csv", "mof", "jsonl"] {
        let (code, out, _) = shop.said(&["SELECT Note FROM Shelf", "--format", format]);
        assert_eq!(code, 0);
        assert!(
            !out.contains('\u{1b}') && !out.lines().any(|line| line.starts_with("lines")),
            "{out}"
        );
    }
}

#[test]
fn a_table_has_the_columns_of_one_class() {
    let shop = Shop::new();
    let (code, _, error) = shop.said(&["SELECT * FROM Shelf", "--format", "csv"]);
    assert!(
        code == 2 && error.contains("select the columns by name"),
        "{error}"
    );
    assert_eq!(shop.said(&["SELECT * FROM Rack", "--format", "csv"]).0, 0);
}

#[test]
fn exit_codes_say_how_it_ended() {
    let shop = Shop::new();
    assert_eq!(shop.said(&["SELECT * FROM Shelf WHERE Id = 'none'"]).0, 1);
    let (code, out, error) = shop.said(&["SELECT * FROM Shelf WHERE Note = \"C:\\x\""]);
    assert_eq!((code, out.as_str()), (6, ""));
    for part in [
        "error[bad-escape]",
        "WBEM_E_INVALID_QUERY, 0x80041017",
        "help: write \"C:\\\\x\"",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    for (text, part) in [
        ("SELECT * FROM Shelv", "did you mean Shelf?"),
        ("SELECT * FROM Shelf WITHIN 5", "error[event-query]"),
        ("", "error[empty]"),
    ] {
        let (code, _, error) = shop.said(&[text]);
        assert!(code == 6 && error.contains(part), "{text}: {error}");
    }
    assert_eq!(shop.said(&["SELECT COUNT(*) FROM Shelf", "--strict"]).0, 6);
}

#[test]
fn a_namespace_that_is_passed_over_is_named_and_makes_the_answer_partial() {
    let shop = Shop::new();
    let (code, out, error) = shop.said(&["SELECT Id FROM Shelf WHERE Id = 'a'", "-r"]);
    assert_eq!((code, out.as_str(), error.as_str()), (0, "Id : a\n", ""));
    let (code, out, error) = shop.said(&["SELECT COUNT(*) FROM Shelf WHERE Note LIKE '%'", "-r"]);
    assert_eq!((code, out.as_str()), (1, "COUNT : 3\n"));
    assert!(
        error.contains(r"note: passed-over: ROOT\shop\attic: unknown-property"),
        "{error}"
    );
}

#[test]
fn a_plan_is_told_and_a_query_read_from_standard_input() {
    let shop = Shop::new();
    let (code, plan, _) = shop.said(&["SELECT * FROM Shelf WHERE Id = 'a'", "--explain"]);
    assert_eq!(code, 0);
    assert!(
        plan.contains(r#"access   look-up  NS(ROOT\shop)\KI(Shelf)\I("a")"#),
        "{plan}"
    );
    let (_, json, _) = shop.said(&["SELECT * FROM Shelf", "--explain", "--json"]);
    assert!(
        json.starts_with("{\"schema\":1,\"kind\":\"plan\",\"statement\":\"data\""),
        "{json}"
    );

    let mut child = shop
        .command(&["-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"SELECT Id\nFROM Rack")
        .unwrap();
    assert_eq!(said(&child.wait_with_output().unwrap()).1, "Id : c\n");
}

#[test]
fn a_refusal_has_its_place_in_json() {
    let shop = Shop::new();
    let (code, row, error) = shop.said(&["SELECT *\nFROM Shelf WITHIN 5", "--json"]);
    assert_eq!((code, error.as_str()), (6, ""));
    let parts = [
        r#""kind":"diagnostic","severity":"error","code":"event-query""#,
        r#""file":null,"line":2,"column":12,"#,
        r#""excerpt":"FROM Shelf WITHIN 5""#,
    ];
    for part in parts {
        assert!(row.contains(part), "{part} in {row}");
    }
    assert_eq!(row.lines().count(), 1);
}
