//! Files read through memory maps.
//!
//! The only module with unsafe code: the bytes of a map belong to the file system and can change or
//! vanish under the program. They are copied out through raw pointers, so that no reference to them
//! ever exists.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::ptr;

use memmap2::{MmapOptions, MmapRaw};

use super::fs::open_for_reading;
use super::{
    DirEntry, EntryKind, FileId, NameFault, OpenMode, Protection, RawEntry, RealStorage, Storage,
    StorageFile, Ties, read_only,
};

/// The file system of the machine for reading only, through memory maps. Every call that would
/// change something fails.
///
/// A file is mapped when it is opened: bytes that are appended later are not seen.
#[derive(Debug, Clone, Copy)]
pub struct MappedStorage(());

impl MappedStorage {
    /// The file system of the machine.
    ///
    /// # Safety
    ///
    /// As long as a file opened through this storage is open, nobody may truncate it or the disk
    /// below it fail: reading what is gone ends the process with a signal (`SIGBUS`, or an access
    /// violation on Windows), which is no error that the caller could handle. Files that change
    /// while they are read are no danger to memory, but then what is read is a mixture of old and
    /// new bytes.
    #[expect(
        unsafe_code,
        reason = "only the caller can promise that the files are not truncated"
    )]
    pub unsafe fn new() -> Self {
        Self(())
    }
}

impl Storage for MappedStorage {
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        RealStorage.kind(path)
    }

    fn ties(&self, path: &Path) -> io::Result<Ties> {
        RealStorage.ties(path)
    }

    fn file_id(&self, path: &Path) -> io::Result<Option<FileId>> {
        RealStorage.file_id(path)
    }

    fn name_fault(&self, path: &Path) -> Option<NameFault> {
        RealStorage.name_fault(path)
    }

    fn read_dir(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        RealStorage.read_dir(dir)
    }

    fn walk_dir(
        &self,
        dir: &Path,
        visit: &mut dyn FnMut(RawEntry) -> ControlFlow<()>,
    ) -> io::Result<()> {
        RealStorage.walk_dir(dir, visit)
    }

    fn protection(&self, path: &Path) -> io::Result<Protection> {
        RealStorage.protection(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        match mode {
            OpenMode::Read => Ok(Box::new(MappedFile::new(&open_for_reading(path)?)?)),
            OpenMode::Write | OpenMode::Create | OpenMode::CreateNew => read_only(),
        }
    }
}

/// A mapped file; an empty one has no map, because nothing cannot be mapped.
#[derive(Debug)]
struct MappedFile(Option<MmapRaw>);

impl MappedFile {
    fn new(file: &File) -> io::Result<Self> {
        // The length is fixed here: asked for again by the mapping, it could have become zero in
        // between.
        let len =
            usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        if len == 0 {
            return Ok(Self(None));
        }
        Ok(Self(Some(
            MmapOptions::new().len(len).map_raw_read_only(file)?,
        )))
    }
}

impl StorageFile for MappedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.as_ref().map_or(0, MmapRaw::len) as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let Some(map) = &self.0 else { return Ok(0) };
        let start = usize::try_from(offset).map_or(map.len(), |start| start.min(map.len()));
        let count = buf.len().min(map.len() - start);
        #[expect(
            unsafe_code,
            reason = "a reference into the map would promise that its bytes do not change"
        )]
        // SAFETY: `start + count` is at most the length of the map and `count` at most that of
        // `buf`, so both ranges are inside what they are taken from; that the pages of the map are
        // backed by the file is what the caller of `MappedStorage::new` promised. `buf` is borrowed
        // exclusively and does not overlap a read-only map.
        unsafe {
            ptr::copy_nonoverlapping(map.as_ptr().add(start), buf.as_mut_ptr(), count);
        }
        Ok(count)
    }

    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<usize> {
        read_only()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        read_only()
    }

    fn sync(&self) -> io::Result<()> {
        read_only()
    }
}
