#![doc = include_str!("../README.md")]

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

pub use base::error::{Error, Result};
pub use base::io_op::IoOp;
pub use base::misuse::{Invalid, Misuse};
pub use btree::scan::{Direction, KeyRange, Scan};
pub use heap::layout::Records;
pub use heap::record::RecordView;
pub use pager::generation::Refusal;
