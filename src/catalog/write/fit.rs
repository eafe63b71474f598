//! Conversion of instances to another definition of their class.

use std::sync::Arc;

use crate::cim::class::Setting;
use crate::cim::full_class::FullClass;
use crate::cim::instance::{Instance, InstanceError};
use crate::cim::qualifier::QualifierSet;

/// Treatment of a value for which the class has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Fails.
    Refuse,
    /// Uses the default of the class instead.
    Drop,
}

/// Converts the instance to this class. Values and qualifiers are matched by property name.
///
/// # Errors
/// Returns [`InstanceError::NoProperty`] or [`InstanceError::WrongType`] for a value that does not
/// fit and must be refused.
pub(super) fn fit(
    instance: &Instance,
    class: &Arc<FullClass>,
    misfit: Misfit,
) -> Result<Instance, InstanceError> {
    if Arc::ptr_eq(instance.class(), class) {
        return Ok(instance.clone());
    }
    let mut fitted = Instance::new(class.clone());
    fitted.qualifiers = instance.qualifiers.clone();
    for (property, setting) in instance
        .class()
        .properties()
        .iter()
        .zip(instance.settings())
    {
        if *setting == Setting::Inherited {
            continue;
        }
        let set = fitted.set_exact(property.name.as_str(), setting.clone());
        if misfit == Misfit::Refuse {
            set?;
        }
    }
    if let Some(sets) = &instance.property_qualifiers {
        let mut of_properties = vec![QualifierSet::new(); class.properties().len()];
        for (property, set) in instance.class().properties().iter().zip(sets) {
            let order = class
                .property(property.name.as_str())
                .map(|property| usize::from(property.order));
            if let Some(place) = order.and_then(|order| of_properties.get_mut(order)) {
                place.clone_from(set);
            }
        }
        fitted.property_qualifiers = Some(of_properties);
    }
    Ok(fitted)
}
