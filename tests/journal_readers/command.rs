//! What the command says of journals and of a newest generation that is torn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cimrepo::base::page_no::{PAGE_SIZE, Space};
use cimrepo::catalog::create;
use cimrepo::storage::Directory;
use serde_json::Value;

use crate::still;
use crate::support::small::{current_file, data_mut, mapping_in};
use crate::support::{load, write_to};

/// Runs the command; gives its exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    let output = command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn rows(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A repository in a directory with a namespace that is in the journal alone.
fn waiting() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let [made, repo] = ["made", "repo"].map(|name| place.path().join(name));
    for path in [&made, &repo] {
        fs::create_dir(path).unwrap();
    }
    create(&Directory::real(&made)).unwrap();
    let engine = still().open(&made).unwrap();
    for name in ["ONE", "TWO"] {
        let mut writer = engine.begin_catalog_write().unwrap();
        writer.create_namespace(&format!(r"ROOT\{name}")).unwrap();
        writer.commit().unwrap();
    }
    for entry in fs::read_dir(&made).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), repo.join(entry.file_name())).unwrap();
    }
    (place, repo)
}

#[test]
fn a_waiting_journal_is_read_and_said() {
    let (_place, repo) = waiting();
    let repo = repo.to_str().unwrap();
    let said = "replayed 2 commits of cimrepo-";
    for verb in [
        &["ls", repo, "ROOT", "-r"][..],
        &["keys", repo],
        &["export", repo],
        &["convert", repo, &format!("{repo}.new")],
    ] {
        let (code, out, err) = run(verb);
        assert_eq!(
            (code, err.matches(said).count()),
            (0, 1),
            "{verb:?}: {out}{err}"
        );
    }
    assert!(run(&["ls", repo, "ROOT", "-r"]).1.contains(r"ROOT\TWO"));
    let (code, out, err) = run(&["ls", repo, "ROOT", "-r", "--no-journal"]);
    assert!(
        code == 0 && !out.contains("TWO") && err.is_empty(),
        "{out}{err}"
    );
    let (code, out, _) = run(&["info", repo]);
    assert!(
        code == 0 && out.contains("journal      cimrepo-") && out.contains(": 2 commits, replayed"),
        "{out}"
    );
    let (_, out, _) = run(&["info", repo, "--json"]);
    assert_eq!(
        rows(&out)[0]["journal"],
        serde_json::json!({"commits": 2, "replayed": 2, "refused": []})
    );
    let (code, out, _) = run(&["verify", repo]);
    assert!(
        code == 0 && out.contains("WMI repository is consistent"),
        "{out}"
    );
    assert!(
        out.contains(r"  + ROOT\ONE") && out.contains("without the journal:"),
        "{out}"
    );
    let (_, out, _) = run(&["verify", repo, "--json"]);
    let rows = rows(&out);
    assert_eq!(rows.last().unwrap()["journal"]["replayed"], 2);
    assert!(
        rows.iter()
            .any(|row| row["kind"] == "journal" && row["difference"]["added"].as_u64() > Some(0))
    );
    let backup = format!("{repo}.cimbak");
    let (code, out, err) = run(&["backup", repo, &backup, "--json"]);
    assert!(code == 0 && err.contains(said), "{err}");
    assert_eq!(self::rows(&out)[0]["journal"]["replayed"], 2);
    let (code, _, err) = run(&["diff", repo, &backup]);
    assert!(code == 0 && err.contains(said), "{err}");
    assert_eq!(run(&["diff", repo, &backup, "--no-journal"]).0, 1);
}

/// A journal of which the last commit does not fit.
#[test]
fn what_cannot_be_replayed_is_said_and_ends_with_1() {
    let (_place, repo) = waiting();
    let other = repo.with_extension("other");
    fs::create_dir(&other).unwrap();
    create(&Directory::real(&other)).unwrap();
    let journal = fs::read_dir(&repo)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let journal = journal
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "journal"))
        .unwrap();
    fs::copy(&journal, other.join("cimrepo-0000000099.journal")).unwrap();
    for verb in ["ls", "info", "verify", "keys"] {
        let (code, out, err) = run(&[verb, other.to_str().unwrap()]);
        assert_eq!(code, 1, "{verb}: {out}{err}");
        assert!(err.contains("cannot be replayed: "), "{verb}: {err}");
    }
    let (_, out, _) = run(&["verify", other.to_str().unwrap()]);
    assert!(
        out.contains("FAILED verification: 0 findings, 1 journal refused"),
        "{out}"
    );
}

/// A repository whose newest generation, of a namespace more, is torn, and says that it was closed
/// in order; its number.
fn torn(path: &Path, space: Space) -> u32 {
    fs::create_dir(path).unwrap();
    create(&Directory::real(path)).unwrap();
    let engine = still().open(path).unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    writer.create_namespace(r"ROOT\NEWEST").unwrap();
    writer.commit().unwrap();
    engine.close().unwrap();
    let mut files = load(path);
    let mapping = mapping_in(&files, &current_file(&files));
    assert_eq!(mapping.shutdown_flag, 1);
    let entries = &mapping.section(space).entries;
    let written = entries
        .iter()
        .filter(|entry| entry.last_write == mapping.generation());
    let place = written.filter_map(|entry| entry.physical).next().unwrap();
    data_mut(&mut files, space)[place.index() * PAGE_SIZE] ^= 1;
    write_to(&files, path, str::to_owned);
    mapping.generation()
}

#[test]
fn reading_verbs_name_a_torn_newest_generation_and_end_with_1() {
    let place = tempfile::tempdir().unwrap();
    for space in Space::ALL {
        let path = place.path().join(space.to_string());
        let newest = torn(&path, space);
        let repo = path.to_str().unwrap();
        let converted = format!("{repo}.new");
        let verbs = [
            &["ls", repo, "ROOT", "-r"][..],
            &["keys", repo],
            &["info", repo],
            &["verify", repo],
            &["export", repo],
            &["show", repo, r"root:__Namespace"],
            &["convert", repo, &converted],
        ];
        for verb in verbs {
            let (code, out, err) = run(verb);
            assert_eq!(code, 1, "{verb:?}: {out}{err}");
            assert!(
                err.contains(&format!("generation {newest} (MAPPING")),
                "{verb:?}: {err}"
            );
            assert!(
                err.contains(&format!(
                    "reading generation {}, which is whole",
                    newest - 1
                )),
                "{verb:?}: {err}"
            );
            assert!(
                err.contains(&format!("--generation {newest} reads")),
                "{verb:?}: {err}"
            );
            assert!(!out.contains("NEWEST"), "{verb:?}: {out}");
        }
        let (_, out, err) = run(&["info", repo, "--json"]);
        assert_eq!(rows(&out)[0]["generation"], newest - 1, "{err}");
        let (_, out, _) = run(&["info", repo, "--generation", &newest.to_string(), "--json"]);
        assert_eq!(rows(&out)[0]["generation"], newest);
        assert_eq!(
            run(&["diff", repo, &converted]).0,
            1,
            "the same, of a generation that is not the newest"
        );
    }
}
