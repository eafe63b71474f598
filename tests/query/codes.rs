//! A query for each code of refusal, with the byte that it is about and the result code of a COM
//! caller. A code without one fails.

use std::collections::BTreeSet;

use cimrepo::Error;
use cimrepo::query::{self, QueryOptions};
use cimrepo::text::wql::{self, QueryCode, QueryError};

use crate::made_up::{NS, catalog};

/// The place that a refusal is about; of `limit` none is promised.
const ANYWHERE: usize = usize::MAX;

/// Result codes, texts, and the byte of each refusal. Those of the text alone come first, those
/// that only the names of a repository decide after them.
const REFUSALS: &[(&str, u32, &str, usize)] = &[
    ("empty", 0x8004_1008, " \t", 0),
    ("syntax", 0x8004_1017, "SELECT * FROM Item ORDER BY Id", 19),
    (
        "unterminated-text",
        0x8004_1017,
        "SELECT * FROM Item WHERE Id = 'x",
        30,
    ),
    (
        "unclosed-brace",
        0x8004_1017,
        "ASSOCIATORS OF {Item='i0'",
        15,
    ),
    (
        "bad-escape",
        0x8004_1017,
        r"SELECT * FROM Item WHERE Id = 'C:\W'",
        33,
    ),
    (
        "bad-number",
        0x8004_1017,
        "SELECT * FROM Item WHERE Number = 1x",
        34,
    ),
    (
        "number-range",
        0x8004_1017,
        "SELECT * FROM Item WHERE Number = 18446744073709551616",
        34,
    ),
    (
        "unexpected-character",
        0x8004_1017,
        "SELECT * FROM Item;",
        18,
    ),
    (
        "two-properties",
        0x8004_1017,
        "SELECT * FROM Item WHERE Id = Text",
        30,
    ),
    (
        "two-constants",
        0x8004_1017,
        "SELECT * FROM Item WHERE 1 = 2",
        25,
    ),
    (
        "null-order",
        0x8004_1017,
        "SELECT * FROM Item WHERE Id > NULL",
        28,
    ),
    (
        "is-needs-null",
        0x8004_1017,
        "SELECT * FROM Item WHERE Id IS 5",
        31,
    ),
    (
        "like-needs-text",
        0x8004_1017,
        "SELECT * FROM Item WHERE Id LIKE 5",
        33,
    ),
    (
        "not-placement",
        0x8004_1017,
        "SELECT * FROM Item WHERE Id NOT LIKE 'x'",
        28,
    ),
    (
        "clause-unknown",
        0x8004_1017,
        "REFERENCES OF {Item='i0'} WHERE Nothing = x",
        32,
    ),
    (
        "clause-repeated",
        0x8004_1017,
        "REFERENCES OF {Item='i0'} WHERE Role = A Role = B",
        41,
    ),
    (
        "clause-conflict",
        0x8004_1017,
        "REFERENCES OF {Item='i0'} WHERE ClassDefsOnly ResultClass = Link",
        46,
    ),
    ("needs-schemaonly", 0x8004_1017, "REFERENCES OF {Item}", 15),
    ("path", 0x8004_103A, "REFERENCES OF {Item.}", 15),
    (
        "event-query",
        0x8004_1017,
        "SELECT * FROM Item WITHIN 5",
        19,
    ),
    (
        "event-query",
        0x8004_1017,
        "SELECT * FROM Item GROUP WITHIN 5",
        19,
    ),
    (
        "unknown-namespace",
        0x8004_100E,
        r"REFERENCES OF {ROOT\nothing:Item='i0'}",
        15,
    ),
    ("unknown-class", 0x8004_1010, "SELECT * FROM Nothing", 14),
    (
        "unknown-class",
        0x8004_1010,
        "REFERENCES OF {Item='i0'} WHERE ResultClass = Nothing",
        46,
    ),
    (
        "unknown-property",
        0x8004_1017,
        "SELECT Id, Nothing FROM Item",
        11,
    ),
    (
        "unknown-property",
        0x8004_1017,
        "SELECT * FROM Item WHERE Teeth = 1",
        25,
    ),
    (
        "array-property",
        0x8004_1017,
        "SELECT * FROM __EventFilter WHERE CreatorSID = 1",
        34,
    ),
    (
        "array-property",
        0x8004_1017,
        "SELECT * FROM Item WHERE __DERIVATION LIKE 'x'",
        25,
    ),
    (
        "this-outside-schema",
        0x8004_1017,
        "SELECT * FROM Item WHERE __this ISA 'Item'",
        25,
    ),
    (
        "this-needs-isa",
        0x8004_1017,
        "SELECT * FROM meta_class WHERE __this = 'Item'",
        31,
    ),
    (
        "schema-star",
        0x8004_1017,
        "SELECT __CLASS FROM meta_class",
        7,
    ),
    (
        "schema-property",
        0x8004_1017,
        "SELECT * FROM meta_class WHERE Id = 'x'",
        31,
    ),
    (
        "constant-type",
        0x8004_1005,
        "SELECT * FROM Item WHERE Number = 'x'",
        34,
    ),
    (
        "constant-type",
        0x8004_1005,
        "SELECT * FROM Item WHERE Flag = 2",
        32,
    ),
    (
        "constant-type",
        0x8004_1005,
        "SELECT * FROM Item WHERE Text = TRUE",
        32,
    ),
    (
        "constant-type",
        0x8004_1005,
        "SELECT * FROM Link WHERE Left = 1",
        32,
    ),
    (
        "constant-type",
        0x8004_1005,
        "SELECT * FROM Item WHERE 'x' = Number",
        25,
    ),
    (
        "datetime-form",
        0x8004_1005,
        "SELECT * FROM __AbsoluteTimerInstruction WHERE EventDateTime > '2024-05-01'",
        63,
    ),
    (
        "operator-type",
        0x8004_1063,
        "SELECT * FROM Item WHERE Flag >= TRUE",
        30,
    ),
    (
        "operator-type",
        0x8004_1063,
        "SELECT * FROM Item WHERE Number LIKE '1%'",
        32,
    ),
    (
        "not-an-object",
        0x8004_105C,
        "SELECT * FROM Item WHERE Text.A = 1",
        25,
    ),
    (
        "not-an-object",
        0x8004_105C,
        "SELECT * FROM Item WHERE Text ISA 'x'",
        25,
    ),
    (
        "path-keys",
        0x8004_103A,
        "REFERENCES OF {Item.Name='x'}",
        15,
    ),
    (
        "source-missing",
        0x8004_1002,
        "REFERENCES OF {Item='none'}",
        15,
    ),
];

fn refused(namespace: &str, text: &str) -> Box<QueryError> {
    match query::run(&catalog(), namespace, text, QueryOptions::default()) {
        Err(Error::Query(refused)) => refused,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn every_code_has_a_query_its_byte_and_its_result() {
    let mut shown = BTreeSet::new();
    let mut check = |(code, result, at): (&str, u32, usize), text: &str, refused: &QueryError| {
        assert_eq!(refused.code.as_str(), code, "{text}: {refused}");
        assert_eq!(refused.code.hresult().0, result, "{text}");
        assert!(
            at == ANYWHERE || refused.at.start == at,
            "{text}: {refused}, and not at {at}"
        );
        assert!(refused.at.end <= text.len(), "{text}: {:?}", refused.at);
        shown.insert(refused.code);
    };
    for &(code, result, text, at) in REFUSALS {
        check((code, result, at), text, &refused(NS, text));
    }
    let text = "SELECT * FROM Item";
    let nowhere = refused(r"ROOT\nothing", text);
    check(("unknown-namespace", 0x8004_100E, 0), text, &nowhere);
    let deep = format!("SELECT * FROM Item WHERE {}Id = 'x'", "NOT ".repeat(300));
    check(("limit", 0x8004_106C, ANYWHERE), &deep, &refused(NS, &deep));

    let missing: Vec<_> = QueryCode::ALL
        .iter()
        .filter(|code| !shown.contains(code))
        .collect();
    assert!(missing.is_empty(), "no query shows {missing:?}");
}

/// Texts whose refusal is decided without a repository are refused by the parser already.
#[test]
fn the_parser_refuses_what_needs_no_repository() {
    let parsed_alone = REFUSALS
        .iter()
        .take_while(|(code, ..)| *code != "event-query");
    for &(code, _, text, at) in parsed_alone {
        let refused = wql::parse(text).unwrap_err();
        assert_eq!(
            (refused.code.as_str(), refused.at.start),
            (code, at),
            "{text}"
        );
    }
}
