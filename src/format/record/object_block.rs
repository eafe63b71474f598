//! An embedded object: a value of type object, or the signature of a method.
//!
//! ```text
//! 0  u8  1: a class; 2: an instance; +4: a decoration follows
//! 1  …   decoration: two encoded strings, the server and the namespace it came from
//!    …   of a class: the class part and methods part of its superclass, here always of the empty class; class part, methods part
//!        of an instance: class part, with everything that is inherited; instance part
//! ```
//!
//! The block lies in a heap after its length, and is a copy of memory. There may be bytes after
//! everything, its parts may have spare bytes, and their heaps may have gaps. A writer leaves all
//! that out, as well as the decoration. Source: `docs::objects`, "Embedded objects".

use std::sync::Arc;

use super::class_part::{self, ClassPartNotes, ClassPartView, Inherits};
use super::encoded_string::TextView;
use super::heap::{Budget, EncodeError};
use super::instance_part::{self, InstancePartNotes, InstancePartView};
use super::methods_part::{self, MethodsPartNotes, MethodsPartView};
use super::reader::{Parsed, RecordReader};
use crate::cim::class::{Class, Setting};
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::value::Object;

/// Size of an object in memory, apart from its properties and methods.
const OBJECT: usize = size_of::<FullClass>() + size_of::<Class>() + size_of::<Instance>();

/// Size in memory of the setting of an instance for a property, and of the information about the
/// property during decoding.
const SETTING: usize = 2 * size_of::<Setting>();

const CLASS: u8 = 1;
const INSTANCE: u8 = 2;
const DECORATED: u8 = 4;

/// The class part of the empty class: no name, no qualifiers, no properties.
const EMPTY_CLASS_PART: [u8; 29] = [
    29, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0x80,
];

/// The details of an object block apart from its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectNotes {
    /// Server and namespace, as stored.
    decoration: Option<Box<[u8]>>,
    superclass_unused: [u8; 2],
    /// Those of the class part.
    pub class: ClassPartNotes,
    /// Those of the methods part of a class.
    pub methods: MethodsPartNotes,
    /// Those of the instance part of an instance.
    pub instance: InstancePartNotes,
    /// Bytes after everything.
    trailing: Box<[u8]>,
}

/// Decodes the object of a block.
pub(crate) fn decode(
    bytes: &[u8],
    offset: usize,
    budget: &mut Budget,
    exact: bool,
) -> Parsed<(Object, ObjectNotes)> {
    let mut reader = RecordReader::new(bytes, offset);
    if !budget.take_memory(OBJECT) {
        return reader.fail("objects are embedded too often");
    }
    let flags = reader.u8("an object has no flags")?;
    let mut notes = ObjectNotes::default();
    if flags & DECORATED != 0 {
        let decoration = decoration(&mut reader)?;
        notes.decoration = exact.then(|| decoration.into());
    }
    let object = match flags & !DECORATED {
        CLASS => Object::Class(Box::new(decode_class(
            &mut reader,
            &mut notes,
            budget,
            exact,
        )?)),
        INSTANCE => Object::Instance(Box::new(decode_instance(
            &mut reader,
            &mut notes,
            budget,
            exact,
        )?)),
        _ => return reader.fail("an object is neither class nor instance"),
    };
    let trailing = reader.rest();
    if exact {
        notes.trailing = trailing.into();
    }
    Ok((object, notes))
}

fn decoration<'b>(reader: &mut RecordReader<'b>) -> Parsed<&'b [u8]> {
    const CUT: &str = "the decoration of an object is cut off";
    let mut ahead = *reader;
    let rest = ahead.rest();
    let server = TextView::parse(rest).map(|text| text.size());
    let namespace = server
        .and_then(|size| TextView::parse(rest.get(size..)?))
        .map(|text| text.size());
    match server.zip(namespace) {
        Some((server, namespace)) => reader.take(server + namespace, CUT),
        None => reader.fail(CUT),
    }
}

fn decode_class(
    reader: &mut RecordReader<'_>,
    notes: &mut ObjectNotes,
    budget: &mut Budget,
    exact: bool,
) -> Parsed<Class> {
    let parent = (
        ClassPartView::parse(reader)?,
        MethodsPartView::parse(reader)?,
    );
    if !parent.0.is_empty() || !methods_part::is_empty(&parent.1) {
        return reader.fail("an embedded class has a superclass");
    }
    notes.superclass_unused = methods_part::unused(&parent.1);
    let (mut class, layout) = class_part::decode(
        &ClassPartView::parse(reader)?,
        Inherits::Nothing,
        budget,
        exact,
    )?;
    let methods_view = MethodsPartView::parse(reader)?;
    let (methods, heap) = methods_part::decode(&methods_view, budget, exact)?;
    class.methods = methods;
    if !layout.stands_alone(&class) {
        return reader.fail("the properties of an embedded class are not as they must be");
    }
    if exact && let Ok(full) = FullClass::compose(class.clone(), None) {
        notes.methods = methods_part::notes(&methods_view, heap, &full);
        notes.class = layout.notes(&full);
    }
    Ok(class)
}

fn decode_instance(
    reader: &mut RecordReader<'_>,
    notes: &mut ObjectNotes,
    budget: &mut Budget,
    exact: bool,
) -> Parsed<Instance> {
    let (class, layout) = class_part::decode(
        &ClassPartView::parse(reader)?,
        Inherits::Nothing,
        budget,
        exact,
    )?;
    let Some(full) = layout.merged(class).filter(|full| layout.fits(full)) else {
        return reader.fail("the properties of an embedded instance are not as they must be");
    };
    if exact {
        notes.class = layout.notes(&full);
    }
    if !budget.take_memory(full.properties().len().saturating_mul(SETTING)) {
        return reader.fail("objects are embedded too often");
    }
    let view = InstancePartView::parse(reader, &full)?;
    let (instance, instance_notes) = instance_part::decode(&view, &Arc::new(full), budget, exact)?;
    notes.instance = instance_notes;
    Ok(instance)
}

/// Encodes a block, without its length.
pub(crate) fn encode(object: &Object, notes: Option<&ObjectNotes>) -> Result<Vec<u8>, EncodeError> {
    match object {
        Object::Class(class) => encode_class(class, notes),
        Object::Instance(instance) => encode_instance(instance, notes),
        Object::Opaque(bytes) => Ok(bytes.to_vec()),
    }
}

fn begin(kind: u8, notes: Option<&ObjectNotes>) -> Vec<u8> {
    match notes.and_then(|notes| notes.decoration.as_ref()) {
        Some(decoration) => [&[kind | DECORATED], &decoration[..]].concat(),
        None => vec![kind],
    }
}

/// Encodes the block of a class.
pub(crate) fn encode_class(
    class: &Class,
    notes: Option<&ObjectNotes>,
) -> Result<Vec<u8>, EncodeError> {
    let full = FullClass::compose(class.clone(), None).map_err(|_| EncodeError {
        what: "an embedded class has a superclass or a member twice",
    })?;
    let mut bytes = begin(CLASS, notes);
    bytes.extend(EMPTY_CLASS_PART);
    bytes.extend(methods_part::empty(
        notes.map_or([0, 0], |notes| notes.superclass_unused),
    ));
    bytes.extend(class_part::encode(&full, notes.map(|notes| &notes.class))?);
    bytes.extend(methods_part::encode(
        &full,
        notes.map(|notes| &notes.methods),
    )?);
    bytes.extend(notes.iter().flat_map(|notes| &notes.trailing));
    Ok(bytes)
}

fn encode_instance(
    instance: &Instance,
    notes: Option<&ObjectNotes>,
) -> Result<Vec<u8>, EncodeError> {
    let merged = instance.class().to_merged();
    let mut bytes = begin(INSTANCE, notes);
    bytes.extend(class_part::encode(
        &merged,
        notes.map(|notes| &notes.class),
    )?);
    bytes.extend(instance_part::encode(
        instance,
        notes.map(|notes| &notes.instance),
    )?);
    bytes.extend(notes.iter().flat_map(|notes| &notes.trailing));
    Ok(bytes)
}
