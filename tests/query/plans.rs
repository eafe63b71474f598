//! The answer must not depend on the way: every plan against a reading of everything and against
//! the naive evaluator.

use cimrepo::catalog::Catalog;
use cimrepo::query::{self, QueryOptions};
use proptest::prelude::*;

use crate::cases::Answer;
use crate::made_up::{self, CLASSES, NS};
use crate::naive::{self, Asked, Constant};
use crate::support::corpus;

/// Generated queries: the environment variable asks for more.
pub fn rounds() -> u32 {
    std::env::var("CIMREPO_QUERIES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(300)
}

fn operator() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("="), 1 => Just("<>"), 1 => Just("<"), 1 => Just(">"), 1 => Just("<="), 1 => Just(">=")]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[abAB%_]{0,4}", Just("10".to_owned())]
}

fn compare(column: &'static str, constant: BoxedStrategy<Constant>) -> BoxedStrategy<Asked> {
    (operator(), constant, any::<bool>())
        .prop_filter("NULL has no order", |(operator, constant, _)| {
            !matches!(constant, Constant::Null) || ["=", "<>"].contains(operator)
        })
        .prop_map(move |(operator, constant, turned)| Asked::Compare {
            column: column.to_owned(),
            operator,
            constant,
            turned,
        })
        .boxed()
}

fn equality(column: &'static str, constant: BoxedStrategy<Constant>) -> BoxedStrategy<Asked> {
    (prop_oneof![Just("="), Just("<>")], constant)
        .prop_map(move |(operator, constant)| Asked::Compare {
            column: column.to_owned(),
            operator,
            constant,
            turned: false,
        })
        .boxed()
}

fn term(class: &'static str) -> BoxedStrategy<Asked> {
    let number = || {
        prop_oneof![
            6 => (-4i128..8).prop_map(Constant::Integer),
            2 => (-40i128..80).prop_map(Constant::Real),
            1 => (-4i128..8).prop_map(|value| Constant::Text(value.to_string())),
            1 => Just(Constant::Null),
        ]
        .boxed()
    };
    let words = || {
        prop_oneof![5 => text().prop_map(Constant::Text), 1 => (0i128..20).prop_map(Constant::Integer), 1 => Just(Constant::Null)].boxed()
    };
    let flag = || {
        prop_oneof![4 => any::<bool>().prop_map(Constant::Boolean), 1 => Just(Constant::Null)]
            .boxed()
    };
    let ids = || {
        prop_oneof![
            8 => (0u32..40, any::<bool>()).prop_map(|(number, upper)| {
                let text = format!("i{number}");
                Constant::Text(if upper { text.to_uppercase() } else { text })
            }),
            2 => (0u32..40).prop_map(|number| Constant::Text(format!("f{number}"))),
            1 => Just(Constant::Null),
        ]
        .boxed()
    };
    let class_name = prop_oneof![
        Just("Item"),
        Just("TOOL"),
        Just("Saw"),
        Just("freea"),
        Just("Nothing")
    ]
    .prop_map(|name| Constant::Text(name.to_owned()))
    .boxed();
    let like =
        ("[ab%_]{0,4}", proptest::option::of("\\[\\^?[ab]{1,2}\\]%")).prop_map(|(front, set)| {
            Asked::Like {
                column: "Text".to_owned(),
                pattern: format!("{front}{}", set.unwrap_or_default()),
            }
        });
    let null = (
        prop_oneof![Just("Text"), Just("Number"), Just("Real"), Just("Flag")],
        any::<bool>(),
    )
        .prop_map(|(column, negated)| Asked::Null {
            column: column.to_owned(),
            negated,
        });
    let common = prop_oneof![
        2 => compare("Text", words()),
        2 => compare("Number", number()),
        2 => compare("Real", number()),
        1 => equality("Flag", flag()),
        1 => compare("__CLASS", class_name.clone()),
        1 => equality("__SUPERCLASS", class_name),
        1 => like,
        1 => null,
    ];
    let keys = match class {
        "Item" | "Tool" | "Saw" | "FreeA" => compare("Id", ids()),
        "Pair" => prop_oneof![equality("A", flag()), compare("B", number())].boxed(),
        _ => return common.boxed(),
    };
    prop_oneof![1 => common, 1 => keys].boxed()
}

fn asked(class: &'static str) -> impl Strategy<Value = Asked> {
    term(class).prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Asked::And(Box::new(a), Box::new(b))),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Asked::Or(Box::new(a), Box::new(b))),
            1 => inner.prop_map(|inner| Asked::Not(Box::new(inner))),
        ]
    })
}

fn sorted_paths(catalog: &Catalog, text: &str, options: QueryOptions) -> Vec<String> {
    let mut paths = Answer::of(catalog, NS, text, options)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .paths;
    paths.sort();
    paths
}

#[test]
fn generated_queries_have_one_answer() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(rounds()));
    let catalog = made_up::catalog();
    let all = naive::everything(&catalog, NS);
    let query = proptest::sample::select(CLASSES.to_vec())
        .prop_flat_map(|class| asked(class).prop_map(move |asked| (class, asked)));
    runner
        .run(&query, |(class, asked)| {
            let condition = asked.text();
            let text = format!("SELECT * FROM {class} WHERE {condition}");
            let wanted = naive::paths_among(&all, NS, class, Some(&asked));
            prop_assert_eq!(
                &sorted_paths(&catalog, &text, QueryOptions::default()),
                &wanted,
                "{}",
                &text
            );
            let everything = QueryOptions::default().full_scan(true);
            prop_assert_eq!(
                &sorted_paths(&catalog, &text, everything),
                &wanted,
                "{}",
                &text
            );
            let twice = format!("SELECT * FROM {class} WHERE NOT NOT ({condition})");
            prop_assert_eq!(
                &sorted_paths(&catalog, &twice, QueryOptions::default()),
                &wanted,
                "{}",
                &twice
            );
            let count = format!("SELECT COUNT(*) FROM {class} WHERE {condition}");
            let count = Answer::of(&catalog, NS, &count, QueryOptions::default())
                .unwrap()
                .count;
            prop_assert_eq!(count, Some(wanted.len() as u64));
            Ok(())
        })
        .unwrap();
}

/// The way that a query takes.
fn way(text: &str) -> Vec<(&'static str, String)> {
    let plans = query::explain(&made_up::catalog(), NS, text, &QueryOptions::default()).unwrap();
    let [plan] = &plans[..] else {
        panic!("{plans:?}")
    };
    plan.access
        .iter()
        .map(|access| (access.how, access.names.replace(NS, "N")))
        .collect()
}

#[test]
fn the_narrowest_way_is_taken() {
    for (condition, expected) in [
        (
            "Item WHERE Id = 'i1'",
            &[("look-up", r#"NS(N)\KI(Item)\I("i1")"#)][..],
        ),
        (
            "Saw WHERE 'i1' = Id AND Text = 'x'",
            &[("look-up", r#"NS(N)\KI(Item)\I("i1")"#)],
        ),
        (
            "Item WHERE Id = 'i1' OR Id = 'i2'",
            &[
                ("look-up", r#"NS(N)\KI(Item)\I("i1")"#),
                ("look-up", r#"NS(N)\KI(Item)\I("i2")"#),
            ],
        ),
        ("Item WHERE Id = NULL", &[]),
        (
            "Pair WHERE A = 1 AND B = '0x2'",
            &[("look-up", r#"NS(N)\KI(Pair)\I("TRUE,2")"#)],
        ),
        (
            "Pair WHERE A = TRUE AND B = 2.0",
            &[("look-up", r#"NS(N)\KI(Pair)\I("TRUE,2")"#)],
        ),
        ("Pair WHERE A = TRUE AND B = 2.5", &[]),
        ("Pair WHERE A = TRUE", &[("range", r"NS(N)\CI(Pair)\IL_*")]),
        (
            "Item WHERE __RELPATH = 'Item=\"i1\"'",
            &[("look-up", r#"NS(N)\KI(Item)\I("i1")"#)],
        ),
        ("Item WHERE Id <> 'i1'", &[("range", r"NS(N)\KI(Item)\I_*")]),
        (
            "Item WHERE Id = 'i1' OR Text = 'x'",
            &[("range", r"NS(N)\KI(Item)\I_*")],
        ),
        (
            "Item WHERE NOT Id = 'i1'",
            &[("range", r"NS(N)\KI(Item)\I_*")],
        ),
        (
            "Item WHERE __CLASS = 'tool'",
            &[("range", r"NS(N)\CI(Tool)\IL_*")],
        ),
        ("Item WHERE __CLASS = 'Pair'", &[]),
        ("Saw", &[("range", r"NS(N)\CI(Saw)\IL_*")]),
        (
            "Free",
            &[
                ("range", r"NS(N)\CI(FreeA)\IL_*"),
                ("range", r"NS(N)\CI(FreeB)\IL_*"),
            ],
        ),
        ("Only", &[("look-up", r#"NS(N)\KI(Only)\I("@")"#)]),
        (
            "meta_class WHERE __CLASS = 'Item'",
            &[("look-up", r"NS(N)\CD(Item)")],
        ),
        (
            "meta_class WHERE __this ISA Item",
            &[("subclass tree", r"NS(N)\CR(Item)\C_*, and the system's")],
        ),
        (
            "meta_class WHERE __SUPERCLASS IS NULL",
            &[("range", r"NS(N)\CR()\C_*, and the system's")],
        ),
        (
            "meta_class WHERE NOT __CLASS LIKE 'x%'",
            &[("names", r"NS(N)\CD_*, and the system's")],
        ),
        (
            "meta_class WHERE __GENUS = 1",
            &[("range", r"NS(N)\CD_*, and the system's")],
        ),
    ] {
        let text = format!("SELECT * FROM {condition}");
        let found = way(&text);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(how, names)| (*how, names.as_str()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_look_up_reads_one_record_and_a_count_all() {
    let catalog = made_up::catalog();
    let counted = |text: &str| {
        let mut rows = query::run(&catalog, NS, text, QueryOptions::default()).unwrap();
        rows.by_ref().for_each(|row| drop(row.unwrap()));
        let counters = rows.counters();
        (counters.keys, counters.records, counters.rows)
    };
    assert_eq!(counted("SELECT * FROM Item WHERE Id = 'i1'"), (1, 1, 1));
    assert_eq!(counted("SELECT * FROM Item WHERE Id = 'none'"), (1, 0, 0));
    assert_eq!(counted("SELECT COUNT(*) FROM Item"), (36, 36, 1));
    assert_eq!(counted("SELECT * FROM Pair"), (36, 36, 36));
}

/// On real repositories a query that is planned and one that reads everything agree, for every
/// class with instances.
#[test]
fn plans_of_real_repositories_agree() {
    for path in corpus("plans of real repositories") {
        let repository = cimrepo::store::Repository::open_read_only(&path).unwrap();
        let catalog = Catalog::new(repository.snapshot());
        for namespace in catalog
            .namespaces()
            .into_iter()
            .map(Result::unwrap)
            .take(12)
        {
            let mut classes: Vec<String> = catalog
                .all_instances(&namespace)
                .flatten()
                .flat_map(|stored| {
                    let class = stored.instance.class();
                    [class.name()]
                        .into_iter()
                        .chain(class.derivation())
                        .map(|name| name.as_str().to_owned())
                        .collect::<Vec<_>>()
                })
                .collect();
            classes.sort();
            classes.dedup();
            for class in classes {
                for condition in ["", " WHERE NOT __PATH LIKE '%a%'", " WHERE __CLASS > 'M'"] {
                    let text = format!("SELECT * FROM {class}{condition}");
                    let planned =
                        Answer::of(&catalog, &namespace, &text, QueryOptions::default()).unwrap();
                    let everything = QueryOptions::default().full_scan(true);
                    let scanned = Answer::of(&catalog, &namespace, &text, everything).unwrap();
                    assert_eq!(planned.lines, scanned.lines, "{namespace} {text}");
                }
            }
        }
    }
}
