//! Time stamps of records: FILETIMEs that no two records of a repository share.
//!
//! Windows takes the time when it starts and counts up from there. Here a transaction takes the
//! time when it begins and counts up. If the clock stood still or went back, it starts after the
//! greatest existing stamp. Source: `docs::objects`, "Class record".

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::error::Result;
use crate::btree::scan::{Direction, KeyRange};
use crate::format::index::object_key::KeyShape;
use crate::format::record::class_record::ClassRecordView;
use crate::format::record::instance_record::InstanceRecordView;
use crate::store::Transaction;

/// Number of 100-nanosecond intervals between 1601 and 1970.
const UNIX_EPOCH_FILETIME: u64 = 116_444_736_000_000_000;

/// The present time as a FILETIME.
fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos() / 100)
        .unwrap_or_default()
        .saturating_add(UNIX_EPOCH_FILETIME)
}

/// The source of stamps of a transaction.
#[derive(Debug)]
pub(super) struct Stamps {
    next: u64,
}

impl Stamps {
    /// Starts after every existing stamp, and not before the present time.
    pub(super) fn begin(transaction: &Transaction<'_>) -> Result<Self> {
        let last = match transaction.last_stamp().load(Ordering::Relaxed) {
            0 => greatest(transaction)?,
            known => known,
        };
        Ok(Self {
            next: now().max(last.saturating_add(1)),
        })
    }

    /// A stamp that no record has. The writer's turn ensures that two transactions never overlap.
    pub(super) fn take(&mut self, transaction: &Transaction<'_>) -> u64 {
        let stamp = self.next;
        self.next = stamp.saturating_add(1);
        transaction.last_stamp().fetch_max(stamp, Ordering::Relaxed);
        stamp
    }

    /// Records a stamp that a record is given from outside.
    pub(super) fn note(&mut self, stamp: u64, transaction: &Transaction<'_>) {
        self.next = self.next.max(stamp.saturating_add(1));
        transaction.last_stamp().fetch_max(stamp, Ordering::Relaxed);
    }
}

/// The greatest stamp of all records. Unreadable records have none. A FILETIME has at most 63 bits.
fn greatest(transaction: &Transaction<'_>) -> Result<u64> {
    let mut greatest = 0;
    let snapshot = transaction.snapshot();
    let mut keys = snapshot.keys(KeyRange::prefix(b"NS_"), Direction::Forward);
    while let Some(key) = keys.next_text() {
        let Ok(text) = key else { continue };
        let shape = KeyShape::parse(text);
        let Ok(Some(reference)) = crate::format::index::key::reference(text) else {
            continue;
        };
        let Ok(record) = snapshot.record_view(reference) else {
            continue;
        };
        let stamp = match shape {
            Some((_, KeyShape::Class(_))) => {
                ClassRecordView::parse(&record).map(|view| view.stamp())
            }
            Some((_, KeyShape::Instance(..))) => {
                InstanceRecordView::parse(&record, snapshot.dialect()).map(|view| view.stamp())
            }
            _ => continue,
        };
        let sound = stamp.ok().filter(|stamp| i64::try_from(*stamp).is_ok());
        greatest = greatest.max(sound.unwrap_or_default());
    }
    transaction
        .last_stamp()
        .fetch_max(greatest, Ordering::Relaxed);
    Ok(greatest)
}
