//! The table of requirements is whole, and every test that it names is there.

const TABLE: &str = include_str!("../../src/docs/contract.md");

/// The files of tests that the table may name, with their text.
const FILES: [(&str, &str); 15] = [
    ("pausing", include_str!("pausing.rs")),
    ("restoring", include_str!("restoring.rs")),
    ("backing_up", include_str!("backing_up.rs")),
    ("authority", include_str!("authority.rs")),
    ("faults", include_str!("faults.rs")),
    ("options", include_str!("options.rs")),
    ("standby", include_str!("standby.rs")),
    ("stress", include_str!("stress.rs")),
    ("twins", include_str!("twins.rs")),
    ("service", include_str!("main.rs")),
    ("explore", include_str!("../../src/gate/state/explore.rs")),
    ("command", include_str!("../command.rs")),
    ("com_object", include_str!("../com/object.rs")),
    ("com_repository", include_str!("../com/repository.rs")),
    ("com_module", include_str!("../com_module.rs")),
];

#[test]
fn every_requirement_has_its_row_and_every_row_its_test() {
    let numbers = [
        1..=6,
        10..=16,
        20..=38,
        40..=54,
        60..=84,
        90..=98,
        100..=105,
    ];
    for number in numbers.into_iter().flatten() {
        let head = format!("| A-{number:02} |");
        let rows: Vec<&str> = TABLE
            .lines()
            .filter(|line| line.starts_with(&head))
            .collect();
        let [row] = rows[..] else {
            panic!("A-{number:02} has {} rows", rows.len())
        };
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        let tests: Vec<&str> = cell
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.contains("::") && name.starts_with(char::is_lowercase))
            .collect();
        let says_why = cell.starts_with("not ours: ") || cell.starts_with("not yet: ");
        assert!(
            !tests.is_empty() || (says_why && cell.len() > 12),
            "A-{number:02} has no test: {cell}"
        );
        for test in tests {
            let (file, name) = test.split_once("::").unwrap();
            let (_, text) = FILES
                .iter()
                .find(|(known, _)| *known == file)
                .unwrap_or_else(|| panic!("{test}: no such file"));
            assert!(
                text.contains(&format!("fn {name}(")),
                "A-{number:02} names {test}, which is not there"
            );
        }
    }
}

/// The table of part D, and the files whose tests it names.
const RIGHTS: &str = include_str!("../../src/docs/security.md");
const RIGHTS_TESTS: [&str; 13] = [
    include_str!("authority.rs"),
    include_str!("namespaces.rs"),
    include_str!("../security.rs"),
    include_str!("../changes/namespaces.rs"),
    include_str!("../changes/rules.rs"),
    include_str!("../../src/security/access.rs"),
    include_str!("../../src/security/connect.rs"),
    include_str!("../../src/security/defaults.rs"),
    include_str!("../../src/security/inheritance.rs"),
    include_str!("../../src/security/methods.rs"),
    include_str!("../../src/security/sddl.rs"),
    include_str!("../../src/format/security/acl.rs"),
    include_str!("../../src/format/security/descriptor.rs"),
];

#[test]
fn every_right_has_its_row_and_every_row_its_test() {
    for number in 1..=20 {
        let head = format!("| D-{number:02} |");
        let rows: Vec<&str> = RIGHTS
            .lines()
            .filter(|line| line.starts_with(&head))
            .collect();
        let [row] = rows[..] else {
            panic!("D-{number:02} has {} rows", rows.len())
        };
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        let is_name = |word: &str| {
            word.bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let tests: Vec<&str> = cell
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|word| word.contains('_') && is_name(word))
            .collect();
        assert!(
            !tests.is_empty() || cell.contains(", all tests"),
            "D-{number:02} has no test: {cell}"
        );
        for test in tests {
            let declared = format!("fn {test}(");
            assert!(
                RIGHTS_TESTS.iter().any(|text| text.contains(&declared)),
                "D-{number:02}: {test} is not there"
            );
        }
    }
}
