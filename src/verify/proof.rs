//! Proof of a pause: whether a copy is complete, shows the paused state, and the pause held.

use std::fmt;
use std::sync::Arc;

use super::{GenerationReport, Unchecked, VerifyOptions, run};
use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::Result;
use crate::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, Space};
use crate::base::progress::Observer;
use crate::base::site::{FileRole, Site};
use crate::format::Dialect;
use crate::format::bytes::u32_at;
use crate::format::heap::page::ObjectPage;
use crate::format::index::page::IndexPage;
use crate::heap::record;
use crate::pager::generation::{Generation, Refusal, read_all, read_single_maps};
use crate::pager::state::image::Image;
use crate::store::{JournalFate, JournalFile, Journals, PauseToken, Repository};

/// Result of checking a copy against the token of a pause.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Proof {
    /// The token.
    pub token: PauseToken,
    /// Reasons why the copy is not the complete paused state; empty if it is.
    pub disproofs: Vec<Disproof>,
    /// Report on the state of the token; `None` if the copy does not contain it.
    pub report: Option<GenerationReport>,
}

impl Proof {
    /// True if the copy is the complete paused state with nothing later in it.
    pub fn is_proven(&self) -> bool {
        self.disproofs.is_empty()
    }

    /// True if the pause held, as far as the copy shows: nothing in it was written after the state
    /// of the token. The owner of the pause learns the same from
    /// [`resume`](crate::service::BackupRestore::resume).
    pub fn did_pause_hold(&self) -> bool {
        !self.disproofs.iter().any(Disproof::is_later)
    }
}

/// A reason why a copy is not the complete paused state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disproof {
    /// The copy has no generation of that number. Its newest generation, if any, is older.
    OtherGeneration {
        /// The newest generation.
        newest: Option<u32>,
    },
    /// The generation has the right number but another mapping: the copy is of another repository,
    /// or was changed or restored.
    OtherMapping {
        /// The file that holds the mapping.
        file: FileRole,
    },
    /// The copy has a later generation: the pause had ended when that was copied.
    LaterGeneration {
        /// The latest generation.
        generation: u32,
    },
    /// The copy has a journal with commits after the state: the pause had ended when that was
    /// copied.
    LaterCommit {
        /// The journal.
        file: String,
        /// The number of its commits; `None` if they cannot be counted.
        commits: Option<u64>,
    },
    /// A mapping file that may hold a later generation cannot be read.
    UnreadableMapping(Corruption),
    /// A data file is missing or ends too early.
    Incomplete(String),
    /// A page is neither the paused one nor intact.
    TornPage {
        /// The first such page.
        first: Corruption,
        /// Number of such pages, as far as they are listed.
        count: usize,
    },
    /// A page is intact but of another state: files or pages of different times were combined.
    MixedCopy {
        /// The first such page.
        first: Corruption,
        /// Number of such pages, as far as they are listed.
        count: usize,
    },
    /// Every page is the paused one as far as checksums can tell, but the structure is damaged. It
    /// was damaged when it was paused, or was changed where no checksum sees it.
    Damaged(Corruption),
}

impl Disproof {
    /// The stable text of the kind.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherGeneration { .. } => "other-generation",
            Self::OtherMapping { .. } => "other-mapping",
            Self::LaterGeneration { .. } => "later-generation",
            Self::LaterCommit { .. } => "later-commit",
            Self::UnreadableMapping(_) => "unreadable-mapping",
            Self::Incomplete(_) => "incomplete-copy",
            Self::TornPage { .. } => "torn-page",
            Self::MixedCopy { .. } => "mixed-copy",
            Self::Damaged(_) => "damaged",
        }
    }

    /// True if it shows, or may show, that something was written after the paused state.
    pub const fn is_later(&self) -> bool {
        matches!(
            self,
            Self::LaterGeneration { .. } | Self::LaterCommit { .. } | Self::UnreadableMapping(_)
        )
    }
}

impl fmt::Display for Disproof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherGeneration {
                newest: Some(newest),
            } => {
                write!(
                    f,
                    "it is of another generation: the newest that it holds is {newest}"
                )
            }
            Self::OtherGeneration { newest: None } => f.write_str("it holds no generation"),
            Self::OtherMapping { file } => {
                write!(
                    f,
                    "{file} has the generation but another mapping: another repository, or changed \
                        since"
                )
            }
            Self::LaterGeneration { generation } => {
                write!(
                    f,
                    "it holds generation {generation}, which was written after the pause"
                )
            }
            Self::LaterCommit {
                file,
                commits: Some(commits),
            } => {
                write!(
                    f,
                    "{file} holds {commits} later commits, made after the pause"
                )
            }
            Self::LaterCommit {
                file,
                commits: None,
            } => {
                write!(
                    f,
                    "{file} cannot be read, and may hold commits made after the pause"
                )
            }
            Self::UnreadableMapping(reason) => {
                write!(f, "a later generation may be lost: {reason}")
            }
            Self::Incomplete(what) => write!(f, "it is not all there: {what}"),
            Self::TornPage { first, count } => {
                write!(
                    f,
                    "{count} of its pages are torn or changed, the first: {first}"
                )
            }
            Self::MixedCopy { first, count } => {
                let what = "of its pages are whole but of another time: a mixture of copies";
                write!(f, "{count} {what}, the first: {first}")
            }
            Self::Damaged(first) => {
                write!(f, "its pages are those of the pause, and damaged: {first}")
            }
        }
    }
}

/// Compares a copy of a repository, opened for reading, with the token of a pause: whether it is
/// the paused state, is complete, and contains nothing written afterwards. Everything that
/// [`verify`](super::verify) checks is checked for the state that the token names, whichever state
/// the copy was opened at.
///
/// A changed byte that no checksum covers and that breaks no rule goes unnoticed, as everywhere in
/// this format. In dialect 2.2 one byte of a page in 512 is covered; the index of dialect 2.1 has
/// no checksums.
///
/// # Errors
/// The errors of [`verify`](super::verify). A copy of something else is not an error.
pub fn prove(
    repository: &Repository,
    token: &PauseToken,
    options: VerifyOptions,
    observer: &dyn Observer,
) -> Result<Proof> {
    let files = repository.files();
    let data = files.open_data()?;
    let (mut generations, _) = read_all(files, &data)?;
    if let Some(Ok(single)) = read_single_maps(files, &data)? {
        generations.push(single);
    }
    generations.retain(|found| found.mapping.dialect == token.dialect);
    let mut disproofs = later(repository, token, &generations);
    let (mut named, mut other) = (None, None);
    for found in generations
        .iter()
        .filter(|found| found.mapping.generation() == token.generation)
    {
        match PauseToken::of_file(files, found.role, &found.mapping)? == *token {
            true => named = Some(found),
            false => other = Some(found.role),
        }
    }
    let Some(named) = named else {
        let newest = generations
            .iter()
            .map(|found| found.mapping.generation())
            .max();
        match other {
            Some(file) => disproofs.push(Disproof::OtherMapping { file }),
            // The finding of a later generation says it better.
            None if disproofs
                .iter()
                .any(|one| matches!(one, Disproof::LaterGeneration { .. })) => {}
            None => disproofs.push(Disproof::OtherGeneration { newest }),
        }
        return Ok(Proof {
            token: *token,
            disproofs,
            report: None,
        });
    };
    // The open image has its pages in memory; any other generation is read for this.
    let opened = repository.snapshot();
    let image = match opened.image().mapping_role() == named.role {
        true => Arc::new(opened.image().on_disk()),
        false => Arc::new(Image::new(
            named.mapping.clone(),
            named.role,
            Box::new(data),
            0,
        )),
    };
    let report = run(&image, named.findings.clone(), options, observer)?;
    disproofs.extend(faults(&image, &report)?);
    Ok(Proof {
        token: *token,
        disproofs,
        report: Some(report),
    })
}

/// Signs of writes after the state of the token.
fn later(repository: &Repository, token: &PauseToken, generations: &[Generation]) -> Vec<Disproof> {
    let mut found = Vec::new();
    let latest = generations
        .iter()
        .map(|generation| generation.mapping.generation())
        .max();
    if let Some(generation) = latest.filter(|latest| *latest > token.generation) {
        found.push(Disproof::LaterGeneration { generation });
    }
    // A mapping file of the token's own generation is judged by its pages.
    let is_open = |refusal: &&Refusal| refusal.may_be_newer && refusal.generation.is_none();
    if let Some(refusal) = repository.refused().iter().find(is_open) {
        found.push(Disproof::UnreadableMapping(refusal.reason.clone()));
    }
    found.extend(later_commits(repository.journal(), token));
    found
}

/// The journals with commits that continue the state of the token, or a later one.
pub(crate) fn later_commits(
    journals: &Journals,
    token: &PauseToken,
) -> impl Iterator<Item = Disproof> {
    let later = journals.files().iter().filter(|file| is_later(file, token));
    later.map(|file| Disproof::LaterCommit {
        file: file.name.clone(),
        commits: file.commits,
    })
}

fn is_later(file: &JournalFile, token: &PauseToken) -> bool {
    let is_past = matches!(file.fate, JournalFate::Unfinished) || file.commits == Some(0);
    !is_past && file.generation >= token.generation
}

/// Reasons why the state of a report is not intact, each kind once.
pub(crate) fn faults(image: &Image, report: &GenerationReport) -> Result<Vec<Disproof>> {
    let mut found = Vec::new();
    let missing = report
        .unchecked
        .iter()
        .find(|one| **one != Unchecked::IndexIncomplete);
    found.extend(missing.map(|one| Disproof::Incomplete(one.to_string())));
    let (mut torn, mut mixed) = (Vec::new(), Vec::new());
    let mut damaged = None;
    for finding in &report.findings {
        match finding.code {
            CorruptionCode::PageChecksum if is_of_another_time(image, report, finding)? => {
                mixed.push(finding)
            }
            CorruptionCode::PageChecksum => torn.push(finding),
            CorruptionCode::MappingBeyondFile if found.is_empty() => {
                found.push(Disproof::Incomplete(finding.to_string()));
            }
            _ => damaged = damaged.or(Some(finding)),
        }
    }
    let count = torn.len();
    found.extend(torn.first().map(|first| Disproof::TornPage {
        first: (*first).clone(),
        count,
    }));
    let count = mixed.len();
    found.extend(mixed.first().map(|first| Disproof::MixedCopy {
        first: (*first).clone(),
        count,
    }));
    // Any other damage follows from pages that do not belong to the state.
    if found.is_empty() {
        found.extend(damaged.map(|first| Disproof::Damaged(first.clone())));
    }
    Ok(found)
}

/// True if a page that is not the one in the mapping is intact and of another state. In dialect 2.2
/// nothing covers the bytes of records. A page whose table is the one that the keys name is
/// therefore the same page, torn or changed after its table.
fn is_of_another_time(
    image: &Image,
    report: &GenerationReport,
    finding: &Corruption,
) -> Result<bool> {
    let Some(page) = finding.site.page else {
        return Ok(false);
    };
    let mut bytes: Box<PageBytes> = Box::new([0; PAGE_SIZE]);
    let others = || {
        report
            .findings
            .iter()
            .filter(|other| other.code != CorruptionCode::PageChecksum)
    };
    let does_not_fit =
        |other: &Corruption| (other.site.role, other.site.page) == (finding.site.role, Some(page));
    if finding.site.role == FileRole::Index {
        image.read_unchecked(Space::Index, page, &mut bytes)?;
        return Ok(is_index_page(&bytes, image.dialect()) && others().next().is_some());
    }
    image.read_unchecked(Space::Objects, page, &mut bytes)?;
    Ok(is_object_page(&bytes, image.dialect(), page) && others().any(does_not_fit))
}

/// True if it is an index page, of whatever number.
fn is_index_page(bytes: &PageBytes, dialect: Dialect) -> bool {
    let Some(own) = u32_at(bytes, 4).and_then(LogicalPage::new) else {
        return false;
    };
    let site = Site::page(Space::Index, own);
    let parsed = IndexPage::parse(bytes, own, site);
    parsed.is_ok_and(|page| page.check(dialect.no_child(), site).is_empty())
}

/// True if it is a page of whole records, each with the right check value.
fn is_object_page(bytes: &PageBytes, dialect: Dialect, page: LogicalPage) -> bool {
    let view = ObjectPage::new(bytes);
    let site = Site::page(Space::Objects, page);
    if view.multi_page_head().is_some() || !view.check_single(site).is_empty() {
        return false;
    }
    let mut records = view.descriptors();
    let is_right = |descriptor| {
        let record = view.record(&descriptor);
        record.is_some_and(|record| record::check_value(dialect, record) == descriptor.check)
    };
    records.len() > 0 && records.all(is_right)
}
