//! LMDB, default flags: each commit is synced.

use std::path::Path;

use heed::types::Bytes;
use heed::{CompactionOption, Database, Env, EnvOpenOptions, RoTxn, WithTls};

use super::{Outcome, Reader, Store, look_at};
use crate::workload::Object;

pub struct Lmdb {
    env: Env,
    database: Database<Bytes, Bytes>,
}

impl Lmdb {
    pub fn open(dir: &Path) -> Outcome<Self> {
        // SAFETY: the directory was made for this run; no other process changes its file while it
        // is mapped.
        let env = unsafe { EnvOpenOptions::new().map_size(16 << 30).open(dir)? };
        let mut transaction = env.write_txn()?;
        let database = env.create_database(&mut transaction, None)?;
        transaction.commit()?;
        Ok(Self { env, database })
    }
}

impl Store for Lmdb {
    fn put(&self, objects: &[Object]) -> Outcome<()> {
        let mut transaction = self.env.write_txn()?;
        for (key, value) in objects {
            self.database.put(&mut transaction, key, value)?;
        }
        Ok(transaction.commit()?)
    }

    fn reader(&self) -> Outcome<Box<dyn Reader + '_>> {
        Ok(Box::new(View {
            transaction: self.env.read_txn()?,
            database: self.database,
        }))
    }

    fn copy(&self, to: &Path) -> Outcome<()> {
        Ok(self
            .env
            .copy_to_path(to, CompactionOption::Disabled)?
            .sync_all()?)
    }
}

struct View<'s> {
    transaction: RoTxn<'s, WithTls>,
    database: Database<Bytes, Bytes>,
}

impl Reader for View<'_> {
    fn get(&mut self, key: &[u8]) -> Outcome<Option<usize>> {
        Ok(self.database.get(&self.transaction, key)?.map(look_at))
    }

    fn scan(&mut self, prefix: &[u8]) -> Outcome<u64> {
        let mut count = 0;
        for pair in self.database.prefix_iter(&self.transaction, prefix)? {
            look_at(pair?.1);
            count += 1;
        }
        Ok(count)
    }
}
