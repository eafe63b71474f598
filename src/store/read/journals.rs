//! The journals of a repository: finding, ordering and replaying them, and the fate of each
//! (`docs::journal`, "At open").

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::site::{FileRole, Site};
use crate::format::Dialect;
use crate::format::own::journal::{HeaderFault, JournalHeader, MappingId};
use crate::pager::journal::{Journal, JournalScan};
use crate::pager::state::image::Image;
use crate::storage::Directory;

use super::replay::Replay;

/// The journals next to the files of a repository, with the fate of their commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Journals {
    files: Vec<JournalFile>,
}

/// A journal and the fate of its commits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalFile {
    /// The name of the file.
    pub name: String,
    /// The generation in its name.
    pub generation: u32,
    /// Number of whole commits in it; `None` if its header is damaged.
    pub commits: Option<u64>,
    /// Number of its commits that are part of the state being read.
    pub replayed: u64,
    /// True if other bytes follow the last whole commit: a commit that was being written when the
    /// power failed, or damage.
    pub has_torn_tail: bool,
    /// The fate of the journal.
    pub fate: JournalFate,
}

/// The fate of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalFate {
    /// All its commits were replayed.
    Replayed,
    /// It was ignored at the caller's request.
    LeftOut,
    /// Its header was never completely written, so nothing was committed through it.
    Unfinished,
    /// It does not continue a generation later than the one being read. Its commits are part of
    /// that generation, or of a state that has been replaced since.
    Stale,
    /// It was written by a newer version of this engine.
    UnknownVersion(u32),
    /// Its commits, or those after the replayed ones, cannot be replayed for this reason.
    Refused(Corruption),
}

impl JournalFile {
    /// Number of acknowledged commits that are missing from the state being read; `None` if
    /// unknown.
    pub fn lost(&self) -> Option<u64> {
        match self.fate {
            JournalFate::Replayed | JournalFate::Unfinished | JournalFate::Stale => Some(0),
            JournalFate::LeftOut | JournalFate::Refused(_) => {
                Some(self.commits?.saturating_sub(self.replayed))
            }
            JournalFate::UnknownVersion(_) => None,
        }
    }

    /// True if it is pending: the state of the repository is not entirely in its pages.
    pub fn waits(&self) -> bool {
        let is_past = matches!(self.fate, JournalFate::Unfinished | JournalFate::Stale);
        !is_past && self.commits != Some(0)
    }
}

impl Journals {
    /// The journals, in the order of their generations.
    pub fn files(&self) -> &[JournalFile] {
        &self.files
    }

    /// True if no journal is pending.
    pub fn is_empty(&self) -> bool {
        !self.files.iter().any(|file| file.waits())
    }

    /// Number of commits in pending journals, as far as they can be counted.
    pub fn commits(&self) -> u64 {
        self.waiting().filter_map(|file| file.commits).sum()
    }

    /// Number of those commits that are part of the state being read.
    pub fn replayed(&self) -> u64 {
        self.files.iter().map(|file| file.replayed).sum()
    }

    /// The journals with commits that could not be replayed.
    pub fn refused(&self) -> impl Iterator<Item = &JournalFile> {
        let is_refused = |file: &&JournalFile| {
            matches!(
                file.fate,
                JournalFate::Refused(_) | JournalFate::UnknownVersion(_)
            )
        };
        self.files.iter().filter(is_refused)
    }

    /// The pending journals.
    pub fn waiting(&self) -> impl Iterator<Item = &JournalFile> {
        self.files.iter().filter(|file| file.waits())
    }
}

/// A journal that was found, with its file while it is being read.
#[derive(Debug)]
pub(crate) struct Found {
    pub file: JournalFile,
    scan: Option<JournalScan>,
}

/// Opens journals and reads their headers.
pub(crate) fn find(directory: &Directory, names: &[(u32, String)]) -> Result<Vec<Found>> {
    names
        .iter()
        .map(|(generation, name)| find_one(directory, *generation, name))
        .collect()
}

fn find_one(directory: &Directory, generation: u32, name: &str) -> Result<Found> {
    let (scan, commits, fate) = match Journal::scan(directory, name)? {
        Ok(scan) => (Some(scan), None, JournalFate::LeftOut),
        Err(HeaderFault::Unfinished) => (None, Some(0), JournalFate::Unfinished),
        Err(HeaderFault::UnknownVersion(version)) => {
            (None, None, JournalFate::UnknownVersion(version))
        }
        Err(HeaderFault::Damaged(finding)) => (None, None, JournalFate::Refused(finding)),
    };
    let name = name.to_owned();
    Ok(Found {
        file: JournalFile {
            name,
            generation,
            commits,
            replayed: 0,
            has_torn_tail: false,
            fate,
        },
        scan,
    })
}

impl Found {
    fn header(&self) -> Option<&JournalHeader> {
        self.scan.as_ref().map(JournalScan::header)
    }

    /// Counts the commits from the present position to the end of the file.
    fn count(&mut self, may_go_on: &dyn Fn() -> bool) -> Result<()> {
        let Some(scan) = &mut self.scan else {
            return Ok(());
        };
        let mut commits = self.file.commits.unwrap_or(0);
        while scan.next_commit()?.is_some() {
            commits += 1;
            check(may_go_on)?;
        }
        self.file.commits = Some(commits);
        self.file.has_torn_tail = scan.has_torn_tail()?;
        Ok(())
    }

    fn refuse(&mut self, detail: String) {
        let site = Site::file(FileRole::Journal);
        let detail = format!("{}: {detail}", self.file.name);
        self.file.fate = JournalFate::Refused(Corruption::new(
            CorruptionCode::JournalUnplaced,
            site,
            detail,
        ));
    }
}

fn check(may_go_on: &dyn Fn() -> bool) -> Result<()> {
    if may_go_on() {
        Ok(())
    } else {
        Err(Error::Cancelled)
    }
}

/// Replays the journals that continue `current`, one after the other, up to the first commit that
/// does not fit, and records the fate of each journal. Returns the last journal if all of its
/// commits were replayed; further commits are appended to it.
pub(crate) fn replay_all(
    found: &mut [Found],
    current: MappingId,
    replay: &mut Replay,
    may_go_on: &dyn Fn() -> bool,
) -> Result<Option<JournalScan>> {
    let mut last: Option<(MappingId, Option<u64>)> = None;
    let mut resumed = None;
    while let Some(one) = next_of(found, current, last.map(|(base, _)| base)) {
        // J-6: numbers continue without a gap from one journal to the next.
        let first = one.header().map(|header| header.first_commit);
        if let Some((_, next)) = last
            && first != next
        {
            one.refuse("the commits before its first one are not there".to_owned());
            break;
        }
        one.replay(replay, may_go_on)?;
        if one.file.fate != JournalFate::Replayed {
            resumed = None;
            break;
        }
        let Some(scan) = one.scan.take() else { break };
        last = Some((scan.header().base, scan.next_number()));
        resumed = Some(scan);
    }
    for one in found.iter_mut().filter(|one| one.scan.is_some()) {
        one.count(may_go_on)?;
        one.place(current);
    }
    Ok(resumed)
}

/// The journal with the next commits: that of `current`, or the one that continues the generation
/// of `last`.
fn next_of(found: &mut [Found], current: MappingId, last: Option<MappingId>) -> Option<&mut Found> {
    let is_next = |header: &JournalHeader| match last {
        None => header.base == current,
        Some(last) => header.previous == last && header.base != last,
    };
    found
        .iter_mut()
        .find(|one| one.file.fate == JournalFate::LeftOut && one.header().is_some_and(is_next))
}

/// The use that a reader makes of the journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Replayed,
    LeftOut,
}

/// A generation with the commits that the journals of a directory add, if they are wanted, and the
/// fate of the journals.
pub(crate) fn read(
    directory: &Directory,
    names: &[(u32, String)],
    image: Image,
    id: MappingId,
    how: Reading,
    may_go_on: &dyn Fn() -> bool,
) -> Result<(Image, Journals)> {
    let mut found = find(directory, names)?;
    if image.dialect() == Dialect::V21 {
        refuse_all(&mut found, may_go_on)?;
    } else if how == Reading::LeftOut {
        leave_out(&mut found, id, may_go_on)?;
    } else {
        let mut replay = Replay::new(image);
        replay_all(&mut found, id, &mut replay, may_go_on)?;
        return Ok((replay.working.image().clone(), found.into()));
    }
    Ok((image, found.into()))
}

/// Counts the commits of each journal without replaying any.
fn leave_out(found: &mut [Found], current: MappingId, may_go_on: &dyn Fn() -> bool) -> Result<()> {
    for one in found {
        one.count(may_go_on)?;
        let is_stale = |header: &JournalHeader| {
            header.base != current && header.base.generation <= current.generation
        };
        if one.header().is_some_and(is_stale) {
            one.file.fate = JournalFate::Stale;
        }
    }
    Ok(())
}

/// Marks each journal as one that the repository cannot have, because dialect 2.1 is read-only.
fn refuse_all(found: &mut [Found], may_go_on: &dyn Fn() -> bool) -> Result<()> {
    for one in found {
        one.count(may_go_on)?;
        if one.scan.is_some() {
            one.refuse("a repository of dialect 2.1 has no journal".to_owned());
        }
    }
    Ok(())
}

impl Found {
    /// Replays the commits that fit.
    fn replay(&mut self, replay: &mut Replay, may_go_on: &dyn Fn() -> bool) -> Result<()> {
        let Some(scan) = &mut self.scan else {
            return Ok(());
        };
        self.file.fate = JournalFate::Replayed;
        while let Some(commit) = scan.next_commit()? {
            check(may_go_on)?;
            match replay.commit(&commit) {
                Ok(()) => self.file.replayed += 1,
                Err(Error::Corrupt(mut finding)) => {
                    finding.detail = format!("{}: {}", self.file.name, finding.detail);
                    self.file.fate = JournalFate::Refused(*finding);
                    // The commit that was refused; those after it are counted later.
                    self.file.commits = Some(self.file.replayed + 1);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.file.commits = Some(self.file.replayed);
        self.file.has_torn_tail = scan.has_torn_tail()?;
        Ok(())
    }

    /// Records why the commits were not replayed, unless that is recorded already.
    fn place(&mut self, current: MappingId) {
        let Some(header) = self
            .header()
            .filter(|_| self.file.fate == JournalFate::LeftOut)
        else {
            return;
        };
        let generation = header.base.generation;
        if generation <= current.generation {
            self.file.fate = JournalFate::Stale;
        } else {
            self.refuse(format!(
                "its commits continue generation {generation}, which is not there or damaged; \
                 the newest whole one is {}",
                current.generation
            ));
        }
    }
}

/// The public form of the journals.
impl From<Vec<Found>> for Journals {
    fn from(found: Vec<Found>) -> Self {
        Self {
            files: found.into_iter().map(|one| one.file).collect(),
        }
    }
}
