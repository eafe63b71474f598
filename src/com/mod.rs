//! The COM object: `IWbemBackupRestore` and `IWbemBackupRestoreEx`, for callers that know the
//! interface of Windows.
//!
//! With feature `dll` the library can be built as a DLL (`docs::windows` says how) that COM loads
//! into the process of its caller. It has a class of its own, [`CLASS_ID`], and never registers
//! itself as the system's. With feature `windows` alone nothing is exported: the module that links
//! the library may be a COM server of its own.
//!
//! The object decides nothing: what the four methods do is behind
//! [`BackupAndRestore`](crate::service::BackupAndRestore), who calls behind
//! [`Caller`](crate::service::Caller), and which repository is meant behind [`Host`]. In the DLL
//! that is a [`Standby`](crate::service::Standby) over the directory that the machine's
//! administrator configured; a program that has a repository open gives [`class_factory`] a
//! [`Hosted`] and registers the result with `CoRegisterClassObject`.
//!
//! Everything but the token, the registry and the error info of Windows is compiled on every
//! platform, so that the real vtables are tested wherever the tests run.

#[cfg(windows)]
mod acting;
mod caller;
mod cancel;
#[cfg(feature = "dll")]
mod configured;
mod error_info;
#[cfg(feature = "dll")]
mod exports;
mod factory;
mod failure;
mod guard;
mod host;
mod interfaces;
mod lifetime;
#[cfg(all(feature = "dll", windows))]
mod module;
mod object;
#[cfg(all(feature = "dll", windows))]
mod registration;
#[cfg(feature = "dll")]
mod settings;
#[cfg(windows)]
mod token;
mod wide;

pub use caller::{token_caller, token_identity};
#[cfg(feature = "dll")]
pub use exports::{DllCanUnloadNow, DllGetClassObject};
pub use factory::class_factory;
pub use failure::Failure;
pub use host::{Host, Hosted};
#[cfg(feature = "raw")]
pub use interfaces::{IClassFactory, ISupportErrorInfo, IWbemBackupRestore, IWbemBackupRestoreEx};
pub use lifetime::may_unload;

use windows_core::GUID;

/// The class of the object: `{71C2737C-6419-4674-90F6-EB34929EA1CF}`. The system's own is another.
pub const CLASS_ID: GUID = GUID::from_u128(0x71c2737c_6419_4674_90f6_eb34929ea1cf);
