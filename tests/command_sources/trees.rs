//! What the verbs make of a directory above repositories, and of several paths.

use std::fs;
use std::path::Path;

use super::{Argument, evidence, repository, rows, run};

#[test]
fn verbs_of_many_read_all_and_say_which_one_each_line_is_about() {
    let dir = tempfile::tempdir().unwrap();
    let places = evidence(dir.path());
    let tree = dir.path().join("evidence");
    let labels: Vec<String> = places
        .iter()
        .map(|place| format!("{}: ", place.display()))
        .collect();
    let object = "root:__Win32Provider";
    let calls: [&[Argument<'_>]; 7] = [
        &[&"info", &tree],
        &[&"verify", &tree, &"--level", &"schema"],
        &[&"usage", &tree],
        &[&"ls", &tree, &"root", &"-r"],
        &[&"show", &tree, &object],
        &[&"show", &tree, &object, &"--inherited"],
        &[&"info", &places[0], &places[1], &places[2]],
    ];
    for call in calls {
        let (out, _) = run(call, 0);
        assert!(
            out.lines()
                .all(|line| labels.iter().any(|label| line.starts_with(label))),
            "{out}"
        );
        for label in &labels {
            assert!(
                out.lines().any(|line| line.starts_with(label)),
                "{label} in {out}"
            );
        }
        // What is printed of one alone is the same, without a label.
        let mut alone: Vec<Argument<'_>> = call
            .iter()
            .copied()
            .filter(|argument| argument.as_ref() != tree)
            .collect();
        if call[1].as_ref() == tree {
            alone.insert(1, &places[1]);
            let (one, _) = run(&alone, 0);
            let labelled: Vec<String> = one
                .lines()
                .map(|line| format!("{}{line}", labels[1]))
                .collect();
            let of_it: Vec<&str> = out
                .lines()
                .filter(|line| line.starts_with(&labels[1]))
                .collect();
            assert_eq!(of_it, labelled);
        }
    }
}

#[test]
fn in_json_the_source_stands_after_the_kind() {
    let dir = tempfile::tempdir().unwrap();
    let places = evidence(dir.path());
    let tree = dir.path().join("evidence");
    let object = "root:__Win32Provider";
    let calls: [&[Argument<'_>]; 6] = [
        &[&"info", &tree, &"--json"],
        &[&"verify", &tree, &"--json"],
        &[&"usage", &tree, &"--json"],
        &[&"export", &tree, &"--json"],
        &[&"ls", &tree, &"--json"],
        &[&"show", &tree, &object, &"--json"],
    ];
    for call in calls {
        let (out, err) = run(call, 0);
        for line in out.lines() {
            let fields: Vec<&str> = line.splitn(4, ",\"").collect();
            assert!(
                fields[0] == "{\"schema\":1" && fields[1].starts_with("kind\":\""),
                "{line}"
            );
            assert!(fields[2].starts_with("source\":\""), "{line}");
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(
                places
                    .iter()
                    .any(|place| row["source"] == place.to_str().unwrap()),
                "{line}"
            );
        }
        // The same rows as of one alone, but for the source.
        let mut alone = call.to_vec();
        alone[1] = &places[2];
        let of_it = |row: &serde_json::Value| row["source"] == places[2].to_str().unwrap();
        let mut found: Vec<_> = rows(call, 0).into_iter().filter(of_it).collect();
        found
            .iter_mut()
            .for_each(|row| _ = row.as_object_mut().unwrap().remove("source"));
        assert_eq!(found, rows(&alone, 0));
        // Totals on standard error say which one they are about.
        assert!(
            err.lines().all(|line| places
                .iter()
                .any(|place| line.contains(place.to_str().unwrap()))),
            "{err}"
        );
    }
}

/// One below the path is simply read, by every verb, as if it had been named itself.
#[test]
fn a_tree_with_one_repository_stands_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, place) = (
        dir.path().join("evidence"),
        dir.path().join("evidence/host/wbem/Repository.001"),
    );
    repository(&place);
    let (tree, place): (&Path, &Path) = (&tree, &place);
    for verb in ["info", "verify", "usage", "export", "ls", "keys"] {
        assert_eq!(run(&[&verb, &tree], 0), run(&[&verb, &place], 0), "{verb}");
    }
    assert_eq!(
        run(&[&"page", &tree, &"objects"], 0),
        run(&[&"page", &place, &"objects"], 0)
    );
    let physical: &[Argument<'_>] = &[&"page", &tree, &"objects", &"--physical"];
    assert!(!run(physical, 0).0.is_empty());
    let (backup, new) = (dir.path().join("b.cimbak"), dir.path().join("new"));
    run(&[&"backup", &tree, &backup], 0);
    run(&[&"convert", &tree, &new], 0);
    assert_eq!(run(&[&"diff", &tree, &new], 0).0, "");
    assert_eq!(run(&[&"diff", &backup, &tree], 0).0, "");
}

#[test]
fn verbs_that_need_one_name_what_was_found() {
    let dir = tempfile::tempdir().unwrap();
    let places = evidence(dir.path());
    let (tree, wbem) = (dir.path().join("evidence"), places[0].parent().unwrap());
    let (file, new) = (dir.path().join("b.cimbak"), dir.path().join("new"));
    let calls: [&[Argument<'_>]; 6] = [
        &[&"backup", &tree, &file],
        &[&"convert", &tree, &new],
        &[&"keys", &tree],
        &[&"page", &tree, &"objects"],
        &[&"diff", &tree, &places[0]],
        &[&"diff", &places[0], &tree],
    ];
    for call in calls {
        let (out, err) = run(call, 2);
        assert!(
            out.is_empty() && err.contains("holds 3 repositories"),
            "{err}"
        );
        assert!(
            places
                .iter()
                .all(|place| err.contains(place.to_str().unwrap())),
            "{err}"
        );
    }
    assert!(run(&[&"keys", &wbem], 2).1.contains("holds 2 repositories"));
    assert!(!file.exists() && !new.exists());
}

/// Verbs that write into a repository take it by name, or by the two directories that Windows keeps
/// it in.
#[test]
fn verbs_that_write_take_no_tree() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, wbem) = (
        dir.path().join("evidence"),
        dir.path().join("evidence/host/wbem"),
    );
    let place = wbem.join("Repository");
    repository(&place);
    let backup = dir.path().join("b.cimbak");
    run(&[&"backup", &place, &backup], 0);
    let before: Vec<Vec<u8>> = ["OBJECTS.DATA", "INDEX.BTR"]
        .map(|name| fs::read(place.join(name)).unwrap())
        .into();
    let object = "root\\none";
    let calls: [(&[Argument<'_>], i32); 4] = [
        (&[&"compact", &tree], 4),
        (&[&"delete", &tree, &object], 4),
        (&[&"pause", &tree, &"--", &"true"], 4),
        (&[&"restore", &backup, &tree, &"--force"], 2),
    ];
    for (call, code) in calls {
        let (_, err) = run(call, code);
        assert!(
            err.contains("give one of") && err.contains(place.to_str().unwrap()),
            "{err}"
        );
    }
    for (name, bytes) in ["OBJECTS.DATA", "INDEX.BTR"].iter().zip(before) {
        assert_eq!(fs::read(place.join(name)).unwrap(), bytes);
    }
    run(&[&"restore", &backup, &wbem, &"--force"], 0);
    run(&[&"compact", &wbem], 0);
}

#[test]
fn a_bad_source_does_not_keep_the_others_from_being_read() {
    let dir = tempfile::tempdir().unwrap();
    let places = evidence(dir.path());
    let tree = dir.path().join("evidence");
    // Of the first no mapping is left, of the second one bit is wrong.
    for number in 1..=3 {
        fs::remove_file(places[0].join(format!("MAPPING{number}.MAP"))).unwrap();
    }
    let mut bytes = fs::read(places[1].join("OBJECTS.DATA")).unwrap();
    bytes[0] ^= 1;
    fs::write(places[1].join("OBJECTS.DATA"), bytes).unwrap();

    let (out, err) = run(&[&"verify", &tree], 4);
    let line = |place: &Path, text: &str| format!("{}: {text}", place.display());
    assert!(err.contains(&line(&places[0], "")), "{err}");
    assert!(
        out.contains(&line(&places[1], "WMI repository FAILED verification")),
        "{out}"
    );
    assert!(
        out.contains(&line(&places[2], "WMI repository is consistent")),
        "{out}"
    );
    // The codes by weight: findings, then what cannot be read at all, then a path that leads
    // nowhere.
    run(&[&"verify", &places[1], &places[2]], 1);
    run(&[&"verify", &places[2], &places[1]], 1);
    let nowhere = dir.path().join("nowhere");
    let (out, _) = run(&[&"verify", &nowhere, &places[2], &places[0]], 3);
    assert!(out.contains("is consistent"), "{out}");
    assert_eq!(
        rows(&[&"export", &tree], 4)
            .iter()
            .filter(|row| row["path"] == "ROOT\\DEFAULT")
            .count(),
        2
    );
}

#[test]
fn a_source_is_read_once_and_backups_stand_next_to_repositories() {
    let dir = tempfile::tempdir().unwrap();
    let places = evidence(dir.path());
    let wbem = places[0].parent().unwrap();
    let (monday, tuesday) = (
        dir.path().join("monday.cimbak"),
        dir.path().join("base/tuesday.cimbak"),
    );
    run(&[&"backup", &places[2], &monday], 0);
    fs::create_dir(dir.path().join("base")).unwrap();
    run(&[&"backup", &places[2], &tuesday, &"--base", &monday], 0);
    let kinds = |rows: Vec<serde_json::Value>| -> Vec<String> {
        rows.iter()
            .map(|row| row["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    let twice: &[Argument<'_>] = &[&"info", &wbem, &places[1], &wbem, &monday, &"--json"];
    assert_eq!(
        kinds(rows(twice, 0)),
        ["repository", "repository", "backup"]
    );
    // One of the same name twice is one: no source is said.
    assert!(rows(&[&"info", &places[1], &places[1], &"--json"], 0)[0]["source"].is_null());
    let with_base: &[Argument<'_>] =
        &[&"info", &tuesday, &places[1], &"--base", &monday, &"--json"];
    assert_eq!(kinds(rows(with_base, 0)), ["backup", "repository"]);
}

#[cfg(unix)]
#[test]
fn what_is_passed_over_is_said_and_counts() {
    use std::os::unix::fs::symlink;

    let dir = tempfile::tempdir().unwrap();
    let (tree, place) = (
        dir.path().join("evidence"),
        dir.path().join("evidence/a/Repository"),
    );
    repository(&place);
    symlink(dir.path(), tree.join("around")).unwrap();
    let (out, err) = run(&[&"info", &tree], 0);
    assert!(
        err.contains("1 symbolic link not followed") && out.contains("a/Repository"),
        "{err}"
    );
    let deep = tree.join("d/".repeat(17));
    repository(&deep);
    let (out, err) = run(&[&"info", &tree], 1);
    assert!(
        err.contains("more than 16 directories deep") && out.matches("dialect").count() == 1,
        "{err}"
    );
    run(&[&"info", &deep], 0);
    // A directory without any repository is refused as before.
    let empty = dir.path().join("empty/below");
    fs::create_dir_all(&empty).unwrap();
    assert!(
        run(&[&"info", &dir.path().join("empty")], 4)
            .1
            .contains("holds no file of a repository")
    );
}

#[test]
fn a_file_of_a_repository_leads_to_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("Repository");
    repository(&place);
    let (index, name) = (place.join("index.btr"), place.to_str().unwrap());
    fs::rename(place.join("INDEX.BTR"), &index).unwrap();
    let (file, new) = (dir.path().join("b.cimbak"), dir.path().join("new"));
    let object = "root:x";
    let calls: [&[Argument<'_>]; 9] = [
        &[&"info", &index],
        &[&"verify", &index],
        &[&"export", &index],
        &[&"ls", &index],
        &[&"keys", &index],
        &[&"backup", &index, &file],
        &[&"convert", &index, &new],
        &[&"delete", &index, &object],
        &[&"compact", &index],
    ];
    for call in calls {
        let (_, err) = run(call, 4);
        assert!(
            err.contains("it is a file of a repository") && err.contains(name),
            "{err}"
        );
    }
}
