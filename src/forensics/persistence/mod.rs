//! Persistence: what would run by itself.
//!
//! Every namespace is looked at, and classes are told by what they are derived from, never by a
//! list of names. A [`Finding`] has a [`Level`], the [`Rule`]s that it matches, a sentence, and the
//! objects that it is about, whole. What is known as good is known by its content.
//!
//! ```rust,no_run
//! use cimrepo::catalog::Catalog;
//! use cimrepo::forensics::persistence::{Level, Persistence};
//! use cimrepo::store::Repository;
//!
//! fn main() -> cimrepo::Result<()> {
//!     let repository = Repository::open_read_only("evidence/Repository")?;
//!     for finding in Persistence::new(Catalog::new(repository.snapshot())) {
//!         let finding = finding?;
//!         if finding.level == Level::High {
//!             println!("{}", finding.words);
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Source: `docs::forensics`, "Persistence".

mod baseline;
mod chains;
mod descriptors;
mod finding;
mod gather;
#[cfg(feature = "serde")]
pub mod json;
mod judge;
mod known;
mod look;
mod others;
mod signs;
mod words;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::vec;

use crate::base::error::{Error, Result};
use crate::catalog::Catalog;
use crate::cim::name::{order, to_upper};
use crate::format::Dialect;

pub use baseline::KnownChain;
pub use finding::{Finding, FirstSeen, Kind, Level, Rule, Subject};

use super::people::People;
use super::runs::Runs;
use baseline::Baseline;
use gather::Gathered;
use look::Look;

/// A search for persistence: an iterator over findings, the heaviest first.
///
/// What cannot be read is an error among them, before the findings, and hides nothing else. The
/// walk takes place when the first one is asked for. For progress and cancellation give it a
/// catalog that is [observed](Catalog::observed): a search that the observer ends gives
/// [`Error::Cancelled`] and then nothing.
#[derive(Debug)]
pub struct Persistence {
    state: State,
}

#[derive(Debug)]
enum State {
    Ready(Box<Search>),
    Found(vec::IntoIter<Result<Finding>>),
}

/// The input of a search, and what is known beforehand.
#[derive(Debug)]
struct Search {
    catalog: Catalog,
    older: Vec<(u32, Catalog)>,
    known: Vec<KnownChain>,
    files: HashMap<String, String>,
}

impl Persistence {
    /// A search in these objects.
    pub fn new(catalog: Catalog) -> Self {
        Self {
            state: State::Ready(Box::new(Search {
                catalog,
                older: Vec::new(),
                known: Vec::new(),
                files: HashMap::new(),
            })),
        }
    }

    /// Adds older generations of the same repository, in any order, by their numbers: findings then
    /// say in which one their objects first appear. Dialect 2.1 numbers no generations.
    #[must_use]
    pub fn generations(self, older: impl IntoIterator<Item = (u32, Catalog)>) -> Self {
        self.with(|search| {
            search.older.extend(older);
            search
                .older
                .sort_unstable_by_key(|(number, _)| Reverse(*number));
        })
    }

    /// Adds chains that are known as good.
    #[must_use]
    pub fn known_good(self, chains: impl IntoIterator<Item = KnownChain>) -> Self {
        self.with(|search| search.known.extend(chains))
    }

    /// Adds the files of COM classes, by the identifiers of these: those of providers are named.
    #[must_use]
    pub fn class_files(self, files: impl IntoIterator<Item = (String, String)>) -> Self {
        let files = files
            .into_iter()
            .map(|(class, file)| (to_upper(&class), file));
        self.with(|search| search.files.extend(files))
    }

    /// Changes a search that has not begun.
    fn with(mut self, change: impl FnOnce(&mut Search)) -> Self {
        if let State::Ready(search) = &mut self.state {
            change(search);
        }
        self
    }
}

impl Iterator for Persistence {
    type Item = Result<Finding>;

    fn next(&mut self) -> Option<Self::Item> {
        if let State::Ready(search) = &self.state {
            let found = search.run().unwrap_or_else(|error| vec![Err(error)]);
            self.state = State::Found(found.into_iter());
        }
        match &mut self.state {
            State::Found(found) => found.next(),
            State::Ready(_) => None,
        }
    }
}

impl Search {
    fn run(&self) -> Result<Vec<Result<Finding>>> {
        let mut gathered = Gathered::of(&self.catalog)?;
        let stamps = std::mem::take(&mut gathered.stamps);
        let look = Look {
            catalog: self.catalog.clone(),
            people: People::of(&self.catalog, &gathered.namespaces),
            runs: Runs::of(stamps),
            generations: self.generations(),
        };
        let mut known = Baseline::built_in().chains.clone();
        known.extend(self.known.iter().cloned());

        let mut findings = chains::findings(&look, &gathered, &known);
        findings.extend(others::findings(&look, &gathered, &self.files));
        let mut faults = std::mem::take(&mut gathered.faults);
        let descriptors = descriptors::findings(&look, &gathered.namespaces, &mut faults);
        findings.extend(descriptors);
        if faults.iter().any(|fault| matches!(fault, Error::Cancelled)) {
            return Err(Error::Cancelled);
        }

        findings.sort_by(|a, b| {
            let weight =
                |finding: &Finding| (Reverse(finding.level), !finding.is_late, finding.kind);
            let by_weight = weight(a).cmp(&weight(b));
            by_weight.then_with(|| order(&a.path, &b.path))
        });
        let faults = faults.into_iter().map(Err);
        Ok(faults.chain(findings.into_iter().map(Ok)).collect())
    }

    /// The current generation and those before it, newest first.
    fn generations(&self) -> Vec<(u32, Catalog)> {
        if self.catalog.dialect() == Dialect::V21 {
            return Vec::new();
        }
        let current = self.catalog.snapshot().mapping().generation();
        let older = self.older.iter().filter(|(number, _)| *number < current);
        let mut all = vec![(current, self.catalog.clone())];
        all.extend(older.cloned());
        all
    }
}
