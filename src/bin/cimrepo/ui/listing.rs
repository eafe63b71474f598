//! The common part of `ls` and `export`: the objects of namespaces in order.

use std::collections::HashSet;

use cimrepo::base::error::{Error, ExitCode as Outcome};
use cimrepo::base::escape::escape;
use cimrepo::catalog::json::{ClassRow, InstanceRow, NamespaceRow};
use cimrepo::catalog::{
    Catalog, Census, Counted, Hidden, KeyFault, Namespaces, ObjectKey, ROOT, StoredClass,
    StoredInstance,
};
use cimrepo::cim::name;
use cimrepo::export::{Sink, export_mof};
use cimrepo::format::index::object_key::SYSTEM_NAMESPACE;
use cimrepo::format::name_hash::NameHash;
use cimrepo::text::mof::Unsaid;

use super::mof_text::{Encoding, MofText};
use super::near;
use super::output::{Failure, Output, complain};

/// Prints objects, and counts them against the keys of the index. An object that cannot be read is
/// reported on standard error, and the others follow.
pub struct Listing<'o> {
    catalog: Catalog,
    output: &'o mut Output,
    census: Census,
    /// Reports about the index so far, because each scan meets an unreadable page again.
    said: HashSet<String>,
    /// True if something was reported that is not a loss.
    has_findings: bool,
}

impl<'o> Listing<'o> {
    pub fn new(catalog: Catalog, output: &'o mut Output) -> Self {
        let catalog = catalog.each_once();
        let census = Census::of(&catalog);
        Self {
            catalog,
            output,
            census,
            said: HashSet::new(),
            has_findings: false,
        }
    }

    /// The outcome: 1 if something is lost, 4 if everything is.
    pub const fn outcome(&self) -> Outcome {
        if !self.census.is_whole() && !self.census.has_objects() {
            Outcome::Corrupt
        } else if self.census.is_whole() && self.census.has_any() && !self.has_findings {
            Outcome::Done
        } else {
            Outcome::Findings
        }
    }

    /// A namespace in the repository's own spelling. Fails if it does not exist or its existence
    /// cannot be determined.
    pub fn find(&mut self, path: &str) -> Result<String, Failure> {
        let path = namespace_path(path);
        let found = self
            .catalog
            .find_namespace(&path)
            .map_err(|error| cannot_tell("namespace", &path, error))?;
        let near = || near::namespaces(&self.catalog, &path);
        found.ok_or_else(|| missing(format!("there is no namespace {}{}", escape(&path), near())))
    }

    /// A namespace and, if wanted, those below it, in tree order; without a namespace, the system
    /// classes and all namespaces. Those that nothing leads to come last.
    pub fn tree(&mut self, top: Option<&str>, below: bool) -> Vec<String> {
        if let Some(top) = top.filter(|_| !below) {
            self.census.has(Counted::Namespaces);
            return vec![top.to_owned()];
        }
        let is_all = top.is_none_or(|top| name::same(top, ROOT));
        let found = self.catalog.all_namespaces();
        if is_all {
            self.census.has_namespaces(&found);
        }
        let Namespaces { tree, hidden, .. } = found;
        let mut all: Vec<String> = tree
            .into_iter()
            .filter_map(|namespace| self.readable(namespace))
            .collect();
        let is_inside = |path: &str| top.is_none_or(|top| is_below(path, top));
        all.retain(|path| is_inside(path));
        for hidden in hidden {
            // A namespace whose path is lost may lie anywhere below ROOT.
            if is_inside(&hidden.path) || !hidden.is_named && is_all {
                self.say_hidden(&hidden);
                all.push(hidden.path);
            }
        }
        if !is_all {
            all.iter()
                .for_each(|_| self.census.has(Counted::Namespaces));
        }
        if top.is_none() {
            all.insert(0, SYSTEM_NAMESPACE.to_owned());
        }
        all
    }

    fn say_hidden(&mut self, hidden: &Hidden) {
        self.census.hidden += 1;
        complain(format_args!(
            "no namespace names {}: nothing that walks their tree shows what it holds",
            escape(&hidden.path)
        ));
    }

    /// Counts a namespace as reached without printing it.
    pub fn look_into(&mut self, path: &str) {
        // The system classes lie in a namespace that no path can name.
        if path != SYSTEM_NAMESPACE {
            self.census.reach(Counted::Namespaces);
        }
    }

    pub fn namespace(&mut self, path: &str) -> Result<(), Failure> {
        self.look_into(path);
        match self.output.is_json() {
            true => self.output.json(&NamespaceRow(path)),
            false => self.output.line(format_args!("namespace {}", escape(path))),
        }
    }

    /// The namespaces directly below one, by name.
    pub fn children(&mut self, namespace: &str) -> Result<(), Failure> {
        for child in self.catalog.child_namespaces(namespace) {
            if let Some(child) = self.readable(child) {
                self.census.has(Counted::Namespaces);
                self.namespace(&child)?;
            }
        }
        Ok(())
    }

    /// The classes and instances of a namespace: classes by name, instances by class and path.
    pub fn objects(&mut self, namespace: &str) -> Result<(), Failure> {
        self.classes_among(namespace, None)?;
        self.instances_among(namespace, None)
    }

    /// Prints a class, its subclasses and their instances; without `below`, the direct subclasses
    /// and the class's own instances. Returns whether there is such a class.
    pub fn of_class(&mut self, namespace: &str, class: &str, below: bool) -> Result<bool, Failure> {
        let found = self
            .catalog
            .class(namespace, class)
            .map_err(|error| cannot_tell("class", class, error))?;
        if found.is_none() {
            return Ok(false);
        }
        let own = HashSet::from([self.catalog.keys().hash(class)]);
        let derived: Vec<_> = match below {
            true => self.catalog.derived_classes(namespace, class),
            false => self.catalog.subclasses(namespace, Some(class)).collect(),
        };
        let mut family = own.clone();
        for class in derived
            .into_iter()
            .filter_map(|class| self.readable(class))
            .collect::<Vec<_>>()
        {
            family.insert(self.catalog.keys().hash(class.class.name().as_str()));
        }
        self.classes_among(namespace, Some(&family))?;
        self.instances_among(namespace, Some(if below { &family } else { &own }))?;
        Ok(true)
    }

    /// The failure for a class that is missing from a namespace, with other places and similar
    /// names.
    pub fn no_class(&self, namespace: &str, class: &str) -> Failure {
        let near = near::classes(&self.catalog, namespace, class);
        missing(format!(
            "there is no {}:{}{near}",
            escape(namespace),
            escape(class)
        ))
    }

    /// The classes of a namespace, all or those with one of these hashes, by name.
    fn classes_among(
        &mut self,
        namespace: &str,
        among: Option<&HashSet<NameHash>>,
    ) -> Result<(), Failure> {
        let mut names = Vec::new();
        for key in self.keys(namespace, Counted::Classes, among) {
            let name = self.catalog.class_name_of_key(&key);
            names.extend(self.object(namespace, &key, name).map(|name| (name, key)));
        }
        names.sort_by(|a, b| a.0.cmp(&b.0));
        self.say_twice(namespace, names.iter().map(|(name, _)| name.as_str()));
        for (_, key) in names {
            let class = self.catalog.class_of_key(namespace, &key);
            if let Some(class) = self.object(namespace, &key, class) {
                self.class(namespace, &class)?;
            }
        }
        Ok(())
    }

    /// The instances of a namespace, all or those of classes with one of these hashes, by class and
    /// path.
    fn instances_among(
        &mut self,
        namespace: &str,
        among: Option<&HashSet<NameHash>>,
    ) -> Result<(), Failure> {
        // A namespace may have more instances than should be in memory at once, so only their
        // places are sorted.
        let mut places = Vec::new();
        for key in self.keys(namespace, Counted::Instances, among) {
            let stored = self.catalog.instance_of_key(namespace, &key);
            if let Some(stored) = self.object(namespace, &key, stored) {
                let class = stored.instance.class().name().clone();
                places.push((class, self.path(namespace, &key, &stored), key));
            }
        }
        places.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| name::order(&a.1, &b.1)));
        self.say_twice("", places.iter().map(|(_, path, _)| path.as_str()));
        for (_, path, key) in places {
            let stored = self.catalog.instance_of_key(namespace, &key);
            if let Some(stored) = self.object(namespace, &key, stored) {
                self.instance(namespace, &path, &stored)?;
            }
        }
        Ok(())
    }

    /// The keys of objects of a namespace, each of them counted: all, or those of classes with one
    /// of these hashes and their instances.
    fn keys(
        &mut self,
        namespace: &str,
        counted: Counted,
        among: Option<&HashSet<NameHash>>,
    ) -> Vec<ObjectKey> {
        let mut found = Vec::new();
        for key in self.catalog.object_keys(namespace, counted) {
            match key {
                Ok(key) if among.is_some_and(|among| !among.contains(&key.class)) => {}
                Ok(key) => {
                    self.census.has(counted);
                    found.push(key);
                }
                Err(KeyFault::Index(error)) => self.torn(&error),
                Err(KeyFault::Malformed(error)) => {
                    self.census.has(counted);
                    self.census.lose(&error);
                    complain(error.full_text());
                }
            }
        }
        found
    }

    fn torn(&mut self, error: &Error) {
        self.census.tear();
        let words = error.full_text();
        if self.said.insert(words.clone()) {
            complain(words);
        }
    }

    /// Prints an object that was read, or reports one that is lost.
    fn object<T>(
        &mut self,
        namespace: &str,
        key: &ObjectKey,
        found: Result<T, Error>,
    ) -> Option<T> {
        found
            .map_err(|error| {
                self.census.lose(&error);
                let name = self.catalog.name_of_key(namespace, key);
                complain(format_args!("{}: {}", escape(&name), error.full_text()));
            })
            .ok()
    }

    /// The path of an instance, or for one without a key the information in its index key.
    fn path(&mut self, namespace: &str, key: &ObjectKey, stored: &StoredInstance) -> String {
        match stored.instance.path() {
            Ok(path) => path.in_namespace(namespace).text(),
            Err(error) => {
                let name = self.catalog.name_of_key(namespace, key);
                complain(format_args!("{}: {error}", escape(&name)));
                self.has_findings = true;
                name
            }
        }
    }

    /// Prints the objects of namespaces as MOF. Returns whether there is such a class.
    pub fn mof(
        &mut self,
        namespaces: &[String],
        class: Option<&str>,
        encoding: Encoding,
    ) -> Result<bool, Failure> {
        // MOF cannot name the namespace of the system classes.
        let nameable = namespaces
            .iter()
            .filter(|namespace| *namespace != SYSTEM_NAMESPACE);
        let namespaces: Vec<String> = nameable.cloned().collect();
        let output = &mut *self.output;
        let text = MofText::new(encoding, output)?;
        let mut sink = MofSink {
            output,
            text,
            said: &mut self.said,
            has_findings: false,
        };
        let found = export_mof(
            &self.catalog,
            &namespaces,
            class,
            &mut self.census,
            &mut sink,
        )?;
        sink.text.finish(sink.output)?;
        self.has_findings |= sink.has_findings;
        Ok(found)
    }

    /// Reports the names that occur more than once in the ordered sequence.
    fn say_twice<'n>(&mut self, namespace: &str, names: impl Iterator<Item = &'n str>) {
        let mut last: Option<&str> = None;
        for name in names {
            if last.is_some_and(|last| name::same(last, name)) {
                let colon = if namespace.is_empty() { "" } else { ":" };
                complain(format_args!(
                    "{}{colon}{} is there more than once",
                    escape(namespace),
                    escape(name)
                ));
                self.has_findings = true;
            }
            last = Some(name);
        }
    }

    fn class(&mut self, namespace: &str, class: &StoredClass) -> Result<(), Failure> {
        self.census.reach(Counted::Classes);
        let name = class.class.name();
        let lost = class.class.missing_ancestor();
        if let (Some(ancestor), Some(damage)) = (lost, &class.damage) {
            self.census.partial += 1;
            complain(format_args!(
                "{}:{name} is partial, as {ancestor} is lost: {damage}",
                escape(namespace)
            ));
        }
        if self.output.is_json() {
            return self.output.json(&ClassRow { namespace, class });
        }
        let above = class
            .class
            .declaration()
            .superclass
            .as_ref()
            .map(|name| format!(" : {name}"))
            .unwrap_or_default();
        let partial = lost
            .map(|ancestor| format!(" (partial: {ancestor} is lost)"))
            .unwrap_or_default();
        self.output.line(format_args!(
            "class     {}:{name}{above}{partial}",
            escape(namespace)
        ))
    }

    fn instance(
        &mut self,
        namespace: &str,
        path: &str,
        instance: &StoredInstance,
    ) -> Result<(), Failure> {
        self.census.reach(Counted::Instances);
        let mut partial = String::new();
        if let Some(damage) = &instance.damage {
            self.census.partial += 1;
            let class = instance.instance.class().name();
            complain(format_args!(
                "{} is partial, as {class} is lost: {damage}",
                escape(path)
            ));
            partial = format!(" (partial: {class} is lost)");
        }
        match self.output.is_json() {
            true => self.output.json(&InstanceRow {
                namespace,
                instance,
            }),
            false => self
                .output
                .line(format_args!("instance  {}{partial}", escape(path))),
        }
    }

    /// A namespace that cannot be read is met again, and counted, among the instances.
    fn readable<T>(&mut self, found: Result<T, Error>) -> Option<T> {
        found
            .map_err(|error| {
                self.has_findings = true;
                let words = error.full_text();
                if self.said.insert(words.clone()) {
                    complain(words);
                }
            })
            .ok()
    }

    /// Reports the numbers of objects and of those reached: always if `totals` are wanted,
    /// otherwise if some were not reached. Totals follow the printed output, so there are none if
    /// its reader left early.
    pub fn finish(&mut self, totals: bool) -> Result<(), Failure> {
        self.output.flush()?;
        if !totals && self.census.is_whole() {
            return Ok(());
        }
        if self.output.is_json() && !self.census.is_whole() {
            self.output.row("totals", &self.census)?;
        }
        complain(&self.census);
        Ok(())
    }
}

/// Prints MOF, and reports on standard error what is missing from it.
struct MofSink<'l> {
    output: &'l mut Output,
    text: MofText,
    said: &'l mut HashSet<String>,
    has_findings: bool,
}

impl Sink for MofSink<'_> {
    type Error = Failure;

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.text.write(text, self.output)
    }

    fn unsaid(&mut self, object: &str, unsaid: &Unsaid) -> Result<(), Failure> {
        self.has_findings = true;
        complain(format_args!("{}: {unsaid}", escape(object)));
        Ok(())
    }

    fn lost(&mut self, object: &str, error: &Error) -> Result<(), Failure> {
        let words = format!("{}: {}", escape(object), error.full_text());
        if self.said.insert(words.clone()) {
            complain(words);
        }
        Ok(())
    }
}

/// True if `path` is `top` or lies below it.
fn is_below(path: &str, top: &str) -> bool {
    let (path, top) = (name::to_upper(path), name::to_upper(top));
    path.strip_prefix(&top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
}

/// The failure for something whose existence is unknown, because a page on the path cannot be read.
fn cannot_tell(what: &str, name: &str, error: Error) -> Failure {
    match &error {
        Error::Corrupt(damage) => {
            let text = format!(
                "whether there is a {what} {} cannot be told: {damage}",
                escape(name)
            );
            Failure::Command(text, Outcome::Corrupt)
        }
        _ => error.into(),
    }
}

/// The path of a namespace in any spelling that WMI's own tools print: with slashes or backslashes,
/// with or without a server.
pub fn namespace_path(text: &str) -> String {
    let text = text.replace('/', "\\");
    let without_server = text
        .strip_prefix(r"\\")
        .and_then(|rest| rest.split_once('\\'));
    let path = without_server.map_or(text.as_str(), |(_, path)| path);
    path.trim_matches('\\').to_owned()
}

/// The namespace and the class of `NAMESPACE:CLASS`; without a colon the whole text is a namespace.
pub fn split_class(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((namespace, class)) if !class.is_empty() => (namespace, Some(class)),
        Some((namespace, _)) => (namespace, None),
        None => (text, None),
    }
}

/// The failure for a requested object that does not exist.
pub fn missing(text: String) -> Failure {
    Failure::Command(text, Outcome::Findings)
}

/// `ROOT`, at which lists begin.
pub const TOP: &str = ROOT;
