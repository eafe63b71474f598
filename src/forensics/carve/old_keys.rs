//! Old keys as remnants, and the names that their hashes stand for.

use std::collections::HashSet;

use crate::base::page_no::Space;
use crate::format::index::object_key::KeyShape;
use crate::format::name_hash::NameHash;

use super::found::{Found, Home};
use super::names::Names;
use super::place::Place;
use super::regions::Region;
use super::search::Search;
use super::{Certainty, Kind, Status, keys, live};

impl Search {
    /// Finds the paths of namespaces that are gone: texts in the files, and recovered instances of
    /// `__NAMESPACE` below known ones.
    pub(super) fn name_namespaces(&mut self) {
        let lost = |namespace: &NameHash| !self.book.paths.contains_key(namespace);
        let namespaces = self.old_keys.keys.iter().filter_map(|key| key.namespace);
        let mut wanted: HashSet<NameHash> = namespaces.filter(lost).collect();
        if wanted.is_empty() {
            return;
        }
        let children: Vec<String> = self.recovered_namespaces();
        let mut parents: Vec<String> = self.book.paths.values().cloned().collect();
        let mut next = 0;
        // Each name is tried below each namespace once, those found meanwhile included.
        while let Some(parent) = parents.get(next).cloned() {
            next += 1;
            for child in &children {
                let path = format!(r"{parent}\{child}");
                let hash = NameHash::of(self.evidence.dialect(), &path);
                if wanted.remove(&hash) {
                    parents.push(path.clone());
                    self.book.paths.insert(hash, path);
                }
            }
        }
        let names = Names::search(&self.evidence, wanted);
        self.book.paths.extend(names.found);
    }

    /// The names of recovered instances of `__NAMESPACE`, each once, as far as a bound allows.
    fn recovered_namespaces(&self) -> Vec<String> {
        const MOST: usize = 1024;
        let is_namespace = |found: &&Found| {
            let class = found.class.as_deref();
            found.kind == Kind::Instance
                && class.is_some_and(|class| class.eq_ignore_ascii_case("__NAMESPACE"))
        };
        let paths = self.found.list.iter().filter(is_namespace);
        let names = paths.filter_map(|found| found.path.as_deref()?.split('"').nth(1));
        let names: HashSet<String> = names.map(str::to_owned).collect();
        names.into_iter().take(MOST).collect()
    }

    /// Adds the keys of earlier states as remnants of their own.
    pub(super) fn add_keys(&mut self) {
        let classes = self.old_keys.keys.iter().filter_map(|key| match key.shape {
            Some(KeyShape::Class(class) | KeyShape::Instance(class, _)) => Some(class),
            Some(KeyShape::KeyedInstance(class, _)) => Some(class),
            Some(KeyShape::Subclass(_, class) | KeyShape::ClassReference(_, class)) => Some(class),
            _ => None,
        });
        let names = Names::search(&self.evidence, classes.collect());
        self.counts.cut += u32::from(names.was_cut());
        let keys = std::mem::take(&mut self.old_keys.keys);
        for key in &keys {
            let found = self.key(key, &names);
            self.found.list.push(found);
        }
        self.old_keys.keys = keys;
    }

    fn key(&self, key: &keys::OldKey, names: &Names) -> Found {
        let text = String::from_utf8_lossy(&key.text).into_owned();
        let place = Place {
            space: Space::Index,
            pages: vec![key.page],
            offset: 0,
            size: crate::base::narrow(key.text.len()),
            region: Region::FreePage,
            record_id: None,
        };
        let mut found = Found::new(Kind::Key, place, Certainty::Certain);
        let is_there = self
            .live
            .has_key(live::without_record(&key.text), &self.digests);
        found.status = match (is_there, self.live.is_complete) {
            (true, _) => Status::Older,
            (false, true) => Status::Deleted,
            (false, false) => Status::Unknown,
        };
        let class = match key.shape {
            Some(KeyShape::Class(class) | KeyShape::Instance(class, _)) => Some(class),
            Some(KeyShape::KeyedInstance(class, _) | KeyShape::Reference(class, ..)) => Some(class),
            Some(KeyShape::Subclass(_, class) | KeyShape::ClassReference(_, class)) => Some(class),
            None => None,
        };
        found.class = class.and_then(|class| names.found.get(&class).cloned());
        found.homes = key
            .namespace
            .map(|namespace| Home {
                path: self.path_of(namespace),
                evidence: "old key",
                is_certain: true,
            })
            .into_iter()
            .collect();
        found.key = Some(text);
        if let Some(record) = key.record() {
            let id = record.id;
            found
                .why
                .push(format!("named record {id} of {} bytes", record.size));
        }
        found
    }
}
