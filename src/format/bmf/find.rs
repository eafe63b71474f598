//! Binary MOF in any file: resources of driver binaries, tables of firmware, or files of its own.

use memchr::memmem;

use super::body::Body;
use super::container::Container;
use super::error::{BmfError, BmfPlace};

/// The signature and the version of a container.
const HEAD: &[u8; 8] = b"FOMB\x01\0\0\0";

/// Bytes that may be unpacked in vain, and as many times the file on top. Honest files have no
/// container that fails inside another; a hostile one would have each byte looked at over and over.
const VAIN_BYTES: usize = 64 << 20;
const VAIN_FACTOR: usize = 64;

/// A binary MOF in a file.
#[derive(Debug)]
pub struct Resource {
    /// Where its container begins, in bytes.
    pub offset: usize,
    /// Its length with the header, in bytes; of one that cannot be read, that of its signature.
    pub bytes: usize,
    /// The body, or why there is none.
    pub body: Result<Body, BmfError>,
}

/// Finds the binary MOFs of `bytes`, in their order.
pub const fn resources(bytes: &[u8]) -> Resources<'_> {
    let vain = bytes
        .len()
        .saturating_mul(VAIN_FACTOR)
        .saturating_add(VAIN_BYTES);
    Resources { bytes, at: 0, vain }
}

/// The binary MOFs of a file. Made by [`resources`].
#[derive(Debug)]
pub struct Resources<'b> {
    bytes: &'b [u8],
    /// Where the search goes on.
    at: usize,
    /// Bytes that may still be unpacked in vain.
    vain: usize,
}

impl Iterator for Resources<'_> {
    type Item = Resource;

    fn next(&mut self) -> Option<Resource> {
        let rest = self.bytes.get(self.at..)?;
        let offset = self.at.saturating_add(memmem::find(rest, HEAD)?);
        let container = Container::parse(self.bytes.get(offset..)?);
        let found =
            container.and_then(|container| Ok((container.bytes(), container.unpack_counted()?)));
        let (body, bytes, passed) = match found {
            // A length that is too great must not hide what follows.
            Ok((bytes, (body, used))) => (Ok(body), bytes, used),
            Err(error) => (
                Err(error),
                HEAD.len(),
                self.pass_over(container.ok(), error),
            ),
        };
        self.at = offset.saturating_add(passed);
        Some(Resource {
            offset,
            bytes,
            body,
        })
    }
}

impl Resources<'_> {
    /// How many bytes the search passes over after a container that failed: its signature alone,
    /// since its length may be wrong, as long as there is patience for that.
    fn pass_over(&mut self, container: Option<Container<'_>>, error: BmfError) -> usize {
        let Some(container) = container else {
            return HEAD.len();
        };
        match self.vain.checked_sub(container.body_bytes()) {
            Some(rest) => {
                self.vain = rest;
                HEAD.len()
            }
            // What was read of it is not looked at again.
            None if error.place == BmfPlace::Container => error.offset.max(HEAD.len()),
            None => container.bytes(),
        }
    }
}
