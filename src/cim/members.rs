//! Properties or methods of a class, in order of declaration and by name. Classes that declare none
//! of their own share the list of their superclass.

use std::sync::Arc;

use super::name::{self, Name};

/// A member of a class.
pub(super) trait Member {
    /// The name.
    fn name(&self) -> &Name;
}

/// The members of one kind.
#[derive(Debug)]
pub(super) struct Members<T> {
    /// All members in order of declaration, inherited ones first.
    all: Arc<Vec<Arc<T>>>,
    /// Indices into that list, sorted by the names of the members.
    by_name: Arc<Vec<u16>>,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self {
            all: Arc::default(),
            by_name: Arc::default(),
        }
    }
}

impl<T> Clone for Members<T> {
    fn clone(&self) -> Self {
        Self {
            all: self.all.clone(),
            by_name: self.by_name.clone(),
        }
    }
}

impl<T: PartialEq> PartialEq for Members<T> {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl<T: Member> Members<T> {
    pub(super) fn as_slice(&self) -> &[Arc<T>] {
        &self.all
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, number: u16) -> Option<&Arc<T>> {
        self.all.get(usize::from(number))
    }

    /// The members sorted by name.
    pub(super) fn by_name(&self) -> impl Iterator<Item = &T> {
        self.by_name
            .iter()
            .filter_map(|&number| self.get(number).map(|member| &**member))
    }

    /// The index of the member with this name. It is found only if it was in the list when that was
    /// last [sorted](Self::sort).
    pub(super) fn find(&self, name: &str) -> Option<u16> {
        let compare = |number: &u16| {
            self.get(*number)
                .map_or(std::cmp::Ordering::Less, |member| {
                    name::order(member.name().as_str(), name)
                })
        };
        self.by_name
            .get(self.by_name.binary_search_by(compare).ok()?)
            .copied()
    }

    /// Mutable access to one member, for replacing it.
    pub(super) fn slot(&mut self, number: u16) -> Option<&mut Arc<T>> {
        Arc::make_mut(&mut self.all).get_mut(usize::from(number))
    }

    /// Mutable access to all members, in order of declaration.
    pub(super) fn slots(&mut self) -> impl Iterator<Item = &mut Arc<T>> {
        Arc::make_mut(&mut self.all).iter_mut()
    }

    pub(super) fn push(&mut self, member: T) {
        Arc::make_mut(&mut self.all).push(Arc::new(member));
    }

    /// Sorts in the members that were pushed. Indices have 16 bits; the caller bounds the number of
    /// members.
    pub(super) fn sort(&mut self) {
        let sorted = self.by_name.len();
        if sorted == self.all.len() {
            return;
        }
        let (all, by_name) = (&self.all, Arc::make_mut(&mut self.by_name));
        let first = u16::try_from(sorted).unwrap_or(u16::MAX);
        by_name.extend((first..).take(all.len().saturating_sub(sorted)));
        let name_of = |number: &u16| all.get(usize::from(*number)).map(|member| member.name());
        by_name.sort_by(|a, b| name_of(a).cmp(&name_of(b)));
    }

    /// The same members with some replaced by others of the same names.
    pub(super) fn map(&self, replaced: impl FnMut(&Arc<T>) -> Arc<T>) -> Self {
        Self {
            all: Arc::new(self.all.iter().map(replaced).collect()),
            by_name: self.by_name.clone(),
        }
    }
}
