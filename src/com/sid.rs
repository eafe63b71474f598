//! Security identifiers as text ([MS-DTYP] 2.4.2).

use std::fmt::Write;

/// `S-1-…`, of the bytes of an identifier; `None` when they are none.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let (&[revision, count, authority @ ..], rest) = bytes.split_first_chunk::<8>()?;
    let (parts, tail) = rest.as_chunks::<4>();
    if parts.len() != usize::from(count) || !tail.is_empty() {
        return None;
    }
    let authority = authority.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    let mut text = format!("S-{revision}-{authority}");
    for part in parts {
        write!(text, "-{}", u32::from_le_bytes(*part)).ok()?;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn well_known_identifiers() {
        assert_eq!(text(&[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]).unwrap(), "S-1-5-18");
        let administrators = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
        assert_eq!(text(&administrators).unwrap(), "S-1-5-32-544");
        assert_eq!(text(&[1, 0, 0, 0, 0, 0, 1, 0]).unwrap(), "S-1-256");
        for broken in [&administrators[..15], &administrators[..12], &[1, 1], &[]] {
            assert_eq!(text(broken), None);
        }
    }
}
