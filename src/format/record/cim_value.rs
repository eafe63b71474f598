//! Values: the numbers of their types, and their slots in tables, qualifiers and arrays.
//!
//! ```text
//! type   u32   bits 0-11 the scalar type, 0x2000 array, 0x4000 "a superclass has the property too" (properties only)
//! slot   1, 2, 4 or 8 bytes: the value, or the reference of a string, object or array; FFFFFFFF is NULL
//! array  u32 count, the slots of its elements; what these refer to lies elsewhere in the heap
//! object u32 length, an object block
//! ```
//!
//! Source: `docs::objects`, "Values".

use super::encoded_string::{NO_REFERENCE, TextView};
use super::heap::{Budget, HeapDecoder, HeapView, HeapWriter, present};
use super::object_block;
use super::reader::{Parsed, RecordReader};
use crate::base::{narrow, widen};
use crate::cim::types::{CimType, ScalarType};
use crate::cim::value::{Array, Object, Value};

const ARRAY: u32 = 0x2000;
const OVERRIDES: u32 = 0x4000;

/// The type with a number, and whether the bit of an overriding property is set.
pub(crate) fn type_from_number(number: u32) -> Option<(CimType, bool)> {
    let scalar = ScalarType::from_number(u16::try_from(number & !(ARRAY | OVERRIDES)).ok()?)?;
    Some((
        CimType {
            scalar,
            array: number & ARRAY != 0,
        },
        number & OVERRIDES != 0,
    ))
}

/// The number of a type.
pub(crate) fn type_number(cim_type: CimType, overrides: bool) -> u32 {
    let flag = |bit, set| if set { bit } else { 0 };
    u32::from(cim_type.scalar.number()) | flag(ARRAY, cim_type.array) | flag(OVERRIDES, overrides)
}

/// A value in its encoded form.
#[derive(Debug, Clone, Copy)]
pub struct ValueView<'b> {
    pub(crate) cim_type: CimType,
    pub(crate) slot: &'b [u8],
    pub(crate) heap: HeapView<'b>,
}

impl<'b> ValueView<'b> {
    /// The type.
    pub const fn cim_type(&self) -> CimType {
        self.cim_type
    }

    fn reference(&self) -> Option<u32> {
        present(u32::from_le_bytes(self.slot.try_into().ok()?))
    }

    /// True if it is NULL, which is possible only for values on a heap.
    pub fn is_null(&self) -> bool {
        self.cim_type.is_on_heap() && self.reference().is_none()
    }

    /// The text of a string, datetime or reference; `None` for other types, for NULL, and if it is
    /// damaged.
    pub fn text(&self) -> Option<TextView<'b>> {
        let is_text = matches!(
            self.cim_type.scalar,
            ScalarType::String | ScalarType::DateTime | ScalarType::Reference
        );
        if self.cim_type.array || !is_text {
            return None;
        }
        self.heap.text(self.reference()?).ok()
    }

    /// Decodes the value; `None` is NULL.
    ///
    /// # Errors
    /// Returns [`BadRecord`](super::reader::BadRecord) if it is damaged.
    pub fn to_value(&self) -> Parsed<Option<Value>> {
        let mut budget = Budget::for_record(self.heap.bytes().len());
        decode_value(
            &mut HeapDecoder::new(self.heap, &mut budget, false),
            self.cim_type,
            self.slot,
        )
    }
}

macro_rules! numbers {
    ($($kind:ident $rust:ty),*) => {
        fn decode_number(scalar: ScalarType, slot: &[u8]) -> Option<Value> {
            match scalar {
                $(ScalarType::$kind => Some(Value::$kind(<$rust>::from_le_bytes(slot.try_into().ok()?))),)*
                _ => None,
            }
        }

        fn decode_numbers(scalar: ScalarType, slots: &[u8]) -> Option<Array> {
            match scalar {
                $(ScalarType::$kind => {
                    let slots = slots.as_chunks::<{ size_of::<$rust>() }>().0;
                    Some(Array::$kind(slots.iter().map(|&slot| <$rust>::from_le_bytes(slot)).collect()))
                })*
                _ => None,
            }
        }

        fn encode_number(value: &Value, slot: &mut Vec<u8>) {
            match value {
                $(Value::$kind(value) => slot.extend_from_slice(&value.to_le_bytes()),)*
                _ => {}
            }
        }

        fn encode_numbers(array: &Array, slots: &mut Vec<u8>) {
            match array {
                $(Array::$kind(values) => values.iter().for_each(|value| slots.extend_from_slice(&value.to_le_bytes())),)*
                _ => {}
            }
        }
    };
}

numbers!(Sint8 i8, Uint8 u8, Sint16 i16, Uint16 u16, Sint32 i32, Uint32 u32, Sint64 i64, Uint64 u64, Real32 f32,
    Real64 f64, Char16 u16);

/// Decodes the value of a slot; `None` is NULL.
pub(crate) fn decode_value(
    cx: &mut HeapDecoder<'_, '_>,
    cim_type: CimType,
    slot: &[u8],
) -> Parsed<Option<Value>> {
    if !cim_type.is_on_heap() {
        let value = match (cim_type.scalar, slot) {
            (ScalarType::Boolean, &[a, b]) => Some(Value::Boolean(cx.boolean([a, b]))),
            _ => decode_number(cim_type.scalar, slot),
        };
        return value
            .map(Some)
            .ok_or(cx.heap.bad(0, "a value has a slot of another size"));
    }
    let bad = cx.heap.bad(0, "a value has a slot of another size");
    let Some(reference) = present(u32::from_le_bytes(slot.try_into().map_err(|_| bad)?)) else {
        return Ok(None);
    };
    if cim_type.array {
        return Ok(Some(Value::Array(decode_array(
            cx,
            cim_type.scalar,
            reference,
        )?)));
    }
    Ok(Some(match cim_type.scalar {
        ScalarType::DateTime => Value::DateTime(cx.text(reference)?),
        ScalarType::Reference => Value::Reference(cx.text(reference)?),
        ScalarType::Object => Value::Object(Box::new(decode_object(cx, reference)?)),
        _ => Value::String(cx.text(reference)?),
    }))
}

/// Size in memory of an element of an array, apart from that of its text or object.
const fn size_in_memory(scalar: ScalarType) -> usize {
    match scalar {
        ScalarType::String | ScalarType::DateTime | ScalarType::Reference => {
            size_of::<Option<String>>()
        }
        ScalarType::Object => size_of::<Option<Object>>(),
        other => other.slot_size(),
    }
}

fn decode_array(cx: &mut HeapDecoder<'_, '_>, scalar: ScalarType, reference: u32) -> Parsed<Array> {
    let count = widen(
        cx.heap
            .from(reference)?
            .u32("the count of an array is missing")?,
    );
    let over = cx.heap.bad(reference, "an array leaves its heap");
    let length = count
        .checked_mul(scalar.slot_size())
        .and_then(|length| length.checked_add(4))
        .ok_or(over)?;
    let mut item = cx.item(reference, length)?;
    cx.hold(reference, count.saturating_mul(size_in_memory(scalar)))?;
    item.u32("the count of an array is missing")?;
    let slots = item.rest();
    if scalar == ScalarType::Boolean {
        let slots = slots.as_chunks::<2>().0;
        return Ok(Array::Boolean(
            slots.iter().map(|&slot| cx.boolean(slot)).collect(),
        ));
    }
    if !scalar.is_on_heap() {
        return decode_numbers(scalar, slots).ok_or(over);
    }
    let references = slots
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&slot| present(u32::from_le_bytes(slot)));
    if scalar == ScalarType::Object {
        let objects = references.map(|reference| {
            reference
                .map(|reference| decode_object(cx, reference))
                .transpose()
        });
        return Ok(Array::Object(objects.collect::<Parsed<_>>()?));
    }
    let texts =
        references.map(|reference| reference.map(|reference| cx.text(reference)).transpose());
    let texts = texts.collect::<Parsed<_>>()?;
    Ok(match scalar {
        ScalarType::DateTime => Array::DateTime(texts),
        ScalarType::Reference => Array::Reference(texts),
        _ => Array::String(texts),
    })
}

/// The item of an embedded object: its length and its block.
pub(crate) fn object_item<'b>(
    cx: &mut HeapDecoder<'b, '_>,
    reference: u32,
) -> Parsed<RecordReader<'b>> {
    let length = widen(
        cx.heap
            .from(reference)?
            .u32("the length of an object is missing")?,
    );
    let mut item = cx.item(reference, length.saturating_add(4))?;
    item.u32("the length of an object is missing")?;
    Ok(item)
}

fn decode_object(cx: &mut HeapDecoder<'_, '_>, reference: u32) -> Parsed<Object> {
    let mut block = object_item(cx, reference)?;
    let offset = block.offset();
    let bytes = block.rest();
    let decoded = cx.nested(offset, |budget, exact| {
        object_block::decode(bytes, offset, budget, exact)
    });
    match decoded {
        Ok(object) => Ok(object),
        // An object that cannot be decoded does not make the whole record unreadable.
        Err(_) => {
            cx.hold(reference, bytes.len())?;
            cx.keep_object_notes(object_block::ObjectNotes::default());
            Ok(Object::Opaque(bytes.into()))
        }
    }
}

/// Appends the slot of a value; the data that it refers to goes to the heap.
pub(crate) fn encode_value(
    heap: &mut HeapWriter<'_>,
    cim_type: CimType,
    value: Option<&Value>,
    slot: &mut Vec<u8>,
) {
    let Some(value) = value else {
        if !cim_type.is_on_heap() {
            heap.fail("a number or boolean of a qualifier is NULL");
        }
        slot.resize(slot.len() + cim_type.slot_size(), 0xFF);
        return;
    };
    if value.cim_type() != cim_type {
        heap.fail("a value is of another type than it should be");
        return;
    }
    let reference = match value {
        Value::Boolean(value) => return slot.extend_from_slice(&heap.boolean(*value)),
        Value::String(text) | Value::DateTime(text) | Value::Reference(text) => heap.text(text),
        Value::Object(object) => encode_object(heap, object),
        Value::Array(array) => encode_array(heap, array),
        number => return encode_number(number, slot),
    };
    slot.extend_from_slice(&reference.to_le_bytes());
}

fn encode_array(heap: &mut HeapWriter<'_>, array: &Array) -> u32 {
    let length = 4 + array.len() * array.scalar_type().slot_size();
    let offset = heap.reserve(length);
    let mut block = narrow(array.len()).to_le_bytes().to_vec();
    let mut push = |reference: u32| block.extend_from_slice(&reference.to_le_bytes());
    match array {
        Array::Boolean(values) => values
            .iter()
            .for_each(|&value| block.extend_from_slice(&heap.boolean(value))),
        Array::String(texts) | Array::DateTime(texts) | Array::Reference(texts) => {
            texts
                .iter()
                .for_each(|text| push(text.as_ref().map_or(NO_REFERENCE, |text| heap.text(text))));
        }
        Array::Object(objects) => {
            let mut reference = |object: &Object| encode_object(heap, object);
            objects
                .iter()
                .for_each(|object| push(object.as_ref().map_or(NO_REFERENCE, &mut reference)));
        }
        numbers => encode_numbers(numbers, &mut block),
    }
    heap.put(offset, &block);
    offset
}

fn encode_object(heap: &mut HeapWriter<'_>, object: &Object) -> u32 {
    let notes = heap.next_object();
    match object_block::encode(object, notes) {
        Ok(block) => add_object(heap, &block),
        Err(error) => {
            heap.fail(error.what);
            NO_REFERENCE
        }
    }
}

/// Adds an object block with its length to the heap.
pub(crate) fn add_object(heap: &mut HeapWriter<'_>, block: &[u8]) -> u32 {
    heap.add(&[&narrow(block.len()).to_le_bytes()[..], block].concat())
}
