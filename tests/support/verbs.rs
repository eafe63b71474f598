//! The library calls behind the command's verbs, for tests and benches of their cost.

// Each program uses a part of it.
#![allow(dead_code)]

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use cimrepo::backup::{Backup, BackupOptions, OpenBackup, backup_in};
use cimrepo::base::progress::{Observer, Unobserved};
use cimrepo::catalog::convert;
use cimrepo::catalog::diff::diff;
use cimrepo::catalog::json::{ClassRow, InstanceRow};
use cimrepo::catalog::{Catalog, Counted, KeyFault, ObjectKey};
use cimrepo::format::index::object_key::SYSTEM_NAMESPACE;
use cimrepo::restore::{RestoreOptions, restore_in};
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::text::mof;
use cimrepo::verify::{Level, VerifyOptions, verify_content, verify_snapshot};
use cimrepo::{Direction, Error, KeyRange};

use super::support::{Files, in_memory, open};

/// A verb and its library call, which returns the number of bytes that it would print.
pub struct Verb {
    /// Its name.
    pub name: &'static str,
    /// Runs it on the files.
    pub run: fn(&Files) -> u64,
}

/// All verbs that read objects, pages or records.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "ls",
        run: |files| walk(&catalog(files)).listed,
    },
    Verb {
        name: "export",
        run: |files| export(&catalog(files)),
    },
    Verb {
        name: "show",
        run: |files| show(&catalog(files)),
    },
    Verb {
        name: "diff",
        run: |files| compare(&catalog(files), &catalog(files)).unwrap(),
    },
    Verb {
        name: "convert",
        run: |files| converted(&catalog(files), &Unobserved).unwrap(),
    },
    Verb {
        name: "verify structure",
        run: |files| verified(files, Level::Structure, &Unobserved).unwrap(),
    },
    Verb {
        name: "verify references",
        run: |files| verified(files, Level::References, &Unobserved).unwrap(),
    },
    Verb {
        name: "verify schema",
        run: |files| verified(files, Level::Schema, &Unobserved).unwrap(),
    },
    Verb {
        name: "backup and restore",
        run: backed_up,
    },
    Verb {
        name: "usage",
        run: |files| used(&catalog(files)),
    },
    Verb {
        name: "keys",
        run: |files| keys_of_all(&catalog(files)),
    },
];

fn catalog(files: &Files) -> Catalog {
    Catalog::new(open(files).unwrap().snapshot())
}

/// Counts the bytes written and discards them.
#[derive(Default)]
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The results of a run over all objects.
#[derive(Debug, Default)]
pub struct Walked {
    /// Size of the paths of all objects, in bytes.
    pub listed: u64,
    /// The errors that were met.
    pub errors: Vec<String>,
}

impl Walked {
    fn readable<T>(&mut self, found: Result<T, Error>) -> Option<T> {
        found
            .map_err(|error| self.errors.push(error.to_string()))
            .ok()
    }
}

/// Walks over all objects like `ls -r`: names first, then each class, and instances by their paths.
pub fn walk(catalog: &Catalog) -> Walked {
    let run = catalog.each_once();
    let mut walked = Walked::default();
    for namespace in namespaces(&run, &mut walked) {
        for key in keys(&run, &namespace, Counted::Classes, &mut walked) {
            let Some(_) = walked.readable(run.class_name_of_key(&key)) else {
                continue;
            };
            let class = walked.readable(run.class_of_key(&namespace, &key));
            walked.listed += class.map_or(0, |class| class.class.name().as_str().len() as u64);
        }
        for key in keys(&run, &namespace, Counted::Instances, &mut walked) {
            let Some(instance) = walked.readable(run.instance_of_key(&namespace, &key)) else {
                continue;
            };
            walked.listed += instance
                .instance
                .path()
                .map_or(0, |path| path.text().len() as u64);
        }
    }
    walked
}

fn keys(
    catalog: &Catalog,
    namespace: &str,
    counted: Counted,
    walked: &mut Walked,
) -> Vec<ObjectKey> {
    let key = |key: Result<ObjectKey, KeyFault>| match key {
        Ok(key) => Some(key),
        Err(KeyFault::Index(error) | KeyFault::Malformed(error)) => walked.readable(Err(error)),
    };
    catalog
        .object_keys(namespace, counted)
        .filter_map(key)
        .collect()
}

fn namespaces(catalog: &Catalog, walked: &mut Walked) -> Vec<String> {
    let found = catalog
        .namespaces()
        .into_iter()
        .filter_map(|found| walked.readable(found));
    [SYSTEM_NAMESPACE.to_owned()]
        .into_iter()
        .chain(found.collect::<Vec<_>>())
        .collect()
}

fn export(catalog: &Catalog) -> u64 {
    let run = catalog.each_once();
    let mut out = Counter::default();
    for namespace in namespaces(&run, &mut Walked::default()) {
        for class in run.classes(&namespace).flatten() {
            serde_json::to_writer(
                &mut out,
                &ClassRow {
                    namespace: &namespace,
                    class: &class,
                },
            )
            .unwrap();
        }
        for instance in run.all_instances(&namespace).flatten() {
            serde_json::to_writer(
                &mut out,
                &InstanceRow {
                    namespace: &namespace,
                    instance: &instance,
                },
            )
            .unwrap();
        }
    }
    out.0
}

/// Shows each object by its path, like one call of `show` each: every one is looked up.
fn show(catalog: &Catalog) -> u64 {
    let run = catalog.each_once();
    let mut shown = 0;
    for namespace in namespaces(&run, &mut Walked::default()) {
        for (name, _) in run.class_names(&namespace).flatten() {
            let class = catalog.class(&namespace, name.as_str()).ok().flatten();
            shown += class.map_or(0, |class| mof::class_text(&class.class, true).len() as u64);
        }
        for instance in run.all_instances(&namespace).flatten() {
            shown += mof::instance_text(&instance.instance).len() as u64;
        }
    }
    shown
}

fn compare(first: &Catalog, second: &Catalog) -> Result<u64, Error> {
    let mut differences = 0;
    diff(first, second, &mut |_| {
        differences += 1;
        true
    })?;
    Ok(differences)
}

/// The number of namespaces whose space could be computed.
fn used(catalog: &Catalog) -> u64 {
    let mut told = 0;
    catalog.usage(&mut |usage| told += u64::from(usage.is_ok()));
    told
}

/// Size of all keys of the index, in bytes.
fn keys_of_all(catalog: &Catalog) -> u64 {
    let mut scan = catalog.snapshot().keys(KeyRange::all(), Direction::Forward);
    let mut bytes = 0;
    while let Some(key) = scan.next_text() {
        bytes += key.map_or(0, |key| key.len() as u64);
    }
    bytes
}

fn new_directory() -> Directory {
    let storage = MemStorage::new();
    storage.create_dir(Path::new("new")).unwrap();
    Directory::new(Arc::new(storage), "new")
}

fn converted(from: &Catalog, observer: &dyn Observer) -> Result<u64, Error> {
    let converted = convert(from, &new_directory(), observer)?;
    Ok(converted
        .left_out
        .iter()
        .map(|(what, why)| (what.len() + why.to_string().len()) as u64)
        .sum())
}

fn verified(files: &Files, level: Level, observer: &dyn Observer) -> Result<u64, Error> {
    let snapshot = open(files).unwrap().snapshot();
    let options = VerifyOptions {
        threads: NonZeroUsize::new(1),
        ..VerifyOptions::default()
    };
    let mut report = verify_snapshot(&snapshot, options, observer)?;
    verify_content(&snapshot, level, observer, &mut report)?;
    Ok(report
        .findings
        .iter()
        .map(|finding| finding.to_string().len() as u64)
        .sum())
}

fn backed_up(files: &Files) -> u64 {
    let (storage, directory) = in_memory(files);
    let repository = cimrepo::store::OpenOptions::new()
        .open_in(&directory)
        .unwrap();
    let shared: Arc<dyn Storage> = Arc::new(storage);
    let options = BackupOptions {
        threads: NonZeroUsize::new(1),
        ..BackupOptions::default()
    };
    if let Err(error) = backup_in(
        &repository,
        &shared,
        Path::new("backup"),
        &options,
        &Unobserved,
    ) {
        return error.to_string().len() as u64;
    }
    // An inconsistent repository is not restored, which is found out first.
    let restored = OpenBackup::new()
        .open_in(&shared, Path::new("backup"))
        .and_then(|backup: Backup| {
            restore_in(
                &backup,
                &new_directory(),
                RestoreOptions::default(),
                &Unobserved,
            )
            .map(drop)
        });
    match restored {
        Ok(()) => 0,
        Err(error) => error.to_string().len() as u64,
    }
}

/// A call that takes an observer.
pub type Cancellable = fn(&Files, Arc<dyn Observer + Send>) -> Result<(), Error>;

/// Every long call, with an observer.
pub const CANCELLABLE: [(&str, Cancellable); 7] = [
    ("namespaces", |files, observer| {
        let found = catalog(files).observed(observer).namespaces();
        found
            .into_iter()
            .try_for_each(|namespace| namespace.map(drop))
    }),
    ("classes", |files, observer| {
        catalog(files)
            .observed(observer)
            .classes(SYSTEM_NAMESPACE)
            .try_for_each(|class| class.map(drop))
    }),
    ("instances", |files, observer| {
        catalog(files)
            .observed(observer)
            .all_instances("ROOT")
            .try_for_each(|found| found.map(drop))
    }),
    ("referrers", |files, observer| {
        let path = "Thing.Id=\"0\"".parse().unwrap();
        let mut found = catalog(files).observed(observer).referrers("ROOT", &path)?;
        found.try_for_each(|referrer| referrer.map(drop))
    }),
    ("diff", |files, observer| {
        compare(&catalog(files).observed(observer), &catalog(files)).map(drop)
    }),
    ("convert", |files, observer| {
        converted(&catalog(files), &*observer).map(drop)
    }),
    ("verify", |files, observer| {
        verified(files, Level::Schema, &*observer).map(drop)
    }),
];
