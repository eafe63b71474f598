//! The class factory.

#![expect(
    unsafe_code,
    reason = "the methods are called by COM, with raw pointers"
)]
#![allow(non_snake_case, reason = "the methods have the names of the interface")]
#![allow(
    missing_docs,
    clippy::undocumented_unsafe_blocks,
    reason = "what the macro makes has neither"
)]

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use windows_core::{BOOL, GUID, HRESULT, IUnknown, Interface, Ref, implement};

use super::failure::Failure;
use super::guard::{E_POINTER, S_OK, call};
use super::host::Host;
use super::interfaces::{IClassFactory, IClassFactory_Impl};
use super::lifetime::{self, Alive};
use super::object::BackupRestore;

/// `CLASS_E_NOAGGREGATION`.
const NO_AGGREGATION: HRESULT = HRESULT(0x8004_0110_u32.cast_signed());
/// `E_UNEXPECTED`.
const UNEXPECTED: HRESULT = HRESULT(0x8000_FFFF_u32.cast_signed());

/// Makes objects for one host.
#[implement(IClassFactory)]
struct Factory {
    host: Arc<dyn Host>,
    _alive: Alive,
}

/// A class factory whose objects do what `host` says. A program that has an engine open registers
/// it, so that COM callers in its process use that engine.
pub fn class_factory(host: Arc<dyn Host>) -> IClassFactory {
    Factory {
        host,
        _alive: Alive::new(),
    }
    .into()
}

impl IClassFactory_Impl for Factory_Impl {
    unsafe fn CreateInstance(
        &self,
        outer: Ref<IUnknown>,
        iid: *const GUID,
        out: *mut *mut c_void,
    ) -> HRESULT {
        if out.is_null() || iid.is_null() {
            return E_POINTER;
        }
        // SAFETY: the interface says that a pointer that is not null leads to where the result
        // belongs.
        unsafe { out.write(ptr::null_mut()) };
        if !outer.is_null() {
            return NO_AGGREGATION;
        }
        let mut answer = S_OK;
        let made = call(|| {
            let object: IUnknown = BackupRestore::new(self.host.clone()).into();
            // SAFETY: both pointers are the caller's, neither is null, and the object is alive.
            answer = unsafe { object.query(iid, out) };
            Ok::<(), Failure>(())
        });
        if made.is_err() { made } else { answer }
    }

    unsafe fn LockServer(&self, lock: BOOL) -> HRESULT {
        if lock.as_bool() {
            lifetime::lock();
            return S_OK;
        }
        if lifetime::unlock() { S_OK } else { UNEXPECTED }
    }
}
