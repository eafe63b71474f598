//! Files read through memory maps.
//!
//! This module needs unsafe code because the bytes of a map belong to the file system and can
//! change or vanish while the program runs. They are copied out through raw pointers, so that no
//! reference to them ever exists.

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

/// The file system, read-only and through memory maps. Every call that would change something
/// fails.
///
/// A file is mapped when it is opened, so bytes that are appended later are not visible.
#[derive(Debug, Clone, Copy)]
pub struct MappedStorage(());

impl MappedStorage {
    /// Gives read-only access to the file system.
    ///
    /// # Safety
    ///
    /// While a file is open through this storage, nobody may truncate it and the disk that holds it
    /// must not fail. Reading a part that is gone ends the process with a signal (`SIGBUS`, or an
    /// access violation on Windows), which the caller cannot handle as an error. Files that change
    /// while they are read do not endanger memory, but the result is a mixture of old and new
    /// bytes.
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

/// A mapped file. An empty one has no map, because an empty range cannot be mapped.
#[derive(Debug)]
struct MappedFile(Option<MmapRaw>);

impl MappedFile {
    fn new(file: &File) -> io::Result<Self> {
        // The length is fixed here. If the mapping asked for it again, it could have become zero in
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
        // `buf`, so both ranges are in bounds. The caller of `MappedStorage::new` promised that the
        // pages of the map are backed by the file. `buf` is borrowed exclusively and cannot overlap
        // a read-only map.
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
