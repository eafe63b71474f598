//! Binding: the names of a condition and of a list of columns against the class that is asked.

use super::column::{BoundColumn, Head, SystemProperty, THIS};
use super::compare::{Mismatch, Operand};
use super::filter::{BoundTerm, Check, Filter, PathText};
use super::like::Pattern;
use super::notes::{NoteCode, Notes};
use super::{moment, near};
use crate::base::error::Result;
use crate::base::query_error::{QueryCode, QueryError, quote};
use crate::catalog::{Catalog, StoredClass};
use crate::cim::full_class::FullClass;
use crate::cim::name::Name;
use crate::cim::types::{CimType, ScalarType};
use crate::text::wql::{At, Column, Condition, Constant, Relation, Term, Test};

/// Objects whose names are bound.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'c> {
    /// The instances of a class.
    Instances(&'c StoredClass),
    /// Classes.
    Classes,
}

/// Binds the names of one query.
pub(super) struct Binder<'b> {
    pub(super) catalog: &'b Catalog,
    pub(super) namespace: &'b str,
    pub(super) asked: Asked<'b>,
    pub(super) notes: &'b mut Notes,
}

impl Binder<'_> {
    /// A condition; its depth bounds the recursion.
    pub(super) fn condition(&mut self, condition: &Condition) -> Result<Filter> {
        let mut all = |parts: &[Condition]| {
            parts
                .iter()
                .map(|part| self.condition(part))
                .collect::<Result<Vec<_>>>()
        };
        match condition {
            Condition::All(parts) => all(parts).map(Filter::All),
            Condition::Any(parts) => all(parts).map(Filter::Any),
            Condition::Not(inner) => self
                .condition(inner)
                .map(|inner| Filter::Not(Box::new(inner))),
            Condition::Term(term) => self.term(term).map(|term| Filter::Term(Box::new(term))),
        }
    }

    /// A column of a list.
    pub(super) fn listed(&self, column: &Column) -> Result<BoundColumn> {
        self.column(column, false).map(|(column, _)| column)
    }

    /// A column, and the type of what its first name stands for.
    fn column(&self, column: &Column, with_isa: bool) -> Result<(BoundColumn, CimType)> {
        let Some(first) = column.first() else {
            return Err(crate::Error::Bug("a column without a name".into()));
        };
        let rest: Box<[Name]> = column
            .names
            .iter()
            .skip(1)
            .map(|name| name.value.clone())
            .collect();
        let (head, cim_type) = self.head(first, with_isa)?;
        if !rest.is_empty() {
            let own = first.value.as_str();
            match cim_type {
                CimType {
                    scalar: ScalarType::Object,
                    array: false,
                } => {}
                CimType {
                    scalar: ScalarType::Object,
                    array: true,
                } => return Err(array(first).into()),
                _ => {
                    let text = format!(
                        "{} is {cim_type} and holds no object to look into",
                        quote(own)
                    );
                    return Err(refuse(QueryCode::NotAnObject, first, text).into());
                }
            }
        }
        Ok((BoundColumn { head, rest }, cim_type))
    }

    fn head(&self, name: &At<Name>, with_isa: bool) -> Result<(Head, CimType)> {
        if let Some(property) = SystemProperty::of(&name.value) {
            return Ok((Head::System(property), property.cim_type()));
        }
        let is_this = name.value == THIS;
        match self.asked {
            Asked::Classes if is_this && with_isa => {
                Ok((Head::This, CimType::one(ScalarType::Object)))
            }
            Asked::Classes if is_this => {
                let error = refuse(
                    QueryCode::ThisNeedsIsa,
                    name,
                    "__this has no operator but ISA".to_owned(),
                );
                Err(error.help("write __this ISA \"…\"").into())
            }
            Asked::Classes => {
                let text = format!(
                    "{} is no system property, and classes have no other here",
                    quote(name.value.as_str())
                );
                let error = refuse(QueryCode::SchemaProperty, name, text);
                Err(error
                    .help("__this, __CLASS, __SUPERCLASS and __DYNASTY are the usual ones")
                    .into())
            }
            Asked::Instances(_) if is_this => {
                let text = "__this means a class, and this query is for instances".to_owned();
                let error = refuse(QueryCode::ThisOutsideSchema, name, text);
                Err(error
                    .help("SELECT * FROM meta_class asks for classes")
                    .into())
            }
            Asked::Instances(stored) => match stored.class.property(name.value.as_str()) {
                Some(property) => Ok((
                    Head::Property(property.name.clone(), property.order),
                    property.cim_type,
                )),
                None => Err(self.unknown(name, &stored.class).into()),
            },
        }
    }

    /// The refusal of a property that the class has not. It names classes below that have it, or
    /// properties like it.
    fn unknown(&self, name: &At<Name>, class: &FullClass) -> QueryError {
        const NAMED: usize = 3;
        let wanted = name.value.as_str();
        let (namespace, own) = (quote(self.namespace), class.name());
        let error = refuse(
            QueryCode::UnknownProperty,
            name,
            format!("{namespace}:{own} has no {}", quote(wanted)),
        );
        let below = self.catalog.derived_classes(self.namespace, own.as_str());
        let having = below
            .into_iter()
            .flatten()
            .filter(|below| below.class.property(wanted).is_some());
        let having: Vec<String> = having
            .take(NAMED)
            .map(|below| below.class.name().to_string())
            .collect();
        if !having.is_empty() {
            return error.help(format!("{} has it", having.join(", ")));
        }
        let names = class
            .properties()
            .iter()
            .map(|property| property.name.as_str().to_owned());
        match near::suggestion(wanted, names) {
            Some(help) => error.help(help),
            None => error,
        }
    }

    fn term(&mut self, term: &Term) -> Result<BoundTerm> {
        let (column, cim_type) = self.column(&term.column, matches!(term.test, Test::Isa(_)))?;
        let Some(first) = term.column.first() else {
            return Err(crate::Error::Bug("a column without a name".into()));
        };
        let check = match &term.test {
            Test::Null(negated) => Check::Null(*negated),
            Test::Compare(
                relation,
                At {
                    value: Constant::Null,
                    ..
                },
            ) => Check::Null(relation.value == Relation::NotEqual),
            // What lies inside an object has its type when it is met.
            _ if !column.rest.is_empty() => self.inside(&term.test)?,
            _ if cim_type.array => return Err(array(first).into()),
            Test::Compare(relation, constant) => {
                compare(&column, cim_type.scalar, relation, constant)?
            }
            Test::Isa(class) if cim_type.scalar == ScalarType::Object => self.isa(class)?,
            Test::Isa(_) => {
                let text = format!(
                    "{} is {cim_type}, and ISA is for objects",
                    quote(first.value.as_str())
                );
                return Err(refuse(QueryCode::NotAnObject, first, text).into());
            }
            Test::Like(like, pattern) => {
                let has_text = matches!(
                    cim_type.scalar,
                    ScalarType::String
                        | ScalarType::DateTime
                        | ScalarType::Reference
                        | ScalarType::Char16
                );
                if !has_text {
                    return Err(operator(like, cim_type).into());
                }
                self.like(&pattern.value)
            }
        };
        Ok(BoundTerm {
            column,
            check,
            text: term.to_string(),
        })
    }

    fn inside(&mut self, test: &Test) -> Result<Check> {
        Ok(match test {
            Test::Compare(relation, constant) => {
                Check::Inside(relation.value, constant.value.clone())
            }
            Test::Isa(class) => self.isa(class)?,
            Test::Like(_, pattern) => self.like(&pattern.value),
            Test::Null(negated) => Check::Null(*negated),
        })
    }

    fn like(&mut self, text: &str) -> Check {
        let pattern = Pattern::new(text);
        if pattern.is_unclosed() {
            let namespace = self.namespace;
            self.notes.push(NoteCode::PatternUnclosed, || {
                format!(
                    "{namespace}: the pattern {} has a bracket without end and matches nothing",
                    quote(text)
                )
            });
        }
        Check::Like(pattern)
    }

    fn isa(&mut self, class: &At<Name>) -> Result<Check> {
        let name = class.value.as_str();
        if self.catalog.class(self.namespace, name)?.is_some() {
            return Ok(Check::Isa(class.value.clone()));
        }
        let near = near::class(self.catalog, self.namespace, name);
        let near = near.map(|near| format!("; {near}")).unwrap_or_default();
        let namespace = self.namespace;
        self.notes.push(NoteCode::IsaUnknown, || {
            format!(
                "{namespace} has no class {}, so that nothing ISA it{near}",
                quote(name)
            )
        });
        Ok(Check::Never)
    }
}

fn compare(
    column: &BoundColumn,
    scalar: ScalarType,
    relation: &At<Relation>,
    constant: &At<Constant>,
) -> Result<Check, QueryError> {
    let operand = Operand::new(scalar, relation.value, &constant.value);
    let is_path = |property| matches!(property, SystemProperty::Path | SystemProperty::RelPath);
    match (operand, &column.head) {
        (Ok(Operand::Text(text)), Head::System(property))
            if is_path(*property) && !relation.value.is_order() =>
        {
            let (path, is_full) = (text.parse().ok(), *property == SystemProperty::Path);
            Ok(Check::Path(
                relation.value,
                PathText {
                    text,
                    path,
                    is_full,
                },
            ))
        }
        (Ok(operand), _) => Ok(Check::Compare(relation.value, operand)),
        (Err(Mismatch::Operator), _) => {
            Err(operator(&At::new((), relation.span), CimType::one(scalar)))
        }
        (Err(Mismatch::Constant), _) => {
            let text = format!(
                "{} cannot be compared with a value of type {scalar}",
                quote(&constant.value.to_string())
            );
            Err(QueryError::new(
                QueryCode::ConstantType,
                constant.span.range(),
                text,
            ))
        }
        (Err(Mismatch::Datetime), _) => {
            let text = "a datetime has 25 characters: yyyymmddHHMMSS.ffffff+UUU, or \
                ddddddddHHMMSS.ffffff:000";
            let error = QueryError::new(QueryCode::DatetimeForm, constant.span.range(), text);
            let form = match &constant.value {
                Constant::Text(text) => moment::in_form(text),
                _ => None,
            };
            Err(match form {
                Some(form) => error.help(format!("write \"{form}\"")),
                None => error,
            })
        }
    }
}

fn operator(place: &At<()>, cim_type: CimType) -> QueryError {
    let text = format!("values of type {cim_type} do not have this operator");
    QueryError::new(QueryCode::OperatorType, place.span.range(), text)
}

fn array(name: &At<Name>) -> QueryError {
    let text = format!(
        "{} is an array, of which only IS NULL can be asked",
        quote(name.value.as_str())
    );
    refuse(QueryCode::ArrayProperty, name, text)
}

fn refuse(code: QueryCode, name: &At<Name>, text: String) -> QueryError {
    QueryError::new(code, name.span.range(), text)
}
