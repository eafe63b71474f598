//! Members of a superclass in the form in which a subclass has them.

use super::super::class::{Method, Property, Setting};
use super::super::qualifier::{Flavor, QualifierSet};
use super::{FullMethod, FullProperty};

/// True if every qualifier came from the superclass.
pub(super) fn all_inherited(qualifiers: &QualifierSet) -> bool {
    qualifiers
        .iter()
        .all(|qualifier| qualifier.flavor.contains(Flavor::INHERITED))
}

/// The property of a subclass that does not declare it itself.
pub(super) fn inherited_property(property: &FullProperty) -> FullProperty {
    let qualifiers = QualifierSet::new().with_inherited(&property.qualifiers);
    FullProperty {
        qualifiers,
        local: false,
        overrides: false,
        ..property.clone()
    }
}

/// The property of a subclass that redeclares it.
pub(super) fn overridden_property(inherited: &FullProperty, own: &Property) -> FullProperty {
    let qualifiers = own.qualifiers.with_inherited(&inherited.qualifiers);
    let default = match &own.default {
        Setting::Inherited => inherited.default.clone(),
        Setting::Null => None,
        Setting::Value(value) => Some(value.clone()),
    };
    FullProperty {
        local: true,
        overrides: true,
        default,
        qualifiers,
        ..inherited.clone()
    }
}

/// The method of a subclass that does not declare it itself.
pub(super) fn inherited_method(method: &FullMethod) -> FullMethod {
    let qualifiers = QualifierSet::new().with_inherited(&method.method.qualifiers);
    let method_of = |method: &Method| Method {
        qualifiers,
        ..method.clone()
    };
    FullMethod {
        method: method_of(&method.method),
        local: false,
        overrides: false,
        ..method.clone()
    }
}
