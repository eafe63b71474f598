//! Queries beside the calls of the library that do the same work: a look-up, a class of ten
//! thousand instances, all classes of a real repository, the ends of one object; and the parser
//! alone.

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

use cimrepo::catalog::Catalog;
use cimrepo::catalog::{Put, PutClass, create};
use cimrepo::cim::{Class, Instance, Property, ScalarType, Value};
use cimrepo::query::{self, QueryOptions};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::Repository;
use cimrepo::store::{Engine, EngineOptions};
use cimrepo::text::wql;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const NS: &str = r"ROOT\bench";

/// Instances of the class that is scanned.
const INSTANCES: u32 = 10_000;

fn made() -> Engine {
    let directory = Directory::new(Arc::new(MemStorage::new()), ".");
    create(&directory).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory)
        .unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    writer.create_namespace(NS).unwrap();
    let item = Class::builder("Item")
        .property(Property::new("Id", ScalarType::Uint32).key())
        .property(Property::new("Name", ScalarType::String))
        .property(Property::new("Size", ScalarType::Uint64));
    writer
        .put_class(NS, &item.build(), PutClass::default())
        .unwrap();
    let link = Class::builder("Link")
        .property(
            Property::new("From", ScalarType::Reference)
                .of_class("Item")
                .key(),
        )
        .property(
            Property::new("To", ScalarType::Reference)
                .of_class("Item")
                .key(),
        );
    writer
        .put_class(NS, &link.build(), PutClass::default())
        .unwrap();

    let (item, link) = ["Item", "Link"]
        .map(|name| writer.catalog().class(NS, name).unwrap().unwrap())
        .into();
    for number in 0..INSTANCES {
        let instance = Instance::new(item.class.clone()).with("Id", Value::Uint32(number));
        let instance = instance
            .and_then(|instance| instance.with("Name", Value::from(format!("item {number}"))));
        let instance = instance
            .and_then(|instance| instance.with("Size", Value::Uint64(u64::from(number) * 7)));
        writer
            .put_instance(NS, &instance.unwrap(), Put::default())
            .unwrap();
    }
    for number in 1..4 {
        let end = |number: u32| Value::Reference(format!("Item.Id={number}"));
        let instance = Instance::new(link.class.clone()).with("From", end(0));
        let instance = instance
            .and_then(|instance| instance.with("To", end(number)))
            .unwrap();
        writer.put_instance(NS, &instance, Put::default()).unwrap();
    }
    writer.commit().unwrap();
    engine
}

/// Runs a query to its end; gives the number of its rows.
fn rows(catalog: &Catalog, namespace: &str, text: &str) -> usize {
    query::run(catalog, namespace, text, QueryOptions::default())
        .unwrap()
        .map(Result::unwrap)
        .count()
}

fn made_up(criterion: &mut Criterion) {
    let engine = made();
    let catalog = Catalog::new(engine.snapshot());
    let mut group = criterion.benchmark_group("query");
    let path = "Item.Id=77".parse().unwrap();
    group.bench_function("look-up/library", |bencher| {
        bencher.iter(|| black_box(catalog.instance(NS, &path).unwrap()));
    });
    group.bench_function("look-up/query", |bencher| {
        bencher.iter(|| assert_eq!(rows(&catalog, NS, "SELECT * FROM Item WHERE Id = 77"), 1));
    });
    group.bench_function("ends of one object", |bencher| {
        bencher.iter(|| assert_eq!(rows(&catalog, NS, "ASSOCIATORS OF {Item.Id=0}"), 3));
    });
    group.bench_function("count by keys", |bencher| {
        bencher.iter(|| assert_eq!(rows(&catalog, NS, "SELECT COUNT(*) FROM Item"), 1));
    });
    group.throughput(Throughput::Elements(u64::from(INSTANCES)));
    group.bench_function("scan/library", |bencher| {
        bencher.iter(|| black_box(catalog.instances(NS, "Item").map(Result::unwrap).count()));
    });
    group.bench_function("scan/query", |bencher| {
        let text = "SELECT * FROM Item WHERE Size > 35000 AND Name LIKE '%7%'";
        bencher.iter(|| black_box(rows(&catalog, NS, text)));
    });
    group.finish();
}

fn parse(criterion: &mut Criterion) {
    let text = "SELECT Name, State FROM Win32_Service WHERE (State = 'Running' OR StartMode <> \
        'Auto') AND NOT Name LIKE 'W[a-f]%'";
    criterion.bench_function("query/parse", |bencher| {
        bencher.iter(|| black_box(wql::parse(black_box(text)).unwrap()))
    });
}

fn real(criterion: &mut Criterion) {
    for (name, path) in support::repositories() {
        let repository = Repository::open_read_only(&path).unwrap();
        criterion.bench_function(&format!("query/all classes/{name}"), |bencher| {
            // A new catalog each time: no class is put together yet.
            bencher.iter(|| {
                rows(
                    &Catalog::new(repository.snapshot()),
                    r"ROOT\CIMV2",
                    "SELECT * FROM meta_class",
                )
            });
        });
    }
}

criterion_group!(benches, made_up, parse, real);
criterion_main!(benches);
