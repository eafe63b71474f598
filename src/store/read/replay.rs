//! Replay of the commits of journals over a generation, in memory (`docs::journal`, "At open"), for
//! writers and for readers.

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::page_no::{LogicalPage, RecordRef, Space};
use crate::base::site::{FileRole, Site};
use crate::btree::edit;
use crate::format::heap::page::is_multi_page;
use crate::format::own::journal::{Commit, JournalOp};
use crate::heap::edit::HeapEditor;
use crate::pager::state::image::Image;
use crate::pager::state::working::Working;

/// Smallest number of bytes of operations for each new page that small records take. A writer takes
/// a new page only if no page has room, so any two new pages together hold at least a page of
/// records. This bound is a quarter of that.
const BYTES_PER_PAGE: u64 = 1024;

/// Number of new pages that are allowed before the bound applies.
const FIRST_PAGES: u64 = 64;

/// A generation, with the tools to replay commits over it.
#[derive(Debug)]
pub(crate) struct Replay {
    pub working: Working,
    /// Created at the first change of the heap.
    pub heap: Option<HeapEditor>,
    /// Bytes of operations so far.
    bytes: u64,
    /// New pages taken by records of less than a page.
    taken: u64,
}

impl Replay {
    pub fn new(image: Image) -> Self {
        Self {
            working: Working::new(image),
            heap: None,
            bytes: 0,
            taken: 0,
        }
    }

    /// Replays a commit completely, or not at all if an operation does not fit the state.
    pub fn commit(&mut self, commit: &Commit<'_>) -> Result<()> {
        let mark = self.working.mark();
        let heap_mark = self.heap.as_ref().map_or(0, HeapEditor::mark);
        let taken = self.taken;
        self.bytes = self.bytes.saturating_add(commit.payload.len() as u64);
        match self.apply_all(commit) {
            Ok(()) => {
                self.working.commit();
                self.heap.iter_mut().for_each(HeapEditor::commit);
                Ok(())
            }
            Err(error) => {
                self.working.roll_back(mark);
                self.heap
                    .iter_mut()
                    .for_each(|heap| heap.roll_back(heap_mark));
                self.taken = taken;
                Err(error)
            }
        }
    }

    fn apply_all(&mut self, commit: &Commit<'_>) -> Result<()> {
        for operation in commit.operations() {
            let does_not_fit = |detail: &str| {
                let detail = format!("commit {}: {detail}", commit.number);
                let site = Site::file(FileRole::Journal).at(commit.offset);
                Error::from(Corruption::new(
                    CorruptionCode::JournalOperation,
                    site,
                    detail,
                ))
            };
            match self.apply(operation?) {
                Ok(None) => {}
                Ok(Some(misfit)) => return Err(does_not_fit(misfit)),
                Err(error @ Error::Io { .. }) => return Err(error),
                // A damaged page, a missing record, or a bound that no writer exceeds.
                Err(error) => return Err(does_not_fit(&error.to_string())),
            }
        }
        Ok(())
    }

    /// Replays an operation. Returns the reason if it does not fit the state; no writer logs a
    /// change that has no effect.
    fn apply(&mut self, operation: JournalOp<'_>) -> Result<Option<&'static str>> {
        let working = &mut self.working;
        let misfit = |fits: bool, misfit| Ok((!fits).then_some(misfit));
        match operation {
            JournalOp::InsertKey(key) => misfit(
                edit::insert(working, key)?,
                "it inserts a key that is there already",
            ),
            JournalOp::DeleteKey(key) => misfit(
                edit::remove(working, key)?,
                "it deletes a key that is not there",
            ),
            JournalOp::PutRecord { page, id, bytes } => self.put(page, id, bytes),
            JournalOp::DeleteRecord(record) => self.delete(record).map(|()| None),
        }
    }

    fn put(&mut self, page: LogicalPage, id: u32, bytes: &[u8]) -> Result<Option<&'static str>> {
        let size = crate::base::narrow(bytes.len());
        if !is_multi_page(size) && !self.working.image().is_mapped(Space::Objects, page) {
            self.taken += 1;
            if self
                .taken
                .saturating_sub(FIRST_PAGES)
                .saturating_mul(BYTES_PER_PAGE)
                > self.bytes
            {
                return Ok(Some("it spreads records over more pages than they fill"));
            }
        }
        let heap = self
            .heap
            .get_or_insert_with(|| HeapEditor::new(&self.working));
        let put = heap.insert_at(&mut self.working, page, id, bytes)?;
        Ok(put
            .is_none()
            .then_some("it stores a record where another one is"))
    }

    fn delete(&mut self, record: RecordRef) -> Result<()> {
        let heap = self
            .heap
            .get_or_insert_with(|| HeapEditor::new(&self.working));
        heap.remove(&mut self.working, record)
    }
}
