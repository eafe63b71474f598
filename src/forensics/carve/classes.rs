//! Class definitions that instances are decoded with: live ones and recovered ones.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::limits::MAX_CLASS_DEPTH;
use crate::catalog::Catalog;
use crate::cim::full_class::FullClass;
use crate::cim::name::Name;
use crate::format::Dialect;
use crate::format::index::object_key::SYSTEM_NAMESPACE;
use crate::format::name_hash::NameHash;
use crate::format::record::class_record::ClassRecordView;

use super::evidence::Evidence;
use super::live::{ClassId, Live};
use super::place::Place;

/// Classes of one name that are tried for an instance or a subclass.
const MAX_TRIED: usize = 8;

/// Live classes that are kept put together.
const MAX_KEPT: usize = 512;

/// A definition of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ClassSource {
    /// One of the current state.
    Live(ClassId),
    /// A recovered one, by its number.
    Old(usize),
    /// One of a repository that was given for comparison.
    Alike(ClassId),
}

/// A recovered definition.
#[derive(Debug, Clone)]
pub(super) struct OldClass {
    pub(super) place: Place,
    pub(super) name: Name,
    pub(super) superclass: Option<Name>,
    pub(super) stamp: u64,
    /// Its namespace, where that is certain.
    pub(super) home: Option<NameHash>,
}

/// All definitions that are known.
#[derive(Debug)]
pub(super) struct ClassBook {
    dialect: Dialect,
    catalog: Option<Catalog>,
    /// Paths of namespaces by their hashes.
    pub(super) paths: HashMap<NameHash, String>,
    pub(super) old: Vec<OldClass>,
    old_by_stamp: HashMap<u64, Vec<usize>>,
    old_by_name: HashMap<NameHash, Vec<usize>>,
    composed: HashMap<usize, Option<Arc<FullClass>>>,
    kept: HashMap<ClassId, Option<Arc<FullClass>>>,
    alike: Option<Alike>,
}

/// A healthy repository of a similar system.
#[derive(Debug)]
pub(super) struct Alike {
    pub(super) catalog: Catalog,
    /// Where classes of a name lie there.
    pub(super) homes: HashMap<NameHash, Vec<NameHash>>,
    pub(super) stamps: HashMap<u64, ClassId>,
    pub(super) paths: HashMap<NameHash, String>,
}

/// The paths of the namespaces of a repository, by their hashes.
pub(super) fn paths_of(catalog: &Catalog) -> HashMap<NameHash, String> {
    let known = catalog.namespaces().into_iter().flatten();
    known
        .chain([SYSTEM_NAMESPACE.to_owned()])
        .map(|path| (catalog.keys().namespace_hash(&path), path))
        .collect()
}

impl ClassBook {
    pub(super) fn new(dialect: Dialect, catalog: Option<Catalog>, alike: Option<Alike>) -> Self {
        let mut paths = catalog.as_ref().map(paths_of).unwrap_or_default();
        for (hash, path) in alike.iter().flat_map(|alike| &alike.paths) {
            paths.entry(*hash).or_insert_with(|| path.clone());
        }
        let system = NameHash::of(dialect, SYSTEM_NAMESPACE);
        paths.insert(system, SYSTEM_NAMESPACE.to_owned());
        Self {
            dialect,
            catalog,
            paths,
            old: Vec::new(),
            old_by_stamp: HashMap::new(),
            old_by_name: HashMap::new(),
            composed: HashMap::new(),
            kept: HashMap::new(),
            alike,
        }
    }

    /// The catalog of the current state.
    pub(super) const fn catalog(&self) -> Option<&Catalog> {
        self.catalog.as_ref()
    }

    /// The repository that was given for comparison.
    pub(super) const fn alike(&self) -> Option<&Alike> {
        self.alike.as_ref()
    }

    /// Adds a recovered definition, and returns its number.
    pub(super) fn add(&mut self, class: OldClass) -> usize {
        let number = self.old.len();
        let name = NameHash::of(self.dialect, class.name.as_str());
        self.old_by_stamp
            .entry(class.stamp)
            .or_default()
            .push(number);
        self.old_by_name.entry(name).or_default().push(number);
        self.old.push(class);
        number
    }

    /// The definitions of a name that were written at this time: one, unless someone meant harm.
    pub(super) fn of_stamp(&self, live: &Live, stamp: u64, name: NameHash) -> Vec<ClassSource> {
        let current = live.class_stamps.get(&stamp).filter(|id| id.1 == name);
        let alike = self
            .alike
            .iter()
            .filter_map(|alike| alike.stamps.get(&stamp).filter(|id| id.1 == name));
        let old = self.old_by_stamp.get(&stamp).into_iter().flatten();
        let is_named = |number: &&usize| {
            let name_of = |class: &OldClass| NameHash::of(self.dialect, class.name.as_str());
            self.old.get(**number).map(name_of) == Some(name)
        };
        let known = current.map(|id| ClassSource::Live(*id)).into_iter();
        known
            .chain(old.filter(is_named).map(|number| ClassSource::Old(*number)))
            .chain(alike.map(|id| ClassSource::Alike(*id)))
            .take(MAX_TRIED)
            .collect()
    }

    /// The definitions of a name, whenever they were written.
    pub(super) fn of_name(&self, live: &Live, name: NameHash) -> Vec<ClassSource> {
        let homes = live.class_homes.get(&name).into_iter().flatten();
        let old = self.old_by_name.get(&name).into_iter().flatten();
        let alike = self.alike.iter().flat_map(|alike| {
            let homes = alike.homes.get(&name).into_iter().flatten();
            homes.map(|home| ClassSource::Alike((*home, name)))
        });
        homes
            .map(|home| ClassSource::Live((*home, name)))
            .chain(old.map(|number| ClassSource::Old(*number)))
            .chain(alike)
            .take(MAX_TRIED)
            .collect()
    }

    /// A class, put together with what it inherits.
    pub(super) fn class(
        &mut self,
        evidence: &Evidence,
        live: &Live,
        source: ClassSource,
    ) -> Option<Arc<FullClass>> {
        self.class_at_depth(evidence, live, source, 0)
    }

    fn class_at_depth(
        &mut self,
        evidence: &Evidence,
        live: &Live,
        source: ClassSource,
        depth: usize,
    ) -> Option<Arc<FullClass>> {
        match source {
            ClassSource::Old(number) => match self.composed.get(&number) {
                Some(known) => known.clone(),
                None => self.compose(evidence, live, number, depth),
            },
            ClassSource::Live(id) => {
                if let Some(known) = self.kept.get(&id) {
                    return known.clone();
                }
                let path = self.paths.get(&id.0)?;
                let found = self.catalog.as_ref()?.class_once(path, id.1).ok().flatten();
                let found = found
                    .filter(|class| !class.class.is_partial())
                    .map(|stored| stored.class.clone());
                if self.kept.len() >= MAX_KEPT {
                    self.kept.clear();
                }
                self.kept.insert(id, found.clone());
                found
            }
            ClassSource::Alike(id) => {
                let alike = self.alike.as_ref()?;
                let path = alike.paths.get(&id.0)?;
                let found = alike.catalog.class_once(path, id.1).ok().flatten()?;
                Some(found.class.clone())
            }
        }
    }

    /// Puts a recovered class together. Its superclass is known by its name alone, so those of that
    /// name are tried, the one of its own namespace first.
    fn compose(
        &mut self,
        evidence: &Evidence,
        live: &Live,
        number: usize,
        depth: usize,
    ) -> Option<Arc<FullClass>> {
        // While it is put together it is its own ancestor in no case.
        self.composed.insert(number, None);
        if depth >= MAX_CLASS_DEPTH {
            return None;
        }
        let old = self.old.get(number)?.clone();
        let bytes = old.place.bytes(evidence)?;
        let view = ClassRecordView::parse(&bytes).ok()?;
        let class = match &old.superclass {
            None => view.to_class(None).ok(),
            Some(superclass) => {
                let name = NameHash::of(self.dialect, superclass.as_str());
                let mut sources = self.of_name(live, name);
                sources.sort_by_key(|source| match source {
                    ClassSource::Live(id) => (Some(id.0) != old.home, 0),
                    ClassSource::Old(_) => (true, 1),
                    ClassSource::Alike(_) => (true, 2),
                });
                let mut found = None;
                for source in sources {
                    let parent = self.class_at_depth(evidence, live, source, depth + 1);
                    found = parent.and_then(|parent| view.to_class(Some(parent)).ok());
                    if found.is_some() {
                        break;
                    }
                }
                found
            }
        };
        let class = class.map(Arc::new);
        self.composed.insert(number, class.clone());
        class
    }

    /// The namespace of a definition.
    pub(super) fn home(&self, source: ClassSource) -> Option<NameHash> {
        match source {
            ClassSource::Live(id) => Some(id.0),
            ClassSource::Old(number) => self.old.get(number)?.home,
            ClassSource::Alike(id) => Some(id.0),
        }
    }
}
