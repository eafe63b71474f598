//! Verification of every invariant of `docs::format`. The level structure covers every page, every
//! table of contents and every key. Changes for which the format has no rule or checksum cannot be
//! detected (`docs::testing`). Nothing is changed, and a run never stops at its first finding.
//!
//! The mapping is checked first. Then the pages of the object heap are checked in parallel and
//! merged in order, while the subtrees of the index are checked in parallel. Finally the records
//! that keys name are compared with those in the heap. The higher levels, `references` and
//! `schema`, examine the content of the objects: [`verify_content`].

mod advice;
mod affected;
mod before_writing;
mod content;
mod index;
mod journal;
mod objects;
mod proof;
mod references;
mod report;
mod schema;

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::base::error::Result;
use crate::base::page_no::Space;
use crate::base::parallel::{both_watched, thread_count};
use crate::base::progress::{Monitor, Observer, Phase};
use crate::pager::generation::wholeness;
use crate::pager::generation::wholeness::Surroundings;
use crate::pager::generation::{Generation, read_all};
use crate::pager::state::image::Image;
use crate::store::{Repository, Snapshot};

use crate::base::findings::Findings;
pub use advice::{Advice, Advices};
pub use affected::{AffectedNamespace, NAMED, Touched, affected};
pub use content::{Level, verify_content};
pub use journal::{JournalReport, StateDifference};
pub use proof::{Disproof, Proof, prove};
pub(crate) use proof::{faults, later_commits};
pub use report::{GenerationReport, Report, Unchecked};

/// Options of a verification.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyOptions {
    /// Number of threads; one per processor by default.
    pub threads: Option<NonZeroUsize>,
    /// Check every generation on disk, not only the one that was opened.
    pub all_generations: bool,
}

/// Verifies a repository: the state that was opened and, if journals were replayed for it, the one
/// without them.
///
/// # Errors
/// Returns [`Error::Io`](crate::Error::Io) if the system refuses,
/// [`Error::Cancelled`](crate::Error::Cancelled) if the observer asks to stop, and
/// [`Error::Overtaken`](crate::Error::Overtaken) if another process overwrote what was being read.
/// Damage is not an error; it is in the report.
pub fn verify(
    repository: &Repository,
    options: VerifyOptions,
    observer: &dyn Observer,
) -> Result<Report> {
    let data = repository.files().open_data()?;
    let (mut generations, _) = read_all(repository.files(), &data)?;
    let current = repository.snapshot();
    let opened = current.image().mapping_role();
    generations.sort_by_key(|found| {
        (
            found.role != opened,
            std::cmp::Reverse(found.mapping.generation()),
        )
    });
    let mut reports = Vec::new();
    if !generations.iter().any(|found| found.role == opened) {
        // Dialect 2.1 with its single maps.
        let file_pages = Space::ALL.map(|space| data.pages(space));
        let around = Surroundings {
            role: opened,
            trailing_bytes: 0,
            file_pages,
        };
        let findings = wholeness::check(current.image().base().mapping(), around);
        reports.push(run(current.image(), findings, options, observer)?);
    }
    for Generation {
        role,
        mapping,
        findings,
        ..
    } in generations
    {
        if role == opened {
            reports.push(run(current.image(), findings, options, observer)?);
        } else if options.all_generations {
            let source = Box::new(repository.files().open_data()?);
            let image = Arc::new(Image::new(mapping, role, source, 0));
            reports.push(run(&image, findings, options, observer)?);
        }
    }
    let journal = JournalReport::of(repository.journal(), &current, options, observer)?;
    repository.ensure_unchanged()?;
    let (refused, all_generations) = (repository.refused().to_vec(), options.all_generations);
    Ok(Report {
        generations: reports,
        refused,
        all_generations,
        journal,
    })
}

/// Verifies a snapshot: one generation of a repository, or the content of a backup.
///
/// # Errors
/// The errors of [`verify`].
pub fn verify_snapshot(
    snapshot: &Snapshot,
    options: VerifyOptions,
    observer: &dyn Observer,
) -> Result<GenerationReport> {
    let image = snapshot.image();
    let around = Surroundings {
        role: image.mapping_role(),
        trailing_bytes: 0,
        file_pages: [None, None],
    };
    run(
        image,
        wholeness::check(image.mapping(), around),
        options,
        observer,
    )
}

fn run(
    image: &Arc<Image>,
    mapping_findings: Vec<crate::base::corruption::Corruption>,
    options: VerifyOptions,
    observer: &dyn Observer,
) -> Result<GenerationReport> {
    let threads = thread_count(options.threads);
    let mut findings = Findings::default();
    findings.extend(mapping_findings);
    let (mut heap, mut tree) = heap_and_tree(image, threads, observer)?;
    let mut unchecked = Vec::new();
    match &mut heap {
        Some(heap) => findings.absorb(std::mem::take(&mut heap.findings)),
        None => unchecked.push(Unchecked::NoObjects),
    }
    match &mut tree {
        Some(tree) => findings.absorb(std::mem::take(&mut tree.findings)),
        None => unchecked.push(Unchecked::NoIndex),
    }
    let mut report = GenerationReport {
        dialect: image.dialect(),
        generation: image.mapping().generation(),
        mapping: image.mapping_role(),
        pages: Space::ALL.map(|space| image.mapping().section(space).mapped_count()),
        keys: tree.as_ref().map_or(0, |tree| tree.keys),
        records: heap.as_ref().map_or(0, |heap| heap.records.len() as u64),
        findings: Vec::new(),
        not_listed: 0,
        unchecked,
        census: None,
        advice: Advices::default(),
    };
    if let Some(tree) = &tree
        && !tree.is_complete
    {
        report.unchecked.push(Unchecked::IndexIncomplete);
    }
    if let (Some(heap), Some(tree)) = (&heap, &tree) {
        references::check(image, heap, tree, &mut findings);
    }
    (report.findings, report.not_listed) = findings.finish();
    Ok(report)
}

/// Checks both data files in parallel, since each has parts that are single-threaded.
fn heap_and_tree(
    image: &Image,
    threads: usize,
    observer: &dyn Observer,
) -> Result<(Option<objects::Heap>, Option<index::Tree>)> {
    let there = Space::ALL.into_iter().filter(|&space| image.has(space));
    let pages = there
        .map(|space| u64::from(image.mapping().section(space).mapped_count()))
        .sum();
    let monitor = Monitor::new(observer, Phase::Verify, pages);
    monitor.check()?;
    let heap = || {
        image
            .has(Space::Objects)
            .then(|| objects::check(image, threads, &monitor))
            .transpose()
    };
    let tree = || {
        image
            .has(Space::Index)
            .then(|| index::check(image, threads, &monitor))
            .transpose()
    };
    let watch = || drop(monitor.check());
    let (tree, heap) = both_watched(threads, tree, heap, watch);
    Ok((heap?, tree?))
}
