//! Little-endian numbers at checked positions of a byte string.

/// The u16 at a byte offset.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let field = bytes.get(offset..offset.checked_add(2)?)?;
    Some(u16::from_le_bytes(field.try_into().ok()?))
}

/// The u32 at a byte offset.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

/// Takes numbers and byte strings from the front of a byte string.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'b> {
    rest: &'b [u8],
    taken: usize,
}

impl<'b> Reader<'b> {
    pub(crate) const fn new(bytes: &'b [u8]) -> Self {
        Self {
            rest: bytes,
            taken: 0,
        }
    }

    /// Number of bytes taken so far.
    pub(crate) const fn position(&self) -> usize {
        self.taken
    }

    /// Number of bytes left.
    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes the next `len` bytes; `None` if fewer are left.
    pub(crate) fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (front, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        self.taken = self.taken.saturating_add(len);
        Some(front)
    }

    /// Takes the next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// Copies bytes to an offset of a buffer whose size the caller has ensured. Nothing is written
/// outside of it.
pub(crate) fn put(buffer: &mut [u8], offset: usize, bytes: &[u8]) {
    let target = buffer
        .get_mut(offset..)
        .and_then(|rest| rest.get_mut(..bytes.len()));
    debug_assert!(target.is_some(), "a field lies outside its buffer");
    if let Some(target) = target {
        target.copy_from_slice(bytes);
    }
}
