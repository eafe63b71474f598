//! Classes: properties, overrides, keys. Source: `docs::mof`, "Classes".

use std::collections::HashMap;

use super::code as store;
use super::compiler::Compiler;
use super::places::{Fold, refuse};
use super::qualifiers::{Element, max};
use crate::cim::class::{Class, Property, Setting};
use crate::cim::full_class::FullClass;
use crate::cim::name;
use crate::cim::qualifier::Qualifier;
use crate::cim::types::{CimType, ScalarType};
use crate::text::diagnostic::{Diagnostic, Place};
use crate::text::mof::code;
use crate::text::mof::tree::{ClassDeclaration, Feature, PropertyDeclaration, TypeKind, TypeName};

/// The type of a declaration, and the text of its `CIMTYPE`: as it is spelled, with the class of an
/// object or reference.
pub(super) fn cimtype(kind: &TypeName<'_>) -> (ScalarType, String) {
    let word = &*kind.word.text;
    match kind.kind {
        TypeKind::Base(scalar) => (scalar, word.to_owned()),
        TypeKind::Class => (ScalarType::Object, format!("object:{word}")),
        TypeKind::Reference if kind.word.is("object") => (ScalarType::Reference, "ref".to_owned()),
        TypeKind::Reference => (ScalarType::Reference, format!("ref:{word}")),
    }
}

/// The class of the objects that a declaration holds.
pub(super) fn object_class_of<'k>(kind: &'k TypeName<'_>) -> Option<&'k str> {
    (kind.kind == TypeKind::Class).then_some(&*kind.word.text)
}

/// Element that holds embedded objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectPlace {
    Property,
    /// A parameter, or what a method returns.
    Parameter,
}

/// Properties that a class may have, inherited ones too.
const MAX_PROPERTIES: usize = 1024;

/// Words of other languages, and the types that they mean.
const FOREIGN: [(&str, &str); 12] = [
    ("int8", "sint8"),
    ("int16", "sint16"),
    ("int32", "sint32"),
    ("int64", "sint64"),
    ("int", "sint32"),
    ("uint", "uint32"),
    ("dword", "uint32"),
    ("bool", "boolean"),
    ("float", "real32"),
    ("double", "real64"),
    ("char", "char16"),
    ("date", "datetime"),
];

impl<'t> Compiler<'_, 't> {
    /// The class that a declaration means.
    pub(super) fn class(&mut self, written: &ClassDeclaration<'t>) -> Fold<Class> {
        self.check_class_name(written)?;
        let superclass = match &written.superclass {
            None => None,
            Some(superclass) => {
                let place = self.place(superclass.at);
                if name::same(&superclass.text, &written.name.text) {
                    let text = format!("class {} cannot be derived from itself", written.name.text);
                    return refuse(store::CIRCULAR_REFERENCE, place, text);
                }
                let Some(found) = self.find_class(&superclass.text)? else {
                    let text = format!(
                        "there is no class {} in {}",
                        superclass.text, self.namespace
                    );
                    return refuse(store::INVALID_SUPERCLASS, place, text);
                };
                Some(found.class.clone())
            }
        };
        let parent = superclass.as_deref();
        let is = |word: &str| {
            written
                .qualifiers
                .iter()
                .any(|qualifier| qualifier.name.is(word))
        };
        let element = match () {
            () if is("association") => Element::Association,
            () if is("indication") => Element::Indication,
            () => Element::Class,
        };
        let qualifiers = self.qualifiers(
            &written.qualifiers,
            element,
            parent.map(|parent| (parent.qualifiers(), parent.name())),
        )?;
        let mut class = Class::builder(&*written.name.text).build();
        class.superclass = parent.map(|parent| parent.name().clone());
        class.qualifiers = qualifiers.into();
        self.check_place_in_tree(&class, parent, written);
        self.features(written, parent, &mut class)?;
        self.check_size(&class, parent, written)?;
        Ok(class)
    }

    fn check_size(
        &self,
        class: &Class,
        parent: Option<&FullClass>,
        written: &ClassDeclaration<'_>,
    ) -> Fold<()> {
        let inherited = parent.map_or(0, |parent| parent.properties().len());
        let is_new = |property: &&Property| {
            parent.is_none_or(|parent| parent.property(property.name.as_str()).is_none())
        };
        let new = class.properties.iter().filter(is_new).count();
        if inherited.saturating_add(new) <= MAX_PROPERTIES {
            return Ok(());
        }
        let text = format!("a class has at most {MAX_PROPERTIES} properties, with inherited ones");
        refuse(store::QUOTA_VIOLATION, self.place(written.name.at), text)
    }

    fn check_class_name(&mut self, written: &ClassDeclaration<'_>) -> Fold<()> {
        let (name, place) = (&*written.name.text, self.place(written.name.at));
        if name.starts_with("__") && !self.options.exact {
            let text = format!("{name}: names that begin with two low lines are the system's");
            return refuse(code::INVALID_CLASS_DECLARATION, place, text);
        }
        if (name.ends_with('_') || name.starts_with('_')) && !self.options.exact {
            let text =
                format!("{name}: the name of a class neither begins nor ends with a low line");
            self.doubt(code::INVALID_CLASS_DECLARATION, place, text);
        }
        Ok(())
    }

    /// Warns of what Windows would refuse and real files have.
    fn check_place_in_tree(
        &mut self,
        class: &Class,
        parent: Option<&FullClass>,
        written: &ClassDeclaration<'_>,
    ) {
        let Some(parent) = parent else { return };
        let place = self.place(written.name.at);
        let above = &parent.declaration().qualifiers;
        if class.qualifiers.is_true("abstract") && !above.is_true("abstract") {
            let text = format!(
                "class {} is abstract, its superclass {} is not",
                class.name,
                parent.name()
            );
            self.doubt(store::CANNOT_BE_ABSTRACT, place, text);
        }
        if above.is_true("dynamic")
            && !class.qualifiers.is_true("dynamic")
            && !class.qualifiers.is_true("abstract")
        {
            let text = format!(
                "class {} is not dynamic, its superclass {} is",
                class.name,
                parent.name()
            );
            self.doubt(store::INVALID_OPERATION, place, text);
        }
    }

    fn features(
        &mut self,
        written: &ClassDeclaration<'t>,
        parent: Option<&FullClass>,
        class: &mut Class,
    ) -> Fold<()> {
        let (mut properties, mut methods) = (HashMap::new(), HashMap::new());
        for feature in &written.features {
            match feature {
                Feature::Property(property) => {
                    self.check_once(&mut properties, &property.name, "property")?;
                    let property = self.property(property, parent, &class.name)?;
                    class.properties.push(property);
                }
                Feature::Method(method) => {
                    self.check_once(&mut methods, &method.name, "method")?;
                    let method = self.method(method, parent)?;
                    class.methods.push(method);
                }
            }
        }
        Ok(())
    }

    fn check_once(
        &self,
        seen: &mut HashMap<String, Place>,
        ident: &crate::text::mof::tree::Ident<'_>,
        what: &str,
    ) -> Fold<()> {
        let place = self.place(ident.at);
        match seen.insert(name::to_upper(&ident.text), place) {
            None => Ok(()),
            Some(first) => {
                let text = format!("the class declares the {what} {} twice", ident.text);
                let diagnostic = Diagnostic::error(code::DUPLICATE_PROPERTY, place, text);
                Err(diagnostic.label(first, "first declared here").into())
            }
        }
    }

    fn property(
        &mut self,
        written: &PropertyDeclaration<'t>,
        parent: Option<&FullClass>,
        own: &name::Name,
    ) -> Fold<Property> {
        let (scalar, text) = cimtype(&written.kind);
        let cim_type = CimType {
            scalar,
            array: written.array.is_some(),
        };
        if object_class_of(&written.kind).is_none_or(|class| *own != *class) {
            self.check_object_class(&written.kind, ObjectPlace::Property)?;
        }
        let inherited = parent.and_then(|parent| parent.property(&written.name.text));
        if let Some(inherited) = inherited.filter(|inherited| inherited.cim_type != cim_type) {
            let text = format!(
                "the property {} is {cim_type}; class {} declares it as {}",
                written.name.text, inherited.origin, inherited.cim_type
            );
            return refuse(
                store::UPDATE_TYPE_MISMATCH,
                self.place(written.kind.word.at),
                text,
            );
        }
        let element = if scalar == ScalarType::Reference {
            Element::Reference
        } else {
            Element::Property
        };
        let above = inherited.map(|inherited| (&inherited.qualifiers, &inherited.origin));
        let rest = self.qualifiers(&written.qualifiers, element, above)?;
        let has_max = rest.iter().any(|qualifier| qualifier.name == *"max");
        let mut qualifiers = vec![Qualifier::cimtype(&text)];
        qualifiers.extend(rest);
        if let Some(size) = written.array.and_then(|array| array.size) {
            match has_max {
                true => {
                    let text = "the qualifier Max stands beside a size and is kept";
                    self.warn(code::ILLEGAL_CONSTANT_VALUE, self.place(written.at), text);
                }
                false => qualifiers.push(max(size)),
            }
        }
        let default = match &written.default {
            Some(initializer) => {
                self.setting(initializer, cim_type, object_class_of(&written.kind))?
            }
            None => Setting::Null,
        };
        let name = match inherited {
            Some(inherited) => inherited.name.clone(),
            None => (&*written.name.text).into(),
        };
        Ok(Property {
            name,
            cim_type,
            default,
            qualifiers: qualifiers.into(),
        })
    }

    /// Checks that the class of embedded objects is there. Windows stores parameters of classes
    /// that are not, and properties of such in localised namespaces.
    pub(super) fn check_object_class(
        &mut self,
        kind: &TypeName<'_>,
        stands: ObjectPlace,
    ) -> Fold<()> {
        let Some(class) = object_class_of(kind) else {
            return Ok(());
        };
        if self.find_class(class)?.is_some() {
            return Ok(());
        }
        let place = self.place(kind.word.at);
        if self.options.exact {
            self.awaited.add(&self.namespace, class, place);
            return Ok(());
        }

        let text = format!(
            "there is no class {class} in {}, and no such type",
            self.namespace
        );
        let is_refused = stands == ObjectPlace::Property && !is_localised(&self.namespace);
        let mut diagnostic = match is_refused || self.options.strict {
            true => Diagnostic::error(store::INVALID_CLASS, place, text),
            false => Diagnostic::warning(store::INVALID_CLASS, place, text),
        };
        let foreign = FOREIGN
            .iter()
            .find(|(word, _)| class.eq_ignore_ascii_case(word));
        let meant = foreign.map(|(_, meant)| *meant);
        let types = ScalarType::ALL.map(ScalarType::as_str);
        if let Some(meant) = meant.or_else(|| nearest(class, types)) {
            diagnostic = diagnostic.help(format!("did you mean `{meant}`?"));
        }
        if diagnostic.is_error() {
            return Err(diagnostic.into());
        }
        self.report.diagnostics.push(diagnostic);
        Ok(())
    }
}

/// True for a namespace of localised classes: its last part is `ms_` and hexadecimal digits.
fn is_localised(namespace: &str) -> bool {
    let last = namespace.rsplit('\\').next().unwrap_or_default();
    match last.split_at_checked(3) {
        Some((head, digits)) => {
            head.eq_ignore_ascii_case("ms_")
                && !digits.is_empty()
                && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        }
        None => false,
    }
}

/// The one of `names` that differs from `name` in a letter or two, case apart.
pub(super) fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    const MAX_CHARS: usize = 64;
    let name: Vec<char> = name.to_lowercase().chars().take(MAX_CHARS).collect();
    let limit = if name.len() < 5 { 1 } else { 2 };
    let distances = names.into_iter().map(|other| {
        let letters: Vec<char> = other.to_lowercase().chars().take(MAX_CHARS).collect();
        (distance(&name, &letters), other)
    });
    distances
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// The letters that have to be put in, taken out or replaced.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b) {
            let replaced = diagonal.saturating_add(usize::from(x != y));
            diagonal = *cell;
            left = replaced
                .min(diagonal.saturating_add(1))
                .min(left.saturating_add(1));
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let names = ["Caption", "Name", "InstallDate"];
        assert_eq!(nearest("caption", names), Some("Caption"));
        assert_eq!(nearest("Capton", names), Some("Caption"));
        assert_eq!(nearest("Nome", names), Some("Name"));
        assert_eq!(nearest("Status", names), None);
        assert_eq!(distance(&['a', 'b', 'c'], &['a', 'c', 'd']), 2);
        assert_eq!(distance(&[], &['a']), 1);
    }
}
