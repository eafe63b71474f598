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

#[test]
fn a_check_may_ask_a_repository_and_changes_nothing() {
    let place = Place::new();
    let (repo, base) = (
        place.path("R"),
        place.file("base.mof", "class A { [key] string K; };"),
    );
    let derived = place.file("derived.mof", "class B : A { };");
    assert_eq!(run(&["create", &repo]).0, 0);
    assert_eq!(run(&["compile", "--check", &derived]).0, 0);
    let (code, _, messages) = run(&["compile", "--check", &derived, "--in", &repo]);
    assert_eq!(code, 6);
    assert!(
        messages.contains("error[WBEM_E_INVALID_SUPERCLASS]"),
        "{messages}"
    );

    assert_eq!(run(&["compile", &repo, &base]).0, 0);
    let files = || {
        let entries = std::fs::read_dir(&repo)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let read = |path: std::path::PathBuf| (path.clone(), std::fs::read(path).unwrap());
        entries
            .map(read)
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = files();
    let (code, output, messages) = run(&["compile", "--check", &derived, "--in", &repo]);
    assert_eq!(code, 0, "{messages}");
    assert!(output.contains("created   root\\default:B\n"), "{output}");
    assert!(before == files(), "a check writes nothing");
    assert_eq!(run(&["compile", &repo, &derived, "--in", &repo]).0, 2);
}

#[test]
fn flags_and_the_creator_come_from_the_command_line() {
    let place = Place::new();
    let repo = place.path("R");
    assert_eq!(run(&["create", &repo]).0, 0);
    let class = place.file("class.mof", "class A { [key] string K; string V; };");
    let instance = place.file("instance.mof", "instance of A { K = \"k\"; };");
    let refused = |arguments: &[&str], code: &str| {
        let (end, _, messages) = run(arguments);
        assert!(
            end == 6 && messages.contains(code),
            "{arguments:?}: {messages}"
        );
    };
    refused(
        &["compile", &repo, &class, "--class", "updateonly"],
        "WBEM_E_NOT_FOUND",
    );
    assert_eq!(
        run(&["compile", &repo, &class, "--class", "createonly"]).0,
        0
    );
    refused(
        &["compile", &repo, &class, "--class", "2"],
        "WBEM_E_ALREADY_EXISTS",
    );
    refused(
        &["compile", &repo, &instance, "--instance", "1"],
        "WBEM_E_NOT_FOUND",
    );
    assert_eq!(
        run(&["compile", &repo, &instance, "--instance", "createonly"]).0,
        0
    );
    for wrong in [
        ["--class", "3"],
        ["--class", "x"],
        ["--instance", "forceupdate"],
    ] {
        assert_eq!(run(&["compile", &repo, &instance, wrong[0], wrong[1]]).0, 2);
    }

    let filter = place.file(
        "filter.mof",
        "instance of __EventFilter { Name = \"n\"; Query = \"q\"; QueryLanguage = \"WQL\"; };",
    );
    let user = "S-1-5-21-1-2-3-500";
    let arguments = [
        "compile",
        &repo,
        &filter,
        "--namespace",
        "root",
        "--creator-sid",
        user,
    ];
    let (code, _, messages) = run(&arguments);
    assert_eq!(code, 0, "{messages}");
    let (_, shown, _) = run(&["show", &repo, "root:__EventFilter.Name=\"n\""]);
    assert!(
        shown.contains("CreatorSID = {1, 5, 0, 0, 0, 0, 0, 5, 21"),
        "{shown}"
    );
    assert_eq!(
        run(&["compile", &repo, &filter, "--creator-sid", "me"]).0,
        2
    );
}

#[test]
fn mofcomp_has_its_own_exit_codes() {
    let place = Place::new();
    let (repo, none) = (place.path("R"), place.path("none"));
    assert_eq!(run(&["create", &repo]).0, 0);
    let good = place.file("good.mof", "#pragma autorecover\nclass A { };");
    let plain = place.file("plain.mof", "class A { };");
    let wrong = place.file("wrong.mof", "class A { ;");
    let refused = place.file("refused.mof", "class B : None { };");
    let code = |repo: &str, file: &str| run(&["compile", repo, file, "--mofcomp"]);
    let rows = [
        (&repo, &good, 0),
        (&repo, &refused, 1),
        (&none, &good, 1),
        (&repo, &wrong, 3),
    ];
    for (repo, file, expected) in rows {
        let (end, _, messages) = code(repo, file);
        assert_eq!(end, expected, "{messages}");
        assert!(!messages.contains("autorecover"), "{messages}");
    }
    let (end, _, messages) = code(&repo, &plain);
    assert!(end == 0 && messages.contains("no file has `#pragma autorecover`"));
}

#[test]
fn a_master_file_is_split_into_two() {
    let place = Place::new();
    let text = "#pragma amendment(\"MS_409\")\n\
        [Description(\"Größe\") : Amended] class A { [key] string K; };\n";
    let master = place.file("master.mof", text);
    let (neutral, localised) = (place.path("neutral.mof"), place.path("english.mfl"));
    let arguments = ["compile", &master, "--mof", &neutral, "--mfl", &localised];
    let (code, _, messages) = run(&arguments);
    assert_eq!(code, 0, "{messages}");
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    assert!(read(&neutral).starts_with("\nclass A\n") || read(&neutral).starts_with("class A\n"));
    assert!(read(&localised).starts_with("\u{feff}#pragma namespace"));
    assert!(
        read(&localised).contains("[Description(\"Größe\"): Amended, AMENDMENT, LOCALE(0x409)]")
    );
    assert_eq!(run(&arguments).0, 3, "nothing is written over");
    assert_eq!(run(&["compile", &master, "--mof", &neutral]).0, 2);

    let repo = place.path("R");
    assert_eq!(run(&["create", &repo]).0, 0);
    assert_eq!(run(&["compile", &repo, &neutral, &localised]).0, 0);
}
