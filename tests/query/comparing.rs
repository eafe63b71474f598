//! Properties of comparisons, whatever the column and the constant: one of less, equal and greater
//! holds for each object that has a value, the other operators follow from them, and a look-up by
//! key finds what the comparison finds.

use std::collections::BTreeSet;

use cimrepo::query::QueryOptions;
use proptest::prelude::*;

use crate::cases::Answer;
use crate::made_up::{NS, catalog};

type Paths = BTreeSet<String>;

/// A column with a constant of its type as it is written.
fn compared() -> impl Strategy<Value = (&'static str, String)> {
    let text = prop_oneof![
        "'[ab%_AB]{0,4}'",
        "'i[0-9]{1,2}'",
        Just("'ſéÄ'".to_owned()),
        "[0-9]{1,2}"
    ];
    let number = prop_oneof![
        "-?[0-9]{1,2}",
        "-?[0-9]\\.[05]",
        "'0x[0-9a-f]'",
        "' -?[0-9] '",
        Just("18446744073709551615".to_owned()),
        Just("-1e300".to_owned()),
    ];
    let class = prop_oneof![
        Just("'tool'".to_owned()),
        "'[A-Z_a-z]{1,4}'",
        Just("'Saw'".to_owned())
    ];
    prop_oneof![
        (prop_oneof![Just("Text"), Just("Id")], text),
        (prop_oneof![Just("Number"), Just("Real")], number),
        (Just("__CLASS"), class),
    ]
}

fn paths(condition: &str, options: QueryOptions) -> Paths {
    let text = format!("SELECT * FROM Item WHERE {condition}");
    let answer = Answer::of(&catalog(), NS, &text, options);
    let answer = answer.unwrap_or_else(|error| panic!("{text}: {error}"));
    let count = answer.paths.len();
    let paths: Paths = answer.paths.into_iter().collect();
    assert_eq!(paths.len(), count, "{text} gives an object twice");
    paths
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn comparisons_are_total_and_agree_with_each_other((column, constant) in compared()) {
        let of = |operator: &str| {
            let condition = format!("{column} {operator} {constant}");
            let planned = paths(&condition, QueryOptions::default());
            let scanned = paths(&condition, QueryOptions::default().full_scan(true));
            assert_eq!(planned, scanned, "{condition}");
            planned
        };
        let (less, equal, greater) = (of("<"), of("="), of(">"));
        prop_assert!(less.is_disjoint(&equal) && less.is_disjoint(&greater));
        prop_assert!(equal.is_disjoint(&greater));
        let all: Paths = [&less, &equal, &greater].into_iter().flatten().cloned().collect();
        let with_value = paths(&format!("{column} IS NOT NULL"), QueryOptions::default());
        prop_assert_eq!(&all, &with_value);
        prop_assert_eq!(of("<="), &less | &equal);
        prop_assert_eq!(of(">="), &greater | &equal);
        // Objects without a value differ from every constant.
        let without = paths(&format!("{column} IS NULL"), QueryOptions::default());
        let unequal = &(&less | &greater) | &without;
        prop_assert_eq!(&of("<>"), &unequal);
        let negated = paths(&format!("NOT {column} = {constant}"), QueryOptions::default());
        prop_assert_eq!(&negated, &unequal);
        let turned = paths(&format!("{constant} > {column}"), QueryOptions::default());
        prop_assert_eq!(turned, less);
    }
}
