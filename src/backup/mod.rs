//! Backups: single files that hold a consistent state of a repository. They are written in one
//! pass, and checked and read without restoring.
//!
//! The container is specified byte by byte in `docs::backup`. [`backup`] writes one. [`Backup`]
//! opens one for verification, and as a [`Snapshot`](crate::store::Snapshot) for everything that
//! reads a repository.

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
pub use spool::{Spool, backup_to, backup_unmapped_to};
pub(crate) use tee::PageSink;
pub use unmapped::{backup_unmapped, backup_unmapped_in};
pub use verify::{BackupReport, DamagedChunks};
pub use write::{BackupSummary, Damage, backup, backup_directory, backup_in, backup_snapshot};

/// Number of pages in a chunk: 256 KiB of pages.
const CHUNK_PAGES: usize = 32;

/// Options for making a backup.
#[derive(Debug, Clone, Default)]
pub struct BackupOptions {
    /// The compression of pages.
    pub compression: Compression,
    /// An older backup, whose unchanged pages are left out. It and its own bases are needed to
    /// restore.
    pub base: Option<PathBuf>,
    /// Zero the slack of pages, which holds remains of deleted objects and of other programs'
    /// memory.
    pub scrub: bool,
    /// Keep everything: free pages, all mapping files, and pages with wrong checksums. Excludes
    /// `scrub`.
    pub forensic: bool,
    /// Do not verify the repository during the backup. This saves about a third of the time.
    /// Whether a restore will accept the backup is then known only from an earlier verification of
    /// the repository or a later one of the backup. A forensic backup reports damage and is always
    /// verified.
    pub skip_verify: bool,
    /// Number of threads; one per processor by default, or one for a snapshot of a repository in
    /// use ([`backup_snapshot`]). With 1, no thread is started.
    pub threads: Option<NonZeroUsize>,
    /// Limit on the bytes of pages per second that are backed up, and equally on those verified,
    /// for a repository in use. The backup sleeps only while nobody waits for it.
    pub rate: Option<NonZeroU64>,
    /// Replace a file that is not a backup. Otherwise the target must be missing, empty, or begin
    /// like a backup.
    pub overwrite: bool,
    /// How long to wait for another backup to the same file; not at all by default.
    pub wait: Option<Duration>,
}

/// The path of the signature of a backup: that of the backup with the suffix `.minisig`.
pub fn signature_path(backup: &Path) -> PathBuf {
    let mut name = backup.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// Formats an identity as a UUID.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let hex = hex(uuid);
    let parts =
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    parts.join("-")
}

/// Formats bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
