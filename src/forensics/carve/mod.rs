//! Records of earlier states, found in the parts of the files that the current state does not use.
//!
//! One search goes over every region: pages of older generations, free pages, the slack of pages
//! and of index nodes, raw bytes. What it gives are whole records, each proven by its structure and
//! by the class it belongs to, with the place of every copy to the byte. A record that equals one
//! of the current state is counted and not given. The work is linear in the files, and what had to
//! be left out because of a limit is counted ([`Counts::cut`]).

mod classes;
mod evidence;
mod found;
mod homes;
mod keys;
mod live;
mod multi;
mod names;
mod old_keys;
mod place;
mod regions;
#[cfg(feature = "serde")]
pub mod row;
pub mod scan;
mod search;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::base::error::Result;
use crate::base::page_no::Space;
use crate::base::progress::{Monitor, Observer, Phase};
use crate::catalog::Catalog;
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::format::name_hash::NameHash;
use crate::format::record::instance_record::InstanceRecordView;
use crate::format::record::reference_record::{ReferenceRecord, ReferenceRecordView};
use crate::store::Snapshot;

use classes::{Alike, ClassBook};
use found::Found;
use keys::OldKeys;
use live::{Digests, Live};
use regions::Regions;
use search::Search;

pub use evidence::Evidence;
pub use found::Home;
pub use place::Place;
pub use regions::Region;

/// The kind of a remnant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
pub enum Kind {
    /// A definition of a class.
    Class,
    /// An instance.
    Instance,
    /// A record that an instance refers to another.
    Reference,
    /// A key of the index.
    Key,
}

/// The fate of the object that a remnant is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
pub enum Status {
    /// No object of this identity exists in any namespace that is possible.
    Deleted,
    /// The object exists now with another record.
    Older,
    /// The record was written after that of the current state.
    Newer,
    /// Which object it was, or what became of it, is not known.
    Unknown,
}

/// How sure it is that a remnant is what it is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
pub enum Certainty {
    /// Proven.
    Certain,
    /// Everything fits, and something else might fit as well.
    Probable,
}

/// Totals of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pieces of bytes that were searched, by the name of their region.
    pub regions: BTreeMap<String, u64>,
    /// Records outside mapped pages that equal one of the current state.
    pub same: u32,
    /// Records of tables of contents that could not be decoded.
    pub undecoded: u32,
    /// Records on several pages of which not all pages were found.
    pub incomplete: u32,
    /// Pages that could not be read.
    pub unreadable: u32,
    /// Regions that were not searched to the end because of a limit.
    pub cut: u32,
}

impl Counts {
    fn looked_at(&mut self, region: Region, pieces: u64) {
        let count = self.regions.entry(region.name()).or_default();
        *count = count.saturating_add(pieces);
    }
}

/// The object in a remnant.
#[derive(Debug, Clone)]
pub enum Object {
    /// A class with what it inherits.
    Class(Arc<FullClass>),
    /// An instance.
    Instance(Box<Instance>),
    /// A reference.
    Reference(ReferenceRecord),
}

/// A record, or a key, of an earlier state.
#[derive(Debug, Clone)]
pub struct Remnant {
    /// The kind.
    pub kind: Kind,
    /// The fate of its object.
    pub status: Status,
    /// How sure it is.
    pub certainty: Certainty,
    /// The path of the namespace, where only one is possible and the evidence is proof.
    pub namespace: Option<String>,
    /// The namespaces that are possible, each with its evidence.
    pub namespaces: Vec<Home>,
    /// The name of the class.
    pub class: Option<String>,
    /// The path of the object, without its namespace; of a key its text.
    pub path: Option<String>,
    /// The stamp of the record: a FILETIME that tells the order of writes, and is no clock.
    pub written: Option<u64>,
    /// The stamp of the class record that an instance was written under.
    pub class_written: Option<u64>,
    /// Remarks, in words.
    pub why: Vec<String>,
    /// Properties that differ from the object of today.
    pub changed: Vec<String>,
    /// Every place of the record, the first one first.
    pub places: Vec<Place>,
    /// The bytes of the record; of a key its text.
    pub bytes: Vec<u8>,
    /// The object, where it can be decoded.
    pub object: Option<Object>,
}

/// How to search.
#[derive(Debug, Default)]
pub struct CarveOptions {
    alike: Option<Snapshot>,
}

impl CarveOptions {
    /// A search without other sources.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes class definitions, and hints where classes lie, from a healthy repository of a similar
    /// system.
    #[must_use]
    pub fn like(mut self, snapshot: Snapshot) -> Self {
        self.alike = Some(snapshot);
        self
    }
}

/// The remnants in the files of a repository, in order of kind, namespace, class, path and time.
/// The search is done when it is made; records are decoded one at a time.
#[derive(Debug)]
pub struct Carver {
    search: Search,
    order: std::vec::IntoIter<usize>,
}

impl Carver {
    /// Searches the files.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled) when the observer asks for it,
    /// [`Error::Io`](crate::Error::Io) when the system refuses to read the index.
    pub fn new(evidence: Evidence, options: CarveOptions, observer: &dyn Observer) -> Result<Self> {
        let pages = Space::ALL
            .iter()
            .map(|space| u64::from(evidence.pages(*space)));
        let monitor = Monitor::new(observer, Phase::Carve, pages.sum::<u64>());
        let digests = Digests::default();
        let regions = Regions::of(&evidence);
        let snapshot = evidence
            .repository
            .as_ref()
            .map(|repository| repository.snapshot());
        let live = match &snapshot {
            Some(snapshot) => Live::of(snapshot, &digests, &monitor)?,
            None => Live::default(),
        };
        let old_keys = OldKeys::of(&evidence, &regions, &live, &digests, &monitor)?;
        let alike = options.alike.map(|snapshot| alike(&snapshot));
        let book = ClassBook::new(evidence.dialect(), snapshot.map(Catalog::new), alike);
        let mut search = Search {
            evidence,
            regions,
            live,
            old_keys,
            book,
            digests,
            found: found::FoundSet::default(),
            counts: Counts::default(),
        };
        search.run(&monitor)?;
        search.name_namespaces();
        search.judge();
        search.add_keys();
        let list = &search.found.list;
        let mut order: Vec<usize> = (0..list.len()).collect();
        order.sort_by_cached_key(|number| list.get(*number).map(sort_key));
        Ok(Self {
            search,
            order: order.into_iter(),
        })
    }

    /// The totals of the search.
    pub const fn counts(&self) -> &Counts {
        &self.search.counts
    }

    /// True if every key of the index was read, so that what is missing there is deleted.
    pub const fn knows_what_is_there(&self) -> bool {
        self.search.live.is_complete
    }

    fn remnant(&mut self, number: usize) -> Option<Remnant> {
        let found = self.search.found.list.get(number)?.clone();
        let bytes = match &found.key {
            Some(key) => key.clone().into_bytes(),
            None => found
                .places
                .first()
                .and_then(|place| place.bytes(&self.search.evidence))
                .unwrap_or_default(),
        };
        let object = self.object(&found, &bytes);
        Some(Remnant {
            kind: found.kind,
            status: found.status,
            certainty: found.certainty,
            namespace: found.home().map(str::to_owned),
            namespaces: found.homes,
            class: found.class,
            path: found.key.or(found.path),
            written: found.stamp,
            class_written: found.class_stamp,
            why: found.why,
            changed: found.changed,
            places: found.places,
            bytes,
            object,
        })
    }

    fn object(&mut self, found: &Found, bytes: &[u8]) -> Option<Object> {
        let search = &mut self.search;
        let mut class = || {
            search
                .book
                .class(&search.evidence, &search.live, found.source?)
        };
        match found.kind {
            Kind::Class => class().map(Object::Class),
            Kind::Instance => {
                let class = class()?;
                let view = InstanceRecordView::parse(bytes, search.evidence.dialect).ok()?;
                let instance = view.to_instance(&class).ok()?;
                Some(Object::Instance(Box::new(instance)))
            }
            Kind::Reference => {
                let view = ReferenceRecordView::parse(bytes).ok()?;
                view.to_reference().ok().map(Object::Reference)
            }
            Kind::Key => None,
        }
    }
}

impl Iterator for Carver {
    type Item = Remnant;

    fn next(&mut self) -> Option<Remnant> {
        let number = self.order.next()?;
        self.remnant(number)
    }
}

type SortKey = (
    Kind,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<u64>,
);

fn sort_key(found: &Found) -> SortKey {
    let (namespace, path) = (found.home().map(str::to_owned), &found.path);
    let path = found.key.as_ref().or(path.as_ref()).cloned();
    (
        found.kind,
        namespace,
        found.class.clone(),
        path,
        found.stamp,
    )
}

/// The classes of a repository that is given for comparison.
fn alike(snapshot: &Snapshot) -> Alike {
    let catalog = Catalog::new(snapshot.clone());
    let paths = classes::paths_of(&catalog);
    let mut homes: HashMap<NameHash, Vec<NameHash>> = HashMap::new();
    let mut stamps = HashMap::new();
    for (namespace, path) in &paths {
        for class in catalog.classes(path).flatten() {
            let name = catalog.keys().hash(class.class.name().as_str());
            homes.entry(name).or_default().push(*namespace);
            stamps.insert(class.stamp.0, (*namespace, name));
        }
    }
    Alike {
        catalog,
        homes,
        stamps,
        paths,
    }
}
