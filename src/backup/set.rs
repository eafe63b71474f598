//! A directory that keeps several backups of a repository, one older than the other: named by time
//! and identity, as chains of increments that begin anew with a full backup, and with an end to how
//! many there are.
//!
//! What counts as a backup of the set is a file whose name is one
//! ([`crate::format::own::backup_name`]). Whatever else lies there is left alone. A backup is
//! written as [`UNFINISHED`] and gets its name when it is whole and durable; one is removed when
//! nothing that is kept needs it, and durably before what it is based on (W-17).

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

/// The name of a backup of the set that is not finished; one that is left over is replaced by the
/// next.
const UNFINISHED: &str = "unfinished.cimbak";

/// What the lock is called after: one process at a time makes and removes backups of a set.
const LOCK: &str = "backups";

type Identity = [u8; 16];

/// A directory of backups.
#[derive(Debug, Clone)]
pub struct BackupSet {
    directory: Directory,
}

/// How a backup of a set is made, and what becomes of the older ones.
#[derive(Debug, Clone, Default)]
pub struct SetOptions {
    /// How it is written. The base is chosen here: none may be given.
    pub backup: BackupOptions,
    /// How many of the newest are kept; with them stays what they are based on. All unless given.
    pub keep: Option<NonZeroUsize>,
    /// After so many increments on a full backup the next is a full one. With 0 all are.
    pub full_after: usize,
    /// Make this one a full backup, whatever the chain is like.
    pub full: bool,
}

/// What was done.
#[derive(Debug)]
pub struct SetSummary {
    /// The backup.
    pub backup: BackupSummary,
    /// Its file.
    pub path: PathBuf,
    /// What it is based on.
    pub base: Option<PathBuf>,
    /// Why the chain of the newest backup was not continued: that one, or what it is based on, is
    /// damaged, missing, or another than its name says. The new backup is a full one then. What is
    /// broken stays, and is not counted.
    pub broken: Option<Error>,
    /// The backups that were removed, in this order.
    pub removed: Vec<PathBuf>,
    /// Why not all were removed that no one needs. The new backup is in its place all the same.
    pub not_removed: Option<Error>,
}

/// A backup of a set.
#[derive(Debug)]
pub struct SetEntry {
    /// Its file.
    pub path: PathBuf,
    /// What it is, or why it cannot be restored: it or its base is missing, cut, or another than
    /// its name says. The chunks are not looked at: that is
    /// [`Backup::verify`](super::Backup::verify).
    pub info: Result<BackupInfo>,
    /// Its identity and that of its base, also of one that cannot be restored.
    link: Option<(Identity, Option<Identity>)>,
}

impl SetEntry {
    /// Fails when the system refused to read it.
    fn need_read(self) -> Result<Self> {
        match self.info {
            Err(error @ Error::Io { .. }) => Err(error),
            info => Ok(Self { info, ..self }),
        }
    }
}

impl BackupSet {
    /// The set in a directory.
    ///
    /// # Errors
    /// [`Error::Io`] when there is none.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_in(&Directory::real(path.as_ref()))
    }

    /// As [`open`](Self::open), for a directory of any storage.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(directory: &Directory) -> Result<Self> {
        let set = Self {
            directory: directory.clone(),
        };
        set.names()?;
        Ok(set)
    }

    /// The set in a directory, which is made if it is not there, for its owner alone; its parent
    /// has to be there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Self::create_for(path, &Protection::private())
    }

    /// As [`create`](Self::create); a directory that is made is for all who may read `source`, what
    /// is to be backed up.
    ///
    /// # Errors
    /// [`Error::Io`].
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

    /// Its backups, the oldest first.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory cannot be read. What is wrong with a backup stands in its
    /// entry.
    pub fn entries(&self) -> Result<Vec<SetEntry>> {
        Ok(self
            .names()?
            .into_values()
            .map(|path| self.entry(path))
            .collect())
    }

    /// Backs a repository up into the set, and then removes what is not to be kept. A chain that is
    /// broken is not continued: a full backup begins a new one, and [`SetSummary::broken`] says
    /// why.
    ///
    /// # Errors
    /// As [`backup_in`]; [`Error::InvalidArgument`] for a base in the options; [`Error::Locked`]
    /// while another process makes or removes backups of the set. The set is as it was then.
    /// [`Error::Unconfirmed`]: the new backup is in its place, and nothing was removed.
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

    /// As [`back_up`](Self::back_up), what a snapshot shows of a repository that is in use.
    ///
    /// # Errors
    /// As [`back_up`](Self::back_up) and [`backup_snapshot`].
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

    /// Removes all but the newest backups and what those are based on. What cannot be restored is
    /// neither counted nor removed, nor is what it says that it is based on; every chunk is read
    /// before anything is removed.
    ///
    /// # Errors
    /// [`Error::Locked`]; [`Error::Io`], also when a backup cannot be read: what was removed before
    /// that was needed by nothing that is left.
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
            // Its chunks are read where pages are left out because they hold them.
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

    /// The newest backup as base, unless its chain is as long as it may be, or broken: then why it
    /// is.
    fn base(&self, newest: PathBuf, full_after: usize) -> Result<(Option<PathBuf>, Option<Error>)> {
        let longest = full_after.min(MAX_BACKUP_CHAIN - 1);
        let SetEntry { path, info, .. } = self.entry(newest);
        match info {
            Ok(info) => Ok(((info.chain <= longest).then_some(path), None)),
            Err(error @ Error::Backup { .. }) => Ok((None, Some(error))),
            // What cannot be read now may be readable later.
            Err(error) => Err(error),
        }
    }

    /// Gives a backup that is whole and durable its name.
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
        // The names tell the order, so a clock that was put back does not make a backup older than
        // those before it.
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

    /// Takes away what has no name of the set yet; the next backup would replace it as well.
    fn give_up(&self, unfinished: &Path, error: Error) -> Error {
        self.directory.storage.remove_file(unfinished).ok();
        match error {
            // It is in place as what is not finished, and so in doubt for no one.
            Error::Unconfirmed { op, path, source } => Error::Io { op, path, source },
            error => error,
        }
    }

    /// Removes what nothing that is kept needs: first what nothing is based on, and each durably
    /// before the next (W-17). The chain of the backup with the identity `checked` was just read.
    fn remove(
        &self,
        keep: NonZeroUsize,
        checked: Option<Identity>,
        removed: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let entries = self.entries()?;
        // What cannot be read now may be readable later, and based on anything.
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
        // No whole backup goes because a damaged one is counted, and no damaged one goes either.
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
        // What is based on another has a longer chain than that.
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

    /// Removes the signature of a backup that is no more.
    fn remove_signature(&self, backup: &Path) -> Result<()> {
        let path = signature_path(backup);
        match self.directory.storage.remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(IoOp::Remove, &path, error))
            }
            _ => Ok(()),
        }
    }

    /// Reads every chunk of the backups but those in the chain of `checked`. What is damaged, and
    /// what is based on that, counts as such from then on.
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

    /// The files that have a name of a backup, in the order of their names.
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
            // What the system refused to read may be a backup all the same: then that is what is
            // wrong.
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

/// A backup under the name of another is not what the set takes it for.
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

/// What each backup says that it is based on.
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

/// A backup and all that it is based on. A chain that says of itself that it never ends is followed
/// as far as one may go.
fn chain_of(
    top: Option<Identity>,
    bases: &BTreeMap<Identity, Identity>,
) -> impl Iterator<Item = Identity> {
    std::iter::successors(top, |identity| bases.get(identity).copied()).take(MAX_BACKUP_CHAIN)
}

/// The identities of what is kept: the newest that can be restored, what cannot, and all that those
/// are based on.
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
        // One that is there already has its bases there; so the walk ends whatever they say.
        let mut next = base;
        while let Some(identity) = next.filter(|&identity| needed.insert(identity)) {
            next = bases.get(&identity).copied();
        }
    }
    needed
}
