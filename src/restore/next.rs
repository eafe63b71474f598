//! Restoring over a healthy repository of dialect 2.2: the content of the backup becomes its next
//! generation.

use std::ops::Range;

use crate::backup::Backup;
use crate::base::error::{Error, Result};
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PhysicalPage, Space};
use crate::base::parallel::ordered;
use crate::base::progress::{Monitor, Observer, Phase};
use crate::format::Dialect;
use crate::format::heap::page::{ObjectPage, pages_of};
use crate::format::mapping::{Mapping, MappingEntry, MappingSection};
use crate::heap::layout::count_as_written_at_once;
use crate::pager::generation::commit::{
    FreePages, NextGeneration, next_number, next_section, unmapped_entry,
};
use crate::pager::generation::{Generation, read_all};
use crate::pager::journal;
use crate::pager::state::image::Image;
use crate::storage::Directory;
use crate::store::{OpenOptions, Repository};
use crate::verify::{GenerationReport, VerifyOptions, verify};

use super::{Installed, RestoreOptions, RestoreSummary};

/// Number of pages compared or written in one piece of work.
const BATCH: usize = 64;

/// The repository, if it can take a next generation: its dialect is 2.2 and it has no fault. A
/// repository that the system refuses to read does not qualify. A disk that loses pages is a reason
/// to restore, not a reason to fail.
pub(crate) fn healthy(
    directory: &Directory,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<Option<Repository>> {
    match judge(directory, options, observer) {
        Err(Error::Cancelled) => Err(Error::Cancelled),
        judged => Ok(judged.ok().flatten()),
    }
}

fn judge(
    directory: &Directory,
    options: RestoreOptions,
    observer: &dyn Observer,
) -> Result<Option<Repository>> {
    // The next generation builds on the current one; commits in a journal are discarded.
    let repository = OpenOptions::new().without_journal().open_in(directory)?;
    let is_plain = repository.dialect() == Dialect::V22 && repository.is_whole();
    if !is_plain || repository.missing().next().is_some() {
        return Ok(None);
    }
    let (on_disk, _) = read_all(repository.files(), &repository.files().open_data()?)?;
    next_number(&on_disk, repository.snapshot().image().mapping_role())?;
    let verify_options = VerifyOptions {
        threads: options.threads,
        all_generations: false,
    };
    let report = verify(&repository, verify_options, observer)?;
    Ok(report
        .generations
        .iter()
        .all(GenerationReport::can_be_built_on)
        .then_some(repository))
}

/// Commits the content of the backup as the next generation.
pub(crate) fn over(
    backup: &Backup,
    current: &Repository,
    threads: usize,
    observer: &dyn Observer,
) -> Result<RestoreSummary> {
    let (on_disk, _) = read_all(current.files(), &current.files().open_data()?)?;
    let next = NextGeneration::begin(
        current.files().clone(),
        &on_disk,
        current.snapshot().image().mapping_role(),
    )?;
    let (old, new) = (current.snapshot(), backup.snapshot());
    let restore = Restore {
        old: old.image(),
        new: new.image(),
        on_disk: &on_disk,
        pinned: &[],
        held: [&[]; 2],
        next: &next,
        threads,
        observer,
    };
    let written = restore.write();
    let Written {
        objects,
        index,
        pages_written,
        pages_kept,
    } = match written {
        Ok(written) => written,
        Err(error) => {
            next.abort();
            return Err(error);
        }
    };
    let generation = next.generation();
    let mapping = next.seal(objects, index, next.transaction(), 1);
    next.publish(&mapping.to_bytes())?;
    // J-7: the generation that the journals continue has been replaced, durably. If one remains
    // because its removal fails, it is stale, or continues a later generation and is reported at
    // the next opening.
    for (_, name) in current.files().journals() {
        journal::remove(&current.files().directory, name).ok();
    }
    let installed = Installed::NextGeneration { generation };
    let directory = current.files().directory.path.clone();
    let waiting_commits = current.journal().commits();
    Ok(RestoreSummary {
        installed,
        directory,
        pages_written,
        pages_kept,
        findings: 0,
        waiting_commits,
    })
}

/// The new content, and the repository whose next generation it becomes.
pub(super) struct Restore<'a> {
    pub old: &'a Image,
    pub new: &'a Image,
    pub on_disk: &'a [Generation],
    /// Generations that snapshots use (W-10).
    pub pinned: &'a [&'a Mapping],
    /// For each space, pages at the end of the free list that are left alone.
    pub held: [&'a [PhysicalPage]; 2],
    pub next: &'a NextGeneration,
    pub threads: usize,
    pub observer: &'a dyn Observer,
}

pub(super) struct Written {
    pub objects: MappingSection,
    pub index: MappingSection,
    pub pages_written: u64,
    pub pages_kept: u64,
}

/// The result of comparing new pages.
#[derive(Debug, Default)]
struct Compared {
    /// The pages whose content differs from the repository's.
    changed: Vec<LogicalPage>,
    /// Pages that look like the first of a multi-page record, with the size of the record. Pages
    /// inside a record may look so too.
    heads: Vec<(LogicalPage, u32)>,
}

/// The ranges of logical pages of the multi-page records, ascending, derived from pages that look
/// like a first page.
fn multi_page_records(heads: &[(LogicalPage, u32)]) -> Vec<Range<u32>> {
    let mut records: Vec<Range<u32>> = Vec::new();
    for &(page, size) in heads {
        if records.last().is_none_or(|before| before.end <= page.get()) {
            records.push(page.get()..page.get().saturating_add(pages_of(size)));
        }
    }
    records
}

impl Restore<'_> {
    pub(super) fn write(&self) -> Result<Written> {
        let total: u32 = Space::ALL
            .into_iter()
            .map(|space| self.new.mapping().section(space).mapped_count())
            .sum();
        let monitor = Monitor::new(self.observer, Phase::Restore, total.into());
        monitor.check()?;
        let (objects, objects_written) = self.space(Space::Objects, &monitor)?;
        let (index, index_written) = self.space(Space::Index, &monitor)?;
        let pages_written = objects_written + index_written;
        Ok(Written {
            objects,
            index,
            pages_written,
            pages_kept: u64::from(total) - pages_written,
        })
    }

    /// Writes the pages of a space that differ. Returns its section and the number of pages
    /// written.
    fn space(&self, space: Space, monitor: &Monitor<'_>) -> Result<(MappingSection, u64)> {
        let section = self.new.mapping().section(space);
        let pages: Vec<LogicalPage> = section.mapped().map(|(page, ..)| page).collect();
        let Compared { changed, heads } = self.compare(space, &pages, monitor)?;
        let [objects, index] = self.held;
        let held = if space == Space::Objects {
            objects
        } else {
            index
        };
        let mut free = FreePages::new(space, self.old.mapping(), self.on_disk, self.pinned, held);
        let placed = changed
            .into_iter()
            .map(|page| Ok((page, free.take()?)))
            .collect::<Result<Vec<_>>>()?;
        self.write_pages(space, &placed, monitor)?;
        let mut entries = self.entries(space, &placed);
        if space == Space::Objects {
            count_as_written_at_once(
                &mut entries,
                &multi_page_records(&heads),
                self.next.generation(),
            );
        }
        Ok((
            next_section(self.old.mapping().section(space), entries, free.size()),
            placed.len() as u64,
        ))
    }

    /// Compares the pages with those of the repository at the same logical pages.
    fn compare(
        &self,
        space: Space,
        pages: &[LogicalPage],
        monitor: &Monitor<'_>,
    ) -> Result<Compared> {
        let batches: Vec<&[LogicalPage]> = pages.chunks(BATCH).collect();
        let buffers = || (Box::new([0; PAGE_SIZE]), Box::new([0; PAGE_SIZE]));
        let work = |(old, new): &mut (Box<[u8; PAGE_SIZE]>, Box<[u8; PAGE_SIZE]>),
                    number: usize| {
            let mut found = Compared::default();
            for &page in batches.get(number).copied().unwrap_or_default() {
                // A page that is damaged or cannot be read is written.
                let is_there = self.old.mapping().section(space).resolve(page).is_some()
                    && self.old.read(space, page, old).is_ok();
                self.new.read(space, page, new)?;
                if let Some(head) = ObjectPage::new(new)
                    .multi_page_head()
                    .filter(|_| space == Space::Objects)
                {
                    found.heads.push((page, head.size));
                }
                if !is_there || old != new {
                    found.changed.push(page);
                } else {
                    monitor.advance(1)?;
                }
            }
            Ok::<_, Error>(found)
        };
        let mut all = Compared::default();
        ordered(batches.len(), self.threads, buffers, work, |found| {
            all.changed.extend(found.changed);
            all.heads.extend(found.heads);
            monitor.check()
        })?;
        Ok(all)
    }

    fn write_pages(
        &self,
        space: Space,
        placed: &[(LogicalPage, PhysicalPage)],
        monitor: &Monitor<'_>,
    ) -> Result<()> {
        let batches: Vec<&[(LogicalPage, PhysicalPage)]> = placed.chunks(BATCH).collect();
        let work = |bytes: &mut Box<[u8; PAGE_SIZE]>, number: usize| {
            for &(page, physical) in batches.get(number).copied().unwrap_or_default() {
                self.new.read(space, page, bytes)?;
                self.next.write_pages(space, physical, &bytes[..])?;
                monitor.advance(1)?;
            }
            Ok(())
        };
        ordered(
            batches.len(),
            self.threads,
            || Box::new([0; PAGE_SIZE]),
            work,
            |()| monitor.check(),
        )
    }

    /// The entries of the next generation. Written pages have new places, the others keep theirs.
    fn entries(&self, space: Space, placed: &[(LogicalPage, PhysicalPage)]) -> Vec<MappingEntry> {
        let generation = self.next.generation();
        let old = self.old.mapping().section(space);
        let mut placed = placed.iter().peekable();
        let mut entries = Vec::with_capacity(self.new.mapping().section(space).entries.len());
        for (number, entry) in (0..).zip(&self.new.mapping().section(space).entries) {
            let page = LogicalPage::new(number);
            let here = placed.next_if(|(changed, _)| Some(*changed) == page);
            let kept = page.and_then(|page| old.entry(page));
            entries.push(match (entry.physical, here, kept) {
                (None, ..) => MappingEntry {
                    user_data: entry.user_data,
                    ..unmapped_entry(entry.checksum, generation)
                },
                (Some(_), Some((_, physical)), _) => MappingEntry {
                    physical: Some(*physical),
                    last_write: generation,
                    ..*entry
                },
                (Some(_), None, Some(kept)) => MappingEntry {
                    physical: kept.physical,
                    last_write: kept.last_write,
                    ..*entry
                },
                // A page that was not written was found in the old mapping.
                (Some(_), None, None) => unmapped_entry(entry.checksum, generation),
            });
        }
        entries
    }
}
