//! The COM object over a [`Service`].

#![expect(unsafe_code, reason = "the methods are called by COM, with raw pointers")]
#![allow(non_snake_case, reason = "the methods have the names of the interface")]
// The macro makes items of its own.
#![allow(missing_docs, clippy::undocumented_unsafe_blocks, reason = "what the macro makes has neither")]

use std::sync::Arc;

use parking_lot::Mutex;
use windows_core::{GUID, HRESULT, Interface, implement};

use super::failure::Failure;
use super::guard::{E_POINTER, S_FALSE, S_OK, call, contain};
use super::interfaces::{
    ISupportErrorInfo, ISupportErrorInfo_Impl, IWbemBackupRestore, IWbemBackupRestore_Impl, IWbemBackupRestoreEx,
    IWbemBackupRestoreEx_Impl,
};
use super::lifetime::Alive;
use super::service::{Host, Service};
use super::wide;

/// One object: one owner of a pause. Its methods may be called from any thread, several at a time.
#[implement(IWbemBackupRestoreEx, ISupportErrorInfo)]
pub(super) struct BackupRestore {
    host: Arc<dyn Host>,
    service: Mutex<Option<Arc<dyn Service>>>,
    _alive: Alive,
}

impl BackupRestore {
    pub(super) fn new(host: Arc<dyn Host>) -> Self {
        Self { host, service: Mutex::new(None), _alive: Alive::new() }
    }

    /// The service, opened by the first call. The lock is not held while the service works.
    fn service(&self) -> Result<Arc<dyn Service>, Failure> {
        let mut service = self.service.lock();
        if let Some(service) = &*service {
            return Ok(service.clone());
        }
        Ok(service.insert(self.host.open()?.into()).clone())
    }

    /// Runs a method.
    fn serve(&self, method: impl FnOnce(&dyn Service) -> Result<(), Failure>) -> HRESULT {
        call(|| method(&*self.service()?))
    }
}

impl Drop for BackupRestore {
    /// The last release: what the object holds is given back, a pause among it.
    fn drop(&mut self) {
        let service = self.service.get_mut().take();
        contain(|| drop(service));
    }
}

impl IWbemBackupRestore_Impl for BackupRestore_Impl {
    unsafe fn Backup(&self, path: *const u16, flags: i32) -> HRESULT {
        // SAFETY: the interface says that the caller's path is null or ends with a zero.
        self.serve(|service| service.backup(&unsafe { wide::path(path) }?, flags))
    }

    unsafe fn Restore(&self, path: *const u16, flags: i32) -> HRESULT {
        // SAFETY: as in `Backup`.
        self.serve(|service| service.restore(&unsafe { wide::path(path) }?, flags))
    }
}

impl IWbemBackupRestoreEx_Impl for BackupRestore_Impl {
    unsafe fn Pause(&self) -> HRESULT {
        self.serve(|service| service.pause())
    }

    unsafe fn Resume(&self) -> HRESULT {
        self.serve(|service| service.resume())
    }
}

impl ISupportErrorInfo_Impl for BackupRestore_Impl {
    unsafe fn InterfaceSupportsErrorInfo(&self, iid: *const GUID) -> HRESULT {
        // SAFETY: the interface says that the caller's pointer is null or leads to an identifier.
        match unsafe { iid.as_ref() } {
            None => E_POINTER,
            Some(iid) if [IWbemBackupRestore::IID, IWbemBackupRestoreEx::IID].contains(iid) => S_OK,
            Some(_) => S_FALSE,
        }
    }
}
