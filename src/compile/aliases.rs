//! Aliases: `$A` in a reference is the path of the object that `as $A` names, before it or after it
//! in the text.

use super::code as store;
use super::compiler::Compiler;
use super::places::{Fold, refuse};
use super::source::Unit;
use crate::cim::name::{self, Name};
use crate::cim::path::{ObjectPath, PathKeys};
use crate::text::diagnostic::{Diagnostic, Place, SourceId};
use crate::text::mof::code;
use crate::text::mof::tree::{
    Assignment, ClassDeclaration, Feature, Ident, Initializer, InstanceDeclaration, Item, Value,
    ValueKind,
};

/// Object that an alias stands for.
#[derive(Debug, Clone)]
pub(super) struct Alias<'u, 't> {
    pub target: Target<'u, 't>,
    /// The namespace in force at it.
    pub namespace: String,
    pub source: SourceId,
    /// The place of the alias itself.
    pub place: Place,
    /// Its path, once it is known.
    pub path: Option<String>,
}

/// The object that an alias names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'u, 't> {
    Class(&'u ClassDeclaration<'t>),
    Instance(&'u InstanceDeclaration<'t>),
}

/// How an alias is looked up: in any case.
pub(super) fn folded(alias: &str) -> String {
    name::to_upper(alias)
}

/// Calls `visit` for every alias in the values of a unit, with whether it stands in an embedded
/// object.
pub(super) fn each_use<'t>(unit: &Unit<'t>, visit: &mut dyn FnMut(Place, &str, bool)) {
    for step in &unit.steps {
        let mut at = |value: &Value<'_>, alias: &str, is_embedded: bool| {
            visit(Place::new(step.source, value.at.0), alias, is_embedded);
        };
        match &step.item {
            Item::Class(class) => {
                for feature in &class.features {
                    match feature {
                        Feature::Property(property) => {
                            in_initializer(property.default.as_ref(), false, &mut at)
                        }
                        Feature::Method(method) => {
                            for parameter in &method.parameters {
                                in_initializer(parameter.default.as_ref(), false, &mut at);
                            }
                        }
                    }
                }
            }
            Item::Instance(instance) => in_assignments(&instance.assignments, false, &mut at),
            Item::Directive(_) | Item::Qualifier(_) => {}
        }
    }
}

type Visit<'v> = dyn FnMut(&Value<'_>, &str, bool) + 'v;

fn in_assignments(assignments: &[Assignment<'_>], is_embedded: bool, visit: &mut Visit<'_>) {
    for assignment in assignments {
        in_initializer(assignment.value.as_ref(), is_embedded, visit);
    }
}

fn in_initializer(initializer: Option<&Initializer<'_>>, is_embedded: bool, visit: &mut Visit<'_>) {
    let values = match initializer {
        None => return,
        Some(Initializer::One(value)) => std::slice::from_ref(value),
        Some(Initializer::List(values, _)) => values,
    };
    for value in values {
        match &value.kind {
            ValueKind::Alias(alias) => visit(value, alias, is_embedded),
            ValueKind::Instance(instance) => in_assignments(&instance.assignments, true, visit),
            _ => {}
        }
    }
}

impl<'u, 't> Compiler<'u, 't> {
    /// Notes an alias that is defined here.
    pub(super) fn define(&mut self, alias: Option<&Ident<'t>>, target: Target<'u, 't>) {
        let Some(alias) = alias else { return };
        let place = self.place(alias.at);
        let entry = Alias {
            target,
            namespace: self.namespace.clone(),
            source: self.source,
            place,
            path: None,
        };
        if let Some(first) = self.aliases.get(&folded(&alias.text)) {
            let text = format!("the alias ${} is defined twice", alias.text);
            let diagnostic = Diagnostic::error(code::MULTIPLE_ALIASES, place, text);
            self.report
                .diagnostics
                .push(diagnostic.label(first.place, "first defined here"));
            return;
        }
        self.aliases.insert(folded(&alias.text), entry);
    }

    /// Checks that every alias that is used is defined, and none in an embedded object.
    pub(super) fn check_uses(&mut self, unit: &Unit<'t>) {
        let (mut found, aliases) = (Vec::new(), &self.aliases);
        each_use(unit, &mut |place, alias, is_embedded| {
            if is_embedded {
                let text = format!("the alias ${alias} cannot stand in an embedded object");
                found.push(Diagnostic::error(code::ALIASES_IN_EMBEDDED, place, text));
            } else if !aliases.contains_key(&folded(alias)) {
                let text = format!("the alias ${alias} is not defined");
                found.push(Diagnostic::error(store::NOT_FOUND, place, text));
            }
        });
        self.report.diagnostics.extend(found);
    }

    /// The path that an alias stands for.
    pub(super) fn alias_path(&mut self, alias: &str, place: Place) -> Fold<String> {
        let key = folded(alias);
        let Some(found) = self.aliases.get(&key).cloned() else {
            return refuse(
                store::NOT_FOUND,
                place,
                format!("the alias ${alias} is not defined"),
            );
        };
        if let Some(path) = found.path {
            return Ok(path);
        }
        if self.resolving.contains(&key) {
            let chain: Vec<String> = self
                .resolving
                .iter()
                .chain([&key])
                .map(|alias| format!("${alias}"))
                .collect();
            let text = format!(
                "these aliases need each other for their keys: {}",
                chain.join(", ")
            );
            return refuse(store::CIRCULAR_REFERENCE, place, text);
        }
        self.resolving.push(key.clone());
        let path = self.path_of(&found);
        self.resolving.pop();
        let path = path?;
        if let Some(entry) = self.aliases.get_mut(&key) {
            entry.path = Some(path.clone());
        }
        Ok(path)
    }

    /// The path of what an alias names: server `.`, the namespace as it is spelled there, the class
    /// as it is written, keys in the order of their names.
    fn path_of(&mut self, alias: &Alias<'u, 't>) -> Fold<String> {
        let (class, keys) = match alias.target {
            Target::Class(class) => (&class.name, PathKeys::Class),
            Target::Instance(instance) => {
                let namespace = std::mem::replace(&mut self.namespace, alias.namespace.clone());
                let source = std::mem::replace(&mut self.source, alias.source);
                let built = self.instance(instance, None);
                (self.namespace, self.source) = (namespace, source);
                let place = Place::new(alias.source, instance.at.0);
                let path = built?
                    .path()
                    .map_err(|error| super::places::placed(error.into(), place))?;
                (&instance.class, path.keys)
            }
        };
        let path = ObjectPath {
            server: Some(".".to_owned()),
            namespace: Some(alias.namespace.clone()),
            class: Name::new(&*class.text),
            keys,
        };
        Ok(path.text())
    }
}
