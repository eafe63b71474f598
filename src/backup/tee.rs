//! The pages of a backup as a repository to verify, each handed on besides when it is first read: so that a restore writes them
//! while they are checked, and needs neither to read them twice nor to keep them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::error::{BackupFault, Result};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, Space};
use crate::base::parallel::thread_count;
use crate::base::progress::Observer;
use crate::format::backup_file::ChunkKind;
use crate::format::manifest::PageState;
use crate::pager::image::{DEFAULT_CACHE_PAGES, Image};
use crate::pager::source::PageSource;
use crate::repository::Snapshot;
use crate::verify::VerifyOptions;

use super::chain::Chain;
use super::codec::Payload;
use super::pages::split_pages;
use super::read::Backup;
use super::verify::BackupReport;

/// Takes the pages of a backup, from several threads.
pub(crate) trait PageSink: std::fmt::Debug + Send + Sync {
    /// Takes pages of a space, in ascending order, and their bytes, which match their digests. Comes once for each page.
    fn take(&self, space: Space, pages: &[LogicalPage], bytes: &[u8]) -> Result<()>;
}

impl Backup {
    /// As [`verify`](Self::verify), with every page of the repository in it handed to `sink` while that goes on. Whether the
    /// pages are worth anything the report says in the end. Of a forensic backup, whose pages may be the same, not all come.
    pub(crate) fn verify_into(
        &self,
        sink: Box<dyn PageSink>,
        options: VerifyOptions,
        observer: &dyn Observer,
    ) -> Result<BackupReport> {
        let chain = self.chain().clone();
        let taken = chain.links().map(|link| link.manifest.chunks.iter().map(|_| AtomicBool::new(false)).collect());
        let tee = Arc::new(Tee { taken: taken.collect(), chain, sink });
        let (mapping, role) = (self.snapshot().mapping().clone(), self.snapshot().image().mapping_role());
        let image = Image::new(mapping, role, Box::new(tee.clone()), DEFAULT_CACHE_PAGES);
        let report = self.verify_as(&Snapshot::new(Arc::new(image)), options, observer)?;
        tee.hand_on_rest(thread_count(options.threads))?;
        Ok(report)
    }
}

#[derive(Debug)]
struct Tee {
    chain: Arc<Chain>,
    /// By backup of the chain and number: the chunks that were handed on, or are being so.
    taken: Vec<Vec<AtomicBool>>,
    sink: Box<dyn PageSink>,
}

impl Tee {
    /// Hands a chunk's pages on, unless that was done.
    fn hand_on(&self, link: usize, chunk: usize, raw: &Payload) -> Result<()> {
        let taken = self.taken.get(link).and_then(|chunks| chunks.get(chunk));
        if taken.is_none_or(|taken| taken.swap(true, Ordering::Relaxed)) {
            return Ok(());
        }
        let Some(backup) = self.chain.links().nth(link) else { return Ok(()) };
        let Some(entry) = backup.manifest.chunks.get(chunk) else { return Ok(()) };
        let ChunkKind::Pages(space) = entry.header.kind else { return Ok(()) };
        let structure = || backup.fault(BackupFault::Structure(format!("chunk {chunk} is too short")));
        let (bytes, numbers) = split_pages(&entry.header, raw).ok_or_else(structure)?;
        let pages: Vec<LogicalPage> = numbers.into_iter().filter_map(LogicalPage::new).collect();
        if link == 0 {
            return self.sink.take(space, &pages, bytes);
        }
        for (page, bytes) in pages.iter().zip(bytes.chunks_exact(PAGE_SIZE)) {
            if self.is_needed_from(link, space, *page) {
                self.sink.take(space, std::slice::from_ref(page), bytes)?;
            }
        }
        Ok(())
    }

    /// Whether a page that a base holds is one of the repository: there still, and in no later backup otherwise.
    fn is_needed_from(&self, link: usize, space: Space, page: LogicalPage) -> bool {
        matches!(self.chain.top.manifest.space(space).page(page), PageState::InBase(_))
            && self.chain.holder(space, page).is_some_and(|found| (found.number, found.page) == (link, page))
    }

    /// Hands on what nothing has read.
    fn hand_on_rest(&self, threads: usize) -> Result<()> {
        for (number, link) in self.chain.links().enumerate() {
            let chunks = crate::base::narrow(link.manifest.chunks.len());
            let done = crate::base::parallel::split(chunks, 1, threads, |range| {
                range.map(crate::base::widen).try_for_each(|chunk| self.hand_on_unread(number, chunk))
            });
            done.into_iter().collect::<Result<()>>()?;
        }
        Ok(())
    }

    fn hand_on_unread(&self, number: usize, chunk: usize) -> Result<()> {
        let taken = self.taken.get(number).and_then(|chunks| chunks.get(chunk));
        let Some(link) = self.chain.links().nth(number) else { return Ok(()) };
        let is_pages =
            matches!(link.manifest.chunks.get(chunk).map(|entry| entry.header.kind), Some(ChunkKind::Pages(_)));
        if !is_pages || taken.is_none_or(|taken| taken.load(Ordering::Relaxed)) {
            return Ok(());
        }
        self.hand_on(number, chunk, &*link.passing_chunk(chunk)?)
    }
}

impl PageSource for Arc<Tee> {
    fn has(&self, space: Space) -> bool {
        self.chain.has(space)
    }

    fn read(&self, space: Space, page: LogicalPage, physical: PhysicalPage, into: &mut PageBytes) -> Result<()> {
        let found = self.chain.find(space, page, physical)?;
        let raw = found.link.chunk(found.chunk)?;
        self.hand_on(found.number, found.chunk, &raw)?;
        found.copy(&raw, into)
    }

    fn read_passing(
        &self,
        space: Space,
        page: LogicalPage,
        physical: PhysicalPage,
        into: &mut PageBytes,
    ) -> Result<()> {
        let found = self.chain.find(space, page, physical)?;
        let raw = found.passing(space)?;
        self.hand_on(found.number, found.chunk, &raw)?;
        found.copy(&raw, into)
    }
}
