//! Proof of a pause: is a copy the state that was paused, whole, and did the pause hold?

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
    /// Why the copy is not the state that was paused, whole; empty where it is.
    pub disproofs: Vec<Disproof>,
    /// Report on the state of the token; `None` where the copy does not hold it.
    pub report: Option<GenerationReport>,
}

impl Proof {
    /// True if the copy is the state that was paused, whole, with nothing later in it.
    pub fn is_proven(&self) -> bool {
        self.disproofs.is_empty()
    }

    /// True if the pause held, as far as the copy can tell: nothing in it was written after the
    /// state of the token. Its owner knows by the pause itself
    /// ([`resume`](crate::service::BackupRestore::resume)).
    pub fn did_pause_hold(&self) -> bool {
        !self.disproofs.iter().any(Disproof::is_later)
    }
}

/// A reason why a copy is not the state that was paused, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disproof {
    /// The copy holds no generation of that number; the newest that it holds, if any, is older.
    OtherGeneration {
        /// The newest one.
        newest: Option<u32>,
    },
    /// The generation has the right number, and its mapping is another: a copy of another
    /// repository, or one that was changed or restored.
    OtherMapping {
        /// The file of the mapping.
        file: FileRole,
    },
    /// The copy holds a later generation: the pause had ended when that was copied.
    LaterGeneration {
        /// The latest one.
        generation: u32,
    },
    /// The copy holds a journal with commits after the state: the pause had ended when it was
    /// copied.
    LaterCommit {
        /// The journal.
        file: String,
        /// Its commits; `None` where they cannot be counted.
        commits: Option<u64>,
    },
    /// A mapping file cannot be read that may hold a later generation.
    UnreadableMapping(Corruption),
    /// A data file is missing or ends too early.
    Incomplete(String),
    /// A page is neither the one that was paused nor whole.
    TornPage {
        /// The first one.
        first: Corruption,
        /// How many there are, as far as they are listed.
        count: usize,
    },
    /// A page is whole, and of another state: files or pages of different times were put together.
    MixedCopy {
        /// The first one.
        first: Corruption,
        /// How many there are, as far as they are listed.
        count: usize,
    },
    /// Every page is the one that was paused as far as its checksum tells, and the structure is
    /// damaged: it was so when it was paused, or was changed where no checksum sees it.
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

    /// True if it shows, or may show, that something was written after the state that was paused.
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

/// Holds a copy of a repository, opened for reading, against the token of a pause: is it the state
/// that was paused, is it whole, and is nothing in it that was written afterwards? Everything that
/// [`verify`](super::verify) checks is checked of the state that the token names, whichever the
/// copy is opened at.
///
/// A changed byte that no checksum covers and that breaks no rule goes unnoticed, as everywhere in
/// the format: of a page of dialect 2.2 one byte in 512 is covered, the index of dialect 2.1 has no
/// checksums.
///
/// # Errors
/// As [`verify`](super::verify). A copy that is something else is no error.
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
            // That a later one is there says it better.
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
    // The image that is open has its pages in memory; another generation is read for itself.
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

/// Signs in a copy of writes after the state of the token.
fn later(repository: &Repository, token: &PauseToken, generations: &[Generation]) -> Vec<Disproof> {
    let mut found = Vec::new();
    let latest = generations
        .iter()
        .map(|generation| generation.mapping.generation())
        .max();
    if let Some(generation) = latest.filter(|latest| *latest > token.generation) {
        found.push(Disproof::LaterGeneration { generation });
    }
    // One of the token's own generation is judged by its pages.
    let is_open = |refusal: &&Refusal| refusal.may_be_newer && refusal.generation.is_none();
    if let Some(refusal) = repository.refused().iter().find(is_open) {
        found.push(Disproof::UnreadableMapping(refusal.reason.clone()));
    }
    found.extend(later_commits(repository.journal(), token));
    found
}

/// The journals that continue the state of the token, or a later one, with commits.
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

/// Why the state that a report is about is not whole, each kind once.
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
    // What is broken besides follows from pages that are not those of the state.
    if found.is_empty() {
        found.extend(damaged.map(|first| Disproof::Damaged(first.clone())));
    }
    Ok(found)
}

/// Whether a page that is not the one that the mapping names is whole and of another state. In
/// dialect 2.2 nothing in a page of records covers their bytes: one whose table is the one that the
/// keys name is that page, torn or changed behind its table.
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
