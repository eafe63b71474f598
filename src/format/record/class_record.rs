//! The record of a class.
//!
//! ```text
//! 0   u32  length of the name of the superclass in UTF-16 units, 0 for none
//! 4   …    the name, UTF-16LE
//!     u64  time stamp: a FILETIME, unique in the repository
//!     …    class part (`class_part`)
//!     …    methods part (`methods_part`)
//! ```
//!
//! Source: `docs::objects`, "Class record".

use std::sync::Arc;

use super::class_part::{self, ClassPartNotes, ClassPartView, Inherits, Layout};
use super::heap::{Budget, EncodeError};
use super::methods_part::{self, MethodsPartNotes, MethodsPartView};
use super::reader::{BadRecord, Parsed, RecordReader, push_utf16, utf16_text};
use crate::base::limits::{MAX_EXPANSION, MAX_INHERITED_BYTES, MAX_RECORD_BYTES, gets_too_much};
use crate::base::{narrow, widen};
use crate::cim::class::Class;
use crate::cim::full_class::{ComposeError, FullClass};
use crate::cim::name::Name;

/// The record of a class in its encoded form.
#[derive(Debug, Clone, Copy)]
pub struct ClassRecordView<'b> {
    superclass: &'b [u8],
    stamp: u64,
    class_part: ClassPartView<'b>,
    methods_part: MethodsPartView<'b>,
    length: usize,
}

impl<'b> ClassRecordView<'b> {
    /// Parses a record.
    ///
    /// # Errors
    /// Returns [`BadRecord`] if its parts do not fill it exactly.
    pub fn parse(record: &'b [u8]) -> Parsed<Self> {
        let mut reader = RecordReader::new(record, 0);
        let superclass = reader.counted_utf16("the name of the superclass is cut off")?;
        let stamp = reader.u64("the time stamp is cut off")?;
        let class_part = ClassPartView::parse(&mut reader)?;
        let methods_part = MethodsPartView::parse(&mut reader)?;
        let mut ahead = reader;
        if !ahead.rest().is_empty() {
            return reader.fail("there are bytes after the methods part");
        }
        Ok(Self {
            superclass,
            stamp,
            class_part,
            methods_part,
            length: record.len(),
        })
    }

    /// The name of the superclass.
    ///
    /// # Errors
    /// Returns [`BadRecord`] if it is not a text.
    pub fn superclass(&self) -> Parsed<Option<String>> {
        if self.superclass.is_empty() {
            return Ok(None);
        }
        let bad = BadRecord {
            offset: 4,
            what: "the name of the superclass is not valid UTF-16",
        };
        utf16_text(self.superclass).map(Some).ok_or(bad)
    }

    /// Time when the class was written, as a FILETIME.
    pub const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Qualifiers and properties.
    pub const fn class_part(&self) -> &ClassPartView<'b> {
        &self.class_part
    }

    /// Methods.
    pub const fn methods_part(&self) -> &MethodsPartView<'b> {
        &self.methods_part
    }

    /// Decodes the class and composes it with its superclass.
    ///
    /// # Errors
    /// Returns [`BadRecord`] if the record is damaged or incompatible with the superclass.
    pub fn to_class(&self, superclass: Option<Arc<FullClass>>) -> Parsed<FullClass> {
        self.decode(superclass, false).map(|(class, _)| class)
    }

    /// Decodes the class, and the details of the record apart from its content.
    ///
    /// # Errors
    /// The errors of [`to_class`](Self::to_class).
    pub fn to_exact(&self, superclass: Option<Arc<FullClass>>) -> Parsed<(FullClass, ClassNotes)> {
        self.decode(superclass, true)
    }

    /// True if its heaps are as a writer fills them, without a gap, and everything in them can be
    /// read, as far as that can be told without the superclass.
    ///
    /// # Errors
    /// [`BadRecord`] when something cannot be read.
    pub(crate) fn is_packed(&self) -> Parsed<bool> {
        let mut budget = Budget::for_record(self.length);
        let (class, layout) =
            class_part::decode(&self.class_part, Inherits::FromLost, &mut budget, true)?;
        self.check_superclass(&class, &layout)?;
        let (_, methods) = methods_part::decode(&self.methods_part, &mut budget, true)?;
        Ok(layout.is_packed() && methods.is_in_order())
    }

    /// Decodes the class over what is left of its superclass, which lacks this ancestor or is lost
    /// itself.
    ///
    /// # Errors
    /// Returns [`BadRecord`] if the record is damaged, or incompatible with what is left.
    pub(crate) fn partial_class(
        &self,
        superclass: Option<Arc<FullClass>>,
        ancestor: Name,
    ) -> Parsed<FullClass> {
        let bad = |what| BadRecord { offset: 0, what };
        let mut budget = Budget::for_record(self.length);
        let (mut class, layout) =
            class_part::decode(&self.class_part, Inherits::FromLost, &mut budget, false)?;
        self.check_superclass(&class, &layout)?;
        class.methods = methods_part::decode(&self.methods_part, &mut budget, false)?.0;
        let partial = layout.partial(&class, superclass.as_deref(), ancestor);
        let full = FullClass::compose_partial(class, superclass, partial)
            .map_err(|_| bad("the class is incompatible with what is left of its superclass"))?;
        match gets_too_much(full.inherited_bytes(), MAX_INHERITED_BYTES, self.length) {
            true => Err(bad(INHERITS_TOO_MUCH)),
            false => Ok(full),
        }
    }

    /// Fails if the two places that name the superclass differ.
    fn check_superclass(&self, class: &Class, layout: &Layout<'_>) -> Parsed<()> {
        let named = self.superclass()?;
        if named.as_deref() != class.superclass.as_ref().map(Name::as_str)
            || !layout.derivation.is_empty()
        {
            let what = "head and class part of the record name different superclasses";
            return Err(BadRecord { offset: 0, what });
        }
        Ok(())
    }

    fn decode(
        &self,
        superclass: Option<Arc<FullClass>>,
        exact: bool,
    ) -> Parsed<(FullClass, ClassNotes)> {
        let bad = |what| BadRecord { offset: 0, what };
        let mut budget = Budget::for_record(self.length);
        let inherits = superclass
            .as_deref()
            .map_or(Inherits::Nothing, Inherits::From);
        let (mut class, layout) =
            class_part::decode(&self.class_part, inherits, &mut budget, exact)?;
        self.check_superclass(&class, &layout)?;
        let (methods, heap) = methods_part::decode(&self.methods_part, &mut budget, exact)?;
        class.methods = methods;
        let full = FullClass::compose(class, superclass).map_err(|error| bad(misfit(&error)))?;
        if gets_too_much(full.inherited_bytes(), MAX_INHERITED_BYTES, self.length) {
            return Err(bad(INHERITS_TOO_MUCH));
        }
        if !layout.fits(&full) {
            return Err(bad(
                "the layout of the properties does not match the superclass",
            ));
        }
        let mut notes = ClassNotes::default();
        if exact {
            notes.methods = methods_part::notes(&self.methods_part, heap, &full);
            notes.class = layout.notes(&full);
        }
        Ok((full, notes))
    }
}

const INHERITS_TOO_MUCH: &str =
    "the class inherits more than 512 KiB and 64 times the length of its record";
const _: () = assert!(
    MAX_INHERITED_BYTES == 512 << 10 && MAX_EXPANSION == 64,
    "the text above says it"
);

/// Why a class is incompatible with its superclass.
const fn misfit(error: &ComposeError) -> &'static str {
    match error {
        ComposeError::TooMany { .. } => {
            "the class has more members, qualifiers or superclasses than the engine takes"
        }
        _ => "the class does not fit to its superclass",
    }
}

/// The details of the record of a class apart from its content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassNotes {
    /// Those of the class part.
    pub class: ClassPartNotes,
    /// Those of the methods part.
    pub methods: MethodsPartNotes,
}

/// Encodes the record of a class.
///
/// # Errors
/// Returns [`EncodeError`] if a part of the class cannot be stored.
pub fn encode_class_record(class: &FullClass, stamp: u64) -> Result<Vec<u8>, EncodeError> {
    encode(class, stamp, None)
}

/// Encodes the record of a class with its details, which reproduces the bytes that it was decoded
/// from.
///
/// # Errors
/// Returns [`EncodeError`] if a part of the class cannot be stored, or the notes belong to another
/// class.
pub fn encode_exact_class_record(
    class: &FullClass,
    stamp: u64,
    notes: &ClassNotes,
) -> Result<Vec<u8>, EncodeError> {
    encode(class, stamp, Some(notes))
}

fn encode(
    class: &FullClass,
    stamp: u64,
    notes: Option<&ClassNotes>,
) -> Result<Vec<u8>, EncodeError> {
    let superclass = class
        .declaration()
        .superclass
        .as_ref()
        .map_or("", Name::as_str);
    let mut record = narrow(superclass.encode_utf16().count())
        .to_le_bytes()
        .to_vec();
    push_utf16(superclass, &mut record);
    record.extend(stamp.to_le_bytes());
    record.extend(class_part::encode(class, notes.map(|notes| &notes.class))?);
    record.extend(methods_part::encode(
        class,
        notes.map(|notes| &notes.methods),
    )?);
    if gets_too_much(class.inherited_bytes(), MAX_INHERITED_BYTES, record.len()) {
        return Err(EncodeError {
            what: INHERITS_TOO_MUCH,
        });
    }
    if record.len() > widen(MAX_RECORD_BYTES) {
        return Err(EncodeError {
            what: "it is larger than a record may be",
        });
    }
    Ok(record)
}
