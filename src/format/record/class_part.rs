//! The first part of a class: qualifiers, properties, defaults.
//!
//! ```text
//! 0   u32  length in bytes, from here to the end of the heap; in embedded objects with spare bytes behind it
//! 4   u8   0
//! 5   u32  reference of the name of the class, FFFFFFFF for the empty class
//! 9   u32  length of states and values
//! 13  u32  length of the derivation in bytes, with these four; then, for each superclass, the nearest first:
//!            an encoded string
//!            u32  its length in bytes
//!     …    qualifier set of the class
//!     u32  number of properties that are declared here, or declared anew
//!     …    for each of them, sorted by name: u32 reference of the name, u32 reference of its description
//!     …    states and values of all properties, inherited ones included (`value_table`)
//!     …    heap
//!
//! description of a property
//! 0   u32  type, with 0x4000 when a superclass has the property too
//! 4   u16  order of declaration over the whole chain
//! 6   u32  offset of its value
//! 10  u32  level of the class that first declared it: 0 is the topmost of the chain
//! 14  …    qualifier set
//! ```
//!
//! A record names at most one superclass. The class of an embedded instance names all of them, and
//! all properties. The total number of properties is not stored; it follows from the superclass. A
//! writer fills the heap with the name of the class, then names and values of its qualifiers. Then
//! follow, for each property sorted by name, its name, its description, and names and values of its
//! qualifiers. The defaults come last, in the same order. Source: `docs::objects`, "Class part".

use std::collections::HashMap;

use super::cim_value::{type_from_number, type_number};
use super::encoded_string::{NO_REFERENCE, TextView, encode_text};
use super::heap::{Budget, EncodeError, HeapDecoder, HeapNotes, HeapView, HeapWriter, present};
use super::qualifier_set::{self, QualifierSetView};
use super::reader::{Parsed, RecordReader};
use super::value_table::{
    Row, TableKind, TableNotes, TableWriter, ValueTable, decode_setting, notes, states_size,
};
use crate::base::limits::MAX_PROPERTIES;
use crate::base::{narrow, widen};
use crate::cim::class::{Class, Property, Setting};
use crate::cim::full_class::{FullClass, FullProperty, Partial, TableShape};
use crate::cim::name::Name;
use crate::cim::types::CimType;

/// Size in memory of a property, declared and composed.
const PROPERTY: usize = size_of::<(Place, Property)>() + size_of::<FullProperty>() + 32;

/// A class part in its encoded form.
#[derive(Debug, Clone, Copy)]
pub struct ClassPartView<'b> {
    name: u32,
    derivation: RecordReader<'b>,
    qualifiers: QualifierSetView<'b>,
    lookup: &'b [u8],
    table: RecordReader<'b>,
    heap: HeapView<'b>,
    slack: &'b [u8],
}

/// The description of a property in its encoded form.
#[derive(Debug, Clone, Copy)]
pub struct PropertyView<'b> {
    name: u32,
    info: u32,
    heap: HeapView<'b>,
    info_size: usize,
    /// The type.
    pub cim_type: CimType,
    /// True if a superclass has the property too.
    pub overrides: bool,
    /// The order of declaration over the whole chain.
    pub order: u16,
    /// The offset of its value in the table of values.
    pub offset: u32,
    /// The level of the class that first declared it.
    pub origin_level: u32,
    /// Its own qualifiers.
    pub qualifiers: QualifierSetView<'b>,
}

impl<'b> PropertyView<'b> {
    /// Its name.
    ///
    /// # Errors
    /// Returns [`BadRecord`](super::reader::BadRecord) if it is damaged.
    pub fn name(&self) -> Parsed<TextView<'b>> {
        self.heap.name(self.name)
    }
}

impl<'b> ClassPartView<'b> {
    /// Parses the class part at the front of the remaining bytes.
    pub(crate) fn parse(reader: &mut RecordReader<'b>) -> Parsed<Self> {
        const CUT: &str = "the class part is cut off";
        let mut part = reader.counted_part("the length of the class part is wrong")?;
        if part.u8(CUT)? != 0 {
            return part.fail("the byte after the length of the class part is not zero");
        }
        let (name, table_size) = (part.u32(CUT)?, widen(part.u32(CUT)?));
        let derivation = part.counted_part("the derivation is cut off")?;
        let qualifiers = part.counted_part("the qualifiers of the class are cut off")?;
        let count = widen(part.u32(CUT)?);
        let lookup = part.take(
            count.saturating_mul(8),
            "the table of properties is cut off",
        )?;
        let offset = part.offset();
        let table = RecordReader::new(
            part.take(table_size, "the table of values is cut off")?,
            offset,
        );
        let heap = HeapView::parse(&mut part)?;
        let qualifiers = QualifierSetView::new(qualifiers, heap);
        Ok(Self {
            name,
            derivation,
            qualifiers,
            lookup,
            table,
            heap,
            slack: part.rest(),
        })
    }

    /// The name of the class; `None` for the empty class.
    ///
    /// # Errors
    /// Returns [`BadRecord`](super::reader::BadRecord) if it is damaged.
    pub fn name(&self) -> Parsed<Option<TextView<'b>>> {
        present(self.name)
            .map(|name| self.heap.text(name))
            .transpose()
    }

    /// Its own qualifiers.
    pub const fn qualifiers(&self) -> QualifierSetView<'b> {
        self.qualifiers
    }

    /// The number of properties that it declares or redeclares.
    pub const fn property_count(&self) -> usize {
        self.lookup.len() / 8
    }

    /// The properties that it declares or redeclares, sorted by name.
    pub fn properties(&self) -> impl ExactSizeIterator<Item = Parsed<PropertyView<'b>>> + use<'b> {
        let heap = self.heap;
        self.lookup
            .as_chunks::<8>()
            .0
            .iter()
            .map(move |&[a, b, c, d, e, f, g, h]| {
                parse_property(
                    heap,
                    u32::from_le_bytes([a, b, c, d]),
                    u32::from_le_bytes([e, f, g, h]),
                )
            })
    }

    /// The superclasses that the part names, nearest first.
    fn derivation(&self) -> Parsed<Vec<String>> {
        const BAD: &str = "the derivation is damaged";
        let mut reader = self.derivation;
        let mut names = Vec::new();
        loop {
            let mut ahead = reader;
            let rest = ahead.rest();
            if rest.is_empty() {
                return Ok(names);
            }
            let Some(text) = TextView::parse(rest) else {
                return reader.fail(BAD);
            };
            let bytes = reader.take(text.size(), BAD)?;
            let name = text.to_text();
            if widen(reader.u32(BAD)?) != text.size() || encode_text(&name) != bytes {
                return reader.fail(BAD);
            }
            names.push(name);
        }
    }

    /// True if it is the empty class, which stands for "no superclass".
    pub(crate) fn is_empty(&self) -> bool {
        let (mut derivation, mut table) = (self.derivation, self.table);
        let is_bare =
            self.name == NO_REFERENCE && self.lookup.is_empty() && self.heap.bytes().is_empty();
        let is_plain =
            derivation.rest().is_empty() && table.rest().is_empty() && self.slack.is_empty();
        is_bare && is_plain && self.qualifiers.iter().next().is_none()
    }
}

fn parse_property(heap: HeapView<'_>, name: u32, info: u32) -> Parsed<PropertyView<'_>> {
    const CUT: &str = "the description of a property is cut off";
    let mut reader = heap.from(info)?;
    let Some((cim_type, overrides)) = type_from_number(reader.u32(CUT)?) else {
        return reader.fail("a property has an unknown type");
    };
    let (order, offset, origin_level) = (reader.u16(CUT)?, reader.u32(CUT)?, reader.u32(CUT)?);
    let qualifiers = QualifierSetView::new(
        reader.counted_part("the qualifiers of a property are cut off")?,
        heap,
    );
    let info_size = reader.position();
    Ok(PropertyView {
        name,
        info,
        heap,
        info_size,
        cim_type,
        overrides,
        order,
        offset,
        origin_level,
        qualifiers,
    })
}

/// The details of a class part apart from its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassPartNotes {
    /// The places of names, qualifiers and values.
    pub heap: HeapNotes,
    /// Remains in states and values.
    pub table: TableNotes,
    /// Spare bytes after the heap.
    slack: Box<[u8]>,
    /// The orders of the properties in the lookup table, if they are not sorted as by a writer.
    lookup: Option<Vec<u16>>,
}

/// The layout of a class in its part, with the details apart from its content.
pub(crate) struct Layout<'b> {
    /// The superclasses after the nearest.
    pub(crate) derivation: Vec<Name>,
    /// The place of each property of the class, in the same order.
    places: Vec<Place>,
    /// The orders of the properties in the lookup table; only for an exact copy.
    lookup: Vec<u16>,
    table: ValueTable<'b>,
    heap: HeapNotes,
    slack: &'b [u8],
    /// Number of properties that have a state, if known.
    count: Option<usize>,
}

/// The place of a property that is declared here.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    order: u16,
    offset: u32,
    origin_level: u32,
    overrides: bool,
}

/// The superclass from which a class inherits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Inherits<'c> {
    /// None, because it is the topmost class or that of an embedded instance, which lists
    /// everything itself.
    Nothing,
    /// This class.
    From(&'c FullClass),
    /// A class that is lost or incomplete.
    FromLost,
}

/// Decodes the class of a part, without methods yet, and its layout.
pub(crate) fn decode<'b>(
    view: &ClassPartView<'b>,
    inherits: Inherits<'_>,
    budget: &mut Budget,
    exact: bool,
) -> Parsed<(Class, Layout<'b>)> {
    let mut decoder = HeapDecoder::new(view.heap, budget, exact);
    let cx = &mut decoder;
    let name = cx.text_name(view.name)?;
    let qualifiers = qualifier_set::decode(cx, view.qualifiers)?;
    let mut entries = Vec::with_capacity(view.property_count());
    for property in view.properties() {
        entries.push(decode_property(cx, &property?)?);
    }
    let shape = table_shape(view, inherits, &entries)?;
    let table = value_table(view, shape)?;
    for (place, property) in &mut entries {
        let state = match table.state(place.order) {
            // The class of an embedded instance also has inherited values in its slots.
            state if matches!(inherits, Inherits::Nothing) => state & 1,
            // A new property has nothing to inherit.
            2.. if !place.overrides => 1,
            // The beginning of the slots is unknown.
            _ if shape.is_none() => 2,
            state => state,
        };
        property.default = decode_setting(cx, &table, (property.cim_type, place.offset), state)?;
    }
    let lookup = if exact {
        entries.iter().map(|(place, _)| place.order).collect()
    } else {
        Vec::new()
    };
    entries.sort_by_key(|(place, _)| place.order);
    let (places, properties) = entries.into_iter().unzip();
    let mut derivation = view.derivation()?.into_iter().map(Name::from);
    let superclass = derivation.next();
    let class = Class {
        name,
        superclass,
        qualifiers,
        properties,
        methods: Vec::new(),
    };
    let (derivation, heap) = (derivation.collect(), decoder.finish());
    let count = shape.map(|shape| shape.count);
    Ok((
        class,
        Layout {
            derivation,
            places,
            lookup,
            table,
            heap,
            slack: view.slack,
            count,
        },
    ))
}

/// The layout of the table of values. Its length follows from the numbers of inherited and new
/// properties. If the inherited ones are unknown, it follows from the new ones, which come after
/// them; `None` if there are none.
fn table_shape(
    view: &ClassPartView<'_>,
    inherits: Inherits<'_>,
    entries: &[(Place, Property)],
) -> Parsed<Option<TableShape>> {
    let size = |property: &Property| property.cim_type.slot_size();
    let inherited = match inherits {
        Inherits::Nothing => TableShape { count: 0, slots: 0 },
        Inherits::From(parent) => TableShape {
            count: parent.properties().len(),
            slots: widen(parent.table_size()),
        },
        Inherits::FromLost => {
            let new = entries.iter().filter(|(place, _)| !place.overrides);
            let Some((place, property)) = new.max_by_key(|(place, _)| place.order) else {
                return Ok(None);
            };
            let count = usize::from(place.order) + 1;
            let slots = widen(place.offset).saturating_add(size(property));
            let mut table = view.table;
            return match table.rest().len() == states_size(count).saturating_add(slots) {
                true => Ok(Some(TableShape { count, slots })),
                false => view
                    .table
                    .fail("the table of values is not as long as its last property says"),
            };
        }
    };
    let is_new = |place: &Place| matches!(inherits, Inherits::Nothing) || !place.overrides;
    let new = || entries.iter().filter(|(place, _)| is_new(place));
    let slots = new().map(|(_, property)| size(property)).sum::<usize>() + inherited.slots;
    Ok(Some(TableShape {
        count: inherited.count + new().count(),
        slots,
    }))
}

fn value_table<'b>(view: &ClassPartView<'b>, shape: Option<TableShape>) -> Parsed<ValueTable<'b>> {
    let mut reader = view.table;
    let Some(TableShape { count, slots }) = shape else {
        return Ok(ValueTable::of_states(reader.rest()));
    };
    let table = ValueTable::parse(&mut reader, count, slots)?;
    if !reader.rest().is_empty() {
        return reader.fail("the table of values is longer than the properties of the class need");
    }
    Ok(table)
}

fn decode_property(
    cx: &mut HeapDecoder<'_, '_>,
    view: &PropertyView<'_>,
) -> Parsed<(Place, Property)> {
    cx.hold(view.info, PROPERTY)?;
    let name = cx.name(view.name)?;
    cx.item(view.info, view.info_size)?;
    let qualifiers = qualifier_set::decode(cx, view.qualifiers)?;
    let property = Property {
        name,
        cim_type: view.cim_type,
        default: Setting::Null,
        qualifiers,
    };
    let (order, offset, origin_level) = (view.order, view.offset, view.origin_level);
    Ok((
        Place {
            order,
            offset,
            origin_level,
            overrides: view.overrides,
        },
        property,
    ))
}

impl Layout<'_> {
    /// True if the heap has no gap and its items lie in a writer's order.
    pub(crate) const fn is_packed(&self) -> bool {
        self.heap.is_in_order()
    }

    /// The class of an embedded instance, which lists everything.
    pub(crate) fn merged(&self, class: Class) -> Option<FullClass> {
        let origins: Vec<(u32, bool)> = self
            .places
            .iter()
            .map(|place| (place.origin_level, place.overrides))
            .collect();
        let derivation = class
            .superclass
            .iter()
            .chain(&self.derivation)
            .cloned()
            .collect();
        FullClass::merged(class, derivation, &origins).ok()
    }

    /// True if the stored orders, offsets and levels are those of the composed class, on which
    /// everything else relies.
    pub(crate) fn fits(&self, full: &FullClass) -> bool {
        self.places
            .iter()
            .zip(&full.declaration().properties)
            .all(|(stored, property)| {
                let by_order = full
                    .properties()
                    .get(usize::from(stored.order))
                    .map(|found| &**found);
                let found = by_order.filter(|found| found.name == property.name);
                found.is_some_and(|found| *stored == Place::of(found))
            })
    }

    /// The known parts of a class that lacks this ancestor, over what is left of its superclass.
    pub(crate) fn partial(
        &self,
        class: &Class,
        parent: Option<&FullClass>,
        ancestor: Name,
    ) -> Partial {
        let above = parent.and_then(|parent| parent.partial());
        let mut places = above.map(|above| above.places.clone()).unwrap_or_default();
        let own = self.places.iter().zip(&class.properties);
        let is_new =
            |name: &Name| parent.is_none_or(|parent| parent.property(name.as_str()).is_none());
        places.extend(
            own.filter(|(_, own)| is_new(&own.name))
                .map(|(place, _)| (place.order, place.offset)),
        );
        let ancestor = above.map_or(ancestor, |above| above.ancestor.clone());
        let table_bytes = Some(self.table.size());
        // A class that declares no property has those of its superclass.
        let inherited = above
            .filter(|above| above.table_bytes == table_bytes)
            .and_then(|above| above.count);
        Partial {
            ancestor,
            places,
            count: self.count.or(inherited),
            table_bytes,
        }
    }

    /// True if the class has no superclass and its layout is valid. The check is that of
    /// [`fits`](Self::fits), but needs no composition.
    pub(crate) fn stands_alone(&self, class: &Class) -> bool {
        let mut offset = 0u32;
        let in_place = self.places.iter().zip(&class.properties).zip(0u16..).all(
            |((place, property), order)| {
                let expected = Place {
                    order,
                    offset,
                    origin_level: 0,
                    overrides: false,
                };
                offset = offset.saturating_add(narrow(property.cim_type.slot_size()));
                *place == expected
            },
        );
        in_place
            && class.superclass.is_none()
            && self.places.len() <= MAX_PROPERTIES
            && are_unique(class.properties.iter().map(|property| &property.name))
            && are_unique(class.methods.iter().map(|method| &method.name))
    }

    /// The details of the part apart from the content of this class.
    pub(crate) fn notes(self, full: &FullClass) -> ClassPartNotes {
        let table = notes(&self.table, TableKind::Class, &rows(full));
        let sorted = sorted_local(full);
        let is_sorted = self
            .lookup
            .iter()
            .eq(sorted.iter().map(|(property, _)| &property.order));
        let lookup = (!is_sorted).then_some(self.lookup);
        ClassPartNotes {
            heap: self.heap,
            table,
            slack: self.slack.into(),
            lookup,
        }
    }
}

impl Place {
    const fn of(property: &FullProperty) -> Self {
        let (order, offset, origin_level) =
            (property.order, property.offset, property.origin_level);
        Self {
            order,
            offset,
            origin_level,
            overrides: property.overrides,
        }
    }
}

fn are_unique<'n>(names: impl Iterator<Item = &'n Name>) -> bool {
    let mut names: Vec<&Name> = names.collect();
    names.sort_unstable();
    names.is_sorted_by(|a, b| a < b)
}

/// The properties that a class declares itself, sorted by name, with their declarations.
fn sorted_local(full: &FullClass) -> Vec<(&FullProperty, &Property)> {
    let mut declared: Vec<&Property> = full.declaration().properties.iter().collect();
    declared.sort_by(|a, b| a.name.cmp(&b.name));
    declared
        .into_iter()
        .filter_map(|own| Some((full.property(own.name.as_str())?, own)))
        .collect()
}

/// The settings of a class for each property, in order of declaration.
fn rows(full: &FullClass) -> Vec<Row<'_>> {
    static NOTHING: Setting = Setting::Inherited;
    let declared: HashMap<&Name, &Property> = full
        .declaration()
        .properties
        .iter()
        .map(|property| (&property.name, property))
        .collect();
    full.properties()
        .iter()
        .map(|property| {
            let own = declared.get(&property.name);
            let setting = own.map_or(&NOTHING, |own| &own.default);
            Row {
                property,
                setting,
                inherits: own.is_none() || property.overrides,
            }
        })
        .collect()
}

/// Encodes a class part: the declaration of the class if its superclass is known, or else
/// everything that it has.
pub(crate) fn encode(
    full: &FullClass,
    notes: Option<&ClassPartNotes>,
) -> Result<Vec<u8>, EncodeError> {
    let rows = rows(full);
    let mut heap = HeapWriter::new(notes.map(|notes| &notes.heap));
    let mut table = TableWriter::new(TableKind::Class, &rows, notes.map(|notes| &notes.table));
    let local = local_in_order(full, notes);
    let name = heap.text(full.name().as_str());
    let qualifiers = qualifier_set::encode(&mut heap, &full.declaration().qualifiers);
    let mut lookup = Vec::with_capacity(local.len() * 8);
    for (place, property) in &local {
        let name = heap.name(property.name.as_str());
        let info = encode_property(&mut heap, place, property);
        lookup.extend([name, info].into_iter().flat_map(u32::to_le_bytes));
    }
    for (place, _) in &local {
        if let Some(row) = rows.get(usize::from(place.order)) {
            table.put(&mut heap, row);
        }
    }
    let table = table.finish();
    let mut part = vec![0; 5];
    part.extend(name.to_le_bytes());
    part.extend(narrow(table.len()).to_le_bytes());
    part.extend(encode_derivation(full));
    part.extend(qualifiers);
    part.extend(narrow(local.len()).to_le_bytes());
    part.extend(lookup);
    part.extend(table);
    heap.finish(&mut part)?;
    part.extend(notes.iter().flat_map(|notes| &notes.slack));
    set_length(&mut part);
    Ok(part)
}

/// Writes the length of a part into its first four bytes.
pub(crate) fn set_length(part: &mut [u8]) {
    let length = narrow(part.len()).to_le_bytes();
    crate::format::bytes::put(part, 0, &length);
}

fn local_in_order<'c>(
    full: &'c FullClass,
    notes: Option<&ClassPartNotes>,
) -> Vec<(&'c FullProperty, &'c Property)> {
    let local = sorted_local(full);
    let Some(lookup) = notes.and_then(|notes| notes.lookup.as_ref()) else {
        return local;
    };
    let by_order: HashMap<u16, (&FullProperty, &Property)> = local
        .into_iter()
        .map(|(place, property)| (place.order, (place, property)))
        .collect();
    lookup
        .iter()
        .filter_map(|order| by_order.get(order).copied())
        .collect()
}

fn encode_property(heap: &mut HeapWriter<'_>, place: &FullProperty, property: &Property) -> u32 {
    let offset = heap.reserve(14 + qualifier_set::encoded_size(&property.qualifiers));
    let mut info = type_number(property.cim_type, place.overrides)
        .to_le_bytes()
        .to_vec();
    info.extend(place.order.to_le_bytes());
    info.extend(place.offset.to_le_bytes());
    info.extend(place.origin_level.to_le_bytes());
    info.extend(qualifier_set::encode(heap, &property.qualifiers));
    heap.put(offset, &info);
    offset
}

/// A record names only its superclass; an embedded class, which stands alone, names all of them.
fn encode_derivation(full: &FullClass) -> Vec<u8> {
    let count = if full.superclass().is_some() {
        1
    } else {
        full.derivation().len()
    };
    let mut bytes = vec![0; 4];
    for (number, name) in full.derivation().iter().take(count).enumerate() {
        // In the spelling of the class, which may differ from the superclass's own.
        let spelled = full
            .declaration()
            .superclass
            .as_ref()
            .filter(|_| number == 0)
            .unwrap_or(name);
        let text = encode_text(spelled.as_str());
        bytes.extend_from_slice(&text);
        bytes.extend(narrow(text.len()).to_le_bytes());
    }
    set_length(&mut bytes);
    bytes
}
