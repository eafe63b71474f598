//! The record of a reference from one instance to another.
//!
//! ```text
//! 0  four texts, each a u32 with its length in UTF-16 units and the text in UTF-16LE:
//!      the namespace of the instance that refers
//!      its class
//!      the property that refers
//!      its key under the class that declares its keys, without record; in 2.1 with a backslash before it
//!    8 bytes  not used: whatever was in memory
//! ```
//!
//! Source: `docs::objects`, "Reference record".

use super::reader::{BadRecord, Parsed, RecordReader, push_utf16, utf16_text};
use crate::base::narrow;

/// Number of unused bytes at the end.
pub const REFERENCE_TAIL: usize = 8;

/// A reference from one instance to another. Only the key of the record names the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceRecord {
    /// The namespace of the referring instance, as spelled by the client that wrote it.
    pub namespace: String,
    /// Its class.
    pub class: String,
    /// The property that refers.
    pub property: String,
    /// Its key under the class that declares its keys, without record.
    pub key: String,
}

/// The record of a reference in its encoded form.
#[derive(Debug, Clone, Copy)]
pub struct ReferenceRecordView<'b> {
    texts: [&'b [u8]; 4],
    tail: [u8; REFERENCE_TAIL],
}

impl<'b> ReferenceRecordView<'b> {
    /// Parses a record.
    ///
    /// # Errors
    /// Returns [`BadRecord`] if it is truncated or too long.
    pub fn parse(record: &'b [u8]) -> Parsed<Self> {
        let mut reader = RecordReader::new(record, 0);
        let mut texts: [&[u8]; 4] = [&[]; 4];
        for text in &mut texts {
            *text = reader.counted_utf16("a text of the reference is cut off")?;
        }
        let mut ahead = reader;
        match ahead.rest().try_into() {
            Ok(tail) => Ok(Self { texts, tail }),
            Err(_) => reader.fail("the texts are not followed by 8 bytes"),
        }
    }

    /// The bytes at the end, which have no meaning.
    pub const fn tail(&self) -> [u8; REFERENCE_TAIL] {
        self.tail
    }

    /// Decodes the reference.
    ///
    /// # Errors
    /// Returns [`BadRecord`] if a field is not a text.
    pub fn to_reference(&self) -> Parsed<ReferenceRecord> {
        let bad = BadRecord {
            offset: 0,
            what: "a text of the reference is not valid UTF-16",
        };
        let text = |bytes: &[u8]| utf16_text(bytes).ok_or(bad);
        let [namespace, class, property, key] = self.texts.map(text);
        Ok(ReferenceRecord {
            namespace: namespace?,
            class: class?,
            property: property?,
            key: key?,
        })
    }
}

impl ReferenceRecord {
    /// Encodes the record, with zeros in the unused bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut record = Vec::new();
        for text in [&self.namespace, &self.class, &self.property, &self.key] {
            record.extend(narrow(text.encode_utf16().count()).to_le_bytes());
            push_utf16(text, &mut record);
        }
        record.extend([0; REFERENCE_TAIL]);
        record
    }
}
