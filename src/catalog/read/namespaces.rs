//! The tree of namespaces. Each is represented by an instance of `__NAMESPACE` in its parent.

use std::collections::BTreeSet;

use super::classes::Place;
use super::naming::Naming;
use super::{Catalog, StoredInstance};
use crate::base::corruption::CorruptionCode;
use crate::base::error::{Error, Result};
use crate::base::limits::{MAX_NAMESPACE_BYTES, MAX_NAMESPACE_DEPTH};
use crate::base::page_no::RecordRef;
use crate::btree::scan::{Direction, KeyRange};
use crate::cim::name;
use crate::format::index::key;
use crate::format::index::key::{Key, KeyFamily};
use crate::format::index::node::tokens_of;
use crate::format::index::object_key::{KeyShape, ObjectKeys, SYSTEM_NAMESPACE};
use crate::format::name_hash::NameHash;
use crate::format::record::reader::BadRecord;

/// The namespace above all others.
pub const ROOT: &str = "ROOT";

/// The class of namespaces.
pub(crate) const NAMESPACE_CLASS: &str = "__NAMESPACE";

/// All namespaces of a repository.
#[derive(Debug)]
pub struct Namespaces {
    /// `ROOT`, followed by the children of each namespace by name. One that cannot be read appears
    /// as an error.
    pub tree: Vec<Result<String>>,
    /// Namespaces that have keys although nothing leads to them: first those with known paths, by
    /// path, then the others, by hash.
    pub hidden: Vec<Hidden>,
    /// Number of namespaces of the index: those named by another, or with keys of their own.
    pub count: u64,
    /// Numbers of keys of classes and of instances outside of all possible namespaces.
    pub strays: [u64; 2],
}

/// A namespace that has keys although no instance of `__NAMESPACE` leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// Its path if hashing reveals it, or else `NS_` and its hash, which stands for the path
    /// everywhere.
    pub path: String,
    /// True if the path is known.
    pub is_named: bool,
    /// Its hash.
    pub hash: NameHash,
}

impl Namespaces {
    /// A tree whose walk was not finished.
    const fn only(tree: Vec<Result<String>>) -> Self {
        Self {
            tree,
            hidden: Vec::new(),
            count: 0,
            strays: [0, 0],
        }
    }
}

impl Catalog {
    /// True if there is a namespace with this path: either a chain of namespaces names it from
    /// `ROOT` on, or it has keys nevertheless. A namespace whose path is lost is written as `NS_`
    /// and the digits of its hash. The namespace of the system classes does not count, because
    /// nothing can be stored there.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class). If a page on the path cannot be read, the answer is
    /// unknown.
    pub fn has_namespace(&self, namespace: &str) -> Result<bool> {
        let is_system = self.keys.hash(namespace) == self.system;
        match self.is_in_tree(namespace) {
            _ if is_system => Ok(false),
            Ok(true) => Ok(true),
            Ok(false) => self.has_keys(namespace),
            // Its own keys suffice, whatever is lost of the path to it.
            Err(Error::Corrupt(damage)) => match self.has_keys(namespace) {
                Ok(true) => Ok(true),
                _ => Err(Error::Corrupt(damage)),
            },
            Err(error) => Err(error),
        }
    }

    /// True if instances of `__NAMESPACE` lead from `ROOT` to a namespace.
    pub(crate) fn is_in_tree(&self, namespace: &str) -> Result<bool> {
        let mut path = namespace;
        if !is_possible(namespace) {
            return Ok(false);
        }
        while let Some((parent, name)) = path.rsplit_once('\\') {
            if self.namespace_record(parent, name)?.is_none() {
                return Ok(false);
            }
            path = parent;
        }
        Ok(name::same(path, ROOT))
    }

    fn has_keys(&self, namespace: &str) -> Result<bool> {
        self.snapshot
            .find(self.keys.namespace(namespace).as_bytes())
            .map(|key| key.is_some())
    }

    /// A namespace in the repository's own spelling: each part as in the instance of `__NAMESPACE`,
    /// as far as those can be read. `None` if it does not exist.
    ///
    /// # Errors
    /// The errors of [`has_namespace`](Self::has_namespace).
    pub fn find_namespace(&self, namespace: &str) -> Result<Option<String>> {
        if self.keys.hash(namespace) == self.system {
            return Ok(Some(SYSTEM_NAMESPACE.to_owned()));
        }
        if !self.has_namespace(namespace)? {
            return Ok(None);
        }
        if ObjectKeys::hash_token(self.dialect(), namespace).is_some() {
            return Ok(Some(namespace.to_ascii_uppercase()));
        }
        let mut parts = namespace.split('\\');
        let first = parts
            .next()
            .filter(|first| !name::same(first, ROOT))
            .unwrap_or(ROOT);
        let mut path = first.to_owned();
        for part in parts {
            let stored = match self.namespace_record(&path, part) {
                Ok(Some(record)) => self.instance_of_record(&path, record).ok(),
                _ => None,
            };
            let stored = stored.and_then(|stored| Some(stored.instance.text("Name")?.to_owned()));
            let spelled = stored
                .filter(|stored| name::same(stored, part))
                .unwrap_or_else(|| part.to_owned());
            path = format!(r"{path}\{spelled}");
        }
        Ok(Some(path))
    }

    /// The paths of the namespaces directly below another, by name. One that cannot be read, lies
    /// too deep, or has the name of another appears as an error.
    pub fn child_namespaces(&self, namespace: &str) -> Vec<Result<String>> {
        self.each_once().children(namespace)
    }

    fn children(&self, namespace: &str) -> Vec<Result<String>> {
        let found = self.instances(namespace, NAMESPACE_CLASS);
        let named = found.map(|child| {
            child.and_then(|child| Ok((self.child_path(namespace, &child)?, child.record)))
        });
        let mut children: Vec<Result<(String, RecordRef)>> = named.collect();
        children.sort_by(|a, b| match (a, b) {
            (Ok((a, _)), Ok((b, _))) => name::order(a, b),
            (a, b) => b.is_ok().cmp(&a.is_ok()),
        });
        let mut last: Option<String> = None;
        let mut once = |(path, record): (String, RecordRef)| {
            if last.as_ref().is_some_and(|last| name::same(last, &path)) {
                let twice = BadRecord {
                    offset: 0,
                    what: "another namespace has its path",
                };
                return Err(self.bad(CorruptionCode::RecordInstance, record, twice));
            }
            last = Some(path.clone());
            Ok(path)
        };
        children
            .into_iter()
            .map(|child| child.and_then(&mut once))
            .collect()
    }

    /// The path of the namespace that an instance represents.
    fn child_path(&self, parent: &str, child: &StoredInstance) -> Result<String> {
        let bad = |what| {
            Err(self.bad(
                CorruptionCode::RecordInstance,
                child.record,
                BadRecord { offset: 0, what },
            ))
        };
        let name = child.instance.text("Name").unwrap_or_default();
        if name.is_empty() || name.contains(['\\', '/', ':', '\0']) {
            return bad("the name of the namespace is not a text");
        }
        if !may_have_path(
            parent.len().saturating_add(name.len()),
            parent.matches('\\').count(),
        ) {
            return bad(
                "the namespace lies too deep: at most 128 lie in each other, and a path has at \
                    most 4,096 bytes",
            );
        }
        Ok(format!(r"{parent}\{name}"))
    }

    /// The paths of all namespaces: `ROOT`, the children of each namespace by name, and then the
    /// [hidden](Hidden) ones. One that cannot be read appears as an error. The system classes lie
    /// in none of them.
    pub fn namespaces(&self) -> Vec<Result<String>> {
        self.namespaces_while(&mut || Ok(()))
            .unwrap_or_else(|error| vec![Err(error)])
    }

    /// The paths of all namespaces; `check` is called before each and may end the walk.
    ///
    /// # Errors
    /// The error of `check`.
    pub(crate) fn namespaces_while(
        &self,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<Result<String>>> {
        let Namespaces {
            mut tree, hidden, ..
        } = self.all_namespaces_while(check)?;
        tree.extend(hidden.into_iter().map(|hidden| Ok(hidden.path)));
        Ok(tree)
    }

    /// The paths of the namespaces that their parents name, without the [hidden](Hidden) ones.
    pub(crate) fn namespace_tree(&self) -> Vec<Result<String>> {
        self.tree(ROOT)
    }

    /// All namespaces: those of the tree, and those that have keys although nothing leads to them.
    pub fn all_namespaces(&self) -> Namespaces {
        self.all_namespaces_while(&mut || Ok(()))
            .unwrap_or_else(|error| Namespaces::only(vec![Err(error)]))
    }

    /// All namespaces; `check` is called before each namespace of the tree and may end the walk.
    ///
    /// # Errors
    /// The error of `check`.
    pub(crate) fn all_namespaces_while(
        &self,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Namespaces> {
        let tree = self.tree_while(ROOT, check)?;
        if matches!(tree.last(), Some(Err(Error::Cancelled))) {
            return Ok(Namespaces::only(tree));
        }
        let known: Vec<String> = tree.iter().flatten().cloned().collect();
        let mut explained: BTreeSet<NameHash> =
            known.iter().map(|path| self.keys.hash(path)).collect();
        let in_tree = explained.len();
        explained.insert(self.system);
        let (hashes, odd) = self.first_tokens();
        let hashes: BTreeSet<NameHash> = hashes.difference(&explained).copied().collect();
        let strays = self.stray_keys(&odd);
        let count = (in_tree + hashes.len()) as u64;
        let hidden = if hashes.is_empty() {
            Vec::new()
        } else {
            self.named(hashes, known)
        };
        Ok(Namespaces {
            tree,
            hidden,
            count,
            strays,
        })
    }

    /// The namespaces with these hashes: first those with known paths, by path, then the others, by
    /// hash.
    fn named(&self, hashes: BTreeSet<NameHash>, known: Vec<String>) -> Vec<Hidden> {
        let names = Naming::search(self, hashes.clone(), known);
        let hidden = |hash| {
            let name = names.get(&hash);
            Hidden {
                path: name.cloned().unwrap_or_else(|| format!("NS_{hash}")),
                is_named: name.is_some(),
                hash,
            }
        };
        let mut hidden: Vec<Hidden> = hashes.into_iter().map(hidden).collect();
        hidden.sort_by(|a, b| {
            b.is_named
                .cmp(&a.is_named)
                .then_with(|| name::order(&a.path, &b.path))
        });
        hidden
    }

    /// The hashes of the names of the namespaces directly below `parent` whose instances of
    /// `__NAMESPACE` cannot be read.
    pub(super) fn lost_children(&self, parent: &str) -> Vec<NameHash> {
        let class = self.keys.hash(NAMESPACE_CLASS);
        let keys = self
            .own_keys(Place::new(self, parent), Some(class))
            .flatten();
        let is_lost = |key: &Key| {
            key.reference()
                .is_some_and(|record| self.instance_of_record(parent, record).is_err())
        };
        let name = |key: Key| match KeyShape::parse(key.as_bytes()) {
            Some((_, KeyShape::Instance(_, name))) => Some(name),
            _ => None,
        };
        keys.filter(is_lost).filter_map(name).collect()
    }

    /// The first tokens of keys: hashes of namespaces, and tokens that are not such a hash.
    /// Unreadable parts are left out, because every scan of their content reports them.
    fn first_tokens(&self) -> (BTreeSet<NameHash>, BTreeSet<Vec<u8>>) {
        /// Number of keys with the same first token that are read before the next token is looked
        /// up.
        const RUN: usize = 64;
        let (mut hashes, mut odd) = (BTreeSet::new(), BTreeSet::new());
        let (mut scan, mut run) = (self.snapshot.keys(KeyRange::all(), Direction::Forward), 0);
        let mut last = None;
        while let Some(key) = scan.next_text() {
            let Ok(key) = key else { continue };
            let token = tokens_of(key).next().unwrap_or_default();
            if last.as_deref() != Some(token) {
                let hash = str::from_utf8(token)
                    .ok()
                    .and_then(|token| ObjectKeys::hash_token(self.dialect(), token));
                match hash {
                    Some(hash) => _ = hashes.insert(hash),
                    None => _ = odd.insert(token.to_vec()),
                }
                (last, run) = (Some(token.to_vec()), 0);
                continue;
            }
            run += 1;
            if run < RUN {
                continue;
            }
            run = 0;
            // This character follows a backslash, so this text follows all keys with the token.
            let behind = [token, b"]"].concat();
            // A scan that met damage has sorted the pages outside the tree; another scan would have
            // to do so again.
            if scan.is_complete() {
                scan = self.snapshot.keys(
                    KeyRange {
                        from: Some(behind),
                        to: None,
                    },
                    Direction::Forward,
                );
            }
        }
        (hashes, odd)
    }

    /// Numbers of keys that are marked as those of classes and instances but lie outside of all
    /// possible namespaces.
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
    /// The error of the first one that cannot be read.
    pub(crate) fn namespaces_below(&self, namespace: &str) -> Result<Vec<String>> {
        self.tree(namespace).into_iter().collect()
    }

    /// The paths of a namespace and all below it; those that nothing leads to come last. One that
    /// cannot be read appears as an error.
    ///
    /// # Errors
    /// Returns [`Error::Cancelled`].
    pub(crate) fn namespaces_from(&self, top: &str) -> Result<Vec<Result<String>>> {
        let is_all = name::same(top, ROOT);
        let (folded, mut found) = (name::to_upper(top), Vec::new());
        let is_below = |path: &str| {
            let path = name::to_upper(path);
            path.strip_prefix(&folded)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
        };
        let Namespaces { tree, hidden, .. } =
            self.all_namespaces_while(&mut || self.step_watch())?;
        // The top may be a namespace that nothing leads to, or that of the system classes.
        if !tree.iter().flatten().any(|path| name::same(path, top)) {
            found.push(Ok(top.to_owned()));
        }
        found.extend(
            tree.into_iter()
                .filter(|path| path.as_ref().map_or(is_all, |path| is_below(path))),
        );
        let hidden = hidden
            .into_iter()
            .filter(|hidden| is_below(&hidden.path) || !hidden.is_named && is_all);
        found.extend(
            hidden
                .map(|hidden| hidden.path)
                .filter(|path| !name::same(path, top))
                .map(Ok),
        );
        Ok(found)
    }

    fn tree(&self, top: &str) -> Vec<Result<String>> {
        self.tree_while(top, &mut || Ok(()))
            .unwrap_or_else(|error| vec![Err(error)])
    }

    fn tree_while(
        &self,
        top: &str,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<Result<String>>> {
        // A separate run, because the caller meets the instances again.
        let run = self.each_once();
        let mut found = Vec::new();
        let mut ahead = vec![Ok(top.to_owned())];
        while let Some(next) = ahead.pop() {
            check()?;
            match &next {
                Ok(namespace) => ahead.extend(run.children(namespace).into_iter().rev()),
                Err(Error::Cancelled) => return Ok(vec![next]),
                Err(_) => {}
            }
            found.push(next);
        }
        Ok(found)
    }
}

/// True if a namespace can have this path, which must be neither too long nor too deep.
pub(crate) fn is_possible(path: &str) -> bool {
    let parents = path.matches('\\').count().saturating_sub(1);
    may_have_path(path.len().saturating_sub(1), parents)
}

/// True if a path may have this many bytes, not counting its last separator, below a parent of this
/// depth.
const fn may_have_path(bytes: usize, parent: usize) -> bool {
    bytes < MAX_NAMESPACE_BYTES && parent < MAX_NAMESPACE_DEPTH
}

const _: () = assert!(
    MAX_NAMESPACE_DEPTH == 128 && MAX_NAMESPACE_BYTES == 4096,
    "an error says it"
);
