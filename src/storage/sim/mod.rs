//! A disk that fails on command and forgets what was not synced.
//!
//! [`SimStorage`] is a [`Storage`] in memory that keeps two states of every file and directory, the
//! visible one and the durable one. Between them lie the operations that have not been synced. A
//! [`FaultPlan`] makes an operation fail. [`SimStorage::crash`] returns the disk as it is when
//! power comes back and any combination ([`CrashPolicy`]) of the unsynced operations has reached
//! it. There is no clock and no hidden randomness: the same calls yield the same disk, as long as
//! one thread makes them.
//!
//! # The model
//!
//! * A file has an identity apart from its names. Writes are cut into sectors of 512 bytes. Each
//!   sector is a separate operation, as is a change of the length by `set_len`, by a write past the
//!   end, or by opening with [`OpenMode::Create`]. [`StorageFile::sync`] makes all operations on a
//!   file durable, but no directory entry.
//! * When an extension is lost, everything written past the durable end is lost with it. When it is
//!   kept and a sector in it is lost, zeros are found there. A real disk may also show remains of a
//!   deleted file in that place; [`CrashPolicy::Seeded`] has a garbage byte there for half of the
//!   seeds.
//! * Surviving writes of the same sector apply in the order in which they were made; all other
//!   operations may be reordered.
//! * Creations, renames and removals are operations on a directory. [`Storage::sync_dir`] makes
//!   them durable. A rename between directories is one operation: a crash keeps it in both or in
//!   neither, and syncing either of them makes it durable. A kept rename gives the file its name
//!   even if the creation before it was lost.
//! * A failed call changes nothing, except a write under [`FaultPlan::transfer_first`] or
//!   [`FaultPlan::transfer_all`]. A failed `sync` or `sync_dir` leaves everything unsynced, and the
//!   next one can make it durable. Under [`FaultPlan::sync_loses`] it drops the operations, and the
//!   next one succeeds without them.
//!
//! # What this disk cannot show
//!
//! * A device that lies: synced data stays. The disk does not rot, lose sectors, or return wrong
//!   bytes.
//! * A call other than a write that fails but has done its work.
//! * Damage to durable data. A torn sector is a mixture of old and new, never unreadable, and a
//!   write to one sector does not affect its neighbours. Directory entries are never half written,
//!   and the tree itself is never inconsistent.
//! * Guarantees of file systems beyond the model, such as order among entries or barriers between
//!   files. Code that needs such a guarantee fails here and may work there.
//! * Other processes, permissions, links, limits on names, files above 1 GiB, time.

mod crash;
mod disk;
mod faults;
mod image;
mod pending;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

pub use crash::CrashPolicy;
pub use faults::{Fault, FaultPlan};

use super::{DirEntry, EntryKind, LockGuard, OpenMode, Storage, StorageFile};
use disk::Disk;
use faults::{Class, Faults, Transfer};
use image::bounded;
use pending::NodeId;

/// A simulated disk. Clones share it. The root and the working directory are the same place; `..`
/// is not supported.
#[derive(Clone, Default)]
pub struct SimStorage(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    disk: Disk,
    faults: Faults,
    log: Vec<Operation>,
}

/// An entry of the log. It is kept in parts, because hardly any log is ever read.
struct Operation {
    what: &'static str,
    path: Arc<str>,
    span: Option<(u64, usize)>,
    faulty: bool,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.path)?;
        if let Some((offset, count)) = self.span {
            write!(f, " {offset}+{count}")?;
        }
        f.write_str(if self.faulty { " (fault)" } else { "" })
    }
}

impl State {
    /// Counts an operation. Fails if the plan says so.
    fn begin(
        &mut self,
        class: Class,
        what: &'static str,
        path: &Arc<str>,
        span: Option<(u64, usize)>,
    ) -> io::Result<Transfer> {
        let transfer = self.faults.next(class);
        let faulty = !matches!(transfer, Ok(Transfer::Whole));
        self.log.push(Operation {
            what,
            path: path.clone(),
            span,
            faulty,
        });
        transfer
    }

    /// Drops what a failed sync was to make durable, if the plan says so.
    fn lose(&mut self, lose: impl FnOnce(&mut Disk)) {
        if self.faults.plan.sync_loses && !self.faults.off {
            lose(&mut self.disk);
        }
    }
}

impl SimStorage {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk with planned faults.
    pub fn with_plan(plan: FaultPlan) -> Self {
        let storage = Self::new();
        storage.set_plan(plan);
        storage
    }

    /// Replaces the plan. The count of operations continues, so that
    /// [`operations`](Self::operations) is the number of the next one. Failed power stays off.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.0.lock().faults.plan = plan;
    }

    /// The number of operations so far, failed ones included. Every call of [`Storage`] and
    /// [`StorageFile`] counts; the release of a lock does not.
    pub fn operations(&self) -> u64 {
        self.0.lock().faults.operations
    }

    /// The number of faults that struck. Failures because the power is off are not counted again.
    pub fn faults_struck(&self) -> u64 {
        self.0.lock().faults.struck
    }

    /// Every operation as a line of text, indexed by its number.
    pub fn operation_log(&self) -> Vec<String> {
        self.0.lock().log.iter().map(ToString::to_string).collect()
    }

    /// The number of unsynced operations. [`CrashPolicy`] numbers them from 0 to just below it.
    pub fn unsynced(&self) -> usize {
        self.0.lock().disk.unsynced()
    }

    /// The unsynced operations as lines of text, indexed by their numbers in [`CrashPolicy`].
    pub fn unsynced_log(&self) -> Vec<String> {
        self.0.lock().disk.unsynced_log()
    }

    /// The numbers of the unsynced operations that make a difference on their own: all except zeros
    /// that are written where zeros are read anyway. For the others, [`CrashPolicy::LoseOne`],
    /// [`TearOne`](CrashPolicy::TearOne) and [`KeepOne`](CrashPolicy::KeepOne) give the same result
    /// as [`KeepAll`](CrashPolicy::KeepAll) or [`DropAll`](CrashPolicy::DropAll).
    pub fn telling(&self) -> Vec<usize> {
        self.0.lock().disk.telling()
    }

    /// The disk when power returns: a new storage where everything is durable, nothing is locked
    /// and no fault is planned. The original stays as it is, so that one state can be crashed in
    /// many ways.
    pub fn crash(&self, policy: CrashPolicy) -> SimStorage {
        let disk = self.0.lock().disk.crash(policy);
        Self(Arc::new(Mutex::new(State {
            disk,
            ..State::default()
        })))
    }

    /// The disk that the next process finds if this one dies now and the machine keeps running.
    /// Unsynced operations are visible but still not durable, nothing is locked, no fault is
    /// planned, and the count of operations starts at 0. The original stays as it is.
    pub fn after_death(&self) -> SimStorage {
        let mut disk = self.0.lock().disk.clone();
        disk.locked.clear();
        Self(Arc::new(Mutex::new(State {
            disk,
            ..State::default()
        })))
    }

    /// Stores a file, replacing whatever is at `path`, and creates the directories it needs. This
    /// is not an operation. It is durable at once, and so is everything that was pending in the
    /// directories on the way.
    ///
    /// # Panics
    ///
    /// Panics if no file can have that path.
    pub fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        self.0
            .lock()
            .disk
            .put(path.as_ref(), bytes)
            .expect("the path consists of plain names");
    }

    /// The visible content of a file. Not an operation.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.0.lock();
        let node = state.disk.resolve(path.as_ref()).ok()?;
        state.disk.image(node).ok().map(image::Image::bytes)
    }

    /// Every visible file by its path from the root, without a leading slash. Not an operation.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.0.lock().disk.files()
    }

    /// Begins an operation on a path and returns the disk to do it on.
    fn at(
        &self,
        class: Class,
        what: &'static str,
        path: &Path,
    ) -> io::Result<MutexGuard<'_, State>> {
        self.named(class, what, log_name(path).into())
    }

    fn named(
        &self,
        class: Class,
        what: &'static str,
        path: Arc<str>,
    ) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.0.lock();
        match state.begin(class, what, &path, None)? {
            Transfer::Fail(error) | Transfer::FailAfter(error) => Err(error),
            Transfer::Whole | Transfer::Short => Ok(state),
        }
    }
}

/// A path as shown in the log, with the same separators on every platform.
fn log_name(path: &Path) -> String {
    path.to_string_lossy().replace(MAIN_SEPARATOR, "/")
}

impl fmt::Debug for SimStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStorage").finish_non_exhaustive()
    }
}

impl Storage for SimStorage {
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.at(Class::Other, "kind", path)?.disk.kind(path)
    }

    fn read_dir(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.at(Class::Other, "read_dir", dir)?.disk.read_dir(dir)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let (class, what) = match mode {
            OpenMode::Read => (Class::Other, "open"),
            OpenMode::Write => (Class::Other, "open for writing"),
            OpenMode::Create => (Class::Grow, "create"),
            OpenMode::CreateNew => (Class::Grow, "create new"),
        };
        let name: Arc<str> = log_name(path).into();
        let node = self
            .named(class, what, name.clone())?
            .disk
            .open(path, mode)?;
        Ok(Box::new(SimFile {
            storage: self.clone(),
            node,
            name,
            writable: mode != OpenMode::Read,
        }))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.at(Class::Grow, "create_dir", dir)?
            .disk
            .create_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let names = format!("{} to {}", log_name(from), log_name(to));
        self.named(Class::Other, "rename", names.into())?
            .disk
            .rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.at(Class::Other, "remove_file", path)?
            .disk
            .remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.at(Class::Other, "remove_dir", dir)?
            .disk
            .remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        match self.at(Class::Other, "sync_dir", dir) {
            Ok(mut state) => state.disk.sync_dir(dir),
            Err(error) => {
                self.0.lock().lose(|disk| disk.lose_dir(dir));
                Err(error)
            }
        }
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn LockGuard>> {
        let mut state = self.at(Class::Grow, "lock", path)?;
        let disk = &mut state.disk;
        let node = match disk.open(path, OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.open(path, OpenMode::Write)?
            }
            result => result?,
        };
        if disk.locked.contains(&node) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        disk.set_len(node, 0)?;
        disk.write(node, 0, note.as_bytes())?;
        disk.locked.push(node);
        Ok(Box::new(SimLock {
            storage: self.clone(),
            node,
            path: path.to_owned(),
        }))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        let disk = &self.0.lock().disk;
        Ok(disk
            .resolve(path)
            .is_ok_and(|node| disk.locked.contains(&node)))
    }
}

#[derive(Debug)]
struct SimLock {
    storage: SimStorage,
    node: NodeId,
    path: PathBuf,
}

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let state = &mut *self.storage.0.lock();
        // Without power nothing is removed. The disk after a crash has no locks in any case.
        if state.faults.off {
            return;
        }
        state.disk.locked.retain(|held| *held != self.node);
        if state
            .disk
            .resolve(&self.path)
            .is_ok_and(|named| named == self.node)
        {
            state.disk.unlink(&self.path).ok();
        }
    }
}

#[derive(Debug)]
struct SimFile {
    storage: SimStorage,
    node: NodeId,
    name: Arc<str>,
    writable: bool,
}

impl SimFile {
    fn begin(
        &self,
        class: Class,
        what: &'static str,
        span: Option<(u64, usize)>,
    ) -> io::Result<(MutexGuard<'_, State>, Transfer)> {
        let mut state = self.storage.0.lock();
        let transfer = state.begin(class, what, &self.name, span)?;
        Ok((state, transfer))
    }

    fn need_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}

impl StorageFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let (state, _) = self.begin(Class::Other, "len", None)?;
        Ok(state.disk.image(self.node)?.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let (state, transfer) = self.begin(Class::Read, "read", Some((offset, buf.len())))?;
        let (target, _) = buf.split_at_mut(transfer.count(buf.len()));
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(state.disk.image(self.node)?.read(offset, target))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let (mut state, transfer) =
            self.begin(Class::Write, "write", Some((offset, bytes.len())))?;
        self.need_writable()?;
        let (written, _) = bytes.split_at(transfer.count(bytes.len()));
        state
            .disk
            .write(self.node, bounded(offset, written.len())?, written)?;
        match transfer {
            Transfer::Fail(error) | Transfer::FailAfter(error) => Err(error),
            Transfer::Whole | Transfer::Short => Ok(written.len()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let (mut state, _) = self.begin(Class::Grow, "set_len", Some((len, 0)))?;
        self.need_writable()?;
        state.disk.set_len(self.node, bounded(len, 0)?)
    }

    fn sync(&self) -> io::Result<()> {
        match self.begin(Class::Other, "sync", None) {
            Ok((mut state, _)) => state.disk.sync(self.node),
            Err(error) => {
                self.storage.0.lock().lose(|disk| disk.lose(self.node));
                Err(error)
            }
        }
    }
}
