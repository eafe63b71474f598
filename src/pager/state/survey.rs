//! A survey of the index page by page, without its tree, to find what a damaged one still holds.
//!
//! The mapping lists the live index pages, and every node carries its own number. So a node can be
//! found without its parents, and an unreadable page need not hide those below it. A survey is made
//! once for a state, and only when damage is found.

use crate::base::page_no::LogicalPage;
use crate::base::{narrow, widen};

/// An intact node that no readable node leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Its page.
    pub page: LogicalPage,
    /// Its least key.
    pub least: Box<[u8]>,
    /// Its greatest key.
    pub greatest: Box<[u8]>,
}

/// Extent to which an index can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct IndexHealth {
    /// Number of pages in use, without the admin page of dialect 2.1.
    pub pages: u32,
    /// Number of those pages that cannot be read.
    pub unreadable: u32,
    /// Number of intact pages that no readable page leads to. Their keys are found nevertheless.
    pub strays: u32,
    /// Number of keys on all intact pages.
    pub keys: u64,
}

impl IndexHealth {
    /// Estimated number of keys on the unreadable pages, assuming the average of the intact ones.
    /// `None` if no page is intact, so that nothing is known.
    pub fn keys_lost(&self) -> Option<u64> {
        let whole = u64::from(self.pages.saturating_sub(self.unreadable));
        let lost = self.keys.saturating_mul(self.unreadable.into());
        if self.unreadable == 0 {
            Some(0)
        } else {
            lost.saturating_add(whole / 2).checked_div(whole)
        }
    }
}

/// The result of a pass over all live index pages.
#[derive(Debug, Default)]
pub struct Survey {
    health: IndexHealth,
    /// Pages that cannot be read, ascending.
    unreadable: Vec<LogicalPage>,
    /// The strays, by ascending least key.
    strays: Vec<Stray>,
    /// Indices of the strays, by ascending greatest key.
    by_greatest: Vec<usize>,
    /// A binary tree over the strays, with node `i` above nodes `2i` and `2i + 1`. Each node names
    /// the stray with the greatest key below it. So the few strays that extend to a text are found
    /// quickly among many that do not.
    tops: Vec<Option<usize>>,
    /// For each logical page, whether it is a stray.
    is_stray: Vec<bool>,
}

impl Survey {
    /// A survey of an index with `logical_pages` pages. Sets the number of strays in `health`.
    pub fn new(
        health: IndexHealth,
        unreadable: Vec<LogicalPage>,
        mut strays: Vec<Stray>,
        logical_pages: u32,
    ) -> Self {
        strays.sort_by(|a, b| (&a.least, a.page).cmp(&(&b.least, b.page)));
        let mut is_stray = vec![false; widen(logical_pages)];
        for stray in &strays {
            if let Some(mark) = is_stray.get_mut(stray.page.index()) {
                *mark = true;
            }
        }
        let mut by_greatest: Vec<usize> = (0..strays.len()).collect();
        by_greatest.sort_by_key(|&number| strays.get(number).map(|stray| &stray.greatest));
        let health = IndexHealth {
            strays: narrow(strays.len()),
            ..health
        };
        let tops = tops(&strays);
        Self {
            health,
            unreadable,
            strays,
            by_greatest,
            tops,
            is_stray,
        }
    }

    /// The extent to which the index can be read.
    pub const fn health(&self) -> IndexHealth {
        self.health
    }

    /// The pages that cannot be read, ascending.
    pub fn unreadable(&self) -> &[LogicalPage] {
        &self.unreadable
    }

    /// For each logical page, whether it is a stray.
    pub fn marks(&self) -> &[bool] {
        &self.is_stray
    }

    /// The stray with index `number` by ascending least key.
    pub fn by_least(&self, number: usize) -> Option<&Stray> {
        self.strays.get(number)
    }

    /// The stray with index `number` by descending greatest key.
    pub fn by_greatest(&self, number: usize) -> Option<&Stray> {
        let from_end = self.strays.len().checked_sub(number + 1)?;
        self.strays.get(*self.by_greatest.get(from_end)?)
    }

    /// Number of strays that begin below `text`.
    pub fn begin_below(&self, text: &[u8]) -> usize {
        self.strays.partition_point(|stray| &*stray.least < text)
    }

    /// Number of strays that extend to `text` or beyond.
    pub fn reach_to(&self, text: &[u8]) -> usize {
        let is_below = |&number: &usize| {
            self.strays
                .get(number)
                .is_some_and(|stray| &*stray.greatest < text)
        };
        self.strays.len() - self.by_greatest.partition_point(is_below)
    }

    /// Those of the first `count` strays by least key that extend to `text` or beyond.
    pub fn reaching(&self, text: &[u8], count: usize) -> Reaching<'_> {
        Reaching {
            survey: self,
            text: text.into(),
            count,
            ahead: vec![Branch {
                node: 1,
                first: 0,
                len: self.tops.len() / 2,
            }],
        }
    }
}

/// Builds the tree over the strays that [`Survey`] describes.
fn tops(strays: &[Stray]) -> Vec<Option<usize>> {
    let greatest = |number: &Option<usize>| strays.get((*number)?).map(|stray| &stray.greatest);
    let leaves = strays.len().next_power_of_two();
    let mut tops = vec![None; leaves];
    tops.extend((0..leaves).map(|number| Some(number).filter(|&number| number < strays.len())));
    for node in (1..leaves).rev() {
        let below = [2 * node, 2 * node + 1].map(|child| tops.get(child).copied().flatten());
        let top = below.into_iter().max_by_key(greatest).flatten();
        if let Some(place) = tops.get_mut(node) {
            *place = top;
        }
    }
    tops
}

/// Strays that extend to a text, by least key.
#[derive(Debug)]
pub struct Reaching<'s> {
    survey: &'s Survey,
    text: Box<[u8]>,
    count: usize,
    ahead: Vec<Branch>,
}

/// A node of the tree, and the strays below it.
#[derive(Debug, Clone, Copy)]
struct Branch {
    node: usize,
    first: usize,
    len: usize,
}

impl<'s> Iterator for Reaching<'s> {
    type Item = &'s Stray;

    fn next(&mut self) -> Option<&'s Stray> {
        while let Some(Branch { node, first, len }) = self.ahead.pop() {
            let top = self.survey.tops.get(node).copied().flatten();
            let Some(stray) = top.and_then(|number| self.survey.strays.get(number)) else {
                continue;
            };
            if first >= self.count || *stray.greatest < *self.text {
                continue;
            }
            if len == 1 {
                return Some(stray);
            }
            let half = len / 2;
            self.ahead.push(Branch {
                node: 2 * node + 1,
                first: first + half,
                len: half,
            });
            self.ahead.push(Branch {
                node: 2 * node,
                first,
                len: half,
            });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_strays_that_cover_a_text_are_found(
            ranges in prop::collection::vec(("[a-d]{1,3}", "[a-d]{0,3}"), 0..40),
            texts in prop::collection::vec("[a-e]{0,3}", 0..10),
        ) {
            let strays: Vec<Stray> = (0..)
                .zip(&ranges)
                .map(|(page, (least, more))| Stray {
                    page: LogicalPage::new(page).unwrap(),
                    least: least.as_bytes().into(),
                    greatest: format!("{least}{more}").as_bytes().into(),
                })
                .collect();
            let survey = Survey::new(IndexHealth::default(), Vec::new(), strays.clone(), 40);
            prop_assert_eq!(survey.health().strays as usize, strays.len());
            for text in texts.iter().map(|text| text.as_bytes()) {
                let begin = survey.begin_below(text);
                prop_assert_eq!(begin, strays.iter().filter(|stray| &*stray.least < text).count());
                let reach = strays.iter().filter(|stray| &*stray.greatest >= text).count();
                prop_assert_eq!(survey.reach_to(text), reach);
                let found: Vec<LogicalPage> = survey.reaching(text, begin).map(|stray| stray.page).collect();
                let mut expected: Vec<&Stray> = strays.iter().collect();
                expected.sort_by_key(|stray| (&stray.least, stray.page));
                expected.retain(|stray| &*stray.least < text && &*stray.greatest >= text);
                prop_assert_eq!(found, expected.iter().map(|stray| stray.page).collect::<Vec<_>>());
            }
            let down: Vec<_> = (0..strays.len()).map(|number| &survey.by_greatest(number).unwrap().greatest).collect();
            prop_assert!(down.is_sorted_by(|a, b| a >= b));
        }
    }

    #[test]
    fn what_is_lost_is_estimated_from_whole_pages() {
        let health = |pages, unreadable, keys| IndexHealth {
            pages,
            unreadable,
            strays: 0,
            keys,
        };
        assert_eq!(health(11, 1, 500).keys_lost(), Some(50));
        assert_eq!(health(10, 0, 500).keys_lost(), Some(0));
        assert_eq!(health(3, 3, 0).keys_lost(), None);
        assert_eq!(
            health(u32::MAX, u32::MAX - 1, u64::MAX).keys_lost(),
            Some(u64::MAX)
        );
    }
}
