//! Parts of a class that a compiler would store otherwise, found from what the class inherits.

use super::qualifiers::place;
use super::unsaid::{Unsaid, UnsaidKind};
use crate::cim::full_class::FullClass;
use crate::cim::qualifier::{Flavor, Qualifier, QualifierSet};

/// Lists the qualifiers of a class that a compiler would leave out or put elsewhere. Source of the
/// rules: `docs::mof`, "Order and locality".
pub(super) fn unfixed(class: &FullClass) -> Vec<Unsaid> {
    let Some(above) = class.superclass() else {
        return Vec::new();
    };
    let declared = class.declaration();
    let mut unsaid = Vec::new();
    check("", &declared.qualifiers, above.qualifiers(), &mut unsaid);
    for property in &declared.properties {
        let name = property.name.as_str();
        if let Some(inherited) = above.property(name) {
            check(
                name,
                &property.qualifiers,
                &inherited.qualifiers,
                &mut unsaid,
            );
        }
    }
    for method in &declared.methods {
        let name = method.name.as_str();
        if let Some(inherited) = above.method(name) {
            check(
                name,
                &method.qualifiers,
                &inherited.method.qualifiers,
                &mut unsaid,
            );
        }
    }
    unsaid
}

/// Checks one list against that of the same element of the superclass.
fn check(member: &str, own: &QualifierSet, above: &QualifierSet, unsaid: &mut Vec<Unsaid>) {
    if own.is_empty() || above.is_empty() {
        return;
    }
    let (own_names, above_names) = (own.by_name(), above.by_name());
    let goes_down = |qualifier: &Qualifier| qualifier.flavor.contains(Flavor::TO_SUBCLASS);
    let fixed = Flavor::TO_SUBCLASS | Flavor::NOT_OVERRIDABLE;
    for qualifier in own {
        let inherited = above_names.get(&qualifier.name);
        let is_left_out = inherited.is_some_and(|inherited| {
            inherited.flavor.contains(fixed) && inherited.value == qualifier.value
        });
        if is_left_out {
            let member = place(member, qualifier.name.as_str());
            unsaid.push(Unsaid {
                member,
                what: UnsaidKind::QualifierInherited,
            });
        }
    }

    // CIMTYPE first, then what the superclass spreads in its order, then the rest.
    let is_type = |qualifier: &&Qualifier| qualifier.name == "CIMTYPE";
    let is_spread =
        |qualifier: &&Qualifier| above_names.get(&qualifier.name).is_some_and(goes_down);
    let types = own.iter().filter(is_type);
    let spread = above
        .iter()
        .filter(|qualifier| goes_down(qualifier) && !is_type(qualifier));
    let spread = spread.filter_map(|qualifier| own_names.get(&qualifier.name));
    let rest = own
        .iter()
        .filter(|qualifier| !is_type(qualifier) && !is_spread(qualifier));
    let compiled = types
        .chain(spread)
        .chain(rest)
        .map(|qualifier| &qualifier.name);
    if !compiled.eq(own.iter().map(|qualifier| &qualifier.name)) {
        unsaid.push(Unsaid {
            member: member.to_owned(),
            what: UnsaidKind::QualifierOrder,
        });
    }
}
