//! The tree of files: its visible state, its durable state, and the operations between them.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::crash::{CrashPolicy, Fates};
use super::image::{Image, SECTOR, cut};
use super::pending::{EntryOp, FileOp, Name, NodeId, Slot};
use crate::storage::{DirEntry, EntryKind, OpenMode};

const ROOT: NodeId = 0;

#[derive(Clone)]
enum Node {
    File(File),
    Directory(Directory),
}

#[derive(Clone, Default)]
struct File {
    /// The name under which it was created, for messages.
    name: Name,
    live: Image,
    durable: Image,
    pending: Vec<FileOp>,
    /// A failed sync dropped the pending operations, so the visible state will not become durable.
    has_lost: bool,
}

impl File {
    fn durable(name: Name, image: Image) -> Self {
        Self {
            name,
            live: image.clone(),
            durable: image,
            pending: Vec::new(),
            has_lost: false,
        }
    }
}

#[derive(Clone, Default)]
struct Directory {
    live: BTreeMap<Name, NodeId>,
    durable: BTreeMap<Name, NodeId>,
}

#[derive(Clone)]
pub(super) struct Disk {
    nodes: Vec<Node>,
    pending: Vec<EntryOp>,
    pub(super) locked: Vec<NodeId>,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            nodes: vec![Node::Directory(Directory::default())],
            pending: Vec::new(),
            locked: Vec::new(),
        }
    }
}

/// Reading the visible tree.
impl Disk {
    fn directory(&self, node: NodeId) -> io::Result<&Directory> {
        match self.nodes.get(node) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn directory_mut(&mut self, node: NodeId) -> io::Result<&mut Directory> {
        match self.nodes.get_mut(node) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn file(&self, node: NodeId) -> io::Result<&File> {
        match self.nodes.get(node) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn file_mut(&mut self, node: NodeId) -> io::Result<&mut File> {
        match self.nodes.get_mut(node) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_directory(&self, node: NodeId) -> bool {
        self.directory(node).is_ok()
    }

    fn child(&self, directory: NodeId, name: &str) -> io::Result<NodeId> {
        self.directory(directory)?
            .live
            .get(name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The node at a path.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<NodeId> {
        names(path)?
            .into_iter()
            .try_fold(ROOT, |directory, name| self.child(directory, name))
    }

    /// The directory that contains a path, and the name in it.
    fn slot(&self, path: &Path) -> io::Result<Slot> {
        let names = names(path)?;
        let Some((name, directories)) = names.split_last() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let parent = directories
            .iter()
            .try_fold(ROOT, |directory, name| self.child(directory, name))?;
        self.directory(parent)?;
        Ok((parent, Name::from(*name)))
    }

    pub(super) fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        match self.resolve(path) {
            Ok(node) if self.is_directory(node) => Ok(Some(EntryKind::Directory)),
            Ok(_) => Ok(Some(EntryKind::File)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let directory = self.directory(self.resolve(path)?)?;
        let entry = |(name, node): (&Name, &NodeId)| DirEntry {
            name: name.to_string(),
            kind: if self.is_directory(*node) {
                EntryKind::Directory
            } else {
                EntryKind::File
            },
        };
        Ok(directory.live.iter().map(entry).collect())
    }

    pub(super) fn image(&self, node: NodeId) -> io::Result<&Image> {
        Ok(&self.file(node)?.live)
    }

    /// Every file and its content.
    pub(super) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut todo = vec![(PathBuf::new(), ROOT)];
        while let Some((path, node)) = todo.pop() {
            match self.nodes.get(node) {
                Some(Node::File(file)) => _ = files.insert(path, file.live.bytes()),
                Some(Node::Directory(dir)) => {
                    todo.extend(dir.live.iter().map(|(name, id)| (path.join(&**name), *id)))
                }
                None => {}
            }
        }
        files
    }
}

/// The operations of [`Storage`](crate::storage::Storage): visible at once, durable later.
impl Disk {
    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn set_entry(&mut self, (directory, name): Slot, node: Option<NodeId>) -> io::Result<()> {
        let entries = &mut self.directory_mut(directory)?.live;
        _ = match node {
            Some(node) => entries.insert(name, node),
            None => entries.remove(&name),
        };
        Ok(())
    }

    fn link(&mut self, slot: Slot, node: Node) -> io::Result<NodeId> {
        let node = self.add(node);
        self.set_entry(slot.clone(), Some(node))?;
        self.pending.push(EntryOp::Link(slot, node));
        Ok(node)
    }

    pub(super) fn unlink(&mut self, path: &Path) -> io::Result<()> {
        let slot = self.slot(path)?;
        self.set_entry(slot.clone(), None)?;
        self.pending.push(EntryOp::Unlink(slot));
        Ok(())
    }

    pub(super) fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<NodeId> {
        let creates = matches!(mode, OpenMode::Create | OpenMode::CreateNew);
        match self.resolve(path) {
            Ok(_) if mode == OpenMode::CreateNew => Err(io::ErrorKind::AlreadyExists.into()),
            Ok(node) => {
                let len = self.file(node)?.live.len();
                if mode == OpenMode::Create && len > 0 {
                    self.set_len(node, 0)?;
                }
                Ok(node)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && creates => {
                let slot = self.slot(path)?;
                let name = slot.1.clone();
                self.link(
                    slot,
                    Node::File(File {
                        name,
                        ..File::default()
                    }),
                )
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        if self.resolve(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.link(self.slot(path)?, Node::Directory(Directory::default()))
            .map(drop)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.resolve(from)?;
        let (source, target) = (self.slot(from)?, self.slot(to)?);
        match self.resolve(to) {
            Ok(there) if there == node => return Ok(()),
            Ok(there) if self.is_directory(there) || self.is_directory(node) => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            _ if names(to)?.starts_with(&names(from)?) => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            _ => {}
        }
        self.set_entry(source.clone(), None)?;
        self.set_entry(target.clone(), Some(node))?;
        self.pending.push(EntryOp::Rename {
            from: source,
            to: target,
            node,
        });
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.file(self.resolve(path)?)?;
        self.unlink(path)
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        if !self.directory(self.resolve(path)?)?.live.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.unlink(path)
    }

    pub(super) fn write(&mut self, node: NodeId, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let file = self.file_mut(node)?;
        let (old, end) = (file.live.len(), offset + bytes.len());
        if end > old && !bytes.is_empty() {
            file.pending.push(FileOp::Extend {
                from: old.max(offset),
                to: end,
            });
            file.live.set_len(end);
        }
        for (piece, sector) in cut(offset, bytes) {
            file.live.put(piece, &sector);
            file.pending.push(FileOp::Sector(piece, sector));
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, node: NodeId, len: usize) -> io::Result<()> {
        let file = self.file_mut(node)?;
        file.pending.push(FileOp::SetLen(len));
        file.live.set_len(len);
        Ok(())
    }
}

/// Making operations durable.
impl Disk {
    pub(super) fn sync(&mut self, node: NodeId) -> io::Result<()> {
        let file = self.file_mut(node)?;
        file.durable = match file.has_lost {
            true => Fates::new(CrashPolicy::KeepAll).replay_file(&file.durable, &file.pending),
            false => file.live.clone(),
        };
        file.pending.clear();
        Ok(())
    }

    /// Drops the operations that a sync of the file would have made durable.
    pub(super) fn lose(&mut self, node: NodeId) {
        if let Ok(file) = self.file_mut(node) {
            file.has_lost |= !file.pending.is_empty();
            file.pending.clear();
        }
    }

    /// Drops the operations that a sync of the directory would have made durable.
    pub(super) fn lose_dir(&mut self, path: &Path) {
        if let Ok(directory) = self.resolve(path) {
            self.pending
                .retain(|operation| !operation.touches(|slot| slot.0 == directory));
        }
    }

    /// Makes the entries of a directory durable, along with their prerequisites: earlier operations
    /// on the other name of a rename. Otherwise a name could revert to what it referred to before.
    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let directory = self.resolve(path)?;
        self.directory(directory)?;
        let mut needed: Vec<Slot> = Vec::new();
        let (mut synced, mut left) = (Vec::new(), Vec::new());
        for operation in std::mem::take(&mut self.pending).into_iter().rev() {
            if operation.touches(|slot| slot.0 == directory || needed.contains(slot)) {
                let (first, second) = operation.slots();
                needed.extend([first].into_iter().chain(second).cloned());
                synced.push(operation);
            } else {
                left.push(operation);
            }
        }
        left.reverse();
        self.pending = left;
        for operation in synced.iter().rev() {
            self.make_durable(operation)?;
        }
        Ok(())
    }

    fn make_durable(&mut self, operation: &EntryOp) -> io::Result<()> {
        match operation {
            EntryOp::Link((directory, name), node) => {
                self.directory_mut(*directory)?
                    .durable
                    .insert(name.clone(), *node);
            }
            EntryOp::Unlink((directory, name)) => {
                self.directory_mut(*directory)?.durable.remove(name);
            }
            EntryOp::Rename {
                to: (directory, name),
                node,
                ..
            } => {
                // Under any name, because the fact that it was `from` may be lost as well.
                for other in &mut self.nodes {
                    if let Node::Directory(other) = other {
                        other.durable.retain(|_, entry| entry != node);
                    }
                }
                self.directory_mut(*directory)?
                    .durable
                    .insert(name.clone(), *node);
            }
        }
        Ok(())
    }

    /// Stores a file, durable at once, along with its directories and everything that was pending
    /// in them.
    pub(super) fn put(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut at = PathBuf::new();
        let names = names(path)?;
        for (index, name) in names.iter().enumerate() {
            let parent = at.clone();
            at.push(name);
            let last = index + 1 == names.len();
            let is_directory = self.resolve(&at).is_ok_and(|node| self.is_directory(node));
            if last || !is_directory {
                let file = || File::durable(Name::from(*name), Image::new(bytes));
                let node = if last {
                    Node::File(file())
                } else {
                    Node::Directory(Directory::default())
                };
                self.link(self.slot(&at)?, node)?;
            }
            self.sync_dir(&parent)?;
        }
        Ok(())
    }

    /// The files whose unsynced bytes matter: those that have a name or may get one.
    fn nameable(&self) -> Vec<bool> {
        let mut nameable = vec![false; self.nodes.len()];
        let directories = self.nodes.iter().filter_map(|node| match node {
            Node::Directory(directory) => Some(directory.durable.values().copied()),
            Node::File(_) => None,
        });
        for node in directories
            .flatten()
            .chain(self.pending.iter().filter_map(EntryOp::node))
        {
            if let Some(slot) = nameable.get_mut(node) {
                *slot = true;
            }
        }
        nameable
    }

    /// The files that matter and have unsynced operations.
    fn unsynced_files(&self) -> impl Iterator<Item = &File> {
        self.nodes
            .iter()
            .zip(self.nameable())
            .filter_map(|(node, nameable)| match node {
                Node::File(file) if nameable => Some(file),
                _ => None,
            })
    }

    /// The number of unsynced operations.
    pub(super) fn unsynced(&self) -> usize {
        self.unsynced_files()
            .map(|file| file.pending.len())
            .sum::<usize>()
            + self.pending.len()
    }

    /// Every unsynced operation as text, in the order of [`CrashPolicy`].
    pub(super) fn unsynced_log(&self) -> Vec<String> {
        let describe = |file: &File| {
            file.pending
                .iter()
                .map(|op| format!("{}: {op}", file.name))
                .collect::<Vec<_>>()
        };
        let in_files = self.unsynced_files().flat_map(describe);
        in_files
            .chain(self.pending.iter().map(ToString::to_string))
            .collect()
    }

    /// The numbers of the unsynced operations that can make a difference when they alone are lost,
    /// torn or kept.
    pub(super) fn telling(&self) -> Vec<usize> {
        let in_files = self
            .unsynced_files()
            .flat_map(|file| telling(&file.durable, &file.pending));
        let all = in_files.chain(self.pending.iter().map(|_| true));
        all.enumerate()
            .filter_map(|(number, is_telling)| is_telling.then_some(number))
            .collect()
    }

    /// The disk after a loss of power.
    pub(super) fn crash(&self, policy: CrashPolicy) -> Disk {
        let mut fates = Fates::new(policy);
        let replay = |(node, nameable): (&Node, bool)| match node {
            Node::File(file) if nameable => Node::File(File::durable(
                file.name.clone(),
                fates.replay_file(&file.durable, &file.pending),
            )),
            Node::File(_) => Node::File(File::default()),
            Node::Directory(directory) => Node::Directory(directory.clone()),
        };
        let nodes = self.nodes.iter().zip(self.nameable()).map(replay).collect();
        let mut disk = Disk {
            nodes,
            pending: Vec::new(),
            locked: Vec::new(),
        };
        for operation in fates.surviving(&self.pending) {
            // Cannot fail, because a directory stays a directory.
            disk.make_durable(operation).ok();
        }
        for node in &mut disk.nodes {
            if let Node::Directory(directory) = node {
                directory.live = directory.durable.clone();
            }
        }
        disk
    }
}

/// For each operation, true if it does more than write zeros where zeros are read anyway.
fn telling(durable: &Image, operations: &[FileOp]) -> Vec<bool> {
    let mut written = HashSet::new();
    let look = |operation: &FileOp| match operation {
        FileOp::Sector(piece, sector) => {
            let at = piece.offset() / SECTOR;
            let mut before = [0; SECTOR];
            durable.read(at * SECTOR, &mut before);
            let is_idle =
                sector.iter().chain(&before).all(|byte| *byte == 0) && !written.contains(&at);
            if !is_idle {
                written.insert(at);
            }
            !is_idle
        }
        FileOp::SetLen(_) | FileOp::Extend { .. } => true,
    };
    operations.iter().map(look).collect()
}

/// The components of a path. The root and the working directory are the same place.
fn names(path: &Path) -> io::Result<Vec<&str>> {
    let name = |component| match component {
        Component::Normal(name) => Some(
            name.to_str()
                .ok_or_else(|| io::ErrorKind::InvalidInput.into()),
        ),
        Component::ParentDir => Some(Err(io::ErrorKind::InvalidInput.into())),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().filter_map(name).collect()
}
