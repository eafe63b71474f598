//! Which namespace a found record lay in, and what became of its object since.
//!
//! An object record does not name its namespace. Each piece of evidence says whether it is proof.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use memchr::memmem;

use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::name::Name;
use crate::format::index::object_key::{KeyShape, SYSTEM_NAMESPACE};
use crate::format::name_hash::NameHash;
use crate::format::record::class_record::ClassRecordView;
use crate::format::record::instance_record::InstanceRecordView;
use crate::format::record::reference_record::ReferenceRecordView;

use super::found::{Found, Home};
use super::search::Search;
use super::{Kind, Status};

/// Namespaces that are listed for one record.
const MAX_HOMES: usize = 16;

/// A recovered reference tells the namespace of the instance that refers, by its key.
type Referrers = HashMap<(NameHash, NameHash), NameHash>;

/// The homes of one record while evidence is gathered: certain or not, and by what.
#[derive(Debug, Default)]
struct Evidence(BTreeMap<NameHash, (bool, &'static str)>);

impl Evidence {
    fn add(&mut self, namespace: NameHash, is_certain: bool, evidence: &'static str) {
        let known = self.0.entry(namespace).or_insert((is_certain, evidence));
        if is_certain && !known.0 {
            *known = (is_certain, evidence);
        }
    }

    fn is_certain(&self) -> bool {
        self.0.values().any(|(is_certain, _)| *is_certain)
    }
}

impl Search {
    /// Finds the namespaces and the fate of everything found: classes first, since instances
    /// follow theirs.
    pub(super) fn judge(&mut self) {
        let mut list = std::mem::take(&mut self.found.list);
        let referrers = self.referrers(&mut list);
        for kind in [Kind::Class, Kind::Instance] {
            for found in list.iter_mut().filter(|found| found.kind == kind) {
                self.judge_one(found, &referrers);
            }
        }
        self.found.list = list;
    }

    fn judge_one(&mut self, found: &mut Found, referrers: &Referrers) {
        let Some(bytes) = found
            .places
            .first()
            .and_then(|place| place.bytes(&self.evidence))
        else {
            return;
        };
        let homes = match found.kind {
            Kind::Class => self.homes_of_class(found, &bytes),
            _ => self.homes_of_instance(found, referrers),
        };
        if homes.0.len() > MAX_HOMES {
            let number = homes.0.len();
            found.why.push(format!("{number} namespaces are possible"));
        }
        let certain: Vec<NameHash> = homes
            .0
            .iter()
            .filter(|(_, (is_certain, _))| *is_certain)
            .map(|(namespace, _)| *namespace)
            .collect();
        let possible: Vec<NameHash> = match certain.is_empty() {
            true => homes.0.keys().copied().collect(),
            false => certain.clone(),
        };
        let shown = homes
            .0
            .iter()
            .filter(|(namespace, _)| possible.contains(namespace));
        found.homes = shown
            .take(MAX_HOMES)
            .map(|(namespace, (is_certain, evidence))| Home {
                path: self.path_of(*namespace),
                evidence,
                is_certain: *is_certain,
            })
            .collect();
        if let (Some(super::classes::ClassSource::Old(number)), [only]) =
            (found.source, certain.as_slice())
            && found.kind == Kind::Class
            && let Some(old) = self.book.old.get_mut(number)
        {
            old.home = Some(*only);
        }
        self.set_status(found, &possible, !certain.is_empty(), &bytes);
    }

    /// The path of a namespace, or `NS_` and its hash.
    pub(super) fn path_of(&self, namespace: NameHash) -> String {
        let path = self.book.paths.get(&namespace).cloned();
        path.unwrap_or_else(|| format!("NS_{namespace}"))
    }

    /// Notes what references say themselves, and collects the instances that refer.
    fn referrers(&self, list: &mut [Found]) -> Referrers {
        let mut referrers = Referrers::new();
        for found in list
            .iter_mut()
            .filter(|found| found.kind == Kind::Reference)
        {
            let bytes = found
                .places
                .first()
                .and_then(|place| place.bytes(&self.evidence));
            let parsed = bytes
                .as_deref()
                .and_then(|bytes| ReferenceRecordView::parse(bytes).ok()?.to_reference().ok());
            let Some(reference) = parsed else { continue };
            let key = reference.key.trim_start_matches('\\').as_bytes();
            let Some((namespace, KeyShape::KeyedInstance(class, key))) = KeyShape::parse(key)
            else {
                continue;
            };
            let own = NameHash::of(self.evidence.dialect, &reference.namespace);
            if own == namespace {
                referrers.insert((class, key), namespace);
                found.homes.push(Home {
                    path: self.path_of(namespace),
                    evidence: "named by the reference",
                    is_certain: true,
                });
            }
            found.identity = Some((class, key));
            let exists = self.live.instances.contains_key(&(namespace, class, key));
            found.status = match (exists, self.live.is_complete) {
                (true, _) => Status::Older,
                (false, true) => Status::Deleted,
                (false, false) => Status::Unknown,
            };
            found.why.push(format!("{} refers", reference.property));
        }
        referrers
    }

    fn homes_of_instance(&self, found: &Found, referrers: &Referrers) -> Evidence {
        let mut homes = Evidence::default();
        let dialect = self.evidence.dialect;
        let class = found
            .class
            .as_deref()
            .map(|class| NameHash::of(dialect, class));
        for (id, size) in records_of(found) {
            for (namespace, shape) in self.old_keys.names_of(id, size) {
                let key = found.identity;
                let is_same = match shape {
                    KeyShape::Instance(name, hash) => {
                        Some(*name) == class && key.is_some_and(|key| key.1 == *hash)
                    }
                    KeyShape::KeyedInstance(name, hash) => key == Some((*name, *hash)),
                    _ => false,
                };
                if is_same {
                    homes.add(*namespace, true, "old key");
                }
            }
        }
        let system = NameHash::of(dialect, SYSTEM_NAMESPACE);
        let home = found.source.and_then(|source| self.book.home(source));
        if let Some(home) = home.filter(|home| *home != system && found.is_by_stamp) {
            homes.add(home, true, "class stamp");
        }
        if let Some(namespace) = found.identity.and_then(|key| referrers.get(&key)) {
            homes.add(*namespace, true, "reference record");
        }
        if homes.is_certain() {
            return homes;
        }
        if let Some(stamp) = found.stamp
            && let Some(namespace) = self.live.neighbours(stamp)
        {
            homes.add(namespace, false, "neighbours in stamp order");
        }
        let there = found
            .identity
            .and_then(|key| self.live.instance_homes.get(&key));
        for namespace in there.into_iter().flatten() {
            homes.add(*namespace, false, "an object of this key is there");
        }
        homes
    }

    fn homes_of_class(&self, found: &Found, bytes: &[u8]) -> Evidence {
        let mut homes = Evidence::default();
        let dialect = self.evidence.dialect;
        let Some(name) = found
            .class
            .as_deref()
            .map(|name| NameHash::of(dialect, name))
        else {
            return homes;
        };
        for (id, size) in records_of(found) {
            for (namespace, shape) in self.old_keys.names_of(id, size) {
                if matches!(shape, KeyShape::Class(hash) if *hash == name) {
                    homes.add(*namespace, true, "old key");
                }
            }
        }
        for namespace in signatures(bytes) {
            let namespace = NameHash::of(dialect, &namespace);
            if self.book.paths.contains_key(&namespace) {
                homes.add(namespace, true, "method signature");
            }
        }
        if homes.is_certain() {
            return homes;
        }
        let system = NameHash::of(dialect, SYSTEM_NAMESPACE);
        let Ok(view) = ClassRecordView::parse(bytes) else {
            return homes;
        };
        let is_amended = is_amended(&view);
        // Amended classes lie in the namespace of a language, and hardly any other class does.
        let may_hold = |namespace: &NameHash| is_language(&self.path_of(*namespace)) == is_amended;
        let above = view.superclass().ok().flatten();
        let above = above.map(|name| NameHash::of(dialect, &name));
        let above = above.and_then(|name| self.live.class_homes.get(&name));
        if let Some([only]) = above.map(Vec::as_slice)
            && *only != system
            && self.live.is_complete
            && may_hold(only)
        {
            // A superclass of that name may have been deleted elsewhere, with its own keys gone.
            homes.add(*only, false, "superclass");
        }
        if let Some(stamp) = found.stamp
            && let Some(namespace) = self.live.neighbours(stamp)
            && may_hold(&namespace)
        {
            homes.add(namespace, false, "neighbours in stamp order");
        }
        let there = self.live.class_homes.get(&name).into_iter().flatten();
        for namespace in there.filter(|namespace| may_hold(namespace)) {
            homes.add(*namespace, false, "a class of this name is there");
        }
        if homes.0.is_empty() {
            for namespace in self.live.class_homes.get(&name).into_iter().flatten() {
                homes.add(*namespace, false, "a class of this name is there");
            }
        }
        let alike = self.book.alike().and_then(|alike| alike.homes.get(&name));
        if let Some([only]) = alike.map(Vec::as_slice) {
            homes.add(*only, false, "the similar repository has it there");
        }
        homes
    }

    /// Compares a record with the object that exists now under its identity.
    fn set_status(
        &mut self,
        found: &mut Found,
        possible: &[NameHash],
        is_certain: bool,
        bytes: &[u8],
    ) {
        if !self.live.has_keys {
            return;
        }
        let record_in = |namespace: &NameHash| match (found.kind, found.identity) {
            (Kind::Class, _) => {
                let name = NameHash::of(self.evidence.dialect, found.class.as_deref()?);
                self.live.classes.get(&(*namespace, name)).copied()
            }
            (_, Some((class, key))) => self.live.instances.get(&(*namespace, class, key)).copied(),
            _ => None,
        };
        let now: Vec<_> = possible
            .iter()
            .filter_map(|namespace| Some((*namespace, record_in(namespace)?)))
            .collect();
        if found.kind == Kind::Instance && found.identity.is_none() {
            return;
        }
        match now.as_slice() {
            [] if is_certain || !self.is_there_anywhere(found) => {
                if self.live.is_complete {
                    found.status = Status::Deleted;
                }
            }
            [] => {}
            [(namespace, record), rest @ ..] => {
                let is_only = is_certain || possible.len() == 1;
                let stamp = self.live.stamp(*record);
                found.status = match stamp.cmp(&found.stamp) {
                    Ordering::Less if stamp.is_some() && is_certain => Status::Newer,
                    _ => Status::Older,
                };
                if is_only && rest.is_empty() {
                    let path = self.path_of(*namespace);
                    self.compare(found, &path, *record, bytes);
                }
            }
        }
    }

    fn is_there_anywhere(&self, found: &Found) -> bool {
        match (found.kind, found.identity) {
            (Kind::Class, _) => found.class.as_deref().is_some_and(|name| {
                let name = NameHash::of(self.evidence.dialect, name);
                self.live.class_homes.contains_key(&name)
            }),
            (_, Some(key)) => self.live.instance_homes.contains_key(&key),
            _ => true,
        }
    }

    /// Lists what differs between a record and the object of today.
    fn compare(
        &mut self,
        found: &mut Found,
        namespace: &str,
        record: crate::base::page_no::RecordRef,
        bytes: &[u8],
    ) {
        let Some(source) = found.source else { return };
        let class = self.book.class(&self.evidence, &self.live, source);
        let Some(catalog) = self.book.catalog().cloned() else {
            return;
        };
        let changed = match (found.kind, class) {
            (Kind::Class, Some(old)) => {
                let name = catalog.keys().hash(old.name().as_str());
                let now = catalog.class_once(namespace, name).ok().flatten();
                now.map(|now| class_changes(&old, &now.class))
            }
            (_, Some(class)) => {
                let old = InstanceRecordView::parse(bytes, self.evidence.dialect)
                    .and_then(|view| view.to_instance(&class));
                let now = catalog.instance_of_record(namespace, record);
                match (old, now) {
                    (Ok(old), Ok(now)) => Some(instance_changes(&old, &now.instance)),
                    _ => None,
                }
            }
            _ => None,
        };
        if let Some(changed) = changed {
            if changed.is_empty() {
                found.why.push("rewritten with the same values".to_owned());
            }
            found.changed = changed;
        }
    }
}

/// True if a class has its texts in a language, for a class of another namespace.
fn is_amended(view: &ClassRecordView<'_>) -> bool {
    view.class_part().qualifiers().iter().any(|qualifier| {
        let name = qualifier.and_then(|qualifier| qualifier.name());
        name.is_ok_and(|name| name.to_text().eq_ignore_ascii_case("amendment"))
    })
}

/// True if a namespace holds the texts of one language.
fn is_language(path: &str) -> bool {
    let last = path.rsplit('\\').next().unwrap_or_default();
    last.get(..3)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("ms_"))
}

/// The ids and sizes that tables of contents give a record.
fn records_of(found: &Found) -> impl Iterator<Item = (u32, u32)> {
    found
        .places
        .iter()
        .filter_map(|place| Some((place.record_id?, place.size)))
}

/// The namespaces that the signatures of methods in a class record name: flags 5, the name of a
/// server, the path, and the empty class that every signature is derived from.
fn signatures(bytes: &[u8]) -> Vec<String> {
    const EMPTY_CLASS: &[u8] = &[0x1D, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
    const LONGEST: usize = 512;
    let mut found = Vec::new();
    for at in memmem::find_iter(bytes, EMPTY_CLASS) {
        let front = bytes
            .get(at.saturating_sub(LONGEST)..at)
            .and_then(|front| front.strip_suffix(&[0]));
        let Some((before, path)) = front.and_then(last_text) else {
            continue;
        };
        let is_headed = before
            .strip_suffix(&[0])
            .and_then(last_text)
            .is_some_and(|(before, _)| before.last() == Some(&5));
        let path: String = path.iter().copied().map(char::from).collect();
        if is_headed && !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// The encoded text that ends here, without its end: what stands before its flag, and the text.
fn last_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let flag = memchr::memrchr(0, bytes)?;
    Some((bytes.get(..flag)?, bytes.get(flag + 1..)?))
}

fn instance_changes(old: &Instance, now: &Instance) -> Vec<String> {
    let mut changed: Vec<String> = Vec::new();
    for (property, value) in old.values() {
        let name = property.name.as_str();
        if now.get(name).ok().flatten() != value {
            changed.push(name.to_owned());
        }
    }
    let is_new = |name: &Name| old.class().property(name.as_str()).is_none();
    let new = now.values().map(|(property, _)| &property.name);
    changed.extend(
        new.filter(|name| is_new(name))
            .map(|name| name.as_str().to_owned()),
    );
    changed
}

fn class_changes(old: &FullClass, now: &FullClass) -> Vec<String> {
    let mut changed = Vec::new();
    let (before, after) = (old.declaration(), now.declaration());
    if before.superclass != after.superclass {
        changed.push("superclass".to_owned());
    }
    if before.qualifiers != after.qualifiers {
        changed.push("qualifiers".to_owned());
    }
    for property in &before.properties {
        if after.property(property.name.as_str()) != Some(property) {
            changed.push(property.name.as_str().to_owned());
        }
    }
    for method in &before.methods {
        if after.method(method.name.as_str()) != Some(method) {
            changed.push(method.name.as_str().to_owned());
        }
    }
    let new = after.properties.iter().map(|property| &property.name);
    let new = new.filter(|name| before.property(name.as_str()).is_none());
    changed.extend(new.map(|name| name.as_str().to_owned()));
    changed
}
