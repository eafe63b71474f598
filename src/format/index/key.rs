//! Index keys: their text, and the record address at its end.
//!
//! A key consists of tokens joined by `\`. Its last token may end in `.page.id.size`, three
//! decimals without leading zeros, which name a record. Source: `docs::format`, "Key text and
//! order".

use std::fmt;

use super::node::tokens_of;
use super::page::SEPARATOR;
use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::page_no::{LogicalPage, RecordRef};
use crate::base::site::Site;

/// A key, as stored. Its order is that of its bytes, which is the order of the index.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<[u8]>);

impl Key {
    /// The key with this text.
    pub fn new(text: impl Into<Box<[u8]>>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The record that the key names; `None` for a key without a reference or with a malformed one.
    pub fn reference(&self) -> Option<RecordRef> {
        reference(&self.0).ok().flatten()
    }
}

impl fmt::Display for Key {
    /// Prints the text. A byte that is not printable ASCII, which no healthy key has, appears as
    /// `\xNN`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display_text(&self.0, f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

fn display_text(text: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if text.iter().fold(true, |all, byte| all & is_plain(*byte)) {
        return f.write_str(str::from_utf8(text).unwrap_or_default());
    }
    for run in text.chunk_by(|a, b| is_plain(*a) && is_plain(*b)) {
        match run {
            [byte] if !is_plain(*byte) => write!(f, "\\x{byte:02X}")?,
            run => f.write_str(str::from_utf8(run).unwrap_or_default())?,
        }
    }
    Ok(())
}

const fn is_plain(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

/// The meaning of a key, as far as counting needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFamily {
    /// `NS_…\CD_…`: a class definition.
    ClassDefinition,
    /// `NS_…\CI_…\IL_…`: an instance under its own class, one for each instance.
    Instance,
    /// Any other.
    Other,
}

/// The first token of a key, which identifies its namespace, and the meaning of the key.
pub fn family(key: &[u8]) -> (&[u8], KeyFamily) {
    let mut tokens = tokens_of(key);
    let namespace = tokens.next().unwrap_or_default();
    let begins =
        |token: Option<&[u8]>, prefix: &[u8]| token.is_some_and(|token| token.starts_with(prefix));
    let second = tokens.next();
    let family = if begins(second, b"CD_") {
        KeyFamily::ClassDefinition
    } else if begins(second, b"CI_") && begins(tokens.next(), b"IL_") {
        KeyFamily::Instance
    } else {
        KeyFamily::Other
    };
    (namespace, family)
}

/// A reference in a wrong form or place, which invariant 17 forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadReference;

/// The record that a key names, if any.
pub fn reference(key: &[u8]) -> Result<Option<RecordRef>, BadReference> {
    let Some(numbers) = memchr::memchr(b'.', key).and_then(|dot| key.get(dot + 1..)) else {
        return Ok(None);
    };
    if memchr::memchr(SEPARATOR, numbers).is_some() {
        return Err(BadReference); // it stands in a token that is not the last
    }
    reference_in(numbers).map(Some).ok_or(BadReference)
}

/// The record that the end of a key names: the text after the first dot.
pub(crate) fn reference_in(text: &[u8]) -> Option<RecordRef> {
    let mut parts = text.split(|&byte| byte == b'.').map(decimal);
    let (page, id, size) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    Some(RecordRef {
        page: LogicalPage::new(page)?,
        id,
        size,
    })
}

/// A decimal number without leading zeros.
fn decimal(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 1 && text.first() == Some(&b'0') {
        return None;
    }
    text.iter().try_fold(0u32, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// The finding for a key with a malformed reference.
pub(crate) fn bad_reference(key: &[u8], site: Site) -> Corruption {
    Corruption::new(
        CorruptionCode::KeyReference,
        site,
        Key::new(key).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_in_their_one_form() {
        let good = reference(b"NS_A\\CD_B.5.77.300").unwrap().unwrap();
        assert_eq!((good.page.get(), good.id, good.size), (5, 77, 300));
        assert_eq!(good.to_string(), "5.77.300");
        assert_eq!(reference(b"NS_A\\CR_B\\C_D"), Ok(None));
        for bad in [
            "NS_A.1.2.3\\CD_B",
            "A.1.2",
            "A.1.2.3.4",
            "A.01.2.3",
            "A.1..3",
            "A.4294967295.1.1",
            "A.1.2.4294967296",
            "A.+1.2.3",
        ] {
            assert_eq!(reference(bad.as_bytes()), Err(BadReference), "{bad}");
        }
    }

    #[test]
    fn strange_bytes_do_not_reach_a_terminal() {
        assert_eq!(Key::new(*b"NS_\x1b[2J\xFF").to_string(), "NS_\\x1B[2J\\xFF");
        assert_eq!(
            Key::new(*b"NS_A\\CD_B.1.2.3").to_string(),
            "NS_A\\CD_B.1.2.3"
        );
    }
}
