//! Protection of evidence: a target in the repository, or in a directory above it that was given as
//! the repository, is rejected.

use std::fs;
use std::path::{Component, Path, PathBuf};

use cimrepo::base::escape::escape_path;
use cimrepo::storage::{FileId, RealStorage, Storage};

use super::output::Failure;

/// Fails if `target` is or lies in one of the directories `evidence`. Directories are compared by
/// identity and not by name, so links and `..` make no difference.
pub fn refuse(target: &Path, evidence: &[&Path]) -> Result<(), Failure> {
    let kept: Vec<FileId> = evidence
        .iter()
        .filter(|path| path.is_dir())
        .filter_map(|path| identity(path))
        .collect();
    let real = resolved(target);
    let Some(inside) = real
        .ancestors()
        .find(|above| identity(above).is_some_and(|one| kept.contains(&one)))
    else {
        return Ok(());
    };
    let (target, inside) = (escape_path(target), escape_path(inside));
    let advice = "give a place outside of it, or --inside to write there all the same";
    Err(Failure::usage(format!(
        "{target} lies in {inside}, from which is read; {advice}"
    )))
}

/// The path without links and `..`, as far as it exists, followed by the rest.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut resolved = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => _ = resolved.pop(),
            Component::CurDir => {}
            other => {
                resolved.push(other);
                if let Ok(real) = fs::canonicalize(&resolved) {
                    resolved = real;
                }
            }
        }
    }
    resolved
}

/// The identity of the target of a path: the same under every name, even if a directory is mounted
/// twice.
fn identity(path: &Path) -> Option<FileId> {
    RealStorage.file_id(path).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_found_to_lie_inside_however_it_is_spelled() {
        let dir = tempfile::tempdir().unwrap();
        let (evidence, other) = (dir.path().join("wbem/Repository"), dir.path().join("other"));
        fs::create_dir_all(evidence.join("sub")).unwrap();
        fs::create_dir(&other).unwrap();
        let refused = |target: PathBuf, from: &Path| refuse(&target, &[from]).is_err();
        for inside in [
            "b",
            "sub/b",
            "not/there/b",
            "not/../b",
            "sub/../../Repository/b",
            "",
        ] {
            assert!(refused(evidence.join(inside), &evidence), "{inside}");
            assert!(refused(evidence.join(inside), dir.path()), "{inside}");
        }
        for outside in [
            "../b",
            "sub/../../b",
            "not/../../b",
            "../Repository.001/b",
            "../../other/b",
        ] {
            assert!(!refused(evidence.join(outside), &evidence), "{outside}");
        }
        assert!(!refused(other.join("b"), &evidence));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&evidence, other.join("in")).unwrap();
            std::os::unix::fs::symlink(&other, evidence.join("out")).unwrap();
            assert!(
                refused(other.join("in/b"), &evidence)
                    && refused(other.join("in/sub/new/b"), &evidence)
            );
            assert!(
                refused(evidence.join("b"), &other.join("in")),
                "the evidence is named by a link"
            );
            assert!(!refused(evidence.join("out/b"), &evidence));
        }
    }
}
