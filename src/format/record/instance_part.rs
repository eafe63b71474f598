//! The values of an instance.
//!
//! ```text
//! 0  u32  length in bytes, from here to the end of the heap; in embedded objects with spare bytes behind it
//! 4  u8   0
//! 5  u32  reference of the name of the class
//! 9  …    states and values of all properties of the class (`value_table`); values that are not its own are zero
//!    …    qualifier set of the instance
//!    u8   1: no property has qualifiers; 2: a qualifier set for each property follows, in order of declaration
//!    …    heap
//! ```
//!
//! A writer fills the heap with the name of the class, then, for each property sorted by name, the
//! data that its own value refers to, and then names and values of the qualifiers. Source:
//! `docs::objects`, "Instance part".

use std::sync::Arc;

use super::class_part::set_length;
use super::encoded_string::DICTIONARY_BIT;
use super::encoded_string::TextView;
use super::heap::{Budget, EncodeError, HeapDecoder, HeapNotes, HeapView, HeapWriter};
use super::qualifier_set::{self, QualifierSetView};
use super::reader::{Parsed, RecordReader};
use super::value_table::{
    Row, TableKind, TableNotes, TableWriter, ValueTable, decode_setting, notes,
};
use crate::cim::class::Setting;
use crate::cim::full_class::{FullClass, FullProperty, Partial, TableShape};
use crate::cim::instance::Instance;
use crate::cim::name;
use crate::cim::qualifier::QualifierSet;

use super::cim_value::ValueView;

/// An instance part in its encoded form.
#[derive(Debug, Clone)]
pub struct InstancePartView<'b> {
    name: u32,
    table: ValueTable<'b>,
    qualifiers: QualifierSetView<'b>,
    /// The sets of all properties, back to back, if there are any.
    property_qualifiers: Option<RecordReader<'b>>,
    heap: HeapView<'b>,
    slack: &'b [u8],
    /// The places of values, if the class is incomplete.
    partial: Option<Arc<Partial>>,
}

/// The setting of an instance for a property.
#[derive(Debug, Clone, Copy)]
pub enum SettingView<'b> {
    /// No setting: the default of the class applies.
    Inherited,
    /// NULL.
    Null,
    /// A value of its own.
    Value(ValueView<'b>),
}

impl<'b> InstancePartView<'b> {
    /// Parses the instance part at the front of the remaining bytes, for an instance of this class.
    pub(crate) fn parse(reader: &mut RecordReader<'b>, class: &FullClass) -> Parsed<Self> {
        const CUT: &str = "the instance part is cut off";
        const SETS: &str = "the qualifiers of the instance are cut off";
        let mut part = reader.counted_part("the length of the instance part is wrong")?;
        if part.u8(CUT)? != 0 {
            return part.fail("the byte after the length of the instance part is not zero");
        }
        let name = part.u32(CUT)?;
        let Some(TableShape { count, slots }) = class.table_shape() else {
            return Self::parse_beside_values(part, name, class);
        };
        let table = ValueTable::parse(&mut part, count, slots)?;
        let qualifiers = part.counted_part(SETS)?;
        let property_qualifiers = match part.u8(CUT)? {
            1 => None,
            2 => {
                let sets = part;
                for _ in 0..count {
                    part.counted_part(SETS)?;
                }
                Some(sets)
            }
            _ => {
                return part
                    .fail("the instance does not say whether its properties have qualifiers");
            }
        };
        let heap = HeapView::parse(&mut part)?;
        let qualifiers = QualifierSetView::new(qualifiers, heap);
        let (slack, partial) = (part.rest(), class.partial().cloned());
        Ok(Self {
            name,
            table,
            qualifiers,
            property_qualifiers,
            heap,
            slack,
            partial,
        })
    }

    /// Parses the part of an instance whose values cannot be located, because too much of its class
    /// is lost.
    fn parse_beside_values(
        mut part: RecordReader<'b>,
        name: u32,
        class: &FullClass,
    ) -> Parsed<Self> {
        const CUT: &str = "the instance part is cut off";
        let is_class = |text: &str| name::same(text, class.name().as_str());
        let (partial, slack) = (class.partial().cloned(), &[][..]);
        let mut table = ValueTable::of_states(&[]);
        let mut qualifiers = None;
        let mut rest = part;
        if let Some(bytes) = partial.as_ref().and_then(|partial| partial.table_bytes) {
            table = ValueTable::of_states(rest.take(bytes, CUT)?);
            qualifiers = Some(rest.counted_part("the qualifiers of the instance are cut off")?);
        }
        // If no property has qualifiers, whose number would be unknown, the heap comes next.
        let heap = match qualifiers.map(|_| rest.u8(CUT)) {
            Some(Ok(1)) => HeapView::parse(&mut rest)?,
            _ => match heap_at_end(part, name, &is_class) {
                Some(heap) => heap,
                None => return part.fail("the layout of its class is lost with a superclass"),
            },
        };
        let qualifiers = qualifiers.unwrap_or_else(|| RecordReader::new(&[], 0));
        let qualifiers = QualifierSetView::new(qualifiers, heap);
        part.rest();
        Ok(Self {
            name,
            table,
            qualifiers,
            property_qualifiers: None,
            heap,
            slack,
            partial,
        })
    }

    /// The name of its class.
    ///
    /// # Errors
    /// Returns a `BadRecord` if it is damaged.
    pub fn class_name(&self) -> Parsed<TextView<'b>> {
        self.heap.text(self.name)
    }

    /// Its setting for a property of its class.
    pub fn setting(&self, property: &FullProperty) -> SettingView<'b> {
        let place = (property.order, property.offset);
        let (order, offset) = self
            .partial
            .as_ref()
            .map_or(place, |partial| partial.place(place));
        let slot = self.table.slot(offset, property.cim_type.slot_size());
        match (self.table.state(order), slot) {
            (0, Some(slot)) => SettingView::Value(ValueView {
                cim_type: property.cim_type,
                slot,
                heap: self.heap,
            }),
            (0 | 1, _) => SettingView::Null,
            _ => SettingView::Inherited,
        }
    }

    /// Its own qualifiers.
    pub const fn qualifiers(&self) -> QualifierSetView<'b> {
        self.qualifiers
    }
}

/// The name of the class of the part at the front of the remaining bytes, although nothing else is
/// known of the class. `is_class` recognises the name.
pub(crate) fn class_name(
    reader: &mut RecordReader<'_>,
    is_class: &dyn Fn(&str) -> bool,
) -> Parsed<String> {
    const CUT: &str = "the instance part is cut off";
    let mut part = reader.counted_part("the length of the instance part is wrong")?;
    part.take(1, CUT)?;
    let name = part.u32(CUT)?;
    match heap_at_end(part, name, is_class) {
        Some(heap) => Ok(heap.text(name)?.to_text()),
        None => part.fail("the record has no name of its class"),
    }
}

/// The heap at the end of a part, after a table of values of unknown length: the one in which a
/// reference leads to the name of the class.
fn heap_at_end<'b>(
    mut part: RecordReader<'b>,
    name: u32,
    is_class: &dyn Fn(&str) -> bool,
) -> Option<HeapView<'b>> {
    /// Number of places that look like the beginning of the heap and are tried.
    const TRIED: usize = 8;
    let base = part.offset();
    let bytes = part.rest();
    let mut tried = 0;
    // At least an empty set of qualifiers and the byte that ends them come before it.
    for at in 5..bytes.len().saturating_sub(3) {
        let left = bytes.len() - at - 4;
        let length = bytes
            .get(at..)?
            .first_chunk()
            .map(|word| u32::from_le_bytes(*word))?;
        if length != crate::base::narrow(left) | DICTIONARY_BIT {
            continue;
        }
        let heap = HeapView::parse(&mut RecordReader::new(
            bytes.get(at..)?,
            base.saturating_add(at),
        ))
        .ok()?;
        if heap.text(name).is_ok_and(|text| is_class(&text.to_text())) {
            return Some(heap);
        }
        tried += 1;
        if tried == TRIED {
            return None;
        }
    }
    None
}

/// The details of an instance part apart from its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstancePartNotes {
    /// The places of values and qualifiers.
    pub heap: HeapNotes,
    /// Remains in states and values.
    pub table: TableNotes,
    /// Spare bytes after the heap.
    slack: Box<[u8]>,
}

/// Decodes the instance of a part.
pub(crate) fn decode(
    view: &InstancePartView<'_>,
    class: &Arc<FullClass>,
    budget: &mut Budget,
    exact: bool,
) -> Parsed<(Instance, InstancePartNotes)> {
    let mut cx = HeapDecoder::new(view.heap, budget, exact);
    let class_name = cx.text_like(view.name, class.name().as_str())?;
    if !name::same(&class_name, class.name().as_str()) {
        return Err(view.heap.bad(view.name, "the instance is of another class"));
    }
    let mut settings = vec![Setting::Inherited; class.properties().len()];
    for property in class.properties_by_name() {
        let (order, offset) = class.stored_place(property);
        let place = (property.cim_type, offset);
        let setting = decode_setting(&mut cx, &view.table, place, view.table.state(order))?;
        if let Some(slot) = settings.get_mut(usize::from(property.order)) {
            *slot = setting;
        }
    }
    let mut instance = Instance::from_settings(class.clone(), settings);
    instance.qualifiers = qualifier_set::decode(&mut cx, view.qualifiers)?;
    if let (Some(sets), Some(shape)) = (view.property_qualifiers, class.table_shape()) {
        let sets = decode_sets(&mut cx, sets, shape.count)?;
        instance.property_qualifiers = Some(match class.partial() {
            None => sets,
            Some(partial) => partial.known(&sets),
        });
    }
    if !exact {
        return Ok((instance, InstancePartNotes::default()));
    }
    let table = notes(&view.table, TableKind::Instance, &rows(&instance));
    Ok((
        instance,
        InstancePartNotes {
            heap: cx.finish(),
            table,
            slack: view.slack.into(),
        },
    ))
}

/// Decodes this many sets of qualifiers, back to back.
fn decode_sets(
    cx: &mut HeapDecoder<'_, '_>,
    mut sets: RecordReader<'_>,
    count: usize,
) -> Parsed<Vec<QualifierSet>> {
    let heap = cx.heap;
    let set = |_| {
        let entries = sets.counted_part("the qualifiers of the instance are cut off")?;
        qualifier_set::decode(cx, QualifierSetView::new(entries, heap))
    };
    (0..count).map(set).collect()
}

/// The settings of an instance for each property, in order of declaration.
fn rows(instance: &Instance) -> Vec<Row<'_>> {
    let properties = instance
        .class()
        .properties()
        .iter()
        .zip(instance.settings());
    properties
        .map(|(property, setting)| Row {
            property,
            setting,
            inherits: true,
        })
        .collect()
}

/// Encodes an instance part.
pub(crate) fn encode(
    instance: &Instance,
    notes: Option<&InstancePartNotes>,
) -> Result<Vec<u8>, EncodeError> {
    let class = instance.class();
    let rows = rows(instance);
    let mut heap = HeapWriter::new(notes.map(|notes| &notes.heap));
    let mut table = TableWriter::new(TableKind::Instance, &rows, notes.map(|notes| &notes.table));
    let name = heap.text(class.name().as_str());
    for property in class.properties_by_name() {
        if let Some(row) = rows.get(usize::from(property.order)) {
            table.put(&mut heap, row);
        }
    }
    let mut part = vec![0; 5];
    part.extend(name.to_le_bytes());
    part.extend(table.finish());
    part.extend(qualifier_set::encode(&mut heap, &instance.qualifiers));
    match &instance.property_qualifiers {
        None => part.push(1),
        Some(sets) if sets.len() == rows.len() => {
            part.push(2);
            sets.iter()
                .for_each(|set| part.extend(qualifier_set::encode(&mut heap, set)));
        }
        Some(_) => heap.fail("it has not one set of qualifiers for each property"),
    }
    heap.finish(&mut part)?;
    part.extend(notes.iter().flat_map(|notes| &notes.slack));
    set_length(&mut part);
    Ok(part)
}
