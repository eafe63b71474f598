//! The heap of a part of a record, which holds the data that names and values refer to.
//!
//! ```text
//! 0  u32  length in bytes, bit 31 always set
//! 4  …    items, without order of their own: strings, arrays, property descriptions, qualifier sets, embedded objects
//! ```
//!
//! References count from the first item. Nothing is shared: each item is referred to once. A writer
//! appends items in a fixed order, stated for each structure, and leaves no gaps. Only embedded
//! objects, which are copies of memory, have other orders and gaps; [`HeapNotes`] keeps them.
//! Source: `docs::objects`, "Heap".

use thiserror::Error;

use super::encoded_string::{
    DICTIONARY_BIT, NO_REFERENCE, TextView, dictionary_name, dictionary_reference, dictionary_word,
    encode_text,
};
use super::object_block::ObjectNotes;
use super::reader::{BadRecord, Parsed, RecordReader};
use crate::base::limits::{MAX_DECODED_FACTOR, MAX_OBJECT_DEPTH, MAX_RECORD_BYTES};
use crate::base::{narrow, widen};
use crate::cim::name::Name;
use crate::cim::qualifier::Qualifier;

/// A heap in its encoded form.
#[derive(Debug, Clone, Copy)]
pub struct HeapView<'b> {
    bytes: &'b [u8],
    base: usize,
}

impl<'b> HeapView<'b> {
    pub(crate) fn parse(reader: &mut RecordReader<'b>) -> Parsed<Self> {
        let length = reader.u32("the length of the heap is missing")?;
        if length & DICTIONARY_BIT == 0 {
            return reader.fail("bit 31 of the length of the heap is not set");
        }
        let base = reader.offset();
        let bytes = reader.take(
            widen(length & !DICTIONARY_BIT),
            "the heap leaves the record",
        )?;
        Ok(Self { bytes, base })
    }

    pub(crate) const fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// The error for an invalid item.
    pub(crate) const fn bad(&self, reference: u32, what: &'static str) -> BadRecord {
        BadRecord {
            offset: self.base.saturating_add(widen(reference)),
            what,
        }
    }

    /// The heap from an item on.
    pub(crate) fn from(&self, reference: u32) -> Parsed<RecordReader<'b>> {
        let bad = self.bad(reference, "a reference leaves its heap");
        let bytes = self.bytes.get(widen(reference)..).ok_or(bad)?;
        Ok(RecordReader::new(bytes, bad.offset))
    }

    /// A string.
    pub(crate) fn text(&self, reference: u32) -> Parsed<TextView<'b>> {
        let bad = self.bad(reference, "a string has no end or an unknown form");
        TextView::parse(self.from(reference)?.rest()).ok_or(bad)
    }

    /// The name of a qualifier or property, from the heap or the dictionary.
    pub(crate) fn name(&self, reference: u32) -> Parsed<TextView<'b>> {
        if reference & DICTIONARY_BIT == 0 {
            return self.text(reference);
        }
        dictionary_word(reference)
            .map(TextView::word)
            .ok_or(self.no_word())
    }

    const fn no_word(&self) -> BadRecord {
        BadRecord {
            offset: self.base,
            what: "a name is not in the dictionary",
        }
    }
}

/// The details of a heap apart from its content: the places of items that are not in a writer's
/// order, and texts in a form that a writer does not use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeapNotes {
    placement: Option<Box<Placement>>,
    /// Unusual forms, by the number of the name, text or boolean in a writer's order.
    odd: Vec<(u32, Box<[u8]>)>,
    objects: Vec<ObjectNotes>,
}

impl HeapNotes {
    /// True if the items are in a writer's order and without gaps.
    pub const fn is_in_order(&self) -> bool {
        self.placement.is_none()
    }

    /// True if a writer would produce this heap, apart from embedded objects.
    pub const fn is_canonical(&self) -> bool {
        self.is_in_order() && self.odd.is_empty()
    }

    /// The notes of the embedded objects.
    pub fn objects(&self) -> &[ObjectNotes] {
        &self.objects
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Placement {
    length: u32,
    /// The place of each item, in a writer's order.
    offsets: Vec<u32>,
    /// Bytes that belong to no item.
    gaps: Vec<(u32, Box<[u8]>)>,
}

/// How much more of a record may be decoded, in bytes read and in bytes of memory. Items are not
/// shared, so an honest record needs its own length for each level of embedding, and a few times
/// its length in memory. One that refers to the same item again and again exhausts its budget.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: usize,
    memory: usize,
    depth: usize,
    /// Buffer for assembling sets of qualifiers: there are many, and each is allocated once.
    pub(crate) qualifiers: Vec<Qualifier>,
}

impl Budget {
    pub(crate) const fn for_record(length: usize) -> Self {
        let (bytes, memory) = (
            length.saturating_mul(MAX_OBJECT_DEPTH),
            length.saturating_mul(MAX_DECODED_FACTOR),
        );
        Self {
            bytes,
            memory,
            depth: 0,
            qualifiers: Vec::new(),
        }
    }

    /// Takes memory from the budget. Returns `false` if it is exhausted, and then for everything
    /// that follows, because the record must not be decoded further after an embedded object was
    /// abandoned.
    pub(crate) fn take_memory(&mut self, bytes: usize) -> bool {
        let left = self.memory.checked_sub(bytes);
        self.memory = left.unwrap_or(0);
        left.is_some()
    }

    fn take_bytes(&mut self, bytes: usize) -> bool {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or(0);
        left.is_some()
    }
}

const TOO_OFTEN: &str = "the record refers to its items too often";
const TOO_LARGE: &str = "the record refers to its items too often: its content takes more than 16 \
    times its length in memory";
const _: () = assert!(MAX_DECODED_FACTOR == 16, "the text above says it");

/// Size of a name in memory, apart from its text.
const NAME: usize = 16;

#[derive(Debug, Default)]
struct Trace {
    items: Vec<(u32, u32)>,
    odd: Vec<(u32, Box<[u8]>)>,
    visits: u32,
    objects: Vec<ObjectNotes>,
}

/// Takes the items of a heap in a writer's order and, if wanted, keeps the details.
#[derive(Debug)]
pub(crate) struct HeapDecoder<'b, 'm> {
    pub(crate) heap: HeapView<'b>,
    pub(crate) budget: &'m mut Budget,
    trace: Option<Trace>,
}

impl<'b, 'm> HeapDecoder<'b, 'm> {
    pub(crate) fn new(heap: HeapView<'b>, budget: &'m mut Budget, exact: bool) -> Self {
        Self {
            heap,
            budget,
            trace: exact.then(Trace::default),
        }
    }

    /// Takes an item of this length.
    pub(crate) fn item(&mut self, reference: u32, length: usize) -> Parsed<RecordReader<'b>> {
        let mut from = self.heap.from(reference)?;
        let offset = from.offset();
        let bytes = from.take(length, "an item leaves its heap")?;
        if !self.budget.take_bytes(length) {
            return Err(self.heap.bad(reference, TOO_OFTEN));
        }
        if let Some(trace) = &mut self.trace {
            trace.items.push((reference, narrow(length)));
        }
        Ok(RecordReader::new(bytes, offset))
    }

    /// Announces that this many bytes of memory are about to be used for an item.
    ///
    /// # Errors
    /// Returns [`BadRecord`] if the record may not use that much.
    pub(crate) fn hold(&mut self, reference: u32, bytes: usize) -> Parsed<()> {
        match self.budget.take_memory(bytes) {
            true => Ok(()),
            false => Err(self.heap.bad(reference, TOO_LARGE)),
        }
    }

    /// Takes a string.
    pub(crate) fn text(&mut self, reference: u32) -> Parsed<String> {
        let view = self.heap.text(reference)?;
        let bytes = self.item(reference, view.size())?.rest();
        self.hold(reference, view.memory())?;
        let text = view.to_text();
        self.visit(|| (encode_text(&text) != bytes).then_some(bytes));
        Ok(text)
    }

    /// Takes a string that a writer would spell as `expected`.
    pub(crate) fn text_like(&mut self, reference: u32, expected: &str) -> Parsed<String> {
        let view = self.heap.text(reference)?;
        let bytes = self.item(reference, view.size())?.rest();
        self.hold(reference, view.memory())?;
        self.visit(|| (encode_text(expected) != bytes).then_some(bytes));
        Ok(view.to_text())
    }

    /// Takes a string that is a name and never in the dictionary.
    pub(crate) fn text_name(&mut self, reference: u32) -> Parsed<Name> {
        let view = self.heap.text(reference)?;
        let bytes = self.item(reference, view.size())?.rest();
        self.hold(reference, NAME + view.memory())?;
        self.visit(|| (encode_text(&view.to_text()) != bytes).then_some(bytes));
        Ok(view.into())
    }

    /// Takes the name of a qualifier or property.
    pub(crate) fn name(&mut self, reference: u32) -> Parsed<Name> {
        if reference & DICTIONARY_BIT != 0 {
            self.visit(|| None);
            return dictionary_name(reference).ok_or(self.heap.no_word());
        }
        let view = self.heap.text(reference)?;
        let bytes = self.item(reference, view.size())?.rest();
        self.hold(reference, NAME + view.memory())?;
        let name = Name::from(view);
        let text = name.as_str();
        self.visit(|| {
            (dictionary_reference(text).is_some() || encode_text(text) != bytes).then_some(bytes)
        });
        Ok(name)
    }

    /// Takes a boolean from its slot.
    pub(crate) fn boolean(&mut self, slot: [u8; 2]) -> bool {
        let value = slot != [0, 0];
        self.visit(|| (slot != boolean_slot(value)).then_some(&slot));
        value
    }

    fn visit<'s>(&mut self, odd: impl FnOnce() -> Option<&'s [u8]>) {
        if let Some(trace) = &mut self.trace {
            trace
                .odd
                .extend(odd().map(|bytes| (trace.visits, bytes.into())));
            trace.visits += 1;
        }
    }

    /// Decodes an embedded object with the budget and depth of this record.
    pub(crate) fn nested<T>(
        &mut self,
        offset: usize,
        decode: impl FnOnce(&mut Budget, bool) -> Parsed<(T, ObjectNotes)>,
    ) -> Parsed<T> {
        if self.budget.depth >= MAX_OBJECT_DEPTH {
            return Err(BadRecord {
                offset,
                what: "objects are embedded too deep",
            });
        }
        self.budget.depth += 1;
        let decoded = decode(self.budget, self.trace.is_some());
        self.budget.depth -= 1;
        let (object, notes) = decoded?;
        self.keep_object_notes(notes);
        Ok(object)
    }

    pub(crate) fn keep_object_notes(&mut self, notes: ObjectNotes) {
        if let Some(trace) = &mut self.trace {
            trace.objects.push(notes);
        }
    }

    /// The details of the heap apart from its content.
    pub(crate) fn finish(self) -> HeapNotes {
        let Some(trace) = self.trace else {
            return HeapNotes::default();
        };
        let placement = placement(self.heap.bytes, &trace.items);
        HeapNotes {
            placement,
            odd: trace.odd,
            objects: trace.objects,
        }
    }
}

const fn boolean_slot(value: bool) -> [u8; 2] {
    if value { [0xFF, 0xFF] } else { [0, 0] }
}

/// The places of the items, unless they are in order and without gaps.
fn placement(heap: &[u8], items: &[(u32, u32)]) -> Option<Box<Placement>> {
    let mut end = 0;
    let in_order = items.iter().all(|&(offset, length)| {
        let follows = offset == end;
        end = offset.saturating_add(length);
        follows
    });
    if in_order && widen(end) == heap.len() {
        return None;
    }
    let mut sorted = items.to_vec();
    sorted.sort_unstable();
    let (mut gaps, mut covered) = (Vec::new(), 0);
    for (offset, length) in sorted.into_iter().chain([(narrow(heap.len()), 0)]) {
        if let Some(gap) = heap
            .get(widen(covered)..widen(offset))
            .filter(|gap| !gap.is_empty())
        {
            gaps.push((covered, gap.into()));
        }
        covered = covered.max(offset.saturating_add(length));
    }
    let offsets = items.iter().map(|&(offset, _)| offset).collect();
    Some(Box::new(Placement {
        length: narrow(heap.len()),
        offsets,
        gaps,
    }))
}

/// Why a record cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot be stored: {what}")]
pub struct EncodeError {
    /// The obstacle.
    pub what: &'static str,
}

/// Puts items into a heap, one after the other or in the places that notes state.
#[derive(Debug)]
pub(crate) struct HeapWriter<'n> {
    bytes: Vec<u8>,
    notes: Option<&'n HeapNotes>,
    items: usize,
    visits: u32,
    odd: usize,
    objects: usize,
    error: Option<EncodeError>,
}

impl<'n> HeapWriter<'n> {
    pub(crate) fn new(notes: Option<&'n HeapNotes>) -> Self {
        let mut writer = Self {
            bytes: Vec::new(),
            notes,
            items: 0,
            visits: 0,
            odd: 0,
            objects: 0,
            error: None,
        };
        if let Some(placement) = notes.and_then(|notes| notes.placement.as_ref()) {
            writer.bytes = vec![0; widen(placement.length)];
            placement
                .gaps
                .iter()
                .for_each(|(offset, gap)| writer.put(*offset, gap));
        }
        writer
    }

    pub(crate) fn fail(&mut self, what: &'static str) {
        self.error.get_or_insert(EncodeError { what });
    }

    /// Reserves space for an item.
    pub(crate) fn reserve(&mut self, length: usize) -> u32 {
        let placement = self.notes.and_then(|notes| notes.placement.as_ref());
        let number = self.items;
        self.items += 1;
        if let Some(placement) = placement {
            let offset = placement.offsets.get(number).copied();
            return offset.unwrap_or_else(|| {
                self.fail("the notes belong to another record");
                0
            });
        }
        let offset = self.bytes.len();
        if offset.saturating_add(length) > widen(MAX_RECORD_BYTES) {
            self.fail("it is larger than a record may be");
            return 0;
        }
        self.bytes.resize(offset + length, 0);
        narrow(offset)
    }

    /// Fills the space of an item.
    pub(crate) fn put(&mut self, offset: u32, bytes: &[u8]) {
        let target = self
            .bytes
            .get_mut(widen(offset)..)
            .and_then(|rest| rest.get_mut(..bytes.len()));
        match target {
            Some(target) => target.copy_from_slice(bytes),
            None => self.fail("the notes belong to another record"),
        }
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) -> u32 {
        let offset = self.reserve(bytes.len());
        self.put(offset, bytes);
        offset
    }

    /// The form of the next name, text or boolean, if it is an unusual one.
    fn odd(&mut self) -> Option<&'n [u8]> {
        let visit = self.visits;
        self.visits += 1;
        let (number, bytes) = self.notes?.odd.get(self.odd)?;
        (*number == visit).then(|| {
            self.odd += 1;
            &**bytes
        })
    }

    pub(crate) fn text(&mut self, text: &str) -> u32 {
        match self.odd() {
            Some(bytes) => self.add(bytes),
            None => {
                if text.contains('\0') {
                    self.fail("a text has a zero character, which would end it");
                }
                self.add(&encode_text(text))
            }
        }
    }

    /// Adds the name of a qualifier or property.
    pub(crate) fn name(&mut self, name: &str) -> u32 {
        if let Some(bytes) = self.odd() {
            return self.add(bytes);
        }
        dictionary_reference(name).unwrap_or_else(|| {
            if name.contains('\0') {
                self.fail("a name has a zero character, which would end it");
            }
            self.add(&encode_text(name))
        })
    }

    pub(crate) fn boolean(&mut self, value: bool) -> [u8; 2] {
        self.odd()
            .and_then(|slot| slot.try_into().ok())
            .unwrap_or(boolean_slot(value))
    }

    /// The notes of the next embedded object.
    pub(crate) fn next_object(&mut self) -> Option<&'n ObjectNotes> {
        let notes = self.notes?.objects.get(self.objects);
        self.objects += 1;
        notes
    }

    /// Appends the heap with its length.
    pub(crate) fn finish(mut self, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.bytes.len() > widen(MAX_RECORD_BYTES) {
            self.fail("it is larger than a record may be");
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        bytes.extend_from_slice(&(narrow(self.bytes.len()) | DICTIONARY_BIT).to_le_bytes());
        bytes.extend_from_slice(&self.bytes);
        Ok(())
    }
}

/// The reference, or `None` for the one that leads nowhere.
pub(crate) fn present(reference: u32) -> Option<u32> {
    (reference != NO_REFERENCE).then_some(reference)
}
