//! Signatures of backups, if the command is built with feature `sign`; otherwise a failure that
//! says so.

use std::path::{Path, PathBuf};

use cimrepo::backup::Backup;
use serde::Serialize;

use super::output::{Failure, Output};

/// A verified signature.
#[derive(Serialize)]
struct Row {
    good: bool,
    /// The trusted comment of the signature.
    comment: String,
}

/// Prints the trusted comment of a verified signature.
pub fn show(comment: String, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.row(
            "signature",
            &Row {
                good: true,
                comment,
            },
        );
    }
    output.line(format_args!("the signature is good: {comment}"))
}

#[cfg(feature = "sign")]
mod built {
    use std::fs;
    use std::sync::Arc;

    use cimrepo::IoOp;
    use cimrepo::backup::{SigningKey, VerifyingKey, sign_backup};
    use cimrepo::base::escape::escape_path;
    use cimrepo::storage::{RealStorage, Storage};

    use super::{Backup, Failure, Path, PathBuf};

    /// Signs backups.
    #[derive(Debug)]
    pub struct Signer(SigningKey);

    impl Signer {
        pub fn load(key: &Path, password: Option<&Path>) -> Result<Self, Failure> {
            let password = password.map(read).transpose()?;
            // A line end added by an editor is not part of the password.
            let password = password
                .as_deref()
                .map(|text| text.trim_end_matches(['\r', '\n']));
            SigningKey::read(&read(key)?, password)
                .map(Self)
                .map_err(|error| named(error, key))
        }

        /// Signs a finished backup.
        pub fn sign(&self, backup: &Path) -> Result<PathBuf, Failure> {
            let storage: Arc<dyn Storage> = Arc::new(RealStorage);
            let hint = || "the backup is in its place, without a signature of its own".to_owned();
            sign_backup(&storage, backup, &self.0).map_err(|error| Failure::Hinted(error, hint()))
        }
    }

    /// Verifies signatures.
    #[derive(Debug)]
    pub struct Checker(VerifyingKey);

    impl Checker {
        pub fn load(key: &Path) -> Result<Self, Failure> {
            VerifyingKey::read(&read(key)?)
                .map(Self)
                .map_err(|error| named(error, key))
        }

        /// Verifies the signature next to a backup. Returns its trusted comment.
        pub fn check(&self, backup: &Backup) -> cimrepo::Result<String> {
            let storage: Arc<dyn Storage> = Arc::new(RealStorage);
            backup.check_signature_beside(&storage, &self.0)
        }
    }

    fn read(path: &Path) -> Result<String, Failure> {
        fs::read_to_string(path).map_err(|source| {
            let path = path.into();
            cimrepo::Error::Io {
                op: IoOp::Read,
                path,
                source,
            }
            .into()
        })
    }

    fn named(error: cimrepo::Error, path: &Path) -> Failure {
        Failure::usage(format!("{}: {error}", escape_path(path)))
    }
}

#[cfg(not(feature = "sign"))]
mod built {
    use super::{Backup, Failure, Path, PathBuf};

    fn missing<T>(option: &str) -> Result<T, Failure> {
        let text = "this command was built without signatures; build it with the feature `sign`";
        Err(Failure::usage(format!("{option}: {text}")))
    }

    /// Cannot exist without the feature.
    #[derive(Debug)]
    pub enum Signer {}

    impl Signer {
        pub fn load(_key: &Path, _password: Option<&Path>) -> Result<Self, Failure> {
            missing("--sign")
        }

        pub fn sign(&self, _backup: &Path) -> Result<PathBuf, Failure> {
            match *self {}
        }
    }

    /// Cannot exist without the feature.
    #[derive(Debug)]
    pub enum Checker {}

    impl Checker {
        pub fn load(_key: &Path) -> Result<Self, Failure> {
            missing("--key")
        }

        pub fn check(&self, _backup: &Backup) -> cimrepo::Result<String> {
            match *self {}
        }
    }
}

pub use built::{Checker, Signer};
