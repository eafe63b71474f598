//! The object and its class factory. What the four methods do, the library does.

use std::ffi::{OsString, c_void};
use std::os::windows::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cimrepo::service::{BackupAndRestore, BackupRestoreFlags, StandbyObject};
use cimrepo::{Reason, Unobserved};
use windows::Win32::Foundation::{CLASS_E_NOAGGREGATION, E_POINTER, E_UNEXPECTED, S_FALSE};
use windows::Win32::System::Com::{
    IClassFactory, IClassFactory_Impl, ISupportErrorInfo, ISupportErrorInfo_Impl,
};
use windows::Win32::System::Wmi::{
    IWbemBackupRestore, IWbemBackupRestore_Impl, IWbemBackupRestoreEx, IWbemBackupRestoreEx_Impl,
};
use windows::core::{BOOL, GUID, IUnknown, Interface, PCWSTR, Ref, Result, implement};

use crate::failure::{Failure, call};
use crate::served;

/// Objects alive, and `LockServer` calls not taken back.
static ALIVE: AtomicUsize = AtomicUsize::new(0);
static LOCKS: AtomicUsize = AtomicUsize::new(0);

pub fn nothing_is_alive() -> bool {
    ALIVE.load(Ordering::SeqCst) == 0 && LOCKS.load(Ordering::SeqCst) == 0
}

/// Counts an object. It stands last in it: while the other fields are dropped the DLL must stay.
struct Alive;

impl Alive {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One owner of a pause. Its methods may be called from any thread, several at a time.
#[implement(IWbemBackupRestoreEx, ISupportErrorInfo)]
struct Object {
    /// Made by the first call that finds a repository. Dropping it resumes.
    twin: Mutex<Option<Arc<StandbyObject>>>,
    _alive: Alive,
}

impl Object {
    fn twin(&self) -> std::result::Result<Arc<StandbyObject>, Failure> {
        let mut twin = self.twin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(twin) = &*twin {
            return Ok(twin.clone());
        }
        Ok(twin.insert(Arc::new(served::object()?)).clone())
    }

    fn serve(
        &self,
        method: impl FnOnce(&StandbyObject) -> std::result::Result<(), Failure>,
    ) -> Result<()> {
        call(|| method(&*self.twin()?))
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        let twin = self.twin.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A panic must not leave the last release either.
        call(|| {
            drop(twin);
            Ok(())
        })
        .ok();
    }
}

/// Longest path of Windows, in units.
const MAX_PATH: usize = 32_767;

/// Every sequence of units is a path, halves of surrogate pairs included.
fn path(text: &PCWSTR) -> std::result::Result<PathBuf, Failure> {
    if text.is_null() {
        return Err(Failure::invalid(Reason::EmptyPath, "no path was given"));
    }
    // SAFETY: the interface says that the caller's text ends with a zero.
    let units = unsafe { text.as_wide() };
    match units.len() {
        0 => Err(Failure::invalid(Reason::EmptyPath, "the path is empty")),
        1..=MAX_PATH => Ok(OsString::from_wide(units).into()),
        _ => Err(Failure::invalid(Reason::Argument, "the path is longer than Windows has them")),
    }
}

/// Flags as they came: the library refuses bits that mean nothing.
fn flags(bits: i32) -> BackupRestoreFlags {
    BackupRestoreFlags::from_bits_retain(bits.cast_unsigned())
}

impl IWbemBackupRestore_Impl for Object_Impl {
    fn Backup(&self, text: &PCWSTR, bits: i32) -> Result<()> {
        self.serve(|twin| Ok(twin.back_up_to(&path(text)?, flags(bits), &Unobserved)?))
    }

    fn Restore(&self, text: &PCWSTR, bits: i32) -> Result<()> {
        self.serve(|twin| Ok(twin.restore_from(&path(text)?, flags(bits), &Unobserved)?))
    }
}

impl IWbemBackupRestoreEx_Impl for Object_Impl {
    fn Pause(&self) -> Result<()> {
        self.serve(|twin| Ok(twin.pause_now()?))
    }

    fn Resume(&self) -> Result<()> {
        self.serve(|twin| Ok(twin.end_pause()?))
    }
}

impl ISupportErrorInfo_Impl for Object_Impl {
    fn InterfaceSupportsErrorInfo(&self, iid: *const GUID) -> Result<()> {
        // SAFETY: the interface says that the pointer is null or leads to an identifier.
        match unsafe { iid.as_ref() } {
            None => Err(E_POINTER.into()),
            Some(iid) if [IWbemBackupRestore::IID, IWbemBackupRestoreEx::IID].contains(iid) => {
                Ok(())
            }
            Some(_) => Err(S_FALSE.into()),
        }
    }
}

#[implement(IClassFactory)]
pub struct Factory {
    _alive: Alive,
}

impl Factory {
    pub fn new() -> Self {
        Self { _alive: Alive::new() }
    }
}

impl IClassFactory_Impl for Factory_Impl {
    fn CreateInstance(
        &self,
        outer: Ref<IUnknown>,
        iid: *const GUID,
        out: *mut *mut c_void,
    ) -> Result<()> {
        if iid.is_null() || out.is_null() {
            return Err(E_POINTER.into());
        }
        // SAFETY: it is not null, so it leads to where the result belongs.
        unsafe { out.write(ptr::null_mut()) };
        if !outer.is_null() {
            return Err(CLASS_E_NOAGGREGATION.into());
        }
        let object: IUnknown = Object { twin: Mutex::new(None), _alive: Alive::new() }.into();
        // SAFETY: both pointers are the caller's and neither is null.
        unsafe { object.query(iid, out) }.ok()
    }

    fn LockServer(&self, lock: BOOL) -> Result<()> {
        if lock.as_bool() {
            LOCKS.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
        let taken = LOCKS.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        taken.map(drop).map_err(|_| E_UNEXPECTED.into())
    }
}
