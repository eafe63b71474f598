//! The repository that the DLL serves: the one that the administrator of the machine configured.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use parking_lot::Mutex;

use super::failure::Failure;
use super::host::{Host, token_caller};
use crate::base::error::HResult;
use crate::base::escape::escape_path;
use crate::service::{BackupAndRestore, Standby};

/// The environment variable with the directory of the repository. The registry goes before it: what the administrator of the
/// machine says is not for a program's surroundings to change.
const VARIABLE: &str = "CIMREPO_REPOSITORY";

/// Where the registry has it, under `HKEY_LOCAL_MACHINE`.
#[cfg(windows)]
const KEY: &str = "SOFTWARE\\cimrepo";
#[cfg(windows)]
const VALUE: &str = "Repository";

/// The host of the DLL. All objects of the process share what is served, so that they see each other's pauses.
#[derive(Debug)]
pub(super) struct Configured;

/// What is served in this process, by directory: as a rule one.
static SERVED: Mutex<BTreeMap<PathBuf, Standby>> = Mutex::new(BTreeMap::new());

impl Host for Configured {
    fn open(&self) -> Result<Box<dyn BackupAndRestore>, Failure> {
        let path = repository()?;
        keep_module()?;
        let standby = SERVED.lock().entry(path).or_insert_with_key(|path| Standby::new(path)).clone();
        Ok(Box::new(standby.backup_restore_as(token_caller())))
    }
}

/// Keeps the DLL in the process before its first thread begins: no thread must be left in code that is gone.
#[cfg(windows)]
fn keep_module() -> Result<(), Failure> {
    super::module::pin().map_err(|error| {
        let text = format!("the DLL cannot be kept in the process: {error}");
        Failure::new(HResult::INITIALIZATION_FAILURE, text)
    })
}

/// Elsewhere nothing unloads it.
#[cfg(not(windows))]
#[expect(clippy::unnecessary_wraps, reason = "on Windows it can fail")]
fn keep_module() -> Result<(), Failure> {
    Ok(())
}

/// The directory of the repository.
fn repository() -> Result<PathBuf, Failure> {
    let variable = || env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let found = registry()?.or_else(variable);
    let missing = "no repository is configured: set the environment variable CIMREPO_REPOSITORY, or the text value Repository \
                   under HKEY_LOCAL_MACHINE\\SOFTWARE\\cimrepo, to its directory";
    let path = found.ok_or_else(|| Failure::new(HResult::INITIALIZATION_FAILURE, missing))?;
    // What a relative path means would depend on the program that loaded the DLL.
    if path.is_absolute() {
        return Ok(path);
    }
    let text = format!("the configured repository {} is no absolute path", escape_path(path));
    Err(Failure::new(HResult::INITIALIZATION_FAILURE, text))
}

#[cfg(windows)]
fn registry() -> Result<Option<PathBuf>, Failure> {
    use windows_registry::LOCAL_MACHINE;
    /// `HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND)`.
    const NOT_THERE: i32 = 0x8007_0002_u32.cast_signed();
    let value = LOCAL_MACHINE.open(KEY).and_then(|key| key.get_hstring(VALUE));
    match value {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text.to_os_string().into())),
        Err(error) if error.code().0 == NOT_THERE => Ok(None),
        Err(error) => {
            let text = format!("the value {VALUE} under HKEY_LOCAL_MACHINE\\{KEY} cannot be read: {error}");
            Err(Failure::new(HResult::INITIALIZATION_FAILURE, text))
        }
    }
}

#[cfg(not(windows))]
#[expect(clippy::unnecessary_wraps, reason = "on Windows it can fail")]
fn registry() -> Result<Option<PathBuf>, Failure> {
    Ok(None)
}
