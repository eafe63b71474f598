//! Registration of the class, for the machine or for one user: wholly or not at all, and of what is
//! registered nothing but this DLL's own is taken back.

use std::fs;
use std::path::PathBuf;

use windows::Win32::Foundation::{ERROR_FILE_NOT_FOUND, S_OK};
use windows::core::{HRESULT, HSTRING};
use windows_registry::{CURRENT_USER, Key, LOCAL_MACHINE, Result, Value};

use crate::{CLASS_ID, module};

/// Everything that is registered.
const VALUES: [(Place, &str); 3] =
    [(Place::Class, ""), (Place::Server, ""), (Place::Server, "ThreadingModel")];

/// Display name of the class.
const NAME: &str = "com-shim, an example of cimrepo";

/// For whom the class is registered. Where both are, a user's own goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Machine,
    User,
}

/// A key of the registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Classes,
    Class,
    Server,
}

impl Place {
    /// From the inside out, as they are removed.
    const ALL: [Self; 3] = [Self::Server, Self::Class, Self::Classes];

    fn path(self) -> String {
        match self {
            Self::Classes => "SOFTWARE\\Classes\\CLSID".to_owned(),
            Self::Class => format!("SOFTWARE\\Classes\\CLSID\\{{{CLASS_ID:?}}}"),
            Self::Server => format!("SOFTWARE\\Classes\\CLSID\\{{{CLASS_ID:?}}}\\InprocServer32"),
        }
    }
}

impl Scope {
    fn root(self) -> &'static Key {
        match self {
            Self::Machine => LOCAL_MACHINE,
            Self::User => CURRENT_USER,
        }
    }

    /// `None` when the key is not there.
    fn open(self, place: Place) -> Result<Option<Key>> {
        if_there(self.root().open(place.path()))
    }

    fn open_to_write(self, place: Place) -> Result<Option<Key>> {
        if_there(self.root().options().read().write().open(place.path()))
    }

    fn value(self, place: Place, name: &str) -> Result<Option<Value>> {
        self.open(place)?.map_or(Ok(None), |key| if_there(key.get_value(name)))
    }

    fn remove_value(self, place: Place, name: &str) -> Result<()> {
        let key = self.open_to_write(place)?;
        key.map_or(Ok(()), |key| if_there(key.remove_value(name)).map(drop))
    }

    /// Removes a key that holds nothing: what others put there they have to remove themselves.
    fn remove_if_empty(self, place: Place) -> Result<()> {
        let Some(key) = self.open(place)? else { return Ok(()) };
        let is_empty = key.keys()?.next().is_none() && key.values()?.next().is_none();
        drop(key);
        if is_empty { if_there(self.root().remove_tree(place.path())).map(drop) } else { Ok(()) }
    }
}

fn if_there<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Err(error) if error.code() == ERROR_FILE_NOT_FOUND.to_hresult() => Ok(None),
        result => result.map(Some),
    }
}

/// The content of the registry before it was changed.
struct Before {
    scope: Scope,
    values: Vec<Option<Value>>,
    /// Keys that were not there, from the inside out.
    missing: Vec<Place>,
}

impl Before {
    fn read(scope: Scope) -> Result<Self> {
        let values =
            VALUES.iter().map(|&(place, name)| scope.value(place, name)).collect::<Result<_>>()?;
        let mut missing = Vec::new();
        for place in Place::ALL {
            if scope.open(place)?.is_none() {
                missing.push(place);
            }
        }
        Ok(Self { scope, values, missing })
    }

    /// Undoes as much as can be undone. What caused it is what the caller is told.
    fn put_back(&self) {
        for (&(place, name), value) in VALUES.iter().zip(&self.values) {
            let undone = match value {
                Some(value) => self
                    .scope
                    .root()
                    .create(place.path())
                    .and_then(|key| key.set_value(name, value)),
                None => self.scope.remove_value(place, name),
            };
            undone.ok();
        }
        for &place in &self.missing {
            self.scope.remove_if_empty(place).ok();
        }
    }
}

/// Changes the registry wholly or not at all.
fn wholly(scope: Scope, change: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = Before::read(scope)?;
    change().inspect_err(|_| before.put_back())
}

/// Registers this DLL, or takes that back, and answers as COM wants it.
pub fn change(install: bool, scope: Scope) -> HRESULT {
    let change = if install { register } else { unregister };
    match module::path().and_then(|module| change(scope, &module)) {
        Ok(()) => S_OK,
        Err(error) => error.code(),
    }
}

/// Registers the class with a module as its server, in place of what is registered.
fn register(scope: Scope, module: &HSTRING) -> Result<()> {
    wholly(scope, || {
        let class = scope.root().create(Place::Class.path())?;
        class.set_string("", NAME)?;
        let server = class.create("InprocServer32")?;
        server.set_hstring("", module)?;
        // Objects may be called from every thread, and need no proxy between those of one process.
        server.set_string("ThreadingModel", "Both")
    })
}

/// Takes back what `register` did with the same module. Another module's registration stays, and so
/// does what others added.
fn unregister(scope: Scope, module: &HSTRING) -> Result<()> {
    let server = scope.open(Place::Server)?;
    let registered = server.map_or(Ok(None), |key| if_there(key.get_hstring("")))?;
    if !registered.is_some_and(|path| is_one_file(&path, module)) {
        return Ok(());
    }
    wholly(scope, || {
        for (place, name) in VALUES {
            scope.remove_value(place, name)?;
        }
        scope.remove_if_empty(Place::Server)?;
        scope.remove_if_empty(Place::Class)
    })
}

/// True if two paths lead to one file or, where there is no file, differ in case alone.
fn is_one_file(path: &HSTRING, other: &HSTRING) -> bool {
    let place = |path: &HSTRING| fs::canonicalize(PathBuf::from(path.to_os_string())).ok();
    match (place(path), place(other)) {
        (Some(place), Some(other)) => place == other,
        _ => path.to_string_lossy().eq_ignore_ascii_case(&other.to_string_lossy()),
    }
}
