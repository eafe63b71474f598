//! Nothing is written among the evidence unless it is asked for.

use std::fs;
use std::path::Path;

use super::{Argument, repository, run};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_target_inside_the_evidence_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, wbem) = (dir.path().join("tree"), dir.path().join("tree/wbem"));
    let place = wbem.join("Repository");
    repository(&place);
    let before = names(&place);
    let around = place.join("../Repository/b.cimbak");
    let calls: [&[Argument<'_>]; 8] = [
        &[&"backup", &place, &place.join("b.cimbak")],
        &[&"backup", &place, &around],
        &[&"backup", &wbem, &wbem.join("b.cimbak")],
        &[&"backup", &tree, &tree.join("b.cimbak")],
        &[&"backup", &place, &place.join("kept"), &"--keep", &"3"],
        &[&"backup", &place, &place, &"--keep", &"3"],
        &[&"convert", &place, &place.join("new")],
        &[&"convert", &tree, &wbem.join("new")],
    ];
    for call in calls {
        let (out, err) = run(call, 2);
        assert!(out.is_empty() && err.contains("--inside"), "{err}");
    }
    assert_eq!(names(&place), before);
    assert_eq!(names(&wbem), ["Repository"]);

    // Next to the repository is outside, unless the directory above it was given.
    run(&[&"backup", &place, &wbem.join("b.cimbak")], 0);
    run(&[&"convert", &place, &wbem.join("new")], 0);
    fs::remove_dir_all(wbem.join("new")).unwrap();
    for call in calls
        .into_iter()
        .filter(|call| call[1].as_ref() != call[2].as_ref())
    {
        let mut call = call.to_vec();
        call.push(&"--inside");
        run(&call, 0);
        for new in [place.join("new"), wbem.join("new")] {
            fs::remove_dir_all(new).ok();
        }
    }
    assert!(
        place.join("b.cimbak").is_file()
            && tree.join("b.cimbak").is_file()
            && place.join("kept").is_dir()
    );
    run(&[&"verify", &place], 0);
}

#[cfg(unix)]
#[test]
fn links_do_not_hide_the_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let (place, link) = (dir.path().join("Repository"), dir.path().join("link"));
    repository(&place);
    std::os::unix::fs::symlink(&place, &link).unwrap();
    for (repo, file) in [
        (&place, link.join("b.cimbak")),
        (&link, place.join("b.cimbak")),
        (&link, link.join("b")),
    ] {
        assert!(run(&[&"backup", repo, &file], 2).1.contains("--inside"));
    }
    assert!(!place.join("b.cimbak").exists());
}
