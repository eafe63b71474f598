//! redb, immediate durability.

use std::path::Path;

use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::{CACHE_BYTES, Outcome, Reader, Store, look_at};
use crate::workload::Object;

const OBJECTS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("objects");

pub struct Redb(Database);

impl Redb {
    pub fn open(dir: &Path) -> Outcome<Self> {
        Ok(Self(
            Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create(dir.join("objects.redb"))?,
        ))
    }
}

impl Store for Redb {
    fn put(&self, objects: &[Object]) -> Outcome<()> {
        let transaction = self.0.begin_write()?;
        let mut table = transaction.open_table(OBJECTS)?;
        for (key, value) in objects {
            table.insert(key.as_slice(), value.as_slice())?;
        }
        drop(table);
        Ok(transaction.commit()?)
    }

    fn reader(&self) -> Outcome<Box<dyn Reader + '_>> {
        Ok(Box::new(View(self.0.begin_read()?.open_table(OBJECTS)?)))
    }
}

struct View(ReadOnlyTable<&'static [u8], &'static [u8]>);

impl Reader for View {
    fn get(&mut self, key: &[u8]) -> Outcome<Option<usize>> {
        Ok(self.0.get(key)?.map(|value| look_at(value.value())))
    }

    fn scan(&mut self, prefix: &[u8]) -> Outcome<u64> {
        let mut count = 0;
        for pair in self.0.range(prefix..)? {
            let (key, value) = pair?;
            if !key.value().starts_with(prefix) {
                break;
            }
            look_at(value.value());
            count += 1;
        }
        Ok(count)
    }
}
