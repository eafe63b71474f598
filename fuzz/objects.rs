//! The targets `class_record`, `instance_record`, `reference_record` and `object_path`.
//!
//! Records that can be read are written again byte for byte with what they have beside their
//! content; a writer's form of them has the same content. The first byte of an input of the first
//! two is flags: 1, the class has a superclass, which is always [`base`]; 2, the dialect is 2.1.

use std::hint::black_box;
use std::sync::Arc;

use cimrepo::cim::{
    CimType, Class, FullClass, Method, ObjectPath, Property, Qualifier, ScalarType, Value,
};
use cimrepo::format::Dialect;
use cimrepo::format::record::class_record::{
    ClassRecordView, encode_class_record, encode_exact_class_record,
};
use cimrepo::format::record::instance_record::{
    InstanceRecordView, encode_exact_instance_record, encode_instance_record,
};
use cimrepo::format::record::reference_record::{REFERENCE_TAIL, ReferenceRecordView};

/// The class has a superclass.
pub(crate) const DERIVED: u8 = 1;
/// The dialect is 2.1.
pub(crate) const OLD: u8 = 2;

/// A class with a property of most types; what other classes are derived from.
pub(crate) fn base() -> Arc<FullClass> {
    let name = Property::new("Name", ScalarType::String).key();
    let object = Property::new("Object", ScalarType::Object);
    let class = Class::builder("Base")
        .qualifier(Qualifier::cimtype("x"))
        .property(name)
        .property(Property::new("Number", ScalarType::Uint32).default(7u32))
        .property(Property::new("Flag", ScalarType::Boolean).default(true))
        .property(Property::new("Texts", CimType::array(ScalarType::String)))
        .property(Property::new("Default", ScalarType::String).default("a default"))
        .property(Property::new("Target", ScalarType::Reference).of_class("Base"))
        .property(object)
        .property(Property::new("Objects", CimType::array(ScalarType::Object)))
        .property(
            Property::new("Bytes", CimType::array(ScalarType::Uint8)).default(vec![1u8, 2, 3]),
        )
        .property(Property::new("When", ScalarType::DateTime))
        .property(Property::new("Real", ScalarType::Real64))
        .method(
            Method::new("Do")
                .input(Property::new("How", ScalarType::Uint8))
                .returns(ScalarType::Uint32),
        );
    Arc::new(FullClass::compose(class.build(), None).expect("the class is sound"))
}

/// True if an embedded object could not be taken apart: a writer's form of the record around it may
/// do it.
fn has_opaque(content: &impl std::fmt::Debug) -> bool {
    format!("{content:?}").contains("Opaque(")
}

/// Runs the target `class_record` on an input.
pub(crate) fn class_record(input: &[u8]) {
    let [flags, record @ ..] = input else { return };
    let superclass = (flags & DERIVED != 0).then(base);
    let view = match ClassRecordView::parse(record) {
        Ok(view) => view,
        Err(bad) => return assert!(bad.offset <= record.len() && !bad.to_string().is_empty()),
    };
    look(&view);
    let Ok((class, notes)) = view.to_exact(superclass.clone()) else {
        return;
    };
    assert_eq!(view.to_class(superclass.clone()).as_ref(), Ok(&class));
    let exact = encode_exact_class_record(&class, view.stamp(), &notes)
        .expect("what was read can be written");
    assert_eq!(exact, record, "a record is written again byte for byte");
    let written = encode_class_record(&class, view.stamp()).expect("what was read can be written");
    let again = ClassRecordView::parse(&written).and_then(|view| view.to_class(superclass));
    if !has_opaque(&class) {
        assert_eq!(again, Ok(class), "a writer's form has the same content");
    }
}

fn look(view: &ClassRecordView<'_>) {
    let part = view.class_part();
    seen(&(
        part.name().map(|name| name.map(|name| name.to_text())),
        view.superclass(),
    ));
    for qualifier in part.qualifiers().iter().flatten() {
        seen(&(
            qualifier.name().map(|name| name.is("key")),
            qualifier.value.to_value(),
            qualifier.value.text(),
        ));
    }
    for property in part.properties().flatten() {
        seen(&(property.name(), property.qualifiers.iter().count()));
    }
    for method in view.methods_part().methods() {
        seen(&(
            method.name(),
            method.qualifiers().map(|set| set.iter().count()),
        ));
    }
}

/// Runs the target `instance_record` on an input: an instance of [`base`].
pub(crate) fn instance_record(input: &[u8]) {
    let [flags, record @ ..] = input else { return };
    let dialect = if flags & OLD != 0 {
        Dialect::V21
    } else {
        Dialect::V22
    };
    let Ok(view) = InstanceRecordView::parse(record, dialect) else {
        return;
    };
    let class = base();
    if let Ok(part) = view.part(&class) {
        for property in class.properties() {
            seen(&part.setting(property));
        }
        seen(&(part.class_name(), part.qualifiers().iter().count()));
    }
    let Ok((instance, notes)) = view.to_exact(&class) else {
        return;
    };
    let (stamp, class_stamp) = (view.stamp(), view.class_stamp());
    let exact = encode_exact_instance_record(&instance, dialect, stamp, class_stamp, &notes);
    let exact = exact.expect("what was read can be written");
    let hash = 2 * if dialect == Dialect::V21 { 32 } else { 64 };
    // The hash of the class is that of the class given.
    assert_eq!(
        exact[hash..],
        record[hash..],
        "a record is written again byte for byte"
    );
    seen(&(instance.key_text(), instance.path().map(|path| path.text())));
    let written = encode_instance_record(&instance, dialect, stamp, class_stamp).expect("likewise");
    let again =
        InstanceRecordView::parse(&written, dialect).and_then(|view| view.to_instance(&class));
    if !has_opaque(&instance.settings()) {
        assert_eq!(again, Ok(instance), "a writer's form has the same content");
    }
}

/// Runs the target `reference_record` on an input.
pub(crate) fn reference_record(input: &[u8]) {
    let Ok(view) = ReferenceRecordView::parse(input) else {
        return;
    };
    let Ok(reference) = view.to_reference() else {
        return;
    };
    let written = reference.to_bytes();
    let (body, tail) = input.split_at(input.len() - REFERENCE_TAIL);
    assert_eq!((&written[..body.len()], tail), (body, &view.tail()[..]));
}

/// Runs the target `object_path` on an input: a text.
pub(crate) fn object_path(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    match text.parse::<ObjectPath>() {
        Ok(path) => {
            seen(&path.key_text());
            // Keys are written in order of their names, in whatever order they were read.
            let again = path
                .text()
                .parse()
                .map(|again: ObjectPath| (again.text(), again.key_text()));
            assert_eq!(
                again,
                Ok((path.text(), path.key_text())),
                "a path is read as it is written"
            );
        }
        Err(error) => assert!(error.offset <= text.len() && !error.to_string().is_empty()),
    }
    if let Ok(datetime) = text.parse::<cimrepo::cim::DateTime>() {
        // A plus and a minus before no offset are the same offset, which is written with a plus.
        let written = text.replace("-000", "+000").replace("-***", "+***");
        assert_eq!(
            datetime.to_string(),
            written,
            "a datetime is written as it is read"
        );
        assert!(Value::DateTime(text.to_owned()).key_text().is_some());
    }
}

/// What was computed may not be left out.
fn seen<T>(value: &T) {
    black_box(value);
}
