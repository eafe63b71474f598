//! The order of the classes of a namespace: a superclass before what is derived from it, else by
//! name.

use std::collections::HashMap;

use crate::catalog::ObjectKey;
use crate::cim::name::Name;

/// Parts of a class that decide its place.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) name: Name,
    pub(super) superclass: Option<Name>,
    pub(super) key: ObjectKey,
}

/// The keys of classes in the order in which they compile. Classes that are derived from each other
/// in a circle come where the walk meets them.
pub(super) fn superclasses_first(mut heads: Vec<Head>) -> Vec<ObjectKey> {
    heads.sort_by(|a, b| a.name.cmp(&b.name));
    let places: HashMap<Name, usize> = heads
        .iter()
        .enumerate()
        .rev()
        .map(|(place, head)| (head.name.clone(), place))
        .collect();
    let above = |place: usize| {
        let superclass = heads.get(place)?.superclass.as_ref()?;
        places.get(superclass).copied()
    };

    let mut is_met = vec![false; heads.len()];
    let mut ordered = Vec::with_capacity(heads.len());
    let mut chain = Vec::new();
    for place in 0..heads.len() {
        // Up to an ancestor that was met; each class is met once, so that the work is linear.
        let mut next = Some(place);
        while let Some(place) = next
            && let Some(met) = is_met.get_mut(place).filter(|met| !**met)
        {
            *met = true;
            chain.push(place);
            next = above(place);
        }
        let keys = chain.drain(..).rev().filter_map(|place| heads.get(place));
        ordered.extend(keys.map(|head| head.key));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::page_no::{LogicalPage, RecordRef};
    use crate::format::Dialect;
    use crate::format::index::object_key::ObjectKeys;

    fn ordered(classes: &[(&str, Option<&str>)]) -> Vec<usize> {
        let keys = ObjectKeys::new(Dialect::V22);
        let head = |(number, (name, superclass)): (usize, &(&str, Option<&str>))| {
            let page = LogicalPage::new(u32::try_from(number).unwrap()).unwrap();
            let record = RecordRef {
                page,
                id: 1,
                size: 1,
            };
            let key = ObjectKey {
                class: keys.hash(name),
                instance: None,
                record,
            };
            Head {
                name: Name::from(*name),
                superclass: superclass.map(Name::from),
                key,
            }
        };
        let heads = classes.iter().enumerate().map(head).collect();
        let keys = superclasses_first(heads).into_iter();
        keys.map(|key| usize::try_from(key.record.page.get()).unwrap())
            .collect()
    }

    #[test]
    fn superclasses_come_first_and_else_names_decide() {
        let classes = [
            ("c", Some("Z")),
            ("b", None),
            ("z", Some("b")),
            ("a", Some("elsewhere")),
        ];
        assert_eq!(ordered(&classes), [3, 1, 2, 0]);
    }

    #[test]
    fn circles_and_names_that_are_there_twice_lose_nothing() {
        let mut met = ordered(&[
            ("a", Some("b")),
            ("b", Some("a")),
            ("s", Some("s")),
            ("b", None),
        ]);
        met.sort_unstable();
        assert_eq!(met, [0, 1, 2, 3]);
    }
}
