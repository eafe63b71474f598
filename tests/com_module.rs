//! What the module as a whole says: its class object, what is alive, whom it serves. In a process
//! of its own, because what is alive is counted over all objects of the process.

#![cfg(feature = "dll")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]
#![allow(unsafe_code, reason = "a COM object is called through raw pointers")]

#[path = "com/calls.rs"]
mod calls;

use std::ffi::c_void;
use std::ptr;

use cimrepo::com::{
    CLASS_ID, DllCanUnloadNow, DllGetClassObject, IClassFactory, ISupportErrorInfo,
    IWbemBackupRestore, IWbemBackupRestoreEx,
};
use windows_core::{BOOL, GUID, IUnknown, Interface};

use calls::*;

fn class_object(class: &GUID, iid: &GUID) -> (u32, *mut c_void) {
    let mut out = ptr::dangling_mut::<c_void>();
    // SAFETY: the pointers are to values on this stack or of the caller.
    let result = unsafe { DllGetClassObject(class, iid, &raw mut out) };
    (code(result), out)
}

#[test]
fn the_module_knows_what_is_alive_and_whom_it_serves() {
    assert_eq!(code(DllCanUnloadNow()), S_OK);
    let (result, out) = class_object(&GUID::zeroed(), &IClassFactory::IID);
    assert_eq!((result, out), (0x8004_0111, ptr::null_mut()));
    assert_eq!(
        class_object(&CLASS_ID, &IWbemBackupRestore::IID),
        (E_NOINTERFACE, ptr::null_mut())
    );
    // SAFETY: null is refused before it is used.
    let refused = unsafe { DllGetClassObject(&CLASS_ID, &IClassFactory::IID, ptr::null_mut()) };
    assert_eq!(code(refused), E_POINTER);
    assert_eq!(code(DllCanUnloadNow()), S_OK);

    let (result, out) = class_object(&CLASS_ID, &IClassFactory::IID);
    assert_eq!(result, S_OK);
    // SAFETY: the reference is ours.
    let factory = unsafe { IClassFactory::from_raw(out) };
    assert_eq!(code(DllCanUnloadNow()), S_FALSE);
    let made = object(&factory);
    drop(factory);
    assert_eq!(code(DllCanUnloadNow()), S_FALSE);
    nothing_is_served(&made);
    identity(&made);
    drop(made);
    assert_eq!(code(DllCanUnloadNow()), S_OK);
    locks();
}

/// Nothing is configured, so nothing is served.
fn nothing_is_served(object: &IWbemBackupRestoreEx) {
    let path = wide("nowhere.cimbak");
    if std::env::var_os("CIMREPO_REPOSITORY").is_none() {
        // SAFETY: the path ends with a zero.
        let results = unsafe {
            [
                object.Backup(path.as_ptr(), 0),
                object.Restore(path.as_ptr(), 0),
                object.Pause(),
            ]
        };
        assert_eq!(results.map(code), [0x8004_1014; 3]);
    }
}

fn identity(object: &IWbemBackupRestoreEx) {
    let base: IWbemBackupRestore = object.cast().unwrap();
    let again: IWbemBackupRestoreEx = base.cast().unwrap();
    let unknown: [IUnknown; 2] = [object.cast().unwrap(), base.cast().unwrap()];
    assert_eq!(
        (again.as_raw(), unknown[0].as_raw()),
        (object.as_raw(), unknown[1].as_raw())
    );
    assert!(object.cast::<IClassFactory>().is_err());
    let support: ISupportErrorInfo = object.cast().unwrap();
    // SAFETY: the pointers are to constants, or null.
    let answers = unsafe {
        [
            support.InterfaceSupportsErrorInfo(&IWbemBackupRestore::IID),
            support.InterfaceSupportsErrorInfo(&IWbemBackupRestoreEx::IID),
            support.InterfaceSupportsErrorInfo(&IClassFactory::IID),
            support.InterfaceSupportsErrorInfo(ptr::null()),
        ]
    };
    assert_eq!(answers.map(code), [S_OK, S_OK, S_FALSE, E_POINTER]);
}

fn locks() {
    let (_, out) = class_object(&CLASS_ID, &IClassFactory::IID);
    // SAFETY: the reference is ours.
    let factory = unsafe { IClassFactory::from_raw(out) };
    let lock = |lock: bool| {
        // SAFETY: the call takes no pointer.
        code(unsafe { factory.LockServer(BOOL::from(lock)) })
    };
    assert_eq!((lock(true), lock(true), lock(false)), (S_OK, S_OK, S_OK));
    let other = factory.clone();
    drop(factory);
    drop(other);
    assert_eq!(
        code(DllCanUnloadNow()),
        S_FALSE,
        "a lock outlasts its factory"
    );
    let (_, out) = class_object(&CLASS_ID, &IClassFactory::IID);
    // SAFETY: the reference is ours.
    let factory = unsafe { IClassFactory::from_raw(out) };
    // SAFETY: the call takes no pointer.
    let lock = || code(unsafe { factory.LockServer(BOOL::from(false)) });
    assert_eq!((lock(), lock()), (S_OK, E_UNEXPECTED));
    drop(factory);
    assert_eq!(code(DllCanUnloadNow()), S_OK);
}
