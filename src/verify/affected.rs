//! The objects affected by damage, as a person wants to know them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::GenerationReport;
use crate::base::corruption::Corruption;
use crate::base::error::{Error, Result};
use crate::base::page_no::{PAGE_SIZE, RecordRef};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::base::site::FileRole;
use crate::btree::scan::{Direction, KeyRange};
use crate::catalog::Catalog;
use crate::format::index::key::Key;
use crate::format::index::object_key::{KeyShape, SYSTEM_NAMESPACE};
use crate::format::name_hash::NameHash;
use crate::store::Snapshot;

/// Number of objects of each kind and namespace that are named; the others are only counted.
pub const NAMED: usize = 20;

/// Number of keys between two questions to the observer whether to go on.
const KEYS_A_STEP: usize = 1024;

/// Objects of one kind that damage affects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Touched {
    /// Number of the objects.
    pub count: u64,
    /// The first of them, at most [`NAMED`]: by name, or by hash where the name cannot be read.
    pub names: Vec<String>,
}

impl Touched {
    fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.names.len() < NAMED {
            self.names.push(name());
        }
    }
}

/// The objects that damage affects in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct AffectedNamespace {
    /// Its path, or `NS_` and its hash if no name leads to it.
    pub namespace: String,
    /// Class definitions.
    pub classes: Touched,
    /// Instances.
    pub instances: Touched,
}

/// Finds the objects whose record cannot be read or lies on a page with a finding, by namespace.
///
/// Objects are identified by their keys, so objects whose keys were lost with a page of the index
/// are missing from the result.
///
/// # Errors
/// Returns [`Error::Io`] if the system refuses, and [`Error::Cancelled`] if the observer asks to
/// stop. Damage is not an error.
pub fn affected(
    snapshot: &Snapshot,
    report: &GenerationReport,
    observer: &dyn Observer,
) -> Result<Vec<AffectedNamespace>> {
    let catalog = Catalog::new(snapshot.clone());
    let mut search = Search {
        damaged: damaged_pages(&report.findings),
        names: namespace_names(&catalog),
        found: BTreeMap::new(),
        catalog,
    };
    let monitor = Monitor::new(observer, Phase::Verify, report.keys);
    let keys = snapshot.keys(KeyRange::all(), Direction::Forward);
    // Damage of the index is reported as a finding already.
    for (number, key) in keys.flatten().enumerate() {
        if number % KEYS_A_STEP == 0 {
            monitor.advance(KEYS_A_STEP as u64)?;
        }
        search.look_at(&key)?;
    }
    Ok(search.found.into_values().collect())
}

/// Pages of the object heap with a finding.
fn damaged_pages(findings: &[Corruption]) -> BTreeSet<u32> {
    let heap = findings
        .iter()
        .filter(|finding| finding.site.role == FileRole::Objects);
    heap.filter_map(|finding| finding.site.page)
        .map(|page| page.get())
        .collect()
}

/// Paths of namespaces, indexed by their hashes.
fn namespace_names(catalog: &Catalog) -> HashMap<NameHash, String> {
    let paths = catalog
        .namespaces()
        .into_iter()
        .flatten()
        .chain([SYSTEM_NAMESPACE.to_owned()]);
    paths
        .map(|path| (catalog.keys().hash(&path), path))
        .collect()
}

struct Search {
    catalog: Catalog,
    damaged: BTreeSet<u32>,
    names: HashMap<NameHash, String>,
    found: BTreeMap<NameHash, AffectedNamespace>,
}

impl Search {
    fn look_at(&mut self, key: &Key) -> Result<()> {
        let Some(record) = key.reference() else {
            return Ok(());
        };
        let Some((namespace, shape)) = KeyShape::parse(key.as_bytes()) else {
            return Ok(());
        };
        if !matches!(shape, KeyShape::Class(_) | KeyShape::Instance(..))
            || !self.is_touched(record)?
        {
            return Ok(());
        }
        let path = match self.names.get(&namespace) {
            Some(path) => path.clone(),
            None => format!("NS_{namespace}"),
        };
        let catalog = &self.catalog;
        let found = self
            .found
            .entry(namespace)
            .or_insert_with(|| AffectedNamespace {
                namespace: path.clone(),
                ..AffectedNamespace::default()
            });
        match shape {
            KeyShape::Class(class) => found.classes.add(|| class_name(catalog, &path, class)),
            KeyShape::Instance(class, own) => {
                found
                    .instances
                    .add(|| instance_name(catalog, &path, class, own, record));
            }
            _ => {}
        }
        Ok(())
    }

    /// True if a record lies on a page with a finding, or cannot be read at all.
    fn is_touched(&self, record: RecordRef) -> Result<bool> {
        let first = record.page.get();
        let more = record.size / u32::try_from(PAGE_SIZE).unwrap_or(u32::MAX);
        if self
            .damaged
            .range(first..=first.saturating_add(more))
            .next()
            .is_some()
        {
            return Ok(true);
        }
        match self.catalog.snapshot().record_view(record) {
            Ok(_) => Ok(false),
            Err(Error::Corrupt(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// The name of a class if it can be read, else its hash.
fn class_name(catalog: &Catalog, namespace: &str, class: NameHash) -> String {
    match catalog.class_by_hash(namespace, class) {
        Ok(Some(class)) => class.class.name().as_str().to_owned(),
        _ => format!("CD_{class}"),
    }
}

/// The path of an instance if it can be read, else its class and its hash.
fn instance_name(
    catalog: &Catalog,
    namespace: &str,
    class: NameHash,
    own: NameHash,
    record: RecordRef,
) -> String {
    let stored = catalog.instance_of_record(namespace, record);
    let path = stored.ok().and_then(|stored| stored.instance.path().ok());
    path.map_or_else(
        || format!("{} IL_{own}", class_name(catalog, namespace, class)),
        |path| path.text(),
    )
}
