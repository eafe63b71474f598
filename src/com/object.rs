//! The COM object over a [`BackupAndRestore`].

#![expect(
    unsafe_code,
    reason = "the methods are called by COM, with raw pointers"
)]
#![allow(non_snake_case, reason = "the methods have the names of the interface")]
// The macro makes items of its own.
#![allow(
    missing_docs,
    clippy::undocumented_unsafe_blocks,
    reason = "what the macro makes has neither"
)]

use std::sync::Arc;

use parking_lot::Mutex;
use windows_core::{GUID, HRESULT, Interface, implement};

use super::cancel::UntilCancelled;
use super::failure::Failure;
use super::guard::{E_POINTER, S_FALSE, S_OK, call, contain};
use super::host::Host;
use super::interfaces::{
    ISupportErrorInfo, ISupportErrorInfo_Impl, IWbemBackupRestore, IWbemBackupRestore_Impl,
    IWbemBackupRestoreEx, IWbemBackupRestoreEx_Impl,
};
use super::lifetime::Alive;
use super::wide;
use crate::service::{BackupAndRestore, BackupRestoreFlags};

/// One object: one owner of a pause. Its methods may be called from any thread, several at a time.
#[implement(IWbemBackupRestoreEx, ISupportErrorInfo)]
pub(super) struct BackupRestore {
    host: Arc<dyn Host>,
    twin: Mutex<Option<Arc<dyn BackupAndRestore>>>,
    _alive: Alive,
}

impl BackupRestore {
    pub(super) fn new(host: Arc<dyn Host>) -> Self {
        Self {
            host,
            twin: Mutex::new(None),
            _alive: Alive::new(),
        }
    }

    /// What it does, opened by the first call. The lock is not held while that works.
    fn twin(&self) -> Result<Arc<dyn BackupAndRestore>, Failure> {
        let mut twin = self.twin.lock();
        if let Some(twin) = &*twin {
            return Ok(twin.clone());
        }
        Ok(twin.insert(self.host.open()?.into()).clone())
    }

    /// Runs a method.
    fn serve(&self, method: impl FnOnce(&dyn BackupAndRestore) -> Result<(), Failure>) -> HRESULT {
        call(|| method(&*self.twin()?))
    }
}

/// Flags as they came: bits that mean nothing are refused where they are used.
fn flags(bits: i32) -> BackupRestoreFlags {
    BackupRestoreFlags::from_bits_retain(bits.cast_unsigned())
}

impl Drop for BackupRestore {
    /// The last release: what the object holds is given back, a pause among it.
    fn drop(&mut self) {
        let twin = self.twin.get_mut().take();
        contain(|| drop(twin));
    }
}

impl IWbemBackupRestore_Impl for BackupRestore_Impl {
    unsafe fn Backup(&self, path: *const u16, bits: i32) -> HRESULT {
        // SAFETY: the interface says that the caller's path is null or ends with a zero.
        self.serve(|twin| {
            Ok(twin.back_up_to(
                &unsafe { wide::path(path) }?,
                flags(bits),
                &UntilCancelled::new(),
            )?)
        })
    }

    unsafe fn Restore(&self, path: *const u16, bits: i32) -> HRESULT {
        // SAFETY: as in `Backup`.
        self.serve(|twin| {
            Ok(twin.restore_from(
                &unsafe { wide::path(path) }?,
                flags(bits),
                &UntilCancelled::new(),
            )?)
        })
    }
}

impl IWbemBackupRestoreEx_Impl for BackupRestore_Impl {
    unsafe fn Pause(&self) -> HRESULT {
        self.serve(|twin| Ok(twin.pause_now()?))
    }

    unsafe fn Resume(&self) -> HRESULT {
        self.serve(|twin| Ok(twin.end_pause()?))
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
