//! A set of qualifiers.
//!
//! ```text
//! 0  u32  length in bytes, with these four
//! 4  …    qualifiers, in order of their definition:
//!           u32   reference of the name, or its number in the dictionary
//!           u8    flavor
//!           u32   type
//!           …     slot of the value
//! ```
//!
//! A writer puts into the heap, for each qualifier, its name and the data that its value refers to.
//! Source: `docs::objects`, "Qualifier sets".

use super::cim_value::{ValueView, decode_value, encode_value, type_from_number, type_number};
use super::encoded_string::TextView;
use super::heap::{HeapDecoder, HeapView, HeapWriter};
use super::reader::{Parsed, RecordReader};
use crate::base::limits::MAX_QUALIFIERS;
use crate::base::narrow;
use crate::cim::qualifier::{Flavor, Qualifier, QualifierSet};

const TOO_MANY: &str = "there are more than 65,536 qualifiers in one place";
const _: () = assert!(MAX_QUALIFIERS == 65_536, "the text above says it");

/// Size of an entry without its slot, in bytes.
const ENTRY_HEAD: usize = 9;

/// A set of qualifiers in its encoded form.
#[derive(Debug, Clone, Copy)]
pub struct QualifierSetView<'b> {
    entries: RecordReader<'b>,
    heap: HeapView<'b>,
}

/// A qualifier in its encoded form.
#[derive(Debug, Clone, Copy)]
pub struct QualifierView<'b> {
    name: u32,
    /// How it propagates.
    pub flavor: Flavor,
    /// Its value.
    pub value: ValueView<'b>,
}

impl<'b> QualifierView<'b> {
    /// Its name.
    ///
    /// # Errors
    /// Returns [`BadRecord`](super::reader::BadRecord) if it is damaged.
    pub fn name(&self) -> Parsed<TextView<'b>> {
        self.value.heap.name(self.name)
    }
}

impl<'b> QualifierSetView<'b> {
    /// The entries of a set, after its length.
    pub(crate) const fn new(entries: RecordReader<'b>, heap: HeapView<'b>) -> Self {
        Self { entries, heap }
    }

    /// The qualifiers. An error ends the iteration.
    pub fn iter(&self) -> impl Iterator<Item = Parsed<QualifierView<'b>>> + use<'b> {
        let (mut entries, heap) = (self.entries, self.heap);
        let mut over = false;
        std::iter::from_fn(move || {
            let mut ahead = entries;
            if over || ahead.rest().is_empty() {
                return None;
            }
            let entry = parse_entry(&mut entries, heap);
            over = entry.is_err();
            Some(entry)
        })
    }
}

fn parse_entry<'b>(reader: &mut RecordReader<'b>, heap: HeapView<'b>) -> Parsed<QualifierView<'b>> {
    const CUT: &str = "a qualifier is cut off";
    let name = reader.u32(CUT)?;
    let flavor = Flavor::from_bits_retain(reader.u8(CUT)?);
    let Some((cim_type, false)) = type_from_number(reader.u32(CUT)?) else {
        return reader.fail("a qualifier has an unknown type");
    };
    let slot = reader.take(cim_type.slot_size(), CUT)?;
    Ok(QualifierView {
        name,
        flavor,
        value: ValueView {
            cim_type,
            slot,
            heap,
        },
    })
}

/// Decodes the qualifiers of a set.
pub(crate) fn decode(
    cx: &mut HeapDecoder<'_, '_>,
    set: QualifierSetView<'_>,
) -> Parsed<QualifierSet> {
    // Taken, because a value may be an object with its own sets.
    let mut qualifiers = std::mem::take(&mut cx.budget.qualifiers);
    qualifiers.clear();
    for view in set.iter() {
        let view = view?;
        if qualifiers.len() >= MAX_QUALIFIERS {
            return set.entries.fail(TOO_MANY);
        }
        cx.hold(0, size_of::<Qualifier>())?;
        let name = cx.name(view.name)?;
        let value = decode_value(cx, view.value.cim_type, view.value.slot)?;
        qualifiers.push(Qualifier {
            name,
            cim_type: view.value.cim_type,
            value,
            flavor: view.flavor,
        });
    }
    let set = qualifiers.drain(..).collect();
    cx.budget.qualifiers = qualifiers;
    Ok(set)
}

/// Size of an encoded set, in bytes.
pub(crate) fn encoded_size(set: &QualifierSet) -> usize {
    4 + set
        .iter()
        .map(|qualifier| ENTRY_HEAD + qualifier.cim_type.slot_size())
        .sum::<usize>()
}

/// Encodes a set; names and values go to the heap.
pub(crate) fn encode(heap: &mut HeapWriter<'_>, set: &QualifierSet) -> Vec<u8> {
    let size = encoded_size(set);
    let mut bytes = Vec::with_capacity(size);
    bytes.extend_from_slice(&narrow(size).to_le_bytes());
    for qualifier in set {
        bytes.extend_from_slice(&heap.name(qualifier.name.as_str()).to_le_bytes());
        bytes.push(qualifier.flavor.bits());
        bytes.extend_from_slice(&type_number(qualifier.cim_type, false).to_le_bytes());
        encode_value(
            heap,
            qualifier.cim_type,
            qualifier.value.as_ref(),
            &mut bytes,
        );
    }
    bytes
}
