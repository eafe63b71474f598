//! The values of all properties of a class, in a class or an instance: NdTable and ValueTable.
//!
//! ```text
//! 0  ceil(N / 4) bytes  two bits for each of N properties, in order of declaration from the lowest bits up: its state
//!    …                  the slots of N values, back to back
//! ```
//!
//! | state | in a class | in an instance |
//! |---|---|---|
//! | 0 | a default of its own | a value of its own |
//! | 1 | NULL, said here | NULL, said here |
//! | 2 | that of the superclass, not NULL | the default of the class, not NULL |
//! | 3 | that of the superclass, NULL | the default of the class, NULL |
//!
//! Source: `docs::objects`, "Value tables".

use super::cim_value::{decode_value, encode_value};
use super::heap::{HeapDecoder, HeapWriter};
use super::reader::{Parsed, RecordReader};
use crate::base::widen;
use crate::cim::class::Setting;
use crate::cim::full_class::FullProperty;
use crate::cim::types::CimType;

/// Size of the states of this many properties, in bytes.
pub(crate) const fn states_size(properties: usize) -> usize {
    properties.div_ceil(4)
}

/// States and slots in their encoded form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValueTable<'b> {
    states: &'b [u8],
    slots: &'b [u8],
}

impl<'b> ValueTable<'b> {
    pub(crate) fn parse(
        reader: &mut RecordReader<'b>,
        properties: usize,
        slots: usize,
    ) -> Parsed<Self> {
        const CUT: &str = "the table of values is cut off";
        Ok(Self {
            states: reader.take(states_size(properties), CUT)?,
            slots: reader.take(slots, CUT)?,
        })
    }

    /// States without a known end, and without slots.
    pub(crate) const fn of_states(states: &'b [u8]) -> Self {
        Self { states, slots: &[] }
    }

    /// Size of the whole table, in bytes.
    pub(crate) const fn size(&self) -> usize {
        self.states.len() + self.slots.len()
    }

    /// The state of a property.
    pub(crate) fn state(&self, order: u16) -> u8 {
        let byte = self
            .states
            .get(usize::from(order / 4))
            .copied()
            .unwrap_or(0);
        (byte >> (2 * (order % 4))) & 3
    }

    /// The slot of a property.
    pub(crate) fn slot(&self, offset: u32, size: usize) -> Option<&'b [u8]> {
        self.slots.get(widen(offset)..)?.get(..size)
    }

    /// The bits after the last property.
    fn padding(&self, properties: usize) -> u8 {
        if properties.is_multiple_of(4) {
            0
        } else {
            self.states
                .last()
                .map_or(0, |last| last >> (2 * (properties % 4)))
        }
    }
}

/// The details of a table apart from its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableNotes {
    /// The bits after the last state.
    padding: Option<u8>,
    /// States that a writer would not choose, by order of declaration.
    states: Vec<(u16, u8)>,
    /// Meaningless slots that a writer would fill otherwise.
    slots: Vec<(u16, Box<[u8]>)>,
}

impl TableNotes {
    /// True if every state is the one that a writer would choose.
    pub const fn has_usual_states(&self) -> bool {
        self.states.is_empty()
    }

    /// Number of meaningless slots with content other than a writer's.
    pub const fn stale_slots(&self) -> usize {
        self.slots.len()
    }
}

/// The owner of a table, which determines the content of meaningless slots and the bits after the
/// last state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableKind {
    Class,
    Instance,
}

/// A property, its setting here, and the value that applies without one: the default of the
/// superclass or of the class.
pub(crate) struct Row<'c> {
    pub(crate) property: &'c FullProperty,
    pub(crate) setting: &'c Setting,
    /// True if `property.default` applies without a setting.
    pub(crate) inherits: bool,
}

impl Row<'_> {
    /// The state that a writer chooses.
    fn state(&self) -> u8 {
        match self.setting {
            Setting::Value(_) => 0,
            Setting::Null => 1,
            Setting::Inherited if !self.inherits => 1,
            Setting::Inherited if self.property.default.is_some() => 2,
            Setting::Inherited => 3,
        }
    }

    /// The slot that a writer stores if the row has no value of its own.
    fn filler(&self, kind: TableKind) -> Vec<u8> {
        let (cim_type, size) = (self.property.cim_type, self.property.cim_type.slot_size());
        if kind == TableKind::Instance {
            return vec![0; size];
        }
        match &self.property.default {
            // A class repeats the values that it inherits, except those that would need its heap.
            Some(value) if self.state() == 2 && !cim_type.is_on_heap() => {
                let mut slot = Vec::with_capacity(size);
                encode_value(&mut HeapWriter::new(None), cim_type, Some(value), &mut slot);
                slot
            }
            _ => vec![0xFF; size],
        }
    }
}

/// The setting that a state denotes for a property of this type with a slot at this offset. For
/// state 0 it is the value of the slot.
pub(crate) fn decode_setting(
    cx: &mut HeapDecoder<'_, '_>,
    table: &ValueTable<'_>,
    (cim_type, offset): (CimType, u32),
    state: u8,
) -> Parsed<Setting> {
    Ok(match state {
        0 => {
            let bad = cx.heap.bad(0, "a value lies after the table of values");
            let slot = table.slot(offset, cim_type.slot_size()).ok_or(bad)?;
            // The null reference in place of the state for NULL.
            decode_value(cx, cim_type, slot)?.map_or(Setting::Null, Setting::Value)
        }
        1 => Setting::Null,
        _ => Setting::Inherited,
    })
}

/// The details of a table apart from the content of its rows, which are all properties in order of
/// declaration.
pub(crate) fn notes(table: &ValueTable<'_>, kind: TableKind, rows: &[Row<'_>]) -> TableNotes {
    let padding = table.padding(rows.len());
    let mut notes = TableNotes {
        padding: (padding != usual_padding(kind, rows.len())).then_some(padding),
        ..TableNotes::default()
    };
    for row in rows {
        let (order, state) = (row.property.order, table.state(row.property.order));
        if state != row.state() {
            notes.states.push((order, state));
        }
        if row.setting.value().is_none()
            && let Some(slot) = table.slot(row.property.offset, row.property.cim_type.slot_size())
            && slot != row.filler(kind)
        {
            notes.slots.push((order, slot.into()));
        }
    }
    notes
}

fn usual_padding(kind: TableKind, properties: usize) -> u8 {
    match kind {
        TableKind::Class if !properties.is_multiple_of(4) => 0xFF >> (2 * (properties % 4)),
        _ => 0,
    }
}

/// A table under construction: states are known before values are put into the heap, and slots
/// after it.
pub(crate) struct TableWriter {
    states: Vec<u8>,
    slots: Vec<Vec<u8>>,
}

impl TableWriter {
    /// Creates the table with everything except the values of rows.
    pub(crate) fn new(kind: TableKind, rows: &[Row<'_>], notes: Option<&TableNotes>) -> Self {
        let mut states = vec![0u8; states_size(rows.len())];
        let noted = |order: u16| {
            let states = notes.map(|notes| &notes.states[..]).unwrap_or_default();
            let position = states
                .binary_search_by_key(&order, |(noted, _)| *noted)
                .ok()?;
            states.get(position).map(|&(_, state)| state)
        };
        for (row, order) in rows.iter().zip(0u16..) {
            let state = noted(order).unwrap_or_else(|| row.state()) & 3;
            if let Some(byte) = states.get_mut(usize::from(order / 4)) {
                *byte |= state << (2 * (order % 4));
            }
        }
        let padding = notes
            .and_then(|notes| notes.padding)
            .unwrap_or(usual_padding(kind, rows.len()));
        if let Some(last) = states.last_mut().filter(|_| !rows.len().is_multiple_of(4)) {
            *last |= padding << (2 * (rows.len() % 4));
        }
        let mut slots: Vec<Vec<u8>> = rows.iter().map(|row| row.filler(kind)).collect();
        for (order, noted) in notes.iter().flat_map(|notes| &notes.slots) {
            if let Some(slot) = slots.get_mut(usize::from(*order)) {
                *slot = noted.to_vec();
            }
        }
        Self { states, slots }
    }

    /// Puts the value of a row, if it has its own, into its slot and the heap.
    pub(crate) fn put(&mut self, heap: &mut HeapWriter<'_>, row: &Row<'_>) {
        if let (Some(value), Some(slot)) = (
            row.setting.value(),
            self.slots.get_mut(usize::from(row.property.order)),
        ) {
            slot.clear();
            encode_value(heap, row.property.cim_type, Some(value), slot);
        }
    }

    /// The bytes of the table.
    pub(crate) fn finish(self) -> Vec<u8> {
        [self.states, self.slots.concat()].concat()
    }
}
