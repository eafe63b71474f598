//! Where included files come from. MOF may be hostile: by default an include stays in the
//! directories that the caller gave.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::source::MofSource;
use crate::base::limits::MAX_MOF_BYTES;
use crate::storage::{EntryKind, OpenMode, Storage, read_whole};

/// Why a file cannot be included.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IncludeError {
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// It lies outside of the directories that may be read.
    #[error("it lies outside of the directory of the main file and of the directories given")]
    Outside,
    /// A name between percent signs is none of the environment.
    #[error("the environment has no `{0}`")]
    Variable(String),
    /// The system refused to read it.
    #[error("{0}")]
    Unreadable(String),
    /// Nothing may be included.
    #[error("nothing can be included here")]
    Forbidden,
}

/// Gives the files that others include.
pub trait Includes {
    /// A main file begins: its directory is the one that includes may come from.
    fn begin(&mut self, main: &Path) {
        let _ = main;
    }

    /// The file that `includer` names as `name`, as it stands in the text.
    ///
    /// # Errors
    /// [`IncludeError`].
    fn load(&mut self, includer: &Path, name: &str) -> Result<MofSource, IncludeError>;
}

/// Refuses every include.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoIncludes;

impl Includes for NoIncludes {
    fn load(&mut self, _: &Path, _: &str) -> Result<MofSource, IncludeError> {
        Err(IncludeError::Forbidden)
    }
}

/// Includes from the file system, or what stands for it: looked for in the directory of the
/// including file, then in the directories given, then in the current directory.
#[derive(Debug, Clone)]
pub struct FileIncludes {
    storage: Arc<dyn Storage>,
    directories: Vec<PathBuf>,
    environment: BTreeMap<String, String>,
    current: PathBuf,
    is_anywhere: bool,
    root: PathBuf,
}

impl FileIncludes {
    /// Includes from `storage`; `current` is the current directory.
    pub fn new(storage: Arc<dyn Storage>, current: impl Into<PathBuf>) -> Self {
        Self {
            storage,
            directories: Vec::new(),
            environment: BTreeMap::new(),
            current: current.into(),
            is_anywhere: false,
            root: PathBuf::new(),
        }
    }

    /// Looks in this directory too.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directories.push(directory.into());
        self
    }

    /// Lets names between percent signs stand for these values. Names differ in case alone from no
    /// other.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(
            variables
                .into_iter()
                .map(|(name, value)| (name.to_uppercase(), value)),
        );
        self
    }

    /// Lets files lie anywhere.
    #[must_use]
    pub const fn anywhere(mut self) -> Self {
        self.is_anywhere = true;
        self
    }

    /// The name with the values of variables in it.
    fn expanded(&self, name: &str) -> Result<String, IncludeError> {
        let mut text = String::new();
        let mut rest = name;
        while let Some((before, after)) = rest.split_once('%') {
            text.push_str(before);
            let Some((variable, after)) = after.split_once('%') else {
                text.push('%');
                rest = after;
                break;
            };
            let value = self.environment.get(&variable.to_uppercase());
            text.push_str(value.ok_or_else(|| IncludeError::Variable(variable.to_owned()))?);
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }

    /// The file at `path` below `base`, names in any case; the path that it has there.
    fn find(&self, base: &Path, path: &Path) -> Option<PathBuf> {
        let mut found = base.to_owned();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => _ = found.pop(),
                Component::Prefix(_) | Component::RootDir => found.push(part),
                Component::Normal(name) => found = self.entry(&found, &name.to_string_lossy())?,
            }
        }
        let is_file = matches!(self.storage.kind(&found), Ok(Some(EntryKind::File)));
        is_file.then_some(found)
    }

    /// The entry of a directory with this name, exactly or else in another case.
    fn entry(&self, directory: &Path, name: &str) -> Option<PathBuf> {
        let exact = directory.join(name);
        if matches!(self.storage.kind(&exact), Ok(Some(_))) {
            return Some(exact);
        }
        let entries = self.storage.read_dir(directory).ok()?;
        let other = entries
            .into_iter()
            .find(|entry| entry.name.to_lowercase() == name.to_lowercase())?;
        Some(directory.join(other.name))
    }

    fn is_inside(&self, path: &Path) -> bool {
        let path = normal(path);
        let roots = self.directories.iter().chain([&self.root]);
        self.is_anywhere || roots.into_iter().any(|root| path.starts_with(normal(root)))
    }
}

/// A path without `.` and `..`, as text alone.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if normal.parent().is_some() => _ = normal.pop(),
            part => normal.push(part),
        }
    }
    normal
}

impl Includes for FileIncludes {
    fn begin(&mut self, main: &Path) {
        self.root = self.current.join(main.parent().unwrap_or(Path::new("")));
    }

    fn load(&mut self, includer: &Path, name: &str) -> Result<MofSource, IncludeError> {
        let name = self.expanded(name)?.replace('\\', "/");
        let includer = self.current.join(includer);
        let own = includer.parent().unwrap_or(Path::new("")).to_owned();
        let bases = [own]
            .into_iter()
            .chain(self.directories.clone())
            .chain([self.current.clone()]);
        let found = bases
            .into_iter()
            .find_map(|base| self.find(&base, Path::new(&name)));
        let found = found.ok_or(IncludeError::NotFound)?;
        if !self.is_inside(&found) {
            return Err(IncludeError::Outside);
        }
        let refused = |error: std::io::Error| IncludeError::Unreadable(error.to_string());
        let file = self.storage.open(&found, OpenMode::Read).map_err(refused)?;
        let limit = u64::try_from(MAX_MOF_BYTES).unwrap_or(u64::MAX);
        let bytes = read_whole(&*file, limit).map_err(refused)?;
        Ok(MofSource {
            name: found.to_string_lossy().into_owned(),
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemStorage;

    fn includes(files: &[&str]) -> FileIncludes {
        let storage = MemStorage::new();
        for file in files {
            storage.put(*file, file.as_bytes().to_vec());
        }
        let mut includes = FileIncludes::new(Arc::new(storage), "/w");
        includes.begin(Path::new("mof/main.mof"));
        includes
    }

    #[test]
    fn names_are_looked_up_as_windows_does() {
        let files = ["/w/mof/a.mof", "/w/mof/sub/B.Mof", "/w/c.mof", "/lib/d.mof"];
        let variables = [("SystemRoot".to_owned(), "/w/mof".to_owned())];
        let mut includes = includes(&files).directory("/lib").environment(variables);
        // Windows joins paths by backslashes.
        let slashed = |source: MofSource| source.name.replace('\\', "/");
        let mut load = |name: &str| includes.load(Path::new("mof/main.mof"), name).map(slashed);
        assert_eq!(load("a.mof").unwrap(), "/w/mof/a.mof");
        assert_eq!(load(r"sub\\b.mof").unwrap(), "/w/mof/sub/B.Mof");
        assert_eq!(load(r"%SYSTEMROOT%\a.mof").unwrap(), "/w/mof/a.mof");
        assert_eq!(load("d.mof").unwrap(), "/lib/d.mof");
        assert_eq!(load("none.mof"), Err(IncludeError::NotFound));
        assert_eq!(
            load("%none%/a.mof"),
            Err(IncludeError::Variable("none".into()))
        );
        assert_eq!(load("../c.mof"), Err(IncludeError::Outside));
        assert_eq!(load("/w/c.mof"), Err(IncludeError::Outside));
        let mut free = includes.anywhere();
        assert_eq!(
            slashed(free.load(Path::new("mof/main.mof"), "../c.mof").unwrap()),
            "/w/c.mof"
        );
    }
}
