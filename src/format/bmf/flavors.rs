//! The table of flavors behind the objects of a body, and what holds where it says nothing.
//!
//! ```text
//!   0  "BMOFQUALFLAVOR11"
//!  16  u32  count
//!  20  pairs: u32 offset of a qualifier entry in the body, u32 flavor
//! ```

use super::error::{BmfError, BmfFault};
use crate::base::{narrow, widen};
use crate::cim::Flavor;

const SIGNATURE: &[u8; 16] = b"BMOFQUALFLAVOR11";

/// The flavors that a body lists, by the offset of the qualifier.
#[derive(Debug, Default)]
pub(super) struct Flavors {
    /// Sorted by offset.
    pairs: Vec<(u32, u8)>,
    /// Offset of the table.
    at: usize,
    is_there: bool,
}

impl Flavors {
    /// Reads the table that follows the objects at `at`. Without any byte there is none.
    pub(super) fn parse(body: &[u8], at: usize) -> Result<Self, BmfError> {
        let table = body.get(at..).unwrap_or_default();
        if table.is_empty() {
            return Ok(Self::default());
        }

        let fail = |offset: usize| BmfError::body(at.saturating_add(offset), BmfFault::Flavors);
        let rest = table.strip_prefix(SIGNATURE).ok_or(fail(0))?;
        let (count, rest) = rest.split_first_chunk().ok_or(fail(SIGNATURE.len()))?;
        let (pairs, spare) = rest.as_chunks::<8>();
        if widen(u32::from_le_bytes(*count)) != pairs.len() || !spare.is_empty() {
            return Err(fail(SIGNATURE.len()));
        }

        let pair = |(number, &[a, b, c, d, flavor, zeros @ ..]): (usize, &[u8; 8])| match zeros {
            [0, 0, 0] => Ok((u32::from_le_bytes([a, b, c, d]), flavor)),
            _ => Err(fail(number.saturating_mul(8).saturating_add(20))),
        };
        let mut pairs: Vec<(u32, u8)> = pairs
            .iter()
            .enumerate()
            .map(pair)
            .collect::<Result<_, _>>()?;
        pairs.sort_unstable();
        let is_twice = pairs
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a.0 == b.0));
        if is_twice {
            return Err(fail(SIGNATURE.len()));
        }
        Ok(Self {
            pairs,
            at,
            is_there: true,
        })
    }

    /// How many flavors it lists.
    pub(super) const fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Where it stands, in bytes of the body.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The flavor listed for the qualifier at an offset.
    pub(super) fn listed(&self, offset: usize) -> Option<Flavor> {
        let found = self
            .pairs
            .binary_search_by_key(&narrow(offset), |pair| pair.0);
        let (_, flavor) = self.pairs.get(found.ok()?)?;
        Some(Flavor::from_bits_retain(*flavor))
    }

    /// The flavor of a qualifier that is not listed. A file without table is of a compiler that
    /// could not list the flavor of generated numbers.
    pub(super) fn implied(&self, name: &str) -> Flavor {
        let is_number = !self.is_there && name == "ID";
        if is_number {
            Flavor::TO_INSTANCE | Flavor::NOT_OVERRIDABLE
        } else {
            Flavor::implied(name)
        }
    }
}
