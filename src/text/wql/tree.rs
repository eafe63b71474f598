//! The tree of a query.

use crate::cim::name::Name;
use crate::cim::path::ObjectPath;
use crate::text::span::Span;

/// A part of a query and where it stood. Two are equal when their values are, wherever they stood.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The part.
    pub value: T,
    /// The stretch of the text.
    pub span: Span,
}

impl<T> At<T> {
    /// A part that stood at `span`.
    pub const fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// `SELECT`, for instances or classes that are stored.
    Select(Select),
    /// `SELECT` with `WITHIN`, `GROUP` or `HAVING`, for events.
    Event(Event),
    /// `ASSOCIATORS OF` or `REFERENCES OF`.
    Association(Association),
}

/// `SELECT columns FROM class [WHERE condition]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// The columns.
    pub columns: At<Columns>,
    /// The class.
    pub class: At<Name>,
    /// The condition.
    pub condition: Option<Condition>,
}

/// The columns of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Columns {
    /// `*`.
    All,
    /// `COUNT(*)`.
    Count,
    /// Those named, at least one.
    Named(Vec<Column>),
}

/// A column: a property, or a property of the object that it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The names, at least one: that of the property first.
    pub names: Vec<At<Name>>,
}

impl Column {
    /// The name of the property of the class.
    pub fn first(&self) -> Option<&At<Name>> {
        self.names.first()
    }

    /// The name, when there is but one.
    pub fn single(&self) -> Option<&At<Name>> {
        match self.names.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Where the first name stood.
    pub fn span(&self) -> Span {
        self.first().map_or(Span::at(0), |first| first.span)
    }
}

/// A query for events.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The text before the words that ask for events, and the condition.
    pub select: Select,
    /// `WITHIN`: how often is polled, in seconds, as written.
    pub within: Option<At<Number>>,
    /// `GROUP WITHIN`.
    pub group: Option<Group>,
    /// Where the first of `WITHIN` and `GROUP` stood.
    pub first_word: At<()>,
}

/// `GROUP WITHIN seconds [BY columns] [HAVING condition]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Seconds over which events are gathered, as written.
    pub within: At<Number>,
    /// The columns by which events are grouped.
    pub by: Vec<Column>,
    /// The condition on the group.
    pub having: Option<Condition>,
}

pub use super::number::Number;

/// A condition. `All` and `Any` have two parts at least, as the parser makes them.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// `AND`.
    All(Vec<Condition>),
    /// `OR`.
    Any(Vec<Condition>),
    /// `NOT`.
    Not(Box<Condition>),
    /// A test of one column.
    Term(Box<Term>),
}

/// A test of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The column.
    pub column: Column,
    /// The test.
    pub test: Test,
}

/// The test of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// A comparison; a constant that stood on the left was turned round.
    Compare(At<Relation>, At<Constant>),
    /// `IS NULL`, or with `true` `IS NOT NULL`.
    Null(bool),
    /// `ISA` with the name of a class.
    Isa(At<Name>),
    /// `LIKE` with a pattern, its escapes resolved; and where LIKE stood.
    Like(At<()>, At<String>),
}

/// A relation of a column and a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `=`
    Equal,
    /// `<>` or `!=`
    NotEqual,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
}

impl Relation {
    /// True if it is a relation of order.
    pub const fn is_order(self) -> bool {
        !matches!(self, Relation::Equal | Relation::NotEqual)
    }

    /// The relation with its sides exchanged.
    #[must_use]
    pub const fn turned(self) -> Self {
        match self {
            Relation::Less => Relation::Greater,
            Relation::Greater => Relation::Less,
            Relation::AtMost => Relation::AtLeast,
            Relation::AtLeast => Relation::AtMost,
            same => same,
        }
    }

    /// True if it holds for a value that stands so to the constant; `None` where they have no
    /// order.
    pub const fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match (self, order) {
            (Relation::NotEqual, None) => true,
            (_, None) => false,
            (Relation::Equal, Some(order)) => matches!(order, Equal),
            (Relation::NotEqual, Some(order)) => !matches!(order, Equal),
            (Relation::Less, Some(order)) => matches!(order, Less),
            (Relation::Greater, Some(order)) => matches!(order, Greater),
            (Relation::AtMost, Some(order)) => !matches!(order, Greater),
            (Relation::AtLeast, Some(order)) => !matches!(order, Less),
        }
    }
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// A text, its escapes resolved.
    Text(String),
    /// A number.
    Number(Number),
    /// `TRUE` or `FALSE`.
    Boolean(bool),
    /// `NULL`.
    Null,
}

/// `ASSOCIATORS OF {path}` or `REFERENCES OF {path}`, with clauses.
#[derive(Debug, Clone, PartialEq)]
pub struct Association {
    /// Which of the two.
    pub kind: AssociationKind,
    /// The object in braces; its place is that of the text inside them.
    pub path: At<ObjectPath>,
    /// `AssocClass`.
    pub assoc_class: Option<At<Name>>,
    /// `ResultClass`.
    pub result_class: Option<At<Name>>,
    /// `Role`.
    pub role: Option<At<Name>>,
    /// `ResultRole`.
    pub result_role: Option<At<Name>>,
    /// `RequiredQualifier`.
    pub required_qualifier: Option<At<Name>>,
    /// `RequiredAssocQualifier`.
    pub required_assoc_qualifier: Option<At<Name>>,
    /// `ClassDefsOnly`.
    pub class_defs_only: bool,
    /// `SchemaOnly`.
    pub schema_only: bool,
    /// `KeysOnly`.
    pub keys_only: bool,
}

/// The two statements on associations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssociationKind {
    /// `ASSOCIATORS OF`
    Associators,
    /// `REFERENCES OF`
    References,
}
