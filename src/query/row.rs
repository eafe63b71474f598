//! Rows of an answer.

use std::sync::Arc;

use super::column::{BoundColumn, Subject};
use crate::catalog::{StoredClass, StoredInstance};
use crate::cim::name::Name;
use crate::cim::value::Value;

/// A row.
#[derive(Debug, Clone)]
pub enum Row {
    /// An instance.
    Instance(Box<InstanceRow>),
    /// A class.
    Class(ClassRow),
    /// The result of `COUNT(*)`.
    Count(RowCount),
}

/// The rows that a counting query read. Where something could not be read, the number of rows is no
/// total: nobody knows how many are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowCount {
    /// Rows that were read.
    pub read: u64,
    /// Errors among them: an object each, or a page of the index with any number of keys.
    pub unreadable: u64,
}

impl RowCount {
    /// The number of all rows; `None` where something could not be read.
    pub const fn total(&self) -> Option<u64> {
        match self.unreadable {
            0 => Some(self.read),
            _ => None,
        }
    }
}

/// An instance, and what of it was asked for.
#[derive(Debug, Clone)]
pub struct InstanceRow {
    /// The namespace where it lies.
    pub namespace: Arc<str>,
    /// The instance, whole.
    pub stored: StoredInstance,
    /// The columns that were asked for; everything when there is none.
    pub projection: Option<Arc<Projection>>,
}

/// A class.
#[derive(Debug, Clone)]
pub struct ClassRow {
    /// The namespace where it lies; that of the system classes for one of these.
    pub namespace: Arc<str>,
    /// The class.
    pub class: Arc<StoredClass>,
}

/// The columns of a list, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Projection {
    /// Those written, in their order.
    Columns(Columns),
    /// The keys of each instance.
    Keys,
}

/// Columns in the order in which they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(pub(super) Vec<BoundColumn>);

/// A value of a row under its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// The name of the column; names inside an object after points.
    pub name: String,
    /// The value; `None` where it is NULL, or the names lead nowhere.
    pub value: Option<Value>,
}

impl Projection {
    pub(super) fn new(columns: Vec<BoundColumn>) -> Self {
        let mut once: Vec<BoundColumn> = Vec::with_capacity(columns.len());
        for column in columns {
            if !once.contains(&column) {
                once.push(column);
            }
        }
        Projection::Columns(Columns(once))
    }
}

impl InstanceRow {
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject::Instance(&self.namespace, &self.stored.instance)
    }

    /// The path of the instance with its namespace; `None` when a key has no value.
    pub fn path(&self) -> Option<String> {
        let path = self.stored.instance.path().ok()?;
        Some(path.in_namespace(&*self.namespace).text())
    }

    /// True if the keys alone were asked for.
    pub fn has_keys_alone(&self) -> bool {
        self.projection.as_deref() == Some(&Projection::Keys)
    }

    /// The values that were asked for, in their order.
    pub fn cells(&self) -> Vec<Cell> {
        let instance = &self.stored.instance;
        match self.projection.as_deref() {
            None => {
                let cell = |name: &Name, value: Option<&Value>| Cell {
                    name: name.as_str().to_owned(),
                    value: value.cloned(),
                };
                instance
                    .values()
                    .map(|(property, value)| cell(&property.name, value))
                    .collect()
            }
            Some(Projection::Keys) => {
                let keys = instance.class().key_properties();
                let cell = |name: &Name, value: Option<&Value>| Cell {
                    name: name.as_str().to_owned(),
                    value: value.cloned(),
                };
                keys.map(|property| cell(&property.name, instance.value_of(property)))
                    .collect()
            }
            Some(Projection::Columns(Columns(columns))) => {
                let cell = |column: &BoundColumn| Cell {
                    name: column.label(),
                    value: column.find(self.subject()).value().cloned(),
                };
                columns.iter().map(cell).collect()
            }
        }
    }
}
