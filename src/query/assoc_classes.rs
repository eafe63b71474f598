//! Association queries on a class (`SchemaOnly`): the classes that refer to it, and those that
//! these refer to besides.

use std::collections::HashSet;
use std::sync::Arc;

use super::assoc::{ensure_classes, is_named, is_of, source};
use super::explain::{AccessPath, Explanation};
use super::family::is_system;
use super::notes::{NoteCode, Notes};
use super::options::QueryOptions;
use super::row::Row;
use super::rows::{Counters, Source};
use super::schema::class_row;
use crate::base::error::{Error, Result};
use crate::base::query_error::quote;
use crate::catalog::{Catalog, StoredClass};
use crate::cim::full_class::FullClass;
use crate::cim::name::Name;
use crate::format::index::object_key::SYSTEM_NAMESPACE;
use crate::text::wql::{Association, AssociationKind, At};

/// An association query on a class.
pub(super) struct ClassAssoc {
    catalog: Catalog,
    namespace: Arc<str>,
    association: Association,
    class: Arc<StoredClass>,
}

/// A reference of an association class: its name and the class that it is to.
struct Reference<'c> {
    name: &'c Name,
    target: &'c str,
    /// True if the class that is asked for may stand there, in the role that is asked for.
    is_role: bool,
}

type Classes = Box<dyn Iterator<Item = Result<Arc<StoredClass>>> + Send>;

impl ClassAssoc {
    pub(super) fn prepare(
        catalog: &Catalog,
        namespace: &str,
        association: &Association,
        options: &QueryOptions,
    ) -> Result<Self> {
        let (namespace, class) = source(catalog, namespace, &association.path)?;
        if !options.may_read(&namespace)? {
            return Err(Error::denied(format!(
                "the objects of {namespace} may not be read"
            )));
        }
        ensure_classes(catalog, &namespace, association)?;
        Ok(Self {
            catalog: catalog.clone(),
            namespace,
            association: association.clone(),
            class,
        })
    }

    pub(super) fn rows(self) -> ClassAssocRows {
        let candidates = self.candidates();
        ClassAssocRows {
            assoc: self,
            candidates,
            seen: HashSet::new(),
            pending: Vec::new(),
        }
    }

    /// The names of the class and all that it is derived from.
    fn chain(&self) -> Vec<Name> {
        let class = &self.class.class;
        [class.name()]
            .into_iter()
            .chain(class.derivation())
            .cloned()
            .collect()
    }

    /// The classes with a reference to a class of the chain: by the markers of the namespace and by
    /// those of the system.
    fn candidates(&self) -> Classes {
        let (catalog, namespace) = (self.catalog.clone(), self.namespace.clone());
        let has_own = !is_system(&catalog, &namespace);
        Box::new(self.chain().into_iter().flat_map(move |target| {
            let own = catalog.classes_referring_to(&namespace, target.as_str());
            let system =
                has_own.then(|| catalog.classes_referring_to(SYSTEM_NAMESPACE, target.as_str()));
            let (catalog, namespace) = (catalog.clone(), namespace.clone());
            // The namespace may hide a class of the system.
            let seen = move |class: Result<Arc<StoredClass>>| {
                let class = class?;
                Ok(catalog
                    .class(&namespace, class.class.name().as_str())?
                    .unwrap_or(class))
            };
            own.chain(system.into_iter().flatten().map(seen))
        }))
    }

    fn references<'c>(&self, class: &'c FullClass) -> Vec<Reference<'c>> {
        let role = &self.association.role;
        let reference = |property: &'c crate::cim::FullProperty| {
            let target = property.reference_class()?;
            let is_role = self.class.class.is_a(target) && is_named(role, &property.name);
            Some(Reference {
                name: &property.name,
                target,
                is_role,
            })
        };
        class
            .properties()
            .iter()
            .filter_map(|property| reference(property))
            .collect()
    }

    pub(super) fn explain(&self) -> Explanation {
        let keys = self.catalog.keys();
        let prefix = keys.namespace(&self.namespace);
        let path = |target: &Name| AccessPath {
            how: "referrers",
            names: format!(r"NS({})\CR({target})\R_*, and the system's", self.namespace),
            key: format!(r"{prefix}CR_{}\R_", keys.hash(target.as_str())),
        };
        Explanation {
            kind: "class association",
            namespace: self.namespace.as_ref().into(),
            class: self.class.class.name().as_str().to_owned(),
            is_system_class: self.class.is_system,
            access: self.chain().iter().map(path).collect(),
            condition: None,
            keys: 0,
            are_more_keys: true,
            classes: 0,
            dynamic_classes: 0,
            notes: Vec::new(),
        }
    }
}

/// The rows of an association query on a class.
pub(super) struct ClassAssocRows {
    assoc: ClassAssoc,
    candidates: Classes,
    /// The association classes met so far: at most as many as there are classes.
    seen: HashSet<Name>,
    /// Rows of the association class at hand, last first.
    pending: Vec<Arc<StoredClass>>,
}

impl Source for ClassAssocRows {
    fn next(&mut self, notes: &mut Notes, counters: &mut Counters) -> Option<Result<Row>> {
        loop {
            if let Some(class) = self.pending.pop() {
                return Some(Ok(Row::Class(class_row(&self.assoc.namespace, class))));
            }
            let class = match self.candidates.next()? {
                Ok(class) => class,
                Err(error) => return Some(Err(error)),
            };
            counters.keys += 1;
            if !self.seen.insert(class.class.name().clone()) {
                continue;
            }
            counters.records += 1;
            if let Err(error) = self.look_at(&class, notes) {
                return Some(Err(error));
            }
        }
    }
}

impl ClassAssocRows {
    /// Leaves the rows that come of an association class.
    fn look_at(&mut self, class: &Arc<StoredClass>, notes: &mut Notes) -> Result<()> {
        let references = self.assoc.references(&class.class);
        let clauses = &self.assoc.association;
        if !references.iter().any(|reference| reference.is_role) {
            return Ok(());
        }
        if clauses.kind == AssociationKind::References {
            if is_of(&clauses.result_class, &class.class)
                && has_qualifier(&clauses.required_qualifier, &class.class)
            {
                self.pending.push(class.clone());
            }
            return Ok(());
        }
        let passes = references.len() > 1
            && is_of(&clauses.assoc_class, &class.class)
            && has_qualifier(&clauses.required_assoc_qualifier, &class.class);
        if !passes {
            return Ok(());
        }
        let mut found = Vec::new();
        for end in &references {
            let from_another = references
                .iter()
                .any(|other| other.is_role && other.name != end.name);
            // An end that the class itself may take leads to what stands above it, not to itself.
            let from_itself = end.is_role && *self.assoc.class.class.name() != end.target;
            if !(from_another || from_itself) || !is_named(&clauses.result_role, end.name) {
                continue;
            }
            match self
                .assoc
                .catalog
                .class(&self.assoc.namespace, end.target)?
            {
                None => {
                    let (name, namespace) = (class.class.name(), &self.assoc.namespace);
                    let (property, target) = (end.name, quote(end.target));
                    notes.push(NoteCode::MissingClass, || {
                        format!(
                            "{namespace}:{name}.{property} refers to the class {target}, which \
                            is not there"
                        )
                    });
                }
                Some(target) => {
                    let passes = is_of(&clauses.result_class, &target.class)
                        && has_qualifier(&clauses.required_qualifier, &target.class);
                    found.extend(passes.then_some(target));
                }
            }
        }
        found.reverse();
        self.pending = found;
        Ok(())
    }
}

fn has_qualifier(clause: &Option<At<Name>>, class: &FullClass) -> bool {
    clause
        .as_ref()
        .is_none_or(|wanted| class.qualifiers().get(wanted.value.as_str()).is_some())
}
