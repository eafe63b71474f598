//! Backups through pipes. A backup is written and read at arbitrary offsets, which a pipe does not
//! have, so it is kept in a temporary file in between.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{BackupOptions, BackupSummary, backup_in, backup_unmapped_in};
use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::progress::Observer;
use crate::base::random::random_uuid;
use crate::storage::{OpenMode, Protection, RealStorage, Storage, write_all_at};
use crate::store::{Repository, UnmappedFiles};

/// Number of bytes that are moved together.
const PIECE: usize = 256 << 10;

/// A file in a directory of its own, which only its owner can enter. Both are removed when this is
/// dropped.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
}

impl Spool {
    /// Creates the directory in another one, such as that for temporary files.
    ///
    /// # Errors
    /// Returns [`Error::Io`] if the system refuses.
    pub fn make_in(above: &Path) -> Result<Self> {
        let name: String = random_uuid()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let directory = above.join(format!("cimrepo-{name}"));
        RealStorage
            .create_dir_with(&directory, &Protection::private().for_directory())
            .map_err(|error| Error::io(IoOp::CreateDirectory, &directory, error))?;
        Ok(Self { directory })
    }

    /// The path of the file, whether or not it exists yet.
    pub fn path(&self) -> PathBuf {
        self.directory.join("spooled.cimbak")
    }

    /// Stores everything that a stream provides, such as a backup to be opened. Returns the number
    /// of bytes. An endless stream fills the disk, so bound one that is not trusted
    /// ([`Read::take`]).
    ///
    /// # Errors
    /// Returns [`Error::Io`] if the stream ends with an error or the file cannot be written.
    pub fn fill(&self, from: &mut dyn Read) -> Result<u64> {
        let path = self.path();
        let file = RealStorage
            .create(&path, &Protection::private())
            .map_err(|error| Error::io(IoOp::Create, &path, error))?;
        let mut at = 0;
        let taken = pieces(&mut |piece| from.read(piece), &mut |piece| {
            write_all_at(&*file, at, piece)?;
            at += piece.len() as u64;
            Ok(())
        });
        taken.map_err(|error| Error::io(IoOp::Copy, &path, error))
    }

    /// Writes everything to a stream. Returns the number of bytes.
    ///
    /// # Errors
    /// Returns [`Error::Io`] if the file cannot be read or the stream, perhaps closed, accepts no
    /// more.
    pub fn empty_into(&self, to: &mut dyn Write) -> Result<u64> {
        let path = self.path();
        let file = RealStorage
            .open(&path, OpenMode::Read)
            .map_err(|error| Error::io(IoOp::Open, &path, error))?;
        let mut at = 0;
        let mut next = |piece: &mut [u8]| {
            let count = file.read_at(at, piece)?;
            at += count as u64;
            Ok(count)
        };
        let given = pieces(&mut next, &mut |piece| to.write_all(piece));
        let given = given.and_then(|bytes| to.flush().map(|()| bytes));
        given.map_err(|error| Error::io(IoOp::Write, Path::new("the stream"), error))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // There is nobody to report an error to. Remains are in a directory for temporary files.
        RealStorage.remove_file(&self.path()).ok();
        RealStorage.remove_dir(&self.directory).ok();
    }
}

/// Moves everything from one place to another in pieces. Returns the number of bytes.
fn pieces(
    next: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut moved = 0;
    loop {
        let count = match next(&mut piece) {
            Ok(0) => return Ok(moved),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        take(piece.get(..count).unwrap_or_default())?;
        moved += count as u64;
    }
}

/// Backs a repository up to a stream. The backup is completed and checked in a temporary file
/// before its first byte is sent. A recipient has all of it exactly if it can be opened, because
/// its end seals it.
///
/// # Errors
/// The errors of [`backup`](super::backup()), and [`Error::Io`] if the stream accepts no more.
pub fn backup_to(
    repository: &Repository,
    to: &mut dyn Write,
    options: &BackupOptions,
    observer: &dyn Observer,
) -> Result<BackupSummary> {
    let spool = Spool::make_in(&std::env::temp_dir())?;
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let summary = backup_in(repository, &storage, spool.path(), options, observer)?;
    spool.empty_into(to)?;
    Ok(summary)
}

/// Backs up, to a stream, files of which no mapping can be read. As [`backup_to`] does it: the
/// backup is complete before its first byte goes out.
///
/// # Errors
/// As [`backup_unmapped`](super::backup_unmapped); [`Error::Io`] when the stream takes no more.
pub fn backup_unmapped_to(
    files: &UnmappedFiles,
    to: &mut dyn Write,
    options: &BackupOptions,
    observer: &dyn Observer,
) -> Result<BackupSummary> {
    let spool = Spool::make_in(&std::env::temp_dir())?;
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let summary = backup_unmapped_in(files, &storage, spool.path(), options, observer)?;
    spool.empty_into(to)?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Provides one byte at a time, sometimes interrupted by a signal.
    struct Slow<'b>(&'b [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let Some((first, rest)) = self.0.split_first() else {
                return Ok(0);
            };
            self.0 = rest;
            buffer
                .first_mut()
                .into_iter()
                .for_each(|byte| *byte = *first);
            Ok(1)
        }
    }

    /// Accepts this many bytes and fails.
    struct Short(usize);

    impl Write for Short {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 {
                Err(io::ErrorKind::BrokenPipe.into())
            } else {
                Ok(taken)
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_spool_gives_what_it_took_and_leaves_nothing() {
        let above = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(5_000).collect();
        let spool = Spool::make_in(above.path()).unwrap();
        assert_eq!(spool.fill(&mut Slow(&bytes, false)).unwrap(), 5_000);
        assert!(spool.fill(&mut &bytes[..]).is_err(), "nothing is replaced");
        let mut given = Vec::new();
        assert_eq!(spool.empty_into(&mut given).unwrap(), 5_000);
        assert_eq!(given, bytes);
        assert!(matches!(
            spool.empty_into(&mut Short(100)),
            Err(Error::Io {
                op: IoOp::Write,
                ..
            })
        ));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&spool.directory)
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o077, 0, "{mode:o}");
        }
        drop(spool);
        assert_eq!(std::fs::read_dir(above.path()).unwrap().count(), 0);
    }
}
