//! Differences between the content of two repositories: namespaces, classes, instances. The place
//! and time of storage and the order of keys do not matter. Spelling, the order of properties and
//! qualifiers, and whether something is inherited or stated do matter.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Catalog, Census, Counted, KeyFault, ObjectKey, StoredInstance};
use crate::base::corruption::Corruption;
use crate::base::error::{Error, Result};
use crate::cim::class::{Class, Method, Property, Setting};
use crate::cim::instance::Instance;
use crate::cim::name::{Name, to_upper};
use crate::cim::qualifier::QualifierSet;
use crate::cim::value::Value;
use crate::format::index::object_key::{ObjectKeys, SYSTEM_NAMESPACE};
use crate::text::mof;

/// The kind of object that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
pub enum What {
    /// A namespace.
    Namespace,
    /// A class.
    Class,
    /// An instance.
    Instance,
}

/// The way in which an object differs.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Only the first repository has it.
    Removed,
    /// Only the second repository has it.
    Added,
    /// Both have it, with these differences.
    Changed(Vec<Detail>),
}

/// One difference within an object, with both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// The differing part in words: `property Query`, `qualifiers`, `superclass`.
    pub what: String,
    /// The content on the first side; `None` if that part does not exist there.
    pub first: Option<Content>,
    /// The content on the second side.
    pub second: Option<Content>,
}

impl Detail {
    fn text(what: impl Into<String>, first: impl Into<String>, second: impl Into<String>) -> Self {
        let text = |text: String| Some(Content::Text(text));
        Self {
            what: what.into(),
            first: text(first.into()),
            second: text(second.into()),
        }
    }
}

/// The content of one side of a [`Detail`].
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// NULL.
    Null,
    /// A value of a property.
    Value(Value),
    /// A declaration as MOF, a name, or a number of occurrences.
    Text(String),
}

impl Content {
    fn of(value: Option<&Value>) -> Self {
        value.map_or(Content::Null, |value| Content::Value(value.clone()))
    }
}

/// An object that differs between the two.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The kind of the object.
    pub what: What,
    /// Its path as stored; must be escaped for printing.
    pub path: String,
    /// The way in which it differs.
    pub change: Change,
}

/// A result of a comparison.
#[derive(Debug)]
pub enum Compared {
    /// A difference.
    Difference(Difference),
    /// An object of the first or second repository that cannot be read. It is not compared further.
    Unreadable {
        /// True if it belongs to the second repository.
        second: bool,
        /// The reason.
        error: Error,
    },
}

/// Compares the content of two snapshots. Each difference and each unreadable object is passed to
/// `visit`, which decides whether to go on. Returns for each side the objects named by keys, and
/// how many of them were compared.
///
/// # Errors
/// Returns errors other than damage, such as refusals of the system.
pub fn diff(
    first: &Catalog,
    second: &Catalog,
    visit: &mut dyn FnMut(Compared) -> bool,
) -> Result<[Census; 2]> {
    diff_below(first, second, None, visit)
}

/// Compares the content of a namespace and those below it, or everything, like [`diff`], if there
/// is no namespace.
///
/// # Errors
/// The errors of [`diff`].
pub fn diff_below(
    first: &Catalog,
    second: &Catalog,
    top: Option<&str>,
    visit: &mut dyn FnMut(Compared) -> bool,
) -> Result<[Census; 2]> {
    let (first, second) = (&first.each_once(), &second.each_once());
    let census = [Census::of(first), Census::of(second)];
    let mut walk = Walk {
        sides: [first, second],
        visit,
        is_over: false,
        census,
        unnamed: HashSet::new(),
    };
    let [a, b] = [walk.namespaces(0, top)?, walk.namespaces(1, top)?];
    let [a, b] = [named_as_in(first, &a, &b), named_as_in(second, &b, &a)];
    let mut all: BTreeMap<String, [Option<String>; 2]> = BTreeMap::new();
    for (side, namespaces) in [a, b].into_iter().enumerate() {
        for (name, namespace) in namespaces {
            if let Some(slot) = all.entry(to_upper(&name)).or_default().get_mut(side) {
                *slot = Some(namespace);
            }
        }
    }
    for (_, sides) in all {
        if walk.is_over {
            break;
        }
        match sides {
            [Some(a), Some(b)] => walk.namespace(&a, &b)?,
            [Some(path), None] => walk.lone(0, path, Change::Removed)?,
            [None, Some(path)] => walk.lone(1, path, Change::Added)?,
            [None, None] => {}
        }
    }
    Ok(walk.census)
}

/// The namespaces of one side, each with its name there. A namespace whose path is lost gets the
/// path that the other side knows for its hash.
fn named_as_in(catalog: &Catalog, own: &[String], other: &[String]) -> Vec<(String, String)> {
    let token = |path: &str| ObjectKeys::hash_token(catalog.dialect(), path);
    if !own.iter().any(|path| token(path).is_some()) {
        return own
            .iter()
            .map(|path| (path.clone(), path.clone()))
            .collect();
    }
    let known: HashMap<_, &String> = other
        .iter()
        .map(|path| (catalog.keys().hash(path), path))
        .collect();
    let name = |path: &str| token(path).and_then(|hash| known.get(&hash).copied());
    own.iter()
        .map(|path| (name(path).unwrap_or(path).clone(), path.clone()))
        .collect()
}

/// True if `path` is `top` or lies below it.
fn is_below(path: &str, top: &str) -> bool {
    let (path, top) = (to_upper(path), to_upper(top));
    path.strip_prefix(&top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
}

struct Walk<'d> {
    sides: [&'d Catalog; 2],
    visit: &'d mut dyn FnMut(Compared) -> bool,
    is_over: bool,
    census: [Census; 2],
    /// Namespaces of either side that no namespace names.
    unnamed: HashSet<String>,
}

/// A namespace in the spelling of each side's object paths.
#[derive(Clone, Copy)]
struct Shown<'p> {
    first: &'p str,
    second: &'p str,
}

impl<'p> Shown<'p> {
    const fn of(&self, side: usize) -> &'p str {
        if side == 0 { self.first } else { self.second }
    }
}

/// Objects of both sides by group and path. Several objects may share a path.
type Both<T> = BTreeMap<(String, String), [Vec<(String, T)>; 2]>;

/// Largest number of objects with the same path on one side that are matched with every one of the
/// other side. Beyond it, each is compared with the one in the same position.
const MATCHED: usize = 16;

impl Walk<'_> {
    fn give(&mut self, what: What, path: String, change: Change) {
        self.is_over =
            self.is_over || !(self.visit)(Compared::Difference(Difference { what, path, change }));
    }

    /// Reports damage; any other error ends the comparison.
    fn readable<T>(&mut self, side: usize, found: Result<T>) -> Result<Option<T>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error @ Error::Corrupt(_)) => {
                self.unreadable(side, error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn unreadable(&mut self, side: usize, error: Error) {
        let compared = Compared::Unreadable {
            second: side == 1,
            error,
        };
        self.is_over = self.is_over || !(self.visit)(compared);
    }

    fn census(&mut self, side: usize) -> &mut Census {
        let [first, second] = &mut self.census;
        if side == 0 { first } else { second }
    }

    fn namespaces(&mut self, side: usize, top: Option<&str>) -> Result<Vec<String>> {
        let [first, second] = self.sides;
        let found = if side == 0 { first } else { second }.all_namespaces();
        let is_inside = |path: &str| top.is_none_or(|top| is_below(path, top));
        if top.is_none() {
            self.census(side).has_namespaces(&found);
        }
        let mut namespaces = Vec::new();
        for namespace in found.tree {
            namespaces.extend(self.readable(side, namespace)?);
        }
        for hidden in found
            .hidden
            .into_iter()
            .filter(|hidden| is_inside(&hidden.path))
        {
            self.census(side).hidden += 1;
            self.unnamed.insert(hidden.path.clone());
            namespaces.push(hidden.path);
        }
        namespaces.retain(|path| is_inside(path));
        for _ in &namespaces {
            if top.is_some() {
                self.census(side).has(Counted::Namespaces);
            }
            self.census(side).reach(Counted::Namespaces);
        }
        if is_inside(SYSTEM_NAMESPACE) {
            namespaces.insert(0, SYSTEM_NAMESPACE.to_owned());
        }
        Ok(namespaces)
    }

    /// Reports a namespace that only one side has. Its content is counted as part of it.
    fn lone(&mut self, side: usize, path: String, change: Change) -> Result<()> {
        self.objects(
            side,
            &path,
            Counted::Classes,
            Catalog::class_of_key,
            &mut |_, _| (),
        )?;
        self.objects(
            side,
            &path,
            Counted::Instances,
            Catalog::instance_of_key,
            &mut |_, _| (),
        )?;
        self.give(What::Namespace, path, change);
        Ok(())
    }

    /// Counts the classes or instances of a namespace of one side, and passes each to `take`.
    fn objects<T>(
        &mut self,
        side: usize,
        namespace: &str,
        counted: Counted,
        read: fn(&Catalog, &str, &ObjectKey) -> Result<T>,
        take: &mut dyn FnMut(&mut Self, T),
    ) -> Result<()> {
        let [first, second] = self.sides;
        let catalog = if side == 0 { first } else { second };
        for key in catalog.object_keys(namespace, counted) {
            let (named, object) = match key {
                Ok(key) => (true, read(catalog, namespace, &key)),
                Err(KeyFault::Malformed(error)) => (true, Err(error)),
                Err(KeyFault::Index(error)) => (false, Err(error)),
            };
            if named {
                self.census(side).has(counted);
            } else {
                self.census(side).tear();
            }
            if let (Err(error), true) = (&object, named) {
                self.census(side).lose(error);
            }
            if let Some(object) = self.readable(side, object)? {
                self.census(side).reach(counted);
                take(self, object);
            }
        }
        Ok(())
    }

    fn namespace(&mut self, a: &str, b: &str) -> Result<()> {
        // The spelling of a namespace is known only from the instance that names it, not from the
        // text in which its hash was found.
        if a != b && !self.unnamed.contains(a) && !self.unnamed.contains(b) {
            let detail = Detail::text("spelling", a, b);
            self.give(What::Namespace, a.to_owned(), Change::Changed(vec![detail]));
        }
        self.classes(a, b)?;
        self.instances(a, b)
    }

    /// The namespace in the object paths of each side. If one side has lost its path, that of the
    /// other is used.
    fn shown<'p>(&self, a: &'p str, b: &'p str) -> Shown<'p> {
        let [first, second] = self.sides;
        let is_lost =
            |catalog: &Catalog, path| ObjectKeys::hash_token(catalog.dialect(), path).is_some();
        match (is_lost(first, a), is_lost(second, b)) {
            (true, false) => Shown {
                first: b,
                second: b,
            },
            (false, true) => Shown {
                first: a,
                second: a,
            },
            _ => Shown {
                first: a,
                second: b,
            },
        }
    }

    fn classes(&mut self, a: &str, b: &str) -> Result<()> {
        let mut all: Both<Class> = BTreeMap::new();
        let shown = self.shown(a, b);
        for (side, namespace) in [a, b].into_iter().enumerate() {
            self.objects(
                side,
                namespace,
                Counted::Classes,
                Catalog::class_of_key,
                &mut |walk, class| {
                    walk.partial(side, class.damage.as_deref());
                    let declaration = class.class.declaration().clone();
                    let path = format!("{}:{}", shown.of(side), declaration.name.as_str());
                    put(&mut all, side, String::new(), path, declaration);
                },
            )?;
        }
        self.compare(What::Class, all, class_differences)
    }

    /// Compares the declaration of a class even if an ancestor is lost, and the readable part of an
    /// instance even if its class is lost.
    fn partial(&mut self, side: usize, damage: Option<&Corruption>) {
        if let Some(damage) = damage {
            self.census(side).partial += 1;
            self.unreadable(side, Error::Corrupt(Box::new(damage.clone())));
        }
    }

    fn instances(&mut self, a: &str, b: &str) -> Result<()> {
        let mut all: Both<StoredInstance> = BTreeMap::new();
        let shown = self.shown(a, b);
        for (side, namespace) in [a, b].into_iter().enumerate() {
            self.objects(
                side,
                namespace,
                Counted::Instances,
                Catalog::instance_of_key,
                &mut |walk, stored| {
                    walk.partial(side, stored.damage.as_deref());
                    let path = match stored.instance.path() {
                        Ok(path) => path.in_namespace(shown.of(side)).text(),
                        Err(_) => format!(
                            "{}:{} without key",
                            shown.of(side),
                            stored.instance.class().name().as_str()
                        ),
                    };
                    put(
                        &mut all,
                        side,
                        to_upper(stored.instance.class().name().as_str()),
                        path,
                        stored,
                    );
                },
            )?;
        }
        self.compare(What::Instance, all, instance_differences)
    }

    fn compare<T>(
        &mut self,
        what: What,
        all: Both<T>,
        differences: fn(&T, &T) -> Vec<Detail>,
    ) -> Result<()> {
        for (_, [first, second]) in all {
            let (mut first, mut second) = (first, second);
            take_equal(&mut first, &mut second, differences);
            let mut second = second.into_iter();
            for (path, a) in first {
                if self.is_over {
                    return Ok(());
                }
                self.sides.iter().try_for_each(|side| side.step_watch())?;
                match second.next() {
                    None => self.give(what, path, Change::Removed),
                    Some((_, b)) => {
                        let found = differences(&a, &b);
                        if !found.is_empty() {
                            self.give(what, path, Change::Changed(found));
                        }
                    }
                }
            }
            second.for_each(|(path, _)| self.give(what, path, Change::Added));
        }
        Ok(())
    }
}

/// Removes the objects that are equal on both sides if several share a path, since their order has
/// no meaning.
fn take_equal<T>(
    first: &mut Vec<(String, T)>,
    second: &mut Vec<(String, T)>,
    differences: fn(&T, &T) -> Vec<Detail>,
) {
    let is_single = first.len() <= 1 && second.len() <= 1;
    if is_single || first.len() > MATCHED || second.len() > MATCHED {
        return;
    }
    first.retain(|(_, a)| {
        match second
            .iter()
            .position(|(_, b)| differences(a, b).is_empty())
        {
            Some(same) => {
                second.remove(same);
                false
            }
            None => true,
        }
    });
}

fn put<T>(all: &mut Both<T>, side: usize, group: String, path: String, object: T) {
    if let Some(slot) = all
        .entry((group, to_upper(&path)))
        .or_default()
        .get_mut(side)
    {
        slot.push((path, object));
    }
}

/// True if both names have the same spelling.
fn spelled_alike(a: &Name, b: &Name) -> bool {
    a.as_str() == b.as_str()
}

fn class_differences(a: &Class, b: &Class) -> Vec<Detail> {
    let mut found = Vec::new();
    if !spelled_alike(&a.name, &b.name) {
        found.push(Detail::text("spelling", a.name.as_str(), b.name.as_str()));
    }
    if a.superclass != b.superclass {
        let name = |class: &Class| {
            Some(Content::Text(
                class.superclass.as_ref()?.as_str().to_owned(),
            ))
        };
        found.push(Detail {
            what: "superclass".to_owned(),
            first: name(a),
            second: name(b),
        });
    }
    if a.qualifiers != b.qualifiers {
        found.push(qualifiers("qualifiers", &a.qualifiers, &b.qualifiers));
    }
    let property: Kind<Property> = Kind {
        word: "property",
        name: |property| &property.name,
        text: mof::property_text,
    };
    property.compare(&a.properties, &b.properties, &mut found);
    let method: Kind<Method> = Kind {
        word: "method",
        name: |method| &method.name,
        text: mof::method_text,
    };
    method.compare(&a.methods, &b.methods, &mut found);
    found
}

fn qualifiers(what: &str, a: &QualifierSet, b: &QualifierSet) -> Detail {
    Detail::text(what, mof::qualifiers_text(a), mof::qualifiers_text(b))
}

/// Properties or methods: their kind in words, their names, and their text.
struct Kind<T> {
    word: &'static str,
    name: fn(&T) -> &Name,
    text: fn(&T) -> String,
}

impl<T: PartialEq> Kind<T> {
    fn compare(&self, a: &[T], b: &[T], found: &mut Vec<Detail>) {
        let (before, name) = (found.len(), self.name);
        let is_alike = |(a, b): (&T, &T)| a == b && spelled_alike(name(a), name(b));
        // Nearly all lists have equal names in the same order.
        if a.len() == b.len() && a.iter().zip(b).all(is_alike) {
            return;
        }
        let of_b: BTreeMap<&Name, &T> = b.iter().map(|member| (name(member), member)).collect();
        let of_a: BTreeMap<&Name, &T> = a.iter().map(|member| (name(member), member)).collect();
        for member in a {
            match of_b.get(name(member)).copied() {
                None => found.push(self.detail(Some(member), None)),
                Some(other) if is_alike((member, other)) => {}
                Some(other) => found.push(self.detail(Some(member), Some(other))),
            }
        }
        for member in b.iter().filter(|member| !of_a.contains_key(name(member))) {
            found.push(self.detail(None, Some(member)));
        }
        if found.len() == before && a.iter().map(name).ne(b.iter().map(name)) {
            let what = format!("order of {} declarations", self.word);
            found.push(Detail::text(what, self.order(a), self.order(b)));
        }
    }

    fn detail(&self, first: Option<&T>, second: Option<&T>) -> Detail {
        let member = first.or(second).map(|member| (self.name)(member).as_str());
        let what = format!("{} {}", self.word, member.unwrap_or_default());
        let text = |member: Option<&T>| member.map(|member| Content::Text((self.text)(member)));
        Detail {
            what,
            first: text(first),
            second: text(second),
        }
    }

    fn order(&self, members: &[T]) -> String {
        let names: Vec<&str> = members
            .iter()
            .map(|member| (self.name)(member).as_str())
            .collect();
        names.join(", ")
    }
}

fn instance_differences(a: &StoredInstance, b: &StoredInstance) -> Vec<Detail> {
    let (a, b) = (&a.instance, &b.instance);
    let mut found = Vec::new();
    for (property, (setting, value)) in a
        .class()
        .properties()
        .iter()
        .zip(a.settings().iter().zip(a.values()))
    {
        let what = format!("property {}", property.name);
        let first = Some(Content::of(value.1));
        let Some(other) = b.class().property(property.name.as_str()) else {
            found.push(Detail {
                what,
                first,
                second: None,
            });
            continue;
        };
        let (own, value_of_b) = (
            b.settings().get(usize::from(other.order)),
            b.value_of(other),
        );
        if value_of_b != value.1 {
            found.push(Detail {
                what,
                first,
                second: Some(Content::of(value_of_b)),
            });
        } else if own != Some(setting) {
            // The same value, set by the instance on one side and taken from the class on the
            // other.
            found.push(Detail::text(what, whose(Some(setting)), whose(own)));
        }
    }
    let is_new = |name: &Name| a.class().property(name.as_str()).is_none();
    for property in b
        .class()
        .properties()
        .iter()
        .filter(|property| is_new(&property.name))
    {
        let second = Some(Content::of(b.value_of(property)));
        found.push(Detail {
            what: format!("property {}", property.name),
            first: None,
            second,
        });
    }
    if a.qualifiers != b.qualifiers {
        found.push(qualifiers("qualifiers", &a.qualifiers, &b.qualifiers));
    }
    if a.property_qualifiers != b.property_qualifiers {
        found.push(Detail::text(
            "qualifiers of properties",
            property_qualifiers(a),
            property_qualifiers(b),
        ));
    }
    found
}

/// The origin of a value that two instances share.
fn whose(setting: Option<&Setting>) -> &'static str {
    match setting {
        Some(Setting::Inherited) | None => "the default of the class",
        Some(_) => "a value of its own",
    }
}

/// The qualifiers on the properties of an instance, omitting properties without any.
fn property_qualifiers(instance: &Instance) -> String {
    let sets = instance.property_qualifiers.as_deref().unwrap_or_default();
    let named = instance
        .class()
        .properties()
        .iter()
        .zip(sets)
        .filter(|(_, set)| !set.is_empty());
    let texts: Vec<String> = named
        .map(|(property, set)| format!("{} {}", mof::qualifiers_text(set), property.name))
        .collect();
    texts.join(" ")
}
