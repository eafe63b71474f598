//! Values of qualifiers and properties.
//!
//! ```text
//! text        UTF-16 with a terminator
//! boolean     u16  0 or FFFF
//! number      a word of 4 bytes, or 8 bytes
//! object      an object
//! array       0  u32  length, u32 1, u32 count
//!            12  u32  length from here on
//!            16  elements, back to back
//! ```

use super::area::Area;
use super::error::{BmfError, BmfFault};
use super::object::{BmfObject, Decoder, OBJECT_HEADER, object_of, objects_of};
use crate::cim::types::{CimType, ScalarType};
use crate::cim::value::{Array, Value};

const ARRAY_HEADER: usize = 16;

/// Bytes of a word, which smaller numbers are stored in.
const WORD: usize = 4;

impl Decoder<'_> {
    /// The value at the beginning of an area, which may go on after it.
    pub(super) fn value(
        &mut self,
        area: Area<'_>,
        cim_type: CimType,
        depth: usize,
    ) -> Result<Value, BmfError> {
        if cim_type.array {
            return self.array(area, cim_type.scalar, depth).map(Value::Array);
        }
        Ok(match cim_type.scalar {
            ScalarType::String => Value::String(self.text(area, 0)?.0),
            ScalarType::DateTime => Value::DateTime(self.text(area, 0)?.0),
            ScalarType::Reference => Value::Reference(self.text(area, 0)?.0),
            ScalarType::Object => {
                let object = area.measured(0, OBJECT_HEADER)?;
                Value::Object(Box::new(object_of(self.embedded(object, depth)?)))
            }
            scalar => {
                let numbers = numbers(area, 0, scalar, 1)?;
                one(scalar, &numbers).ok_or(area.fail(0, BmfFault::Bounds))?
            }
        })
    }

    fn array(
        &mut self,
        area: Area<'_>,
        scalar: ScalarType,
        depth: usize,
    ) -> Result<Array, BmfError> {
        Ok(match scalar {
            ScalarType::String => Array::String(self.texts(area)?),
            ScalarType::DateTime => Array::DateTime(self.texts(area)?),
            ScalarType::Reference => Array::Reference(self.texts(area)?),
            ScalarType::Object => objects_of(self.array_of_objects(area, depth)?),
            scalar => {
                let (elements, count) = elements(area)?;
                let numbers = numbers(elements, 0, scalar, count)?;
                many(scalar, &numbers).ok_or(area.fail(0, BmfFault::Bounds))?
            }
        })
    }

    /// The objects of the array at the beginning of an area.
    pub(super) fn array_of_objects(
        &mut self,
        area: Area<'_>,
        depth: usize,
    ) -> Result<Vec<BmfObject>, BmfError> {
        let (elements, count) = elements(area)?;
        let mut objects = Vec::new();
        let mut at = 0;
        for _ in 0..count {
            let object = elements.measured(at, OBJECT_HEADER)?;
            at = at.saturating_add(object.len());
            objects.push(self.embedded(object, depth)?);
        }
        Ok(objects)
    }

    fn texts(&mut self, area: Area<'_>) -> Result<Vec<Option<String>>, BmfError> {
        let (elements, count) = elements(area)?;
        let mut texts = Vec::new();
        let mut at = 0;
        for _ in 0..count {
            let (text, end) = self.text(elements, at)?;
            texts.push(Some(text));
            at = end;
        }
        Ok(texts)
    }

    /// The text at an offset, and where it ends.
    fn text(&mut self, area: Area<'_>, at: usize) -> Result<(String, usize), BmfError> {
        let text = area.text(at)?;
        let end = text.end;
        Ok((self.whole(area, at, text), end))
    }
}

/// The elements of an array, and how many they are.
fn elements(area: Area<'_>) -> Result<(Area<'_>, usize), BmfError> {
    let array = area.measured(0, ARRAY_HEADER)?;
    let row = array
        .part(ARRAY_HEADER - WORD, array.len())?
        .measured(0, WORD)?;
    Ok((row.part(WORD, row.len())?, array.size(8)?))
}

/// The bits of numbers in a row. Small ones fill a word each where there is space for that.
fn numbers(
    area: Area<'_>,
    at: usize,
    scalar: ScalarType,
    count: usize,
) -> Result<Vec<u64>, BmfError> {
    let bytes = area.bytes(at);
    let natural = scalar.slot_size();
    let has_words = scalar != ScalarType::Boolean || count > 1;
    let wide = natural.max(if has_words { WORD } else { natural });
    let fits = |size: usize| {
        size.checked_mul(count)
            .is_some_and(|all| all <= bytes.len())
    };
    let size = [wide, natural].into_iter().find(|size| fits(*size));
    let size = size.ok_or(area.fail(at, BmfFault::Bounds))?;

    let bits = |bytes: &[u8]| {
        let mut number = [0; 8];
        number
            .iter_mut()
            .zip(bytes)
            .for_each(|(byte, value)| *byte = *value);
        u64::from_le_bytes(number)
    };
    Ok(bytes.chunks_exact(size).take(count).map(bits).collect())
}

/// The lowest bytes of a number.
fn low<const N: usize>(bits: u64) -> [u8; N] {
    let mut low = [0; N];
    low.iter_mut()
        .zip(bits.to_le_bytes())
        .for_each(|(byte, value)| *byte = value);
    low
}

macro_rules! conversions {
    ($($kind:ident: $convert:expr;)*) => {
        fn one(scalar: ScalarType, numbers: &[u64]) -> Option<Value> {
            let bits = *numbers.first()?;
            Some(match scalar {
                $(ScalarType::$kind => Value::$kind($convert(bits)),)*
                _ => return None,
            })
        }

        fn many(scalar: ScalarType, numbers: &[u64]) -> Option<Array> {
            Some(match scalar {
                $(ScalarType::$kind => Array::$kind(numbers.iter().map(|bits| $convert(*bits)).collect()),)*
                _ => return None,
            })
        }
    };
}

conversions! {
    Boolean: |bits| bits != 0;
    Sint8: |bits| i8::from_le_bytes(low(bits));
    Uint8: |bits| u8::from_le_bytes(low(bits));
    Sint16: |bits| i16::from_le_bytes(low(bits));
    Uint16: |bits| u16::from_le_bytes(low(bits));
    Char16: |bits| u16::from_le_bytes(low(bits));
    Sint32: |bits| i32::from_le_bytes(low(bits));
    Uint32: |bits| u32::from_le_bytes(low(bits));
    Sint64: |bits| i64::from_le_bytes(low(bits));
    Uint64: |bits: u64| bits;
    Real32: |bits| f32::from_bits(u32::from_le_bytes(low(bits)));
    Real64: f64::from_bits;
}
