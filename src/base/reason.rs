//! Numbers for the reasons that share one result code.

use super::error::{BackupFault, Error};
use super::misuse::Misuse;
use super::moment::Moment;

macro_rules! reasons {
    ($($name:ident = $number:literal $meaning:literal;)*) => {
        /// Reason of a failure whose result code stands for several. The number is the
        /// discriminant. It is the help context in the error info of the COM object and never
        /// changes. Its first digit stands for the result code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum Reason {
            $(#[doc = concat!($meaning, ".")] $name = $number,)*
        }

        impl Reason {
            /// Every reason, sorted by number.
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];
        }
    };
}

reasons! {
    // WBEM_E_INVALID_OPERATION
    PausedByCaller = 101 "The object has paused already, or is about to";
    PausedByOther = 102 "Another object has paused, or is about to";
    NotPaused = 103 "The object has no pause to end, or its lease has run out";
    Restoring = 104 "A restore is in progress";
    OwnPause = 105 "The thread has paused and would wait for itself";
    OwnTransaction = 106 "The thread holds a transaction and would wait for itself";
    InsideCall = 107 "The call comes from an observer of the operation for which it would wait";
    HalfChanged = 108 "A change of the transaction failed half-way";
    Locked = 111 "Another process has the repository, or writes to the backup";
    Overtaken = 112 "Another process overwrote the data that was being read";
    Changed = 113 "Another program changed or removed a file that was in use";
    Busy = 114 "Another has the turn, and the call does not wait";
    // WBEM_E_DATABASE_VER_MISMATCH
    UnknownVersion = 201 "The backup has a format version that is not known";
    OtherDialect = 202 "The backup has another dialect than the repository";
    // WBEM_E_CRITICAL_ERROR
    Corrupt = 301 "The repository is damaged";
    NotARepository = 302 "There is no usable repository";
    Poisoned = 303 "A write or sync failed before: the repository must be opened again";
    Bug = 304 "The library has a fault";
    Truncated = 311 "The end of the backup is missing";
    Checksum = 312 "Bytes of the backup were changed";
    Structure = 313 "The backup contradicts itself";
    Inconsistent = 314 "The repository in the backup is inconsistent";
    BaseMissing = 315 "The base of an incremental backup was not found";
    BaseWrong = 316 "The base of an incremental backup is another backup";
    Signature = 317 "The signature of the backup is missing or wrong";
    // WBEM_E_INVALID_PARAMETER
    Argument = 401 "An argument makes no sense, for a reason without its own number";
    NotABackup = 402 "The file is not a backup";
    EmptyPath = 403 "The path is missing or empty";
    PathKind = 404 "The path leads to a directory or something else that is not a file";
    Link = 405 "The path is a symbolic link, or the file has other names";
    ReservedName = 406 "The path has the name of a file of a repository";
    AmbiguousName = 407 "The system takes the name for another, a stream or a device";
    Overwrite = 408 "A file that is not a backup would be replaced";
    Flags = 409 "The method does not have the flag";
}

impl Reason {
    /// The number, as in the error info of the COM object.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The reason of an error; `None` if the result code alone suffices.
    pub(super) fn of(error: &Error) -> Option<Self> {
        Some(match error {
            Error::InvalidOperation(moment) => Self::of_moment(*moment),
            Error::Locked { .. } => Self::Locked,
            Error::Overtaken { .. } => Self::Overtaken,
            Error::Changed { .. } => Self::Changed,
            Error::Busy => Self::Busy,
            Error::OtherDialect { .. } => Self::OtherDialect,
            Error::Corrupt(_) => Self::Corrupt,
            Error::NotARepository { .. } => Self::NotARepository,
            Error::Poisoned(_) => Self::Poisoned,
            Error::Bug(_) => Self::Bug,
            Error::Backup { fault, .. } => Self::of_fault(fault),
            Error::InvalidArgument(invalid) => Self::of_misuse(invalid.misuse),
            _ => return None,
        })
    }

    const fn of_moment(moment: Moment) -> Self {
        match moment {
            Moment::PausedByCaller => Self::PausedByCaller,
            Moment::PausedByOther => Self::PausedByOther,
            Moment::NotPaused => Self::NotPaused,
            Moment::Restoring => Self::Restoring,
            Moment::OwnPause => Self::OwnPause,
            Moment::OwnTransaction => Self::OwnTransaction,
            Moment::InsideCall => Self::InsideCall,
            Moment::HalfChanged => Self::HalfChanged,
        }
    }

    const fn of_fault(fault: &BackupFault) -> Self {
        match fault {
            BackupFault::NotABackup => Self::NotABackup,
            BackupFault::UnknownVersion(_) => Self::UnknownVersion,
            BackupFault::Truncated(_) => Self::Truncated,
            BackupFault::Checksum(_) => Self::Checksum,
            BackupFault::Structure(_) => Self::Structure,
            BackupFault::Inconsistent(_) => Self::Inconsistent,
            BackupFault::BaseMissing { .. } => Self::BaseMissing,
            BackupFault::BaseWrong { .. } => Self::BaseWrong,
            BackupFault::Signature(_) => Self::Signature,
        }
    }

    const fn of_misuse(misuse: Misuse) -> Self {
        match misuse {
            Misuse::EmptyPath => Self::EmptyPath,
            Misuse::PathKind => Self::PathKind,
            Misuse::Link => Self::Link,
            Misuse::ReservedName => Self::ReservedName,
            Misuse::AmbiguousName => Self::AmbiguousName,
            Misuse::Overwrite => Self::Overwrite,
            Misuse::Flags => Self::Flags,
            _ => Self::Argument,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::hresult::HResult;

    /// The result codes, indexed by the first digit of the numbers.
    const CODES: [HResult; 4] = [
        HResult::INVALID_OPERATION,
        HResult::DATABASE_VER_MISMATCH,
        HResult::CRITICAL_ERROR,
        HResult::INVALID_PARAMETER,
    ];

    #[test]
    fn numbers_ascend_and_each_is_in_the_document() {
        let numbers: Vec<u32> = Reason::ALL.iter().map(|reason| reason.number()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next));
        let document = include_str!("../docs/windows.md");
        let rows = document
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
        let listed: Vec<u32> = rows.filter_map(|(number, _)| number.parse().ok()).collect();
        assert_eq!(listed, numbers);
    }

    #[test]
    fn every_moment_has_a_number_of_its_own() {
        let mut numbers: Vec<u32> = Moment::ALL
            .map(|moment| Reason::of_moment(moment).number())
            .to_vec();
        numbers.dedup();
        assert_eq!(numbers, (101..=108).collect::<Vec<_>>());
    }

    /// Checks the reason of `error`. The tests of [`Error`] call it for every variant.
    pub(in crate::base) fn check(error: &Error) {
        let code = error.hresult();
        match error.reason() {
            None => assert!(
                !CODES.contains(&code),
                "{error:?} shares its code and has no reason"
            ),
            Some(reason) => {
                let expected = CODES.get(reason.number() as usize / 100 - 1);
                assert_eq!(expected, Some(&code), "{error:?}");
            }
        }
    }
}
