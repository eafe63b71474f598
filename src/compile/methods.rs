//! Methods: their parameters in the two objects that are stored, and the numbers of these. Source:
//! `docs::mof`, "Methods".

use std::sync::Arc;

use super::classes::{ObjectPlace, cimtype};
use super::code as store;
use super::compiler::Compiler;
use super::places::{Fold, refuse};
use super::qualifiers::{Element, max};
use crate::cim::class::{Class, Method, Property, Setting};
use crate::cim::full_class::FullClass;
use crate::cim::name::{self, Name};
use crate::cim::qualifier::{Flavor, Qualifier, QualifierSet};
use crate::cim::types::CimType;
use crate::text::diagnostic::{Diagnostic, Place};
use crate::text::mof::code;
use crate::text::mof::tree::{MethodDeclaration, PropertyDeclaration};

/// A parameter, with what its declaration says of its direction.
struct Parameter {
    property: Property,
    is_in: bool,
    is_out: bool,
    place: Place,
}

/// The flavor of a number that the compiler gave.
const GENERATED: Flavor = Flavor::from_bits_retain(0x11);

impl<'t> Compiler<'_, 't> {
    pub(super) fn method(
        &mut self,
        written: &MethodDeclaration<'t>,
        superclass: Option<&FullClass>,
    ) -> Fold<Method> {
        let inherited = superclass.and_then(|class| class.method(&written.name.text));
        let above = inherited.map(|inherited| &inherited.method);
        let qualifiers = self.qualifiers(
            &written.qualifiers,
            Element::Method,
            inherited.map(|inherited| (&inherited.method.qualifiers, &inherited.origin)),
        )?;
        let mut parameters = Vec::with_capacity(written.parameters.len());
        for parameter in &written.parameters {
            parameters.push(self.parameter(parameter)?);
        }
        self.check_parameters(&parameters)?;
        self.number(&mut parameters, written)?;
        let mut output: Vec<Property> = parameters
            .iter()
            .filter(|parameter| parameter.is_out)
            .map(|parameter| without(parameter, "in"))
            .collect();
        let input: Vec<Property> = parameters
            .iter()
            .filter(|parameter| parameter.is_in)
            .map(|parameter| without(parameter, "out"))
            .collect();
        if let Some(kind) = &written.returns {
            let (scalar, text) = cimtype(kind);
            self.check_object_class(kind, ObjectPlace::Parameter)?;
            let qualifiers = [
                Qualifier::cimtype(&text),
                Qualifier::flag("out", Flavor::empty()),
            ];
            let qualifiers = qualifiers.into_iter().collect();
            let (name, cim_type, default) = (
                Method::RETURN_VALUE.into(),
                CimType::one(scalar),
                Setting::Null,
            );
            output.push(Property {
                name,
                cim_type,
                default,
                qualifiers,
            });
        }
        let qualifiers = qualifiers.into_iter().collect();
        let name = match above {
            Some(above) => above.name.clone(),
            None => (&*written.name.text).into(),
        };
        let method = Method {
            name,
            qualifiers,
            input: signature(input),
            output: signature(output),
        };
        if let Some(above) = above.filter(|above| !has_same_signature(above, &method)) {
            let text = format!(
                "the method {} has other parameters in a superclass ({})",
                written.name.text, above.name
            );
            self.doubt(
                store::UPDATE_PROPAGATED_METHOD,
                self.place(written.name.at),
                text,
            );
        }
        Ok(method)
    }

    fn parameter(&mut self, written: &PropertyDeclaration<'t>) -> Fold<Parameter> {
        let place = self.place(written.at);
        let (scalar, text) = cimtype(&written.kind);
        self.check_object_class(&written.kind, ObjectPlace::Parameter)?;
        let mut own = self.qualifiers(&written.qualifiers, Element::Parameter, None)?;
        let is_direction =
            |qualifier: &Qualifier| qualifier.name == *"in" || qualifier.name == *"out";
        // `In(false)` counts as absent.
        own.retain(|qualifier| !is_direction(qualifier) || qualifier.is_true());
        let has =
            |own: &[Qualifier], word: &str| own.iter().any(|qualifier| qualifier.name == *word);
        let (mut is_in, is_out) = (has(&own, "in"), has(&own, "out"));
        if !is_in && !is_out {
            self.assume_in(written, place);
            own.insert(0, Qualifier::flag("in", Flavor::empty()));
            is_in = true;
        }
        let cim_type = CimType {
            scalar,
            array: written.array.is_some(),
        };
        let mut qualifiers = vec![Qualifier::cimtype(&text)];
        let has_max = has(&own, "max");
        // The number stands last where it is generated, at its written place else.
        qualifiers.extend(own);
        if let Some(size) = written.array.and_then(|array| array.size) {
            match has_max {
                true => self.warn(
                    code::ILLEGAL_CONSTANT_VALUE,
                    place,
                    "the qualifier Max stands beside a size",
                ),
                false => qualifiers.push(max(size)),
            }
        }
        let class = super::classes::object_class_of(&written.kind);
        let default = match &written.default {
            Some(initializer) => self.setting(initializer, cim_type, class)?,
            None => Setting::Null,
        };
        let name = (&*written.name.text).into();
        let property = Property {
            name,
            cim_type,
            default,
            qualifiers: qualifiers.into_iter().collect(),
        };
        Ok(Parameter {
            property,
            is_in,
            is_out,
            place,
        })
    }

    /// A parameter without a direction: DMTF's files mean `in`.
    fn assume_in(&mut self, written: &PropertyDeclaration<'_>, place: Place) {
        let text = format!(
            "the parameter {} is neither `in` nor `out`; `in` is assumed",
            written.name.text
        );
        match (self.options.strict, self.declared("in").is_some()) {
            (true, _) => self.doubt(code::MUST_BE_IN_OR_OUT, place, text),
            (false, true) => {}
            (false, false) => self.warn(code::MUST_BE_IN_OR_OUT, place, text),
        }
    }

    /// Two parameters of one name must be the two directions of one.
    fn check_parameters(&mut self, parameters: &[Parameter]) -> Fold<()> {
        let mut places: Vec<&Parameter> = parameters.iter().collect();
        places.sort_by(|a, b| a.property.name.cmp(&b.property.name));
        for pair in places.windows(2) {
            let [a, b] = pair else { continue };
            if a.property.name != b.property.name {
                continue;
            }
            let is_pair = a.is_in != b.is_in && a.is_out != b.is_out && is_same_but_direction(a, b);
            if !is_pair {
                let text = format!("the method has two parameters {}", b.property.name);
                let later = if a.place < b.place { b } else { a };
                return Err(Diagnostic::error(code::DUPLICATE_PROPERTY, later.place, text).into());
            }
        }
        Ok(())
    }

    /// Numbers the parameters that have no number: in order, with the least that is free. Windows
    /// numbers over all parameters of a method, from 0.
    fn number(
        &mut self,
        parameters: &mut [Parameter],
        written: &MethodDeclaration<'_>,
    ) -> Fold<()> {
        let mut taken: Vec<i128> = parameters.iter().filter_map(id_of).collect();
        taken.sort_unstable();
        taken.dedup();
        let mut free = (0i128..).filter(|number| taken.binary_search(number).is_err());
        for position in 0..parameters.len() {
            let (before, rest) = parameters.split_at_mut(position);
            let Some(parameter) = rest.first_mut() else {
                continue;
            };
            if id_of(parameter).is_some() {
                continue;
            }
            // The other direction of a parameter that was numbered already has its number.
            let other = before
                .iter()
                .find(|other| other.property.name == parameter.property.name)
                .and_then(id_of);
            let number = other
                .or_else(|| free.next())
                .and_then(|number| i32::try_from(number).ok());
            parameter.property.qualifiers.set(Qualifier::new(
                "ID",
                number.unwrap_or_default(),
                GENERATED,
            ));
        }
        self.check_numbers(parameters, written)
    }

    /// Checks that the numbers of parameters are 0, 1, 2, …, each once.
    fn check_numbers(&self, parameters: &[Parameter], written: &MethodDeclaration<'_>) -> Fold<()> {
        let mut numbers: Vec<(i128, &Name)> = parameters
            .iter()
            .filter_map(|parameter| Some((id_of(parameter)?, &parameter.property.name)))
            .collect();
        numbers.sort_unstable();
        // Two directions of one parameter have one number.
        numbers.dedup();
        let all: Vec<i128> = numbers.iter().map(|(number, _)| *number).collect();
        if let Some(twice) = all.windows(2).find(|pair| pair.first() == pair.last()) {
            let text = format!(
                "two parameters of {} have the number {}",
                written.name.text,
                twice.first().copied().unwrap_or_default()
            );
            return refuse(
                store::INVALID_PARAMETER_ID,
                self.place(written.name.at),
                text,
            );
        }
        let is_consecutive = (0i128..)
            .zip(&all)
            .all(|(expected, found)| expected == *found);
        match is_consecutive {
            true => Ok(()),
            false => {
                let text = format!(
                    "the parameters of {} are not numbered 0, 1, 2, …",
                    written.name.text
                );
                refuse(
                    store::NONCONSECUTIVE_PARAMETER_IDS,
                    self.place(written.name.at),
                    text,
                )
            }
        }
    }
}

/// The number of a parameter.
fn id_of(parameter: &Parameter) -> Option<i128> {
    let id = parameter.property.qualifiers.get("ID")?;
    id.value.as_ref()?.as_integer()
}

/// True if two parameters differ in their direction alone. One number of two is enough.
fn is_same_but_direction(a: &Parameter, b: &Parameter) -> bool {
    let rest = |parameter: &Parameter| -> Vec<Qualifier> {
        let of_both = |one: &&Qualifier| {
            let name = one.name.as_str();
            !["in", "out", "ID"]
                .iter()
                .any(|word| name::same(name, word))
        };
        let qualifiers = parameter.property.qualifiers.iter();
        qualifiers.filter(of_both).cloned().collect()
    };
    let (p, q) = (&a.property, &b.property);
    (p.cim_type, &p.default) == (q.cim_type, &q.default) && rest(a) == rest(b)
}

/// A parameter in one of its two objects, which does not name the other direction.
fn without(parameter: &Parameter, direction: &str) -> Property {
    let mut property = parameter.property.clone();
    property.qualifiers = property
        .qualifiers
        .iter()
        .filter(|one| !name::same(one.name.as_str(), direction))
        .cloned()
        .collect();
    property
}

/// The object that holds these parameters; none where there are none.
fn signature(parameters: Vec<Property>) -> Option<Arc<Class>> {
    if parameters.is_empty() {
        return None;
    }
    let mut class = Class::builder(Method::PARAMETERS)
        .qualifier(Qualifier::flag("abstract", Flavor::empty()))
        .build();
    class.properties = parameters;
    Some(Arc::new(class))
}

fn has_same_signature(a: &Method, b: &Method) -> bool {
    let outline = |class: &Option<Arc<Class>>| -> Vec<(Name, CimType)> {
        let properties = class.iter().flat_map(|class| &class.properties);
        properties
            .map(|property| (property.name.clone(), property.cim_type))
            .collect()
    };
    outline(&a.input) == outline(&b.input) && outline(&a.output) == outline(&b.output)
}

impl From<Vec<Qualifier>> for QualifierSet {
    fn from(qualifiers: Vec<Qualifier>) -> Self {
        qualifiers.into_iter().collect()
    }
}
