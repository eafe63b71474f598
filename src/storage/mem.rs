//! Storage in memory, for embedders without a file system and for tests.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::{DirEntry, EntryKind, LockGuard, OpenMode, Storage, StorageFile, parent_of};

/// A tree of files in memory. Clones share one tree.
#[derive(Debug, Clone, Default)]
pub struct MemStorage(Arc<Mutex<Tree>>);

#[derive(Debug, Default)]
struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    locks: Vec<PathBuf>,
}

#[derive(Debug, Clone)]
enum Node {
    Directory,
    File(Contents),
}

type Contents = Arc<RwLock<Vec<u8>>>;

impl MemStorage {
    /// An empty tree. The root and every relative path without components are directories from the
    /// start.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores a file, replacing whatever is at `path`, and creates the directories it needs.
    pub fn put(&self, path: impl Into<PathBuf>, bytes: Vec<u8>) {
        let (path, mut tree) = (plain(&path.into()), self.0.lock());
        for dir in path.ancestors().skip(1).filter(|dir| !is_root(dir)) {
            tree.nodes.entry(dir.to_owned()).or_insert(Node::Directory);
        }
        tree.nodes
            .insert(path, Node::File(Arc::new(RwLock::new(bytes))));
    }

    /// The content of a file.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        match self.0.lock().nodes.get(&plain(path.as_ref()))? {
            Node::Directory => None,
            Node::File(contents) => Some(contents.read().clone()),
        }
    }
}

impl Tree {
    fn kind(&self, path: &Path) -> Option<EntryKind> {
        match self.nodes.get(path) {
            Some(Node::Directory) => Some(EntryKind::Directory),
            Some(Node::File(_)) => Some(EntryKind::File),
            None if is_root(path) => Some(EntryKind::Directory),
            None => None,
        }
    }

    fn has_children(&self, dir: &Path) -> bool {
        self.nodes
            .keys()
            .any(|path| path != dir && parent_of(path) == dir)
    }

    fn need_parent(&self, path: &Path) -> io::Result<()> {
        match self.kind(parent_of(path)) {
            Some(EntryKind::Directory) => Ok(()),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Removes the components of a path that mean "here", so that a file has one name.
fn plain(path: &Path) -> PathBuf {
    let plain: PathBuf = path
        .components()
        .filter(|part| *part != Component::CurDir)
        .collect();
    if plain.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        plain
    }
}

fn is_root(path: &Path) -> bool {
    path == Path::new(".") || path.as_os_str().is_empty() || path.parent().is_none()
}

impl Storage for MemStorage {
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        let path = &plain(path);
        Ok(self.0.lock().kind(path))
    }

    fn read_dir(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let dir = &plain(dir);
        let tree = self.0.lock();
        match tree.kind(dir) {
            Some(EntryKind::Directory) => {}
            Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        let children = tree
            .nodes
            .iter()
            .filter(|(path, _)| path.as_path() != dir && parent_of(path) == dir);
        let entry = |(path, node): (&PathBuf, &Node)| {
            let kind = if matches!(node, Node::Directory) {
                EntryKind::Directory
            } else {
                EntryKind::File
            };
            Some(DirEntry {
                name: path.file_name()?.to_str()?.to_owned(),
                kind,
            })
        };
        Ok(children.filter_map(entry).collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        let path = &plain(path);
        let mut tree = self.0.lock();
        let contents = match (tree.nodes.get(path), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(Node::Directory), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (None, OpenMode::CreateNew) if is_root(path) => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            (None, _) if is_root(path) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(Node::File(contents)), _) => {
                if mode == OpenMode::Create {
                    contents.write().clear();
                }
                contents.clone()
            }
            (None, OpenMode::Read | OpenMode::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                tree.need_parent(path)?;
                let contents = Contents::default();
                tree.nodes
                    .insert(path.to_owned(), Node::File(contents.clone()));
                contents
            }
        };
        Ok(Box::new(MemFile {
            contents,
            writable: mode != OpenMode::Read,
        }))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = &plain(dir);
        let mut tree = self.0.lock();
        if tree.kind(dir).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        tree.need_parent(dir)?;
        tree.nodes.insert(dir.to_owned(), Node::Directory);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (&plain(from), &plain(to));
        let mut tree = self.0.lock();
        tree.need_parent(to)?;
        match (tree.kind(from), tree.kind(to)) {
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
            _ if from == to => return Ok(()),
            _ if to.starts_with(from) => return Err(io::ErrorKind::InvalidInput.into()),
            (_, None) | (Some(EntryKind::File), Some(EntryKind::File)) => {}
            _ => return Err(io::ErrorKind::AlreadyExists.into()),
        }
        let moved: Vec<PathBuf> = tree
            .nodes
            .keys()
            .filter(|path| path.starts_with(from))
            .cloned()
            .collect();
        for path in moved {
            let Some(node) = tree.nodes.remove(&path) else {
                continue;
            };
            let target = match path.strip_prefix(from) {
                Ok(rest) if !rest.as_os_str().is_empty() => to.join(rest),
                _ => to.to_owned(),
            };
            tree.nodes.insert(target, node);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let path = &plain(path);
        let mut tree = self.0.lock();
        match tree.kind(path) {
            Some(EntryKind::File) => {}
            Some(_) => return Err(io::ErrorKind::IsADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        tree.nodes.remove(path);
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = &plain(dir);
        let mut tree = self.0.lock();
        match tree.kind(dir) {
            Some(EntryKind::Directory) if tree.has_children(dir) => {
                Err(io::ErrorKind::DirectoryNotEmpty.into())
            }
            Some(EntryKind::Directory) => {
                tree.nodes.remove(dir);
                Ok(())
            }
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = &plain(dir);
        match self.0.lock().kind(dir) {
            Some(EntryKind::Directory) => Ok(()),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn LockGuard>> {
        let path = &plain(path);
        let mut tree = self.0.lock();
        if tree.locks.iter().any(|held| held == path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if tree.kind(path) == Some(EntryKind::Directory) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        tree.need_parent(path)?;
        tree.nodes.insert(
            path.to_owned(),
            Node::File(Arc::new(RwLock::new(note.into()))),
        );
        tree.locks.push(path.to_owned());
        Ok(Box::new(MemLock {
            tree: self.0.clone(),
            path: path.to_owned(),
        }))
    }

    fn is_locked(&self, path: &Path) -> io::Result<bool> {
        Ok(self.0.lock().locks.contains(&plain(path)))
    }
}

#[derive(Debug)]
struct MemLock {
    tree: Arc<Mutex<Tree>>,
    path: PathBuf,
}

impl LockGuard for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        let mut tree = self.tree.lock();
        tree.locks.retain(|held| *held != self.path);
        tree.nodes.remove(&self.path);
    }
}

#[derive(Debug)]
struct MemFile {
    contents: Contents,
    writable: bool,
}

impl MemFile {
    fn need_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}

/// Changes a length. A length that the memory cannot hold is an error, not a panic.
///
/// Capacity grows to a power of two, so that it depends only on the length and not on the order in
/// which threads write.
fn resize(contents: &mut Vec<u8>, len: usize) -> io::Result<()> {
    if contents.capacity() < len {
        let room = len.checked_next_power_of_two().unwrap_or(len);
        contents
            .try_reserve_exact(room - contents.len())
            .map_err(|_| io::ErrorKind::StorageFull)?;
    }
    contents.resize(len, 0);
    Ok(())
}

impl StorageFile for MemFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.contents.read().len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let contents = self.contents.read();
        let start =
            usize::try_from(offset).map_or(contents.len(), |start| start.min(contents.len()));
        let (_, rest) = contents.split_at(start);
        let count = rest.len().min(buf.len());
        let (target, _) = buf.split_at_mut(count);
        let (source, _) = rest.split_at(count);
        target.copy_from_slice(source);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.need_writable()?;
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = start
            .checked_add(bytes.len())
            .ok_or(io::ErrorKind::FileTooLarge)?;
        let mut contents = self.contents.write();
        // An empty write past the end does not extend the file.
        if contents.len() < end && !bytes.is_empty() {
            resize(&mut contents, end)?;
        }
        if let Some(target) = contents.get_mut(start..end) {
            target.copy_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.need_writable()?;
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        resize(&mut self.contents.write(), len)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
