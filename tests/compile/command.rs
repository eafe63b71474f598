//! The verb `compile`.

use std::process::Command;

/// Runs the command; gives its exit code and both outputs.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cimrepo"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn files_are_stored_or_refused_with_their_code() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (repo, good, bad) = (path("Repository"), path("good.mof"), path("bad.mof"));
    assert_eq!(run(&["create", &repo]).0, 0);
    std::fs::write(
        &good,
        "class A { [key] string K; };\ninstance of A { K = \"v\"; };\n",
    )
    .unwrap();
    std::fs::write(&bad, "class B {\n  uint32;\n};\n").unwrap();
    let included = path("main.mof");
    std::fs::write(&included, "#include \"GOOD.mof\"\nclass C : A {};\n").unwrap();

    let (code, output, messages) = run(&["compile", &repo, &good]);
    assert_eq!(code, 0, "{messages}");
    assert!(output.contains("created   root\\default:A\n"), "{output}");
    assert!(
        output.ends_with("2 objects: 2 created, 0 updated, 0 unchanged, 0 deleted, 0 skipped\n"),
        "{output}"
    );
    let (code, output, _) = run(&["show", &repo, "root\\default:A.K=\"v\""]);
    assert!(code == 0 && output.contains("K = \"v\";"), "{output}");

    let (code, output, messages) = run(&["compile", &repo, &bad]);
    assert_eq!((code, &*output), (6, ""));
    assert!(
        messages.starts_with("cimrepo: error[WBEMMOF_E_EXPECTED_PROPERTY_NAME]: ")
            && messages.contains("(0x8004400C)\ncimrepo:  --> ")
            && messages.contains("bad.mof:2:9\n"),
        "{messages}"
    );
    assert_eq!(run(&["compile", &repo, &bad, "--mofcomp"]).0, 3);
    assert_eq!(run(&["compile", "--check", &bad]).0, 6);
    assert_eq!(run(&["compile", "--check", &good]).0, 0);
    assert_eq!(run(&["compile", &repo]).0, 2);

    let (code, output, _) = run(&["compile", &repo, &included, "--json"]);
    assert_eq!(code, 0, "{output}");
    assert!(
        output
            .lines()
            .all(|line| line.starts_with("{\"schema\":1,\"kind\":\"operation\"")),
        "{output}"
    );
    assert!(
        output.contains("\"outcome\":\"unchanged\"") && output.contains("\"name\":\"C\""),
        "{output}"
    );
}

/// A directory, and the command in it.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file, and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

#[test]
fn a_message_shows_the_line_and_every_place() {
    let place = Place::new();
    let twice = "class A {\n\tstring X; \n\tstring\tX;\n};\n";
    let file = place.file("twice.mof", twice);
    let repo = place.path("R");
    assert_eq!(run(&["create", &repo]).0, 0);

    let (code, _, messages) = run(&["compile", &repo, &file]);
    assert_eq!(code, 6);
    let shown: Vec<&str> = messages
        .lines()
        .map(|line| &line["cimrepo: ".len()..])
        .collect();
    let expected = [
        "error[WBEMMOF_E_DUPLICATE_PROPERTY]: the class declares the property X twice (0x8004401B)",
        &format!(" --> {file}:3:9"),
        "  |",
        "3 |     string    X;",
        "  |               ^",
        "  |",
        &format!(" ::: {file}:2:9"),
        "  |",
        "2 |     string X; ",
        "  |            - first declared here",
    ];
    let trimmed = expected.map(str::trim_end);
    assert_eq!(shown, trimmed, "{messages}");

    let (_, json, messages) = run(&["compile", &repo, &file, "--json"]);
    assert_eq!(messages, "");
    let row: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (
            &row["line"],
            &row["column"],
            &row["end_column"],
            &row["excerpt"]
        ),
        (&3.into(), &9.into(), &10.into(), &"\tstring\tX;".into())
    );
    assert_eq!(row["labels"][0]["line"], 2);
    assert_eq!(row["labels"][0]["message"], "first declared here");
}

#[test]
fn a_place_in_a_long_line_is_shown_alone() {
    let place = Place::new();
    let blanks = " ".repeat(100_000);
    let file = place.file(
        "long.mof",
        format!("class A {{{blanks}uint8 é\u{1b}[2J;{blanks}}};"),
    );
    let (code, _, messages) = run(&["compile", "--check", &file]);
    assert_eq!(code, 6);
    assert!(messages.contains("long.mof:1:100017\n"), "{messages}");
    assert!(
        messages.len() < 2_000 && !messages.contains('\u{1b}'),
        "{messages}"
    );
    assert!(messages.contains("uint8 é\\u{1b}[2J;"), "{messages}");
}
