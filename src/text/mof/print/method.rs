//! Methods: the parameters of both signatures in one list.

use std::fmt;

use super::unsaid::UnsaidKind;
use super::{Printer, Style};
use crate::cim::class::{Class, Method, Property, Setting};
use crate::cim::name::ByName;
use crate::cim::qualifier::{Flavor, Qualifier, QualifierSet};
use crate::cim::value::Value;

/// A parameter as a declaration has it.
struct Parameter<'m> {
    property: &'m Property,
    /// Its printed qualifiers, `in` and `out` at their places.
    qualifiers: QualifierSet,
    id: Option<i128>,
}

/// True if a qualifier is the number that a compiler gives to a parameter.
pub(super) fn is_generated_id(qualifier: &Qualifier) -> bool {
    let generated = Flavor::TO_INSTANCE | Flavor::NOT_OVERRIDABLE;
    qualifier.name.as_str() == "ID"
        && qualifier.flavor == generated
        && matches!(qualifier.value, Some(Value::Sint32(_)))
}

impl Printer {
    pub(super) fn method(&mut self, method: &Method, indent: &str) -> fmt::Result {
        self.begin(method.name.as_str());
        self.qualifiers_before(&method.qualifiers, |_| false, indent)?;
        self.return_type(method)?;
        self.out.push(' ');
        self.identifier(method.name.as_str())?;
        self.out.push('(');

        let (mut parameters, agree) = parameters(method);
        parameters.sort_by_key(|parameter| parameter.id);
        let are_generated = self.style != Style::Exact
            || parameters.iter().enumerate().all(|(number, parameter)| {
                let last = parameter.qualifiers.iter().next_back();
                let id = i128::try_from(number).ok();
                last.is_some_and(is_generated_id) && parameter.id == id
            });
        let is_exact = agree && self.has_usual_signatures(method, &parameters);
        if !is_exact {
            self.unsaid("", UnsaidKind::Signature);
        }
        for (position, parameter) in parameters.iter().enumerate() {
            self.out.push_str(if position > 0 { ", " } else { "" });
            self.parameter(parameter, are_generated, indent)?;
        }
        self.out.push_str(");\n");
        self.end_member();
        Ok(())
    }

    fn parameter(
        &mut self,
        parameter: &Parameter<'_>,
        hides_id: bool,
        indent: &str,
    ) -> fmt::Result {
        let Parameter {
            property,
            qualifiers,
            ..
        } = parameter;
        let size = self.array_size(property.cim_type, qualifiers);
        let is_hidden = |qualifier: &Qualifier| {
            qualifier.name == "CIMTYPE"
                || size.is_some() && qualifier.name.as_str() == "MAX"
                || hides_id && qualifier.name == "ID"
        };
        if self.qualifiers(qualifiers, is_hidden, indent)? {
            self.out.push(' ');
        }
        self.declarator(property.name.as_str(), property.cim_type, qualifiers)?;
        if let Setting::Value(value) = &property.default {
            self.out.push_str(" = ");
            self.value(value, property.name.as_str(), indent)?;
        }
        Ok(())
    }

    fn return_type(&mut self, method: &Method) -> fmt::Result {
        let Some(result) = return_value(method) else {
            self.out.push_str("void");
            return Ok(());
        };
        self.type_word(result.cim_type, &result.qualifiers)?;
        if result.cim_type.array {
            self.out.push_str("[]");
        }
        Ok(())
    }

    /// True if the signatures are what a compiler makes of these parameters: in this order, the
    /// return value last and with nothing but its type.
    fn has_usual_signatures(&self, method: &Method, parameters: &[Parameter<'_>]) -> bool {
        let names = |class: &Option<std::sync::Arc<Class>>| -> Vec<_> {
            let properties = class.iter().flat_map(|class| &class.properties);
            properties.map(|property| property.name.clone()).collect()
        };
        let with = |word: &str| -> Vec<_> {
            let with = parameters
                .iter()
                .filter(|parameter| parameter.qualifiers.is_true(word));
            with.map(|parameter| parameter.property.name.clone())
                .collect()
        };
        let result = return_value(method);
        let (ins, mut outs) = (with("in"), with("out"));
        outs.extend(result.map(|result| result.name.clone()));
        let is_class = |class: &Option<std::sync::Arc<Class>>| {
            let usual = |class: &std::sync::Arc<Class>| {
                let flag = class.qualifiers.iter().next();
                let is_flag = flag.is_some_and(|flag| flag.name == "abstract" && flag.is_true());
                class.name == *Method::PARAMETERS && is_flag && class.qualifiers.len() == 1
            };
            class
                .as_ref()
                .is_none_or(|class| usual(class) && !class.properties.is_empty())
        };
        let is_result = result.is_none_or(|result| {
            let rest: Vec<_> = result.qualifiers.iter().skip(1).collect();
            let is_out = |flag: &Qualifier| {
                flag.name.as_str() == "out" && flag.flavor.is_empty() && flag.is_true()
            };
            matches!(rest[..], [flag] if is_out(flag)) && !result.cim_type.array
        });
        let is_order = ins == names(&method.input) && outs == names(&method.output);
        is_order && is_result && is_class(&method.input) && is_class(&method.output)
    }
}

fn return_value(method: &Method) -> Option<&Property> {
    let mut properties = method.output.iter().flat_map(|class| &class.properties);
    properties.find(|property| property.name == Method::RETURN_VALUE)
}

/// The parameters of a method but its return value, and whether the two signatures agree on those
/// that they share.
fn parameters(method: &Method) -> (Vec<Parameter<'_>>, bool) {
    let signatures = [&method.input, &method.output];
    let [ins, outs] = signatures.map(|signature| match signature {
        Some(class) => &class.properties[..],
        None => &[],
    });
    let [named_in, named_out] =
        [ins, outs].map(|all| ByName::new(all, |parameter| &parameter.name));
    let mut agree = true;
    let mut parameters = Vec::new();
    for parameter in ins {
        let merged = named_out
            .get(&parameter.name)
            .map(|out| merge(parameter, out));
        agree &= !matches!(merged, Some(None));
        let qualifiers = merged
            .flatten()
            .unwrap_or_else(|| parameter.qualifiers.clone());
        parameters.push(Parameter {
            property: parameter,
            qualifiers,
            id: id(parameter),
        });
    }
    for parameter in outs
        .iter()
        .filter(|parameter| parameter.name != *Method::RETURN_VALUE)
    {
        let shared = named_in.get(&parameter.name);
        if shared.is_none_or(|input| merge(input, parameter).is_none()) {
            let qualifiers = parameter.qualifiers.clone();
            parameters.push(Parameter {
                property: parameter,
                qualifiers,
                id: id(parameter),
            });
        }
    }
    (parameters, agree)
}

fn id(parameter: &Property) -> Option<i128> {
    parameter.qualifiers.get("ID")?.value.as_ref()?.as_integer()
}

/// The qualifiers of a parameter that is both in and out: what both lists share, with `in` and
/// `out` where each has its own. `None` when the lists, or the types, differ in more.
fn merge(input: &Property, output: &Property) -> Option<QualifierSet> {
    let direction = |set: &QualifierSet, word: &str| set.iter().position(|flag| flag.name == word);
    let at_in = direction(&input.qualifiers, "in")?;
    let at_out = direction(&output.qualifiers, "out")?;
    let without = |set: &QualifierSet, at: usize| -> Vec<Qualifier> {
        let others = set.iter().enumerate().filter(|(number, _)| *number != at);
        others.map(|(_, qualifier)| qualifier.clone()).collect()
    };
    let shared = without(&input.qualifiers, at_in);
    let is_same = shared == without(&output.qualifiers, at_out)
        && input.cim_type == output.cim_type
        && input.default == output.default;
    if !is_same {
        return None;
    }

    let mut merged = shared;
    let flag = |property: &Property, at: usize| property.qualifiers.iter().nth(at).cloned();
    let (first, second) = (flag(input, at_in)?, flag(output, at_out)?);
    if at_in <= at_out {
        merged.insert(at_out.min(merged.len()), second);
        merged.insert(at_in.min(merged.len()), first);
    } else {
        merged.insert(at_in.min(merged.len()), first);
        merged.insert(at_out.min(merged.len()), second);
    }
    Some(merged.into_iter().collect())
}
