//! Data queries: the instances of a class and of those derived from it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::bind::{Asked, Binder};
use super::column::Subject;
use super::explain::AccessPath;
use super::family::{Family, is_system};
use super::filter::Filter;
use super::lookups::MAX_LOOKUPS;
use super::notes::{NoteCode, Notes};
use super::options::QueryOptions;
use super::plan::{Access, Planner};
use super::row::{InstanceRow, Projection, Row};
use super::rows::{Counters, Source};
use super::{explain, near};
use crate::base::error::{Error, Result};
use crate::base::page_no::RecordRef;
use crate::base::query_error::{QueryCode, QueryError, quote};
use crate::catalog::{
    Catalog, ClassesByHash, InstanceRange, RangeInstances, StoredClass, StoredInstance,
};
use crate::cim::full_class::FullClass;
use crate::cim::name::Name;
use crate::text::wql::{At, Columns, Select};

/// The class whose instances are notifications.
const EVENT: &str = "__Event";

/// A data query whose names are known, with its plan.
pub(super) struct Data {
    catalog: Catalog,
    namespace: Arc<str>,
    family: Family,
    filter: Option<Filter>,
    projection: Option<Arc<Projection>>,
    access: Access,
}

/// The class that a name means, or why none.
pub(super) fn known_class(
    catalog: &Catalog,
    namespace: &str,
    name: &At<Name>,
) -> Result<Arc<StoredClass>> {
    let wanted = name.value.as_str();
    if let Some(class) = catalog.class(namespace, wanted)? {
        return Ok(class);
    }
    let text = format!("{} has no class {}", quote(namespace), quote(wanted));
    let error = QueryError::new(QueryCode::UnknownClass, name.span.range(), text);
    Err(match near::class(catalog, namespace, wanted) {
        Some(help) => error.help(help),
        None => error,
    }
    .into())
}

impl Data {
    pub(super) fn prepare(
        catalog: &Catalog,
        namespace: &str,
        select: &Select,
        options: &QueryOptions,
        notes: &mut Notes,
    ) -> Result<Self> {
        let class = known_class(catalog, namespace, &select.class)?;
        let mut binder = Binder {
            catalog,
            namespace,
            asked: Asked::Instances(&class),
            notes,
        };
        let projection = match &select.columns.value {
            Columns::Named(columns) => {
                let bound = columns
                    .iter()
                    .map(|column| binder.listed(column))
                    .collect::<Result<Vec<_>>>()?;
                Some(Arc::new(Projection::new(bound)))
            }
            Columns::All | Columns::Count => None,
        };
        let filter = select
            .condition
            .as_ref()
            .map(|condition| binder.condition(condition))
            .transpose()?;

        let is_event = class.class.is_a(EVENT);
        let family = Family::of(catalog, namespace, class)?;
        if is_event {
            note_events(namespace, &family, notes);
        }
        note_dynamic(namespace, &family, notes);

        let planner = Planner {
            catalog,
            namespace,
            family: &family,
            filter: filter.as_ref(),
        };
        let access = match options.full_scan {
            true => planner.full_scan(),
            false => planner.plan()?,
        };
        let (catalog, namespace) = (catalog.clone(), namespace.into());
        Ok(Self {
            catalog,
            namespace,
            family,
            filter,
            projection,
            access,
        })
    }

    pub(super) fn rows(self) -> DataRows {
        let wanted = Arc::new(self.family.by_hash(&self.catalog));
        let (lookups, ranges) = match self.access {
            Access::Nothing => (None, VecDeque::new()),
            Access::Keys(class, texts) => (Some((class, texts.into_iter())), VecDeque::new()),
            Access::Ranges(ranges) => (None, ranges.into_iter().map(|(range, _)| range).collect()),
        };
        DataRows {
            catalog: self.catalog,
            namespace: self.namespace,
            faults: self.family.faults.into(),
            wanted,
            filter: self.filter,
            projection: self.projection,
            lookups,
            given: HashSet::new(),
            ranges,
            current: None,
        }
    }

    pub(super) fn explain(&self, notes: &Notes) -> Result<explain::Explanation> {
        let top = self.family.top();
        let (catalog, namespace) = (&self.catalog, &*self.namespace);
        let keys = catalog.keys();
        let ranges = |range: &InstanceRange, name: &Name| match range {
            InstanceRange::Class(hash) => AccessPath::range(
                "range",
                format!(r"NS({namespace})\CI({name})\IL_*"),
                keys,
                namespace,
                'C',
                hash,
            ),
            InstanceRange::KeyClass(hash) => AccessPath::range(
                "range",
                format!(r"NS({namespace})\KI({name})\I_*"),
                keys,
                namespace,
                'K',
                hash,
            ),
            InstanceRange::Namespace => {
                AccessPath::all(format!(r"NS({namespace})\CI_*"), keys, namespace)
            }
        };
        let access: Vec<AccessPath> = match &self.access {
            Access::Nothing => Vec::new(),
            Access::Keys(class, texts) => {
                let key_class = class.class.key_class();
                let name = key_class
                    .as_ref()
                    .map_or("", |key_class| key_class.name().as_str());
                texts
                    .iter()
                    .map(|text| AccessPath::key(keys, namespace, name, text))
                    .collect()
            }
            Access::Ranges(found) => found
                .iter()
                .map(|(range, name)| ranges(range, name))
                .collect(),
        };
        let estimate = self.estimate()?;
        Ok(explain::Explanation {
            kind: "data",
            namespace: namespace.into(),
            class: top.map_or_else(String::new, |top| top.class.name().as_str().to_owned()),
            is_system_class: top.is_some_and(|top| top.is_system && !is_system(catalog, namespace)),
            access,
            condition: self.filter.as_ref().map(explain::condition_text),
            keys: estimate,
            are_more_keys: estimate >= explain::MAX_COUNTED,
            classes: self.family.classes.len() as u64,
            dynamic_classes: self
                .family
                .classes
                .iter()
                .filter(|class| is_dynamic(&class.class))
                .count() as u64,
            notes: notes.listed().to_vec(),
        })
    }

    /// The number of keys that are read at most, counted up to a bound.
    fn estimate(&self) -> Result<u64> {
        let ranges = match &self.access {
            Access::Nothing => return Ok(0),
            Access::Keys(_, texts) => return Ok(texts.len() as u64),
            Access::Ranges(ranges) => ranges,
        };
        let wanted = Arc::new(self.family.by_hash(&self.catalog));
        let mut count = 0;
        for (range, _) in ranges {
            let mut keys = self
                .catalog
                .instances_in(&self.namespace, *range, wanted.clone());
            while let Some(next) = keys.next_unread() {
                match next {
                    Err(Error::Cancelled) => return Err(Error::Cancelled),
                    _ => count += 1,
                }
                if count >= explain::MAX_COUNTED {
                    return Ok(count);
                }
            }
        }
        Ok(count)
    }
}

fn note_events(namespace: &str, family: &Family, notes: &mut Notes) {
    let Some(top) = family.top() else { return };
    notes.push(NoteCode::EventClass, || {
        format!(
            "{namespace}:{} is a class of events; Windows delivers events and stores none",
            top.class.name()
        )
    });
}

/// True if a provider computes the instances of a class.
pub(super) fn is_dynamic(class: &FullClass) -> bool {
    class.qualifiers().is_true("dynamic")
}

/// Says that Windows computes the instances of a class, or of every class below that may have any.
pub(super) fn note_dynamic(namespace: &str, family: &Family, notes: &mut Notes) {
    let Some(top) = family.top() else { return };
    let is_abstract = |class: &FullClass| class.declaration().qualifiers.is_true("abstract");
    let mut concrete = family
        .below()
        .iter()
        .filter(|class| !is_abstract(&class.class))
        .peekable();
    let are_all = concrete.peek().is_some() && concrete.all(|class| is_dynamic(&class.class));
    if !is_dynamic(&top.class) && !are_all {
        return;
    }
    let dynamic: Vec<&FullClass> = family
        .classes
        .iter()
        .map(|class| &*class.class)
        .filter(|class| is_dynamic(class))
        .collect();
    notes.push(NoteCode::Dynamic, || {
        const NAMED: usize = 3;
        let mut providers: Vec<&str> = dynamic
            .iter()
            .filter_map(|class| class.qualifiers().text("provider"))
            .collect();
        providers.sort_unstable();
        providers.dedup();
        let named: Vec<String> = providers
            .iter()
            .take(NAMED)
            .map(|provider| quote(provider))
            .collect();
        let more = if providers.len() > NAMED {
            " and others"
        } else {
            ""
        };
        let (name, number) = (top.class.name(), dynamic.len());
        let classes = if number == 1 {
            "1 dynamic class".to_owned()
        } else {
            format!("{number} dynamic classes")
        };
        let by = if named.is_empty() {
            String::new()
        } else {
            format!(", provider {}{more}", named.join(", "))
        };
        format!(
            "{namespace}:{name}: {classes}{by}; their instances are computed by Windows while it \
                runs and are not part of the repository"
        )
    });
}

/// The rows of a data query.
pub(super) struct DataRows {
    catalog: Catalog,
    namespace: Arc<str>,
    faults: VecDeque<Error>,
    wanted: Arc<ClassesByHash>,
    filter: Option<Filter>,
    projection: Option<Arc<Projection>>,
    lookups: Option<(Arc<StoredClass>, std::vec::IntoIter<String>)>,
    /// The records that look-ups have given: at most as many as there are look-ups.
    given: HashSet<RecordRef>,
    ranges: VecDeque<InstanceRange>,
    current: Option<RangeInstances>,
}

const _: () = assert!(
    MAX_LOOKUPS <= 1_024,
    "the set of records that were given stays small"
);

impl Source for DataRows {
    fn next(&mut self, _: &mut Notes, counters: &mut Counters) -> Option<Result<Row>> {
        if let Some(fault) = self.faults.pop_front() {
            return Some(Err(fault));
        }
        loop {
            let found = match self.next_instance(counters)? {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            let subject = Subject::Instance(&self.namespace, &found.instance);
            let holds = self
                .filter
                .as_ref()
                .map_or(Ok(true), |filter| filter.holds(&self.catalog, subject));
            match holds {
                Ok(false) => {}
                Ok(true) => {
                    let (namespace, projection) = (self.namespace.clone(), self.projection.clone());
                    return Some(Ok(Row::Instance(Box::new(InstanceRow {
                        namespace,
                        stored: found,
                        projection,
                    }))));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl DataRows {
    /// The next instance that the access path leads to, before the condition is tested.
    fn next_instance(&mut self, counters: &mut Counters) -> Option<Result<StoredInstance>> {
        if let Some((class, texts)) = &mut self.lookups {
            for text in texts {
                counters.keys += 1;
                match self
                    .catalog
                    .instance_with_key(&self.namespace, class, &text)
                {
                    Ok(Some(found)) if self.given.insert(found.record) => {
                        counters.records += 1;
                        return Some(Ok(found));
                    }
                    Ok(_) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
            return None;
        }
        loop {
            if self.current.is_none() {
                let range = self.ranges.pop_front()?;
                self.current = Some(self.catalog.instances_in(
                    &self.namespace,
                    range,
                    self.wanted.clone(),
                ));
            }
            let Some(range) = &mut self.current else {
                return None;
            };
            let next = range.next();
            let read = range.take_count();
            counters.keys += read.keys;
            counters.records += read.records;
            if next.is_some() {
                return next;
            }
            self.current = None;
        }
    }
}
