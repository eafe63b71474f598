//! A class and all that are derived from it, wherever in a namespace or among the system classes
//! they lie.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::catalog::{Catalog, ClassesByHash, StoredClass};
use crate::cim::name::Name;
use crate::format::index::object_key::SYSTEM_NAMESPACE;

/// A class and all that are derived from it.
#[derive(Debug)]
pub(super) struct Family {
    /// The class itself first, then those below, nearest first.
    pub(super) classes: Vec<Arc<StoredClass>>,
    /// Why classes below are missing here.
    pub(super) faults: Vec<Error>,
}

impl Family {
    /// The family of a class that a namespace sees.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Io`]. A class that cannot be read is a fault, and what is
    /// derived from it alone is not found.
    pub(super) fn of(catalog: &Catalog, namespace: &str, top: Arc<StoredClass>) -> Result<Self> {
        let mut seen = BTreeSet::from([top.class.name().clone()]);
        let mut ahead = VecDeque::from([top.clone()]);
        let mut family = Self {
            classes: vec![top],
            faults: Vec::new(),
        };
        while let Some(parent) = ahead.pop_front() {
            for below in direct(catalog, namespace, &parent) {
                match below {
                    Ok(class) if seen.insert(class.class.name().clone()) => {
                        ahead.push_back(class.clone());
                        family.classes.push(class);
                    }
                    Ok(_) => {}
                    Err(error @ Error::Corrupt(_)) => family.faults.push(error),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(family)
    }

    /// The class itself.
    pub(super) fn top(&self) -> Option<&Arc<StoredClass>> {
        self.classes.first()
    }

    pub(super) fn below(&self) -> &[Arc<StoredClass>] {
        self.classes.get(1..).unwrap_or_default()
    }

    pub(super) fn by_hash(&self, catalog: &Catalog) -> ClassesByHash {
        by_hash(catalog, self.classes.iter())
    }
}

pub(super) fn by_hash<'c>(
    catalog: &Catalog,
    classes: impl Iterator<Item = &'c Arc<StoredClass>>,
) -> ClassesByHash {
    let hashed = |name: &Name| (catalog.keys().hash(name.as_str()), name.clone());
    classes.map(|class| hashed(class.class.name())).collect()
}

/// The classes that are derived directly from another. The marker of a system class lies among the
/// system's; the class that a namespace sees under that name may be one of its own, with another
/// superclass.
pub(super) fn direct<'d>(
    catalog: &'d Catalog,
    namespace: &'d str,
    parent: &'d StoredClass,
) -> impl Iterator<Item = Result<Arc<StoredClass>>> + 'd {
    let name = parent.class.name();
    derived_from(catalog, namespace, Some(name))
}

/// The same by the name of the superclass; `None` asks for classes without one.
pub(super) fn derived_from<'d>(
    catalog: &'d Catalog,
    namespace: &'d str,
    parent: Option<&'d Name>,
) -> impl Iterator<Item = Result<Arc<StoredClass>>> + 'd {
    let name = parent.map(Name::as_str);
    let is_system = is_system(catalog, namespace);
    let own = catalog.subclasses(namespace, name);
    let system = (!is_system).then(|| catalog.subclasses(SYSTEM_NAMESPACE, name));
    let seen = move |class: Result<Arc<StoredClass>>| {
        let class = class?;
        Ok(catalog
            .class(namespace, class.class.name().as_str())?
            .unwrap_or(class))
    };
    let is_derived = move |class: &Result<Arc<StoredClass>>| {
        class.as_ref().map_or(true, |class| {
            class.class.declaration().superclass.as_ref() == parent
        })
    };
    own.chain(system.into_iter().flatten().map(seen))
        .filter(is_derived)
}

pub(super) fn is_system(catalog: &Catalog, namespace: &str) -> bool {
    let keys = catalog.keys();
    keys.namespace_hash(namespace) == keys.hash(SYSTEM_NAMESPACE)
}
