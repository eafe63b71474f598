//! Decoding every class and every instance of real repositories: as views, as the owned model, and
//! by way of the catalog. Beside them, in `benches/read.rs`, stands reading all files and their
//! CRC-32.

#![allow(
    missing_docs,
    reason = "a macro of the harness makes a public function"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot measure stops"
)]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cimrepo::catalog::Catalog;
use cimrepo::catalog::{Put, PutClass, create};
use cimrepo::cim::{Class, FullClass, Instance, Property, ScalarType, Value};
use cimrepo::format::index::object_key::{KeyShape, SYSTEM_NAMESPACE};
use cimrepo::format::record::class_record::{ClassRecordView, encode_class_record};
use cimrepo::format::record::instance_part::SettingView;
use cimrepo::format::record::instance_record::{InstanceRecordView, encode_instance_record};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::Repository;
use cimrepo::store::{Durability, EngineOptions};
use cimrepo::{Direction, KeyRange};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

struct Objects {
    catalog: Catalog,
    namespaces: Vec<String>,
    /// Records of classes, with their superclasses.
    classes: Vec<(Vec<u8>, Option<Arc<FullClass>>)>,
    /// Records of instances, with their classes.
    instances: Vec<(Vec<u8>, Arc<FullClass>)>,
}

fn load(catalog: Catalog) -> Objects {
    let found = catalog.namespaces().into_iter().map(Result::unwrap);
    let namespaces: Vec<String> = [SYSTEM_NAMESPACE.to_owned()]
        .into_iter()
        .chain(found)
        .collect();
    let (mut classes, mut instances) = (Vec::new(), Vec::new());
    for namespace in &namespaces {
        let range = KeyRange::prefix(catalog.keys().namespace(namespace).as_bytes());
        for key in catalog
            .snapshot()
            .keys(range, Direction::Forward)
            .map(Result::unwrap)
        {
            let record = || catalog.snapshot().record(key.reference().unwrap()).unwrap();
            match KeyShape::parse(key.as_bytes()).unwrap().1 {
                KeyShape::Class(name) => {
                    let class = catalog.class_by_hash(namespace, name).unwrap().unwrap();
                    classes.push((record(), class.class.superclass().cloned()));
                }
                KeyShape::Instance(class, _) => {
                    let class = catalog.class_by_hash(namespace, class).unwrap().unwrap();
                    instances.push((record(), class.class.clone()));
                }
                _ => {}
            }
        }
    }
    Objects {
        catalog,
        namespaces,
        classes,
        instances,
    }
}

/// Looks at every name, type and qualifier of a class without copying any.
fn view_class(record: &[u8]) -> usize {
    let view = ClassRecordView::parse(record).unwrap();
    let part = view.class_part();
    let properties = part.properties().map(|property| {
        let property = property.unwrap();
        black_box(property.name().unwrap());
        property
            .qualifiers
            .iter()
            .map(|qualifier| usize::from(qualifier.unwrap().flavor.bits()))
            .sum::<usize>()
    });
    let methods = view
        .methods_part()
        .methods()
        .map(|method| black_box(method.name().unwrap()).chars().count());
    properties.sum::<usize>() + methods.sum::<usize>()
}

/// Looks at every value of an instance without copying any.
fn view_instance(record: &[u8], objects: &Objects, class: &FullClass) -> usize {
    let view = InstanceRecordView::parse(record, objects.catalog.dialect()).unwrap();
    let part = view.part(class).unwrap();
    let own = class
        .properties()
        .iter()
        .filter(|property| match part.setting(property) {
            SettingView::Value(value) => value.text().is_some() || !value.is_null(),
            _ => false,
        });
    own.count()
}

/// Every class and instance of a namespace.
fn enumerate_one(catalog: &Catalog, namespace: &str) -> usize {
    let mut count = 0;
    for class in catalog.classes(namespace) {
        black_box(class.unwrap());
        count += 1;
    }
    for instance in catalog.all_instances(namespace) {
        black_box(instance.unwrap());
        count += 1;
    }
    count
}

/// Every namespace, class and instance, from a catalog that knows nothing yet, by so many threads,
/// which take namespaces in turn.
fn enumerate(objects: &Objects, threads: usize) -> usize {
    let catalog = Catalog::new(objects.catalog.snapshot().clone());
    let next = AtomicUsize::new(0);
    let take = || objects.namespaces.get(next.fetch_add(1, Ordering::Relaxed));
    let run = || {
        std::iter::from_fn(take)
            .map(|namespace| enumerate_one(&catalog, namespace))
            .sum::<usize>()
    };
    let count = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        run()
            + others
                .into_iter()
                .map(|other| other.join().unwrap())
                .sum::<usize>()
    });
    assert_eq!(count, objects.classes.len() + objects.instances.len());
    count
}

fn objects(criterion: &mut Criterion) {
    for (name, path) in support::repositories() {
        let objects = load(Catalog::new(
            Repository::open_read_only(&path).unwrap().snapshot(),
        ));
        let (classes, instances) = (&objects.classes, &objects.instances);
        println!(
            "{name}: {} classes, {} instances",
            classes.len(),
            instances.len()
        );
        let bytes = |sizes: usize| Throughput::Bytes(sizes as u64);
        let class_bytes = classes.iter().map(|(record, _)| record.len()).sum();
        let instance_bytes = instances.iter().map(|(record, _)| record.len()).sum();

        let mut group = criterion.benchmark_group(format!("objects/{name}"));
        group.sample_size(20);
        group.throughput(bytes(class_bytes));
        group.bench_function("classes, views", |bencher| {
            bencher.iter(|| {
                classes
                    .iter()
                    .map(|(record, _)| view_class(record))
                    .sum::<usize>()
            });
        });
        group.bench_function("classes, owned", |bencher| {
            bencher.iter(|| {
                for (record, superclass) in classes {
                    let view = ClassRecordView::parse(record).unwrap();
                    black_box(view.to_class(superclass.clone()).unwrap());
                }
            });
        });
        group.throughput(bytes(instance_bytes));
        group.bench_function("instances, views", |bencher| {
            bencher.iter(|| {
                instances
                    .iter()
                    .map(|(record, class)| view_instance(record, &objects, class))
                    .sum::<usize>()
            });
        });
        group.bench_function("instances, owned", |bencher| {
            bencher.iter(|| {
                for (record, class) in instances {
                    let view =
                        InstanceRecordView::parse(record, objects.catalog.dialect()).unwrap();
                    black_box(view.to_instance(class).unwrap());
                }
            });
        });
        let decoded: Vec<_> = classes
            .iter()
            .map(|(record, parent)| {
                ClassRecordView::parse(record)
                    .unwrap()
                    .to_class(parent.clone())
                    .unwrap()
            })
            .collect();
        group.throughput(bytes(class_bytes));
        group.bench_function("classes, encoded", |bencher| {
            bencher.iter(|| {
                decoded
                    .iter()
                    .map(|class| encode_class_record(class, 0).unwrap().len())
                    .sum::<usize>()
            });
        });
        let dialect = objects.catalog.dialect();
        let decoded: Vec<_> = instances
            .iter()
            .map(|(record, class)| {
                InstanceRecordView::parse(record, dialect)
                    .unwrap()
                    .to_instance(class)
                    .unwrap()
            })
            .collect();
        group.throughput(bytes(instance_bytes));
        group.bench_function("instances, encoded", |bencher| {
            let encode = |instance| {
                encode_instance_record(instance, dialect, 0, 0)
                    .unwrap()
                    .len()
            };
            bencher.iter(|| decoded.iter().map(encode).sum::<usize>());
        });
        group.throughput(Throughput::Elements(
            (classes.len() + instances.len()) as u64,
        ));
        group.bench_function("all from a cold catalog", |bencher| {
            bencher.iter(|| enumerate(&objects, 1))
        });
        let by_two = |bencher: &mut criterion::Bencher<'_>| bencher.iter(|| enumerate(&objects, 2));
        group.bench_function("all from a cold catalog, two threads", by_two);
        let hot = decoded
            .first()
            .map_or("__SystemClass", |instance| instance.class().name().as_str());
        group.throughput(Throughput::Elements(1));
        group.bench_function("class resolution, hot", |bencher| {
            bencher.iter(|| objects.catalog.class("ROOT", black_box(hot)).unwrap());
        });
        group.bench_function("class resolution, cold", |bencher| {
            let cold = || Catalog::new(objects.catalog.snapshot().clone());
            let find = |catalog: Catalog| catalog.class("ROOT", black_box(hot)).map(drop).unwrap();
            bencher.iter_batched(cold, find, BatchSize::SmallInput);
        });
        group.finish();
    }
}

/// Putting instances and enumerating a class of a made-up repository in memory: what the engine
/// itself takes, without a disk.
fn changes(criterion: &mut Criterion) {
    const NAMESPACE: &str = "ROOT";
    const INSTANCES: u32 = 10_000;
    let directory = Directory::new(Arc::new(MemStorage::new()), ".");
    create(&directory).unwrap();
    let engine = EngineOptions::new()
        .durability(Durability::None)
        .background(false)
        .open_in(&directory)
        .unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    let part = Class::builder("Part")
        .property(Property::new("Id", ScalarType::Uint32).key())
        .property(Property::new("Name", ScalarType::String))
        .property(Property::new("Weight", ScalarType::Uint64).default(1u64));
    let part = writer
        .put_class(NAMESPACE, &part.build(), PutClass::CREATE)
        .unwrap();
    let target = Property::new("Of", ScalarType::Reference).of_class("Part");
    let link = Class::builder("Link")
        .property(Property::new("Id", ScalarType::Uint32).key())
        .property(target);
    let link = writer
        .put_class(NAMESPACE, &link.build(), PutClass::CREATE)
        .unwrap();
    let instance = |id: u32| {
        let instance = Instance::new(part.class.clone()).with("Id", id).unwrap();
        instance.with("Name", format!("part number {id}")).unwrap()
    };
    let linked = |id: u32| {
        let to = Value::Reference(format!("Part.Id={}", id % INSTANCES));
        Instance::new(link.class.clone())
            .with("Id", id)
            .unwrap()
            .with("Of", to)
            .unwrap()
    };
    for id in 0..INSTANCES {
        writer
            .put_instance(NAMESPACE, &instance(id), Put::CreateOnly)
            .unwrap();
    }
    writer.commit().unwrap();

    let mut group = criterion.benchmark_group("objects/changes");
    group.throughput(Throughput::Elements(1));
    let mut next = INSTANCES;
    let mut writer = engine.begin_catalog_write().unwrap();
    group.bench_function("put instance, new, in a transaction", |bencher| {
        bencher.iter(|| {
            next += 1;
            writer
                .put_instance(NAMESPACE, &instance(next), Put::CreateOnly)
                .unwrap()
        });
    });
    group.bench_function("put instance, over another", |bencher| {
        bencher.iter(|| {
            next = (next + 7) % INSTANCES;
            writer
                .put_instance(NAMESPACE, &instance(next), Put::UpdateOnly)
                .unwrap()
        });
    });
    let mut next = 0;
    group.bench_function("put instance with a reference", |bencher| {
        bencher.iter(|| {
            next += 1;
            writer
                .put_instance(NAMESPACE, &linked(next), Put::CreateOrUpdate)
                .unwrap()
        });
    });
    drop(writer);
    group.bench_function("put instance, a transaction each", |bencher| {
        bencher.iter(|| {
            next = (next + 7) % INSTANCES;
            let mut writer = engine.begin_catalog_write().unwrap();
            writer
                .put_instance(NAMESPACE, &instance(next), Put::UpdateOnly)
                .unwrap();
            writer.commit().unwrap();
        });
    });
    group.throughput(Throughput::Elements(INSTANCES.into()));
    let catalog = Catalog::new(engine.snapshot());
    group.sample_size(20);
    group.bench_function("enumerate a class", |bencher| {
        bencher.iter(|| {
            assert_eq!(
                catalog
                    .instances(NAMESPACE, "Part")
                    .map(Result::unwrap)
                    .count(),
                10_000
            )
        });
    });
    group.finish();
}

criterion_group!(benches, objects, changes);
criterion_main!(benches);
