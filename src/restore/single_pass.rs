//! Checking a backup and writing it to where nothing is, in one pass: each page is written under a temporary name when it has
//! been read and its digest is right. Only when the repository that they make up is right too do the files get their names.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::backup::{Backup, PageSink};
use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PhysicalPage, Space};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::format::mapping::Mapping;
use crate::pager::fresh::DataWriter;

use super::{RestoreOptions, refuse_findings};

/// A sync is begun beside the writing each time so many bytes were written.
const EARLY_SYNC_BYTES: usize = 8 << 20;

/// Writes all pages to their places in `mapping`, and checks everything. An error says that what was written is not to be used.
pub(super) fn write(
    backup: &Backup,
    mapping: &Mapping,
    data: &Arc<DataWriter>,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<u64> {
    let sink = Writer { mapping: mapping.clone(), data: data.clone(), since_sync: AtomicUsize::new(0) };
    let report = backup.verify_into(Box::new(sink), options.verify(), observer)?.repository;
    refuse_findings(backup, report)?;
    let pages = Space::ALL.map(|space| u64::from(mapping.section(space).mapped_count())).into_iter().sum();
    // The last question whether to go on.
    Monitor::new(observer, Phase::Restore, pages).advance(pages)?;
    Ok(pages)
}

#[derive(Debug)]
struct Writer {
    mapping: Mapping,
    data: Arc<DataWriter>,
    since_sync: AtomicUsize,
}

impl PageSink for Writer {
    fn take(&self, space: Space, pages: &[LogicalPage], mut bytes: &[u8]) -> Result<()> {
        let section = self.mapping.section(space);
        let places: Vec<PhysicalPage> = pages.iter().filter_map(|&page| section.resolve(page)).collect();
        // What is mapped is what the backup holds: that was checked when it was opened.
        debug_assert_eq!((places.len(), bytes.len()), (pages.len(), pages.len() * PAGE_SIZE), "all pages are mapped");
        for run in places.chunk_by(|before, next| before.checked_add(1) == Some(*next)) {
            let (now, rest) = bytes.split_at_checked(run.len() * PAGE_SIZE).unwrap_or_default();
            if let Some(&first) = run.first() {
                self.data.write_pages(space, first, now)?;
                self.sync_now_and_then(space, now.len());
            }
            bytes = rest;
        }
        Ok(())
    }
}

impl Writer {
    fn sync_now_and_then(&self, space: Space, written: usize) {
        let before = self.since_sync.fetch_add(written, Ordering::Relaxed);
        if before / EARLY_SYNC_BYTES != (before + written) / EARLY_SYNC_BYTES {
            self.data.sync_early(space);
        }
    }
}
