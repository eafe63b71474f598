//! The body: a header, objects back to back, and the table of their flavors.

use super::SIGNATURE;
use super::area::Area;
use super::error::{BmfError, BmfFault, BmfNote, BmfPlace, BmfRemark};
use super::flavors::Flavors;
use super::object::{BmfObject, Decoder, OBJECT_HEADER};
use crate::base::widen;

/// Bytes in front of the first object.
const HEADER_BYTES: usize = 20;

/// An unpacked binary MOF whose header makes sense.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    objects_end: usize,
    count: usize,
    flavors: Result<Flavors, BmfError>,
    notes: Vec<BmfNote>,
}

impl Body {
    /// Reads the header of an unpacked body.
    ///
    /// # Errors
    /// [`BmfError`] when it does not begin as one.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BmfError> {
        Self::with_notes(bytes, Vec::new())
    }

    pub(super) fn with_notes(bytes: Vec<u8>, notes: Vec<BmfNote>) -> Result<Self, BmfError> {
        let fail = BmfError::body;
        if !bytes.starts_with(SIGNATURE) {
            return Err(fail(0, BmfFault::Signature));
        }

        let word = |at: usize| {
            let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
            word.map(|word| u32::from_le_bytes(*word))
                .ok_or(fail(at, BmfFault::CutOff))
        };
        let objects_end = widen(word(4)?);
        let constants = [(8, word(8)?), (12, word(12)?)];
        let count = widen(word(16)?);
        if !(HEADER_BYTES..=bytes.len()).contains(&objects_end) {
            return Err(fail(4, BmfFault::Bounds));
        }

        let flavors = Flavors::parse(&bytes, objects_end);
        let mut body = Self {
            bytes,
            objects_end,
            count,
            flavors,
            notes,
        };
        let odd = constants.into_iter().filter(|(_, constant)| *constant != 1);
        let note = |offset| BmfNote {
            place: BmfPlace::Body,
            offset,
            remark: BmfRemark::Constant,
        };
        body.notes.extend(odd.map(|(offset, _)| note(offset)));
        Ok(body)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many objects it claims to hold.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Oddities of its packing and header.
    pub fn notes(&self) -> &[BmfNote] {
        &self.notes
    }

    /// Decodes its objects in their order. What is wrong with the table of flavors comes last.
    pub fn objects(&self) -> Objects<'_> {
        Objects {
            body: self,
            at: HEADER_BYTES,
            left: self.count,
            flavors_used: Some(0),
            is_over: false,
        }
    }
}

/// The objects of a body. Made by [`Body::objects`].
#[derive(Debug)]
pub struct Objects<'b> {
    body: &'b Body,
    at: usize,
    left: usize,
    /// Flavors that the objects so far made use of; `None` once one of them is lost.
    flavors_used: Option<usize>,
    is_over: bool,
}

impl Iterator for Objects<'_> {
    type Item = Result<BmfObject, BmfError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        if self.left == 0 {
            self.is_over = true;
            return self.end().err().map(Err);
        }
        self.left -= 1;

        let area = Area::new(&self.body.bytes, self.body.objects_end);
        let object = match area.measured(self.at, OBJECT_HEADER) {
            Ok(object) => object,
            Err(error) => {
                // Nothing tells where the next one begins.
                self.is_over = true;
                return Some(Err(error));
            }
        };
        self.at = self.at.saturating_add(object.len());

        let mut decoder = Decoder::new(self.body.flavors.as_ref().ok());
        let decoded = decoder.object(object, 0);
        let used = decoder.flavors_used();
        self.flavors_used = self
            .flavors_used
            .filter(|_| decoded.is_ok())
            .map(|all| all + used);
        Some(decoded)
    }
}

impl Objects<'_> {
    /// Checks what can be told only once all objects are known.
    fn end(&self) -> Result<(), BmfError> {
        if self.at != self.body.objects_end {
            return Err(BmfError::body(self.at, BmfFault::Bounds));
        }
        let flavors = self.body.flavors.as_ref().map_err(|error| *error)?;
        match self.flavors_used {
            Some(used) if used != flavors.len() => {
                Err(BmfError::body(flavors.at(), BmfFault::Flavors))
            }
            _ => Ok(()),
        }
    }
}
