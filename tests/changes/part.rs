//! A part of a repository comes back from another: afterwards it is as that one has it, everything
//! else is as it was, and what refers into it from elsewhere does so again.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use cimrepo::backup::{BackupOptions, OpenBackup, backup_snapshot};
use cimrepo::base::progress::Unobserved;
use cimrepo::base::rule::Rule;
use cimrepo::catalog::diff::{Compared, diff};
use cimrepo::catalog::part::{Part, TakenPart};
use cimrepo::catalog::{Catalog, StoredInstance};
use cimrepo::catalog::{CatalogWriter, Importer, Put, PutClass, create};
use cimrepo::cim::{Class, Instance, ObjectPath, Property, ScalarType, Value};
use cimrepo::restore::{PartOptions, restore_part};
use cimrepo::storage::sim::{CrashPolicy, Fault, FaultPlan, SimStorage};
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::OpenOptions;
use cimrepo::store::{Engine, EngineOptions};
use cimrepo::{Error, Result};

use crate::lab::Lab;
use crate::real_edits::labs;
use crate::support::content::{check_keys, namespaces};

const SHOP: &str = r"ROOT\Shop";
const CELLAR: &str = r"ROOT\Shop\Cellar";
const STREET: &str = r"ROOT\Street";

/// Differences of two repositories, as text.
fn differences(first: &Catalog, second: &Catalog) -> Vec<String> {
    let mut found = Vec::new();
    diff(first, second, &mut |compared| {
        let Compared::Difference(difference) = compared else {
            panic!("{compared:?}")
        };
        found.push(format!("{:?} {}", difference.what, difference.path));
        true
    })
    .unwrap();
    found
}

fn take(lab: &Lab, from: &Catalog, part: &Part) -> Result<TakenPart> {
    let mut importer = Importer::new(lab.engine.begin_write()?)?;
    let taken = importer.take_part(from, part, &Unobserved)?;
    importer.commit()?;
    Ok(taken)
}

fn namespace(path: &str) -> Part {
    Part::Namespace(path.to_owned())
}

fn class(namespace: &str, class: &str) -> Part {
    Part::Class {
        namespace: namespace.to_owned(),
        class: class.to_owned(),
    }
}

fn instance(namespace: &str, path: &str) -> Part {
    Part::Instance {
        namespace: namespace.to_owned(),
        path: path.parse().unwrap(),
    }
}

/// Numbers that look like chance and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn key() -> Property {
    Property::new("Id", ScalarType::Uint32).key()
}

fn link() -> Class {
    let to = Property::new("To", ScalarType::Reference).of_class("Target");
    Class::builder("Link").property(key()).property(to).build()
}

/// Three namespaces with classes, derived ones, instances, and references within and between them.
fn fill(writer: &mut CatalogWriter<'_>, chance: &mut Chance) -> Result<()> {
    for namespace in [SHOP, CELLAR, STREET] {
        writer.create_namespace(namespace)?;
        let colour = Property::new("Colour", ScalarType::String);
        let target = Class::builder("Target")
            .property(key())
            .property(colour)
            .build();
        writer.put_class(namespace, &target, PutClass::CREATE)?;
        let near = Class::builder("Near")
            .superclass("Target")
            .property(Property::new("Far", ScalarType::Sint32));
        writer.put_class(namespace, &near.build(), PutClass::CREATE)?;
        writer.put_class(namespace, &link(), PutClass::CREATE)?;
        for id in 0..4 {
            put_target(
                writer,
                namespace,
                if id % 2 == 0 { "Target" } else { "Near" },
                id,
                chance.below(9),
            )?;
        }
    }
    for (number, namespace) in [SHOP, CELLAR, STREET, SHOP, STREET, STREET]
        .into_iter()
        .enumerate()
    {
        let to = [SHOP, CELLAR, STREET][chance.below(3) as usize];
        put_link(
            writer,
            namespace,
            u32::try_from(number).unwrap(),
            to,
            chance.below(5),
        )?;
    }
    Ok(())
}

fn put_target(
    writer: &mut CatalogWriter<'_>,
    namespace: &str,
    class: &str,
    id: u32,
    colour: u32,
) -> Result<()> {
    let class = writer.catalog().class(namespace, class)?.unwrap();
    let instance = Instance::new(class.class.clone())
        .with("Id", id)?
        .with("Colour", format!("colour {colour}"))?;
    writer
        .put_instance(namespace, &instance, Put::CreateOrUpdate)
        .map(drop)
}

fn put_link(
    writer: &mut CatalogWriter<'_>,
    namespace: &str,
    id: u32,
    to: &str,
    target: u32,
) -> Result<()> {
    let class = writer.catalog().class(namespace, "Link")?.unwrap();
    let to = format!(r"\\.\{to}:Target.Id={target}");
    let instance = Instance::new(class.class.clone())
        .with("Id", id)?
        .with("To", Value::Reference(to))?;
    writer
        .put_instance(namespace, &instance, Put::CreateOrUpdate)
        .map(drop)
}

/// A few changes; one that cannot be made, as what it is about is gone, is passed over.
fn change(writer: &mut CatalogWriter<'_>, chance: &mut Chance) {
    for _ in 0..1 + chance.below(5) {
        let namespace = [SHOP, CELLAR, STREET][chance.below(3) as usize];
        let id = chance.below(6);
        let path: ObjectPath = format!("Target.Id={id}").parse().unwrap();
        let way = chance.below(6);
        if !writer.catalog().has_namespace(namespace).unwrap() {
            continue;
        }
        let has_class = |writer: &mut CatalogWriter<'_>, name| {
            writer.catalog().class(namespace, name).unwrap().is_some()
        };
        match way {
            0 => drop(writer.delete_instance(namespace, &path)),
            1 if has_class(writer, "Target") => {
                drop(put_target(writer, namespace, "Target", id, 77))
            }
            2 if has_class(writer, "Link") => put_link(writer, namespace, id, SHOP, id).unwrap(),
            3 => drop(writer.delete_class(namespace, "Near")),
            4 => drop(writer.delete_class(namespace, "Target")),
            _ => drop(writer.delete_namespace(namespace)),
        }
    }
}

fn any_part(chance: &mut Chance) -> Part {
    let place = [SHOP, CELLAR, STREET][chance.below(3) as usize];
    match chance.below(3) {
        0 => namespace(place),
        1 => class(place, ["Target", "Near", "Link"][chance.below(3) as usize]),
        _ => instance(place, &format!("Target.Id={}", chance.below(4))),
    }
}

/// What taking a part means, by the writer that has all rules: what is there of it is deleted, and
/// its objects are put. Gives the number of those that cannot be, as an instance that is no part of
/// it has their key.
fn by_the_rules(writer: &mut CatalogWriter<'_>, from: &Catalog, part: &Part) -> usize {
    let mut refused = 0;
    match part {
        Part::Namespace(namespace) => {
            make_namespaces(writer, from, namespace.rsplit_once('\\').unwrap().0);
            drop(writer.delete_namespace(namespace));
            let is_inside =
                |path: &String| path == namespace || path.starts_with(&format!(r"{namespace}\"));
            for path in from
                .namespaces()
                .into_iter()
                .map(std::result::Result::unwrap)
                .filter(is_inside)
            {
                writer.create_namespace(&path).unwrap();
                for name in ["Target", "Near", "Link"] {
                    refused += put_class(writer, from, &path, name);
                }
            }
        }
        Part::Class { namespace, class } => {
            make_namespaces(writer, from, namespace);
            drop(writer.delete_class(namespace, class));
            put_above(writer, from, namespace, class);
            refused += put_class(writer, from, namespace, class);
            for derived in from.derived_classes(namespace, class) {
                refused += put_class(
                    writer,
                    from,
                    namespace,
                    derived.unwrap().class.name().as_str(),
                );
            }
        }
        Part::Instance { namespace, path } => {
            make_namespaces(writer, from, namespace);
            let stored = from.instance(namespace, path).unwrap().unwrap();
            let name = stored.instance.class().name().as_str();
            put_above(writer, from, namespace, name);
            if writer.catalog().class(namespace, name).unwrap().is_none() {
                let class = from.class(namespace, name).unwrap().unwrap();
                writer
                    .put_class(namespace, class.class.declaration(), PutClass::CREATE)
                    .unwrap();
            }
            drop(writer.delete_instance(namespace, path));
            writer
                .put_instance(namespace, &stored.instance, Put::CreateOnly)
                .unwrap();
        }
    }
    refused
}

fn make_namespaces(writer: &mut CatalogWriter<'_>, from: &Catalog, namespace: &str) {
    if writer.catalog().has_namespace(namespace).unwrap() {
        return;
    }
    make_namespaces(writer, from, namespace.rsplit_once('\\').unwrap().0);
    let security = from.security_of(namespace).unwrap();
    writer
        .create_namespace_with(namespace, &security.descriptor)
        .unwrap();
}

fn put_above(writer: &mut CatalogWriter<'_>, from: &Catalog, namespace: &str, class: &str) {
    let class = from.class(namespace, class).unwrap().unwrap();
    let Some(superclass) = class.class.declaration().superclass.clone() else {
        return;
    };
    if writer
        .catalog()
        .class(namespace, superclass.as_str())
        .unwrap()
        .is_none()
    {
        let above = from.class(namespace, superclass.as_str()).unwrap().unwrap();
        writer
            .put_class(namespace, above.class.declaration(), PutClass::CREATE)
            .unwrap();
    }
}

fn put_class(writer: &mut CatalogWriter<'_>, from: &Catalog, namespace: &str, name: &str) -> usize {
    let class = from.class(namespace, name).unwrap().unwrap();
    writer
        .put_class(namespace, class.class.declaration(), PutClass::CREATE)
        .unwrap();
    let put = |stored: Result<StoredInstance>| {
        writer.put_instance(namespace, &stored.unwrap().instance, Put::CreateOnly)
    };
    let refused = from
        .instances(namespace, name)
        .map(put)
        .filter_map(Result::err);
    refused
        .inspect(|error| {
            assert!(
                matches!(
                    error,
                    Error::Rule {
                        rule: Rule::AlreadyExists,
                        ..
                    }
                ),
                "{error}"
            )
        })
        .count()
}

#[test]
fn a_part_is_what_its_objects_are_when_they_are_deleted_and_put_again() {
    let mut brought = 0;
    for seed in 0..60 {
        let build = |lab: &Lab| {
            let mut chance = Chance(seed);
            lab.write_unchecked(|writer| fill(writer, &mut chance));
            chance
        };
        let (source, target, model) = (Lab::new(), Lab::new(), Lab::new());
        let _ = build(&source);
        let mut chance = build(&target);
        let _ = build(&model);
        let changes = chance.0;
        target.write_unchecked(|writer| {
            change(writer, &mut chance);
            Ok(())
        });
        let mut again = Chance(changes);
        model.write_unchecked(|writer| {
            change(writer, &mut again);
            Ok(())
        });
        assert_eq!(
            differences(&target.catalog(), &model.catalog()),
            [""; 0],
            "{seed}"
        );
        let (from, part) = (source.catalog(), any_part(&mut chance));
        let taken = take(&target, &from, &part).unwrap();
        brought += taken.brought.len();
        let mut refused = 0;
        model.write_unchecked(|writer| {
            refused = by_the_rules(writer, &from, &part);
            Ok(())
        });
        assert_eq!(taken.left_out.len(), refused, "{seed}: {part:?}: {taken:?}");
        assert_eq!(
            differences(&target.catalog(), &model.catalog()),
            [""; 0],
            "{seed}: {part:?}: {taken:?}"
        );
        let [content, expected] =
            [&target, &model].map(|lab| check_keys(&lab.catalog(), &format!("{seed}: {part:?}")));
        assert_eq!(content, expected, "{seed}: {part:?}");
        for lab in [source, target, model] {
            lab.close();
        }
    }
    assert!(brought > 0, "something came along");
}

#[test]
fn what_refers_into_a_namespace_does_so_again() {
    let lab = Lab::new();
    let mut chance = Chance(1);
    lab.write(|writer| fill(writer, &mut chance));
    lab.write(|writer| put_link(writer, STREET, 50, SHOP, 2));
    let whole = lab.catalog();
    let before = check_keys(&whole, "before");
    lab.write(|writer| writer.delete_namespace(SHOP));
    let taken = take(&lab, &whole, &namespace(SHOP)).unwrap();
    assert_eq!(taken.namespaces, [SHOP, CELLAR]);
    assert!(taken.replaced.is_none());
    let again = take(&lab, &whole, &namespace(SHOP)).unwrap();
    let replaced = again.replaced.unwrap();
    assert_eq!(
        (replaced.class_count, replaced.instances),
        (again.classes, again.instances)
    );
    assert_eq!(
        (again.classes, again.instances),
        (taken.classes, taken.instances)
    );
    assert_eq!(differences(&whole, &lab.catalog()), [""; 0]);
    assert_eq!(check_keys(&lab.catalog(), "after"), before);
    let path = "Target.Id=2".parse().unwrap();
    assert!(
        lab.catalog()
            .referrers(SHOP, &path)
            .unwrap()
            .next()
            .is_some()
    );
    lab.close();
}

#[test]
fn what_is_no_part_is_refused_and_nothing_changes() {
    let (source, lab) = (Lab::new(), Lab::new());
    let mut chance = Chance(2);
    source.write(|writer| fill(writer, &mut chance));
    let from = source.catalog();
    let unknown = [
        namespace(r"ROOT\Nowhere"),
        class(SHOP, "Nothing"),
        instance(SHOP, "Target.Id=400"),
        instance(r"ROOT\Nowhere", "Target.Id=1"),
    ];
    let forbidden = [
        namespace("ROOT"),
        class(SHOP, "__EventFilter"),
        instance("ROOT", r#"__NAMESPACE.Name="Shop""#),
    ];
    let all = unknown.map(|part| (part, Rule::NotFound)).into_iter();
    for (part, expected) in all.chain(forbidden.map(|part| (part, Rule::ReadOnly))) {
        let before = check_keys(&lab.catalog(), "before");
        let error = take(&lab, &from, &part).unwrap_err();
        assert!(
            matches!(&error, Error::Rule { rule, .. } if *rule == expected),
            "{part:?}: {error:?}"
        );
        assert_eq!(check_keys(&lab.catalog(), "after"), before, "{part:?}");
    }
    lab.close();
}

#[test]
fn each_top_namespace_of_a_real_repository_comes_back_after_it_was_lost() {
    for (name, lab) in labs("each_top_namespace_of_a_real_repository_comes_back_after_it_was_lost")
    {
        let whole = lab.catalog();
        let tops = whole
            .child_namespaces("ROOT")
            .into_iter()
            .map(std::result::Result::unwrap);
        let tops: Vec<String> = tops.collect();
        for top in &tops {
            lab.write_unchecked(|writer| writer.delete_namespace(top));
            assert!(!lab.catalog().has_namespace(top).unwrap());
            let taken = take(&lab, &whole, &namespace(top)).unwrap();
            assert!(
                taken.left_out.is_empty(),
                "{name}: {top}: {:?}",
                taken.left_out
            );
            assert!(taken.instances > 0, "{name}: {top}");
        }
        assert_eq!(differences(&whole, &lab.catalog()), [""; 0], "{name}");
        println!("{name}: {} namespaces", tops.len());
        lab.close();
    }
}

/// A disk with a repository that lost a namespace, and the repository that has it.
fn lost_shop() -> (SimStorage, Lab) {
    let source = Lab::new();
    let mut chance = Chance(3);
    source.write_unchecked(|writer| fill(writer, &mut chance));
    let disk = SimStorage::new();
    let directory = Directory::new(Arc::new(disk.clone()), ".");
    create(&directory).unwrap();
    let target = Lab::over(directory);
    let mut chance = Chance(3);
    target.write_unchecked(|writer| fill(writer, &mut chance));
    target.write_unchecked(|writer| writer.delete_namespace(SHOP));
    target.close();
    (disk, source)
}

/// Everything that is there, without what tells two repositories apart that say the same.
fn seen(disk: &SimStorage) -> BTreeSet<String> {
    let directory = Directory::new(Arc::new(disk.crash(CrashPolicy::KeepAll)), ".");
    let catalog = Catalog::new(OpenOptions::new().open_in(&directory).unwrap().snapshot());
    let mut found = BTreeSet::new();
    for namespace in namespaces(&catalog) {
        for class in catalog.classes(&namespace) {
            found.insert(format!("{namespace}:{}", class.unwrap().class.name()));
        }
        for stored in catalog.all_instances(&namespace) {
            found.insert(format!(
                "{namespace}:{}",
                stored.unwrap().instance.path().unwrap().text()
            ));
        }
    }
    found
}

/// Loses power at each step of `run`, which restores the part to a disk that has none of it: after
/// each the disk has what it had before, or all that `run` gives.
fn crash_at_each_step(disk: &SimStorage, run: &dyn Fn(&SimStorage) -> Result<()>) {
    let before = seen(disk);
    let whole = disk.crash(CrashPolicy::KeepAll);
    run(&whole).unwrap();
    let (after, steps) = (seen(&whole), whole.operations());
    assert!(
        after.len() > before.len() + 10,
        "{} and {} objects",
        before.len(),
        after.len()
    );
    let (mut images, mut done) = (0, 0);
    for step in 0..steps {
        let broken = disk.crash(CrashPolicy::KeepAll);
        broken.set_plan(FaultPlan::from(step, Fault::PowerOff));
        // What is left behind the last sync, a journal that is no longer needed, may fail to go
        // without a word.
        let ended = run(&broken);
        let few = [
            CrashPolicy::DropAll,
            CrashPolicy::KeepAll,
            CrashPolicy::Seeded(step),
            CrashPolicy::Seeded(!step),
        ];
        // Where everything is synced all policies leave the same.
        let count = if broken.unsynced() == 0 { 1 } else { few.len() };
        for policy in few.into_iter().take(count) {
            let found = seen(&broken.crash(policy));
            assert!(
                ended.is_err() || found == after,
                "step {step} of {steps}, {policy:?}: it was acknowledged"
            );
            assert!(
                found == before || found == after,
                "step {step} of {steps}, {policy:?}"
            );
            done += usize::from(found == after);
            images += 1;
        }
    }
    println!("{steps} steps, {images} images, {done} of them with the part");
    assert!(done > 0 && done < images);
}

fn open(disk: &SimStorage) -> Result<Engine> {
    let directory = Directory::new(Arc::new(disk.clone()), ".");
    EngineOptions::new().background(false).open_in(&directory)
}

#[test]
fn a_crash_at_any_step_leaves_all_of_the_part_or_nothing() {
    let (disk, from) = lost_shop();
    crash_at_each_step(&disk, &|disk| {
        let engine = open(disk)?;
        let mut importer = Importer::new(engine.begin_write()?)?;
        importer.take_part(&from.catalog(), &namespace(SHOP), &Unobserved)?;
        importer.commit()?;
        engine.close()
    });
}

/// As the command does it: the part comes from a backup file on the same disk, whose reads are
/// steps too.
#[test]
fn a_crash_at_any_step_of_a_part_from_a_backup_leaves_all_of_it_or_nothing() {
    const FILE: &str = "whole.cimbak";
    let (disk, from) = lost_shop();
    let saved = MemStorage::new();
    let target: Arc<dyn Storage> = Arc::new(saved.clone());
    let (snapshot, options) = (from.engine.snapshot(), BackupOptions::default());
    backup_snapshot(&snapshot, &target, FILE, &options, &Unobserved).unwrap();
    disk.put(FILE, &saved.get(FILE).unwrap());
    // With one thread the steps are the same each time.
    let options = PartOptions {
        threads: NonZeroUsize::new(1),
        ..PartOptions::default()
    };
    crash_at_each_step(&disk, &|disk| {
        let storage: Arc<dyn Storage> = Arc::new(disk.clone());
        let backup = OpenBackup::new().open_in(&storage, FILE)?;
        let engine = open(disk)?;
        restore_part(&backup, &engine, &namespace(SHOP), options, &Unobserved)?;
        engine.close()
    });
}
