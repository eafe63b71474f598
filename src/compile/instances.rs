//! Instances: values, keys, and what some system classes ask for. Source: `docs::mof`, "Instances".

use std::collections::HashSet;

use super::code as store;
use super::compiler::Compiler;
use super::places::{Fold, placed, refuse};
use super::qualifiers::Element;
use crate::catalog::StoredClass;
use crate::cim::class::Setting;
use crate::cim::full_class::{FullClass, FullProperty};
use crate::cim::instance::Instance;
use crate::cim::name;
use crate::cim::qualifier::{Qualifier, QualifierSet};
use crate::cim::types::{CimType, ScalarType};
use crate::cim::value::{Array, Value};
use crate::text::diagnostic::Diagnostic;
use crate::text::mof::code;
use crate::text::mof::tree::{Assignment, InstanceDeclaration};

/// The property that names the user who made a subscription.
const CREATOR: &str = "CreatorSID";

/// The qualifier that gives a namespace its descriptor. It is not stored.
pub(super) const DESCRIPTOR: &str = "NamespaceSecuritySDDL";

impl<'t> Compiler<'_, 't> {
    /// The instance that a declaration means, its class as it is in the current namespace.
    /// `embedded_in` is the declared class where it is the value of a property.
    pub(super) fn instance(
        &mut self,
        declaration: &InstanceDeclaration<'t>,
        embedded_in: Option<Option<&str>>,
    ) -> Fold<Instance> {
        let is_embedded = embedded_in.is_some();
        let class = self.class_of_instance(declaration, is_embedded)?;
        if let Some(Some(declared)) = embedded_in
            && !class.class.is_a(declared)
        {
            let text = format!(
                "an object of class {} cannot stand where {declared} is declared",
                class.class.name()
            );
            return refuse(code::TYPE_MISMATCH, self.place(declaration.class.at), text);
        }
        let mut instance = Instance::new(class.class.clone());
        let qualifiers = self.qualifiers(&declaration.qualifiers, Element::Instance, None)?;
        let is_stored = |qualifier: &Qualifier| {
            qualifier.name != *DESCRIPTOR || !class.class.is_a("__NAMESPACE")
        };
        instance.qualifiers = qualifiers.into_iter().filter(is_stored).collect();
        self.assign(&mut instance, declaration)?;
        if !is_embedded {
            self.fill(&mut instance, declaration)?;
        }
        Ok(instance)
    }

    /// An instance within a value; keys may be missing there.
    pub(super) fn embedded(
        &mut self,
        declaration: &InstanceDeclaration<'t>,
        class: Option<&str>,
    ) -> Fold<Instance> {
        self.instance(declaration, Some(class))
    }

    fn class_of_instance(
        &mut self,
        declaration: &InstanceDeclaration<'t>,
        is_embedded: bool,
    ) -> Fold<std::sync::Arc<StoredClass>> {
        let (name, place) = (&declaration.class.text, self.place(declaration.class.at));
        let Some(class) = self.find_class(name)? else {
            let text = format!("there is no class {name} in {}", self.namespace);
            return refuse(store::INVALID_CLASS, place, text);
        };
        let own = &class.class.declaration().qualifiers;
        let is_abstract = ["abstract", "amendment"]
            .iter()
            .any(|word| own.is_true(word));
        if is_abstract && !is_embedded && !self.options.exact {
            let text = format!("class {name} is abstract and has no instances");
            return refuse(store::INVALID_OPERATION, place, text);
        }
        Ok(class)
    }

    fn assign(
        &mut self,
        instance: &mut Instance,
        declaration: &InstanceDeclaration<'t>,
    ) -> Fold<()> {
        let class = instance.class().clone();
        let mut seen = HashSet::with_capacity(declaration.assignments.len());
        let mut sets: Option<Vec<QualifierSet>> = None;
        for assignment in &declaration.assignments {
            let property = self.property_of(&class, assignment)?;
            if !seen.insert(property.order) {
                let text = format!("the property {} is set twice", assignment.name.text);
                return refuse(
                    code::DUPLICATE_PROPERTY,
                    self.place(assignment.name.at),
                    text,
                );
            }
            let qualifiers = self.qualifiers(&assignment.qualifiers, Element::Instance, None)?;
            if !qualifiers.is_empty() {
                let all =
                    sets.get_or_insert_with(|| vec![QualifierSet::new(); class.properties().len()]);
                if let Some(set) = all.get_mut(usize::from(property.order)) {
                    *set = qualifiers.into_iter().collect();
                }
            }
            let Some(value) = &assignment.value else {
                continue;
            };
            let setting = self.setting(value, property.cim_type, object_class(property))?;
            let place = self.place(assignment.at);
            instance
                .set(property.name.as_str(), setting)
                .map_err(|error| placed(error.into(), place))?;
        }
        instance.property_qualifiers = sets;
        Ok(())
    }

    fn property_of<'c>(
        &self,
        class: &'c FullClass,
        assignment: &Assignment<'_>,
    ) -> Fold<&'c FullProperty> {
        let (name, place) = (&*assignment.name.text, self.place(assignment.name.at));
        if let Some(property) = class.property(name) {
            return Ok(property);
        }
        if name.starts_with("__") {
            return refuse(
                store::SYSTEM_PROPERTY,
                place,
                format!("{name} is a property of the system; it cannot be set"),
            );
        }
        let text = format!("class {} has no property {name}", class.name());
        let mut diagnostic = Diagnostic::error(store::NOT_FOUND, place, text);
        let names = class
            .properties()
            .iter()
            .map(|property| property.name.as_str());
        if let Some(near) = super::classes::nearest(name, names) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        Err(diagnostic.into())
    }

    /// Fills in what an instance may leave open: string keys, and the user who made a subscription.
    fn fill(&mut self, instance: &mut Instance, declaration: &InstanceDeclaration<'t>) -> Fold<()> {
        let class = instance.class().clone();
        let place = self.place(declaration.at);
        let is_set = |instance: &Instance, property: &FullProperty| {
            !matches!(
                instance.settings().get(usize::from(property.order)),
                None | Some(Setting::Inherited)
            )
        };
        if let Some(creator) = class.property(CREATOR).filter(|_| !self.options.exact)
            && creator.cim_type == CimType::array(ScalarType::Uint8)
            && !is_set(instance, creator)
        {
            let sid = Value::Array(Array::Uint8(self.options.creator.to_bytes()));
            instance
                .set(CREATOR, sid)
                .map_err(|error| placed(error.into(), place))?;
        }
        for key in class.key_properties().filter(|key| key.name != *"") {
            if instance.value_of(key).is_some() {
                continue;
            }
            let is_text = key.cim_type == CimType::one(ScalarType::String);
            if !is_text || self.options.exact || self.options.strict {
                let text = format!("the key {} of class {} is not set", key.name, class.name());
                return refuse(store::ILLEGAL_NULL, place, text);
            }
            let made = self.made_key(place, key.order);
            instance
                .set(key.name.as_str(), Value::String(made))
                .map_err(|error| placed(error.into(), place))?;
        }
        Ok(())
    }

    /// The key made for a property of the instance that is declared at `place`: the same one
    /// whenever it is asked for.
    fn made_key(&mut self, place: crate::text::diagnostic::Place, order: u16) -> String {
        let make = self.options.new_key.clone();
        self.made_keys
            .entry((place, order))
            .or_insert_with(|| make())
            .clone()
    }
}

/// The declared class of the objects that a property holds.
pub(super) fn object_class(property: &FullProperty) -> Option<&str> {
    let (kind, class) = property.qualifiers.text("CIMTYPE")?.split_once(':')?;
    name::same(kind, "object").then_some(class)
}
