//! Paths of COM callers: UTF-16 that ends with a zero.

#![expect(unsafe_code, reason = "where the text ends, only its bytes say")]

use std::path::PathBuf;
use std::slice;

use super::failure::Failure;
use crate::base::reason::Reason;

/// Longest path of Windows, in units, without the zero.
const MAX_PATH_UNITS: usize = 32_767;

/// The path at `text`.
///
/// # Safety
/// `text` is null, or readable up to and including its first zero, or for as long as a path can be.
pub(super) unsafe fn path(text: *const u16) -> Result<PathBuf, Failure> {
    if text.is_null() || !text.is_aligned() {
        return Err(Failure::invalid(Reason::EmptyPath, "no path was given"));
    }
    let mut len = 0;
    // SAFETY: the caller promises that the text is readable up to its zero; nothing behind it is
    // looked at.
    while unsafe { *text.add(len) } != 0 {
        len += 1;
        if len > MAX_PATH_UNITS {
            let text = format!("the path is longer than {MAX_PATH_UNITS} characters");
            return Err(Failure::invalid(Reason::Argument, text));
        }
    }
    if len == 0 {
        return Err(Failure::invalid(Reason::EmptyPath, "the path is empty"));
    }
    // SAFETY: the first `len` units were read above, and the caller does not change them during its
    // own call.
    decode(unsafe { slice::from_raw_parts(text, len) })
}

/// On Windows every sequence of units is a path, halves of surrogate pairs included.
#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn decode(units: &[u16]) -> Result<PathBuf, Failure> {
    use std::os::windows::ffi::OsStringExt;
    Ok(std::ffi::OsString::from_wide(units).into())
}

#[cfg(not(windows))]
fn decode(units: &[u16]) -> Result<PathBuf, Failure> {
    let text = String::from_utf16(units);
    let refusal = "the path is no Unicode text; this system has no name for it";
    text.map(PathBuf::from)
        .map_err(|_| Failure::invalid(Reason::Argument, refusal))
}

/// Text as COM takes it.
#[cfg(windows)]
pub(super) fn zero_ended(text: &str) -> Vec<u16> {
    text.encode_utf16()
        .filter(|&unit| unit != 0)
        .chain([0])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(units: &[u16]) -> Result<PathBuf, Failure> {
        // SAFETY: every text of the tests ends with a zero or is longer than a path can be.
        unsafe { path(units.as_ptr()) }
    }

    #[test]
    fn a_path_ends_at_its_zero() {
        let units: Vec<u16> = "Снимок-日.bak\0more\0".encode_utf16().collect();
        assert_eq!(read(&units).unwrap(), PathBuf::from("Снимок-日.bak"));
    }

    #[test]
    fn what_is_no_path_is_an_invalid_parameter() {
        let endless = vec![u16::from(b'a'); MAX_PATH_UNITS + 2];
        // SAFETY: null is allowed.
        let null = unsafe { path(std::ptr::null()) };
        for failure in [null, read(&[0]), read(&endless)] {
            assert_eq!(failure.unwrap_err().code.0, 0x8004_1008);
        }
        let mut longest = vec![u16::from(b'a'); MAX_PATH_UNITS];
        longest.push(0);
        assert_eq!(read(&longest).unwrap().as_os_str().len(), MAX_PATH_UNITS);
    }

    #[test]
    fn half_of_a_surrogate_pair_is_kept_or_refused() {
        let result = read(&[u16::from(b'a'), 0xD800, u16::from(b'b'), 0]);
        #[cfg(windows)]
        {
            use std::os::windows::ffi::OsStrExt;
            let units: Vec<u16> = result.unwrap().as_os_str().encode_wide().collect();
            assert_eq!(units, [0x61, 0xD800, 0x62]);
        }
        #[cfg(not(windows))]
        assert_eq!(result.unwrap_err().code.0, 0x8004_1008);
    }
}
