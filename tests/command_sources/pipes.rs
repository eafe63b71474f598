//! What is printed when nobody reads it to its end, and when the user ends it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use cimrepo::store::EngineOptions;

use super::{Argument, command, repository};

/// A repository whose export does not fit into a pipe.
fn large(path: &Path) {
    repository(path);
    let engine = EngineOptions::new().open(path).unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    for number in 0..8 {
        writer
            .create_namespace(&format!("ROOT\\Space{number:04}"))
            .unwrap();
    }
    writer.commit().unwrap();
    engine.close().unwrap();
}

/// As in `cimrepo … | head -1`: gives the exit code and standard error.
fn head(call: &[Argument<'_>], lines: usize) -> (Option<i32>, String) {
    let mut child = command(call)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..lines {
        out.read_line(&mut String::new()).unwrap();
    }
    drop(out);
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_closed_pipe_ends_quietly_with_0_and_without_totals() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    large(&one);
    repository(&other);
    let calls: [&[Argument<'_>]; 9] = [
        &[&"export", &one],
        &[&"export", &one, &other],
        &[&"ls", &one, &"-r"],
        &[&"usage", &one, &"--json"],
        &[&"keys", &one],
        &[&"page", &one, &"objects"],
        &[&"diff", &one, &other],
        &[&"verify", &one, &other],
        &[&"info", &other, &one],
    ];
    for call in calls {
        let name = call[0].as_ref().display();
        assert_eq!(head(call, 0), (Some(0), String::new()), "{name}");
        if name.to_string() == "export" {
            assert_eq!(head(call, 1), (Some(0), String::new()), "after a line");
        }
    }
}

/// What a verb has done is done, and what went wrong is said, although nobody reads what it prints.
#[test]
fn a_closed_pipe_changes_nothing_that_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("Repository");
    large(&place);
    let object = "root\\Space0007";
    assert_eq!(
        head(&[&"delete", &place, &object], 0),
        (Some(0), String::new())
    );
    let (out, _) = super::run(&[&"ls", &place], 0);
    assert!(
        out.contains("Space0006") && !out.contains("Space0007"),
        "{out}"
    );
    #[cfg(unix)]
    {
        let call: &[Argument<'_>] = &[&"pause", &place, &"--json", &"--", &"false"];
        let (code, err) = head(call, 0);
        assert!(code == Some(1) && err.contains("the pause held"), "{err}");
    }
}

/// An interrupted run prints no totals, and ends as a shell expects: by the signal.
#[cfg(unix)]
#[test]
fn an_interrupted_run_prints_no_totals() {
    use std::os::unix::process::ExitStatusExt;

    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("Repository");
    large(&place);
    let calls: [&[Argument<'_>]; 2] = [
        &[&"export", &place],
        &[&"ls", &place, &"__SystemClass", &"--json"],
    ];
    for call in calls {
        // It waits for a reader that takes one line and no more, so it is in the middle when the
        // signal comes.
        let mut child = command(call)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::with_capacity(16, child.stdout.take().unwrap());
        out.read_line(&mut String::new()).unwrap();
        std::process::Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(15), "{output:?}");
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        drop(out);
    }
}
