//! The text of a query to a tree and back; what is refused, and at which byte.

use cimrepo::text::wql::{self, Condition, Query};
use proptest::prelude::*;

/// Queries with the code and the byte of their refusal.
const REFUSED: &[(&str, &str, usize)] = &[
    ("", "empty", 0),
    (" \t\r\n\u{b}\u{c}", "empty", 0),
    ("\u{a0}", "syntax", 0),
    ("EXPLAIN", "syntax", 0),
    ("SELECT", "syntax", 6),
    ("SELECT FROM C", "syntax", 7),
    ("SELECT A, FROM C", "syntax", 10),
    ("SELECT A B FROM C", "syntax", 9),
    ("SELECT A. FROM C", "syntax", 15),
    ("SELECT NULL FROM C", "syntax", 7),
    ("SELECT COUNT( FROM C", "syntax", 14),
    ("SELECT COUNT(*) C", "syntax", 16),
    ("SELECT * FROM", "syntax", 13),
    ("SELECT * FROM TRUE", "syntax", 14),
    ("SELECT * FROM C WHERE", "syntax", 21),
    ("SELECT * FROM C ORDER BY A", "syntax", 16),
    ("SELECT * FROM C;", "unexpected-character", 15),
    ("SELECT * FROM C -- all", "unexpected-character", 16),
    ("SELECT * FROM C WHERE A", "syntax", 23),
    ("SELECT * FROM C WHERE A = ", "syntax", 26),
    ("SELECT * FROM C WHERE A = (1)", "syntax", 26),
    ("SELECT * FROM C WHERE A = 1 AND", "syntax", 31),
    ("SELECT * FROM C WHERE A = 1)", "syntax", 27),
    ("SELECT * FROM C WHERE (A = 1", "syntax", 28),
    ("SELECT * FROM C WHERE (A = 1 B", "syntax", 29),
    ("SELECT * FROM C WHERE ()", "syntax", 23),
    ("SELECT * FROM C WHERE NOT", "syntax", 25),
    ("SELECT * FROM C WHERE A = 'é", "unterminated-text", 26),
    ("SELECT * FROM C WHERE A = 'a\\", "unterminated-text", 26),
    ("SELECT * FROM C WHERE A = \"é\\t\"", "bad-escape", 29),
    ("SELECT * FROM C WHERE A ISA \"a\\b\"", "bad-escape", 30),
    ("SELECT * FROM C WHERE A = 1x", "bad-number", 26),
    ("SELECT * FROM C WHERE A = 0x", "bad-number", 26),
    ("SELECT * FROM C WHERE A = 1e", "bad-number", 26),
    ("SELECT * FROM C WHERE A = 1e400", "number-range", 26),
    (
        "SELECT * FROM C WHERE A = -9223372036854775809",
        "number-range",
        26,
    ),
    ("SELECT * FROM C WHERE A = + 1", "unexpected-character", 26),
    ("SELECT * FROM C WHERE A = B", "two-properties", 26),
    ("SELECT * FROM C WHERE __CLASS < B", "two-properties", 32),
    ("SELECT * FROM C WHERE __CLASS = B.D", "two-properties", 32),
    ("SELECT * FROM C WHERE 1 = 'x'", "two-constants", 22),
    ("SELECT * FROM C WHERE NULL = NULL", "two-constants", 22),
    ("SELECT * FROM C WHERE NULL > A", "null-order", 27),
    ("SELECT * FROM C WHERE A <= NULL", "null-order", 24),
    ("SELECT * FROM C WHERE A IS 1", "is-needs-null", 27),
    ("SELECT * FROM C WHERE A IS NOT B", "is-needs-null", 31),
    ("SELECT * FROM C WHERE A IS", "syntax", 26),
    ("SELECT * FROM C WHERE A LIKE B", "like-needs-text", 29),
    ("SELECT * FROM C WHERE A LIKE NULL", "like-needs-text", 29),
    ("SELECT * FROM C WHERE A LIKE", "syntax", 28),
    ("SELECT * FROM C WHERE A NOT LIKE 'x'", "not-placement", 24),
    ("SELECT * FROM C WHERE A NOT = 1", "syntax", 24),
    ("SELECT * FROM C WHERE 1 LIKE A", "syntax", 24),
    ("SELECT * FROM C WITHIN x", "syntax", 23),
    ("SELECT * FROM C GROUP BY A", "syntax", 22),
    ("SELECT * FROM C GROUP WITHIN 1.5", "syntax", 29),
    ("ASSOCIATORS", "syntax", 11),
    ("ASSOCIATORS OF C", "syntax", 15),
    ("ASSOCIATORS OF {C='}'", "unclosed-brace", 15),
    ("ASSOCIATORS OF {}", "path", 16),
    ("ASSOCIATORS OF { C=1}", "path", 16),
    ("ASSOCIATORS OF {C.A}", "path", 16),
    ("ASSOCIATORS OF {C=1} AND", "syntax", 21),
    ("ASSOCIATORS OF {C=1} WHERE", "syntax", 26),
    ("ASSOCIATORS OF {C=1} WHERE 'x'", "syntax", 27),
    ("ASSOCIATORS OF {C=1} WHERE Rôle = A", "clause-unknown", 27),
    (
        "ASSOCIATORS OF {C=1} WHERE Role = A, KeysOnly",
        "clause-unknown",
        35,
    ),
    ("ASSOCIATORS OF {C=1} WHERE Role <> A", "syntax", 32),
    ("ASSOCIATORS OF {C=1} WHERE Role = 5", "syntax", 34),
    (
        "ASSOCIATORS OF {C=1} WHERE KeysOnly KEYSONLY",
        "clause-repeated",
        36,
    ),
    (
        "ASSOCIATORS OF {C=1} WHERE KeysOnly ClassDefsOnly",
        "clause-conflict",
        36,
    ),
    (
        "ASSOCIATORS OF {C=1} WHERE SchemaOnly",
        "clause-conflict",
        27,
    ),
    (
        "ASSOCIATORS OF {C} WHERE SchemaOnly KeysOnly",
        "clause-conflict",
        36,
    ),
    ("ASSOCIATORS OF {C}", "needs-schemaonly", 16),
    (
        "REFERENCES OF {C=1} WHERE ResultRole = A",
        "clause-unknown",
        26,
    ),
    (
        "REFERENCES OF {C=1} WHERE RequiredAssocQualifier = A",
        "clause-unknown",
        26,
    ),
];

#[test]
fn refusals_have_their_code_and_their_byte() {
    for &(text, code, at) in REFUSED {
        let refused = wql::parse(text).unwrap_err();
        assert_eq!(
            (refused.code.as_str(), refused.at.start),
            (code, at),
            "{text}: {refused}"
        );
        assert!(
            refused.at.end <= text.len() && refused.at.start <= refused.at.end,
            "{text}"
        );
        assert!(text.is_char_boundary(refused.at.end), "{text}");
    }
}

/// Queries and how they are printed.
const PRINTED: &[(&str, &str)] = &[
    ("select\t*\u{b}from\rc", "SELECT * FROM c"),
    ("SELECT COUNT ( * ) FROM C", "SELECT COUNT(*) FROM C"),
    ("SELECT Count FROM C", "SELECT Count FROM C"),
    (
        "SELECT FROM, From.x FROM from",
        "SELECT FROM, From.x FROM from",
    ),
    ("SELECT FROM FROM FROM", "SELECT FROM FROM FROM"),
    (
        "SELECT * FROM WHERE WHERE WHERE = 1",
        "SELECT * FROM WHERE WHERE WHERE = 1",
    ),
    (
        "SELECT * FROM C WHERE AND = 1 AND OR = 2 OR ISA ISA IS",
        "SELECT * FROM C WHERE AND = 1 AND OR = 2 OR ISA ISA \"IS\"",
    ),
    (
        "SELECT * FROM C WHERE ((A=1))",
        "SELECT * FROM C WHERE A = 1",
    ),
    (
        "SELECT * FROM C WHERE (A=1 AND B=2) OR C=3",
        "SELECT * FROM C WHERE A = 1 AND B = 2 OR C = 3",
    ),
    (
        "SELECT * FROM C WHERE A=1 AND (B=2 OR C=3)",
        "SELECT * FROM C WHERE A = 1 AND (B = 2 OR C = 3)",
    ),
    (
        "SELECT * FROM C WHERE NOT NOT(NOT A=1)",
        "SELECT * FROM C WHERE NOT NOT NOT A = 1",
    ),
    (
        "SELECT * FROM C WHERE NOT (A=1 OR B=2)",
        "SELECT * FROM C WHERE NOT (A = 1 OR B = 2)",
    ),
    (
        "SELECT * FROM C WHERE 10 <= N",
        "SELECT * FROM C WHERE N >= 10",
    ),
    (
        "SELECT * FROM C WHERE 0x1F!=N",
        "SELECT * FROM C WHERE N <> 0x1F",
    ),
    (
        "SELECT * FROM C WHERE A = 'it\\'s \"x\"'",
        "SELECT * FROM C WHERE A = \"it's \\\"x\\\"\"",
    ),
    (
        "SELECT * FROM C WHERE A LIKE 'C:\\W\\\\%'",
        "SELECT * FROM C WHERE A LIKE \"C:\\\\W\\\\%\"",
    ),
    (
        "SELECT * FROM C WHERE __class = Win32_X",
        "SELECT * FROM C WHERE __class = \"Win32_X\"",
    ),
    (
        "SELECT * FROM C WHERE Ünï.b IS NOT NULL",
        "SELECT * FROM C WHERE Ünï.b IS NOT NULL",
    ),
    (
        "SELECT A FROM C WITHIN .5 WHERE A=1 GROUP WITHIN 300 BY A, B.C HAVING N > 1",
        "SELECT A FROM C WITHIN .5 WHERE A = 1 GROUP WITHIN 300 BY A, B.C HAVING N > 1",
    ),
    (
        "SELECT * FROM C WHERE GROUP = 1 GROUP WITHIN 1",
        "SELECT * FROM C WHERE GROUP = 1 GROUP WITHIN 1",
    ),
    ("associators of{C='}'}", "ASSOCIATORS OF {C=\"}\"}"),
    (
        "REFERENCES OF {C} where schemaonly role='a b' resultclass=\"D\"",
        "REFERENCES OF {C} WHERE ResultClass = D Role = \"a b\" SchemaOnly",
    ),
];

#[test]
fn queries_are_printed_as_they_are_read() {
    for &(text, printed) in PRINTED {
        let tree = wql::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(tree.to_string(), printed, "{text}");
        assert_eq!(wql::parse(printed).unwrap(), tree, "{text}");
    }
}

#[test]
fn what_is_too_large_is_refused_and_what_fits_is_not() {
    let condition = |inner: &str, depth: usize| {
        format!(
            "SELECT * FROM C WHERE {}{inner}{}",
            "(".repeat(depth),
            ")".repeat(depth)
        )
    };
    let list = |count: usize, between: &str| vec!["A"; count].join(between);
    let terms = |count: usize| format!("SELECT * FROM C WHERE {}", vec!["A=1"; count].join(" OR "));
    for (fits, too_large) in [
        (condition("A = 1", 256), condition("A = 1", 257)),
        (
            condition(&format!("{}A = 1", "NOT ".repeat(128)), 128),
            condition("NOT A = 1", 256),
        ),
        (terms(4_096), terms(4_097)),
        (
            format!("SELECT {} FROM C", list(1_024, ",")),
            format!("SELECT {} FROM C", list(1_025, ",")),
        ),
        (
            format!("SELECT {} FROM C", list(16, ".")),
            format!("SELECT {} FROM C", list(17, ".")),
        ),
        (
            format!("SELECT * FROM C WHERE A LIKE '{}'", "é".repeat(4_096)),
            format!("SELECT * FROM C WHERE A LIKE '{}'", "é".repeat(4_097)),
        ),
        (
            format!("SELECT * FROM C{}", " ".repeat(65_521)),
            format!("SELECT * FROM C{}", " ".repeat(65_522)),
        ),
    ] {
        let tree = wql::parse(&fits).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(wql::parse(&tree.to_string()).unwrap(), tree);
        assert_eq!(wql::parse(&too_large).unwrap_err().code.as_str(), "limit");
    }
    // Depth is counted where it is, not over the whole text.
    let wide = vec!["(NOT (A=1))"; 2_000].join(" AND ");
    wql::parse(&format!("SELECT * FROM C WHERE {wide}")).unwrap();
    let open = "(".repeat(65_000);
    assert_eq!(
        wql::parse(&format!("SELECT * FROM C WHERE {open}"))
            .unwrap_err()
            .code
            .as_str(),
        "limit"
    );
}

#[test]
fn a_condition_keeps_its_form() {
    let Query::Select(select) = wql::parse("SELECT * FROM C WHERE A=1 OR B=2 AND NOT C=3").unwrap()
    else {
        panic!()
    };
    let Some(Condition::Any(parts)) = select.condition else {
        panic!()
    };
    let [Condition::Term(_), Condition::All(both)] = &parts[..] else {
        panic!("{parts:?}")
    };
    assert!(matches!(&both[..], [Condition::Term(_), Condition::Not(_)]));
}

/// Words and signs of the language, and some that are none.
fn word() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "SELECT",
        "*",
        "FROM",
        "C",
        "WHERE",
        "A",
        "=",
        "<>",
        "<",
        ">=",
        "1",
        "-2.5",
        "'x'",
        "\"y\\\\\"",
        "NOT",
        "(",
        ")",
        "AND",
        "OR",
        "LIKE",
        "'%a[b-c]_'",
        "ISA",
        "IS",
        "NULL",
        "TRUE",
        ",",
        ".",
        "COUNT",
        "WITHIN",
        "GROUP",
        "BY",
        "HAVING",
        "ASSOCIATORS",
        "REFERENCES",
        "OF",
        "{C=1}",
        "{C}",
        "Role",
        "SchemaOnly",
        "KeysOnly",
        "é",
        ";",
        "\\",
    ])
}

fn condition() -> impl Strategy<Value = String> {
    let term = prop_oneof![
        "[A-C](\\.[a-c]){0,2} (=|<>|<|>|<=|>=) (-?[0-9]{1,4}|[0-9]\\.[0-9]|'[a-z%_\\[ \
            ]{0,4}'|TRUE)",
        "('q'|7) (=|<) [A-C]",
        "[A-C] IS (NOT )?NULL",
        "[A-C] LIKE '[a-c%_\\[\\]^-]{0,6}'",
        "[A-C] ISA (X|'Y')",
    ];
    term.prop_recursive(6, 40, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| format!("NOT {one}")),
            inner.clone().prop_map(|one| format!("({one})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} AND {b}")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{a} OR {b}")),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same(condition in condition()) {
        let tree = wql::parse(&format!("SELECT * FROM C WHERE {condition}")).unwrap();
        let printed = tree.to_string();
        prop_assert_eq!(wql::parse(&printed).unwrap(), tree);
    }

    #[test]
    fn any_words_are_read_or_refused(words in proptest::collection::vec(word(), 0..24)) {
        let text = words.join(" ");
        match wql::parse(&text) {
            Ok(tree) => prop_assert_eq!(wql::parse(&tree.to_string()).unwrap(), tree),
            Err(refused) => prop_assert!(refused.at.end <= text.len() && refused.at.start <= refused.at.end),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        if let Err(refused) = wql::parse(&text) {
            prop_assert!(text.is_char_boundary(refused.at.start) && text.is_char_boundary(refused.at.end));
        }
    }
}
