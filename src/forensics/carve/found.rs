//! The proven records, each once, and what is known of each.

use std::collections::HashMap;

use crate::format::name_hash::NameHash;

use super::classes::ClassSource;
use super::place::Place;
use super::{Certainty, Kind, Status};

/// Places that are listed for one record.
const MAX_PLACES: usize = 16;

/// A namespace that an object may lie in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Home {
    /// Its path; `NS_` and its hash where the path is lost.
    pub path: String,
    /// The evidence, in words.
    pub evidence: &'static str,
    /// True if the evidence is proof.
    pub is_certain: bool,
}

/// A proven record. Its object is decoded when it is asked for.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) places: Vec<Place>,
    pub(super) certainty: Certainty,
    pub(super) status: Status,
    pub(super) stamp: Option<u64>,
    pub(super) class_stamp: Option<u64>,
    /// The definition that an instance is decoded with, or the class itself.
    pub(super) source: Option<ClassSource>,
    /// True if the class it is decoded with has the stamp that it names.
    pub(super) is_by_stamp: bool,
    pub(super) homes: Vec<Home>,
    pub(super) class: Option<String>,
    pub(super) path: Option<String>,
    pub(super) why: Vec<String>,
    pub(super) changed: Vec<String>,
    /// The text of a key, which has no record.
    pub(super) key: Option<String>,
    /// Class that declares the keys, and key, of an instance.
    pub(super) identity: Option<(NameHash, NameHash)>,
}

impl Found {
    pub(super) fn new(kind: Kind, place: Place, certainty: Certainty) -> Self {
        Self {
            kind,
            places: vec![place],
            certainty,
            status: Status::Unknown,
            stamp: None,
            class_stamp: None,
            source: None,
            is_by_stamp: false,
            homes: Vec::new(),
            class: None,
            path: None,
            why: Vec::new(),
            changed: Vec::new(),
            key: None,
            identity: None,
        }
    }

    /// The only namespace that is certain.
    pub(super) fn home(&self) -> Option<&str> {
        let mut certain = self.homes.iter().filter(|home| home.is_certain);
        let first = certain.next()?;
        certain
            .all(|home| home.path == first.path)
            .then_some(first.path.as_str())
    }
}

/// Records by their digests, so that copies count once.
#[derive(Debug, Default)]
pub(super) struct FoundSet {
    pub(super) list: Vec<Found>,
    by_digest: HashMap<(u64, usize), usize>,
}

impl FoundSet {
    /// Notes another place of a record that was found before; `false` where it was not.
    pub(super) fn note(&mut self, digest: (u64, usize), place: &Place) -> bool {
        let Some(found) = self
            .by_digest
            .get(&digest)
            .and_then(|number| self.list.get_mut(*number))
        else {
            return false;
        };
        // A record that is decoded a second time lies where it lay the first time.
        let is_known = |known: &Place| known.pages == place.pages && known.offset == place.offset;
        if found.places.iter().any(is_known) {
            return true;
        }
        if found.places.len() < MAX_PLACES {
            found.places.push(place.clone());
        }
        true
    }

    /// Adds a record.
    pub(super) fn add(&mut self, digest: (u64, usize), found: Found) {
        self.by_digest.insert(digest, self.list.len());
        self.list.push(found);
    }
}
