//! One face for all stores, so that every measurement is the same code for each.

use std::path::Path;

use crate::workload::Object;

mod cimrepo;
mod fjall;
mod lmdb;
mod redb;
mod sqlite;

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Page cache of each store that has one of its own, in bytes.
const CACHE_BYTES: usize = 1 << 30;

/// The stores that are measured.
pub const NAMES: [&str; 6] = [
    "cimrepo",
    "lmdb",
    "redb",
    "fjall",
    "sqlite-wal",
    "sqlite-delete",
];

/// Those of them that can be copied while they are in use.
pub const COPYING: [&str; 3] = ["cimrepo", "lmdb", "sqlite-wal"];

/// An open store.
pub trait Store: Send + Sync {
    /// One transaction; durable when it returns.
    fn put(&self, objects: &[Object]) -> Outcome<()>;

    /// A reader of the state as it is now.
    fn reader(&self) -> Outcome<Box<dyn Reader + '_>>;

    /// A durable copy of one state, while transactions go on: by the means that the store has for
    /// that.
    fn copy(&self, _to: &Path) -> Outcome<()> {
        Err("this store has no copy while it is in use".into())
    }
}

/// A reader of one snapshot. It looks at one byte of each cache line of a value.
pub trait Reader {
    /// The length of a value.
    fn get(&mut self, key: &[u8]) -> Outcome<Option<usize>>;

    /// The number of objects whose keys begin with a prefix; each value is looked at.
    fn scan(&mut self, prefix: &[u8]) -> Outcome<u64>;
}

/// Takes objects in key order into a store that is made for it.
pub trait Load {
    /// The next piece.
    fn push(&mut self, objects: &[Object]) -> Outcome<()>;

    /// All of it is durable when this returns.
    fn finish(self: Box<Self>) -> Outcome<()>;
}

/// Opens a store in a directory, which exists.
pub fn open(name: &str, dir: &Path) -> Outcome<Box<dyn Store>> {
    Ok(match name {
        "cimrepo" => Box::new(cimrepo::Cimrepo::open(dir)?),
        "lmdb" => Box::new(lmdb::Lmdb::open(dir)?),
        "redb" => Box::new(redb::Redb::open(dir)?),
        "fjall" => Box::new(fjall::Fjall::open(dir)?),
        "sqlite-wal" => Box::new(sqlite::Sqlite::open(dir, "WAL")?),
        "sqlite-delete" => Box::new(sqlite::Sqlite::open(dir, "DELETE")?),
        _ => return Err(format!("there is no store {name}").into()),
    })
}

/// Begins to fill a new store.
pub fn load(name: &str, dir: &Path) -> Outcome<Box<dyn Load>> {
    Ok(match name {
        "cimrepo" => Box::new(cimrepo::Filling::begin(dir)?),
        _ => Box::new(ByTransactions(open(name, dir)?)),
    })
}

/// Fills a store by its own transactions.
struct ByTransactions(Box<dyn Store>);

impl Load for ByTransactions {
    fn push(&mut self, objects: &[Object]) -> Outcome<()> {
        self.0.put(objects)
    }

    fn finish(self: Box<Self>) -> Outcome<()> {
        Ok(())
    }
}

/// Looks at a value as a consumer would have to; gives its length.
#[inline]
pub fn look_at(value: &[u8]) -> usize {
    let seen = value.iter().step_by(64).fold(0, |seen, byte| seen ^ byte);
    std::hint::black_box(seen);
    value.len()
}
