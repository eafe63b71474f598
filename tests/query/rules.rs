//! What is answered, noted and refused, rule by rule, over a schema made here.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cimrepo::Error;
use cimrepo::base::progress::Progress;
use cimrepo::query::{self, NoteCode, QueryOptions, Rights, Row};

use crate::cases::Answer;
use crate::made_up::{NS, catalog};

fn answer(text: &str) -> Answer {
    Answer::of(&catalog(), NS, text, QueryOptions::default())
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str, options: QueryOptions) -> (String, usize, String) {
    match query::run(&catalog(), NS, text, options) {
        Err(Error::Query(refused)) => {
            let help = refused.help.as_deref().unwrap_or_default().to_owned();
            (refused.code.to_string(), refused.at.start, help)
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn names_are_refused_with_what_helps() {
    for (text, code, at, help) in [
        (
            "SELECT * FROM Itme",
            "unknown-class",
            14,
            "did you mean Item?",
        ),
        (
            "SELECT Teeth FROM Item",
            "unknown-property",
            7,
            "Saw has it",
        ),
        (
            "SELECT * FROM Item WHERE Numbre = 1",
            "unknown-property",
            25,
            "did you mean Number?",
        ),
        (
            "SELECT * FROM Item WHERE Number = 'x'",
            "constant-type",
            34,
            "",
        ),
        (
            "SELECT * FROM Item WHERE Number LIKE 'x'",
            "operator-type",
            32,
            "",
        ),
        (
            "SELECT * FROM Item WHERE Flag < TRUE",
            "operator-type",
            30,
            "",
        ),
        (
            "SELECT * FROM Item WHERE Text.x = 1",
            "not-an-object",
            25,
            "",
        ),
        (
            "SELECT * FROM Item WHERE Text ISA 'x'",
            "not-an-object",
            25,
            "",
        ),
        (
            "SELECT * FROM Item WHERE __DERIVATION = 'x'",
            "array-property",
            25,
            "",
        ),
        (
            "SELECT * FROM Item WHERE __this ISA Item",
            "this-outside-schema",
            25,
            "SELECT * FROM meta_class asks for classes",
        ),
        (
            "SELECT * FROM meta_class WHERE __this = 'x'",
            "this-needs-isa",
            31,
            "write __this ISA \"…\"",
        ),
        ("SELECT __CLASS FROM meta_class", "schema-star", 7, ""),
        ("SELECT * FROM Item WITHIN 5", "event-query", 19, ""),
        ("ASSOCIATORS OF {Item.Name='x'}", "path-keys", 16, ""),
        ("ASSOCIATORS OF {Item='x'}", "source-missing", 16, ""),
        (
            r"ASSOCIATORS OF {\\.\root\nowhere:Item='x'}",
            "unknown-namespace",
            16,
            "",
        ),
        (
            "REFERENCES OF {Item='i0'} WHERE ResultClass = Lnik",
            "unknown-class",
            46,
            "did you mean Link?",
        ),
    ] {
        assert_eq!(
            refused(text, QueryOptions::default()),
            (code.to_owned(), at, help.to_owned()),
            "{text}"
        );
    }
    let (code, ..) = refused(
        "SELECT COUNT(*) FROM Item",
        QueryOptions::default().strict(true),
    );
    assert_eq!(code, "syntax");
    let nowhere = query::run(
        &catalog(),
        r"ROOT\mode",
        "SELECT * FROM Item",
        QueryOptions::default(),
    );
    let Err(Error::Query(error)) = nowhere else {
        panic!("{nowhere:?}")
    };
    assert_eq!(
        (error.code.as_str(), error.help.as_deref()),
        ("unknown-namespace", Some(r"did you mean ROOT\made?"))
    );
}

#[test]
fn notes_say_what_rows_do_not() {
    for (text, rows, notes) in [
        ("SELECT * FROM Computed", 0, &[NoteCode::Dynamic][..]),
        (
            "SELECT * FROM __InstanceCreationEvent WHERE TargetInstance ISA 'Item'",
            0,
            &[NoteCode::EventClass],
        ),
        (
            "SELECT * FROM __InstanceCreationEvent WHERE TargetInstance ISA 'No'",
            0,
            &[NoteCode::IsaUnknown, NoteCode::EventClass],
        ),
        (
            "SELECT * FROM Item WHERE Text LIKE '%[a'",
            0,
            &[NoteCode::PatternUnclosed],
        ),
        ("ASSOCIATORS OF {Item='i0'}", 3, &[NoteCode::Dangling]),
        (
            "ASSOCIATORS OF {Item='gone'}",
            1,
            &[NoteCode::SourceNotStored],
        ),
        ("ASSOCIATORS OF {Computed='x'}", 0, &[NoteCode::Dynamic]),
        ("SELECT * FROM Item WHERE Id = 'i1'", 1, &[]),
    ] {
        let answer = answer(text);
        assert_eq!(
            (answer.rows.len(), &answer.notes[..]),
            (rows, notes),
            "{text}"
        );
    }
}

#[test]
fn associations_are_followed_from_each_end() {
    let paths = |text: &str| {
        let mut paths: Vec<String> = answer(text)
            .paths
            .iter()
            .map(|path| path.trim_start_matches(r"ROOT\made:").to_owned())
            .collect();
        paths.sort();
        paths
    };
    assert_eq!(
        paths("ASSOCIATORS OF {Item='i0'} WHERE Role = Left"),
        ["Saw.Id=\"i2\"", "Tool.Id=\"i1\""]
    );
    assert_eq!(
        paths("ASSOCIATORS OF {Item='i0'} WHERE Role = Right"),
        ["Tool.Id=\"i1\""]
    );
    assert_eq!(
        paths("ASSOCIATORS OF {Item='i0'} WHERE ResultClass = Saw"),
        ["Saw.Id=\"i2\""]
    );
    assert_eq!(
        paths("ASSOCIATORS OF {Item='i3'}"),
        ["Item.Id=\"i3\"", "Item.Id=\"i3\""],
        "a link to itself has two ends"
    );
    assert_eq!(paths("REFERENCES OF {Item='I3'}").len(), 1);
    assert_eq!(
        paths("REFERENCES OF {Item='i0'} WHERE Role = Left").len(),
        3
    );
    assert_eq!(
        paths("REFERENCES OF {Item='i0'} WHERE ClassDefsOnly"),
        ["Link"]
    );
    assert_eq!(
        paths("ASSOCIATORS OF {Item='i0'} WHERE RequiredAssocQualifier = Association").len(),
        3
    );
    assert_eq!(
        paths("ASSOCIATORS OF {Item='i0'} WHERE RequiredQualifier = Association"),
        [""; 0]
    );
    assert_eq!(paths("REFERENCES OF {Tool} WHERE SchemaOnly"), ["Link"]);
    assert_eq!(
        paths("ASSOCIATORS OF {Tool} WHERE SchemaOnly"),
        ["Item", "Item"]
    );
    let keys = answer("ASSOCIATORS OF {Item='i0'} WHERE KeysOnly Role = Right");
    let Row::Instance(row) = &keys.rows[0] else {
        panic!()
    };
    assert_eq!(
        row.cells()
            .iter()
            .map(|cell| cell.name.as_str())
            .collect::<Vec<_>>(),
        ["Id"]
    );
}

#[test]
fn rows_are_json_with_the_columns_asked_for() {
    let answer = answer("SELECT text, __CLASS, Number, TEXT FROM Tool WHERE Id = 'i1'");
    let row = serde_json::to_value(&answer.rows[0]).unwrap();
    assert_eq!(
        row["properties"],
        serde_json::json!({"Text": "a", "__CLASS": "Tool", "Number": -2})
    );
    assert_eq!(row["defaults"], serde_json::json!([]));
    assert_eq!(row["path"], r#"ROOT\made:Tool.Id="i1""#);
    let count = Answer::of(
        &catalog(),
        NS,
        "SELECT COUNT(*) FROM Saw",
        QueryOptions::default(),
    )
    .unwrap();
    assert_eq!(
        serde_json::to_string(&count.rows[0]).unwrap(),
        r#"{"schema":1,"kind":"count","count":12}"#
    );
}

#[test]
fn limits_and_namespaces_below() {
    let below = || QueryOptions::default().recursive(true);
    let count =
        |text: &str, options: QueryOptions| Answer::of(&catalog(), NS, text, options).unwrap();
    assert_eq!(
        count("SELECT * FROM Item", QueryOptions::default().limit(5))
            .rows
            .len(),
        5
    );
    assert_eq!(count("SELECT COUNT(*) FROM Item", below()).count, Some(37));
    let partly = count("SELECT COUNT(*) FROM Item WHERE Number > -100", below());
    assert_eq!(
        (partly.count, &partly.notes[..]),
        (Some(24), &[NoteCode::PassedOver][..])
    );
    assert_eq!(count("SELECT * FROM Saw", below()).rows.len(), 12);
    assert_eq!(refused("SELECT * FROM Nothing", below()).0, "unknown-class");
}

/// A caller who may read one namespace.
struct Only(&'static str);

impl Rights for Only {
    fn may_read(&self, namespace: &str) -> cimrepo::Result<bool> {
        Ok(cimrepo::cim::name::same(namespace, self.0))
    }
}

#[test]
fn rights_leave_out_and_say_so() {
    let text = "SELECT COUNT(*) FROM Item";
    let options = QueryOptions::default()
        .recursive(true)
        .rights(Arc::new(Only(NS)));
    let answer = Answer::of(&catalog(), NS, text, options).unwrap();
    assert_eq!(
        (answer.count, &answer.notes[..]),
        (Some(36), &[NoteCode::PassedOver][..])
    );
    let denied = query::run(
        &catalog(),
        NS,
        text,
        QueryOptions::default().rights(Arc::new(Only("ROOT"))),
    );
    assert_eq!(denied.unwrap_err().hresult().0, 0x8004_1003);
}

#[test]
fn a_cancelled_query_gives_one_error_and_ends() {
    let steps = Arc::new(AtomicU64::new(0));
    let counted = steps.clone();
    let stop = move |_: Progress| match counted.fetch_add(1, Ordering::Relaxed) {
        0..20 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let catalog = catalog().observed(Arc::new(stop));
    let rows = query::run(&catalog, NS, "SELECT * FROM Pair", QueryOptions::default()).unwrap();
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 1 && rows.len() < 36);
    assert!(matches!(rows.last(), Some(Err(Error::Cancelled))));
    assert_eq!(rows.iter().filter(|row| row.is_err()).count(), 1);
    assert!(steps.load(Ordering::Relaxed) > 20);
}
