//! Members of a superclass as its subclass has them.

use super::super::class::{Method, Property, Setting};
use super::super::qualifier::{Flavor, QualifierSet};
use super::{FullMethod, FullProperty};

/// True if every qualifier came from the superclass.
pub(super) fn all_inherited(qualifiers: &QualifierSet) -> bool {
    qualifiers
        .iter()
        .all(|qualifier| qualifier.flavor.contains(Flavor::INHERITED))
}

/// A property as the subclass has it that does not declare it.
pub(super) fn inherited_property(property: &FullProperty) -> FullProperty {
    let qualifiers = QualifierSet::new().with_inherited(&property.qualifiers);
    FullProperty {
        qualifiers,
        local: false,
        overrides: false,
        ..property.clone()
    }
}

/// A property as the subclass has it that declares it again.
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

/// A method as the subclass has it that does not declare it.
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
