//! Association queries on an instance: who refers to it, and what these refer to besides.
//!
//! The index leads from the instance to its referrers. A record there stands for one property, so
//! that each referrer is read and all its references are looked at.

use std::collections::HashSet;
use std::sync::Arc;

use super::data::{is_dynamic, known_class, note_dynamic};
use super::explain::{AccessPath, Explanation};
use super::family::Family;
use super::notes::{NoteCode, Notes};
use super::options::QueryOptions;
use super::row::{InstanceRow, Projection, Row};
use super::rows::{Counters, Source};
use super::schema::class_row;
use crate::base::error::{Error, Result};
use crate::base::query_error::{QueryCode, QueryError, quote};
use crate::catalog::{Catalog, Referrer, StoredClass, StoredInstance};
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::name::{Name, same};
use crate::cim::path::ObjectPath;
use crate::cim::value::Value;
use crate::format::record::reference_record::ReferenceRecord;
use crate::text::wql::{Association, AssociationKind, At};

/// The object in braces.
#[derive(Debug, Clone)]
pub(super) struct Target {
    namespace: Arc<str>,
    class: Arc<StoredClass>,
    /// The class whose name stands in the keys of references to it.
    key_class: Name,
    key_text: String,
}

/// An association query whose names are known.
pub(super) struct Assoc {
    catalog: Catalog,
    /// The namespace that was asked.
    namespace: Arc<str>,
    association: Association,
    target: Target,
    options: QueryOptions,
}

/// The class and the namespace of the object in braces.
pub(super) fn source(
    catalog: &Catalog,
    namespace: &str,
    path: &At<ObjectPath>,
) -> Result<(Arc<str>, Arc<StoredClass>)> {
    let namespace = match &path.value.namespace {
        None => namespace.to_owned(),
        Some(other) => {
            let found = catalog.find_namespace(other)?;
            found.ok_or_else(|| {
                let text = format!("there is no namespace {}", quote(other));
                QueryError::new(QueryCode::UnknownNamespace, path.span.range(), text)
            })?
        }
    };
    let name = At::new(path.value.class.clone(), path.span);
    let class = known_class(catalog, &namespace, &name)?;
    Ok((namespace.into(), class))
}

/// Refuses a clause that names a class which is not there: a misspelt filter must not look like an
/// answer.
pub(super) fn ensure_classes(
    catalog: &Catalog,
    namespace: &str,
    association: &Association,
) -> Result<()> {
    for name in [&association.assoc_class, &association.result_class]
        .into_iter()
        .flatten()
    {
        known_class(catalog, namespace, name)?;
    }
    Ok(())
}

impl Assoc {
    pub(super) fn prepare(
        catalog: &Catalog,
        namespace: &str,
        association: &Association,
        options: &QueryOptions,
        notes: &mut Notes,
    ) -> Result<Self> {
        let path = &association.path;
        let (home, class) = source(catalog, namespace, path)?;
        if !options.may_read(&home)? {
            return Err(Error::denied(format!(
                "the objects of {home} may not be read"
            )));
        }
        let key_text = class.class.key_text_of(&path.value).map_err(|mismatch| {
            QueryError::new(QueryCode::PathKeys, path.span.range(), mismatch.to_string())
        })?;
        ensure_classes(catalog, namespace, association)?;

        let key_class = class.class.key_class();
        let key_class = key_class.map_or_else(
            || class.class.name().clone(),
            |key_class| key_class.name().clone(),
        );
        let target = Target {
            namespace: home,
            class,
            key_class,
            key_text,
        };
        target.ensure_there(catalog, path, notes)?;
        let (catalog, namespace) = (catalog.clone(), namespace.into());
        Ok(Self {
            catalog,
            namespace,
            association: association.clone(),
            target,
            options: options.clone(),
        })
    }

    pub(super) fn rows(self) -> AssocRows {
        let Target {
            namespace,
            key_class,
            key_text,
            ..
        } = &self.target;
        let referrers = self
            .catalog
            .referrers_of(namespace, key_class.as_str(), key_text);
        let projection = self
            .association
            .keys_only
            .then(|| Arc::new(Projection::Keys));
        AssocRows {
            referrers: Box::new(referrers),
            assoc: self,
            projection,
            pending: Vec::new(),
            classes: HashSet::new(),
            denied: HashSet::new(),
            last_namespace: None,
        }
    }

    pub(super) fn explain(&self, notes: &Notes) -> Explanation {
        let Target {
            namespace,
            key_class,
            key_text,
            class,
        } = &self.target;
        let key = self
            .catalog
            .keys()
            .references(namespace, key_class.as_str(), key_text);
        let shown = key_text.replace('\u{FFFF}', ",");
        let names = format!(r#"NS({namespace})\KI({key_class})\IR("{shown}")\R_*"#);
        Explanation {
            kind: "association",
            namespace: self.namespace.as_ref().into(),
            class: class.class.name().as_str().to_owned(),
            is_system_class: class.is_system,
            access: vec![AccessPath {
                how: "referrers",
                names,
                key,
            }],
            condition: None,
            keys: 0,
            are_more_keys: true,
            classes: 0,
            dynamic_classes: 0,
            notes: notes.listed().to_vec(),
        }
    }
}

impl Target {
    /// Refuses an object that is not stored and that nothing refers to; of one that others refer to
    /// a note says so.
    fn ensure_there(
        &self,
        catalog: &Catalog,
        path: &At<ObjectPath>,
        notes: &mut Notes,
    ) -> Result<()> {
        let found = catalog.instance_with_key(&self.namespace, &self.class, &self.key_text);
        match found {
            Ok(Some(_)) => return Ok(()),
            // What lies there cannot be read: it is stored.
            Err(Error::Corrupt(_)) => return Ok(()),
            Err(error) => return Err(error),
            Ok(None) => {}
        }
        let shown = quote(&path.value.clone().in_namespace(&*self.namespace).text());
        let prefix =
            catalog
                .keys()
                .references(&self.namespace, self.key_class.as_str(), &self.key_text);
        if catalog.snapshot().find(prefix.as_bytes())?.is_some() {
            notes.push(NoteCode::SourceNotStored, || {
                format!("{shown} is not stored; others refer to it")
            });
            return Ok(());
        }
        if is_dynamic(&self.class.class) {
            let family = Family {
                classes: vec![self.class.clone()],
                faults: Vec::new(),
            };
            note_dynamic(&self.namespace, &family, notes);
            return Ok(());
        }
        let text = format!("{shown} is not stored, and nothing refers to it");
        Err(QueryError::new(QueryCode::SourceMissing, path.span.range(), text).into())
    }

    /// True if a reference that is made in a namespace means this object.
    fn is_meant(&self, catalog: &Catalog, namespace: &str, text: &str) -> Result<bool> {
        let Ok(path) = text.parse::<ObjectPath>() else {
            return Ok(false);
        };
        let there = path.namespace.as_deref().unwrap_or(namespace);
        if !same(there, &self.namespace)
            || !path
                .key_text()
                .is_some_and(|text| same(&text, &self.key_text))
        {
            return Ok(false);
        }
        let key_class = match catalog.class(there, path.class.as_str())? {
            None => path.class.clone(),
            Some(class) if class.class.key_text_of(&path).is_err() => return Ok(false),
            Some(class) => match class.class.key_class() {
                Some(key_class) => key_class.name().clone(),
                None => class.class.name().clone(),
            },
        };
        Ok(key_class == self.key_class)
    }
}

/// The rows of an association query.
pub(super) struct AssocRows {
    assoc: Assoc,
    referrers: Box<dyn Iterator<Item = Result<Referrer>> + Send>,
    projection: Option<Arc<Projection>>,
    /// Rows of the referrer at hand, last first: one for each of its references at most.
    pending: Vec<Result<InstanceRow>>,
    /// The classes given so far, for `ClassDefsOnly`.
    classes: HashSet<(Arc<str>, Name)>,
    /// Namespaces that were left out for want of a right.
    denied: HashSet<Arc<str>>,
    /// The last namespace that was looked up.
    last_namespace: Option<Arc<str>>,
}

impl Source for AssocRows {
    fn next(&mut self, notes: &mut Notes, counters: &mut Counters) -> Option<Result<Row>> {
        loop {
            match self.pending.pop() {
                Some(Ok(row)) if self.assoc.association.class_defs_only => {
                    if let Some(class) = self.class_of(&row).transpose() {
                        return Some(class);
                    }
                }
                Some(row) => return Some(row.map(|row| Row::Instance(Box::new(row)))),
                None => match self.read_referrer(notes, counters)? {
                    Ok(()) => {}
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    }
}

impl AssocRows {
    /// The class of a row, the first time.
    fn class_of(&mut self, row: &InstanceRow) -> Result<Option<Row>> {
        let name = row.stored.instance.class().name();
        let Some(class) = self.assoc.catalog.class(&row.namespace, name.as_str())? else {
            return Ok(None);
        };
        let class = class_row(&row.namespace, class);
        let is_new = self.classes.insert((class.namespace.clone(), name.clone()));
        Ok(is_new.then_some(Row::Class(class)))
    }

    /// Reads the next referrer, and leaves the rows that come of it.
    fn read_referrer(&mut self, notes: &mut Notes, counters: &mut Counters) -> Option<Result<()>> {
        let referrer = match self.referrers.next()? {
            Ok(referrer) => referrer,
            Err(error) => return Some(Err(error)),
        };
        counters.keys += 1;
        counters.records += 1;
        Some(self.follow(&referrer.reference, notes, counters))
    }

    fn follow(
        &mut self,
        reference: &ReferenceRecord,
        notes: &mut Notes,
        counters: &mut Counters,
    ) -> Result<()> {
        let namespace = self.spelled(&reference.namespace)?;
        if !self.may_read(&namespace, notes)? {
            return Ok(());
        }
        let Some(found) = self.assoc.catalog.referring_instance(reference)? else {
            let shown = quote(&format!("{}:{}", reference.namespace, reference.class));
            let text = || {
                format!(
                    "{shown}: an instance is recorded to refer to the object, and is not stored"
                )
            };
            notes.push(NoteCode::Dangling, text);
            return Ok(());
        };
        counters.records += 1;
        let own = self.properties_meant(&namespace, &found.instance)?;
        if own.is_empty() {
            let shown = quote(&path_in(&namespace, &found));
            notes.push(NoteCode::Dangling, || {
                format!("{shown} is recorded to refer to the object, and does not")
            });
            return Ok(());
        }
        match self.assoc.association.kind {
            AssociationKind::References => {
                self.reference(namespace, found, &own);
                Ok(())
            }
            AssociationKind::Associators => {
                self.associators(&namespace, &found, &own, notes, counters)
            }
        }
    }

    /// The names of the reference properties of a referrer that mean the object.
    fn properties_meant(&self, namespace: &str, referrer: &Instance) -> Result<Vec<Name>> {
        let mut meant = Vec::new();
        for (property, value) in referrer.values() {
            let Some(Value::Reference(text)) = value else {
                continue;
            };
            if self
                .assoc
                .target
                .is_meant(&self.assoc.catalog, namespace, text)?
            {
                meant.push(property.name.clone());
            }
        }
        Ok(meant)
    }

    /// The referrer itself as a row, if the clauses let it pass.
    fn reference(&mut self, namespace: Arc<str>, found: StoredInstance, own: &[Name]) {
        let clauses = &self.assoc.association;
        let passes = role_among(&clauses.role, own)
            && is_of(&clauses.result_class, found.instance.class())
            && has_qualifier(&clauses.required_qualifier, &found.instance);
        if passes {
            let projection = self.projection.clone();
            self.pending.push(Ok(InstanceRow {
                namespace,
                stored: found,
                projection,
            }));
        }
    }

    /// Targets of the referrer other than the object, a row for each of its other references.
    fn associators(
        &mut self,
        namespace: &Arc<str>,
        found: &StoredInstance,
        own: &[Name],
        notes: &mut Notes,
        counters: &mut Counters,
    ) -> Result<()> {
        let clauses = self.assoc.association.clone();
        let passes = is_of(&clauses.assoc_class, found.instance.class())
            && has_qualifier(&clauses.required_assoc_qualifier, &found.instance);
        if !passes {
            return Ok(());
        }
        let ends: Vec<&Name> = own
            .iter()
            .filter(|name| is_named(&clauses.role, name))
            .collect();
        for (property, value) in found.instance.values() {
            let Some(Value::Reference(text)) = value else {
                continue;
            };
            let is_other_end = ends.iter().any(|end| **end != property.name);
            if !is_other_end || !is_named(&clauses.result_role, &property.name) {
                continue;
            }
            match self.endpoint(namespace, text, notes) {
                Ok(Some((place, stored))) => {
                    counters.records += 1;
                    let passes = is_of(&clauses.result_class, stored.instance.class())
                        && has_qualifier(&clauses.required_qualifier, &stored.instance);
                    if passes {
                        let projection = self.projection.clone();
                        self.pending.push(Ok(InstanceRow {
                            namespace: place,
                            stored,
                            projection,
                        }));
                    }
                }
                Ok(None) => {
                    let from = quote(&path_in(namespace, found));
                    let to = quote(text);
                    notes.push(NoteCode::Dangling, || {
                        format!("{from} leads to {to}, which is not stored")
                    });
                }
                Err(Error::AccessDenied(_)) => {}
                Err(error @ (Error::Cancelled | Error::Io { .. })) => return Err(error),
                // One end that cannot be read hides no other.
                Err(error) => self.pending.push(Err(error)),
            }
        }
        self.pending.reverse();
        Ok(())
    }

    /// The object that a reference leads to, and its namespace.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] when its namespace may not be read, which a note says.
    fn endpoint(
        &mut self,
        namespace: &Arc<str>,
        text: &str,
        notes: &mut Notes,
    ) -> Result<Option<(Arc<str>, StoredInstance)>> {
        let Ok(path) = text.parse::<ObjectPath>() else {
            return Ok(None);
        };
        let place = match &path.namespace {
            None => namespace.clone(),
            Some(other) => self.spelled(other)?,
        };
        if !self.may_read(&place, notes)? {
            return Err(Error::denied("the namespace may not be read"));
        }
        let catalog = &self.assoc.catalog;
        let Some(class) = catalog.class(&place, path.class.as_str())? else {
            return Ok(None);
        };
        let Ok(key_text) = class.class.key_text_of(&path) else {
            return Ok(None);
        };
        let found = catalog.instance_with_key(&place, &class, &key_text)?;
        Ok(found.map(|found| (place, found)))
    }

    /// A namespace as the repository spells it; as it is given where it is not there.
    fn spelled(&mut self, namespace: &str) -> Result<Arc<str>> {
        let known = [&self.assoc.target.namespace, &self.assoc.namespace]
            .into_iter()
            .chain(&self.last_namespace);
        if let Some(known) = known.into_iter().find(|known| same(known, namespace)) {
            return Ok(known.clone());
        }
        let found = self.assoc.catalog.find_namespace(namespace)?;
        let spelled: Arc<str> = found.unwrap_or_else(|| namespace.to_owned()).into();
        self.last_namespace = Some(spelled.clone());
        Ok(spelled)
    }

    fn may_read(&mut self, namespace: &Arc<str>, notes: &mut Notes) -> Result<bool> {
        if self.denied.contains(namespace) {
            return Ok(false);
        }
        if same(namespace, &self.assoc.namespace) || self.assoc.options.may_read(namespace)? {
            return Ok(true);
        }
        self.denied.insert(namespace.clone());
        notes.push(NoteCode::PassedOver, || {
            format!("{namespace}: the right to read it is missing; what lies there is left out")
        });
        Ok(false)
    }
}

/// The path of an instance with its namespace; of one without a key its class.
fn path_in(namespace: &str, stored: &StoredInstance) -> String {
    let class = stored.instance.class().name();
    let path = stored
        .instance
        .path()
        .unwrap_or_else(|_| ObjectPath::of_class(class.clone()));
    path.in_namespace(namespace).text()
}

/// True if a name is the one of a clause, if that is given.
pub(super) fn is_named(clause: &Option<At<Name>>, name: &Name) -> bool {
    clause.as_ref().is_none_or(|wanted| wanted.value == *name)
}

fn role_among(clause: &Option<At<Name>>, names: &[Name]) -> bool {
    names.iter().any(|name| is_named(clause, name))
}

/// True if a class is the one of a clause, if that is given, or derived from it.
pub(super) fn is_of(clause: &Option<At<Name>>, class: &FullClass) -> bool {
    clause
        .as_ref()
        .is_none_or(|wanted| class.is_a(wanted.value.as_str()))
}

/// True if an instance or its class has the qualifier of a clause, if that is given, whatever its
/// value.
fn has_qualifier(clause: &Option<At<Name>>, instance: &Instance) -> bool {
    clause.as_ref().is_none_or(|wanted| {
        let name = wanted.value.as_str();
        instance.qualifiers.get(name).is_some() || instance.class().qualifiers().get(name).is_some()
    })
}
