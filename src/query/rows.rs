//! The rows of a query, one at a time: over one namespace, or over it and all below.

use std::collections::VecDeque;
use std::fmt;

use super::assoc::Assoc;
use super::assoc_classes::ClassAssoc;
use super::data::Data;
use super::near;
use super::notes::{Note, NoteCode, Notes};
use super::options::QueryOptions;
use super::row::{Row, RowCount};
use super::schema::{META_CLASS, Schema};
use crate::base::error::{Error, Result};
use crate::base::query_error::{QueryCode, QueryError, quote};
use crate::catalog::Catalog;
use crate::text::wql::{self, Columns, Query};

/// Counters of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Counters {
    /// Keys of the index.
    pub keys: u64,
    /// Records.
    pub records: u64,
    /// Rows.
    pub rows: u64,
}

/// Source of the rows of one namespace.
pub(super) trait Source: Send {
    /// The next row.
    fn next(&mut self, notes: &mut Notes, counters: &mut Counters) -> Option<Result<Row>>;
}

/// A query whose names are known in a namespace.
pub(super) enum Prepared {
    Data(Data),
    Schema(Schema),
    Assoc(Assoc),
    ClassAssoc(ClassAssoc),
}

impl Prepared {
    pub(super) fn new(
        catalog: &Catalog,
        namespace: &str,
        query: &Query,
        options: &QueryOptions,
        notes: &mut Notes,
    ) -> Result<Self> {
        Ok(match query {
            Query::Event(event) => {
                let text = "the query asks for events, which are delivered while Windows runs and \
                    never stored";
                return Err(QueryError::new(
                    QueryCode::EventQuery,
                    event.first_word.span.range(),
                    text,
                )
                .into());
            }
            Query::Select(select) if select.class.value == META_CLASS => {
                Prepared::Schema(Schema::prepare(catalog, namespace, select, options, notes)?)
            }
            Query::Select(select) => {
                Prepared::Data(Data::prepare(catalog, namespace, select, options, notes)?)
            }
            Query::Association(association) if association.schema_only => Prepared::ClassAssoc(
                ClassAssoc::prepare(catalog, namespace, association, options)?,
            ),
            Query::Association(association) => Prepared::Assoc(Assoc::prepare(
                catalog,
                namespace,
                association,
                options,
                notes,
            )?),
        })
    }

    fn rows(self) -> Result<Box<dyn Source>> {
        Ok(match self {
            Prepared::Data(data) => Box::new(data.rows()),
            Prepared::Schema(schema) => Box::new(schema.rows()?),
            Prepared::Assoc(assoc) => Box::new(assoc.rows()),
            Prepared::ClassAssoc(assoc) => Box::new(assoc.rows()),
        })
    }
}

/// The rows of a query. One that cannot be read is an error among them, and the others follow;
/// after [`Error::Cancelled`] there are none.
pub struct Rows {
    catalog: Catalog,
    query: Query,
    options: QueryOptions,
    /// Namespaces that are still to be asked.
    ahead: VecDeque<Result<String>>,
    current: Option<Box<dyn Source>>,
    notes: Notes,
    counters: Counters,
    /// The rows counted so far, of a query that counts.
    count: Option<RowCount>,
    is_over: bool,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// Runs a query on the objects of a namespace. Give an [observed](Catalog::observed) catalog to be
/// able to end it.
///
/// # Errors
/// [`Error::Query`] when the query is refused, by its text or by what the repository has;
/// [`Error::Corrupt`] when a page on the way to its class cannot be read, [`Error::Io`],
/// [`Error::Cancelled`].
pub fn run(catalog: &Catalog, namespace: &str, text: &str, options: QueryOptions) -> Result<Rows> {
    let query = read(text, &options)?;
    let namespace = known_namespace(catalog, namespace)?;
    let ahead = namespaces(catalog, &namespace, &options)?;
    let count = is_count(&query).then(RowCount::default);
    let mut rows = Rows {
        catalog: catalog.clone(),
        query,
        options,
        ahead,
        current: None,
        notes: Notes::default(),
        counters: Counters::default(),
        count,
        is_over: false,
    };
    rows.begin()?;
    Ok(rows)
}

/// The tree of a query that the options allow.
pub(super) fn read(text: &str, options: &QueryOptions) -> Result<Query> {
    let query = wql::parse(text)?;
    match &query {
        Query::Select(select) | Query::Event(wql::Event { select, .. })
            if options.strict && select.columns.value == Columns::Count =>
        {
            let text = "COUNT(*) is no part of WQL as Windows accepts it";
            Err(QueryError::new(QueryCode::Syntax, select.columns.span.range(), text).into())
        }
        _ => Ok(query),
    }
}

fn is_count(query: &Query) -> bool {
    matches!(query, Query::Select(select) if select.columns.value == Columns::Count)
}

/// A namespace as the repository spells it.
pub(super) fn known_namespace(catalog: &Catalog, namespace: &str) -> Result<String> {
    if let Some(found) = catalog.find_namespace(namespace)? {
        return Ok(found);
    }
    let error = QueryError::new(
        QueryCode::UnknownNamespace,
        0..0,
        format!("there is no namespace {}", quote(namespace)),
    );
    Err(match near::namespace(catalog, namespace) {
        Some(help) => error.help(help),
        None => error,
    }
    .into())
}

/// The namespaces that a query is run in.
pub(super) fn namespaces(
    catalog: &Catalog,
    top: &str,
    options: &QueryOptions,
) -> Result<VecDeque<Result<String>>> {
    match options.recursive {
        true => catalog.namespaces_from(top).map(VecDeque::from),
        false => Ok(VecDeque::from([Ok(top.to_owned())])),
    }
}

impl Rows {
    /// Notes on what the rows do not say. Some come with the rows that they are about: they are
    /// complete when the rows have ended.
    pub fn notes(&self) -> &[Note] {
        self.notes.listed()
    }

    /// The number of notes beyond those that are kept of each kind.
    pub fn notes_not_listed(&self) -> u64 {
        self.notes.not_listed()
    }

    /// Returns the counters so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Looks for the first namespace that the query fits, so that a query that fits none is refused
    /// at once.
    fn begin(&mut self) -> Result<()> {
        let mut refused = None;
        let mut unreadable = VecDeque::new();
        while let Some(namespace) = self.ahead.pop_front() {
            match namespace {
                Ok(namespace) => match self.enter(&namespace) {
                    Ok(true) => {
                        unreadable.append(&mut self.ahead);
                        self.ahead = unreadable;
                        return Ok(());
                    }
                    Ok(false) => {}
                    Err(Error::Query(error)) if self.options.recursive => {
                        self.note_passed_over(&namespace, &error);
                        refused = Some(more_telling(refused, error));
                    }
                    Err(error) => return Err(error),
                },
                Err(error) => unreadable.push_back(Err(error)),
            }
        }
        match (refused, self.options.recursive) {
            (Some(error), _) => Err(Error::Query(error)),
            (None, true) => {
                self.ahead = unreadable;
                Ok(())
            }
            (None, false) => Err(Error::denied("the namespace may not be read")),
        }
    }

    /// Begins with a namespace; `false` when it may not be read and is passed over.
    fn enter(&mut self, namespace: &str) -> Result<bool> {
        if !self.options.may_read(namespace)? {
            if self.options.recursive {
                self.notes.push(NoteCode::PassedOver, || {
                    format!("{namespace}: the right to read it is missing")
                });
                return Ok(false);
            }
            return Err(Error::denied(format!(
                "the objects of {namespace} may not be read"
            )));
        }
        let prepared = Prepared::new(
            &self.catalog,
            namespace,
            &self.query,
            &self.options,
            &mut self.notes,
        )?;
        self.current = Some(prepared.rows()?);
        Ok(true)
    }

    /// Goes on with the next namespace; `None` when there is none.
    fn advance(&mut self) -> Option<Result<()>> {
        loop {
            let namespace = match self.ahead.pop_front()? {
                Ok(namespace) => namespace,
                Err(error) => return Some(Err(error)),
            };
            match self.enter(&namespace) {
                Ok(true) => return Some(Ok(())),
                Ok(false) => {}
                Err(Error::Query(error)) => self.note_passed_over(&namespace, &error),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Notes that a query is refused in a namespace. One without the class has nothing to say.
    fn note_passed_over(&mut self, namespace: &str, error: &QueryError) {
        if error.code != QueryCode::UnknownClass {
            self.notes
                .push(NoteCode::PassedOver, || format!("{namespace}: {error}"));
        }
    }

    fn next_row(&mut self) -> Option<Result<Row>> {
        loop {
            if let Some(source) = &mut self.current {
                match source.next(&mut self.notes, &mut self.counters) {
                    None => self.current = None,
                    found => return found,
                }
            }
            match self.advance()? {
                Ok(()) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Of two refusals that of a namespace which has the class.
fn more_telling(first: Option<Box<QueryError>>, second: Box<QueryError>) -> Box<QueryError> {
    match first {
        Some(first)
            if second.code == QueryCode::UnknownClass || first.code != QueryCode::UnknownClass =>
        {
            first
        }
        _ => second,
    }
}

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over
            || self
                .options
                .limit
                .is_some_and(|limit| self.counters.rows >= limit)
        {
            return None;
        }
        loop {
            let next = self.next_row();
            match (next, &mut self.count) {
                (Some(Ok(_)), Some(count)) => count.read += 1,
                (Some(Ok(row)), None) => {
                    self.counters.rows += 1;
                    return Some(Ok(row));
                }
                (Some(Err(error)), count) => {
                    if let Some(count) = count {
                        count.unreadable += 1;
                    }
                    self.is_over = matches!(error, Error::Cancelled);
                    return Some(Err(error));
                }
                (None, count) => {
                    self.is_over = true;
                    let count = (*count)?;
                    self.counters.rows += 1;
                    return Some(Ok(Row::Count(count)));
                }
            }
        }
    }
}
