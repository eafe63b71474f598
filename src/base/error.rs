//! The crate's error type, with the HRESULT and the exit code of each error.

use std::io;
use std::path::{Path, PathBuf};

use super::corruption::Corruption;
use super::escape::{escape, escape_path, guard};
use super::hresult::is_disk_full;
use super::io_op::IoOp;
use super::misuse::{Invalid, Misuse};
use super::moment::Moment;
use super::query_error::QueryError;
use super::reason::Reason;
use super::rule::Rule;

pub use super::hresult::HResult;

/// Result of a fallible operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: its cause, its place, and advice on what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation.
    #[error("cannot {op} {}", escape_path(.path))]
    Io {
        /// The operation.
        op: IoOp,
        /// The file or directory.
        path: Box<Path>,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The new state is complete and in place, but the system did not confirm that it is durable.
    /// After a loss of power the old state may be back.
    #[error(
        "the new state is in place, but may not outlast a loss of power: cannot {op} {}; do it \
            again",
        escape_path(.path)
    )]
    Unconfirmed {
        /// The operation.
        op: IoOp,
        /// The file or directory.
        path: Box<Path>,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A repository was being replaced by renaming directories, and the system refused both to
    /// finish and to undo it. No directory has the repository's name now; the old and the new one
    /// are both complete.
    #[error(
        "nothing has the name {} now: the repository that was there is {}, and the restored one, \
            complete, is {}; restore again, or rename one of them",
        escape_path(.path),
        escape_path(.old),
        escape_path(.new)
    )]
    Stranded {
        /// The name of the repository.
        path: Box<Path>,
        /// The present place of the old repository.
        old: Box<Path>,
        /// The present place of the new repository.
        new: Box<Path>,
        /// The error that prevented the undoing.
        source: io::Error,
    },
    /// Something in the repository is damaged.
    #[error("{0}")]
    Corrupt(Box<Corruption>),
    /// No repository can be opened here.
    #[error("{} is not a usable repository: {}", escape_path(.path), guard(.reason))]
    NotARepository {
        /// The directory.
        path: Box<Path>,
        /// A description of what was found there.
        reason: Box<str>,
    },
    /// The backup cannot be used.
    #[error("{}: {fault}", escape_path(.path))]
    Backup {
        /// The backup.
        path: Box<Path>,
        /// The check that it failed.
        fault: Box<BackupFault>,
    },
    /// The caller asks for something impossible or contradictory.
    #[error("{0}")]
    InvalidArgument(Invalid),
    /// The caller does not have the necessary right.
    #[error("access denied: {}", guard(.0))]
    AccessDenied(Box<str>),
    /// The namespace accepts only callers whose connection is encrypted.
    #[error(
        "{} takes only encrypted connections; connect with the authentication level packet privacy",
        escape(.namespace)
    )]
    EncryptionRequired {
        /// The namespace.
        namespace: Box<str>,
    },
    /// A change breaks a rule of the model, or its target does not exist.
    #[error("{}", guard(.text))]
    Rule {
        /// The rule that is broken.
        rule: Rule,
        /// A sentence that names the culprit and how it breaks the rule.
        text: Box<str>,
    },
    /// The keys in a path are not those of its class: one is missing, misnamed, or given twice.
    // HRESULT WBEM_E_INVALID_OBJECT_PATH
    #[error("the path gives {}, but the class {} has \
        {}", key_names(.given), escape(.class), key_names(.keys))]
    WrongKeys {
        /// The class of the path.
        class: Box<str>,
        /// The names of its keys; empty for a singleton.
        keys: Box<[Box<str>]>,
        /// The names that the path gives.
        given: Box<[Box<str>]>,
    },
    /// A query was rejected.
    #[error("{0}")]
    Query(Box<QueryError>),
    /// Bytes supplied for part of an object do not form one.
    #[error("{}", guard(.0))]
    InvalidObject(Box<str>),
    /// The dialect does not support the operation.
    #[error("{}", guard(.0))]
    Unsupported(Box<str>),
    /// Another writer holds the lock.
    #[error("{} is locked by {}; wait until it is done, or stop \
        it", escape_path(.path), escape(.holder))]
    Locked {
        /// The repository.
        path: Box<Path>,
        /// The holder, as recorded in the lock file.
        holder: Box<str>,
    },
    /// Another process overwrote data of the repository while it was being read. The results so far
    /// must be discarded.
    #[error(
        "{} was written over while the repository was read; read it again, or a copy of it that \
            nobody writes to",
        escape_path(.path)
    )]
    Overtaken {
        /// The mapping file of the generation that was read.
        path: Box<Path>,
    },
    /// Another program changed, replaced or removed a file that was in use.
    #[error("{} was changed, replaced or taken away by another program; \
        {advice}", escape_path(.path))]
    Changed {
        /// The file or directory.
        path: Box<Path>,
        /// The advice to the user.
        advice: &'static str,
    },
    /// An earlier sync failed, so that the content of the files after a loss of power is unknown.
    #[error("nothing more can be written until the repository is opened again: {}", guard(.0))]
    Poisoned(Box<str>),
    /// The call comes at the wrong moment: a second pause, a resume without a pause, a restore
    /// while paused.
    // HRESULT WBEM_E_INVALID_OPERATION
    #[error("{0}")]
    InvalidOperation(Moment),
    /// The backup has another dialect than the repository that it would replace.
    // HRESULT WBEM_E_DATABASE_VER_MISMATCH
    #[error(
        "{} is a backup of dialect {backup}, and the repository that it would replace of \
            {repository}; restore it to a \
         directory of its own, or allow that the dialect changes \
         (`RestoreOptions::change_dialect`, on the command line --change-dialect)",
        escape_path(.path)
    )]
    OtherDialect {
        /// The backup.
        path: Box<Path>,
        /// The dialect of the backup: 2.1 or 2.2.
        backup: &'static str,
        /// The dialect of the repository.
        repository: &'static str,
    },
    /// A restore without force was requested while clients are connected.
    // HRESULT WBEM_E_BACKUP_RESTORE_WINMGMT_RUNNING
    #[error(
        "{count} connections are open; restore by force to break them, or wait until they are \
            closed"
    )]
    ConnectionsActive {
        /// The number of connections.
        count: usize,
    },
    /// A restore broke the connection.
    // HRESULT RPC_E_DISCONNECTED
    #[error("the connection was broken by a restore; connect again")]
    Disconnected,
    /// The repository was closed while the object was in use.
    // HRESULT WBEM_E_SHUTTING_DOWN
    #[error("the repository is closed; open it again")]
    Closed,
    /// A wait timed out.
    // HRESULT WBEM_E_TIMED_OUT
    #[error("{what} did not come in time")]
    Timeout {
        /// The event or lock that was awaited.
        what: &'static str,
    },
    /// The resource is in use and the caller did not want to wait.
    // HRESULT WBEM_E_INVALID_OPERATION, as for `Locked`: no COM call asks without waiting
    #[error("a transaction, a pause or a restore has the turn; wait for it, or try again")]
    Busy,
    /// The operation would exceed a bound of the format or the engine.
    #[error("{what} would be {got}; at most {max} is possible")]
    Limit {
        /// The bounded quantity.
        what: &'static str,
        /// The bound.
        max: u64,
        /// The value that was requested.
        got: u64,
    },
    /// A fault of this program, which neither the content of the files nor the request of the
    /// caller can excuse.
    #[error("a fault of cimrepo, please report it: {}", guard(.0))]
    Bug(Box<str>),
    /// The observer asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// Why a backup cannot be used. The variants stand in the order of the checks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupFault {
    /// The file does not begin with the signature of a backup.
    #[error("not a cimrepo backup")]
    NotABackup,
    /// The format version of the backup is unknown to this program.
    #[error("backup format version {0} is unknown; use a newer cimrepo")]
    UnknownVersion(u32),
    /// The end of the file is missing.
    #[error("the backup is truncated: {}", guard(.0))]
    Truncated(String),
    /// Bytes of the backup were changed.
    #[error("the backup is damaged: {}", guard(.0))]
    Checksum(String),
    /// The checksums are right, but the content contradicts itself.
    #[error("the backup contradicts itself: {}", guard(.0))]
    Structure(String),
    /// The repository in the backup is inconsistent.
    #[error("the repository in the backup is inconsistent: {0}")]
    Inconsistent(Box<Corruption>),
    /// The backup is incremental and its base was not found.
    #[error("the backup is incremental and its base {} was not found: \
        {}", guard(.base), guard(.hint))]
    BaseMissing {
        /// Identity of the base.
        base: String,
        /// The places that were searched.
        hint: String,
    },
    /// The file given as base is not the base of this backup.
    #[error("the backup is based on {}, but {}", guard(.base), guard(.found))]
    BaseWrong {
        /// Identity of the base.
        base: String,
        /// A description of the file that was given.
        found: String,
    },
    /// The signature is missing, or does not match the backup and the key.
    #[error("the backup is not signed as it must be: {}", guard(.0))]
    Signature(String),
}

/// Exit codes of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Done = 0,
    /// Findings: an inconsistent repository, differences, no rows.
    Findings = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The operating system, or a namespace, refused something.
    Io = 3,
    /// Corrupt, or not a repository or backup.
    Corrupt = 4,
    /// Busy, locked, paused or connections active.
    Busy = 5,
    /// An error in a MOF file or a WQL query.
    Language = 6,
    /// A fault of this program.
    Bug = 70,
    /// The user interrupted the command.
    Interrupted = 130,
}

impl ExitCode {
    /// Every code, from the least to the most telling.
    ///
    /// A run over several repositories ends with its most telling code. Findings outrank success.
    /// Failures to read outrank findings, those that a retry may cure before those that it will
    /// not. A wrong command line outranks all of these, then comes an interruption, and a fault of
    /// the program outranks everything.
    pub const BY_WEIGHT: [ExitCode; 9] = [
        ExitCode::Done,
        ExitCode::Findings,
        ExitCode::Busy,
        ExitCode::Corrupt,
        ExitCode::Io,
        ExitCode::Language,
        ExitCode::Usage,
        ExitCode::Interrupted,
        ExitCode::Bug,
    ];

    /// The more telling of two codes, as ranked by [`BY_WEIGHT`](Self::BY_WEIGHT).
    pub fn most_telling(self, other: Self) -> Self {
        let weight = |code| Self::BY_WEIGHT.iter().position(|known| *known == code);
        if weight(other) > weight(self) {
            other
        } else {
            self
        }
    }
}

impl Error {
    pub(crate) fn io(op: IoOp, path: &Path, source: io::Error) -> Self {
        Error::Io {
            op,
            path: path.into(),
            source,
        }
    }

    /// The error for a directory that is missing although something has to be created in it.
    pub(crate) fn no_directory(path: &Path, reason: &str) -> Self {
        Self::io(
            IoOp::FindDirectory,
            path,
            io::Error::new(io::ErrorKind::NotFound, reason),
        )
    }

    pub(crate) fn unconfirmed(op: IoOp, path: &Path, source: io::Error) -> Self {
        Error::Unconfirmed {
            op,
            path: path.into(),
            source,
        }
    }

    pub(crate) fn backup(path: &Path, fault: BackupFault) -> Self {
        Error::Backup {
            path: path.into(),
            fault: Box::new(fault),
        }
    }

    pub(crate) fn denied(text: impl Into<String>) -> Self {
        Error::AccessDenied(text.into().into_boxed_str())
    }

    pub(crate) fn rule(rule: Rule, text: impl Into<String>) -> Self {
        Error::Rule {
            rule,
            text: text.into().into_boxed_str(),
        }
    }

    pub(crate) fn invalid(misuse: Misuse, text: impl Into<String>) -> Self {
        Error::InvalidArgument(Invalid::new(misuse, text))
    }

    /// The result code that a COM caller receives.
    pub fn hresult(&self) -> HResult {
        match self {
            Error::Io {
                op: IoOp::FindDirectory,
                ..
            } => HResult::PATH_NOT_FOUND,
            Error::Io { source, .. }
            | Error::Unconfirmed { source, .. }
            | Error::Stranded { source, .. } => HResult::from_io(source),
            Error::Corrupt(_) | Error::NotARepository { .. } | Error::Poisoned(_) => {
                HResult::CRITICAL_ERROR
            }
            Error::Backup { fault, .. } => match **fault {
                BackupFault::NotABackup => HResult::INVALID_PARAMETER,
                BackupFault::UnknownVersion(_) => HResult::DATABASE_VER_MISMATCH,
                BackupFault::Truncated(_)
                | BackupFault::Checksum(_)
                | BackupFault::Structure(_)
                | BackupFault::Inconsistent(_)
                | BackupFault::BaseMissing { .. }
                | BackupFault::BaseWrong { .. }
                | BackupFault::Signature(_) => HResult::CRITICAL_ERROR,
            },
            Error::InvalidArgument(_) => HResult::INVALID_PARAMETER,
            Error::AccessDenied(_) => HResult::ACCESS_DENIED,
            Error::EncryptionRequired { .. } => HResult::ENCRYPTED_CONNECTION_REQUIRED,
            Error::Rule { rule, .. } => rule.hresult(),
            Error::WrongKeys { .. } => Rule::InvalidObjectPath.hresult(),
            Error::Query(refused) => refused.code.hresult(),
            Error::InvalidObject(_) => HResult::INVALID_OBJECT,
            Error::Unsupported(_) => HResult::NOT_SUPPORTED,
            Error::Locked { .. }
            | Error::Overtaken { .. }
            | Error::Changed { .. }
            | Error::InvalidOperation(_)
            | Error::Busy => HResult::INVALID_OPERATION,
            Error::OtherDialect { .. } => HResult::DATABASE_VER_MISMATCH,
            Error::ConnectionsActive { .. } => HResult::BACKUP_RESTORE_WINMGMT_RUNNING,
            Error::Disconnected => HResult::DISCONNECTED,
            Error::Closed => HResult::SHUTTING_DOWN,
            Error::Timeout { .. } => HResult::TIMED_OUT,
            Error::Limit { .. } => HResult::FAILED,
            Error::Bug(_) => HResult::CRITICAL_ERROR,
            Error::Cancelled => HResult::CALL_CANCELLED,
        }
    }

    /// The reason, if the result code stands for several; `None` if the code says enough.
    pub fn reason(&self) -> Option<Reason> {
        Reason::of(self)
    }

    /// The exit code of a command that fails with this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::Io { .. }
            | Error::Unconfirmed { .. }
            | Error::Stranded { .. }
            | Error::Poisoned(_) => ExitCode::Io,
            Error::AccessDenied(_) | Error::EncryptionRequired { .. } => ExitCode::Io,
            Error::Corrupt(_) | Error::NotARepository { .. } | Error::Backup { .. } => {
                ExitCode::Corrupt
            }
            Error::InvalidArgument(_) | Error::InvalidObject(_) => ExitCode::Usage,
            Error::Rule { .. } | Error::WrongKeys { .. } => ExitCode::Usage,
            Error::Unsupported(_) | Error::Limit { .. } | Error::OtherDialect { .. } => {
                ExitCode::Usage
            }
            Error::Query(_) => ExitCode::Language,
            Error::Bug(_) => ExitCode::Bug,
            Error::Locked { .. }
            | Error::Overtaken { .. }
            | Error::Changed { .. }
            | Error::InvalidOperation(_)
            | Error::ConnectionsActive { .. }
            | Error::Disconnected
            | Error::Closed
            | Error::Timeout { .. }
            | Error::Busy => ExitCode::Busy,
            Error::Cancelled => ExitCode::Interrupted,
        }
    }

    /// The message followed by its chain of causes, for places that can show only one text.
    pub fn full_text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// True if there was no room: the disk is full, or the user's quota is used up.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Error::Io { source, .. }
            | Error::Unconfirmed { source, .. }
            | Error::Stranded { source, .. } => is_disk_full(source),
            _ => false,
        }
    }

    /// The path that the error is about, if there is one.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Error::Io { path, .. }
            | Error::Unconfirmed { path, .. }
            | Error::Stranded { path, .. }
            | Error::NotARepository { path, .. }
            | Error::Backup { path, .. }
            | Error::Locked { path, .. }
            | Error::Overtaken { path }
            | Error::Changed { path, .. } => Some(path.to_path_buf()),
            _ => None,
        }
    }
}

/// Lists the names of keys for a sentence.
fn key_names(names: &[Box<str>]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", escape(name)))
        .collect();
    match quoted.as_slice() {
        [] => "no key".to_owned(),
        [one] => format!("the key {one}"),
        [most @ .., last] => format!("the keys {} and {last}", most.join(", ")),
    }
}

impl From<QueryError> for Error {
    fn from(refused: QueryError) -> Self {
        Error::Query(Box::new(refused))
    }
}

impl From<Corruption> for Error {
    fn from(corruption: Corruption) -> Self {
        Error::Corrupt(Box::new(corruption))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::corruption::CorruptionCode;
    use crate::base::query_error::QueryCode;
    use crate::base::site::{FileRole, Site};

    fn wrong_keys(keys: &[&str], given: &[&str]) -> Error {
        let owned = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect();
        Error::WrongKeys {
            class: "C".into(),
            keys: owned(keys),
            given: owned(given),
        }
    }

    #[test]
    fn wrong_keys_are_named() {
        let text = wrong_keys(&["A", "B", "C"], &["D"]).to_string();
        assert_eq!(
            text,
            "the path gives the key `D`, but the class C has the keys `A`, `B` and `C`"
        );
        let text = wrong_keys(&[], &["D\u{1b}"]).to_string();
        assert_eq!(
            text,
            "the path gives the key `D\\u{1b}`, but the class C has no key"
        );
    }

    #[test]
    fn errors_stay_small() {
        assert!(size_of::<Error>() <= 64, "{}", size_of::<Error>());
    }

    /// One error of every variant; several of a variant whose codes depend on its content.
    fn one_of_each() -> Vec<Error> {
        let path = || Box::<Path>::from(Path::new("x"));
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let corruption = || {
            Corruption::new(
                CorruptionCode::KeyReference,
                Site::file(FileRole::Index),
                "x",
            )
        };
        let faults = [
            BackupFault::NotABackup,
            BackupFault::UnknownVersion(9),
            BackupFault::Truncated("x".into()),
            BackupFault::Checksum("x".into()),
            BackupFault::Structure("x".into()),
            BackupFault::Inconsistent(Box::new(corruption())),
            BackupFault::BaseMissing {
                base: "x".into(),
                hint: "x".into(),
            },
            BackupFault::BaseWrong {
                base: "x".into(),
                found: "x".into(),
            },
            BackupFault::Signature("x".into()),
        ];
        let mut all = vec![
            Error::io(IoOp::Open, Path::new("x"), gone()),
            Error::no_directory(Path::new("x"), "it is not there"),
            Error::unconfirmed(IoOp::Sync, Path::new("x"), gone()),
            Error::Stranded {
                path: path(),
                old: path(),
                new: path(),
                source: gone(),
            },
            corruption().into(),
            Error::NotARepository {
                path: path(),
                reason: "x".into(),
            },
            Error::invalid(Misuse::Options, "x"),
            Error::denied("x"),
            Error::EncryptionRequired {
                namespace: "x".into(),
            },
            Error::rule(Rule::InvalidClass, "x"),
            wrong_keys(&["A"], &[]),
            QueryError::new(QueryCode::Syntax, 0..1, "x").into(),
            Error::InvalidObject("x".into()),
            Error::Unsupported("x".into()),
            Error::Locked {
                path: path(),
                holder: "x".into(),
            },
            Error::Overtaken { path: path() },
            Error::Changed {
                path: path(),
                advice: "x",
            },
            Error::Poisoned("x".into()),
            Error::InvalidOperation(Moment::NotPaused),
            Error::OtherDialect {
                path: Path::new("x").into(),
                backup: "2.1",
                repository: "2.2",
            },
            Error::ConnectionsActive { count: 1 },
            Error::Disconnected,
            Error::Closed,
            Error::Timeout { what: "x" },
            Error::Busy,
            Error::Limit {
                what: "x",
                max: 1,
                got: 2,
            },
            Error::Bug("x".into()),
            Error::Cancelled,
        ];
        all.extend(faults.map(|fault| Error::backup(Path::new("x"), fault)));
        all
    }

    /// The codes, repeated by hand. A new variant does not compile until its codes and a number of
    /// its own are added here.
    fn codes(error: &Error) -> (u8, u32, ExitCode) {
        match error {
            Error::Io {
                op: IoOp::FindDirectory,
                ..
            } => (0, 0x8007_0003, ExitCode::Io),
            Error::Io { .. } => (0, 0x8007_0002, ExitCode::Io),
            Error::Unconfirmed { .. } => (1, 0x8007_0002, ExitCode::Io),
            Error::Stranded { .. } => (2, 0x8007_0002, ExitCode::Io),
            Error::Corrupt(_) => (3, 0x8004_100A, ExitCode::Corrupt),
            Error::NotARepository { .. } => (4, 0x8004_100A, ExitCode::Corrupt),
            Error::Backup { fault, .. } => match **fault {
                BackupFault::NotABackup => (5, 0x8004_1008, ExitCode::Corrupt),
                BackupFault::UnknownVersion(_) => (5, 0x8004_1078, ExitCode::Corrupt),
                BackupFault::Truncated(_)
                | BackupFault::Checksum(_)
                | BackupFault::Structure(_)
                | BackupFault::Inconsistent(_)
                | BackupFault::BaseMissing { .. }
                | BackupFault::BaseWrong { .. }
                | BackupFault::Signature(_) => (5, 0x8004_100A, ExitCode::Corrupt),
            },
            Error::InvalidArgument(_) => (6, 0x8004_1008, ExitCode::Usage),
            Error::AccessDenied(_) => (7, 0x8004_1003, ExitCode::Io),
            Error::EncryptionRequired { .. } => (8, 0x8004_1087, ExitCode::Io),
            Error::Rule { .. } => (9, 0x8004_1010, ExitCode::Usage),
            Error::WrongKeys { .. } => (10, 0x8004_103A, ExitCode::Usage),
            Error::InvalidObject(_) => (11, 0x8004_100F, ExitCode::Usage),
            Error::Unsupported(_) => (12, 0x8004_100C, ExitCode::Usage),
            Error::Locked { .. } => (13, 0x8004_1016, ExitCode::Busy),
            Error::Overtaken { .. } => (14, 0x8004_1016, ExitCode::Busy),
            Error::Changed { .. } => (15, 0x8004_1016, ExitCode::Busy),
            Error::Poisoned(_) => (16, 0x8004_100A, ExitCode::Io),
            Error::InvalidOperation(_) => (17, 0x8004_1016, ExitCode::Busy),
            Error::ConnectionsActive { .. } => (18, 0x8004_1060, ExitCode::Busy),
            Error::Disconnected => (19, 0x8001_0108, ExitCode::Busy),
            Error::Closed => (20, 0x8004_1033, ExitCode::Busy),
            Error::Timeout { .. } => (21, 0x8004_1069, ExitCode::Busy),
            Error::Busy => (22, 0x8004_1016, ExitCode::Busy),
            Error::Limit { .. } => (23, 0x8004_1001, ExitCode::Usage),
            Error::Bug(_) => (24, 0x8004_100A, ExitCode::Bug),
            Error::Cancelled => (25, 0x8004_1032, ExitCode::Interrupted),
            Error::OtherDialect { .. } => (26, 0x8004_1078, ExitCode::Usage),
            Error::Query(_) => (27, 0x8004_1017, ExitCode::Language),
        }
    }

    /// Number of variants: the last number in `codes` plus one.
    const VARIANTS: usize = 28;

    #[test]
    fn every_error_has_its_codes() {
        let mut seen = std::collections::BTreeSet::new();
        for error in one_of_each() {
            let (number, hresult, exit) = codes(&error);
            seen.insert(number);
            assert_eq!(
                (error.hresult(), error.exit_code()),
                (HResult(hresult), exit),
                "{error:?}"
            );
            assert!(
                !error.to_string().is_empty() && error.full_text().starts_with(&error.to_string())
            );
            crate::base::reason::tests::check(&error);
        }
        assert_eq!(
            seen.len(),
            VARIANTS,
            "a variant is not among those that are tried"
        );
    }

    #[test]
    fn exit_codes_have_their_numbers_and_their_weight() {
        let numbers = ExitCode::BY_WEIGHT.map(|code| code as u8);
        assert_eq!(numbers, [0, 1, 5, 4, 3, 6, 2, 130, 70]);
        let all = || numbers.iter().zip(ExitCode::BY_WEIGHT);
        for (weight, (_, code)) in all().enumerate() {
            for (other_weight, (_, other)) in all().enumerate() {
                let heavier = ExitCode::BY_WEIGHT[weight.max(other_weight)];
                assert_eq!(code.most_telling(other), heavier, "{code:?} and {other:?}");
            }
        }
    }

    #[test]
    fn a_full_disk_has_its_own_code() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let full = Error::io(IoOp::Write, Path::new("x"), kind.into());
            assert!(full.is_disk_full());
            assert_eq!(full.hresult(), HResult::OUT_OF_DISK_SPACE);
        }
        let denied = Error::io(
            IoOp::Open,
            Path::new("x"),
            io::ErrorKind::PermissionDenied.into(),
        );
        assert_eq!(denied.hresult(), HResult(0x8007_0005));
        assert_eq!(denied.exit_code(), ExitCode::Io);
    }
}
