//! The library itself. An object is a record and the key that names it: `key.page.id.size`.

use std::path::Path;
use std::sync::Arc;

use cimrepo::backup::{BackupOptions, Compression, backup_snapshot};
use cimrepo::base::page_no::RecordRef;
use cimrepo::base::progress::Unobserved;
use cimrepo::format::index::key::reference;
use cimrepo::storage::{Directory, RealStorage, Storage};
use cimrepo::store::{BulkBuilder, Snapshot};
use cimrepo::store::{Engine, EngineOptions};
use cimrepo::{Direction, KeyRange};

use super::{CACHE_BYTES, Load, Outcome, Reader, Store, look_at};
use crate::workload::Object;

pub struct Cimrepo {
    engine: Engine,
}

impl Cimrepo {
    pub fn open(dir: &Path) -> Outcome<Self> {
        Ok(Self {
            engine: EngineOptions::new()
                .cache_pages(CACHE_BYTES / 8192)
                .open(dir)?,
        })
    }
}

impl Store for Cimrepo {
    fn put(&self, objects: &[Object]) -> Outcome<()> {
        let mut transaction = self.engine.begin_write()?;
        for (key, value) in objects {
            if let Some(old) = transaction.reference(key)? {
                transaction.remove_key(&naming(key, old))?;
                transaction.remove_record(old)?;
            }
            let record = transaction.insert_record(value)?;
            transaction.insert_key(&naming(key, record))?;
        }
        Ok(transaction.commit()?)
    }

    fn reader(&self) -> Outcome<Box<dyn Reader + '_>> {
        Ok(Box::new(View(self.engine.snapshot())))
    }

    /// A hot backup. The others copy pages as they are: so it is without compression, and without
    /// verifying; what it has more than they is a digest over each page.
    fn copy(&self, to: &Path) -> Outcome<()> {
        let storage: Arc<dyn Storage> = Arc::new(RealStorage);
        let rate = std::env::var("PEERS_RATE")
            .ok()
            .and_then(|text| text.parse().ok());
        let options = BackupOptions {
            compression: Compression::None,
            skip_verify: true,
            rate,
            ..BackupOptions::default()
        };
        backup_snapshot(&self.engine.snapshot(), &storage, to, &options, &Unobserved)?;
        Ok(())
    }
}

/// The key that names a record.
fn naming(key: &[u8], record: RecordRef) -> Vec<u8> {
    [key, format!(".{record}").as_bytes()].concat()
}

struct View(Snapshot);

impl Reader for View {
    fn get(&mut self, key: &[u8]) -> Outcome<Option<usize>> {
        let Some(reference) = self.0.reference(key)? else {
            return Ok(None);
        };
        Ok(Some(look_at(&self.0.record_view(reference)?)))
    }

    fn scan(&mut self, prefix: &[u8]) -> Outcome<u64> {
        let mut count = 0;
        let mut keys = self.0.keys(KeyRange::prefix(prefix), Direction::Forward);
        while let Some(key) = keys.next_text() {
            let reference = reference(key?)
                .ok()
                .flatten()
                .ok_or("a key without reference")?;
            look_at(&self.0.record_view(reference)?);
            count += 1;
        }
        Ok(count)
    }
}

/// A repository that the bulk builder makes.
pub struct Filling(BulkBuilder);

impl Filling {
    pub fn begin(dir: &Path) -> Outcome<Self> {
        Ok(Self(BulkBuilder::create(Directory::real(dir))?))
    }
}

impl Load for Filling {
    fn push(&mut self, objects: &[Object]) -> Outcome<()> {
        for (key, value) in objects {
            let record = self.0.record(value)?;
            self.0.key(key, Some(record))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Outcome<()> {
        Ok(self.0.finish()?)
    }
}
