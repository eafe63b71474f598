//! Level schema: the rules of the model for stored classes and instances. Everything that gets here
//! could be composed. Source: `docs::objects`, "Composition"; WMI SDK, "Standard Qualifiers".

use crate::base::corruption::CorruptionCode as Code;
use crate::cim::class::{Class, Method};
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::qualifier::{Flavor, QualifierSet, cimtype_text};
use crate::cim::types::{CimType, ScalarType};
use crate::cim::value::{Array, Object, Value};

/// Receives the code and the detail of a finding.
pub(super) type Report<'r> = dyn FnMut(Code, String) + 'r;

/// Checks the declaration of a class.
pub(super) fn check_class(class: &FullClass, report: &mut Report<'_>) {
    let declared = class.declaration();
    let above = class.superclass().map(|superclass| superclass.qualifiers());
    check_set("the class", &declared.qualifiers, above, report);
    for property in &declared.properties {
        let place = format!("property {}", property.name);
        let above = class
            .superclass()
            .and_then(|superclass| superclass.property(property.name.as_str()));
        check_set(
            &place,
            &property.qualifiers,
            above.map(|above| &above.qualifiers),
            report,
        );
        let effective = class.property(property.name.as_str());
        if let Some(effective) = effective {
            check_type(&place, effective.cim_type, &effective.qualifiers, report);
        }
        if property.qualifiers.is_true("key") && !can_be_key(property.cim_type) {
            report(
                Code::SchemaKeyType,
                format!("{place} is {}", property.cim_type),
            );
        }
        check_value(&place, property.default.value(), report);
    }
    for method in &declared.methods {
        let above = class
            .superclass()
            .and_then(|superclass| superclass.method(method.name.as_str()));
        let place = format!("method {}", method.name);
        check_set(
            &place,
            &method.qualifiers,
            above.map(|above| &above.method.qualifiers),
            report,
        );
        for signature in method.input.iter().chain(&method.output) {
            check_signature(&place, signature, report);
        }
    }
}

/// Checks an instance: its class may have instances, and its values can be decoded.
pub(super) fn check_instance(instance: &Instance, report: &mut Report<'_>) {
    let class = instance.class();
    // A class inherits the qualifier only by a flavor that none has, so only its own counts.
    if class.declaration().qualifiers.is_true("abstract") {
        report(
            Code::SchemaAbstractInstance,
            "the class is abstract".to_owned(),
        );
    }
    check_set("the instance", &instance.qualifiers, None, report);
    for (property, setting) in class.properties().iter().zip(instance.settings()) {
        check_value(
            &format!("property {}", property.name),
            setting.value(),
            report,
        );
    }
    for set in instance.property_qualifiers.iter().flatten() {
        check_set("a property", set, None, report);
    }
}

fn check_signature(place: &str, signature: &Class, report: &mut Report<'_>) {
    if signature.name != Method::PARAMETERS {
        report(
            Code::SchemaSignature,
            format!("{place}: its parameters are a class {}", signature.name),
        );
    }
    for parameter in &signature.properties {
        let place = format!("{place}, parameter {}", parameter.name);
        check_set(&place, &parameter.qualifiers, None, report);
        check_type(&place, parameter.cim_type, &parameter.qualifiers, report);
        let directions = ["in", "out"].map(|direction| parameter.qualifiers.is_true(direction));
        if directions == [false, false] {
            report(
                Code::SchemaSignature,
                format!("{place}: it is neither in nor out"),
            );
        }
    }
}

fn check_set(
    place: &str,
    set: &QualifierSet,
    above: Option<&QualifierSet>,
    report: &mut Report<'_>,
) {
    let (own, above) = (set.by_name(), above.map(QualifierSet::by_name));
    for qualifier in set {
        let name = &qualifier.name;
        if own
            .get(name)
            .is_some_and(|first| !std::ptr::eq(first, qualifier))
        {
            report(Code::SchemaQualifierTwice, format!("{place}: {name}"));
        }
        if qualifier
            .flavor
            .intersects(Flavor::INHERITED | Flavor::SYSTEM)
        {
            report(
                Code::SchemaQualifierFlavor,
                format!("{place}: {name} has the flavor {:#04x}", qualifier.flavor),
            );
        }
        let fixed = above
            .as_ref()
            .and_then(|above| above.get(name))
            .filter(|above| {
                above
                    .flavor
                    .contains(Flavor::NOT_OVERRIDABLE | Flavor::TO_SUBCLASS)
            });
        if fixed.is_some_and(|above| above.value != qualifier.value) {
            report(Code::SchemaQualifierOverride, format!("{place}: {name}"));
        }
    }
}

/// Checks that `CIMTYPE` states the stored type.
fn check_type(place: &str, cim_type: CimType, qualifiers: &QualifierSet, report: &mut Report<'_>) {
    let Some(text) = qualifiers.text("CIMTYPE") else {
        return report(Code::SchemaCimType, format!("{place}: it has none"));
    };
    let kind = text.split(':').next().unwrap_or_default();
    let agrees = kind.eq_ignore_ascii_case(cimtype_text(cim_type.scalar))
        || kind.eq_ignore_ascii_case(cim_type.scalar.as_str())
        // The name of a class may take the place of "object:".
        || cim_type.scalar == ScalarType::Object && ScalarType::ALL.iter().all(|other| !kind.eq_ignore_ascii_case(other.as_str()));
    if !agrees {
        report(
            Code::SchemaCimType,
            format!("{place}: it says {text}, the type is {cim_type}"),
        );
    }
}

const fn can_be_key(cim_type: CimType) -> bool {
    let no_key = matches!(
        cim_type.scalar,
        ScalarType::Real32 | ScalarType::Real64 | ScalarType::Object
    );
    !cim_type.array && !no_key
}

/// Reports embedded objects that cannot be decoded.
fn check_value(place: &str, value: Option<&Value>, report: &mut Report<'_>) {
    let mut check = |object: &Object| {
        if let Object::Opaque(bytes) = object {
            report(
                Code::SchemaObject,
                format!("{place}: an object of {} bytes", bytes.len()),
            );
        }
    };
    match value {
        Some(Value::Object(object)) => check(object),
        Some(Value::Array(Array::Object(objects))) => objects.iter().flatten().for_each(check),
        _ => {}
    }
}
