//! A class whose superclass is lost: what it declares itself, and what is left above it.

use std::sync::Arc;

use super::{ComposeError, FullClass, FullProperty};
use crate::cim::class::Class;
use crate::cim::name::Name;

/// What is known of a class that lacks an ancestor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partial {
    /// The nearest ancestor that is lost.
    pub(crate) ancestor: Name,
    /// Where the values of the known properties stand in tables of values: their stored orders and
    /// offsets.
    pub(crate) places: Vec<(u16, u32)>,
    /// Properties of the whole class, inherited ones included; unknown where the class declares
    /// none itself.
    pub(crate) count: Option<usize>,
    /// Bytes of the table of values, with the states in front of it; unknown where nothing is left
    /// of the class itself.
    pub(crate) table_bytes: Option<usize>,
}

impl Partial {
    /// The stored order and offset of a known property, from those that it has among the known
    /// ones.
    pub(crate) fn place(&self, among_known: (u16, u32)) -> (u16, u32) {
        self.places
            .get(usize::from(among_known.0))
            .copied()
            .unwrap_or(among_known)
    }

    /// Of one for each property those for the known ones.
    pub(crate) fn known<T: Clone + Default>(&self, all: &[T]) -> Vec<T> {
        let of =
            |(order, _): &(u16, u32)| all.get(usize::from(*order)).cloned().unwrap_or_default();
        self.places.iter().map(of).collect()
    }
}

/// The shape of a table of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableShape {
    /// Properties that have a state.
    pub(crate) count: usize,
    /// Bytes of the slots.
    pub(crate) slots: usize,
}

impl FullClass {
    /// A class that lacks an ancestor, over what is left of its superclass.
    ///
    /// # Errors
    /// As [`compose`](FullClass::compose).
    pub(crate) fn compose_partial(
        declaration: Class,
        superclass: Option<Arc<FullClass>>,
        partial: Partial,
    ) -> Result<Self, ComposeError> {
        let derivation = match &superclass {
            Some(parent) => [parent.name()]
                .into_iter()
                .chain(parent.derivation())
                .cloned()
                .collect(),
            None => declaration.superclass.iter().cloned().collect(),
        };
        let mut class = Self::begin(declaration, superclass, derivation).with_members()?;
        class.partial = Some(Arc::new(partial));
        Ok(class)
    }

    /// A class of which the name alone is known.
    ///
    /// # Errors
    /// As [`compose`](FullClass::compose).
    pub(crate) fn of_name_alone(name: Name) -> Result<Self, ComposeError> {
        let partial = Partial {
            ancestor: name.clone(),
            places: Vec::new(),
            count: None,
            table_bytes: None,
        };
        let declaration = Class {
            name,
            ..Class::builder("").build()
        };
        Self::compose_partial(declaration, None, partial)
    }

    /// True if an ancestor is lost, so that the class has more than is known of it.
    pub const fn is_partial(&self) -> bool {
        self.partial.is_some()
    }

    /// The nearest ancestor that is lost; `None` for a whole class.
    pub fn missing_ancestor(&self) -> Option<&Name> {
        self.partial().map(|partial| &partial.ancestor)
    }

    pub(crate) const fn partial(&self) -> Option<&Arc<Partial>> {
        self.partial.as_ref()
    }

    /// The shape of the tables of values of its instances; `None` where too much is lost to tell.
    pub(crate) fn table_shape(&self) -> Option<TableShape> {
        let Some(partial) = self.partial() else {
            let slots = crate::base::widen(self.table_size());
            return Some(TableShape {
                count: self.properties().len(),
                slots,
            });
        };
        let count = partial.count?;
        let slots = partial.table_bytes?.checked_sub(count.div_ceil(4))?;
        Some(TableShape { count, slots })
    }

    /// The order and offset of a property of the class in tables of values.
    pub(crate) fn stored_place(&self, property: &FullProperty) -> (u16, u32) {
        let place = (property.order, property.offset);
        self.partial().map_or(place, |partial| partial.place(place))
    }
}
