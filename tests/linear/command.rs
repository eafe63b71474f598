//! The verbs of the command over shapes that no writer leaves: each ends with the exit code that
//! says what was found.

use std::fs;
use std::process::{Command, Stdio};

use crate::TURN;
use crate::support::crafted::{nested_namespaces, topless};

/// What each verb is asked, with `REPO` for the repository and `NEW` for what does not exist yet,
/// and how it ends for a chain of classes without its top and for namespaces that lie too deep.
const VERBS: &[(&str, [i32; 2])] = &[
    ("info REPO", [0, 0]),
    ("ls REPO -r", [1, 1]),
    ("show REPO root:C1", [0, 1]),
    ("export REPO", [1, 1]),
    ("usage REPO", [0, 0]),
    ("keys REPO", [0, 0]),
    ("diff REPO REPO", [1, 1]),
    ("convert REPO NEW", [1, 1]),
    ("verify REPO", [0, 0]),
    ("verify REPO --level references", [1, 1]),
    ("verify REPO --level schema", [1, 1]),
    ("backup REPO NEW", [0, 0]),
];

#[test]
fn every_verb_ends_with_its_exit_code_for_chains_without_a_top() {
    let _turn = TURN.lock();
    let dir = tempfile::tempdir().unwrap();
    let shapes = [("topless", topless(400)), ("deep", nested_namespaces(400))];
    let mut wrong = Vec::new();
    for (at, (name, files)) in shapes.into_iter().enumerate() {
        let repository = dir.path().join(name);
        fs::create_dir(&repository).unwrap();
        files
            .into_iter()
            .for_each(|(file, bytes)| fs::write(repository.join(file), bytes).unwrap());
        for (number, (words, codes)) in VERBS.iter().enumerate() {
            let new = dir.path().join(format!("{name}-{number}"));
            let arguments = words.split(' ').map(|word| match word {
                "REPO" => repository.as_os_str(),
                "NEW" => new.as_os_str(),
                word => word.as_ref(),
            });
            let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
            let status = command
                .args(arguments)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            if status.status.code() != Some(codes[at]) {
                let told = String::from_utf8_lossy(&status.stderr)
                    .chars()
                    .take(200)
                    .collect::<String>();
                wrong.push(format!(
                    "{name}, {words}: {:?}, not {}: {told}",
                    status.status.code(),
                    codes[at]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
