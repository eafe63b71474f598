//! A class whose superclass is lost: its own declaration over what is left of its ancestors.

use std::sync::Arc;

use super::{ComposeError, FullClass, FullProperty};
use crate::cim::class::Class;
use crate::cim::name::Name;

/// The known parts of a class that lacks an ancestor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partial {
    /// The nearest lost ancestor.
    pub(crate) ancestor: Name,
    /// The stored orders and offsets of the known properties in tables of values.
    pub(crate) places: Vec<(u16, u32)>,
    /// Number of properties of the whole class, inherited ones included; `None` if the class
    /// declares none itself, and so it is unknown.
    pub(crate) count: Option<usize>,
    /// Size in bytes of the table of values, with the states before it; `None` if nothing is left
    /// of the class itself.
    pub(crate) table_bytes: Option<usize>,
}

impl Partial {
    /// The stored order and offset of a known property, looked up by its order and offset among the
    /// known ones.
    pub(crate) fn place(&self, among_known: (u16, u32)) -> (u16, u32) {
        self.places
            .get(usize::from(among_known.0))
            .copied()
            .unwrap_or(among_known)
    }

    /// Selects from a list with one element per stored property those of the known properties.
    pub(crate) fn known<T: Clone + Default>(&self, all: &[T]) -> Vec<T> {
        let of =
            |(order, _): &(u16, u32)| all.get(usize::from(*order)).cloned().unwrap_or_default();
        self.places.iter().map(of).collect()
    }
}

/// The layout of a table of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableShape {
    /// Number of properties that have a state.
    pub(crate) count: usize,
    /// Size of the slots, in bytes.
    pub(crate) slots: usize,
}

impl FullClass {
    /// Composes a class that lacks an ancestor over what is left of its superclass.
    ///
    /// # Errors
    /// The errors of [`compose`](FullClass::compose).
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

    /// A class of which only the name is known.
    ///
    /// # Errors
    /// The errors of [`compose`](FullClass::compose).
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

    /// True if an ancestor is lost, so that the class has members that are not known.
    pub const fn is_partial(&self) -> bool {
        self.partial.is_some()
    }

    /// The nearest lost ancestor; `None` for a complete class.
    pub fn missing_ancestor(&self) -> Option<&Name> {
        self.partial().map(|partial| &partial.ancestor)
    }

    pub(crate) const fn partial(&self) -> Option<&Arc<Partial>> {
        self.partial.as_ref()
    }

    /// The layout of the tables of values of its instances; `None` if too much is lost to know it.
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

    /// The stored order and offset of a property of the class in tables of values.
    pub(crate) fn stored_place(&self, property: &FullProperty) -> (u16, u32) {
        let place = (property.order, property.offset);
        self.partial().map_or(place, |partial| partial.place(place))
    }
}
