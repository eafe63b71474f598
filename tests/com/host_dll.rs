//! A program that has a repository open, as a DLL for the native client: its objects stand beside
//! connections, a lease runs out in time, and a call panics when it is told to. Built as an
//! example: `cargo build --example com_host --features windows`.

#![allow(
    unsafe_code,
    missing_docs,
    reason = "the native client finds these functions by their names and calls them with raw \
        pointers"
)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the client is there to show what becomes of it"
)]
// What it does is told here; the names are the client's.
#![allow(non_snake_case)]

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cimrepo::base::progress::Observer;
use cimrepo::com::{Failure, Host, Hosted, class_factory, token_caller};
use cimrepo::security::backup_rights::BackupPolicy;
use cimrepo::service::{
    BackupAndRestore, BackupRestoreFlags, Connection, FlagZero, ObjectOptions, Service,
    ServiceOptions,
};
use cimrepo::{Direction, KeyRange, Result};
use windows_core::{GUID, HRESULT, Interface};

/// What the program has open.
static OPEN: Mutex<Option<Service>> = Mutex::new(None);

/// The objects of a service, of which each panics where a backup is to be called `panic`.
#[derive(Debug)]
struct Panicking(Hosted);

#[derive(Debug)]
struct Object(Box<dyn BackupAndRestore>);

impl Host for Panicking {
    fn open(&self) -> std::result::Result<Box<dyn BackupAndRestore>, Failure> {
        Ok(Box::new(Object(self.0.open()?)))
    }
}

impl BackupAndRestore for Object {
    fn back_up_to(
        &self,
        file: &Path,
        flags: BackupRestoreFlags,
        observer: &dyn Observer,
    ) -> Result<()> {
        assert!(!file.ends_with("panic"), "told to");
        self.0.back_up_to(file, flags, observer)
    }

    fn restore_from(
        &self,
        file: &Path,
        flags: BackupRestoreFlags,
        observer: &dyn Observer,
    ) -> Result<()> {
        self.0.restore_from(file, flags, observer)
    }

    fn pause_now(&self) -> Result<()> {
        self.0.pause_now()
    }

    fn end_pause(&self) -> Result<()> {
        self.0.end_pause()
    }
}

fn path_of(text: *const u16) -> PathBuf {
    // SAFETY: the client gives a text that ends with a zero.
    let len = (0..)
        .take_while(|&at| unsafe { *text.add(at) } != 0)
        .count();
    // SAFETY: so many units were just read.
    String::from_utf16(unsafe { std::slice::from_raw_parts(text, len) })
        .unwrap()
        .into()
}

/// Opens a repository whose pauses last so many milliseconds, and gives the class factory of its
/// objects.
///
/// # Safety
/// `path` ends with a zero; `iid` leads to an identifier and `out` to where the result belongs.
// SAFETY: no other function of the process has this name.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn HostOpen(
    path: *const u16,
    lease: u32,
    iid: *const GUID,
    out: *mut *mut c_void,
) -> HRESULT {
    let options = ServiceOptions::new().lease(Duration::from_millis(lease.into()));
    let Ok(service) = options.open(path_of(path)) else {
        return HRESULT(0x8000_4005_u32.cast_signed());
    };
    *OPEN.lock().unwrap() = Some(service.clone());
    let factory = class_factory(Arc::new(Panicking(Hosted::new(
        service,
        token_caller(BackupPolicy::Either),
    ))));
    // SAFETY: as the client promises.
    unsafe { factory.query(iid, out) }
}

/// Gives another class factory of what is open: flag 0 breaks connections, a backup needs the
/// privilege that the interface's page names, and pauses last so many milliseconds.
///
/// # Safety
/// As [`HostOpen`].
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn HostPolicies(
    lease: u32,
    iid: *const GUID,
    out: *mut *mut c_void,
) -> HRESULT {
    let service = OPEN.lock().unwrap().clone().unwrap();
    let options = ObjectOptions::new()
        .lease(Duration::from_millis(lease.into()))
        .flag_zero(FlagZero::Break);
    let hosted = Hosted::new(service, token_caller(BackupPolicy::Literal)).options(options);
    // SAFETY: as the client promises.
    unsafe { class_factory(Arc::new(hosted)).query(iid, out) }
}

/// Connects a client.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "system" fn HostConnect() -> *mut c_void {
    let connection = OPEN.lock().unwrap().as_ref().unwrap().connect().unwrap();
    Box::into_raw(Box::new(connection)).cast()
}

/// Whether a client can read: all keys of a state.
///
/// # Safety
/// `client` came from [`HostConnect`] and is not yet disconnected.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn HostCanRead(client: *mut c_void) -> i32 {
    // SAFETY: as the client promises.
    let connection = unsafe { &*client.cast::<Connection>() };
    let keys = connection.keys(KeyRange::all(), Direction::Forward);
    keys.is_ok_and(|mut keys| keys.all(|key| key.is_ok()))
        .into()
}

/// Whether a client can write: 1 when it did, 0 when it would have to wait, -1 when it was cut off.
///
/// # Safety
/// As [`HostCanRead`].
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn HostCanWrite(client: *mut c_void) -> i32 {
    // SAFETY: as the client promises.
    let connection = unsafe { &*client.cast::<Connection>() };
    let written = connection.try_begin_write().and_then(|mut transaction| {
        transaction.insert_key(b"NS_9\\HOSTED")?;
        transaction.commit()
    });
    match written {
        Ok(()) => 1,
        Err(cimrepo::Error::Busy) => 0,
        Err(_) => -1,
    }
}

/// Disconnects a client.
///
/// # Safety
/// As [`HostCanRead`].
// SAFETY: as above.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn HostDisconnect(client: *mut c_void) {
    // SAFETY: as the client promises; it is used no more.
    drop(unsafe { Box::from_raw(client.cast::<Connection>()) });
}

/// Closes the repository, whatever objects there are.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "system" fn HostClose() -> i32 {
    let service = OPEN.lock().unwrap().take();
    service
        .is_some_and(|service| service.close().is_ok())
        .into()
}
