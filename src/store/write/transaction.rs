//! A write transaction.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::{ArcMutexGuard, RawMutex};

use crate::base::error::{Error, Result};
use crate::base::limits::check_mapping_size;
use crate::base::misuse::Misuse;
use crate::base::moment::Moment;
use crate::base::page_no::{RecordRef, Space};
use crate::btree::edit;
use crate::btree::scan::{Direction, KeyRange, Scan};
use crate::format::index::key;
use crate::format::index::key::Key;
use crate::format::own::journal::{CommitBuilder, JournalOp};
use crate::gate::Pass;
use crate::heap::edit::HeapEditor;
use crate::heap::record;
use crate::pager::state::working::Mark;
use crate::store::Snapshot;

use super::{Durability, Engine, Referrer, Shared, Writer};

/// Sizes of a section of a mapping without its tables, of an entry, and of a free page, in bytes.
const SECTION_BYTES: u64 = 36;
const ENTRY_BYTES: u64 = 24;
const FREE_BYTES: u64 = 4;

/// A transaction. Only it can see its changes until it is committed. Dropping it undoes them.
///
/// Records and keys are those of the format: a key may end in `.page.id.size`, the reference to the
/// record that it names, and every record must be named by at least one key. The content of records
/// is not examined.
pub struct Transaction<'e> {
    shared: Arc<Shared>,
    writer: ArcMutexGuard<RawMutex, Writer>,
    /// Declared after the lock, so that it is released later.
    _pass: Pass,
    _engine: PhantomData<&'e Engine>,
    begin: Savepoint,
    operations: CommitBuilder,
    durability: Durability,
    /// Records of this transaction that no key names yet.
    unnamed: HashSet<RecordRef>,
    is_done: bool,
    /// True if it records each reference into a missing namespace that it adds.
    keeps_referrers: bool,
    /// True if a change failed half-way, so that the transaction can only be abandoned.
    is_broken: bool,
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

fn change_failed() -> Error {
    Error::InvalidOperation(Moment::HalfChanged)
}

/// Largest memory for operations that is kept for the next transaction, in bytes.
const MAX_SPARE: usize = 1 << 20;

/// A point in a transaction to which it can be rolled back.
#[derive(Debug, Clone)]
pub struct Savepoint {
    mark: Mark,
    heap: usize,
    operations: usize,
    unnamed: HashSet<RecordRef>,
}

impl Transaction<'_> {
    pub(super) fn begin(
        shared: Arc<Shared>,
        mut writer: ArcMutexGuard<RawMutex, Writer>,
        pass: Pass,
    ) -> Self {
        let heap = writer.heap.as_ref().map_or(0, HeapEditor::mark);
        let begin = Savepoint {
            mark: writer.working.mark(),
            heap,
            operations: 0,
            unnamed: HashSet::new(),
        };
        let durability = shared.options.durability;
        let operations = std::mem::take(&mut writer.spare);
        Self {
            shared,
            writer,
            _pass: pass,
            _engine: PhantomData,
            begin,
            operations,
            durability,
            unnamed: HashSet::new(),
            is_done: false,
            keeps_referrers: false,
            is_broken: false,
        }
    }

    /// Sets when the commit counts as done.
    pub fn set_durability(&mut self, durability: Durability) {
        self.durability = durability;
    }

    /// Stores a record. A key must name it before the transaction is committed.
    ///
    /// # Errors
    /// Returns [`Error::Limit`] if the record has more than 64 MiB or the repository is full,
    /// [`Error::Corrupt`] if a needed page is damaged, and [`Error::Io`] if the system refuses.
    pub fn insert_record(&mut self, bytes: &[u8]) -> Result<RecordRef> {
        self.operations.need_room(bytes.len())?;
        let reference = self.change(|writer| {
            let heap = writer
                .heap
                .get_or_insert_with(|| HeapEditor::new(&writer.working));
            heap.insert(&mut writer.working, bytes)
        })?;
        self.operations.push(JournalOp::PutRecord {
            page: reference.page,
            id: reference.id,
            bytes,
        })?;
        self.unnamed.insert(reference);
        Ok(reference)
    }

    /// Removes a record. The keys that name it must be removed too.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] if there is no such record or its page is damaged, and
    /// [`Error::Io`] if the system refuses.
    pub fn remove_record(&mut self, reference: RecordRef) -> Result<()> {
        self.operations.need_room(0)?;
        self.change(|writer| {
            let heap = writer
                .heap
                .get_or_insert_with(|| HeapEditor::new(&writer.working));
            heap.remove(&mut writer.working, reference)
        })?;
        self.operations.push(JournalOp::DeleteRecord(reference))?;
        self.unnamed.remove(&reference);
        Ok(())
    }

    /// Inserts a key. Returns `false` if it exists already. A record that it names must exist.
    ///
    /// # Errors
    /// Returns [`Error::InvalidArgument`] if the key cannot be stored, [`Error::Limit`] if it is
    /// too long, [`Error::Corrupt`] if a needed page is damaged or the record does not exist, and
    /// [`Error::Io`] if the system refuses.
    pub fn insert_key(&mut self, key: &[u8]) -> Result<bool> {
        self.operations.need_room(key.len())?;
        let named = key::reference(key).map_err(|_| {
            Error::invalid(
                Misuse::Key,
                format!(
                    "the key {} has a record reference in a wrong form or place",
                    Key::new(key)
                ),
            )
        })?;
        if let Some(reference) = named {
            let image = self.writer.working.image();
            let page = image.page(Space::Objects, reference.page)?;
            record::find_descriptor(image, &page, reference)?;
        }
        if !self.change(|writer| edit::insert(&mut writer.working, key))? {
            return Ok(false);
        }
        self.operations.push(JournalOp::InsertKey(key))?;
        named
            .iter()
            .for_each(|reference| _ = self.unnamed.remove(reference));
        Ok(true)
    }

    /// Removes a key. Returns `false` if it does not exist.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] if a needed page is damaged, and [`Error::Io`] if the system
    /// refuses.
    pub fn remove_key(&mut self, key: &[u8]) -> Result<bool> {
        self.operations.need_room(key.len())?;
        let is_removed = self.change(|writer| edit::remove(&mut writer.working, key))?;
        if is_removed {
            self.operations.push(JournalOp::DeleteKey(key))?;
        }
        Ok(is_removed)
    }

    /// True if the index holds exactly this key.
    ///
    /// # Errors
    /// The errors of [`Snapshot::contains_key`](crate::store::Snapshot::contains_key).
    pub fn contains_key(&self, key: &[u8]) -> Result<bool> {
        edit::contains(&self.writer.working, key)
    }

    /// The keys of a range at present. Later changes do not show.
    pub fn keys(&self, range: KeyRange, direction: Direction) -> Scan {
        Scan::new(
            Arc::new(self.writer.working.image().clone()),
            range,
            direction,
        )
    }

    /// The first key that begins with `prefix`, if any.
    ///
    /// # Errors
    /// The errors of [`contains_key`](Self::contains_key).
    pub fn find(&self, prefix: &[u8]) -> Result<Option<Key>> {
        self.keys(KeyRange::prefix(prefix), Direction::Forward)
            .next()
            .transpose()
    }

    /// The address of the record that `key` names.
    ///
    /// # Errors
    /// The errors of [`Snapshot::reference`](crate::store::Snapshot::reference).
    pub fn reference(&self, key: &[u8]) -> Result<Option<RecordRef>> {
        edit::reference(&self.writer.working, key)
    }

    /// The bytes of a record.
    ///
    /// # Errors
    /// The errors of [`Snapshot::record`](crate::store::Snapshot::record).
    pub fn record(&self, reference: RecordRef) -> Result<Vec<u8>> {
        record::record(self.writer.working.image(), reference)
    }

    /// The present state for reading. Later changes do not show.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(Arc::new(self.writer.working.image().clone()))
    }

    /// The greatest time stamp of any object of the repository; 0 while unknown.
    pub(crate) fn last_stamp(&self) -> &AtomicU64 {
        &self.shared.last_stamp
    }

    /// True if all references into missing namespaces are known. The caller records those that it
    /// adds from now on.
    pub(crate) fn keep_referrers(&mut self) -> bool {
        self.keeps_referrers |=
            self.shared.referrers.lock().whole_at == Some(self.writer.next_commit);
        self.keeps_referrers
    }

    /// Forgets the references into missing namespaces, because a change may not be recorded.
    pub(crate) fn forget_referrers(&mut self) {
        self.shared.referrers.lock().clear();
        self.keeps_referrers = false;
    }

    /// Marks all references as known, because the caller adds them all from now on. If the
    /// transaction is rolled back, nothing is known, since the caller has not seen the state before
    /// its earlier changes.
    pub(crate) fn find_referrers(&mut self) {
        let mut referrers = self.shared.referrers.lock();
        referrers.clear();
        referrers.whole_at = self
            .operations
            .is_empty()
            .then_some(self.writer.next_commit);
        drop(referrers);
        self.keeps_referrers = true;
    }

    /// Adds a reference into a missing namespace.
    pub(crate) fn add_referrer(&mut self, target: &str, referrer: Referrer) {
        if self.keeps_referrers && !self.shared.referrers.lock().add(target, referrer) {
            self.forget_referrers();
        }
    }

    /// The instances that refer, or have referred, into a missing namespace.
    pub(crate) fn referrers_into(&self, target: &str) -> Vec<Referrer> {
        self.shared.referrers.lock().leading_into(target)
    }

    /// Marks the present point. Savepoints may be nested; rolling back to one ends those after it.
    pub fn savepoint(&mut self) -> Savepoint {
        Savepoint {
            mark: self.writer.working.mark(),
            heap: self.writer.heap.as_ref().map_or(0, HeapEditor::mark),
            operations: self.operations.payload_len(),
            unnamed: self.unnamed.clone(),
        }
    }

    /// Undoes the changes since a savepoint of this transaction.
    pub fn roll_back(&mut self, to: Savepoint) {
        let is_whole = self.shared.referrers.lock().whole_at.is_some();
        if self.keeps_referrers && !is_whole {
            // They were found in a state that this may undo.
            self.forget_referrers();
        }
        self.operations.truncate(to.operations);
        self.unnamed = to.unnamed.clone();
        self.restore(to);
        self.is_broken = false;
    }

    /// Makes the changes permanent. With the durability [`Journal`](Durability::Journal) they are
    /// durable when this returns.
    ///
    /// # Errors
    /// Returns [`Error::InvalidArgument`] if a record is named by no key or no key would be left.
    /// Returns [`Error::Io`] if the system refuses; nothing has changed then, and the caller may
    /// try again. Returns [`Error::Unconfirmed`] if the last sync fails; then it is unknown whether
    /// the commit will survive a loss of power, and the engine writes nothing more until it is
    /// opened again (`docs::invariants`, W-12).
    pub fn commit(self) -> Result<()> {
        self.shared.check()?;
        self.check_complete()?;
        if self.operations.is_empty() {
            return Ok(());
        }
        let shared = self.shared.clone();
        if self.keeps_referrers {
            shared.referrers.lock().whole_at = Some(self.writer.next_commit + 1);
        }
        let committed = self.commit_changes();
        if committed.is_err() {
            shared.referrers.lock().clear();
        }
        committed
    }

    fn commit_changes(mut self) -> Result<()> {
        match self.durability {
            Durability::Journal if !self.writer.is_unlogged => self.commit_to_journal(),
            Durability::None => {
                self.writer.is_unlogged = true;
                let image = self.finish();
                self.shared
                    .group
                    .overtake(image, |image| self.shared.publish(image));
                Ok(())
            }
            // W-11, or the request of the caller.
            Durability::Journal | Durability::Checkpoint => {
                let shared = self.shared.clone();
                shared.commit_by_checkpoint(&mut self.writer)?;
                self.is_done = true;
                Ok(())
            }
        }
    }

    fn check_complete(&self) -> Result<()> {
        if self.is_broken {
            return Err(change_failed());
        }
        if let Some(reference) = self.unnamed.iter().min() {
            return Err(Error::invalid(
                Misuse::UnnamedRecord,
                format!("the record {reference} is named by no key"),
            ));
        }
        self.check_size()?;
        match self.writer.working.image().overlay().root() {
            Some(None) => Err(Error::invalid(
                Misuse::LastKey,
                "the last key cannot be removed: a repository holds one at least",
            )),
            _ => Ok(()),
        }
    }

    /// Ensures that a checkpoint can write what the journal accepts, since the size of a mapping
    /// file is limited. The estimate is an upper bound, because the free pages depend on the
    /// places.
    fn check_size(&self) -> Result<()> {
        let image = self.writer.working.image();
        let bytes = Space::ALL.map(|space| {
            let physical = u64::from(image.base().mapping().section(space).physical_pages);
            let free = physical + image.overlay().table(space).len() as u64;
            SECTION_BYTES + ENTRY_BYTES * u64::from(image.logical_pages(space)) + FREE_BYTES * free
        });
        check_mapping_size(bytes.iter().sum())
    }

    fn commit_to_journal(mut self) -> Result<()> {
        let shared = self.shared.clone();
        let number = self.writer.next_commit;
        let file = shared.append(&mut self.writer, &mut self.operations, number)?;
        let image = self.finish();
        shared.group.append(number, image, file);
        drop(self);
        shared.wait(number)
    }

    /// Makes the changes part of the state. Returns the state.
    fn finish(&mut self) -> Arc<crate::pager::state::image::Image> {
        self.is_done = true;
        self.writer.next_commit += 1;
        self.writer.settle();
        Arc::new(self.writer.working.image().clone())
    }

    /// Runs a change. If it fails half-way, the transaction is broken.
    fn change<T>(&mut self, change: impl FnOnce(&mut Writer) -> Result<T>) -> Result<T> {
        if self.is_broken {
            return Err(change_failed());
        }
        self.is_broken = true;
        self.writer.working.begin_step();
        let heap = self.writer.heap.as_ref().map_or(0, HeapEditor::mark);
        let result = change(&mut self.writer);
        self.writer.working.end_step(result.is_ok());
        if result.is_err() {
            self.writer
                .heap
                .iter_mut()
                .for_each(|editor| editor.roll_back(heap));
        }
        self.is_broken = false;
        result
    }

    fn restore(&mut self, to: Savepoint) {
        self.writer.working.roll_back(to.mark);
        self.writer
            .heap
            .iter_mut()
            .for_each(|heap| heap.roll_back(to.heap));
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.restore(self.begin.clone());
        }
        if self.operations.payload_len() <= MAX_SPARE {
            self.writer.spare = std::mem::take(&mut self.operations);
            self.writer.spare.truncate(0);
        }
    }
}

impl Writer {
    /// Makes the changes of the transaction final.
    pub(super) fn settle(&mut self) {
        self.working.commit();
        self.heap.iter_mut().for_each(HeapEditor::commit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::layout::Records;
    use crate::heap::record_ids::RecordIds;
    use crate::pager::state::draft_node::written;
    use crate::storage::{Directory, MemStorage};
    use crate::store::BulkBuilder;
    use crate::store::EngineOptions;
    use std::time::Duration;

    fn engine() -> Engine {
        let directory = Directory::new(Arc::new(MemStorage::new()), ".");
        let mut builder = BulkBuilder::create_seeded(directory.clone(), 1).unwrap();
        builder.key(b"NS_0\\FIRST", None).unwrap();
        builder.finish().unwrap();
        let options = EngineOptions::new()
            .background(false)
            .checkpoint_at(u64::MAX, Duration::MAX);
        options.open_in(&directory).unwrap()
    }

    fn key(number: u32) -> Vec<u8> {
        format!(
            "NS_{}\\CD_{:08X}{number:056X}",
            number % 7,
            number.wrapping_mul(0x9E37_79B9)
        )
        .into_bytes()
    }

    fn pages(engine: &Engine) -> usize {
        engine
            .shared
            .writer
            .lock()
            .working
            .image()
            .overlay()
            .table(Space::Index)
            .len()
    }

    #[test]
    fn thousands_of_keys_in_one_transaction_write_each_page_once() {
        let engine = engine();
        let before = written::pages();
        let mut transaction = engine.begin_write().unwrap();
        for number in 0..20_000 {
            assert!(transaction.insert_key(&key(number)).unwrap());
            assert!(
                transaction.contains_key(&key(number / 2)).unwrap(),
                "the transaction sees what it did"
            );
        }
        for number in (0..20_000).step_by(3) {
            assert!(transaction.remove_key(&key(number)).unwrap());
        }
        assert_eq!(
            written::pages(),
            before,
            "no page is written while keys come and go"
        );
        transaction.commit().unwrap();
        assert_eq!(
            written::pages(),
            before,
            "the journal has the keys, and no one has asked for a page"
        );
        let count = pages(&engine);
        assert!(count > 100, "{count} pages");
        let snapshot = engine.snapshot();
        for _ in 0..2 {
            let keys = snapshot
                .keys(KeyRange::all(), Direction::Forward)
                .map(Result::unwrap)
                .count();
            assert_eq!(keys, 1 + 20_000 - 20_000_usize.div_ceil(3));
        }
        engine.checkpoint().unwrap();
        // The table also has pages that were released again in between and never written.
        let wrote = written::pages() - before;
        assert!(
            wrote <= count && wrote > count / 2,
            "{wrote} of {count} pages"
        );
        // A few keys in one page of many write that page. The unchanged pages above it are not
        // written.
        let before = written::pages();
        let mut transaction = engine.begin_write().unwrap();
        (0..8).for_each(|number| {
            assert!(
                transaction
                    .insert_key(format!("NS_1\\CD_0\\{number}").as_bytes())
                    .unwrap()
            )
        });
        transaction.commit().unwrap();
        engine.checkpoint().unwrap();
        assert_eq!(written::pages() - before, 1);
    }

    #[test]
    fn the_ids_of_all_records_are_known_without_reading_them() {
        let directory = Directory::new(Arc::new(MemStorage::new()), ".");
        let mut builder = BulkBuilder::create_seeded(directory.clone(), 1).unwrap();
        for number in 0..400u32 {
            // Pages of many small records, pages of a few large ones, and records on several pages.
            let size = [3, 10, 900, 30_000][usize::try_from(number / 100).unwrap()];
            let record = builder.record(&vec![7; size]).unwrap();
            builder
                .key(format!("NS_0\\CD_{number:04}").as_bytes(), Some(record))
                .unwrap();
        }
        builder.finish().unwrap();
        let engine = EngineOptions::new()
            .background(false)
            .open_in(&directory)
            .unwrap();
        let mut transaction = engine.begin_write().unwrap();
        for number in 0..50 {
            let record = transaction.insert_record(&[1; 20]).unwrap();
            transaction
                .insert_key(format!("NS_0\\CE_{number}.{record}").as_bytes())
                .unwrap();
        }
        transaction.commit().unwrap();
        let image = engine.snapshot().image().clone();
        let ids = RecordIds::of_heap(&image);
        let records: Vec<RecordRef> = Records::new(image)
            .map(Result::unwrap)
            .filter(|record| record.id != 1)
            .collect();
        assert_eq!(records.len(), 350);
        assert!(records.iter().all(|record| ids.may_have(record.id)));
        assert!(
            (2..20_000).filter(|id| ids.may_have(id << 17)).count() < 1000,
            "most are free"
        );
    }

    #[test]
    fn own_reads_savepoints_and_aborts_see_every_key_where_it_is() {
        let engine = engine();
        let mut transaction = engine.begin_write().unwrap();
        let scan = |transaction: &Transaction<'_>| {
            transaction
                .keys(KeyRange::all(), Direction::Forward)
                .count()
        };
        (0..500).for_each(|number| assert!(transaction.insert_key(&key(number)).unwrap()));
        let held = transaction.keys(KeyRange::all(), Direction::Forward);
        let savepoint = transaction.savepoint();
        (500..1000).for_each(|number| assert!(transaction.insert_key(&key(number)).unwrap()));
        (0..100).for_each(|number| assert!(transaction.remove_key(&key(number)).unwrap()));
        assert_eq!((scan(&transaction), held.count()), (901, 501));
        transaction.roll_back(savepoint);
        assert_eq!(scan(&transaction), 501);
        assert!(
            transaction.contains_key(&key(0)).unwrap()
                && !transaction.contains_key(&key(500)).unwrap()
        );
        transaction.commit().unwrap();
        let mut transaction = engine.begin_write().unwrap();
        (0..400).for_each(|number| assert!(transaction.remove_key(&key(number)).unwrap()));
        drop(transaction);
        assert_eq!(
            engine
                .snapshot()
                .keys(KeyRange::all(), Direction::Forward)
                .count(),
            501
        );
    }
}
