//! The file that holds the journal of a generation: its creation, appending, and reading after a
//! crash (`docs::journal`, J-1 to J-7).
//!
//! ```text
//! 1  create: header and zeros, sync the file, sync the directory: no commit yet          (J-1)
//! 2  append: zeros where there is not room enough, then the frame                        (J-2)
//! 3  sync the file: now, and only now, the commit is durable                             (J-4)
//! ```
//!
//! Space is allocated ahead, in steps, by writing zeros. The sync of an overwrite of allocated
//! blocks then has no file system metadata to make durable, which on ext4 and xfs accounts for most
//! of the cost of a sync.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::base::io_op::IoOp;
use crate::base::misuse::Misuse;
use crate::base::site::{FileRole, Site};
use crate::format::own::journal::{
    Commit, FRAME_HEAD_SIZE, FrameHead, HEADER_SIZE, HeaderFault, JournalHeader,
};
#[cfg(test)]
use crate::storage::EntryKind;
use crate::storage::{
    Directory, OpenMode, Protection, Storage, StorageFile, Ties, parent_of, read_exact_at,
    write_all_at,
};

/// Prefix of the name of a journal.
pub const JOURNAL_PREFIX: &str = "cimrepo-";
/// Suffix of the name of a journal.
pub const JOURNAL_SUFFIX: &str = ".journal";

/// Number of decimal digits between the two: enough for every generation, and always the same, so
/// that names sort like numbers.
const DIGITS: usize = 10;

/// A journal grows by multiples of this many bytes.
pub const GROWTH_STEP: u64 = 256 << 10;

/// If a frame takes a good part of a step, space for this many like it is allocated, because
/// growing the file is what delays a commit most.
const FRAMES_AHEAD: u64 = 8;

/// Smallest amount that is read at once, in bytes.
const WINDOW: u64 = 256 << 10;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The name of the journal of a generation.
pub fn journal_name(generation: u32) -> String {
    format!("{JOURNAL_PREFIX}{generation:0DIGITS$}{JOURNAL_SUFFIX}")
}

/// The generation in the name of a journal, ignoring case. A copy of a repository may have passed
/// through a system that changes case, and an overlooked journal means lost commits.
pub fn generation_of(name: &str) -> Option<u32> {
    let (prefix, rest) = name.split_at_checked(JOURNAL_PREFIX.len())?;
    let (digits, suffix) = rest.split_at_checked(DIGITS)?;
    let is_framed =
        prefix.eq_ignore_ascii_case(JOURNAL_PREFIX) && suffix.eq_ignore_ascii_case(JOURNAL_SUFFIX);
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_framed && is_number {
        digits.parse().ok()
    } else {
        None
    }
}

/// True if the name is that of a journal.
pub fn is_journal_name(name: &str) -> bool {
    generation_of(name).is_some()
}

/// The journals of a directory with the generations in their names, ascending.
#[cfg(test)]
fn list(directory: &Directory) -> Result<Vec<(u32, String)>> {
    let entries = directory.storage.read_dir(&directory.path);
    let entries = entries.map_err(|error| Error::io(IoOp::List, &directory.path, error))?;
    let files = entries
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::File);
    let mut found: Vec<_> = files
        .filter_map(|entry| generation_of(&entry.name).map(|generation| (generation, entry.name)))
        .collect();
    found.sort();
    Ok(found)
}

/// Removes a journal. A crash can bring it back until the caller has synced the directory.
pub fn remove(directory: &Directory, name: &str) -> Result<()> {
    let path = directory.join(name);
    directory
        .storage
        .remove_file(&path)
        .map_err(|error| Error::io(IoOp::Remove, &path, error))
}

/// A journal that commits can be appended to.
#[derive(Debug)]
pub struct Journal {
    file: Arc<dyn StorageFile>,
    path: PathBuf,
    header: JournalHeader,
    /// Offset of the next frame.
    end: u64,
    /// End of the allocated blocks of the file.
    allocated: u64,
    /// Number of the next commit; `None` after the largest possible number.
    next: Option<u64>,
    /// True if the file may hold a frame that was reported to the caller as failed.
    is_broken: bool,
    /// True if removing that frame may be attempted.
    can_mend: bool,
}

impl Journal {
    /// Creates the journal that the header describes, durably and with `protection`. No file of
    /// that name may exist. A crash before this returns may leave a file without a complete header,
    /// which [`scan`](Self::scan) recognises. It can be removed, because it holds no commit (J-1).
    pub fn create(
        directory: &Directory,
        header: &JournalHeader,
        protection: &Protection,
    ) -> Result<Self, Unmade> {
        let path = directory.join(&journal_name(header.base.generation));
        let storage = &directory.storage;
        let file = storage.create(&path, protection);
        let file = file.map_err(|error| Unmade {
            error: Error::io(IoOp::Create, &path, error),
            is_left: false,
        })?;
        let journal = Self {
            file: Arc::from(file),
            path,
            header: *header,
            end: HEADER_SIZE as u64,
            allocated: GROWTH_STEP,
            next: Some(header.first_commit),
            is_broken: false,
            can_mend: false,
        };
        let made = journal.write_first().and_then(|()| {
            let synced = storage.sync_dir(&directory.path);
            synced.map_err(|error| Error::io(IoOp::SyncDirectory, &directory.path, error))
        });
        match made {
            Ok(()) => Ok(journal),
            // The next attempt makes another file with another entry, so everything whose sync
            // failed is written again (W-12).
            Err(error) => Err(Unmade {
                error,
                is_left: storage.remove_file(&journal.path).is_err(),
            }),
        }
    }

    /// Writes and syncs the header and the first step of zeros.
    fn write_first(&self) -> Result<()> {
        write_zeros(self.file.as_ref(), 0, self.allocated).map_err(self.failed(IoOp::Write))?;
        write_all_at(self.file.as_ref(), 0, &self.header.to_bytes())
            .map_err(self.failed(IoOp::Write))?;
        self.file.sync().map_err(self.failed(IoOp::Sync))
    }

    /// Opens a journal for reading its header and then its commits one by one. If the header is
    /// invalid, returns the reason. A journal whose header was never completely written can be
    /// removed, because nothing was committed through it.
    pub fn scan(directory: &Directory, name: &str) -> Result<Result<JournalScan, HeaderFault>> {
        JournalScan::open(directory, name)
    }

    /// Continues after the last whole commit, skipping commits that the caller has not read. The
    /// commits found by the scan are durable when this returns.
    ///
    /// After a torn frame there may be whole ones that a crash preserved, with numbers yet to come.
    /// A new frame that ends where one of them begins would make it valid. Therefore a tail that is
    /// not all zeros is cut off, durably, before anything is written in its place (J-5).
    pub fn resume(mut scan: JournalScan) -> Result<Self> {
        need_own(&scan)?;
        let is_torn = scan.has_torn_tail()?;
        let path = scan.path;
        let file = scan
            .storage
            .open(&path, OpenMode::Write)
            .map_err(failed(IoOp::Open, &path))?;
        if is_torn {
            file.set_len(scan.end)
                .map_err(failed(IoOp::Truncate, &path))?;
        }
        // Needed even if nothing was cut: a process that died may have left frames that are only in
        // the memory of this machine.
        file.sync().map_err(failed(IoOp::Sync, &path))?;
        // Its name may not be durable either, if the process died between the two syncs of J-1.
        let directory = parent_of(&path);
        scan.storage
            .sync_dir(directory)
            .map_err(failed(IoOp::SyncDirectory, directory))?;
        let allocated = if is_torn { scan.end } else { scan.len };
        let (header, end, next) = (scan.header, scan.end, scan.next);
        Ok(Self {
            file: Arc::from(file),
            path,
            header,
            end,
            allocated,
            next,
            is_broken: false,
            can_mend: false,
        })
    }

    /// Appends the frame of the commit [`next_commit`](Self::next_commit). It is durable once
    /// [`sync_handle`](Self::sync_handle) has been synced, and one sync can serve several commits.
    /// If that sync fails, nothing may be appended any more, because the content of the disk is
    /// unknown.
    ///
    /// After an error, further commits may be appended unless the journal
    /// [`is_broken`](Self::is_broken). In that case the commit may be in the file and must be
    /// removed with [`mend`](Self::mend).
    pub fn append(&mut self, frame: &[u8]) -> Result<()> {
        if self.is_broken {
            return Err(self.failed(IoOp::Write)(io::Error::other(
                "an earlier commit failed and could not be undone",
            )));
        }
        let head = FrameHead::parse(frame).filter(|head| head.frame_len() == frame.len());
        let number = head.map(|head| head.number);
        if number.is_none() || number != self.next {
            let text = match self.next {
                Some(next) => format!("the frame is not that of commit {next}"),
                None => "no commit can follow the one with the last number".to_owned(),
            };
            return Err(Error::Bug(text.into()));
        }
        let end = self.end.saturating_add(frame.len() as u64);
        self.make_room(end, frame.len() as u64)?;
        if let Err(error) = write_all_at(self.file.as_ref(), self.end, frame) {
            (self.is_broken, self.can_mend) = (true, true);
            return Err(self.failed(IoOp::Write)(error));
        }
        self.end = end;
        self.next = self.next.and_then(|number| number.checked_add(1));
        Ok(())
    }

    /// Extends the file so that a frame can end at `end`. Nothing of the frame is written before
    /// there is space for all of it, so a full disk rejects a commit without leaving a trace of it
    /// (J-2).
    fn make_room(&mut self, end: u64, frame: u64) -> Result<()> {
        if end > self.allocated {
            let is_large = (GROWTH_STEP / FRAMES_AHEAD..=4 * GROWTH_STEP).contains(&frame);
            let ahead = if is_large {
                (FRAMES_AHEAD - 1) * frame
            } else {
                0
            };
            let grown = end
                .saturating_add(ahead)
                .div_ceil(GROWTH_STEP)
                .saturating_mul(GROWTH_STEP);
            write_zeros(self.file.as_ref(), self.allocated, grown)
                .map_err(self.failed(IoOp::Extend))?;
            self.allocated = grown;
        }
        Ok(())
    }

    /// Removes the frame of a commit whose write failed. It may be in the file partly or even
    /// completely; without its head it does not count. The removal is made durable, because
    /// otherwise a crash could bring back a commit that its caller believes failed (J-3).
    ///
    /// If this fails before the sync, it may be tried again. After a failed sync it may not: frames
    /// before this one may not be durable yet, and they are not written again (W-12). No other sync
    /// of the file may run at the same time, because the system may report the failure to only one
    /// of them.
    pub fn mend(&mut self) -> Result<()> {
        if self.is_broken && self.can_mend {
            let head = write_all_at(self.file.as_ref(), self.end, &[0; FRAME_HEAD_SIZE]);
            head.map_err(self.failed(IoOp::Write))?;
            self.can_mend = false;
            self.file.sync().map_err(self.failed(IoOp::Sync))?;
            self.is_broken = false;
        }
        Ok(())
    }

    /// True if [`mend`](Self::mend) may repair a broken journal.
    pub const fn can_mend(&self) -> bool {
        self.can_mend
    }

    /// True if a commit that failed may still count after a crash. Then nothing more can be
    /// appended.
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// The handle to sync to make all appended commits durable. Another thread can sync it while
    /// this journal is locked.
    pub fn sync_handle(&self) -> Arc<dyn StorageFile> {
        Arc::clone(&self.file)
    }

    /// The header.
    pub const fn header(&self) -> &JournalHeader {
        &self.header
    }

    /// The number of the next commit; `None` if there are no more numbers.
    #[cfg(test)]
    pub const fn next_commit(&self) -> Option<u64> {
        self.next
    }

    /// Length of the header and the commits in bytes; the file is longer.
    pub const fn len(&self) -> u64 {
        self.end
    }

    /// True if it holds no commit.
    #[cfg(test)]
    pub const fn is_empty(&self) -> bool {
        self.end == HEADER_SIZE as u64
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, op: IoOp) -> impl Fn(io::Error) -> Error {
        failed(op, &self.path)
    }
}

fn failed(op: IoOp, path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| Error::io(op, path, error)
}

/// Writes zeros from offset `from` to `to`.
fn write_zeros(file: &dyn StorageFile, mut from: u64, to: u64) -> io::Result<()> {
    while from < to {
        let left = usize::try_from(to - from).unwrap_or(usize::MAX);
        let (piece, _) = ZEROS.split_at(left.min(ZEROS.len()));
        write_all_at(file, from, piece)?;
        from = from.saturating_add(piece.len() as u64);
    }
    Ok(())
}

/// The error of a journal that could not be created.
#[derive(Debug)]
pub struct Unmade {
    /// The error of the system.
    pub error: Error,
    /// True if its file could not be removed either. It holds no commit, but occupies the name that
    /// the next journal needs.
    pub is_left: bool,
}

/// A journal that is being read from its start.
#[derive(Debug)]
pub struct JournalScan {
    storage: Arc<dyn Storage>,
    file: Box<dyn StorageFile>,
    path: PathBuf,
    header: JournalHeader,
    /// Length of the file when it was opened.
    len: u64,
    /// Offset of the end of the last commit returned.
    end: u64,
    /// Number of the commit expected there.
    next: Option<u64>,
    /// True if no commit follows.
    is_done: bool,
    /// Bytes of the file from `window_start` on.
    window: Vec<u8>,
    window_start: u64,
}

impl JournalScan {
    fn open(directory: &Directory, name: &str) -> Result<Result<Self, HeaderFault>> {
        let path = directory.join(name);
        let storage = Arc::clone(&directory.storage);
        let file = storage
            .open(&path, OpenMode::Read)
            .map_err(failed(IoOp::Open, &path))?;
        let len = file.len().map_err(failed(IoOp::Metadata, &path))?;
        let mut front = vec![0; HEADER_SIZE + FRAME_HEAD_SIZE];
        front.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        read_exact_at(file.as_ref(), 0, &mut front).map_err(failed(IoOp::Read, &path))?;
        let header = match JournalHeader::parse(&front) {
            Ok(header) => header,
            Err(HeaderFault::Damaged(finding)) => {
                return Ok(Err(wrong_header(name, &finding.detail)));
            }
            Err(fault) => return Ok(Err(fault)),
        };
        if generation_of(name) != Some(header.base.generation) {
            let detail = format!("it is the journal of generation {}", header.base.generation);
            return Ok(Err(wrong_header(name, &detail)));
        }
        let next = Some(header.first_commit);
        let end = HEADER_SIZE as u64;
        let (window, window_start) = (Vec::new(), 0);
        Ok(Ok(Self {
            storage,
            file,
            path,
            header,
            len,
            end,
            next,
            is_done: false,
            window,
            window_start,
        }))
    }

    /// The header.
    pub const fn header(&self) -> &JournalHeader {
        &self.header
    }

    /// The next whole commit; `None` after the last one.
    pub fn next_commit(&mut self) -> Result<Option<Commit<'_>>> {
        let (offset, number) = (self.end, self.next);
        let Some((number, len)) = number.zip(self.frame_len()?) else {
            self.is_done = true;
            return Ok(None);
        };
        self.fill(offset, len)?;
        let salt = self.header.salt;
        let frame = window_at(&self.window, self.window_start, offset, len).unwrap_or_default();
        let commit = Commit::read(frame, salt, number, offset);
        match &commit {
            Some(_) => {
                self.end = offset.saturating_add(len);
                self.next = number.checked_add(1);
            }
            None => self.is_done = true,
        }
        Ok(commit)
    }

    /// Length of the frame at the end, if there is one and it fits in the file.
    fn frame_len(&mut self) -> Result<Option<u64>> {
        let left = self.len.saturating_sub(self.end);
        let head_len = FRAME_HEAD_SIZE as u64;
        if self.is_done || left < head_len {
            return Ok(None);
        }
        self.fill(self.end, head_len)?;
        let head = window_at(&self.window, self.window_start, self.end, head_len)
            .and_then(FrameHead::parse);
        Ok(head
            .map(|head| head.frame_len() as u64)
            .filter(|len| *len <= left))
    }

    /// Reads so that the window has `len` bytes at `offset`. The file must have as many.
    fn fill(&mut self, offset: u64, len: u64) -> Result<()> {
        if window_at(&self.window, self.window_start, offset, len).is_some() {
            return Ok(());
        }
        let failed = |error| Error::io(IoOp::Read, &self.path, error);
        let size = len.max(WINDOW).min(self.len.saturating_sub(offset));
        let size = usize::try_from(size).map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?;
        let more = size.saturating_sub(self.window.len());
        self.window
            .try_reserve(more)
            .map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?;
        self.window.resize(size, 0);
        self.window_start = offset;
        read_exact_at(self.file.as_ref(), offset, &mut self.window).map_err(|error| {
            // Cleared first, since the window no longer matches the file if reading fails.
            self.window.clear();
            failed(error)
        })
    }

    /// True if nonzero bytes follow the last whole commit: a frame torn by a crash, or damage.
    /// Skips commits that have not been returned yet.
    pub fn has_torn_tail(&mut self) -> Result<bool> {
        while self.next_commit()?.is_some() {}
        let mut offset = self.end;
        while offset < self.len {
            let len = WINDOW.min(self.len - offset);
            self.fill(offset, len)?;
            let piece = window_at(&self.window, self.window_start, offset, len).unwrap_or_default();
            if piece.iter().any(|byte| *byte != 0) {
                return Ok(true);
            }
            offset = offset.saturating_add(len);
        }
        Ok(false)
    }

    /// Offset of the end of the last commit returned, in bytes. After the last commit this is the
    /// end of the journal.
    #[cfg(test)]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// The number that the next commit would have.
    pub const fn next_number(&self) -> Option<u64> {
        self.next
    }
}

/// The bytes of a file at an offset, if the window holds them.
fn window_at(window: &[u8], window_start: u64, offset: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset.checked_sub(window_start)?).ok()?;
    window.get(start..)?.get(..usize::try_from(len).ok()?)
}

/// W-13: rejects a journal that must not be written in place because the changes would show under
/// another name.
fn need_own(scan: &JournalScan) -> Result<()> {
    match scan
        .storage
        .ties(&scan.path)
        .map_err(failed(IoOp::Metadata, &scan.path))?
    {
        Ties::None => Ok(()),
        Ties::Link | Ties::Names(_) => {
            let text = "is a link or has other names (hard links), and what is written into it \
                would show there; put a copy in its place";
            Err(Error::invalid(
                Misuse::Link,
                format!("{} {text}", escape_path(&scan.path)),
            ))
        }
    }
}

fn wrong_header(name: &str, detail: &str) -> HeaderFault {
    let site = Site::file(FileRole::Journal);
    HeaderFault::Damaged(Corruption::new(
        CorruptionCode::JournalHeader,
        site,
        format!("{name}: {detail}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::checksum::crc32;
    use crate::format::own::journal::{CommitBuilder, Commits, JournalOp, MappingId};
    use crate::storage::MemStorage;

    const HEADER: JournalHeader = JournalHeader {
        base: MappingId {
            generation: 42,
            mapping_crc: 1,
        },
        previous: MappingId {
            generation: 42,
            mapping_crc: 1,
        },
        first_commit: 7,
        salt: 0x5EED,
    };

    const NAME: &str = "cimrepo-0000000042.journal";

    /// A commit of one record of `size` bytes, identified by the content of the record.
    fn builder(mark: u8, size: usize) -> CommitBuilder {
        let mut builder = CommitBuilder::new();
        let page = crate::base::page_no::LogicalPage::new(3).unwrap();
        builder
            .push(JournalOp::PutRecord {
                page,
                id: u32::from(mark),
                bytes: &vec![mark; size],
            })
            .unwrap();
        builder
    }

    fn append(journal: &mut Journal, mark: u8, size: usize) -> Result<()> {
        let frame = builder(mark, size)
            .finish(journal.header().salt, journal.next_commit().unwrap())
            .to_vec();
        journal.append(&frame)
    }

    /// The marks of the commits in a journal.
    fn marks(scan: &mut JournalScan) -> Vec<u8> {
        let (mut marks, mut number) = (Vec::new(), scan.header().first_commit);
        while let Some(commit) = scan.next_commit().unwrap() {
            assert_eq!(commit.number, number);
            let operations: Vec<_> = commit.operations().map(Result::unwrap).collect();
            let [JournalOp::PutRecord { id, bytes, .. }] = operations[..] else {
                panic!("{operations:?}")
            };
            let mark = u8::try_from(id).unwrap();
            assert!(bytes.iter().all(|byte| *byte == mark));
            marks.push(mark);
            number += 1;
        }
        assert_eq!(scan.next_number(), Some(number));
        marks
    }

    fn directory(storage: impl Storage + 'static) -> Directory {
        Directory::new(Arc::new(storage), ".")
    }

    fn scan(directory: &Directory) -> JournalScan {
        Journal::scan(directory, NAME).unwrap().unwrap()
    }

    /// A directory with a journal of these commits, and the content of the file.
    fn journal_of(commits: &[(u8, usize)]) -> (MemStorage, Directory, Vec<u8>) {
        let storage = MemStorage::new();
        let directory = directory(storage.clone());
        let mut journal = Journal::create(&directory, &HEADER, &Protection::private()).unwrap();
        commits
            .iter()
            .for_each(|(mark, size)| append(&mut journal, *mark, *size).unwrap());
        let bytes = storage.get(NAME).unwrap();
        (storage, directory, bytes)
    }

    #[test]
    fn names_name_generations() {
        assert_eq!(journal_name(42), NAME);
        assert_eq!(generation_of(&journal_name(u32::MAX)), Some(u32::MAX));
        assert_eq!(generation_of("CIMREPO-0000000042.JOURNAL"), Some(42));
        let others = [
            "",
            "cimrepo-42.journal",
            "cimrepo-4294967296.journal",
            "cimrepo-+000000042.journal",
            "cimrepo-0000000042.journal2",
            "cimrepo-0000000042",
            "cimrepo-000000004ö.journal",
            "INDEX.BTR",
        ];
        assert!(others.iter().all(|name| !is_journal_name(name)));
    }

    #[test]
    fn journals_are_listed_by_generation_and_removed() {
        let storage = MemStorage::new();
        for name in [
            "cimrepo-0000000100.journal",
            "INDEX.BTR",
            NAME,
            "cimrepo-0000000099.journal",
        ] {
            storage.put(name, Vec::new());
        }
        let directory = directory(storage);
        directory
            .storage
            .create_dir(Path::new("cimrepo-0000000001.journal"))
            .unwrap();
        let generations = |directory| {
            list(directory)
                .unwrap()
                .into_iter()
                .map(|(number, _)| number)
                .collect::<Vec<_>>()
        };
        assert_eq!(generations(&directory), [42, 99, 100]);
        remove(&directory, "cimrepo-0000000099.journal").unwrap();
        assert_eq!(generations(&directory), [42, 100]);
        assert_eq!(
            remove(&directory, "gone").unwrap_err().path().unwrap(),
            directory.join("gone")
        );
    }

    #[test]
    fn commits_of_any_size_come_back() {
        let commits = [
            (1, 0),
            (2, 100),
            (3, 300_000),
            (4, 1),
            (5, 262_144 - 100),
            (6, 2_000_000),
            (7, 5),
        ];
        let (_, directory, bytes) = journal_of(&commits);
        assert!(
            (bytes.len() as u64).is_multiple_of(GROWTH_STEP),
            "grown by whole steps"
        );
        let mut scan = scan(&directory);
        assert_eq!(scan.path, directory.join(NAME));
        assert_eq!(marks(&mut scan), [1, 2, 3, 4, 5, 6, 7]);
        assert!(!scan.has_torn_tail().unwrap());
        let mut in_memory = Commits::new(&bytes, &HEADER);
        assert_eq!(
            (in_memory.by_ref().count(), in_memory.end() as u64),
            (7, scan.end())
        );

        let mut journal = Journal::resume(scan).unwrap();
        assert_eq!(journal.path(), directory.join(NAME));
        append(&mut journal, 8, 10).unwrap();
        assert_eq!(
            (journal.next_commit(), journal.is_empty()),
            (Some(15), false)
        );
        assert_eq!(marks(&mut self::scan(&directory)), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn room_is_made_in_steps_and_before_it_is_needed() {
        let (storage, directory, bytes) = journal_of(&[]);
        assert_eq!(bytes.len() as u64, GROWTH_STEP);
        let mut journal = Journal::resume(scan(&directory)).unwrap();
        assert!(journal.is_empty());
        for mark in 1..=3 {
            append(&mut journal, mark, 1000).unwrap();
            assert_eq!(storage.get(NAME).unwrap().len() as u64, GROWTH_STEP);
        }
        // Large commits make room for eight at once.
        for mark in 4..4 + 8 {
            append(&mut journal, mark, 260_000).unwrap();
            assert_eq!(storage.get(NAME).unwrap().len() as u64, 8 * GROWTH_STEP);
        }
        assert!(journal.len() > 7 * GROWTH_STEP);
        // A single huge commit does not change the amount of space made ahead.
        append(&mut journal, 12, 5 << 20).unwrap();
        assert_eq!(
            storage.get(NAME).unwrap().len() as u64,
            journal.len().next_multiple_of(GROWTH_STEP)
        );
    }

    #[test]
    fn only_the_next_commit_is_taken() {
        let (_, directory, _) = journal_of(&[(1, 10)]);
        let mut journal = Journal::resume(scan(&directory)).unwrap();
        let frame = |number| builder(2, 10).finish(HEADER.salt, number).to_vec();
        let refused = [
            frame(7),
            frame(9),
            Vec::new(),
            frame(8)[..16].to_vec(),
            [frame(8), vec![0; 8]].concat(),
        ];
        for frame in refused {
            assert!(matches!(journal.append(&frame), Err(Error::Bug(_))));
        }
        journal.append(&frame(8)).unwrap();
        assert_eq!(marks(&mut scan(&directory)), [1, 2]);
        assert!(
            Journal::create(&directory, &HEADER, &Protection::private()).is_err(),
            "there is one of that name"
        );
    }

    /// Reads and continues a journal, whatever a crash or damage has left of it.
    fn go_on(bytes: Vec<u8>, all: &[u8], what: &str) -> usize {
        let storage = MemStorage::new();
        storage.put(NAME, bytes);
        let directory = directory(storage);
        let mut scan = scan(&directory);
        let mut found = marks(&mut scan);
        assert!(all.starts_with(&found), "{what}: {found:?}");
        let mut journal = Journal::resume(scan).unwrap();
        append(&mut journal, 99, 30).unwrap();
        let count = found.len();
        found.push(99);
        let mut scan = self::scan(&directory);
        assert_eq!(marks(&mut scan), found, "{what}");
        assert!(!scan.has_torn_tail().unwrap(), "{what}");
        count
    }

    #[test]
    fn every_cut_and_every_changed_byte_leaves_the_commits_before_it() {
        let (_, _, mut bytes) = journal_of(&[(1, 10), (2, 0), (3, 30), (4, 5)]);
        let end = Commits::new(&bytes, &HEADER)
            .by_ref()
            .map(|commit| commit.offset)
            .last()
            .unwrap()
            + 32;
        bytes.truncate(usize::try_from(end).unwrap());
        assert_eq!(go_on(bytes.clone(), &[1, 2, 3, 4], "whole"), 4);
        for at in HEADER_SIZE..bytes.len() {
            go_on(bytes[..at].to_vec(), &[1, 2, 3, 4], "cut");
            for change in [0x01, 0x80, 0xFF] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                go_on(changed, &[1, 2, 3, 4], "changed");
            }
        }
    }

    #[test]
    fn a_frame_longer_than_the_file_is_not_read() {
        let (storage, directory, mut bytes) = journal_of(&[(1, 10)]);
        bytes.truncate(HEADER_SIZE);
        let mut frame = builder(1, 10).finish(HEADER.salt, 7).to_vec();
        frame[4..8].copy_from_slice(&(1u32 << 30).to_le_bytes());
        storage.put(NAME, [bytes, frame].concat());
        let mut scan = scan(&directory);
        assert_eq!(marks(&mut scan), [0; 0]);
        assert!(scan.window.capacity() < 1 << 20 && scan.has_torn_tail().unwrap());
    }

    #[test]
    fn files_that_are_no_journal_are_told() {
        let (storage, directory, bytes) = journal_of(&[(1, 10)]);
        let empty = [&HEADER.to_bytes()[..], &[0; 100]].concat();
        for unfinished in [&[][..], &empty[..63], &[0; 200], &[0xA5; 200]] {
            storage.put(NAME, unfinished.to_vec());
            assert_eq!(
                Journal::scan(&directory, NAME).unwrap().unwrap_err(),
                HeaderFault::Unfinished
            );
        }
        let mut damaged = bytes.clone();
        damaged[17] ^= 1;
        storage.put(NAME, damaged);
        let refusal = |name| match Journal::scan(&directory, name).unwrap().unwrap_err() {
            HeaderFault::Damaged(finding) => finding.to_string(),
            fault => format!("{fault:?}"),
        };
        assert!(
            refusal(NAME).contains(NAME) && refusal(NAME).ends_with("[journal.header]"),
            "{}",
            refusal(NAME)
        );
        storage.put("cimrepo-0000000043.journal", bytes.clone());
        assert!(refusal("cimrepo-0000000043.journal").contains("generation 42"));
        let mut newer = bytes;
        newer[8] = 2;
        let crc = crc32(&newer[..60]);
        newer[60..64].copy_from_slice(&crc.to_le_bytes());
        storage.put(NAME, newer);
        assert_eq!(refusal(NAME), "UnknownVersion(2)");
    }

    #[cfg(feature = "sim")]
    mod faults {
        use super::*;
        use crate::storage::sim::{CrashPolicy, Fault, FaultPlan, SimStorage};

        /// Crash policies that cover which of the unsynced operations reached the disk.
        fn policies(unsynced: usize) -> Vec<CrashPolicy> {
            let mut policies = vec![CrashPolicy::DropAll, CrashPolicy::KeepAll];
            // The first and the last operations are all included, because they hold the heads of
            // frames.
            let singles = (0..unsynced).step_by(unsynced.div_ceil(8).max(1));
            for number in singles
                .chain(0..unsynced.min(4))
                .chain(unsynced.saturating_sub(4)..unsynced)
            {
                let one = [
                    CrashPolicy::LoseOne(number),
                    CrashPolicy::TearOne(number),
                    CrashPolicy::KeepOne(number),
                ];
                policies.extend(one);
            }
            policies.extend((0..12).map(CrashPolicy::Seeded));
            policies
        }

        /// Every disk that a loss of power at some operation of `act` may leave, with the result of
        /// `act`.
        fn lose_power_everywhere<T>(
            disk: &SimStorage,
            act: impl Fn(&Directory) -> T,
            look: impl Fn(&SimStorage, &T),
        ) {
            for at in 0.. {
                let disk = disk.crash(CrashPolicy::KeepAll);
                disk.set_plan(FaultPlan::once(at, Fault::PowerOff));
                let outcome = act(&directory(disk.clone()));
                for policy in policies(disk.unsynced()) {
                    look(&disk.crash(policy), &outcome);
                }
                if disk.faults_struck() == 0 {
                    return;
                }
            }
        }

        fn sync(journal: &Journal) -> Result<()> {
            journal
                .sync_handle()
                .sync()
                .map_err(journal.failed(IoOp::Sync))
        }

        /// The commits that are found; `None` if the journal cannot be continued.
        fn examine(disk: &SimStorage) -> Option<Vec<u8>> {
            let directory = directory(disk.clone());
            let name = list(&directory).unwrap().pop()?.1;
            let mut scan = Journal::scan(&directory, &name).unwrap().ok()?;
            let found = marks(&mut scan);
            let mut journal = Journal::resume(scan).unwrap();
            append(&mut journal, 99, 700).unwrap();
            sync(&journal).unwrap();
            let mut scan = super::scan(&super::directory(disk.crash(CrashPolicy::DropAll)));
            assert_eq!(marks(&mut scan), [&found[..], &[99]].concat());
            Some(found)
        }

        const COMMITS: [(u8, usize); 8] = [
            (1, 40),
            (2, 600),
            (3, 0),
            (4, 3000),
            (5, 258_000),
            (6, 500),
            (7, 2000),
            (8, 100),
        ];

        /// Creates a journal and appends to it, syncing after every second commit. Returns the
        /// number of acknowledged commits, or `None` if even the journal was not acknowledged.
        fn work(directory: &Directory) -> Option<usize> {
            let mut journal = Journal::create(directory, &HEADER, &Protection::private()).ok()?;
            let mut acknowledged = 0;
            for (done, (mark, size)) in (1..).zip(COMMITS) {
                if append(&mut journal, mark, size).is_err()
                    || done % 2 == 0 && sync(&journal).is_err()
                {
                    break;
                }
                acknowledged = if done % 2 == 0 { done } else { acknowledged };
            }
            Some(acknowledged)
        }

        #[test]
        fn acknowledged_commits_outlast_loss_of_power() {
            lose_power_everywhere(&SimStorage::new(), work, |disk, acknowledged| {
                let found = examine(disk);
                assert!(
                    found.is_some() || acknowledged.is_none(),
                    "the journal is lost"
                );
                let found = found.unwrap_or_default();
                assert!(
                    found
                        .iter()
                        .zip(COMMITS)
                        .all(|(found, (mark, _))| *found == mark)
                );
                assert!(
                    found.len() >= acknowledged.unwrap_or_default(),
                    "{found:?}, {acknowledged:?}"
                );
            });
        }

        #[test]
        fn whole_frames_behind_a_torn_one_do_not_come_back() {
            // Commit 2 is torn; 3 and 4 after it are whole, as preserved by a crash. From 2 on each
            // frame is one sector, so that zeros over one can be lost while the new frame before it
            // is kept.
            let (_, _, mut bytes) = journal_of(&[(1, 415), (2, 479), (3, 479), (4, 479)]);
            bytes[900] ^= 1;
            assert!(
                [1, 2, 3]
                    .iter()
                    .all(|sector| bytes[sector * 512..].starts_with(b"JCMT"))
            );
            let disk = SimStorage::new();
            disk.put(NAME, &bytes);
            let go_on = |directory: &Directory| -> Option<()> {
                let mut journal =
                    Journal::resume(Journal::scan(directory, NAME).ok()?.ok()?).ok()?;
                // As long as the torn frame, so that it ends where the old commit 3 begins.
                append(&mut journal, 5, 479).ok()?;
                sync(&journal).ok()
            };
            lose_power_everywhere(&disk, go_on, |disk, done| {
                let found = examine(disk).unwrap();
                assert!(
                    found == [1, 5] || found == [1] && done.is_none(),
                    "{found:?}"
                );
            });
        }

        #[test]
        fn what_a_scan_found_is_durable_when_the_journal_goes_on() {
            // The process died but the power did not fail, so frames that were never synced are
            // still visible.
            let disk = SimStorage::new();
            let directory = directory(disk.clone());
            append(
                &mut Journal::create(&directory, &HEADER, &Protection::private()).unwrap(),
                1,
                1000,
            )
            .unwrap();
            let scan = scan(&directory);
            drop(Journal::resume(scan).unwrap());
            assert_eq!(examine(&disk.crash(CrashPolicy::DropAll)).unwrap(), [1]);
        }

        #[test]
        fn a_full_disk_refuses_a_commit_and_leaves_the_journal() {
            for transfers in [false, true] {
                let disk = SimStorage::new();
                let directory = directory(disk.clone());
                let mut journal =
                    Journal::create(&directory, &HEADER, &Protection::private()).unwrap();
                append(&mut journal, 1, 1000).unwrap();
                let plan = FaultPlan::once(disk.operations(), Fault::NoSpace);
                disk.set_plan(if transfers {
                    plan.transfer_first()
                } else {
                    plan
                });
                let error = append(&mut journal, 2, 300_000).unwrap_err();
                assert_eq!(
                    error.hresult(),
                    crate::base::error::HResult::OUT_OF_DISK_SPACE
                );
                assert!(disk.faults_struck() == 1 && !journal.is_broken());
                let mut scan = scan(&directory);
                assert_eq!(marks(&mut scan), [1]);
                assert!(
                    !scan.has_torn_tail().unwrap(),
                    "nothing of the commit is there"
                );
                append(&mut journal, 3, 1000).unwrap();
                append(&mut journal, 4, 300_000).unwrap();
                sync(&journal).unwrap();
                assert_eq!(
                    examine(&disk.crash(CrashPolicy::DropAll)).unwrap(),
                    [1, 3, 4]
                );
            }
        }

        #[test]
        fn a_failed_write_is_taken_back() {
            let disk = SimStorage::new();
            let directory = directory(disk.clone());
            let mut journal = Journal::create(&directory, &HEADER, &Protection::private()).unwrap();
            append(&mut journal, 1, 1000).unwrap();
            disk.set_plan(FaultPlan::once(disk.operations(), Fault::Io).transfer_first());
            assert!(append(&mut journal, 2, 5000).is_err() && journal.is_broken());
            assert!(
                append(&mut journal, 2, 5000).is_err(),
                "none is taken before that one is taken back"
            );
            journal.mend().unwrap();
            for policy in policies(disk.unsynced()) {
                assert_eq!(examine(&disk.crash(policy)).unwrap(), [1], "{policy:?}");
            }
            append(&mut journal, 3, 200).unwrap();
            sync(&journal).unwrap();
            assert_eq!(examine(&disk.crash(CrashPolicy::DropAll)).unwrap(), [1, 3]);
        }

        #[test]
        fn taking_back_may_be_tried_again_until_a_sync_was_refused() {
            for (later, can_mend) in [(1, true), (2, false)] {
                let disk = SimStorage::new();
                let directory = directory(disk.clone());
                let mut journal =
                    Journal::create(&directory, &HEADER, &Protection::private()).unwrap();
                let at = disk.operations();
                let full = Fault::Refused(io::ErrorKind::StorageFull);
                disk.set_plan(FaultPlan::once(at, Fault::Io).and_once(at + later, full));
                assert!(append(&mut journal, 1, 10).is_err() && journal.is_broken());
                assert!(
                    journal.mend().is_err()
                        && journal.is_broken()
                        && journal.can_mend() == can_mend
                );
                journal.mend().unwrap();
                assert_eq!(append(&mut journal, 1, 10).is_ok(), can_mend);
                assert_eq!(journal.next_commit(), Some(if can_mend { 8 } else { 7 }));
            }
        }

        #[test]
        fn a_journal_that_cannot_be_made_leaves_nothing() {
            for at in 0.. {
                let disk = SimStorage::with_plan(FaultPlan::once(at, Fault::Io));
                let made =
                    Journal::create(&directory(disk.clone()), &HEADER, &Protection::private());
                if disk.faults_struck() == 0 {
                    assert!(made.is_ok() && at > 5);
                    return;
                }
                assert!(made.is_err() && disk.files().is_empty(), "operation {at}");
            }
        }

        #[test]
        fn short_transfers_are_none_to_the_journal() {
            let disk = SimStorage::with_plan(FaultPlan::from(0, Fault::Short));
            assert_eq!(work(&directory(disk.clone())), Some(COMMITS.len()));
            assert_eq!(
                marks(&mut scan(&directory(disk))),
                COMMITS.map(|(mark, _)| mark)
            );
        }
    }
}
