//! fjall, every batch synced.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use super::{CACHE_BYTES, Outcome, Reader, Store, look_at};
use crate::workload::Object;

pub struct Fjall {
    database: Database,
    objects: Keyspace,
}

impl Fjall {
    pub fn open(dir: &Path) -> Outcome<Self> {
        let database = Database::builder(dir)
            .cache_size(CACHE_BYTES as u64)
            .open()?;
        let objects = database.keyspace("objects", KeyspaceCreateOptions::default)?;
        Ok(Self { database, objects })
    }
}

impl Store for Fjall {
    fn put(&self, objects: &[Object]) -> Outcome<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for (key, value) in objects {
            batch.insert(&self.objects, key.as_slice(), value.as_slice());
        }
        Ok(batch.commit()?)
    }

    fn reader(&self) -> Outcome<Box<dyn Reader + '_>> {
        Ok(Box::new(View {
            snapshot: self.database.snapshot(),
            objects: &self.objects,
        }))
    }
}

struct View<'s> {
    snapshot: Snapshot,
    objects: &'s Keyspace,
}

impl Reader for View<'_> {
    fn get(&mut self, key: &[u8]) -> Outcome<Option<usize>> {
        Ok(self
            .snapshot
            .get(self.objects, key)?
            .map(|value| look_at(&value)))
    }

    fn scan(&mut self, prefix: &[u8]) -> Outcome<u64> {
        let mut count = 0;
        for entry in self.snapshot.prefix(self.objects, prefix) {
            look_at(&entry.into_inner()?.1);
            count += 1;
        }
        Ok(count)
    }
}
