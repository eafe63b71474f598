//! Checking a backup and writing it to an empty target in one pass. Each page is written under a
//! temporary file name once it has been read and its digest is right. The files get their names
//! only after the repository that they form has been found right too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::backup::{Backup, PageSink};
use crate::base::error::{BackupFault, Error, Result};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PhysicalPage, Space};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::format::mapping::Mapping;
use crate::pager::generation::fresh::DataWriter;

use super::{RestoreOptions, refuse_findings};

/// Writes all pages to their places in `mapping`, and checks everything. After an error the written
/// pages must not be used.
pub(super) fn write(
    backup: &Backup,
    mapping: &Mapping,
    data: &Arc<DataWriter>,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<u64> {
    let written = Arc::new(AtomicU64::new(0));
    let sink = Writer {
        mapping: mapping.clone(),
        data: data.clone(),
        written: written.clone(),
    };
    let report = backup
        .verify_into(Box::new(sink), options.verify(), observer)?
        .repository;
    refuse_findings(backup, report)?;
    let pages = Space::ALL
        .map(|space| u64::from(mapping.section(space).mapped_count()))
        .into_iter()
        .sum();
    if written.load(Ordering::Relaxed) != pages {
        return Err(not_all(backup));
    }
    // The last question to the observer whether to go on.
    Monitor::new(observer, Phase::Restore, pages).advance(pages)?;
    Ok(pages)
}

fn not_all(backup: &Backup) -> Error {
    let text = "not every page of the repository in it can be written to a place of its own";
    Error::backup(backup.path(), BackupFault::Structure(text.to_owned()))
}

#[derive(Debug)]
struct Writer {
    mapping: Mapping,
    data: Arc<DataWriter>,
    /// Number of pages written.
    written: Arc<AtomicU64>,
}

impl PageSink for Writer {
    fn take(&self, space: Space, pages: &[LogicalPage], mut bytes: &[u8]) -> Result<()> {
        let section = self.mapping.section(space);
        // A page without a place is not counted, so that the total reveals it in the end.
        let places: Vec<Option<PhysicalPage>> =
            pages.iter().map(|&page| section.resolve(page)).collect();
        let follows = |before: &Option<PhysicalPage>, next: &Option<PhysicalPage>| {
            before
                .and_then(|before| before.checked_add(1))
                .is_some_and(|following| *next == Some(following))
        };
        for run in places.chunk_by(follows) {
            let Some((now, rest)) = bytes.split_at_checked(run.len() * PAGE_SIZE) else {
                return Ok(());
            };
            if let Some(&Some(first)) = run.first() {
                self.data.write_and_sync_early(space, first, now)?;
                self.written.fetch_add(run.len() as u64, Ordering::Relaxed);
            }
            bytes = rest;
        }
        Ok(())
    }
}
