//! A merge of the keys of a damaged index: those of the tree, and those of intact nodes outside the
//! tree.

use std::collections::BinaryHeap;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::page_no::{LogicalPage, Space};
use crate::pager::state::image::Image;
use crate::pager::state::survey::{Stray, Survey};

use super::scan::Direction;
use super::search::{Drafts, contains_among};
use super::strays::Run;
use super::survey::{survey, unreadable};
use super::walk::{Place, Walk};

/// Largest number of strays that may cover the start of a scan. Without malice there are as many as
/// the tree has levels; each scan reads them all.
const MAX_AT_START: usize = 1024;

/// Merges the keys of a walk with those of the strays in its range.
///
/// A stray is opened when the merge reaches its first key, and closed after its last. So only as
/// many are open as overlap at one key.
#[derive(Debug)]
pub(super) struct Merge {
    tree: Head,
    /// The last key that the walk reached before the damage; `None` if it reached none.
    passed: Option<Vec<u8>>,
    /// Strays that begin before the range and extend into it.
    at_start: std::vec::IntoIter<LogicalPage>,
    /// Number of the next stray that begins in the range, in the scan direction.
    next: usize,
    runs: BinaryHeap<Run>,
    /// Errors to report before the next key.
    damage: Vec<Error>,
    /// Number of the next unreadable page, if all of them concern the scan.
    next_unreadable: Option<usize>,
    given: Vec<u8>,
    has_given: bool,
}

/// The next key of the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Unknown,
    AtHand,
    None,
}

impl Merge {
    /// Continues a walk that has met damage.
    pub(super) fn new(walk: &mut Walk) -> Self {
        let image = walk.image.clone();
        let survey = survey(&image);
        walk.barred = survey.marks().to_vec();

        let mut damage = Vec::new();
        let (mut at_start, mut next) = (Vec::new(), 0);
        if let Some(start) = walk.range.start(walk.direction) {
            let begin = survey.begin_below(start);
            next = match walk.direction {
                Direction::Forward => begin,
                Direction::Backward => survey.reach_to(start),
            };
            let mut covering = survey.reaching(start, begin).map(|stray| stray.page);
            at_start.extend(covering.by_ref().take(MAX_AT_START));
            damage.extend(covering.next().map(|page| too_many(&image, page)));
        }

        let is_over_all = walk.range.from.is_none() && walk.range.to.is_none();
        Self {
            tree: Head::Unknown,
            passed: Some(walk.text.clone()).filter(|text| !text.is_empty()),
            at_start: at_start.into_iter(),
            next,
            runs: BinaryHeap::new(),
            damage,
            next_unreadable: is_over_all.then_some(0),
            given: Vec::new(),
            has_given: false,
        }
    }

    /// The last key that was returned.
    pub(super) fn given(&self) -> &[u8] {
        &self.given
    }

    /// Advances to the next key, which is then [`given`](Self::given); `None` at the end.
    pub(super) fn advance(&mut self, walk: &mut Walk) -> Option<Result<()>> {
        loop {
            if let Some(error) = self.damage.pop() {
                return Some(Err(error));
            }
            if self.tree == Head::Unknown {
                self.tree = match walk.advance() {
                    Some(Ok(())) => Head::AtHand,
                    Some(Err(error)) => return Some(Err(error)),
                    None => Head::None,
                };
            }
            self.open_runs(walk);
            if !self.damage.is_empty() {
                continue;
            }
            let is_new = match (self.is_run_next(walk), self.tree) {
                (true, _) => self.take_from_run(walk),
                (false, Head::AtHand) => {
                    self.tree = Head::Unknown;
                    self.give(&walk.text)
                }
                (false, _) => return self.report_unreadable(walk).map(Err),
            };
            if is_new {
                return Some(Ok(()));
            }
        }
    }

    /// True if the next key belongs to a run and not to the walk.
    fn is_run_next(&self, walk: &Walk) -> bool {
        match (self.runs.peek(), self.tree) {
            (Some(run), Head::AtHand) => match walk.direction {
                Direction::Forward => run.text <= walk.text,
                Direction::Backward => run.text >= walk.text,
            },
            (run, _) => run.is_some(),
        }
    }

    /// Opens the strays that may have the next key.
    fn open_runs(&mut self, walk: &Walk) {
        let survey = survey(&walk.image);
        while let Some(page) = self.at_start.next() {
            self.open(walk, page);
        }
        while let Some(stray) = self.due(walk, survey) {
            self.next += 1;
            self.open(walk, stray.page);
        }
    }

    /// The next stray, if it begins in the range and not after the next known key.
    fn due<'s>(&self, walk: &Walk, survey: &'s Survey) -> Option<&'s Stray> {
        let (stray, first) = match walk.direction {
            Direction::Forward => survey
                .by_least(self.next)
                .map(|stray| (stray, &stray.least))?,
            Direction::Backward => survey
                .by_greatest(self.next)
                .map(|stray| (stray, &stray.greatest))?,
        };
        if walk.range.place(first, walk.direction) == Place::Behind {
            return None;
        }
        let known = match self.is_run_next(walk) {
            true => self.runs.peek().map(|run| &run.text),
            false => Some(&walk.text).filter(|_| self.tree == Head::AtHand),
        };
        let is_due = known.is_none_or(|known| match walk.direction {
            Direction::Forward => **first <= **known,
            Direction::Backward => **first >= **known,
        });
        is_due.then_some(stray)
    }

    fn open(&mut self, walk: &Walk, page: LogicalPage) {
        if walk.seen.get(page.index()) == Some(&true) {
            return; // the walk had entered it before damage was met
        }
        match Run::open(&walk.image, page, &walk.range, walk.direction) {
            Ok(mut run) => {
                if walk.disordered == Some(page) {
                    run.forget_first_damage();
                }
                self.keep(walk, run);
            }
            Err(error) => self.damage.push(error),
        }
    }

    /// Advances a run to its next key, or closes it at its end.
    fn keep(&mut self, walk: &Walk, mut run: Run) {
        while let Some(found) = run.advance(&walk.range) {
            match found {
                Ok(()) => return self.runs.push(run),
                Err(error) => self.damage.push(error),
            }
        }
    }

    /// Takes the next key of the first run. Returns true if it is a new one.
    fn take_from_run(&mut self, walk: &Walk) -> bool {
        let Some(mut run) = self.runs.pop() else {
            return false;
        };
        let text = std::mem::take(&mut run.text);
        self.keep(walk, run);
        let is_late = self
            .passed
            .as_ref()
            .is_some_and(|passed| match walk.direction {
                Direction::Forward => text <= *passed,
                Direction::Backward => text >= *passed,
            });
        // The walk has already returned the keys of the tree up to here.
        if is_late && contains_among(&walk.image, &text, Drafts::Written).unwrap_or_default() {
            return false;
        }
        self.give(&text)
    }

    /// Makes a key the current one. Returns false if it is that already.
    fn give(&mut self, text: &[u8]) -> bool {
        let is_new = !self.has_given || self.given != text;
        self.has_given = true;
        self.given.clear();
        self.given.extend_from_slice(text);
        is_new
    }

    /// At the end of a scan over all keys, the error for the next unreadable page that the walk has
    /// not met.
    fn report_unreadable(&mut self, walk: &Walk) -> Option<Error> {
        let survey = survey(&walk.image);
        loop {
            let number = self.next_unreadable?;
            let page = *survey.unreadable().get(number)?;
            self.next_unreadable = Some(number + 1);
            if walk.seen.get(page.index()) != Some(&true)
                && let Some(error) = unreadable(&walk.image, page)
            {
                return Some(error);
            }
        }
    }
}

/// The error for more pages with the same keys than are examined.
fn too_many(image: &Image, page: LogicalPage) -> Error {
    let detail = format!(
        "more than {MAX_AT_START} pages claim keys of the same range; this one and others are \
            passed by"
    );
    Corruption::new(
        CorruptionCode::IndexKeyOrder,
        image.site(Space::Index, page),
        detail,
    )
    .into()
}
