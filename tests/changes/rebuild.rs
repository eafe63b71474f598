//! All content of a repository goes into a new one by way of the writer that holds the rules.
//!
//! What no client may write is the system's, and the importer takes it over: the system classes,
//! the few classes with two low lines in front that lie elsewhere, and the two instances that
//! `ROOT` has from the beginning. Everything else is put as a client would put it.

use std::path::Path;
use std::sync::Arc;

use cimrepo::Error;
use cimrepo::base::progress::Unobserved;
use cimrepo::base::rule::Rule;
use cimrepo::catalog::create::build;
use cimrepo::catalog::diff::{Compared, diff};
use cimrepo::catalog::{Catalog, ROOT, StoredClass, StoredInstance};
use cimrepo::catalog::{CatalogWriter, Importer, Put, PutClass};
use cimrepo::format::index::object_key::SYSTEM_NAMESPACE;
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::EngineOptions;
use cimrepo::store::{OpenOptions, Repository};
use cimrepo::verify::{Level, VerifyOptions, verify_content, verify_snapshot};

use crate::support::content::{check_keys, namespaces};
use crate::support::{assert_clean, corpus, name_of};

/// How many objects came by which way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ways {
    /// Classes and instances that are the system's.
    system_classes: usize,
    system_instances: usize,
    /// What clients put.
    namespaces: usize,
    classes: usize,
    instances: usize,
}

fn is_system_name(name: &str) -> bool {
    name.starts_with("__")
}

/// The classes of a namespace, superclasses before what is derived from them.
fn classes(from: &Catalog, namespace: &str) -> Vec<Arc<StoredClass>> {
    let mut classes: Vec<_> = from.classes(namespace).map(Result::unwrap).collect();
    classes.sort_by_key(|class| class.class.level());
    classes
}

fn instances(from: &Catalog, namespace: &str) -> Vec<StoredInstance> {
    from.all_instances(namespace).map(Result::unwrap).collect()
}

/// Instances of a namespace that come to be with it.
fn comes_with_namespace(stored: &StoredInstance) -> bool {
    ["__NAMESPACE", "__SystemSecurity", "__thisNAMESPACE"]
        .contains(&stored.instance.class().name().as_str())
}

/// The classes that are the system's, wherever they lie.
fn system_classes(from: &Catalog, namespace: &str) -> Vec<Arc<StoredClass>> {
    let is_system = |class: &Arc<StoredClass>| {
        namespace == SYSTEM_NAMESPACE || is_system_name(class.class.name().as_str())
    };
    classes(from, namespace)
        .into_iter()
        .filter(is_system)
        .collect()
}

fn import_classes(
    from: &Catalog,
    namespace: &str,
    importer: &mut Importer<'_>,
) -> cimrepo::Result<usize> {
    let classes = system_classes(from, namespace);
    for class in &classes {
        importer.put_class(namespace, class.class.declaration(), None)?;
    }
    Ok(classes.len())
}

/// What a repository begins with: the system classes, and the two instances of `ROOT`.
fn begin(from: &Catalog, importer: &mut Importer<'_>, ways: &mut Ways) -> cimrepo::Result<()> {
    ways.system_classes += import_classes(from, SYSTEM_NAMESPACE, importer)?;
    let singletons = instances(from, ROOT)
        .into_iter()
        .filter(comes_with_namespace);
    for stored in singletons.filter(|stored| *stored.instance.class().name() != "__NAMESPACE") {
        importer.put_instance(ROOT, &stored.instance, None)?;
        ways.system_instances += 1;
    }
    Ok(())
}

fn put_namespaces(
    from: &Catalog,
    writer: &mut CatalogWriter<'_>,
    ways: &mut Ways,
) -> cimrepo::Result<()> {
    for namespace in namespaces(from)[1..]
        .iter()
        .filter(|namespace| *namespace != ROOT)
    {
        writer.create_namespace_with(namespace, &from.security_of(namespace)?.descriptor)?;
        ways.namespaces += 1;
        // What its instances say that follows from no name: some have qualifiers.
        let (parent, name) = namespace.rsplit_once('\\').unwrap();
        for (place, path) in [
            (parent, format!("__NAMESPACE.Name=\"{name}\"")),
            (namespace, "__SystemSecurity=@".into()),
        ] {
            let stored = from.instance(place, &path.parse().unwrap())?.unwrap();
            writer.put_instance(place, &stored.instance, Put::UpdateOnly)?;
        }
    }
    Ok(())
}

fn put_objects(
    from: &Catalog,
    writer: &mut CatalogWriter<'_>,
    ways: &mut Ways,
) -> cimrepo::Result<()> {
    let namespaces = &namespaces(from)[1..];
    for namespace in namespaces {
        for class in classes(from, namespace) {
            let declaration = class.class.declaration();
            if is_system_name(declaration.name.as_str()) {
                let refused = writer.put_class(namespace, declaration, PutClass::default());
                assert!(
                    matches!(
                        refused,
                        Err(Error::Rule {
                            rule: Rule::ReadOnly,
                            ..
                        })
                    ),
                    "{refused:?}"
                );
                continue;
            }
            writer.put_class(namespace, declaration, PutClass::CREATE)?;
            ways.classes += 1;
        }
    }
    for namespace in namespaces {
        for stored in instances(from, namespace)
            .iter()
            .filter(|stored| !comes_with_namespace(stored))
        {
            writer.put_instance(namespace, &stored.instance, Put::CreateOnly)?;
            ways.instances += 1;
        }
    }
    Ok(())
}

fn rebuild(from: &Catalog, directory: &Directory) -> Ways {
    let mut ways = Ways::default();
    build(directory, |importer| begin(from, importer, &mut ways)).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(directory)
        .unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    put_namespaces(from, &mut writer, &mut ways).unwrap();
    writer.commit().unwrap();
    let mut importer = Importer::new(engine.begin_write().unwrap()).unwrap();
    for namespace in &namespaces(from)[1..] {
        ways.system_classes += import_classes(from, namespace, &mut importer).unwrap();
    }
    importer.commit().unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    put_objects(from, &mut writer, &mut ways).unwrap();
    writer.commit().unwrap();
    engine.close().unwrap();
    ways
}

/// How many objects should have come by which way, by their names alone.
fn expected(from: &Catalog) -> Ways {
    let counts = from.snapshot().counts();
    let all = namespaces(from);
    let system_classes = all
        .iter()
        .map(|namespace| system_classes(from, namespace).len())
        .sum();
    let children = all.len() - 2;
    let classes = usize::try_from(counts.class_definitions).unwrap() - system_classes;
    // Each namespace comes with two instances and, but for ROOT, the one that stands for it.
    let with_namespaces = 2 * (children + 1) + children;
    let instances = usize::try_from(counts.instances).unwrap() - with_namespaces;
    Ways {
        system_classes,
        system_instances: 2,
        namespaces: children,
        classes,
        instances,
    }
}

/// Every object of the new repository is there and the same, and keeps every rule.
fn compare(from: &Catalog, directory: &Directory, name: &str) {
    let repository = OpenOptions::new().open_in(directory).unwrap();
    assert_clean(&repository, name);
    let to = Catalog::new(repository.snapshot());
    assert_eq!(to.snapshot().counts(), from.snapshot().counts(), "{name}");
    diff(from, &to, &mut |compared: Compared| {
        panic!("{name}: {compared:?}")
    })
    .unwrap();
    check_keys(&to, name);
    let mut report = verify_snapshot(to.snapshot(), VerifyOptions::default(), &Unobserved).unwrap();
    verify_content(to.snapshot(), Level::Schema, &Unobserved, &mut report).unwrap();
    assert!(report.is_consistent(), "{name}: {:#?}", report.findings);
}

/// Leaves a repository to the readers that `.ci/interop` asks.
fn keep(storage: &MemStorage, name: &str) {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("made")
        .join(name);
    std::fs::create_dir_all(&place).unwrap();
    for name in [
        "OBJECTS.DATA",
        "INDEX.BTR",
        "MAPPING1.MAP",
        "MAPPING2.MAP",
        "MAPPING3.MAP",
    ] {
        std::fs::write(place.join(name), storage.get(name).unwrap()).unwrap();
    }
}

#[test]
fn all_content_is_put_by_the_rules() {
    for path in corpus("all_content_is_put_by_the_rules") {
        let name = name_of(&path);
        let from = Catalog::new(Repository::open_read_only(&path).unwrap().snapshot());
        let storage = MemStorage::new();
        let directory = Directory::new(Arc::new(storage.clone()), ".");
        let ways = rebuild(&from, &directory);
        println!("{name}: {ways:?}");
        assert_eq!(ways, expected(&from), "{name}");
        compare(&from, &directory, &name);
        keep(&storage, &name);
    }
}
