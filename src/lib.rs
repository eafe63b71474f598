//! Reads, verifies, backs up and restores the Windows CIM (WMI) repository as it lies on disk.

pub mod base;
pub mod format;
mod btree;
mod heap;
mod pager;
pub mod repository;
pub mod storage;
pub mod verify;

pub use base::error::{Error, Result};
