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
        messages.contains("bad.mof:2:9: error: ")
            && messages.contains("WBEMMOF_E_EXPECTED_PROPERTY_NAME (0x8004400C)")
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
