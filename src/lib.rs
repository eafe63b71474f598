#![doc = include_str!("../README.md")]
//!
//! ## Which handle do I need
//!
//! | you want to | take | from |
//! |---|---|---|
//! | look at a repository | [`Repository`] | [`Repository::open_read_only`], [`OpenOptions`] |
//! | read one unchanging state, on any thread | [`Snapshot`] | `snapshot()` of a repository, engine or backup |
//! | read classes and instances | [`Catalog`] | [`Repository::catalog`], [`Snapshot::catalog`] |
//! | ask in WQL | [`Rows`] | [`fn@query`] |
//! | write | [`Engine`] | [`Engine::open`], [`Engine::create`], [`EngineOptions`] |
//! | change classes and instances | [`CatalogWriter`] | [`Engine::begin_catalog_write`] |
//! | store MOF | [`CompileReport`] | [`fn@compile`] |
//! | save a state | [`BackupSummary`] | [`fn@backup`], [`backup_snapshot`] of an engine in use |
//! | look into a backup | [`Backup`] | [`Backup::open`] |
//! | bring a state back | [`RestoreSummary`] | [`fn@restore`] |
//! | check | [`Report`] | [`fn@verify`] |
//! | serve clients with rights, pauses and live restores | [`Service`] | [`ServiceOptions`](service::ServiceOptions) |
//! | keep it elsewhere than in files | [`Directory`] | [`Directory::new`], [`MemStorage`], your own [`Storage`](storage::Storage) |

pub mod backup;
pub mod base;
mod btree;
pub mod catalog;
pub mod cim;
pub mod collection;
#[cfg(feature = "windows")]
pub mod com;
pub mod compile;
pub mod docs;
pub mod export;
pub mod forensics;
pub mod format;
mod gate;
mod heap;
mod pager;
pub mod query;
pub mod restore;
pub mod security;
pub mod service;
pub mod storage;
pub mod store;
pub mod text;
pub mod verify;

pub use backup::{Backup, BackupOptions, BackupSummary, Compression, backup, backup_snapshot};
pub use base::error::{BackupFault, Error, ExitCode, Result};
pub use base::filetime::FileTime;
pub use base::hresult::HResult;
pub use base::io_op::IoOp;
pub use base::misuse::{Invalid, Misuse};
pub use base::page_no::RecordRef;
pub use base::progress::{Observer, Phase, Progress, Unobserved};
pub use btree::scan::{Direction, KeyRange, Scan};
pub use catalog::{
    Catalog, CatalogWriter, Put, PutClass, StoredClass, StoredInstance, UpdateMode, create,
};
pub use cim::{
    Array, CimType, Class, DateTime, FullClass, Instance, InstanceError, Method, Name, Object,
    ObjectPath, Property, Qualifier, ScalarType, Setting, Value, ValueError,
};
pub use compile::{CompileOptions, CompileReport, FileIncludes, MofSource, NoIncludes, compile};
pub use format::Dialect;
pub use heap::layout::Records;
pub use heap::record::RecordView;
pub use pager::generation::Refusal;
pub use query::{QueryOptions, Row, Rows, run as query};
pub use restore::{Existing, Installed, RestoreOptions, RestoreSummary, restore};
pub use service::Service;
pub use storage::{Directory, MemStorage};
pub use store::{
    Durability, Engine, EngineOptions, OpenOptions, Repository, Savepoint, Snapshot, Transaction,
};
pub use verify::{Level, Report, VerifyOptions, verify};
