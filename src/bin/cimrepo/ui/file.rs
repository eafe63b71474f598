//! Files that a verb reads or writes whole.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use cimrepo::base::escape::escape_path;
use cimrepo::storage::{Protection, RealStorage, Storage, write_all_at};
use cimrepo::{Error, IoOp};

use super::output::Failure;

/// Bytes of a file that are read: several times the largest binary of Windows.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a file that is no larger than one can be.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |op| {
        move |source| Error::Io {
            op,
            path: path.into(),
            source,
        }
    };
    let file = File::open(path).map_err(failed(IoOp::Open))?;
    let mut bytes = Vec::new();
    let mut start = file.take(MAX_BYTES + 1);
    start.read_to_end(&mut bytes).map_err(failed(IoOp::Read))?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(Failure::usage(format!(
            "{} is larger than 1 GiB",
            escape_path(path)
        ))),
        false => Ok(bytes),
    }
}

/// Writes a file that is not there yet, with these access rights.
pub fn write_file(path: &Path, bytes: &[u8], protection: &Protection) -> Result<(), Failure> {
    let failed = |op| {
        move |source| Error::Io {
            op,
            path: path.into(),
            source,
        }
    };
    let file = RealStorage.create(path, protection);
    let file = file.map_err(failed(IoOp::Create))?;
    Ok(write_all_at(&*file, 0, bytes).map_err(failed(IoOp::Write))?)
}
