//! The repository that is served: the one that is configured, as for the library's own DLL.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use cimrepo::service::{EachCall, Standby, StandbyObject};
use windows::Win32::Foundation::ERROR_FILE_NOT_FOUND;
use windows_registry::LOCAL_MACHINE;

use crate::failure::Failure;
use crate::{caller, module};

const VARIABLE: &str = "CIMREPO_REPOSITORY";
const KEY: &str = "SOFTWARE\\cimrepo";
const VALUE: &str = "Repository";

/// All objects of the process share what is served, so that they see each other's pauses.
static SERVED: Mutex<BTreeMap<PathBuf, Standby>> = Mutex::new(BTreeMap::new());

/// The twin of a new object.
pub fn object() -> Result<StandbyObject, Failure> {
    let path = repository()?;
    // Before the first thread begins: COM may unload the DLL without asking whether it may.
    module::pin().map_err(|error| {
        Failure::not_configured(format!("the DLL cannot be kept in the process: {error}"))
    })?;
    let mut served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
    let standby = served.entry(path).or_insert_with_key(|path| Standby::new(path));
    Ok(standby.backup_restore_as(Arc::new(EachCall::new(caller::caller))))
}

fn repository() -> Result<PathBuf, Failure> {
    let variable = || env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The administrator goes before whoever started the process.
    let path = registry()?.or_else(variable);
    let path = path.ok_or_else(|| {
        Failure::not_configured(format!(
            "no repository is configured: set the environment variable {VARIABLE}, or the text \
             value {VALUE} under HKEY_LOCAL_MACHINE\\{KEY}"
        ))
    })?;
    // The meaning of a relative path would depend on the program that loaded the DLL.
    if path.is_absolute() {
        return Ok(path);
    }
    let text = format!("the configured repository {path:?} is no absolute path");
    Err(Failure::not_configured(text))
}

fn registry() -> Result<Option<PathBuf>, Failure> {
    match LOCAL_MACHINE.open(KEY).and_then(|key| key.get_hstring(VALUE)) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text.to_os_string().into())),
        Err(error) if error.code() == ERROR_FILE_NOT_FOUND.to_hresult() => Ok(None),
        Err(error) => Err(Failure::not_configured(format!("{VALUE} cannot be read: {error}"))),
    }
}
