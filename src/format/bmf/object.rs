//! Objects of a body: classes and instances, their qualifiers, properties and methods.
//!
//! ```text
//! object      0  u32  length
//!             4  u32  offsets from 20 on of the lists of qualifiers, properties and methods, or -1
//!            16  u32  kind: 0 a class, 1 an instance
//!            20  the lists, in this order
//! list        0  u32  length, u32 count of entries, entries
//! qualifier   0  u32  length, u32 type, u32 0, u32 offset of the value from 16 on
//!            16  name, value
//! property,   0  u32  length, u32 type, u32 0, u32 offset of the value from 20 on, or -1,
//! method          u32  offset of the list of qualifiers from 20 on, or -1
//!            20  name, value, list of qualifiers
//! ```
//!
//! Texts are UTF-16 with a terminator. Between parts there may be padding, so that places are taken
//! from offsets alone.

use std::sync::Arc;

use super::area::{Area, Text};
use super::error::{BmfError, BmfFault, BmfNote, BmfPlace, BmfRemark};
use super::flavors::Flavors;
use crate::base::limits::MAX_OBJECT_DEPTH;
use crate::cim::class::{Class, Method, Property, Setting};
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::name::{Name, same};
use crate::cim::qualifier::{Flavor, Qualifier, QualifierSet, cimtype_text};
use crate::cim::types::{CimType, ScalarType};
use crate::cim::value::{Array, Value};

/// Bytes in front of the lists of an object.
pub(super) const OBJECT_HEADER: usize = 20;
const LIST_HEADER: usize = 8;
const QUALIFIER_HEADER: usize = 16;
const MEMBER_HEADER: usize = 20;

/// Added to the type of an array, and to that of a text that is an alias.
const ARRAY: u32 = 0x2000;
const ALIAS: u32 = 0x4000;

/// An object of a binary MOF.
#[derive(Debug, Clone, PartialEq)]
pub struct BmfObject {
    /// Where it begins in the body, in bytes.
    pub offset: usize,
    /// The namespace as it is spelled there: `\\.\Root\WMI`; `root\default` when the source named
    /// none.
    pub namespace: Option<String>,
    /// The numbers of `#pragma classflags` or `instanceflags`.
    pub flags: i32,
    /// The alias that it defines, as it is stored: files have it without its dollar sign.
    pub alias: Option<String>,
    /// Its kind.
    pub content: BmfContent,
    /// Oddities met while decoding it.
    pub notes: Vec<BmfNote>,
}

/// Kind and content of an object of a binary MOF.
#[derive(Debug, Clone, PartialEq)]
pub enum BmfContent {
    /// The declaration of a class.
    Class(Class),
    /// An instance.
    Instance(BmfInstance),
}

impl BmfContent {
    /// The name of the class that it is, or is an instance of.
    pub fn class_name(&self) -> &Name {
        match self {
            BmfContent::Class(class) => &class.name,
            BmfContent::Instance(instance) => instance.instance.class().name(),
        }
    }
}

/// An instance of a binary MOF. It says nothing of its class but the name: the class that the
/// instance has here is made of the properties that are given, with the types of their values.
#[derive(Debug, Clone, PartialEq)]
pub struct BmfInstance {
    /// The instance. A property without a value that has qualifiers is not set.
    pub instance: Instance,
    /// The numbers of the properties whose text, or each of whose texts, is an alias.
    pub aliases: Vec<u16>,
}

impl BmfInstance {
    /// True if the texts of a property are aliases.
    pub fn is_alias(&self, order: u16) -> bool {
        self.aliases.contains(&order)
    }
}

/// Decodes one object. It keeps what the object has no place for.
#[derive(Debug)]
pub(super) struct Decoder<'f> {
    flavors: Option<&'f Flavors>,
    flavors_used: usize,
    notes: Vec<BmfNote>,
}

/// A property or method as its entry has it.
struct Member<'b> {
    area: Area<'b>,
    name: String,
    /// The type, with [`ARRAY`] and [`ALIAS`].
    kind: u32,
    value: Option<Area<'b>>,
    qualifiers: Option<QualifierSet>,
}

/// System properties of an object.
#[derive(Default)]
struct System {
    class: Option<String>,
    superclass: Option<String>,
    namespace: Option<String>,
    alias: Option<String>,
    flags: i32,
}

/// A property of an object.
struct Given {
    property: Property,
    value: Option<Value>,
    is_alias: bool,
}

impl<'f> Decoder<'f> {
    pub(super) const fn new(flavors: Option<&'f Flavors>) -> Self {
        Self {
            flavors,
            flavors_used: 0,
            notes: Vec::new(),
        }
    }

    /// Flavors of the table that belong to what was decoded.
    pub(super) const fn flavors_used(&self) -> usize {
        self.flavors_used
    }

    /// Decodes the object that fills an area.
    pub(super) fn object(&mut self, area: Area<'_>, depth: usize) -> Result<BmfObject, BmfError> {
        if depth > MAX_OBJECT_DEPTH {
            return Err(area.fail(0, BmfFault::Depth(MAX_OBJECT_DEPTH)));
        }

        // Lists stand in this order, so that none of them can overlap another.
        let mut end = OBJECT_HEADER;
        let qualifiers = self.list_at(area, 4, &mut end)?;
        let qualifiers =
            qualifiers.map_or(Ok(QualifierSet::new()), |list| self.qualifiers(list))?;
        let properties = self.list_at(area, 8, &mut end)?;
        let (system, properties) = match properties {
            Some(list) => self.properties(list, depth)?,
            None => Default::default(),
        };
        let methods = self.list_at(area, 12, &mut end)?;
        let methods = match methods {
            Some(list) => self.list(list, |decoder, entry| decoder.method(entry, depth))?,
            None => Vec::new(),
        };
        if end < area.len() {
            self.note(area, end, BmfRemark::Spare);
        }

        let System {
            class,
            superclass,
            namespace,
            alias,
            flags,
        } = system;
        let name = Name::from(class.ok_or(area.fail(0, BmfFault::NoClass))?);
        let content = match area.word(16)? {
            0 => {
                let properties = properties.into_iter().map(declared).collect();
                let superclass = superclass.filter(|name| !name.is_empty()).map(Name::from);
                BmfContent::Class(Class {
                    name,
                    superclass,
                    qualifiers,
                    properties,
                    methods,
                })
            }
            1 => BmfContent::Instance(instance_of(area, name, qualifiers, properties)?),
            kind => return Err(area.fail(16, BmfFault::Kind(kind))),
        };
        let notes = std::mem::take(&mut self.notes);
        Ok(BmfObject {
            offset: area.start(),
            namespace,
            flags,
            alias,
            content,
            notes,
        })
    }

    /// The list whose offset stands at `at`; it may begin at `end` and moves it behind itself.
    fn list_at<'b>(
        &mut self,
        area: Area<'b>,
        at: usize,
        end: &mut usize,
    ) -> Result<Option<Area<'b>>, BmfError> {
        let Some(start) = area.offset(at, OBJECT_HEADER)? else {
            return Ok(None);
        };
        if start < *end {
            return Err(area.fail(at, BmfFault::Bounds));
        }
        if start > *end {
            self.note(area, *end, BmfRemark::Spare);
        }
        let list = area.measured(start, LIST_HEADER)?;
        *end = start.saturating_add(list.len());
        Ok(Some(list))
    }

    /// The entries of a list, each decoded by `decode`.
    fn list<T>(
        &mut self,
        list: Area<'_>,
        mut decode: impl FnMut(&mut Self, Area<'_>) -> Result<T, BmfError>,
    ) -> Result<Vec<T>, BmfError> {
        let mut entries = Vec::new();
        let mut at = LIST_HEADER;
        for _ in 0..list.size(4)? {
            let entry = list.measured(at, QUALIFIER_HEADER)?;
            at = at.saturating_add(entry.len());
            entries.push(decode(self, entry)?);
        }
        if at < list.len() {
            self.note(list, at, BmfRemark::Spare);
        }
        Ok(entries)
    }

    fn qualifiers(&mut self, list: Area<'_>) -> Result<QualifierSet, BmfError> {
        let mut qualifiers = self.list(list, Self::qualifier)?;
        // The compiler of Windows appends the one that it makes; stores have it in front.
        let is_type = |qualifier: &Qualifier| qualifier.name == "CIMTYPE";
        if let Some(at) = qualifiers.iter().position(is_type)
            && let Some(front) = qualifiers.get_mut(..=at)
        {
            front.rotate_right(1);
        }
        Ok(qualifiers.into_iter().collect())
    }

    fn qualifier(&mut self, entry: Area<'_>) -> Result<Qualifier, BmfError> {
        let name = entry.text(QUALIFIER_HEADER)?;
        let (cim_type, _) = type_at(entry)?;
        let value = match entry.offset(12, QUALIFIER_HEADER)? {
            Some(at) if at < name.end => return Err(entry.fail(12, BmfFault::Bounds)),
            Some(at) => {
                Some(self.value(entry.part(at, entry.len())?, cim_type, MAX_OBJECT_DEPTH)?)
            }
            None => None,
        };

        let listed = self
            .flavors
            .and_then(|flavors| flavors.listed(entry.start()));
        self.flavors_used += usize::from(listed.is_some());
        let name = self.whole(entry, QUALIFIER_HEADER, name);
        let implied = || {
            self.flavors
                .map_or_else(Default::default, |flavors| flavors.implied(&name))
        };
        // Whatever is written of some qualifiers, a compiler stores one flavor.
        let flavor = match Flavor::fixed(&name) {
            Some(fixed) => fixed,
            None => listed.unwrap_or_else(implied),
        };
        Ok(Qualifier {
            name: Name::from(name),
            cim_type,
            value,
            flavor,
        })
    }

    /// The entry of a property or method: whatever its parts are, none lies on another.
    fn member<'b>(&mut self, area: Area<'b>) -> Result<Member<'b>, BmfError> {
        let name = area.text(MEMBER_HEADER)?;
        let value = area.offset(12, MEMBER_HEADER)?;
        let list = area.offset(16, MEMBER_HEADER)?;
        for (at, offset) in [(12, value), (16, list)] {
            if offset.is_some_and(|offset| offset < name.end) {
                return Err(area.fail(at, BmfFault::Bounds));
            }
        }

        let value_end = list.filter(|list| value.is_some_and(|value| value < *list));
        let value_end = value_end.unwrap_or(area.len());
        let value = value
            .map(|at| Ok((at, area.part(at, value_end)?)))
            .transpose()?;
        let list = list
            .map(|at| Ok((at, area.measured(at, LIST_HEADER)?)))
            .transpose()?;
        if let (Some((value, _)), Some((at, list))) = (&value, &list)
            && value >= at
            && *value < at.saturating_add(list.len())
        {
            return Err(area.fail(12, BmfFault::Bounds));
        }

        let qualifiers = list.map(|(_, list)| self.qualifiers(list)).transpose()?;
        let (name, kind) = (self.whole(area, MEMBER_HEADER, name), area.word(4)?);
        Ok(Member {
            area,
            name,
            kind,
            value: value.map(|(_, value)| value),
            qualifiers,
        })
    }

    /// The properties of an object, and what the system properties among them say.
    fn properties(
        &mut self,
        list: Area<'_>,
        depth: usize,
    ) -> Result<(System, Vec<Given>), BmfError> {
        let mut system = System::default();
        let mut properties = Vec::new();
        self.list(list, |decoder, entry| {
            let member = decoder.member(entry)?;
            if member.name.starts_with("__") {
                return decoder.system_property(&mut system, &member);
            }
            properties.push(decoder.property(member, depth)?);
            Ok(())
        })?;
        Ok((system, properties))
    }

    fn system_property(
        &mut self,
        system: &mut System,
        member: &Member<'_>,
    ) -> Result<(), BmfError> {
        let (cim_type, _) = type_at(member.area)?;
        let value = member.value.filter(|_| member.qualifiers.is_none());
        let value = value
            .map(|value| self.value(value, cim_type, MAX_OBJECT_DEPTH))
            .transpose()?;
        let texts = [
            ("__CLASS", &mut system.class),
            ("__SUPERCLASS", &mut system.superclass),
            ("__NAMESPACE", &mut system.namespace),
            ("__ALIAS", &mut system.alias),
        ];
        let place = texts.into_iter().find(|(name, _)| same(name, &member.name));
        match (place, value) {
            (Some((_, place)), Some(Value::String(text))) => *place = Some(text),
            (None, Some(Value::Sint32(flags))) if same("__CLASSFLAGS", &member.name) => {
                system.flags = flags
            }
            _ => self.note(member.area, 0, BmfRemark::SystemProperty),
        }
        Ok(())
    }

    fn property(&mut self, member: Member<'_>, depth: usize) -> Result<Given, BmfError> {
        let (cim_type, mut is_alias) = type_at(member.area)?;
        let value = member
            .value
            .map(|value| self.value(value, cim_type, depth))
            .transpose()?;
        if is_alias && depth > 0 {
            self.note(member.area, 4, BmfRemark::Alias);
            is_alias = false;
        }
        let qualifiers = member.qualifiers.unwrap_or_default();
        let (name, default) = (Name::from(member.name), Setting::Null);
        let property = Property {
            name,
            cim_type,
            default,
            qualifiers,
        };
        Ok(Given {
            property,
            value,
            is_alias,
        })
    }

    fn method(&mut self, entry: Area<'_>, depth: usize) -> Result<Method, BmfError> {
        let member = self.member(entry)?;
        let qualifiers = member.qualifiers.unwrap_or_default();
        let mut method = Method {
            name: Name::from(member.name),
            qualifiers,
            input: None,
            output: None,
        };
        let Some(value) = member.value else {
            return Ok(method);
        };

        let fail = || entry.fail(4, BmfFault::Parameters);
        if member.kind != ARRAY | u32::from(ScalarType::Object.number()) {
            return Err(fail());
        }
        for (number, list) in self.array_of_objects(value, depth)?.into_iter().enumerate() {
            let signature = parameters(list).ok_or_else(fail)?;
            let slot = if is_input(&signature, number) {
                &mut method.input
            } else {
                &mut method.output
            };
            if slot.replace(Arc::new(signature)).is_some() {
                return Err(fail());
            }
        }
        Ok(method)
    }

    /// The text without what is noted of it.
    pub(super) fn whole(&mut self, area: Area<'_>, at: usize, text: Text) -> String {
        if !text.is_whole {
            self.note(area, at, BmfRemark::Surrogate);
        }
        text.text
    }

    pub(super) fn note(&mut self, area: Area<'_>, at: usize, remark: BmfRemark) {
        let offset = area.start().saturating_add(at);
        self.notes.push(BmfNote {
            place: BmfPlace::Body,
            offset,
            remark,
        });
    }

    /// Decodes objects within an object. Their notes are its own.
    pub(super) fn embedded(&mut self, area: Area<'_>, depth: usize) -> Result<BmfObject, BmfError> {
        let notes = std::mem::take(&mut self.notes);
        let mut object = self.object(area, depth.saturating_add(1))?;
        self.notes = notes;
        self.notes.append(&mut object.notes);
        Ok(object)
    }
}

/// The type of an entry, and whether its text is an alias.
fn type_at(entry: Area<'_>) -> Result<(CimType, bool), BmfError> {
    let word = entry.word(4)?;
    let number = u16::try_from(word & !(ARRAY | ALIAS)).ok();
    let scalar = number.and_then(ScalarType::from_number);
    let scalar = scalar.ok_or(entry.fail(4, BmfFault::Type(word)))?;
    let array = word & ARRAY != 0;
    let is_text = matches!(scalar, ScalarType::String | ScalarType::Reference);
    match word & ALIAS != 0 && !is_text {
        true => Err(entry.fail(4, BmfFault::Type(word))),
        false => Ok((CimType { scalar, array }, word & ALIAS != 0)),
    }
}

/// A property of a class, whose value is its default.
fn declared(given: Given) -> Property {
    let default = given.value.map_or(Setting::Null, Setting::Value);
    Property {
        default,
        ..given.property
    }
}

fn instance_of(
    area: Area<'_>,
    name: Name,
    qualifiers: QualifierSet,
    given: Vec<Given>,
) -> Result<BmfInstance, BmfError> {
    let mut class = Class::builder(name).build();
    let (mut settings, mut sets, mut aliases) = (Vec::new(), Vec::new(), Vec::new());
    for (
        order,
        Given {
            mut property,
            value,
            is_alias,
        },
    ) in given.into_iter().enumerate()
    {
        let own = property
            .qualifiers
            .iter()
            .filter(|qualifier| qualifier.name != "CIMTYPE");
        let own: QualifierSet = own.cloned().collect();
        aliases.extend(u16::try_from(order).ok().filter(|_| is_alias));
        settings.push(match value {
            Some(value) => Setting::Value(value),
            None if own.is_empty() => Setting::Null,
            None => Setting::Inherited,
        });
        sets.push(own);

        let text = property.qualifiers.text("CIMTYPE");
        let text = text.unwrap_or_else(|| cimtype_text(property.cim_type.scalar));
        property.qualifiers = [Qualifier::cimtype(text)].into_iter().collect();
        class.properties.push(property);
    }

    let class = FullClass::compose(class, None);
    let class = class.map_err(|_| area.fail(0, BmfFault::Properties))?;
    let mut instance = Instance::from_settings(Arc::new(class), settings);
    instance.qualifiers = qualifiers;
    instance.property_qualifiers = sets.iter().any(|set| !set.is_empty()).then_some(sets);
    Ok(BmfInstance { instance, aliases })
}

/// The signature that an object stands for: its properties are the parameters.
fn parameters(object: BmfObject) -> Option<Class> {
    let BmfContent::Instance(BmfInstance { instance, .. }) = object.content else {
        return None;
    };
    if *instance.class().name() != *Method::PARAMETERS {
        return None;
    }
    let sets = instance.property_qualifiers.as_deref().unwrap_or_default();
    let declared = instance
        .class()
        .declaration()
        .properties
        .iter()
        .zip(instance.settings());
    let mut class = Class::builder(Method::PARAMETERS).build();
    class
        .qualifiers
        .set(Qualifier::flag("abstract", Flavor::empty()));
    for (order, (property, setting)) in declared.enumerate() {
        let own = sets.get(order).into_iter().flatten();
        let mut qualifiers: QualifierSet = property.qualifiers.iter().chain(own).cloned().collect();
        // Files leave out what a compiler adds to the return value.
        if property.name == *Method::RETURN_VALUE && qualifiers.get("out").is_none() {
            qualifiers.set(Qualifier::flag("out", Flavor::empty()));
        }
        let default = match setting {
            Setting::Value(value) => Setting::Value(value.clone()),
            _ => Setting::Null,
        };
        class.properties.push(Property {
            qualifiers,
            default,
            ..property.clone()
        });
    }
    Some(class)
}

/// True if a signature is that of the input: its parameters say so, else its place does.
fn is_input(signature: &Class, number: usize) -> bool {
    let is = |name: &str| {
        signature
            .properties
            .iter()
            .any(|property| property.qualifiers.is_true(name))
    };
    match (is("in"), is("out")) {
        (true, false) => true,
        (false, true) => false,
        _ => number == 0,
    }
}

/// The objects of an array, of which none is an alias.
pub(super) fn objects_of(values: Vec<BmfObject>) -> Array {
    Array::Object(
        values
            .into_iter()
            .map(|object| Some(object_of(object)))
            .collect(),
    )
}

/// An object as a value.
pub(super) fn object_of(object: BmfObject) -> crate::cim::Object {
    match object.content {
        BmfContent::Class(class) => crate::cim::Object::Class(Box::new(class)),
        BmfContent::Instance(BmfInstance { instance, .. }) => {
            crate::cim::Object::Instance(Box::new(instance))
        }
    }
}
