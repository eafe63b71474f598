//! Search for the base of an incremental backup: among the given files, by its former name, or
//! anywhere next to the backup.
//!
//! There may be several copies of it, some of them damaged. The first intact one is taken. A single
//! copy is taken unchecked, and its chunks are checked when they are read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::error::{BackupFault, Error, Result};
use crate::base::escape::escape_path;
use crate::format::own::backup_file::Digest;
use crate::storage::{EntryKind, Storage, parent_of};

use super::link::{ChunkCache, Link};
use super::read::OpenBackup;
use super::uuid_text;

/// The places that are searched for bases.
#[derive(Debug)]
pub(crate) struct Search<'s> {
    pub given: &'s [PathBuf],
    pub storage: &'s Arc<dyn Storage>,
    pub cache: &'s Arc<ChunkCache>,
}

impl Search<'_> {
    /// The base of a link, found by identity and seal.
    pub(crate) fn base_of(&self, link: &Link, identity: &[u8; 16], seal: &Digest) -> Result<Link> {
        let named = self.named(link);
        // An unreadable file is not a candidate, because another may be the base.
        let identity_of =
            |path: &PathBuf| OpenBackup::identity_in(self.storage, path).ok().flatten();
        let is_base = |path: &PathBuf| identity_of(path).as_ref() == Some(identity);
        let known = self.given.iter().cloned().chain(named.clone());
        let others = std::iter::once_with(|| self.beside(link)).flatten();
        // A given file may also be next to the backup; it is examined once.
        let others =
            others.filter(|path| Some(path) != named.as_ref() && !self.given.contains(path));
        let mut candidates = known.chain(others).filter(is_base).peekable();
        let mut refusal = None;
        while let Some(path) = candidates.next() {
            let opened = Link::open(self.storage, &path, self.cache).and_then(|found| {
                if found.seal != *seal {
                    let found =
                        format!("{} is another backup of that identity", escape_path(&path));
                    return Err(link.fault(BackupFault::BaseWrong {
                        base: uuid_text(identity),
                        found,
                    }));
                }
                if refusal.is_some() || candidates.peek().is_some() {
                    found.check_rest()?;
                }
                Ok(found)
            });
            match opened {
                Ok(found) => return Ok(found),
                Err(error) => _ = refusal.get_or_insert(error),
            }
        }
        Err(refusal.unwrap_or_else(|| self.no_base(link, identity, named)))
    }

    /// The path of the base under its former name.
    fn named(&self, link: &Link) -> Option<PathBuf> {
        let name = &link.manifest.base_name;
        (!name.is_empty()).then(|| parent_of(&link.path).join(name))
    }

    /// The files next to a link, sorted by name.
    fn beside(&self, link: &Link) -> Vec<PathBuf> {
        let directory = parent_of(&link.path);
        let entries = self.storage.read_dir(directory).unwrap_or_default();
        let files = entries
            .into_iter()
            .filter(|entry| entry.kind == EntryKind::File);
        let mut files: Vec<PathBuf> = files.map(|entry| directory.join(entry.name)).collect();
        files.sort();
        files
    }

    fn no_base(&self, link: &Link, identity: &[u8; 16], named: Option<PathBuf>) -> Error {
        let base = uuid_text(identity);
        let is_there = |path: &PathBuf| self.storage.kind(path).ok().flatten().is_some();
        match self.given.first().cloned().or(named.filter(is_there)) {
            Some(path) => {
                let found = self.what(&path);
                link.fault(BackupFault::BaseWrong { base, found })
            }
            None => {
                let name = match &*link.manifest.base_name {
                    "" => String::new(),
                    name => format!("it was called {name} when this backup was made; "),
                };
                let hint = format!("{name}put it next to this one, or name it with --base FILE");
                link.fault(BackupFault::BaseMissing { base, hint })
            }
        }
    }

    fn what(&self, path: &Path) -> String {
        match OpenBackup::identity_in(self.storage, path) {
            Ok(Some(other)) => format!("{} is {}", escape_path(path), uuid_text(&other)),
            Ok(None) => format!("{} is no backup", escape_path(path)),
            Err(error) => format!("{} cannot be read: {error}", escape_path(path)),
        }
    }
}
