//! The columns of a row put together by their first names: the objects that JSON shows.

use super::column::{BoundColumn, Found, Subject, inside};
use super::row::Columns;
use crate::cim::name::Name;
use crate::cim::value::{Object, Value};

/// The value that stands under one first name.
pub(super) enum Shown<'r> {
    /// All of it.
    Whole(Found<'r>),
    /// Parts of the object there.
    Parts(&'r Object, Vec<&'r [Name]>),
}

impl Columns {
    /// The columns put together by their first names, in the order in which these were written
    /// first.
    pub(super) fn grouped<'r>(&'r self, subject: Subject<'r>) -> Vec<(&'r str, Shown<'r>)> {
        let mut groups: Vec<(&BoundColumn, Vec<&[Name]>)> = Vec::new();
        for column in &self.0 {
            match groups
                .iter_mut()
                .find(|(first, _)| first.head == column.head)
            {
                Some((_, parts)) => parts.push(&column.rest),
                None => groups.push((column, vec![&column.rest])),
            }
        }
        let shown = |(first, parts): (&'r BoundColumn, Vec<&'r [Name]>)| {
            let found = first.find_head(subject);
            let shown = match found {
                Found::Value(Value::Object(object))
                    if !parts.iter().any(|part| part.is_empty()) =>
                {
                    Shown::Parts(object, parts)
                }
                found => Shown::Whole(found),
            };
            (first.head_name(), shown)
        };
        groups.into_iter().map(shown).collect()
    }
}

/// The parts of an object put together by their first names, as the columns are.
pub(super) fn grouped_inside<'r>(
    object: &'r Object,
    parts: &[&'r [Name]],
) -> Vec<(&'r Name, Shown<'r>)> {
    let mut groups: Vec<(&Name, Vec<&[Name]>)> = Vec::new();
    for part in parts {
        let [first, rest @ ..] = part else { continue };
        match groups.iter_mut().find(|(name, _)| *name == first) {
            Some((_, parts)) => parts.push(rest),
            None => groups.push((first, vec![rest])),
        }
    }
    let shown = |(name, parts): (&'r Name, Vec<&'r [Name]>)| {
        let shown = match inside(object, name) {
            Found::Value(Value::Object(inner)) if !parts.iter().any(|part| part.is_empty()) => {
                Shown::Parts(inner, parts)
            }
            found => Shown::Whole(found),
        };
        (name, shown)
    };
    groups.into_iter().map(shown).collect()
}
