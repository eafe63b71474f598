//! The way to the classes of a schema query.

use super::column::{Head, SystemProperty};
use super::compare::Operand;
use super::filter::{BoundTerm, Check, Filter};
use super::lookups;
use crate::cim::name::Name;
use crate::text::wql::Relation;

/// Classes that are read.
#[derive(Debug, Clone)]
pub(super) enum ClassAccess {
    /// The classes with these names.
    Names(Vec<String>),
    /// A class and all that are derived from it.
    Family(Name),
    /// The classes derived directly from one, or from none.
    Derived(Option<Name>),
    /// All classes by their names first, and in full where the names alone fulfil the condition.
    ByName,
    /// All classes.
    All,
}

impl ClassAccess {
    pub(super) fn of(filter: Option<&Filter>) -> Self {
        let Some(filter) = filter else {
            return ClassAccess::All;
        };
        if let Some(names) = lookups::classes(filter) {
            return ClassAccess::Names(names);
        }
        let terms = filter.conjuncts().iter().filter_map(|part| match part {
            Filter::Term(term) => Some(&**term),
            _ => None,
        });
        if let Some(access) = terms.filter_map(narrow).next() {
            return access;
        }
        let is_name =
            |term: &&BoundTerm| matches!(term.column.head, Head::System(SystemProperty::Class));
        let looks_at_names = filter.terms().iter().all(is_name);
        if looks_at_names {
            ClassAccess::ByName
        } else {
            ClassAccess::All
        }
    }
}

/// The classes that a term leaves, where an index leads to them.
fn narrow(term: &BoundTerm) -> Option<ClassAccess> {
    use SystemProperty::{Dynasty, Superclass};
    match (&term.column.head, &term.check) {
        (Head::This, Check::Isa(class)) => Some(ClassAccess::Family(class.clone())),
        (Head::This, Check::Never) => Some(ClassAccess::Names(Vec::new())),
        (Head::System(Dynasty), Check::Compare(Relation::Equal, Operand::Text(class))) => {
            Some(ClassAccess::Family(Name::from(class.as_str())))
        }
        (Head::System(Superclass), Check::Compare(Relation::Equal, Operand::Text(class))) => {
            Some(ClassAccess::Derived(Some(Name::from(class.as_str()))))
        }
        (Head::System(Superclass), Check::Null(false)) => Some(ClassAccess::Derived(None)),
        _ => None,
    }
}
