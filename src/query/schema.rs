//! Schema queries: the classes that a namespace sees, its own and those of the system that it does
//! not hide.

use std::sync::Arc;

use super::bind::{Asked, Binder};
use super::column::Subject;
use super::explain::{self, AccessPath};
use super::family::{Family, derived_from, is_system};
use super::filter::Filter;
use super::notes::Notes;
use super::options::QueryOptions;
use super::row::{ClassRow, Row};
use super::rows::{Counters, Source};
use super::schema_plan::ClassAccess;
use crate::base::corruption::CorruptionCode;
use crate::base::error::{Error, Result};
use crate::base::query_error::{QueryCode, QueryError};
use crate::catalog::{Catalog, StoredClass};
use crate::cim::class::Class;
use crate::cim::full_class::FullClass;
use crate::cim::name::Name;
use crate::format::index::object_key::SYSTEM_NAMESPACE;
use crate::format::record::reader::BadRecord;
use crate::text::wql::{Columns, Select};

/// The class of classes, in the words of the language.
pub(super) const META_CLASS: &str = "meta_class";

/// A schema query whose names are known, with its plan.
pub(super) struct Schema {
    catalog: Catalog,
    namespace: Arc<str>,
    filter: Option<Filter>,
    access: ClassAccess,
}

/// Classes as they are found.
type Classes = Box<dyn Iterator<Item = Result<Arc<StoredClass>>> + Send>;

impl Schema {
    pub(super) fn prepare(
        catalog: &Catalog,
        namespace: &str,
        select: &Select,
        options: &QueryOptions,
        notes: &mut Notes,
    ) -> Result<Self> {
        if let Columns::Named(columns) = &select.columns.value {
            let at = columns
                .first()
                .map_or(select.columns.span, |first| first.span());
            let text = "a query for classes selects * or COUNT(*)";
            return Err(QueryError::new(QueryCode::SchemaStar, at.range(), text).into());
        }
        let mut binder = Binder {
            catalog,
            namespace,
            asked: Asked::Classes,
            notes,
        };
        let filter = select
            .condition
            .as_ref()
            .map(|condition| binder.condition(condition))
            .transpose()?;
        let access = if options.full_scan {
            ClassAccess::All
        } else {
            ClassAccess::of(filter.as_ref())
        };
        Ok(Self {
            catalog: catalog.clone(),
            namespace: namespace.into(),
            filter,
            access,
        })
    }

    pub(super) fn rows(self) -> Result<SchemaRows> {
        let classes = self.classes()?;
        Ok(SchemaRows {
            catalog: self.catalog,
            namespace: self.namespace,
            filter: self.filter,
            classes,
        })
    }

    fn classes(&self) -> Result<Classes> {
        let (catalog, namespace) = (self.catalog.clone(), self.namespace.clone());
        Ok(match &self.access {
            ClassAccess::Names(names) => {
                let mut once: Vec<Name> = Vec::new();
                for name in names.iter().map(|name| Name::from(name.as_str())) {
                    if !once.contains(&name) {
                        once.push(name);
                    }
                }
                Box::new(
                    once.into_iter().filter_map(move |name| {
                        catalog.class(&namespace, name.as_str()).transpose()
                    }),
                )
            }
            ClassAccess::Family(top) => match catalog.class(&namespace, top.as_str())? {
                None => Box::new(std::iter::empty()),
                Some(top) => {
                    let Family { classes, faults } = Family::of(&catalog, &namespace, top)?;
                    Box::new(
                        faults
                            .into_iter()
                            .map(Err)
                            .chain(classes.into_iter().map(Ok)),
                    )
                }
            },
            ClassAccess::Derived(parent) => {
                let found: Vec<_> = derived_from(&catalog, &namespace, parent.as_ref()).collect();
                Box::new(found.into_iter())
            }
            ClassAccess::ByName => self.by_name(),
            ClassAccess::All => {
                let own = catalog.classes(&namespace);
                match is_system(&catalog, &namespace) {
                    true => Box::new(own),
                    false => {
                        let system = catalog.classes(SYSTEM_NAMESPACE);
                        Box::new(own.chain(
                            system.filter(move |class| is_visible(&catalog, &namespace, class)),
                        ))
                    }
                }
            }
        })
    }

    /// Looks at names alone, and puts together only the classes whose names fulfil the condition.
    fn by_name(&self) -> Classes {
        let (catalog, namespace) = (self.catalog.clone(), self.namespace.clone());
        let filter = self.filter.clone();
        let own = catalog.class_names(&namespace);
        let system =
            (!is_system(&catalog, &namespace)).then(|| catalog.class_names(SYSTEM_NAMESPACE));
        let own = own.map(|name| (false, name));
        let system = system.into_iter().flatten().map(|name| (true, name));
        Box::new(own.chain(system).filter_map(move |(of_system, name)| {
            let (name, hash) = match name {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            let passes = of_name(&name).and_then(|class| {
                let subject = Subject::Class(&namespace, &class);
                filter
                    .as_ref()
                    .map_or(Ok(true), |filter| filter.holds(&catalog, subject))
            });
            match passes {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
            let place = if of_system {
                SYSTEM_NAMESPACE
            } else {
                &*namespace
            };
            let found = catalog.class_once(place, hash).transpose()?;
            (!of_system || is_visible(&catalog, &namespace, &found)).then_some(found)
        }))
    }

    pub(super) fn explain(&self, notes: &Notes) -> Result<explain::Explanation> {
        let (keys, namespace) = (self.catalog.keys(), &*self.namespace);
        let access = match &self.access {
            ClassAccess::Names(names) => names
                .iter()
                .map(|name| AccessPath::class(keys, namespace, name))
                .collect(),
            ClassAccess::Family(top) => vec![AccessPath::below(
                keys,
                namespace,
                Some(top),
                "subclass tree",
            )],
            ClassAccess::Derived(parent) => {
                vec![AccessPath::below(keys, namespace, parent.as_ref(), "range")]
            }
            ClassAccess::ByName => vec![AccessPath::classes(keys, namespace, "names")],
            ClassAccess::All => vec![AccessPath::classes(keys, namespace, "range")],
        };
        Ok(explain::Explanation {
            kind: "schema",
            namespace: namespace.into(),
            class: META_CLASS.to_owned(),
            is_system_class: false,
            access,
            condition: self.filter.as_ref().map(explain::condition_text),
            keys: 0,
            are_more_keys: true,
            classes: 0,
            dynamic_classes: 0,
            notes: notes.listed().to_vec(),
        })
    }
}

/// A class of which nothing but the name is known: enough for a condition on `__CLASS`.
fn of_name(name: &Name) -> Result<FullClass> {
    Ok(FullClass::compose(
        Class::builder(name.clone()).build(),
        None,
    )?)
}

/// True if a namespace sees a class of the system: it has none of that name itself. A class that
/// cannot be read is seen, so that it is reported.
fn is_visible(catalog: &Catalog, namespace: &str, class: &Result<Arc<StoredClass>>) -> bool {
    let Ok(class) = class else { return true };
    let key = catalog.keys().class(namespace, class.class.name().as_str());
    !catalog
        .snapshot()
        .reference(key.as_bytes())
        .is_ok_and(|record| record.is_some())
}

/// The rows of a schema query.
pub(super) struct SchemaRows {
    catalog: Catalog,
    namespace: Arc<str>,
    filter: Option<Filter>,
    classes: Classes,
}

impl Source for SchemaRows {
    fn next(&mut self, _: &mut Notes, counters: &mut Counters) -> Option<Result<Row>> {
        loop {
            let class = match self.classes.next()? {
                Ok(class) => class,
                Err(error) => return Some(Err(error)),
            };
            counters.keys += 1;
            counters.records += 1;
            if let Err(error) = self.ensure_named(&class) {
                return Some(Err(error));
            }
            let subject = Subject::Class(&self.namespace, &class.class);
            let holds = self
                .filter
                .as_ref()
                .map_or(Ok(true), |filter| filter.holds(&self.catalog, subject));
            match holds {
                Ok(true) => return Some(Ok(Row::Class(class_row(&self.namespace, class)))),
                Ok(false) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl SchemaRows {
    /// A class without a name answers to none.
    fn ensure_named(&self, class: &StoredClass) -> Result<(), Error> {
        if !class.class.name().as_str().is_empty() {
            return Ok(());
        }
        let bad = BadRecord {
            offset: 0,
            what: "the class has no name",
        };
        Err(self
            .catalog
            .bad(CorruptionCode::RecordClass, class.record, bad))
    }
}

/// A class as a row, in the namespace where it lies.
pub(super) fn class_row(namespace: &Arc<str>, class: Arc<StoredClass>) -> ClassRow {
    let namespace = if class.is_system {
        SYSTEM_NAMESPACE.into()
    } else {
        namespace.clone()
    };
    ClassRow { namespace, class }
}
