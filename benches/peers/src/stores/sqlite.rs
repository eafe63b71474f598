//! SQLite, `synchronous = FULL`, one table with a BLOB as primary key.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, TransactionBehavior, params};

use super::{CACHE_BYTES, Outcome, Reader, Store, look_at};
use crate::workload::Object;

pub struct Sqlite {
    writer: Mutex<Connection>,
    file: PathBuf,
}

fn connect(file: &Path) -> Outcome<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(std::time::Duration::from_secs(60))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", format!("-{}", CACHE_BYTES >> 10))?;
    Ok(connection)
}

impl Sqlite {
    pub fn open(dir: &Path, journal: &str) -> Outcome<Self> {
        let file = dir.join("objects.sqlite");
        let connection = connect(&file)?;
        connection.pragma_update(None, "journal_mode", journal)?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS objects(k BLOB PRIMARY KEY NOT NULL, v BLOB NOT NULL)",
        )?;
        Ok(Self {
            writer: Mutex::new(connection),
            file,
        })
    }
}

impl Store for Sqlite {
    fn put(&self, objects: &[Object]) -> Outcome<()> {
        let mut connection = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let text =
            "INSERT INTO objects(k, v) VALUES(?1, ?2) ON CONFLICT(k) DO UPDATE SET v = excluded.v";
        let mut statement = transaction.prepare_cached(text)?;
        for (key, value) in objects {
            statement.execute(params![key, value])?;
        }
        drop(statement);
        Ok(transaction.commit()?)
    }

    fn reader(&self) -> Outcome<Box<dyn Reader + '_>> {
        let connection = connect(&self.file)?;
        connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")?;
        Ok(Box::new(View(connection)))
    }

    /// The online backup, all pages in one step: with several it begins anew whenever another
    /// connection has written.
    fn copy(&self, to: &Path) -> Outcome<()> {
        let (from, mut to) = (connect(&self.file)?, Connection::open(to)?);
        to.pragma_update(None, "synchronous", "FULL")?;
        match Backup::new(&from, &mut to)?.step(-1)? {
            StepResult::Done => Ok(()),
            other => Err(format!("the online backup ended with {other:?}").into()),
        }
    }
}

struct View(Connection);

impl Reader for View {
    fn get(&mut self, key: &[u8]) -> Outcome<Option<usize>> {
        let mut statement = self
            .0
            .prepare_cached("SELECT v FROM objects WHERE k = ?1")?;
        let mut rows = statement.query(params![key])?;
        let row = rows.next()?;
        row.map(|row| Ok(look_at(row.get_ref(0)?.as_blob()?)))
            .transpose()
    }

    fn scan(&mut self, prefix: &[u8]) -> Outcome<u64> {
        let mut statement = self
            .0
            .prepare_cached("SELECT k, v FROM objects WHERE k >= ?1 ORDER BY k")?;
        let mut rows = statement.query(params![prefix])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            if !row.get_ref(0)?.as_blob()?.starts_with(prefix) {
                break;
            }
            look_at(row.get_ref(1)?.as_blob()?);
            count += 1;
        }
        Ok(count)
    }
}
