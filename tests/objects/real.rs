//! Every record of every real repository is taken apart and put together again.

use std::path::Path;
use std::sync::Arc;

use cimrepo::catalog::Catalog;
use cimrepo::cim::{Array, FullClass, Instance, Object, Value};
use cimrepo::format::index::object_key::KeyShape;
use cimrepo::format::record::class_record::{
    ClassRecordView, encode_class_record, encode_exact_class_record,
};
use cimrepo::format::record::heap::HeapNotes;
use cimrepo::format::record::instance_record::{
    InstanceRecordView, encode_exact_instance_record, encode_instance_record,
};
use cimrepo::format::record::object_block::ObjectNotes;
use cimrepo::format::record::reference_record::{REFERENCE_TAIL, ReferenceRecordView};
use cimrepo::store::Repository;

use sha2::{Digest, Sha256};

use crate::support::content::{check_keys, keys, namespaces};
use crate::support::{corpus, name_of};

fn catalog(path: &Path) -> Catalog {
    Catalog::new(Repository::open_read_only(path).unwrap().snapshot())
}

/// Notes of embedded objects: how many have bytes that mean nothing, and how many there are.
#[derive(Debug, Default)]
struct Embedded {
    objects: usize,
    canonical: usize,
}

impl Embedded {
    fn count(&mut self, heap: &HeapNotes) {
        for notes in heap.objects() {
            if *notes == ObjectNotes::default() {
                continue; // no parameters
            }
            self.objects += 1;
            let heaps = [&notes.class.heap, &notes.methods.heap, &notes.instance.heap];
            self.canonical += usize::from(heaps.iter().all(|heap| heap.is_canonical()));
            heaps.into_iter().for_each(|heap| self.count(heap));
        }
    }
}

#[test]
fn class_records_are_reproduced() {
    for path in corpus("class_records_are_reproduced") {
        let catalog = catalog(&path);
        let (mut count, mut canonical, mut embedded) = (0, 0, Embedded::default());
        for namespace in namespaces(&catalog) {
            for key in keys(
                &catalog,
                &format!("{}CD_", catalog.keys().namespace(&namespace)),
            ) {
                let record = catalog.snapshot().record(key.reference().unwrap()).unwrap();
                canonical += usize::from(check_class(&catalog, &namespace, &record, &mut embedded));
                count += 1;
            }
        }
        let classes = catalog.snapshot().counts().class_definitions;
        assert_eq!(
            count,
            classes,
            "{}: every class was looked at",
            name_of(&path)
        );
        println!(
            "{}: {count} classes, {canonical} without leftovers, {embedded:?}",
            name_of(&path)
        );
    }
}

/// Whether a writer would produce the same bytes.
fn check_class(catalog: &Catalog, namespace: &str, record: &[u8], embedded: &mut Embedded) -> bool {
    let view = ClassRecordView::parse(record).unwrap();
    let superclass = view.superclass().unwrap();
    let superclass = superclass.map(|name| {
        catalog
            .class(namespace, &name)
            .unwrap()
            .unwrap()
            .class
            .clone()
    });
    let (class, notes) = view.to_exact(superclass.clone()).unwrap();
    let name = class.name();
    assert!(
        encode_exact_class_record(&class, view.stamp(), &notes).unwrap() == record,
        "{namespace}:{name}"
    );
    assert!(
        notes.class.heap.is_canonical() && notes.methods.heap.is_canonical(),
        "{namespace}:{name}"
    );
    assert!(notes.methods.has_usual_flags(&class), "{namespace}:{name}");
    assert!(notes.class.table.has_usual_states(), "{namespace}:{name}");
    embedded.count(&notes.class.heap);
    embedded.count(&notes.methods.heap);

    let written = encode_class_record(&class, view.stamp()).unwrap();
    let (again, notes) = ClassRecordView::parse(&written)
        .unwrap()
        .to_exact(superclass)
        .unwrap();
    assert!(
        again == class,
        "{namespace}:{name}: what a writer makes of it is another class"
    );
    assert_eq!(notes.class.table.stale_slots(), 0, "{namespace}:{name}");
    assert!(encode_class_record(&again, view.stamp()).unwrap() == written);
    check_view(&view, &class);
    written == record
}

/// What a scan sees without decoding is what is decoded.
fn check_view(view: &ClassRecordView<'_>, class: &FullClass) {
    let part = view.class_part();
    assert!(part.name().unwrap().unwrap().is(class.name().as_str()));
    assert_eq!(
        part.qualifiers().iter().count(),
        class.declaration().qualifiers.len()
    );
    assert_eq!(part.property_count(), class.declaration().properties.len());
    for property in part.properties().map(Result::unwrap) {
        let name = property.name().unwrap().to_text();
        let declared = class.declaration().property(&name).unwrap();
        assert_eq!(
            (declared.cim_type, declared.name.as_str()),
            (property.cim_type, name.as_str())
        );
        for (view, qualifier) in property.qualifiers.iter().zip(&declared.qualifiers) {
            let view = view.unwrap();
            assert!(view.name().unwrap().is(qualifier.name.as_str()));
            assert_eq!(
                (view.flavor, view.value.to_value().unwrap()),
                (qualifier.flavor, qualifier.value.clone())
            );
        }
    }
    for (view, method) in view
        .methods_part()
        .methods()
        .zip(&class.declaration().methods)
    {
        assert_eq!(view.name().unwrap().to_text(), method.name.as_str());
        assert_eq!(
            view.qualifiers().unwrap().iter().count(),
            method.qualifiers.len()
        );
        let full = class.method(method.name.as_str()).unwrap();
        assert_eq!(
            (view.overrides(), view.origin_level()),
            (full.overrides, full.origin_level)
        );
    }
}

#[test]
fn instance_records_are_reproduced() {
    for path in corpus("instance_records_are_reproduced") {
        let catalog = catalog(&path);
        let (mut count, mut canonical, mut embedded) = (0, 0, Embedded::default());
        for namespace in namespaces(&catalog) {
            for key in keys(
                &catalog,
                &format!("{}CI_", catalog.keys().namespace(&namespace)),
            ) {
                let record = catalog.snapshot().record(key.reference().unwrap()).unwrap();
                canonical +=
                    usize::from(check_instance(&catalog, &namespace, &record, &mut embedded));
                count += 1;
            }
        }
        assert_eq!(
            count,
            catalog.snapshot().counts().instances,
            "{}: every instance was looked at",
            name_of(&path)
        );
        println!(
            "{}: {count} instances, {canonical} without leftovers, {embedded:?}",
            name_of(&path)
        );
    }
}

fn check_instance(
    catalog: &Catalog,
    namespace: &str,
    record: &[u8],
    embedded: &mut Embedded,
) -> bool {
    let dialect = catalog.dialect();
    let view = InstanceRecordView::parse(record, dialect).unwrap();
    let stored = catalog
        .class_by_hash(namespace, view.class_hash().unwrap())
        .unwrap()
        .unwrap();
    let (class, name) = (&stored.class, stored.class.name());
    assert_eq!(
        view.class_stamp(),
        stored.stamp.0,
        "{namespace}:{name}: it was written under another class"
    );
    let (instance, notes) = view.to_exact(class).unwrap();
    let (stamp, class_stamp) = (view.stamp(), view.class_stamp());
    let exact =
        encode_exact_instance_record(&instance, dialect, stamp, class_stamp, &notes).unwrap();
    assert!(exact == record, "{namespace}:{name}");
    assert!(
        notes.heap.is_canonical() && notes.table.has_usual_states(),
        "{namespace}:{name}"
    );
    assert_eq!(notes.table.stale_slots(), 0, "{namespace}:{name}");
    assert!(
        !has_opaque(&instance),
        "{namespace}:{name}: an embedded object cannot be taken apart"
    );
    embedded.count(&notes.heap);
    let written = encode_instance_record(&instance, dialect, stamp, class_stamp).unwrap();
    let again = InstanceRecordView::parse(&written, dialect)
        .unwrap()
        .to_instance(class)
        .unwrap();
    assert!(
        again == instance,
        "{namespace}:{name}: what a writer makes of it is another instance"
    );
    written == record
}

fn has_opaque(instance: &Instance) -> bool {
    let is_opaque = |object: &Object| match object {
        Object::Opaque(_) => true,
        Object::Instance(instance) => has_opaque(instance),
        Object::Class(_) => false,
    };
    instance
        .values()
        .filter_map(|(_, value)| value)
        .any(|value| match value {
            Value::Object(object) => is_opaque(object),
            Value::Array(Array::Object(objects)) => objects.iter().flatten().any(is_opaque),
            _ => false,
        })
}

#[test]
fn reference_records_are_reproduced() {
    for path in corpus("reference_records_are_reproduced") {
        let catalog = catalog(&path);
        let mut count = 0;
        for key in keys(&catalog, "NS_") {
            if !matches!(
                KeyShape::parse(key.as_bytes()),
                Some((_, KeyShape::Reference(..)))
            ) {
                continue;
            }
            let record = catalog.snapshot().record(key.reference().unwrap()).unwrap();
            let view = ReferenceRecordView::parse(&record).unwrap();
            let reference = view.to_reference().unwrap();
            let written = reference.to_bytes();
            let body = record.len() - REFERENCE_TAIL;
            assert_eq!(written.len(), record.len());
            assert_eq!(written[..body], record[..body]);
            assert_eq!(record[body..], view.tail());
            let referring = catalog.referring_instance(&reference).unwrap().unwrap();
            assert_eq!(*referring.instance.class().name(), *reference.class);
            count += 1;
        }
        println!("{}: {count} references", name_of(&path));
    }
}

#[test]
fn keys_follow_from_content() {
    for path in corpus("keys_follow_from_content") {
        let content = check_keys(&catalog(&path), &name_of(&path));
        assert_eq!(content.unresolved, 0, "{}", name_of(&path));
        println!("{}: {content:?}", name_of(&path));
    }
}

#[test]
fn classes_are_put_together_once() {
    for path in corpus("classes_are_put_together_once") {
        let catalog = catalog(&path);
        for namespace in namespaces(&catalog) {
            for class in catalog.classes(&namespace).map(Result::unwrap) {
                let name = class.class.name().as_str();
                let found = catalog.class(&namespace, name).unwrap().unwrap();
                let again = catalog
                    .class(&namespace, &name.to_ascii_uppercase())
                    .unwrap()
                    .unwrap();
                assert!(
                    Arc::ptr_eq(&found, &again) && found.class == class.class,
                    "{namespace}:{name}"
                );
                if let Some(superclass) = &class.class.declaration().superclass {
                    let parent = catalog
                        .class(&namespace, superclass.as_str())
                        .unwrap()
                        .unwrap();
                    let of_class = class.class.superclass().unwrap();
                    assert!(
                        Arc::ptr_eq(&parent.class, of_class),
                        "{namespace}:{name}: {superclass}"
                    );
                }
            }
        }
    }
}

/// What another program made of the definitions, and when it did: see the file.
const SYSTEM_CLASSES: &str = include_str!("../../testdata/system-classes.txt");

#[test]
fn system_classes_are_written_as_another_writer_does() {
    for path in corpus("system_classes_are_written_as_another_writer_does") {
        let catalog = catalog(&path);
        let mut count = 0;
        for line in SYSTEM_CLASSES.lines().filter(|line| !line.starts_with('#')) {
            let [dialects, namespace, name, digest] =
                line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            if !dialects
                .split(',')
                .any(|dialect| dialect == catalog.dialect().as_str())
            {
                continue;
            }
            let class = catalog
                .class(namespace, name)
                .unwrap()
                .unwrap_or_else(|| panic!("{namespace}:{name}"));
            let record = encode_class_record(&class.class, 0).unwrap();
            let found: String = Sha256::digest(&record)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(found, digest, "{}: {namespace}:{name}", name_of(&path));
            count += 1;
        }
        assert!(count > 50);
        println!("{}: {count} system classes", name_of(&path));
    }
}
