//! Text for people of security identifiers and descriptors in values.

use super::sddl;
use crate::cim::value::{Array, Value};
use crate::format::security::descriptor::SecurityDescriptor;
use crate::format::security::sid::Sid;

/// Authorities used by Windows: null, world, local, creator, NT, application packages, labels.
const AUTHORITIES: [u64; 7] = [0, 1, 2, 3, 5, 15, 16];

/// The text of a value whose bytes are exactly a security identifier (`S-1-…`) or a descriptor
/// (SDDL). `None` for any other value, and for a descriptor that SDDL cannot express.
pub fn text_of(value: &Value) -> Option<String> {
    let Value::Array(Array::Uint8(bytes)) = value else {
        return None;
    };
    sid(bytes).or_else(|| sddl::print(&SecurityDescriptor::parse(bytes).ok()?))
}

/// An identifier of a known authority. At least one part is required, because a few arbitrary bytes
/// can easily form an identifier of authority 0 without parts.
fn sid(bytes: &[u8]) -> Option<String> {
    let sid = Sid::from_bytes(bytes)?;
    let is_usual = AUTHORITIES.contains(&sid.authority()) && !sid.sub_authorities().is_empty();
    is_usual.then(|| sid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(bytes: Vec<u8>) -> Value {
        Value::Array(Array::Uint8(bytes))
    }

    #[test]
    fn identifiers_and_descriptors_are_read() {
        let sid = text_of(&bytes(Sid::ADMINISTRATORS.to_bytes()));
        assert_eq!(sid.as_deref(), Some("S-1-5-32-544"));
        let text = "O:BAG:BAD:(A;CI;0x6003f;;;BA)";
        let descriptor = sddl::parse(text).unwrap();
        let read = text_of(&bytes(descriptor.to_bytes())).unwrap();
        assert_eq!(sddl::parse(&read).unwrap(), descriptor);
    }

    #[test]
    fn other_bytes_are_left_alone() {
        let mut long = Sid::ADMINISTRATORS.to_bytes();
        long.push(0);
        for other in [vec![], vec![1, 0, 0, 0, 0, 0, 0, 0], vec![0; 20], long] {
            assert_eq!(text_of(&bytes(other.clone())), None, "{other:?}");
        }
        assert_eq!(text_of(&Value::String("S-1-5-18".to_owned())), None);
    }
}
