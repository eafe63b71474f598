#![doc = include_str!("../README.md")]
//!
//! ## Which handle do I need
//!
//! | you want to | take | from |
//! |---|---|---|
//! | look at a repository | [`Repository`] | [`Repository::open_read_only`], [`OpenOptions`] |
//! | read one unchanging state, on any thread | [`Snapshot`] | `snapshot()` of a repository, engine or backup |
//! | read classes and instances | [`Catalog`] | [`Repository::catalog`], [`Snapshot::catalog`] |
//! | ask in WQL | [`Rows`](query::Rows) | [`fn@query`] |
//! | write | [`Engine`] | [`Engine::open`], [`Engine::create`], [`EngineOptions`] |
//! | change classes and instances | [`CatalogWriter`] | [`Engine::begin_catalog_write`] |
//! | store MOF | [`CompileReport`](compile::CompileReport) | [`fn@compile`] |
//! | save a state | [`BackupSummary`] | [`fn@backup`], [`backup_snapshot`] of an engine in use |
//! | look into a backup | [`Backup`] | [`Backup::open`] |
//! | bring a state back | [`RestoreSummary`] | [`fn@restore`] |
//! | check | [`Report`] | [`fn@verify`] |
//! | serve clients with rights, pauses and live restores | [`Service`] | [`ServiceOptions`](service::ServiceOptions) |
//! | keep it elsewhere than in files | [`Directory`] | [`Directory::new`], [`MemStorage`] |
//!
//! What stands here and in the modules below is what the crate promises. The feature `raw` opens the
//! rooms behind it, layer by layer, to programs that look at bytes: without any promise.

// What only `raw` lets out is no dead code: with it, the compiler says what is.
#![cfg_attr(
    not(feature = "raw"),
    allow(
        dead_code,
        unused_imports,
        clippy::wrong_self_convention,
        reason = "checked with `raw`, where these items are public"
    )
)]

#[cfg(not(feature = "raw"))]
mod backup;
#[cfg(feature = "raw")]
pub mod backup;
#[cfg(not(feature = "raw"))]
mod base;
#[cfg(feature = "raw")]
pub mod base;
mod btree;
#[cfg(not(feature = "raw"))]
mod catalog;
#[cfg(feature = "raw")]
pub mod catalog;
#[cfg(not(feature = "raw"))]
mod cim;
#[cfg(feature = "raw")]
pub mod cim;
#[cfg(not(feature = "raw"))]
mod collection;
#[cfg(feature = "raw")]
pub mod collection;
#[cfg(feature = "windows")]
pub mod com;
pub mod compile;
pub mod docs;
pub mod export;
#[cfg(not(feature = "raw"))]
mod forensics;
#[cfg(feature = "raw")]
pub mod forensics;
#[cfg(not(feature = "raw"))]
mod format;
#[cfg(feature = "raw")]
pub mod format;
mod gate;
mod heap;
mod pager;
pub mod query;
#[cfg(not(feature = "raw"))]
mod restore;
#[cfg(feature = "raw")]
pub mod restore;
#[cfg(not(feature = "raw"))]
mod security;
#[cfg(feature = "raw")]
pub mod security;
pub mod service;
#[cfg(not(feature = "raw"))]
mod storage;
#[cfg(feature = "raw")]
pub mod storage;
#[cfg(not(feature = "raw"))]
mod store;
#[cfg(feature = "raw")]
pub mod store;
#[cfg(not(feature = "raw"))]
mod text;
#[cfg(feature = "raw")]
pub mod text;
#[cfg(not(feature = "raw"))]
mod verify;
#[cfg(feature = "raw")]
pub mod verify;

pub use backup::{
    Backup, BackupOptions, BackupSet, BackupSummary, Compression, SetOptions, backup,
    backup_snapshot,
};
#[cfg(feature = "sign")]
pub use backup::{SigningKey, VerifyingKey, sign_backup};
pub use base::corruption::{Corruption, CorruptionCode};
pub use base::error::{BackupFault, Error, ExitCode, Result};
pub use base::filetime::FileTime;
pub use base::hresult::HResult;
pub use base::io_op::IoOp;
#[cfg(feature = "raw")]
pub use base::misuse::Invalid;
pub use base::misuse::Misuse;
pub use base::moment::Moment;
#[cfg(feature = "raw")]
pub use base::page_no::RecordRef;
pub use base::progress::{Observer, Phase, Progress, Unobserved};
pub use base::query_error::QueryCode;
pub use base::reason::Reason;
pub use base::rule::Rule;
pub use base::site::{FileRole, Site};
#[cfg(feature = "raw")]
pub use btree::scan::{Direction, KeyRange, Scan};
pub use catalog::create::create;
pub use catalog::part::Part;
pub use catalog::{
    Catalog, CatalogWriter, Put, PutClass, StoredClass, StoredInstance, UpdateMode, convert,
};
pub use cim::{
    Array, CimType, Class, DateTime, Flavor, FullClass, Instance, InstanceError, Method, Name,
    Object, ObjectPath, Property, Qualifier, ScalarType, Setting, Value, ValueError,
};
pub use compile::compile;
pub use export::export_mof;
pub use format::Dialect;
pub use format::security::descriptor::SecurityDescriptor;
pub use format::security::sid::Sid;
#[cfg(feature = "raw")]
pub use heap::layout::Records;
#[cfg(feature = "raw")]
pub use heap::record::RecordView;
#[cfg(feature = "raw")]
pub use pager::generation::Refusal;
pub use query::run as query;
pub use restore::{
    Existing, Installed, PartOptions, RestoreOptions, RestoreSummary, restore, restore_part,
};
pub use security::backup_rights::BackupPolicy;
pub use security::{AccessRights, AuthenticationLevel, Caller as Identity, Origin, Privileges};
pub use service::Service;
#[cfg(feature = "mmap")]
pub use storage::MappedStorage;
pub use storage::{Directory, MemStorage};
pub use store::{Durability, Engine, EngineOptions, OpenOptions, PauseToken, Repository, Snapshot};
pub use verify::{Report, VerifyOptions, verify};
