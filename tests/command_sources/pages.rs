//! Completions and manual pages.

use std::fs;
#[cfg(unix)]
use std::process::Command;

use super::{rows, run};

#[test]
fn each_shell_gets_completions_that_name_the_verbs() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (script, err) = run(&[&"completions", &shell], 0);
        for word in ["backup", "export", "completions", "no-compress"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        // What the printer escapes would be no script any more.
        assert!(!script.contains("\\u{") && err.is_empty(), "{shell}: {err}");
    }
    run(&[&"completions", &"none"], 2);
    #[cfg(unix)]
    {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cimrepo.bash");
        fs::write(&file, run(&[&"completions", &"bash"], 0).0).unwrap();
        let status = Command::new("bash").arg("-n").arg(&file).status();
        assert!(
            status.map_or(true, |status| status.success()),
            "it is a script"
        );
    }
}

#[test]
fn each_verb_gets_a_manual_page_and_nothing_else_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man1");
    let files = rows(&[&"man", &pages, &"--json"], 0);
    let help = run(&[&"--help"], 0).0;
    let verbs = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    // A description may go on over further lines.
    let verbs = verbs.filter(|line| !line.starts_with("   "));
    let verbs: Vec<&str> = verbs
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert!(verbs.len() > 15, "{verbs:?}");
    for verb in verbs
        .iter()
        .map(|verb| format!("-{verb}"))
        .chain([String::new(), "-backups-list".into()])
    {
        let text = fs::read_to_string(pages.join(format!("cimrepo{verb}.1"))).unwrap();
        assert!(
            text.contains(".TH") && text.contains("Exit codes"),
            "{verb}: {text}"
        );
    }
    assert_eq!(fs::read_dir(&pages).unwrap().count(), files.len());
    // Ours are replaced; a page of another origin keeps all from being written.
    fs::write(
        pages.join("cimrepo.1"),
        [&fs::read(pages.join("cimrepo.1")).unwrap()[..40], b"old"].concat(),
    )
    .unwrap();
    run(&[&"man", &pages], 0);
    let foreign = pages.join("cimrepo-ls.1");
    fs::write(&foreign, ".TH someone else's").unwrap();
    fs::remove_file(pages.join("cimrepo.1")).unwrap();
    assert!(
        run(&[&"man", &pages], 2)
            .1
            .contains("cimrepo-ls.1 was not written by")
    );
    assert!(!pages.join("cimrepo.1").exists());
    assert_eq!(fs::read_to_string(&foreign).unwrap(), ".TH someone else's");
    #[cfg(unix)]
    {
        fs::remove_file(&foreign).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &foreign).unwrap();
        run(&[&"man", &pages], 2);
        assert!(!dir.path().join("elsewhere").exists());
    }
    assert!(run(&[&"man", &foreign], 3).1.contains("cannot"));
}
