//! The repository that the DLL serves: the one that the administrator of the machine configured.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use parking_lot::Mutex;

use super::caller::token_caller;
use super::failure::Failure;
use super::host::Host;
use super::settings::Settings;
use crate::base::escape::escape_path;
use crate::service::{BackupAndRestore, Standby};

/// The environment variable with the directory of the repository. The registry goes before it: what
/// the administrator of the machine says is not for a program's surroundings to change.
const VARIABLE: &str = "CIMREPO_REPOSITORY";

/// Where the registry has the choices, under `HKEY_LOCAL_MACHINE`.
#[cfg(windows)]
const KEY: &str = "SOFTWARE\\cimrepo";

/// The host of the DLL. All objects of the process share what is served, so that they see each
/// other's pauses. The choices are those of the moment at which an object is used first.
#[derive(Debug)]
pub(super) struct Configured;

/// The repositories served in this process, by directory: as a rule one.
static SERVED: Mutex<BTreeMap<PathBuf, Standby>> = Mutex::new(BTreeMap::new());

impl Host for Configured {
    fn open(&self) -> Result<Box<dyn BackupAndRestore>, Failure> {
        let settings = settings()?;
        let caller = token_caller(settings.policy);
        let objects = settings.objects;
        let path = repository(settings.repository)?;
        keep_module()?;
        let standby = SERVED
            .lock()
            .entry(path)
            .or_insert_with_key(|path| Standby::new(path))
            .clone();
        Ok(Box::new(standby.backup_restore_with(caller, objects)))
    }
}

/// Keeps the DLL in the process before its first thread begins: no thread must be left in code that
/// is gone.
#[cfg(windows)]
fn keep_module() -> Result<(), Failure> {
    let pinned = super::module::pin();
    pinned.map_err(|error| {
        Failure::not_ready(format!("the DLL cannot be kept in the process: {error}"))
    })
}

/// Elsewhere nothing unloads it.
#[cfg(not(windows))]
#[expect(clippy::unnecessary_wraps, reason = "on Windows it can fail")]
fn keep_module() -> Result<(), Failure> {
    Ok(())
}

/// The directory of the repository: the configured one, else that of the variable.
fn repository(configured: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let variable = || {
        env::var_os(VARIABLE)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let found = configured.or_else(variable);
    let missing = "no repository is configured: set the environment variable CIMREPO_REPOSITORY, \
        or the text value Repository under HKEY_LOCAL_MACHINE\\SOFTWARE\\cimrepo, to its directory";
    let path = found.ok_or_else(|| Failure::not_ready(missing))?;
    // What a relative path means would depend on the program that loaded the DLL.
    if path.is_absolute() {
        return Ok(path);
    }
    let text = format!(
        "the configured repository {} is no absolute path",
        escape_path(path)
    );
    Err(Failure::not_ready(text))
}

#[cfg(windows)]
fn settings() -> Result<Settings, Failure> {
    Settings::read(&registry::Machine::open(KEY)?)
}

#[cfg(not(windows))]
fn settings() -> Result<Settings, Failure> {
    Settings::read(&Nothing)
}

/// Elsewhere there is no registry.
#[cfg(not(windows))]
struct Nothing;

#[cfg(not(windows))]
impl super::settings::Values for Nothing {
    fn text(&self, _: &str) -> Result<Option<std::ffi::OsString>, Failure> {
        Ok(None)
    }

    fn number(&self, _: &str) -> Result<Option<u32>, Failure> {
        Ok(None)
    }
}

#[cfg(windows)]
mod registry {
    use std::ffi::OsString;

    use windows_registry::{Key, LOCAL_MACHINE, Result as Read};

    use crate::com::failure::Failure;
    use crate::com::settings::Values;

    /// `HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND)`.
    const NOT_THERE: i32 = 0x8007_0002_u32.cast_signed();

    /// A key of the machine; one that is not there has no values.
    pub(super) struct Machine {
        path: &'static str,
        key: Option<Key>,
    }

    impl Machine {
        pub(super) fn open(path: &'static str) -> Result<Self, Failure> {
            let key = there(LOCAL_MACHINE.open(path)).map_err(|error| {
                Failure::not_ready(format!(
                    "the key HKEY_LOCAL_MACHINE\\{path} cannot be read: {error}"
                ))
            })?;
            Ok(Self { path, key })
        }

        fn read<T>(
            &self,
            name: &str,
            read: impl FnOnce(&Key) -> Read<T>,
        ) -> Result<Option<T>, Failure> {
            let Some(key) = &self.key else {
                return Ok(None);
            };
            there(read(key)).map_err(|error| {
                let path = self.path;
                Failure::not_ready(format!(
                    "the value {name} under HKEY_LOCAL_MACHINE\\{path} cannot be read: {error}"
                ))
            })
        }
    }

    /// `None` for what is not there.
    fn there<T>(read: Read<T>) -> Read<Option<T>> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.code().0 == NOT_THERE => Ok(None),
            Err(error) => Err(error),
        }
    }

    impl Values for Machine {
        fn text(&self, name: &str) -> Result<Option<OsString>, Failure> {
            let text = self.read(name, |key| key.get_hstring(name))?;
            Ok(text.map(|text| text.to_os_string()))
        }

        fn number(&self, name: &str) -> Result<Option<u32>, Failure> {
            self.read(name, |key| key.get_u32(name))
        }
    }
}
