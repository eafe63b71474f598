//! A condition whose names are known, and the test of an object against it. There are two truth
//! values.

use super::column::{BoundColumn, Found, Head, Subject};
use super::compare::{self, Operand};
use super::isa;
use super::like::Pattern;
use crate::base::error::Result;
use crate::catalog::Catalog;
use crate::cim::name::{Name, same};
use crate::cim::path::ObjectPath;
use crate::cim::value::Value;
use crate::text::wql::{Constant, Relation};

/// A condition whose names are known. It is as deep as the tree that it was made from.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Term(Box<BoundTerm>),
}

/// A test of a column.
#[derive(Debug, Clone)]
pub(super) struct BoundTerm {
    pub(super) column: BoundColumn,
    pub(super) check: Check,
    /// The term as it was written, for people.
    pub(super) text: String,
}

/// The test of what stands in a column.
#[derive(Debug, Clone)]
pub(super) enum Check {
    /// False, whatever stands there.
    Never,
    /// `IS NULL`, or with `true` `IS NOT NULL`.
    Null(bool),
    Compare(Relation, Operand),
    /// A comparison with what lies inside an object, whose type is known when it is met.
    Inside(Relation, Constant),
    /// `=` or `<>` between `__PATH` or `__RELPATH` and a text.
    Path(Relation, PathText),
    Like(Pattern),
    Isa(Name),
}

/// A text that is compared with the path of an object.
#[derive(Debug, Clone)]
pub(super) struct PathText {
    pub(super) text: String,
    /// The path that it is, if it is one.
    pub(super) path: Option<ObjectPath>,
    /// True if it is compared with `__PATH`, which has a namespace.
    pub(super) is_full: bool,
}

impl Filter {
    /// True if the object fulfils the condition.
    pub(super) fn holds(&self, catalog: &Catalog, subject: Subject<'_>) -> Result<bool> {
        match self {
            Filter::Term(term) => term.holds(catalog, subject),
            Filter::Not(inner) => inner.holds(catalog, subject).map(|holds| !holds),
            Filter::All(parts) => holds_until(parts, false, catalog, subject),
            Filter::Any(parts) => holds_until(parts, true, catalog, subject),
        }
    }

    /// The parts of which each must hold.
    pub(super) fn conjuncts(&self) -> &[Filter] {
        match self {
            Filter::All(parts) => parts,
            one => std::slice::from_ref(one),
        }
    }

    /// Every term.
    pub(super) fn terms(&self) -> Vec<&BoundTerm> {
        match self {
            Filter::Term(term) => vec![term],
            Filter::Not(inner) => inner.terms(),
            Filter::All(parts) | Filter::Any(parts) => {
                parts.iter().flat_map(Filter::terms).collect()
            }
        }
    }
}

/// Looks at parts until one is as `decisive`.
fn holds_until(
    parts: &[Filter],
    decisive: bool,
    catalog: &Catalog,
    subject: Subject<'_>,
) -> Result<bool> {
    for part in parts {
        if part.holds(catalog, subject)? == decisive {
            return Ok(decisive);
        }
    }
    Ok(!decisive)
}

impl BoundTerm {
    fn holds(&self, catalog: &Catalog, subject: Subject<'_>) -> Result<bool> {
        if let (Head::This, Check::Isa(class)) = (&self.column.head, &self.check) {
            return Ok(subject.class().is_a(class.as_str()));
        }
        let found = self.column.find(subject);
        if matches!(found, Found::Nowhere) {
            return Ok(false);
        }
        let Some(value) = found.value() else {
            return Ok(self.check.holds_for_null());
        };
        Ok(match &self.check {
            Check::Never => false,
            Check::Null(negated) => *negated,
            Check::Compare(relation, operand) => compare::holds(value, *relation, operand),
            Check::Inside(relation, constant) => {
                let cim_type = value.cim_type();
                !cim_type.array
                    && Operand::new(cim_type.scalar, *relation, constant)
                        .is_ok_and(|operand| compare::holds(value, *relation, &operand))
            }
            Check::Path(relation, text) => {
                text.is_path_of(subject, value) == (*relation == Relation::Equal)
            }
            Check::Like(pattern) => match value {
                Value::Char16(unit) => pattern.matches(&compare::unit_text(*unit)),
                value => value.as_text().is_some_and(|text| pattern.matches(text)),
            },
            Check::Isa(class) => match value {
                Value::Object(object) => {
                    let (Subject::Instance(namespace, _) | Subject::Class(namespace, _)) = subject;
                    isa::is_a(catalog, namespace, object, class)?
                }
                _ => false,
            },
        })
    }
}

impl Check {
    /// NULL differs from every constant, and nothing else holds for it.
    const fn holds_for_null(&self) -> bool {
        match self {
            Check::Null(negated) => !*negated,
            Check::Compare(relation, _) | Check::Inside(relation, _) | Check::Path(relation, _) => {
                matches!(relation, Relation::NotEqual)
            }
            Check::Never | Check::Like(_) | Check::Isa(_) => false,
        }
    }
}

impl PathText {
    /// True if the text means the object whose path is `value`.
    fn is_path_of(&self, subject: Subject<'_>, value: &Value) -> bool {
        let own = value.as_text().unwrap_or_default();
        let Some(path) = &self.path else {
            return same(own, &self.text);
        };
        let (Subject::Instance(namespace, _) | Subject::Class(namespace, _)) = subject;
        let is_there = match (&path.namespace, self.is_full) {
            (Some(other), true) => same(other, namespace),
            (None, false) => true,
            _ => false,
        };
        if !is_there || path.class != *subject.class().name() {
            return false;
        }
        match subject {
            Subject::Class(..) => !path.is_instance(),
            Subject::Instance(_, instance) => {
                let wanted = instance.class().key_text_of(path);
                let own = instance.key_text();
                wanted.is_ok_and(|wanted| own.is_ok_and(|own| same(&own, &wanted)))
            }
        }
    }
}
