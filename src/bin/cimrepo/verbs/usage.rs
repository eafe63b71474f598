//! `usage`: shows the space that namespaces and classes take.

use std::collections::HashMap;

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape;
use cimrepo::base::page_no::{PAGE_SIZE, Space};
use cimrepo::catalog::{Catalog, ClassUsage, NamespaceUsage};
use cimrepo::format::index::object_key::SYSTEM_NAMESPACE;
use cimrepo::format::name_hash::NameHash;
use clap::Args;
use serde::Serialize;

use crate::ui::listing::Listing;
use crate::ui::output::{Failure, Output, complain, count, human_bytes};
use crate::ui::source::{SourceArguments, SourcesArguments};

/// Show how much each namespace and class takes
///
/// Bytes are those of the records that the keys of the index name; a record that several keys of a
/// namespace name counts once, and that is said. Pages are those of OBJECTS.DATA that hold any of
/// these records. A page with records of several namespaces counts for each, so
/// the sum may be more than there are. With --namespace, the classes of that namespace follow, each
/// with its definition and its own instances. The largest come first.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 done, 1 a part of the index could not be read, so that there may be more.

Examples:
  cimrepo usage /evidence/wbem/Repository
  cimrepo usage /evidence/wbem/Repository --namespace 'root\\wmi'
  cimrepo usage monday.cimbak --json")]
pub struct Arguments {
    #[command(flatten)]
    sources: SourcesArguments,

    /// Show only this namespace, class by class
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,

    /// Print JSON, one object a line: every namespace followed by its classes
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct NamespaceRow<'r> {
    /// Null if only the hash of its path is known.
    namespace: Option<&'r str>,
    hash: String,
    bytes: u64,
    pages: u64,
    keys: u64,
    /// Keys whose record was counted for an earlier key.
    sharing_keys: u64,
    classes: u64,
    class_bytes: u64,
    instances: u64,
    instance_bytes: u64,
    references: u64,
    reference_bytes: u64,
}

#[derive(Serialize)]
struct ClassRow<'r> {
    namespace: Option<&'r str>,
    /// Null if only the hash of its name is known.
    class: Option<&'r str>,
    hash: String,
    bytes: u64,
    pages: u64,
    definition_bytes: u64,
    instances: u64,
    instance_bytes: u64,
}

#[derive(Serialize)]
struct SpaceRow {
    file: &'static str,
    pages: u32,
    free_pages: u64,
    bytes: u64,
    complete: bool,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        self.sources.each(|source| self.measure(source))
    }

    fn measure(&self, source: &SourceArguments) -> Result<Outcome, Failure> {
        let catalog = Catalog::new(source.open()?.snapshot());
        let mut output = Output::new(self.json);
        let mut is_complete = true;
        let mut found = match &self.namespace {
            Some(namespace) => {
                let namespace = Listing::new(catalog.clone(), &mut output).find(namespace)?;
                vec![catalog.usage_of(&namespace)?]
            }
            None => all(&catalog, &mut is_complete),
        };
        found.sort_by_key(|usage| (std::cmp::Reverse(usage.bytes()), usage.hash));
        let names = Names::of(&catalog);
        if self.namespace.is_none() {
            show_spaces(&catalog, is_complete, &mut output)?;
        }
        let with_classes = output.is_json() || self.namespace.is_some();
        for usage in &found {
            names.show(usage, with_classes, &catalog, &mut output)?;
        }
        output.finish()?;
        Ok(if is_complete {
            Outcome::Done
        } else {
            Outcome::Findings
        })
    }
}

/// The space that every namespace takes, including hidden ones.
fn all(catalog: &Catalog, is_complete: &mut bool) -> Vec<NamespaceUsage> {
    let mut found = Vec::new();
    catalog.usage(&mut |usage| match usage {
        Ok(usage) => found.push(usage),
        Err(error) => {
            complain(error.full_text());
            *is_complete = false;
        }
    });
    found
}

fn show_spaces(catalog: &Catalog, complete: bool, output: &mut Output) -> Result<(), Failure> {
    for space in Space::ALL {
        let section = catalog.snapshot().mapping().section(space);
        let file = cimrepo::base::site::FileRole::data(space).file_name();
        let free_pages = section.free.len() as u64;
        let (pages, bytes) = (
            section.physical_pages,
            u64::from(section.physical_pages) * PAGE_SIZE as u64,
        );
        if output.is_json() {
            output.row(
                "file",
                &SpaceRow {
                    file,
                    pages,
                    free_pages,
                    bytes,
                    complete,
                },
            )?;
        } else {
            let free = human_bytes(free_pages * PAGE_SIZE as u64);
            output.line(format_args!(
                "{file:<13}{pages} pages ({}), {free_pages} of them free ({free})",
                human_bytes(bytes)
            ))?;
        }
    }
    Ok(())
}

/// The paths of namespaces, by their hashes.
struct Names(HashMap<NameHash, String>);

impl Names {
    fn of(catalog: &Catalog) -> Self {
        let known = catalog
            .namespaces()
            .into_iter()
            .flatten()
            .chain([SYSTEM_NAMESPACE.to_owned()]);
        Self(
            known
                .map(|path| (catalog.keys().hash(&path), path))
                .collect(),
        )
    }

    fn show(
        &self,
        usage: &NamespaceUsage,
        with_classes: bool,
        catalog: &Catalog,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let namespace = self.0.get(&usage.hash).map(String::as_str);
        let by_hash = format!("NS_{}", usage.hash);
        if output.is_json() {
            output.row("namespace", &namespace_row(namespace, usage))?;
        } else {
            output.line(format_args!(
                "{:>10}  {:>6} pages  {:>6} classes  {:>6} instances  {}",
                human_bytes(usage.bytes()),
                usage.pages,
                usage.classes.count,
                usage.instances.count,
                escape(namespace.unwrap_or(&by_hash))
            ))?;
            if usage.sharing_keys > 0 {
                let keys = count(usage.sharing_keys, "key names", "keys name");
                output.line(format_args!(
                    "{:>10}  {keys} a record that another key has named; it counts once",
                    ""
                ))?;
            }
        }
        if with_classes {
            show_classes(
                namespace.unwrap_or(&by_hash),
                namespace,
                usage,
                catalog,
                output,
            )?;
        }
        Ok(())
    }
}

fn namespace_row<'r>(namespace: Option<&'r str>, usage: &NamespaceUsage) -> NamespaceRow<'r> {
    NamespaceRow {
        namespace,
        hash: usage.hash.to_string(),
        bytes: usage.bytes(),
        pages: usage.pages,
        keys: usage.keys,
        sharing_keys: usage.sharing_keys,
        classes: usage.classes.count,
        class_bytes: usage.classes.bytes,
        instances: usage.instances.count,
        instance_bytes: usage.instances.bytes,
        references: usage.references.count,
        reference_bytes: usage.references.bytes,
    }
}

fn show_classes(
    path: &str,
    namespace: Option<&str>,
    usage: &NamespaceUsage,
    catalog: &Catalog,
    output: &mut Output,
) -> Result<(), Failure> {
    let names = class_names(path, catalog);
    let mut classes: Vec<(&NameHash, &ClassUsage)> = usage.by_class.iter().collect();
    classes.sort_by_key(|(hash, class)| (std::cmp::Reverse(class.bytes()), **hash));
    for (hash, class) in classes {
        let name = names.get(hash).map(String::as_str);
        if output.is_json() {
            let row = ClassRow {
                namespace,
                class: name,
                hash: hash.to_string(),
                bytes: class.bytes(),
                pages: class.pages,
                definition_bytes: class.definition.bytes,
                instances: class.instances.count,
                instance_bytes: class.instances.bytes,
            };
            output.row("class", &row)?;
        } else {
            let by_hash = hash.to_string();
            output.line(format_args!(
                "{:>10}  {:>6} pages  {:>17} instances    {}",
                human_bytes(class.bytes()),
                class.pages,
                class.instances.count,
                escape(name.unwrap_or(&by_hash))
            ))?;
        }
    }
    Ok(())
}

/// The names of the classes of a namespace and of the system classes, by their hashes.
fn class_names(namespace: &str, catalog: &Catalog) -> HashMap<NameHash, String> {
    let places = [SYSTEM_NAMESPACE, namespace];
    let names = places
        .iter()
        .flat_map(|place| catalog.class_names(place))
        .flatten();
    names
        .map(|(name, hash)| (hash, name.as_str().to_owned()))
        .collect()
}
