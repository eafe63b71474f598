//! What `ls` and `export` share: the objects of namespaces in their order.

use cimrepo::base::error::{Error, ExitCode as Outcome};
use cimrepo::base::escape::escape;
use cimrepo::catalog::json::{ClassRow, InstanceRow, NamespaceRow};
use cimrepo::catalog::{Catalog, NamespaceCount, ROOT, StoredClass, StoredInstance};
use cimrepo::cim::name;
use cimrepo::format::object_key::SYSTEM_NAMESPACE;

use super::near;
use super::output::{Failure, Output, complain, words};

/// Prints objects. One that cannot be read is told on standard error, and the others follow.
pub struct Listing<'o> {
    catalog: Catalog,
    output: &'o mut Output,
    failed: Option<Outcome>,
    /// What was printed.
    pub namespaces: u64,
    pub classes: u64,
    pub instances: u64,
}

impl<'o> Listing<'o> {
    pub const fn new(catalog: Catalog, output: &'o mut Output) -> Self {
        Self { catalog, output, failed: None, namespaces: 0, classes: 0, instances: 0 }
    }

    /// The outcome of what could not be read, if anything.
    pub const fn failed(&self) -> Option<Outcome> {
        self.failed
    }

    /// A namespace as its path spells it in the repository; an error when it is not there.
    pub fn find(&mut self, path: &str) -> Result<String, Failure> {
        let path = namespace_path(path);
        let known = self.namespaces_from_root();
        let found = known.into_iter().find(|namespace| name::same(namespace, &path));
        let near = || near::namespaces(&self.catalog, &path);
        found.ok_or_else(|| missing(format!("there is no namespace {}{}", escape(&path), near())))
    }

    /// The system classes and all namespaces.
    fn namespaces_from_root(&mut self) -> Vec<String> {
        let mut found = vec![SYSTEM_NAMESPACE.to_owned()];
        let tree = self.catalog.namespaces();
        found.extend(tree.into_iter().filter_map(|namespace| self.readable(namespace)));
        found
    }

    /// A namespace and, if wanted, those below it, in order of the tree.
    pub fn tree(&mut self, top: Option<&str>, below: bool) -> Vec<String> {
        let all = self.namespaces_from_root();
        let Some(top) = top else { return all };
        let inside = |namespace: &String| {
            let rest =
                namespace.get(..top.len()).filter(|front| name::same(front, top)).and(namespace.get(top.len()..));
            rest.is_some_and(|rest| rest.is_empty() || below && rest.starts_with('\\'))
        };
        all.into_iter().filter(inside).collect()
    }

    pub fn namespace(&mut self, path: &str) -> Result<(), Failure> {
        // The system classes lie in none: no path names theirs.
        self.namespaces += u64::from(path != SYSTEM_NAMESPACE);
        match self.output.is_json() {
            true => self.output.json(&NamespaceRow(path)),
            false => self.output.line(format_args!("namespace {}", escape(path))),
        }
    }

    /// The namespaces directly below one, by name.
    pub fn children(&mut self, namespace: &str) -> Result<(), Failure> {
        for child in self.catalog.child_namespaces(namespace) {
            if let Some(child) = self.readable(child) {
                self.namespace(&child)?;
            }
        }
        Ok(())
    }

    /// The classes and instances of a namespace: classes by name, instances by class and path.
    pub fn objects(&mut self, namespace: &str) -> Result<(), Failure> {
        let mut names = Vec::new();
        for name in self.catalog.class_names(namespace) {
            names.extend(self.readable(name));
        }
        names.sort();
        for (_, hash) in names {
            let class = self.catalog.class_once(namespace, hash);
            if let Some(class) = self.readable(class).flatten() {
                self.class(namespace, &class)?;
            }
        }
        // As with classes, a namespace may have more than should be in memory at once.
        let mut places = Vec::new();
        for stored in self.catalog.all_instances(namespace) {
            let Some(stored) = self.readable(stored) else { continue };
            let class = stored.instance.class().name().clone();
            let path = match stored.instance.path() {
                Ok(path) => path.in_namespace(namespace).text(),
                Err(error) => {
                    complain(format_args!("{}, record {}: {error}", escape(namespace), stored.record));
                    format!("{namespace}:{}", class.as_str())
                }
            };
            places.push((class, path, stored.record));
        }
        places.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| name::order(&a.1, &b.1)));
        for (_, path, record) in places {
            let stored = self.catalog.instance_of_record(namespace, record);
            if let Some(stored) = self.readable(stored) {
                self.instance(namespace, &path, &stored)?;
            }
        }
        Ok(())
    }

    fn class(&mut self, namespace: &str, class: &StoredClass) -> Result<(), Failure> {
        self.classes += 1;
        if self.output.is_json() {
            return self.output.json(&ClassRow { namespace, class });
        }
        let declared = class.class.declaration();
        let above = declared.superclass.as_ref().map(|name| format!(" : {name}")).unwrap_or_default();
        self.output.line(format_args!("class     {}:{}{above}", escape(namespace), declared.name))
    }

    fn instance(&mut self, namespace: &str, path: &str, instance: &StoredInstance) -> Result<(), Failure> {
        self.instances += 1;
        match self.output.is_json() {
            true => self.output.json(&InstanceRow { namespace, instance }),
            false => self.output.line(format_args!("instance  {}", escape(path))),
        }
    }

    fn readable<T>(&mut self, found: Result<T, Error>) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(error) => {
                complain(words(&error));
                self.failed = Some(error.exit_code());
                None
            }
        }
    }

    /// Hands on what was printed. Totals come after it: of a list that nobody read to its end there are none.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.output.flush()
    }

    /// Says when the index has objects in namespaces that no path leads to, of which nothing was printed.
    pub fn check_whole(&mut self) {
        let counts = self.catalog.snapshot().counts();
        let NamespaceCount { named, unnamed } = self.catalog.namespace_count();
        for (what, stored, printed) in [
            ("classes", counts.class_definitions, self.classes),
            ("instances", counts.instances, self.instances),
            ("namespaces", named + unnamed, self.namespaces),
        ] {
            if stored > printed {
                complain(format_args!("the index has {stored} {what}; {printed} could be reached and read"));
                self.failed.get_or_insert(Outcome::Corrupt);
            }
        }
    }
}

/// The path of a namespace, from any spelling that WMI's own tools print: slashes or backslashes,
/// with or without a server in front.
pub fn namespace_path(text: &str) -> String {
    let text = text.replace('/', "\\");
    let without_server = text.strip_prefix(r"\\").and_then(|rest| rest.split_once('\\'));
    let path = without_server.map_or(text.as_str(), |(_, path)| path);
    path.trim_matches('\\').to_owned()
}

/// What was asked for is not there.
pub fn missing(text: String) -> Failure {
    Failure::Command(text, Outcome::Findings)
}

/// `ROOT`, where lists begin.
pub const TOP: &str = ROOT;
