//! The second part of a class: its methods.
//!
//! ```text
//! 0   u32  length in bytes, from here to the end of the heap
//! 4   u16  number of methods that are declared here, or declared anew
//! 6   u16  not used: whatever was in memory
//! 8   …    for each of them, in order of declaration:
//!            u32  reference of the name; no number of the dictionary
//!            u8   0x20 when a superclass has the method too, else 0
//!            3    not used: whatever was in memory
//!            u32  level of the class that first declared it: 0 is the topmost of the chain
//!            u32  reference of its qualifier set
//!            u32  reference of its input signature: an object block behind its length; of length 0 when there are no parameters
//!            u32  reference of its output signature, likewise
//!     …    heap
//! ```
//!
//! A writer fills the heap with, for each method, its name, its qualifier set, names and values of
//! the qualifiers, the input signature, and the output signature. Source: `docs::objects`, "Methods
//! part".

use std::sync::Arc;

use super::cim_value::{add_object, object_item};
use super::class_part::set_length;
use super::encoded_string::TextView;
use super::heap::{Budget, EncodeError, HeapDecoder, HeapNotes, HeapView, HeapWriter};
use super::object_block::{self, ObjectNotes};
use super::qualifier_set::{self, QualifierSetView};
use super::reader::{Parsed, RecordReader};
use crate::base::limits::MAX_METHODS;
use crate::base::narrow;
use crate::cim::class::{Class, Method};
use crate::cim::full_class::{FullClass, FullMethod};
use crate::cim::value::Object;

/// Size of a method's description, in bytes.
const DESCRIPTION: usize = 24;

/// Size in memory of a method, declared and composed.
const METHOD: usize = 2 * size_of::<FullMethod>();

const TOO_MANY: &str = "the class has more than 32,768 methods";
const _: () = assert!(MAX_METHODS == 32_768, "the text above says it");

/// The flag of a method that a superclass has too.
const OVERRIDES: u8 = 0x20;

/// A methods part in its encoded form.
#[derive(Debug, Clone, Copy)]
pub struct MethodsPartView<'b> {
    unused: [u8; 2],
    descriptions: &'b [u8],
    heap: HeapView<'b>,
    slack: &'b [u8],
}

/// A method in its encoded form.
#[derive(Debug, Clone, Copy)]
pub struct MethodView<'b> {
    name: u32,
    head: [u8; 8],
    qualifiers: u32,
    input: u32,
    output: u32,
    heap: HeapView<'b>,
}

impl<'b> MethodView<'b> {
    /// Its name.
    ///
    /// # Errors
    /// Returns [`BadRecord`](super::reader::BadRecord) if it is damaged.
    pub fn name(&self) -> Parsed<TextView<'b>> {
        self.heap.text(self.name)
    }

    /// True if a superclass has it too.
    pub const fn overrides(&self) -> bool {
        let [flags, ..] = self.head;
        flags & OVERRIDES != 0
    }

    /// The level of the class that first declared it.
    pub const fn origin_level(&self) -> u32 {
        let [.., a, b, c, d] = self.head;
        u32::from_le_bytes([a, b, c, d])
    }

    /// Its own qualifiers.
    ///
    /// # Errors
    /// Returns [`BadRecord`](super::reader::BadRecord) if they are damaged.
    pub fn qualifiers(&self) -> Parsed<QualifierSetView<'b>> {
        let mut reader = self.heap.from(self.qualifiers)?;
        Ok(QualifierSetView::new(
            reader.counted_part("the qualifiers of a method are cut off")?,
            self.heap,
        ))
    }
}

impl<'b> MethodsPartView<'b> {
    /// Parses the methods part at the front of the remaining bytes.
    pub(crate) fn parse(reader: &mut RecordReader<'b>) -> Parsed<Self> {
        const CUT: &str = "the methods part is cut off";
        let mut part = reader.counted_part("the length of the methods part is wrong")?;
        let count = usize::from(part.u16(CUT)?);
        let unused = part.u16(CUT)?.to_le_bytes();
        let descriptions = part.take(
            count * DESCRIPTION,
            "the descriptions of methods are cut off",
        )?;
        let heap = HeapView::parse(&mut part)?;
        Ok(Self {
            unused,
            descriptions,
            heap,
            slack: part.rest(),
        })
    }

    /// The methods that it declares or redeclares, in order of declaration.
    pub fn methods(&self) -> impl ExactSizeIterator<Item = MethodView<'b>> + use<'b> {
        let heap = self.heap;
        self.descriptions
            .as_chunks::<DESCRIPTION>()
            .0
            .iter()
            .map(move |description| {
                let (words, _) = description.as_chunks::<4>();
                let mut words = words.iter().copied();
                let mut word = || words.next().unwrap_or_default();
                let (name, [a, b, c, d], [e, f, g, h]) = (word(), word(), word());
                let mut number = || u32::from_le_bytes(word());
                let (qualifiers, input, output) = (number(), number(), number());
                MethodView {
                    name: u32::from_le_bytes(name),
                    head: [a, b, c, d, e, f, g, h],
                    qualifiers,
                    input,
                    output,
                    heap,
                }
            })
    }
}

/// The details of a methods part apart from its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MethodsPartNotes {
    /// The places of names, qualifiers and signatures.
    pub heap: HeapNotes,
    unused: [u8; 2],
    /// Flags, unused bytes and levels of methods that differ from a writer's.
    heads: Vec<(u16, [u8; 8])>,
    /// Spare bytes after the heap.
    slack: Box<[u8]>,
}

impl MethodsPartNotes {
    /// True if flags and levels of all methods are those that a writer would choose.
    pub fn has_usual_flags(&self, full: &FullClass) -> bool {
        let meaning = |[flags, _, _, _, a, b, c, d]: [u8; 8]| [flags, a, b, c, d];
        self.heads.iter().all(|(number, stored)| {
            let method = full.declaration().methods.get(usize::from(*number));
            method.is_some_and(|method| meaning(head(full, method)) == meaning(*stored))
        })
    }
}

/// Decodes the methods of a part, with its details.
pub(crate) fn decode(
    view: &MethodsPartView<'_>,
    budget: &mut Budget,
    exact: bool,
) -> Parsed<(Vec<Method>, HeapNotes)> {
    let mut cx = HeapDecoder::new(view.heap, budget, exact);
    if view.methods().len() > MAX_METHODS {
        return Err(view.heap.bad(0, TOO_MANY));
    }
    let methods = view
        .methods()
        .map(|method| decode_method(&mut cx, &method))
        .collect::<Parsed<_>>()?;
    Ok((methods, cx.finish()))
}

fn decode_method(cx: &mut HeapDecoder<'_, '_>, view: &MethodView<'_>) -> Parsed<Method> {
    cx.hold(view.name, METHOD)?;
    let name = cx.text_name(view.name)?;
    let mut set = cx.heap.from(view.qualifiers)?;
    let entries = set.counted_part("the qualifiers of a method are cut off")?;
    let heap = cx.heap;
    cx.item(view.qualifiers, set.position())?;
    let qualifiers = qualifier_set::decode(cx, QualifierSetView::new(entries, heap))?;
    Ok(Method {
        name,
        qualifiers,
        input: signature(cx, view.input)?,
        output: signature(cx, view.output)?,
    })
}

fn signature(cx: &mut HeapDecoder<'_, '_>, reference: u32) -> Parsed<Option<Arc<Class>>> {
    let mut block = object_item(cx, reference)?;
    let offset = block.offset();
    let bytes = block.rest();
    if bytes.is_empty() {
        cx.keep_object_notes(ObjectNotes::default());
        return Ok(None);
    }
    let object = cx.nested(offset, |budget, exact| {
        object_block::decode(bytes, offset, budget, exact)
    })?;
    match object {
        Object::Class(class) => Ok(Some(Arc::new(*class))),
        _ => block.fail("the signature of a method is not a class"),
    }
}

/// Flags, unused bytes and level of a method as written by a writer.
fn head(full: &FullClass, method: &Method) -> [u8; 8] {
    let found = full.method(method.name.as_str());
    let flags = if found.is_some_and(|found| found.overrides) {
        OVERRIDES
    } else {
        0
    };
    let [a, b, c, d] = found
        .map_or_else(|| full.level(), |found| found.origin_level)
        .to_le_bytes();
    [flags, 0, 0, 0, a, b, c, d]
}

/// The details of a part apart from the content of this class.
pub(crate) fn notes(
    view: &MethodsPartView<'_>,
    heap: HeapNotes,
    full: &FullClass,
) -> MethodsPartNotes {
    let stored = view.methods().zip(&full.declaration().methods).zip(0u16..);
    let differs = |((view, method), number): ((MethodView<'_>, &Method), u16)| {
        (view.head != head(full, method)).then_some((number, view.head))
    };
    MethodsPartNotes {
        heap,
        unused: view.unused,
        heads: stored.filter_map(differs).collect(),
        slack: view.slack.into(),
    }
}

/// Encodes a methods part.
pub(crate) fn encode(
    full: &FullClass,
    notes: Option<&MethodsPartNotes>,
) -> Result<Vec<u8>, EncodeError> {
    let methods = &full.declaration().methods;
    let mut heap = HeapWriter::new(notes.map(|notes| &notes.heap));
    let count = u16::try_from(methods.len()).map_err(|_| EncodeError {
        what: "it has too many methods",
    })?;
    let mut part = vec![0; 4];
    part.extend(count.to_le_bytes());
    part.extend(notes.map_or([0, 0], |notes| notes.unused));
    for (method, number) in methods.iter().zip(0u16..) {
        let noted = notes.and_then(|notes| {
            let position = notes
                .heads
                .binary_search_by_key(&number, |(noted, _)| *noted)
                .ok()?;
            notes.heads.get(position)
        });
        let head = noted.map_or_else(|| head(full, method), |(_, head)| *head);
        encode_method(&mut heap, method, head, &mut part);
    }
    heap.finish(&mut part)?;
    part.extend(notes.iter().flat_map(|notes| &notes.slack));
    set_length(&mut part);
    Ok(part)
}

fn encode_method(heap: &mut HeapWriter<'_>, method: &Method, head: [u8; 8], part: &mut Vec<u8>) {
    part.extend(heap.text(method.name.as_str()).to_le_bytes());
    part.extend(head);
    let set = heap.reserve(qualifier_set::encoded_size(&method.qualifiers));
    let bytes = qualifier_set::encode(heap, &method.qualifiers);
    heap.put(set, &bytes);
    let references = [
        set,
        encode_signature(heap, method.input.as_deref()),
        encode_signature(heap, method.output.as_deref()),
    ];
    part.extend(references.into_iter().flat_map(u32::to_le_bytes));
}

fn encode_signature(heap: &mut HeapWriter<'_>, class: Option<&Class>) -> u32 {
    let notes = heap.next_object();
    let block = class.map_or(Ok(Vec::new()), |class| {
        object_block::encode_class(class, notes)
    });
    match block {
        Ok(block) => add_object(heap, &block),
        Err(error) => {
            heap.fail(error.what);
            0
        }
    }
}

/// True if the part has no methods and nothing else before its heap.
pub(crate) fn is_empty(view: &MethodsPartView<'_>) -> bool {
    view.descriptions.is_empty() && view.heap.bytes().is_empty() && view.slack.is_empty()
}

/// The part of a class without methods.
pub(crate) fn empty(unused: [u8; 2]) -> Vec<u8> {
    let [a, b] = unused;
    [
        &narrow(12).to_le_bytes()[..],
        &[0, 0, a, b],
        &[0, 0, 0, 0x80],
    ]
    .concat()
}

/// The unused bytes of a part.
pub(crate) const fn unused(view: &MethodsPartView<'_>) -> [u8; 2] {
    view.unused
}
