//! The record of an instance.
//!
//! ```text
//! 0   64 or 128 bytes  the hash of the name of its class: 32 (2.1) or 64 (2.2) hexadecimal digits, UTF-16LE
//!     u64              time stamp: a FILETIME, unique in the repository
//!     u64              time stamp of the class record that it was written under
//!     …                instance part (`instance_part`)
//! ```
//!
//! Source: `docs::objects`, "Instance record".

use std::sync::Arc;

use super::heap::{Budget, EncodeError};
use super::instance_part::{self, InstancePartNotes, InstancePartView};
use super::reader::{BadRecord, Parsed, RecordReader, push_utf16, utf16_text};
use crate::base::limits::{MAX_EXPANSION, MAX_GIVEN_BYTES, MAX_RECORD_BYTES, gets_too_much};
use crate::base::widen;
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::format::Dialect;
use crate::format::name_hash::NameHash;

const GETS_TOO_MUCH: &str = "names and defaults of its class take more than 64 KiB and 64 times \
    the length of the record of the instance";
const _: () = assert!(
    MAX_GIVEN_BYTES == 64 << 10 && MAX_EXPANSION == 64,
    "the text above says it"
);

/// The record of an instance in its encoded form. Its values can be located once its class is
/// known.
#[derive(Debug, Clone, Copy)]
pub struct InstanceRecordView<'b> {
    class_hash: &'b [u8],
    stamp: u64,
    class_stamp: u64,
    part: RecordReader<'b>,
    length: usize,
}

impl<'b> InstanceRecordView<'b> {
    /// Parses a record.
    ///
    /// # Errors
    /// Returns [`BadRecord`] if it is truncated.
    pub fn parse(record: &'b [u8], dialect: Dialect) -> Parsed<Self> {
        let mut reader = RecordReader::new(record, 0);
        let class_hash = reader.take(
            2 * NameHash::digits(dialect),
            "the hash of the class is cut off",
        )?;
        let stamp = reader.u64("the time stamp is cut off")?;
        let class_stamp = reader.u64("the time stamp of the class is cut off")?;
        Ok(Self {
            class_hash,
            stamp,
            class_stamp,
            part: reader,
            length: record.len(),
        })
    }

    /// The hash of the name of its class.
    ///
    /// # Errors
    /// Returns [`BadRecord`] if it is not a hash.
    pub fn class_hash(&self) -> Parsed<NameHash> {
        let bad = BadRecord {
            offset: 0,
            what: "the hash of the class is damaged",
        };
        utf16_text(self.class_hash)
            .and_then(|text| NameHash::parse(text.as_bytes()))
            .ok_or(bad)
    }

    /// Time when the instance was written, as a FILETIME.
    pub const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Time when the class was written whose layout the instance has.
    pub const fn class_stamp(&self) -> u64 {
        self.class_stamp
    }

    /// The name of its class, which `is_class` recognises, although nothing else is known of the
    /// class.
    ///
    /// # Errors
    /// Returns [`BadRecord`] if the record does not contain it.
    pub(crate) fn class_name(&self, is_class: &dyn Fn(&str) -> bool) -> Parsed<String> {
        instance_part::class_name(&mut { self.part }, is_class)
    }

    /// The values, for an instance of this class.
    ///
    /// # Errors
    /// Returns [`BadRecord`] if the record is damaged or the class is another.
    pub fn part(&self, class: &FullClass) -> Parsed<InstancePartView<'b>> {
        if gets_too_much(class.given_bytes(), MAX_GIVEN_BYTES, self.length) {
            return Err(BadRecord {
                offset: 0,
                what: GETS_TOO_MUCH,
            });
        }
        let mut reader = self.part;
        let part = InstancePartView::parse(&mut reader, class)?;
        let mut ahead = reader;
        if !ahead.rest().is_empty() {
            return reader.fail("there are bytes after the instance part");
        }
        Ok(part)
    }

    /// Decodes the instance.
    ///
    /// # Errors
    /// Returns [`BadRecord`] if the record is damaged or the class is another.
    pub fn to_instance(&self, class: &Arc<FullClass>) -> Parsed<Instance> {
        let mut budget = Budget::for_record(self.length);
        instance_part::decode(&self.part(class)?, class, &mut budget, false)
            .map(|(instance, _)| instance)
    }

    /// Decodes the instance, and the details of the record apart from its content.
    ///
    /// # Errors
    /// The errors of [`to_instance`](Self::to_instance).
    pub fn to_exact(&self, class: &Arc<FullClass>) -> Parsed<(Instance, InstancePartNotes)> {
        instance_part::decode(
            &self.part(class)?,
            class,
            &mut Budget::for_record(self.length),
            true,
        )
    }
}

/// Encodes the record of an instance. `class_stamp` is the stamp of the record of its class.
///
/// # Errors
/// Returns [`EncodeError`] if a part of the instance cannot be stored.
/// [`EncodeError`] when something of the instance cannot be stored.
pub fn encode_instance_record(
    instance: &Instance,
    dialect: Dialect,
    stamp: u64,
    class_stamp: u64,
) -> Result<Vec<u8>, EncodeError> {
    encode(instance, dialect, stamp, class_stamp, None)
}

/// Encodes the record of an instance with its details, which reproduces the bytes that it was
/// decoded from.
///
/// # Errors
/// Returns [`EncodeError`] if a part of the instance cannot be stored, or the notes belong to
/// another instance.
/// another.
pub fn encode_exact_instance_record(
    instance: &Instance,
    dialect: Dialect,
    stamp: u64,
    class_stamp: u64,
    notes: &InstancePartNotes,
) -> Result<Vec<u8>, EncodeError> {
    encode(instance, dialect, stamp, class_stamp, Some(notes))
}

fn encode(
    instance: &Instance,
    dialect: Dialect,
    stamp: u64,
    class_stamp: u64,
    notes: Option<&InstancePartNotes>,
) -> Result<Vec<u8>, EncodeError> {
    let mut record = Vec::new();
    push_utf16(
        NameHash::of(dialect, instance.class().name().as_str()).as_str(),
        &mut record,
    );
    record.extend(stamp.to_le_bytes());
    record.extend(class_stamp.to_le_bytes());
    record.extend(instance_part::encode(instance, notes)?);
    if gets_too_much(
        instance.class().given_bytes(),
        MAX_GIVEN_BYTES,
        record.len(),
    ) {
        return Err(EncodeError {
            what: GETS_TOO_MUCH,
        });
    }
    if record.len() > widen(MAX_RECORD_BYTES) {
        return Err(EncodeError {
            what: "it is larger than a record may be",
        });
    }
    Ok(record)
}
