//! The pages of a backup as a repository to verify, where each page is also passed on when its
//! chunk is first read. A restore thus writes pages while they are checked, and need not read them
//! twice or keep them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, Space};
use crate::base::progress::Observer;
use crate::pager::page::source::{PageSource, Reading};
use crate::pager::state::image::{DEFAULT_CACHE_PAGES, Image};
use crate::storage::Protection;
use crate::store::Snapshot;
use crate::verify::VerifyOptions;

use super::chain::{Chain, Held};
use super::codec::Payload;
use super::read::Backup;
use super::verify::BackupReport;

/// Receives the pages of a backup, from several threads.
pub(crate) trait PageSink: std::fmt::Debug + Send + Sync {
    /// Receives pages of a space with their bytes, which match their digests. Every mapped page is
    /// passed once.
    fn take(&self, space: Space, pages: &[LogicalPage], bytes: &[u8]) -> Result<()>;
}

impl Backup {
    /// Verifies the backup like [`verify`](Self::verify) and passes every page of its repository to
    /// `sink` in the process. The report decides in the end whether the pages can be used. If it
    /// has findings, some pages may not have been passed.
    pub(crate) fn verify_into(
        &self,
        sink: Box<dyn PageSink>,
        options: VerifyOptions,
        observer: &dyn Observer,
    ) -> Result<BackupReport> {
        let tee = Arc::new(Tee {
            plan: plan(self)?,
            chain: self.chain().clone(),
            sink,
        });
        let (mapping, role) = (
            self.snapshot().mapping().clone(),
            self.snapshot().image().mapping_role(),
        );
        let image = Image::new(mapping, role, Box::new(tee.clone()), DEFAULT_CACHE_PAGES);
        let report = self.verify_as(&Snapshot::new(Arc::new(image)), options, observer)?;
        if report.repository.can_be_built_on() {
            tee.hand_on_rest()?;
        }
        Ok(report)
    }
}

/// The pages to pass on, by backup of the chain and by chunk.
type Plan = BTreeMap<(usize, usize), Planned>;

/// The pages of a chunk that belong to the repository.
#[derive(Debug)]
struct Planned {
    space: Space,
    /// Number in the chunk, and the page of the repository, ascending. Equal pages are stored once
    /// in the chunk.
    pages: Vec<(usize, LogicalPage)>,
    /// True once they have been passed on or are being passed on.
    taken: AtomicBool,
}

/// The places of all mapped pages.
fn plan(backup: &Backup) -> Result<Plan> {
    let snapshot = backup.snapshot();
    let mut plan = Plan::new();
    for space in Space::ALL {
        for (page, physical, _) in snapshot.mapping().section(space).mapped() {
            let held = backup.chain().find(space, page, physical)?;
            let planned = plan.entry((held.number, held.chunk));
            let planned = planned.or_insert_with(|| Planned {
                space,
                pages: Vec::new(),
                taken: AtomicBool::new(false),
            });
            planned.pages.push((held.slot, page));
        }
    }
    plan.values_mut()
        .for_each(|planned| planned.pages.sort_unstable());
    Ok(plan)
}

#[derive(Debug)]
struct Tee {
    plan: Plan,
    chain: Arc<Chain>,
    sink: Box<dyn PageSink>,
}

impl Tee {
    /// Passes on the planned pages of a chunk, unless that was done. An error ends the
    /// verification, so that no other thread relies on them.
    fn hand_on(&self, held: &Held<'_>, raw: &Payload) -> Result<()> {
        let Some(planned) = self.plan.get(&(held.number, held.chunk)) else {
            return Ok(());
        };
        if planned.taken.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        for run in planned
            .pages
            .chunk_by(|(before, _), (slot, _)| before + 1 == *slot)
        {
            let Some(&(first, _)) = run.first() else {
                continue;
            };
            let pages: Vec<LogicalPage> = run.iter().map(|(_, page)| *page).collect();
            let bytes = raw.get(first * PAGE_SIZE..(first + run.len()) * PAGE_SIZE);
            self.sink.take(
                planned.space,
                &pages,
                bytes.ok_or_else(|| held.link.too_short(held.chunk))?,
            )?;
        }
        Ok(())
    }

    /// Passes on the pages that nothing has read.
    fn hand_on_rest(&self) -> Result<()> {
        for planned in self
            .plan
            .values()
            .filter(|planned| !planned.taken.load(Ordering::Relaxed))
        {
            let page = planned
                .pages
                .first()
                .and_then(|(_, page)| self.chain.holder(planned.space, *page));
            if let Some(held) = page {
                self.hand_on(&held, &*held.chunk(planned.space, Reading::Passing)?)?;
            }
        }
        Ok(())
    }
}

impl PageSource for Arc<Tee> {
    fn has(&self, space: Space) -> bool {
        self.chain.has(space)
    }

    fn protection(&self) -> Protection {
        self.chain.protection()
    }

    fn read(
        &self,
        space: Space,
        page: LogicalPage,
        physical: PhysicalPage,
        how: Reading,
        into: &mut PageBytes,
    ) -> Result<()> {
        let held = self.chain.find(space, page, physical)?;
        let raw = held.chunk(space, how)?;
        self.hand_on(&held, &raw)?;
        held.copy(&raw, into)
    }
}
