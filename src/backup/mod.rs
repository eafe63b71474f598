//! Backups: one file that holds a consistent state of a repository, written in one pass, checked
//! and read without restoring.
//!
//! The container is specified byte by byte in `docs::backup`. [`backup`] writes one; [`Backup`]
//! opens one for verification and as a [`Snapshot`](crate::store::Snapshot), which everything that
//! reads a repository takes.

mod chain;
mod codec;
mod exact;
mod frame;
mod identity;
mod link;
mod pages;
mod read;
mod scrub;
mod search;
mod set;
#[cfg(feature = "sign")]
mod sign;
mod spool;
mod summary;
mod target;
mod tee;
mod unmapped;
mod verify;
mod write;
mod writer;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use codec::Compression;
pub(crate) use exact::{DataLayout, ExactFiles};
pub use read::{Backup, BackupInfo, OpenBackup};
pub use set::{BackupSet, SetEntry, SetOptions, SetSummary};
#[cfg(feature = "sign")]
pub use sign::{SigningKey, VerifyingKey, sign_backup};
pub use spool::{Spool, backup_to};
pub(crate) use tee::PageSink;
pub use unmapped::{backup_unmapped, backup_unmapped_in};
pub use verify::{BackupReport, DamagedChunks};
pub use write::{BackupSummary, Damage, backup, backup_directory, backup_in, backup_snapshot};

/// Pages in a chunk: 256 KiB of pages.
const CHUNK_PAGES: usize = 32;

/// How a backup is made.
#[derive(Debug, Clone, Default)]
pub struct BackupOptions {
    /// How pages are compressed.
    pub compression: Compression,
    /// An older backup: pages that it holds unchanged are left out. It, and those it is based on,
    /// are needed to restore.
    pub base: Option<PathBuf>,
    /// Zero the slack of pages: leftovers of deleted objects and of other programs' memory.
    pub scrub: bool,
    /// Keep everything: free pages, all mapping files, pages whose checksum does not fit. Excludes
    /// `scrub`.
    pub forensic: bool,
    /// Do not verify the repository beside backing it up. That takes about a third of the time, and
    /// leaves the question whether a restore will take the backup to whoever verified the
    /// repository before, or verifies the backup afterwards. A forensic backup, which tells what is
    /// damaged, is verified all the same.
    pub skip_verify: bool,
    /// Threads; one a processor unless given, and of a snapshot beside writers
    /// ([`backup_snapshot`]) one alone. With one, no thread is started.
    pub threads: Option<NonZeroUsize>,
    /// Bytes of pages a second that are backed up at most, and as many that are verified beside it:
    /// for a repository in use. It sleeps where no one waits for it.
    pub rate: Option<NonZeroU64>,
    /// Replace a file that is no backup. Otherwise the target is missing, empty, or begins like a
    /// backup.
    pub overwrite: bool,
    /// How long another backup to the same file is waited for; not at all unless given.
    pub wait: Option<Duration>,
}

/// The path of the signature of a backup: its own with `.minisig` after it.
pub fn signature_path(backup: &Path) -> PathBuf {
    let mut name = backup.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// An identity in the usual form of a UUID.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let hex = hex(uuid);
    let parts =
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    parts.join("-")
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
