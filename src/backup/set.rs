//! Backup sets: directories that keep several backups of a repository. They are named by time and
//! identity, form chains of increments that begin with a full backup, and are limited in number.
//!
//! A file is a backup of the set if its name has the right form
//! ([`crate::format::own::backup_name`]). All other files are left alone. A backup is written as
//! [`UNFINISHED`] and gets its name when it is complete and durable. A backup is removed when none
//! of those to keep needs it, durably and before its own base (W-17).

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::base::error::{BackupFault, Error, Result};
use crate::base::io_op::IoOp;
use crate::base::limits::MAX_BACKUP_CHAIN;
use crate::base::misuse::Misuse;
use crate::base::progress::{Monitor, Observer, Phase};
use crate::format::own::backup_file::Header;
use crate::format::own::backup_name::{BackupName, END_OF_TIME};
use crate::pager::lock::{LockWait, lock_file};
use crate::pager::targets::ensure_plain_name;
use crate::storage::{Directory, EntryKind, LockGuard, Protection};
use crate::store::{Repository, Snapshot};

use super::{
    BackupInfo, BackupOptions, BackupSummary, OpenBackup, backup_in, backup_snapshot,
    signature_path, uuid_text,
};

/// The name of an unfinished backup of the set. An abandoned one is replaced by the next.
const UNFINISHED: &str = "unfinished.cimbak";

/// Stem of the name of the lock. One process at a time makes and removes backups of a set.
const LOCK: &str = "backups";

type Identity = [u8; 16];

/// A directory of backups.
#[derive(Debug, Clone)]
pub struct BackupSet {
    directory: Directory,
}

/// Options for a backup of a set and for the retention of older ones.
#[derive(Debug, Clone, Default)]
pub struct SetOptions {
    /// Options for writing. The base is chosen by the set, so it must be `None`.
    pub backup: BackupOptions,
    /// Number of most recent backups to keep, along with their bases; all by default.
    pub keep: Option<NonZeroUsize>,
    /// Number of increments after a full backup before the next full one. With 0, every backup is
    /// full.
    pub full_after: usize,
    /// Make this a full backup, whatever the state of the chain.
    pub full: bool,
}

/// Result of a backup into a set.
#[derive(Debug)]
pub struct SetSummary {
    /// The backup.
    pub backup: BackupSummary,
    /// Its file.
    pub path: PathBuf,
    /// Its base.
    pub base: Option<PathBuf>,
    /// Why the chain of the newest backup was not continued: that backup, or one of its bases, is
    /// damaged, missing, or not the one that its name states. The new backup is a full one in this
    /// case. Broken backups stay and are not counted.
    pub broken: Option<Error>,
    /// The backups that were removed, in this order.
    pub removed: Vec<PathBuf>,
    /// Why not all unneeded backups were removed. The new backup is in place nevertheless.
    pub not_removed: Option<Error>,
}

/// A backup of a set.
#[derive(Debug)]
pub struct SetEntry {
    /// Its file.
    pub path: PathBuf,
    /// Its description, or why it cannot be restored: it or its base is missing, truncated, or not
    /// the one that its name states. Chunks are not read; [`Backup::verify`](super::Backup::verify)
    /// does that.
    pub info: Result<BackupInfo>,
    /// Its identity and that of its base, even if it cannot be restored.
    link: Option<(Identity, Option<Identity>)>,
}

impl SetEntry {
    /// Fails if the system refused to read it.
    fn need_read(self) -> Result<Self> {
        match self.info {
            Err(error @ Error::Io { .. }) => Err(error),
            info => Ok(Self { info, ..self }),
        }
    }
}

impl BackupSet {
    /// Opens the set in a directory.
    ///
    /// # Errors
    /// Returns [`Error::Io`] if there is no such directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_in(&Directory::real(path.as_ref()))
    }

    /// Opens the set in a directory of any storage; otherwise like [`open`](Self::open).
    ///
    /// # Errors
    /// The errors of [`open`](Self::open).
    pub fn open_in(directory: &Directory) -> Result<Self> {
        let set = Self {
            directory: directory.clone(),
        };
        set.names()?;
        Ok(set)
    }

    /// Opens the set in a directory, creating the directory for its owner alone if it is missing.
    /// Its parent must exist.
    ///
    /// # Errors
    /// Returns [`Error::Io`] if the system refuses.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Self::create_for(path, &Protection::private())
    }

    /// Opens or creates a set like [`create`](Self::create). A new directory is accessible to all
    /// who may read `source`, the content to be backed up.
    ///
    /// # Errors
    /// Returns [`Error::Io`] if the system refuses.
    pub fn create_for(path: impl AsRef<Path>, source: &Protection) -> Result<Self> {
        let directory = Directory::real(path.as_ref());
        ensure_plain_name(directory.storage.as_ref(), &directory.path)?;
        let kind = directory.storage.kind(&directory.path);
        if kind
            .map_err(|error| Error::io(IoOp::Metadata, &directory.path, error))?
            .is_none()
        {
            let made = directory
                .storage
                .create_dir_with(&directory.path, &source.for_directory());
            made.map_err(|error| Error::io(IoOp::Create, &directory.path, error))?;
        }
        Self::open_in(&directory)
    }

    /// Its backups, oldest first.
    ///
    /// # Errors
    /// Returns [`Error::Io`] if the directory cannot be read. The fault of a backup is in its
    /// entry.
    pub fn entries(&self) -> Result<Vec<SetEntry>> {
        Ok(self
            .names()?
            .into_values()
            .map(|path| self.entry(path))
            .collect())
    }

    /// Backs a repository up into the set, and then removes the backups that need not be kept. A
    /// broken chain is not continued: a full backup begins a new one, and [`SetSummary::broken`]
    /// gives the reason.
    ///
    /// # Errors
    /// Returns the errors of [`backup_in`], [`Error::InvalidArgument`] if the options name a base,
    /// and [`Error::Locked`] while another process makes or removes backups of the set; the set is
    /// unchanged then. After [`Error::Unconfirmed`] the new backup is in place, and nothing was
    /// removed.
    pub fn back_up(
        &self,
        repository: &Repository,
        options: &SetOptions,
        observer: &dyn Observer,
    ) -> Result<SetSummary> {
        let storage = &self.directory.storage;
        self.add(options, observer, |target, options| {
            backup_in(repository, storage, target, options, observer)
        })
    }

    /// Backs a snapshot of a repository in use up into the set; otherwise like
    /// [`back_up`](Self::back_up).
    ///
    /// # Errors
    /// The errors of [`back_up`](Self::back_up) and [`backup_snapshot`].
    pub fn back_up_snapshot(
        &self,
        snapshot: &Snapshot,
        options: &SetOptions,
        observer: &dyn Observer,
    ) -> Result<SetSummary> {
        let storage = &self.directory.storage;
        self.add(options, observer, |target, options| {
            backup_snapshot(snapshot, storage, target, options, observer)
        })
    }

    /// Removes all backups except the newest and their bases. Backups that cannot be restored are
    /// neither counted nor removed, nor are the bases that they name. Every chunk is read before
    /// anything is removed.
    ///
    /// # Errors
    /// Returns [`Error::Locked`], or [`Error::Io`], even if only one backup cannot be read. Backups
    /// removed before that were needed by none that remains.
    pub fn prune(&self, keep: NonZeroUsize) -> Result<Vec<PathBuf>> {
        let _lock = self.lock(LockWait::new(None, &|| Ok(())))?;
        let mut removed = Vec::new();
        self.remove(keep, None, &mut removed)?;
        Ok(removed)
    }

    fn add(
        &self,
        options: &SetOptions,
        observer: &dyn Observer,
        write: impl Fn(&Path, &BackupOptions) -> Result<BackupSummary>,
    ) -> Result<SetSummary> {
        if options.backup.base.is_some() {
            return Err(Error::invalid(
                Misuse::Options,
                "in a directory of backups the base is chosen by itself; give none",
            ));
        }
        let monitor = Monitor::new(observer, Phase::Backup, 0);
        let may_go_on = || monitor.check();
        let _lock = self.lock(LockWait::new(options.backup.wait, &may_go_on))?;
        let newest = self.names()?.pop_last();
        let (mut base, mut broken) = match &newest {
            Some((_, path)) if !options.full && options.full_after > 0 => {
                self.base(path.clone(), options.full_after)?
            }
            _ => (None, None),
        };
        let unfinished = self.directory.join(UNFINISHED);
        let write = |base: &Option<PathBuf>| {
            write(
                &unfinished,
                &BackupOptions {
                    base: base.clone(),
                    ..options.backup.clone()
                },
            )
        };
        let written = match write(&base) {
            // Its chunks are read if pages are left out because they contain them.
            Err(error @ Error::Backup { .. }) if base.is_some() => {
                (base, broken) = (None, Some(error));
                write(&base)
            }
            written => written,
        };
        let backup = written.map_err(|error| self.give_up(&unfinished, error))?;
        let path = self.publish(&unfinished, &backup.identity, newest.map(|(name, _)| name))?;
        let mut removed = Vec::new();
        let not_removed = options
            .keep
            .and_then(|keep| self.remove(keep, Some(backup.identity), &mut removed).err());
        Ok(SetSummary {
            backup,
            path,
            base,
            broken,
            removed,
            not_removed,
        })
    }

    /// The newest backup as the base, unless its chain has its full length or is broken; in the
    /// latter case also the reason.
    fn base(&self, newest: PathBuf, full_after: usize) -> Result<(Option<PathBuf>, Option<Error>)> {
        let longest = full_after.min(MAX_BACKUP_CHAIN - 1);
        let SetEntry { path, info, .. } = self.entry(newest);
        match info {
            Ok(info) => Ok(((info.chain <= longest).then_some(path), None)),
            Err(error @ Error::Backup { .. }) => Ok((None, Some(error))),
            // A backup that cannot be read now may be readable later.
            Err(error) => Err(error),
        }
    }

    /// Gives its name to a backup that is complete and durable.
    fn publish(
        &self,
        unfinished: &Path,
        identity: &Identity,
        newest: Option<String>,
    ) -> Result<PathBuf> {
        let storage = &self.directory.storage;
        let header = OpenBackup::header_in(storage, unfinished)
            .map_err(|error| self.give_up(unfinished, error))?;
        let created = header.map_or(0, |header| header.created / 1_000_000);
        // Names determine the order. So a clock that was set back must not make this backup older
        // than those before it.
        let last = newest
            .and_then(|name| BackupName::parse(&name))
            .map_or(0, |name| name.time + 1);
        let (what, max, got) = (
            "the time of a backup, in milliseconds since 1970",
            END_OF_TIME - 1,
            created.max(last),
        );
        let name = BackupName::new(got, identity)
            .ok_or_else(|| self.give_up(unfinished, Error::Limit { what, max, got }))?;
        let path = self.directory.join(&name.to_string());
        let renamed = storage.rename(unfinished, &path);
        renamed
            .map_err(|error| self.give_up(unfinished, Error::io(IoOp::RenameTo, &path, error)))?;
        let directory = self.directory.path.as_path();
        storage
            .sync_dir(directory)
            .map_err(|error| Error::unconfirmed(IoOp::SyncDirectory, directory, error))?;
        Ok(path)
    }

    /// Removes an unfinished backup, which the next one would also replace.
    fn give_up(&self, unfinished: &Path, error: Error) -> Error {
        self.directory.storage.remove_file(unfinished).ok();
        match error {
            // The unfinished file is not in doubt for anyone, so this is an ordinary error.
            Error::Unconfirmed { op, path, source } => Error::Io { op, path, source },
            error => error,
        }
    }

    /// Removes the backups that none of those to keep needs. A backup goes before its base, each
    /// durably (W-17). The chain of the backup with the identity `checked` has just been read.
    fn remove(
        &self,
        keep: NonZeroUsize,
        checked: Option<Identity>,
        removed: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let entries = self.entries()?;
        // An entry that cannot be read now may be readable later, and may be based on any other.
        let mut entries: Vec<SetEntry> = entries
            .into_iter()
            .map(SetEntry::need_read)
            .collect::<Result<_>>()?;
        let is_needed = |entry: &SetEntry, needed: &BTreeSet<Identity>| {
            entry.info.is_err()
                || entry
                    .link
                    .is_some_and(|(identity, _)| needed.contains(&identity))
        };
        let likely = needed(&entries, keep);
        if entries.iter().all(|entry| is_needed(entry, &likely)) {
            return Ok(());
        }
        // A damaged backup must not be counted in place of an intact one, nor be removed.
        self.look_into(&mut entries, checked)?;
        let needed = needed(&entries, keep);
        let mut doomed: Vec<(usize, &SetEntry)> = entries
            .iter()
            .filter(|entry| {
                entry
                    .link
                    .is_some_and(|(identity, _)| !needed.contains(&identity))
            })
            .filter_map(|entry| Some((entry.info.as_ref().ok()?.chain, entry)))
            .collect();
        // A backup has a longer chain than its base, so it is removed first.
        doomed.sort_by_key(|&(chain, _)| std::cmp::Reverse(chain));
        let storage = &self.directory.storage;
        for (_, SetEntry { path, .. }) in doomed {
            storage
                .remove_file(path)
                .map_err(|error| Error::io(IoOp::Remove, path, error))?;
            removed.push(path.clone());
            self.remove_signature(path)?;
            let directory = self.directory.path.as_path();
            storage
                .sync_dir(directory)
                .map_err(|error| Error::io(IoOp::SyncDirectory, directory, error))?;
        }
        Ok(())
    }

    /// Removes the signature of a removed backup.
    fn remove_signature(&self, backup: &Path) -> Result<()> {
        let path = signature_path(backup);
        match self.directory.storage.remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(IoOp::Remove, &path, error))
            }
            _ => Ok(()),
        }
    }

    /// Reads every chunk of the backups except those in the chain of `checked`. Damaged backups and
    /// those based on them count as damaged from then on.
    fn look_into(&self, entries: &mut [SetEntry], checked: Option<Identity>) -> Result<()> {
        let bases = bases(entries);
        let read: Vec<Identity> = chain_of(checked, &bases).collect();
        let mut damaged = BTreeSet::new();
        for entry in entries.iter_mut() {
            let Some((identity, _)) = entry.link.filter(|(identity, _)| !read.contains(identity))
            else {
                continue;
            };
            if entry.info.is_err() {
                continue;
            }
            let opened = OpenBackup::new().open_in(&self.directory.storage, &entry.path);
            match opened.and_then(|backup| backup.chain().top.check_rest()) {
                Ok(()) => {}
                Err(error @ Error::Backup { .. }) => {
                    damaged.insert(identity);
                    entry.info = Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        for entry in entries.iter_mut().filter(|entry| entry.info.is_ok()) {
            let on = entry
                .link
                .and_then(|(_, base)| chain_of(base, &bases).find(|link| damaged.contains(link)));
            if let Some(base) = on {
                let fault = BackupFault::BaseWrong {
                    base: uuid_text(&base),
                    found: "a damaged file".to_owned(),
                };
                entry.info = Err(Error::backup(&entry.path, fault));
            }
        }
        Ok(())
    }

    fn lock(&self, wait: LockWait<'_>) -> Result<Option<Box<dyn LockGuard>>> {
        wait.take(|| {
            lock_file(
                &self.directory.storage,
                &self.directory.join(LOCK),
                "backups of a directory",
            )
        })
    }

    /// The files whose name is that of a backup, sorted by name.
    fn names(&self) -> Result<BTreeMap<String, PathBuf>> {
        let directory = &self.directory;
        let entries = directory.storage.read_dir(&directory.path);
        let entries = entries.map_err(|error| Error::io(IoOp::List, &directory.path, error))?;
        let files = entries
            .into_iter()
            .filter(|entry| entry.kind == EntryKind::File);
        let names = files
            .map(|entry| entry.name)
            .filter(|name| BackupName::parse(name).is_some());
        Ok(names
            .map(|name| (name.clone(), directory.join(&name)))
            .collect())
    }

    fn entry(&self, path: PathBuf) -> SetEntry {
        let storage = &self.directory.storage;
        let link = |header: &Header| (header.identity, header.base.map(|(identity, _)| identity));
        let opened = OpenBackup::new()
            .open_in(storage, &path)
            .and_then(|backup| {
                need_name(&path, backup.header())?;
                Ok(backup)
            });
        match opened {
            Ok(backup) => SetEntry {
                link: Some(link(backup.header())),
                info: Ok(backup.info()),
                path,
            },
            // If the system refused to read it, it may still be a backup, and the refusal is its
            // fault.
            Err(error) => match OpenBackup::header_in(storage, &path) {
                Ok(header) => SetEntry {
                    link: header.as_ref().map(link),
                    info: Err(error),
                    path,
                },
                Err(refused) => SetEntry {
                    link: None,
                    info: Err(refused),
                    path,
                },
            },
        }
    }
}

/// Fails if a backup has the name of another.
fn need_name(path: &Path, header: &Header) -> Result<()> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(BackupName::parse);
    if name.is_some_and(|name| name.is_of(&header.identity)) {
        return Ok(());
    }
    let text = format!(
        "by its name it is another backup; it is {}",
        uuid_text(&header.identity)
    );
    Err(Error::backup(path, BackupFault::Structure(text)))
}

/// The base that each backup names.
fn bases(entries: &[SetEntry]) -> BTreeMap<Identity, Identity> {
    entries
        .iter()
        .filter_map(|entry| {
            entry
                .link
                .and_then(|(identity, base)| Some((identity, base?)))
        })
        .collect()
}

/// A backup and all its bases. A chain that claims to be endless is followed up to the limit.
fn chain_of(
    top: Option<Identity>,
    bases: &BTreeMap<Identity, Identity>,
) -> impl Iterator<Item = Identity> {
    std::iter::successors(top, |identity| bases.get(identity).copied()).take(MAX_BACKUP_CHAIN)
}

/// The identities of the backups to keep: the newest that can be restored, those that cannot, and
/// all their bases.
fn needed(entries: &[SetEntry], keep: NonZeroUsize) -> BTreeSet<Identity> {
    let bases = bases(entries);
    let whole = entries
        .iter()
        .rev()
        .filter(|entry| entry.info.is_ok())
        .take(keep.get());
    let broken = entries.iter().filter(|entry| entry.info.is_err());
    let mut needed = BTreeSet::new();
    for (identity, base) in whole.chain(broken).filter_map(|entry| entry.link) {
        needed.insert(identity);
        // A backup that is included already has its bases included, so the walk ends whatever they
        // claim.
        let mut next = base;
        while let Some(identity) = next.filter(|&identity| needed.insert(identity)) {
            next = bases.get(&identity).copied();
        }
    }
    needed
}
