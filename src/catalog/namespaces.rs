//! The tree of namespaces. Each lies as an instance of `__NAMESPACE` in the one above it.

use std::collections::BTreeSet;

use super::Catalog;
use super::naming::Naming;
use crate::base::corruption::CorruptionCode;
use crate::base::error::{Error, Result};
use crate::base::limits::MAX_PATH_CHARS;
use crate::btree::scan::{Direction, KeyRange};
use crate::cim::name;
use crate::format::key::{self, Key, KeyFamily};
use crate::format::name_hash::NameHash;
use crate::format::object_key::{KeyShape, ObjectKeys, SYSTEM_NAMESPACE};
use crate::format::record_reader::BadRecord;

/// The namespace that all others lie below.
pub const ROOT: &str = "ROOT";

/// The class of namespaces.
pub(crate) const NAMESPACE_CLASS: &str = "__NAMESPACE";

/// All namespaces of a repository.
#[derive(Debug)]
pub struct Namespaces {
    /// `ROOT`, and below each its children by name. One that cannot be read is an error among them.
    pub tree: Vec<Result<String>>,
    /// Those that have keys though nothing leads to them: by path where that is known, then by hash.
    pub hidden: Vec<Hidden>,
    /// Namespaces that the index has: named by another, or with keys of their own.
    pub count: u64,
    /// Keys of classes and of instances that lie in no namespace there can be.
    pub strays: [u64; 2],
}

/// A namespace that has keys though no instance of `__NAMESPACE` leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// Its path where hashing gives it, else `NS_` and its hash, which stands for the path everywhere.
    pub path: String,
    /// Whether the path is known.
    pub is_named: bool,
    /// Its hash.
    pub hash: NameHash,
}

impl Catalog {
    /// Whether there is a namespace with this path: one that the namespace above it names, and so on up to `ROOT`, or one
    /// that has keys all the same. A namespace whose path is lost is given by its hash: `NS_` and the digits.
    ///
    /// # Errors
    /// As [`class`](Self::class): where a page on the way cannot be read, it cannot be told.
    pub fn has_namespace(&self, namespace: &str) -> Result<bool> {
        Ok(self.is_in_tree(namespace)? || self.has_keys(namespace)?)
    }

    fn is_in_tree(&self, namespace: &str) -> Result<bool> {
        let mut path = namespace;
        while let Some((parent, name)) = path.rsplit_once('\\') {
            if self.record_of(&self.keys.keyed_instance(parent, NAMESPACE_CLASS, name))?.is_none() {
                return Ok(false);
            }
            path = parent;
        }
        Ok(name::same(path, ROOT))
    }

    fn has_keys(&self, namespace: &str) -> Result<bool> {
        self.snapshot.find(self.keys.namespace(namespace).as_bytes()).map(|key| key.is_some())
    }

    /// A namespace as the repository spells it: each part as the instance of `__NAMESPACE` has it, as far as these can be
    /// read. `None` when it is not there.
    ///
    /// # Errors
    /// As [`has_namespace`](Self::has_namespace).
    pub fn find_namespace(&self, namespace: &str) -> Result<Option<String>> {
        if name::same(namespace, SYSTEM_NAMESPACE) {
            return Ok(Some(SYSTEM_NAMESPACE.to_owned()));
        }
        if !self.has_namespace(namespace)? {
            return Ok(None);
        }
        if ObjectKeys::hash_token(self.dialect(), namespace).is_some() {
            return Ok(Some(namespace.to_ascii_uppercase()));
        }
        let mut parts = namespace.split('\\');
        let first = parts.next().filter(|first| !name::same(first, ROOT)).unwrap_or(ROOT);
        let mut path = first.to_owned();
        for part in parts {
            let key = self.keys.keyed_instance(&path, NAMESPACE_CLASS, part);
            let stored = match self.record_of(&key) {
                Ok(Some(record)) => self.instance_of_record(&path, record).ok(),
                _ => None,
            };
            let stored = stored.and_then(|stored| Some(stored.instance.get("Name")?.as_text()?.to_owned()));
            let spelled = stored.filter(|stored| name::same(stored, part)).unwrap_or_else(|| part.to_owned());
            path = format!(r"{path}\{spelled}");
        }
        Ok(Some(path))
    }

    /// The paths of the namespaces directly below another, by name. One that cannot be read is an error among them.
    pub fn child_namespaces(&self, namespace: &str) -> Vec<Result<String>> {
        let mut children: Vec<Result<String>> = self
            .instances(namespace, NAMESPACE_CLASS)
            .map(|child| {
                let child = child?;
                let name = child.instance.get("Name").and_then(|name| name.as_text()).unwrap_or_default();
                let path = format!(r"{namespace}\{name}");
                let usable = !name.is_empty() && !name.contains(['\\', '/', ':', '\0']) && path.len() <= MAX_PATH_CHARS;
                let bad = BadRecord { offset: 0, what: "the name of the namespace is none" };
                usable
                    .then_some(path)
                    .ok_or_else(|| -> Error { self.bad(CorruptionCode::RecordInstance, child.record, bad) })
            })
            .collect();
        children.sort_by(|a, b| match (a, b) {
            (Ok(a), Ok(b)) => name::order(a, b),
            (a, b) => b.is_ok().cmp(&a.is_ok()),
        });
        children
    }

    /// The paths of all namespaces: `ROOT`, and below each its children by name; after these the [hidden](Hidden) ones. One
    /// that cannot be read is an error among them. The system classes lie in none of them.
    pub fn namespaces(&self) -> Vec<Result<String>> {
        let Namespaces { mut tree, hidden, .. } = self.all_namespaces();
        tree.extend(hidden.into_iter().map(|hidden| Ok(hidden.path)));
        tree
    }

    /// The paths of the namespaces that their parents name, without the [hidden](Hidden) ones.
    pub(crate) fn namespace_tree(&self) -> Vec<Result<String>> {
        self.tree(ROOT)
    }

    /// All namespaces: those of the tree, and those that have keys though nothing leads to them.
    pub fn all_namespaces(&self) -> Namespaces {
        let tree = self.tree(ROOT);
        let known: Vec<String> = tree.iter().flatten().cloned().collect();
        let mut explained: BTreeSet<NameHash> = known.iter().map(|path| self.keys.hash(path)).collect();
        let in_tree = explained.len();
        explained.insert(self.system);
        let (hashes, odd) = self.first_tokens();
        let hashes: BTreeSet<NameHash> = hashes.difference(&explained).copied().collect();
        let strays = self.stray_keys(&odd);
        let count = (in_tree + hashes.len()) as u64;
        let hidden = if hashes.is_empty() { Vec::new() } else { self.named(hashes, known) };
        Namespaces { tree, hidden, count, strays }
    }

    /// Namespaces with these hashes, by path where hashing gives it, then by hash.
    fn named(&self, hashes: BTreeSet<NameHash>, known: Vec<String>) -> Vec<Hidden> {
        let names = Naming::search(self, hashes.clone(), known);
        let hidden = |hash| {
            let name = names.get(&hash);
            Hidden { path: name.cloned().unwrap_or_else(|| format!("NS_{hash}")), is_named: name.is_some(), hash }
        };
        let mut hidden: Vec<Hidden> = hashes.into_iter().map(hidden).collect();
        hidden.sort_by(|a, b| b.is_named.cmp(&a.is_named).then_with(|| name::order(&a.path, &b.path)));
        hidden
    }

    /// The hashes of the names of those namespaces directly below one whose instances of `__NAMESPACE` cannot be read.
    pub(super) fn lost_children(&self, parent: &str) -> Vec<NameHash> {
        let keys = self.scan(&self.keys.instances(parent, NAMESPACE_CLASS)).flatten();
        let is_lost =
            |key: &Key| key.reference().is_some_and(|record| self.instance_of_record(parent, record).is_err());
        let name = |key: Key| match KeyShape::parse(key.as_bytes()) {
            Some((_, KeyShape::Instance(_, name))) => Some(name),
            _ => None,
        };
        keys.filter(is_lost).filter_map(name).collect()
    }

    /// What keys begin with: the hashes of namespaces, and tokens that are no hash of one. What cannot be read is left out:
    /// every scan of what lies there reports it.
    fn first_tokens(&self) -> (BTreeSet<NameHash>, BTreeSet<Vec<u8>>) {
        /// Keys with one first token that are read before the next is looked up.
        const RUN: usize = 64;
        let (mut hashes, mut odd) = (BTreeSet::new(), BTreeSet::new());
        let (mut scan, mut run) = (self.scan(""), 0);
        while let Some(key) = scan.next_text() {
            let Ok(key) = key else { continue };
            let token = key.split(|&byte| byte == b'\\').next().unwrap_or_default();
            let hash = str::from_utf8(token).ok().and_then(|token| ObjectKeys::hash_token(self.dialect(), token));
            let is_new = match hash {
                Some(hash) => hashes.insert(hash),
                None => !odd.contains(token) && odd.insert(token.to_vec()),
            };
            run = if is_new { 0 } else { run + 1 };
            if run == RUN {
                // A backslash is followed by this character: so are all keys with this token.
                let behind = [token, b"]"].concat();
                scan = self.snapshot.keys(KeyRange { from: Some(behind), to: None }, Direction::Forward);
                run = 0;
            }
        }
        (hashes, odd)
    }

    /// Keys that are marked as those of classes and of instances, but lie in no namespace there can be.
    fn stray_keys(&self, tokens: &BTreeSet<Vec<u8>>) -> [u64; 2] {
        let mut strays = [0; 2];
        let [classes, instances] = &mut strays;
        for token in tokens {
            let range = KeyRange::prefix(&[&token[..], b"\\"].concat());
            let mut scan = self.snapshot.keys(range, Direction::Forward);
            while let Some(key) = scan.next_text() {
                match key.map(|key| key::family(key).1) {
                    Ok(KeyFamily::ClassDefinition) => *classes += 1,
                    Ok(KeyFamily::Instance) => *instances += 1,
                    _ => {}
                }
            }
        }
        strays
    }

    /// The paths of a namespace and all below it.
    ///
    /// # Errors
    /// That of the first that cannot be read.
    pub(crate) fn namespaces_below(&self, namespace: &str) -> Result<Vec<String>> {
        self.tree(namespace).into_iter().collect()
    }

    fn tree(&self, top: &str) -> Vec<Result<String>> {
        let mut found = Vec::new();
        let mut ahead = vec![Ok(top.to_owned())];
        while let Some(next) = ahead.pop() {
            if let Ok(namespace) = &next {
                ahead.extend(self.child_namespaces(namespace).into_iter().rev());
            }
            found.push(next);
        }
        found
    }
}
