//! Qualifiers as they are stored: types, flavors, order and what is left out. Source: `docs::mof`,
//! "Qualifiers".

use super::compiler::Compiler;
use super::places::{Fold, refuse};
use super::{code as store, values};
use crate::cim::class::Setting;
use crate::cim::name::{self, Name};
use crate::cim::qualifier::{Flavor, Qualifier, QualifierSet};
use crate::cim::types::{CimType, ScalarType};
use crate::cim::value::Value;
use crate::text::diagnostic::{Code, Diagnostic, Place};
use crate::text::mof::code;
use crate::text::mof::tree::{self, FlavorWords, Initializer, QualifierType, ValueKind};

/// Element that a qualifier is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Class,
    Association,
    Indication,
    Property,
    Reference,
    Method,
    Parameter,
    Instance,
}

impl Element {
    /// The words of a scope that allow a qualifier here.
    const fn scopes(self) -> &'static [&'static str] {
        match self {
            Element::Class => &["class"],
            Element::Association => &["association", "class"],
            Element::Indication => &["indication", "class"],
            Element::Property => &["property"],
            Element::Reference => &["reference"],
            Element::Method => &["method"],
            Element::Parameter => &["parameter"],
            Element::Instance => &[],
        }
    }
}

/// The declaration of a qualifier.
#[derive(Debug, Clone)]
pub(super) struct Declared<'t> {
    pub flavors: FlavorWords,
    pub typed: Option<QualifierType<'t>>,
}

/// Flavor bits of a qualifier that belongs to keys: to instances, to subclasses, not overridable.
const KEY: Flavor = Flavor::from_bits_retain(0x13);

/// The stored flavor of a qualifier, by its name and what is written or declared. `Amended` is
/// stored only where the text is to be taken exactly, or comes from binary MOF.
pub(super) fn flavor(
    name: &str,
    written: FlavorWords,
    declared: Option<FlavorWords>,
    keeps_amended: bool,
) -> Flavor {
    let is = |other: &str| name::same(name, other);
    if is("key") || is("singleton") {
        return KEY;
    }
    if is("in") || is("out") {
        return Flavor::empty();
    }
    let words = if written.is_empty() {
        declared
    } else {
        Some(written)
    };
    let Some(words) = words else {
        return if is("dynamic") {
            Flavor::TO_INSTANCE
        } else {
            Flavor::empty()
        };
    };
    let bits = [
        (FlavorWords::TO_INSTANCE, Flavor::TO_INSTANCE),
        (FlavorWords::TO_SUBCLASS, Flavor::TO_SUBCLASS),
        (FlavorWords::DISABLE_OVERRIDE, Flavor::NOT_OVERRIDABLE),
        (
            FlavorWords::AMENDED,
            if keeps_amended {
                Flavor::AMENDED
            } else {
                Flavor::empty()
            },
        ),
    ];
    let written = bits.into_iter().filter(|(word, _)| words.contains(*word));
    written.fold(Flavor::empty(), |flavor, (_, bit)| flavor | bit)
}

/// The qualifiers of an element as they are stored: without those that stay inherited since they
/// cannot be overridden, and those that the superclass's element hands down first, in its order.
///
/// # Errors
/// The position of a qualifier that says otherwise than one that cannot be overridden.
pub(super) fn arranged(
    mut written: Vec<Qualifier>,
    inherited: Option<&QualifierSet>,
) -> Result<Vec<Qualifier>, usize> {
    let Some(inherited) = inherited else {
        return Ok(written);
    };
    let handed_down = |qualifier: &&Qualifier| qualifier.flavor.contains(Flavor::TO_SUBCLASS);
    let above = |own: &Qualifier| inherited.get(own.name.as_str()).filter(handed_down);
    let is_fixed = |above: &Qualifier| above.flavor.contains(Flavor::NOT_OVERRIDABLE);
    let contradicts = |own: &Qualifier| {
        above(own).is_some_and(|above| is_fixed(above) && above.value != own.value)
    };
    if let Some(position) = written.iter().position(contradicts) {
        return Err(position);
    }
    written.retain(|own| !above(own).is_some_and(is_fixed));
    let place = |own: &Qualifier| {
        let position = inherited
            .iter()
            .position(|above| above.name == own.name && handed_down(&above));
        position.unwrap_or(usize::MAX)
    };
    // Stable: the others keep their order.
    written.sort_by_cached_key(place);
    Ok(written)
}

impl<'t> Compiler<'_, 't> {
    /// The qualifiers written at an element, as they are stored. `above` is what the superclass's
    /// element has, and the class that declares that element.
    pub(super) fn qualifiers(
        &mut self,
        written: &[tree::Qualifier<'t>],
        element: Element,
        above: Option<(&QualifierSet, &Name)>,
    ) -> Fold<Vec<Qualifier>> {
        let mut stored = Vec::with_capacity(written.len());
        let mut sources = Vec::with_capacity(written.len());
        for qualifier in written {
            if let Some(one) = self.qualifier(qualifier, element)? {
                stored.push(one);
                sources.push(qualifier);
            }
        }
        let (inherited, ancestor) = above.unzip();
        arranged(stored, inherited).or_else(|position| {
            let (Some(own), Some(ancestor)) = (sources.get(position), ancestor) else {
                return Ok(Vec::new());
            };
            let text = format!(
                "a superclass forbids to override the qualifier {}",
                own.name.text
            );
            let place = self.place(own.at);
            let diagnostic = Diagnostic::error(store::OVERRIDE_NOT_ALLOWED, place, text);
            Err(diagnostic
                .help(format!(
                    "it comes from class {ancestor}, with another value"
                ))
                .into())
        })
    }

    /// One qualifier; `None` for one that is NULL, which is not stored.
    fn qualifier(
        &mut self,
        written: &tree::Qualifier<'t>,
        element: Element,
    ) -> Fold<Option<Qualifier>> {
        let name = &*written.name.text;
        let declared = self.declared(name).cloned();
        if let Some(declared) = declared
            .as_ref()
            .and_then(|declared| declared.typed.as_ref())
        {
            self.check_scope(written, declared, element);
        }
        let Some(value) = self.qualifier_value(written, declared.as_ref())? else {
            return Ok(None);
        };
        let words = declared.map(|declared| declared.flavors);
        let keeps_amended = self.options.exact || self.is_binary;
        let flavor = flavor(name, written.flavors, words, keeps_amended);
        if element == Element::Instance && flavor.contains(Flavor::TO_SUBCLASS) {
            let text = "a qualifier of an instance goes to no subclass";
            self.warn(
                code::INCOMPATIBLE_FLAVOR_TYPES,
                self.place(written.at),
                text,
            );
        }
        Ok(Some(Qualifier::new(name, value, flavor)))
    }

    fn check_scope(
        &mut self,
        written: &tree::Qualifier<'_>,
        declared: &QualifierType<'_>,
        element: Element,
    ) {
        let scope = &declared.scope;
        let allows = |word: &str| scope.iter().any(|own| own.is(word));
        let is_inside = scope.is_empty()
            || element == Element::Instance
            || allows("any")
            || element.scopes().iter().any(|word| allows(word));
        if !is_inside {
            let text = format!(
                "the qualifier {} is declared for other elements",
                written.name.text
            );
            self.doubt(
                code::QUALIFIER_USED_OUTSIDE_SCOPE,
                self.place(written.at),
                text,
            );
        }
    }

    fn qualifier_value(
        &mut self,
        written: &tree::Qualifier<'t>,
        declared: Option<&Declared<'t>>,
    ) -> Fold<Option<Value>> {
        let name = &*written.name.text;
        let natural = match &written.value {
            None => Some(Value::Boolean(true)),
            Some(initializer) => self.natural(written, initializer)?,
        };
        let Some(mut value) = natural else {
            return Ok(None);
        };
        if let Some(typed) = declared.and_then(|declared| declared.typed.as_ref()) {
            value = self.as_declared(written, typed, value)?;
        }
        let is_always = name::same(name, "key") || name::same(name, "static");
        if is_always && value == Value::Boolean(false) {
            let text = format!("the qualifier {name} cannot be FALSE; it is stored as TRUE");
            self.warn(code::ILLEGAL_CONSTANT_VALUE, self.place(written.at), text);
            value = Value::Boolean(true);
        }
        Ok(Some(value))
    }

    /// The value in the type that its form gives it; `None` for NULL.
    fn natural(
        &mut self,
        written: &tree::Qualifier<'t>,
        initializer: &Initializer<'t>,
    ) -> Fold<Option<Value>> {
        let place = self.place(initializer.at());
        match initializer {
            Initializer::One(tree::Value {
                kind: ValueKind::Null,
                ..
            }) => {
                let text = format!(
                    "the qualifier {} is NULL and is left out",
                    written.name.text
                );
                self.doubt(code::TYPE_MISMATCH, place, text);
                Ok(None)
            }
            Initializer::One(value) => self.natural_one(value).map(Some),
            Initializer::List(values, _) => {
                let mut natural = Vec::with_capacity(values.len());
                for value in values {
                    if value.kind == ValueKind::Null {
                        let text = "an element of an array cannot be NULL";
                        return refuse(code::NULL_ARRAY_ELEM, self.place(value.at), text);
                    }
                    natural.push(self.natural_one(value)?);
                }
                let is_number = |value: &Value| matches!(value, Value::Sint32(_));
                let has_digits =
                    |value: &tree::Value<'_>| matches!(value.kind, ValueKind::Integer(_));
                // One integer that is too large makes texts of all.
                if values.iter().all(has_digits) && !natural.iter().all(is_number) {
                    let text = |value: &Value| Value::String(value.key_text().unwrap_or_default());
                    natural = natural.iter().map(text).collect();
                }
                values::array(ScalarType::String, natural)
                    .map(Some)
                    .or_else(|_| {
                        refuse(
                            code::TYPE_MISMATCH,
                            place,
                            "the elements of an array are all of one type",
                        )
                    })
            }
        }
    }

    fn natural_one(&mut self, value: &tree::Value<'t>) -> Fold<Value> {
        let place = self.place(value.at);
        Ok(match &value.kind {
            ValueKind::Boolean(value) => Value::Boolean(*value),
            ValueKind::Integer(number) => match i32::try_from(*number) {
                Ok(number) => Value::Sint32(number),
                Err(_) => Value::String(number.to_string()),
            },
            ValueKind::Real(real) => Value::Real64(*real),
            ValueKind::Text(text) => Value::String(text.to_string()),
            ValueKind::Char(unit) => Value::String(values::character(*unit).to_string()),
            ValueKind::Alias(_) => {
                return refuse(
                    code::UNEXPECTED_ALIAS,
                    place,
                    "a qualifier cannot refer to an alias",
                );
            }
            ValueKind::Null | ValueKind::Instance(_) => {
                return refuse(
                    code::TYPE_MISMATCH,
                    place,
                    "a qualifier cannot be an object",
                );
            }
        })
    }

    /// The value in the declared type; as it is, with a warning, where it cannot be converted.
    fn as_declared(
        &mut self,
        written: &tree::Qualifier<'t>,
        typed: &QualifierType<'t>,
        value: Value,
    ) -> Fold<Value> {
        let scalar = match typed.scalar {
            ScalarType::Boolean => ScalarType::Boolean,
            ScalarType::Real32 | ScalarType::Real64 => ScalarType::Real64,
            ScalarType::String
            | ScalarType::DateTime
            | ScalarType::Char16
            | ScalarType::Reference => ScalarType::String,
            _ => ScalarType::Sint32,
        };
        let target = CimType {
            scalar,
            array: typed.array.is_some(),
        };
        let own = value.cim_type();
        // A number that is too large for a sint32 is text in either way.
        let is_large = scalar == ScalarType::Sint32 && own.scalar == ScalarType::String;
        if own == target || (is_large && own.array == target.array && is_written_as_number(written))
        {
            return Ok(value);
        }
        let initializer = written.value.as_ref().or(typed.default.as_ref());
        let converted = initializer.map(|initializer| self.setting(initializer, target, None));
        match converted {
            Some(Ok(Setting::Value(value))) => Ok(value),
            Some(Err(super::places::Stop::Failed(error))) => Err(error.into()),
            _ => {
                let text = format!(
                    "the qualifier {} is declared as {}, not {own}",
                    written.name.text, target
                );
                self.doubt(code::TYPE_MISMATCH, self.place(written.at), text);
                Ok(value)
            }
        }
    }

    pub(super) fn doubt(&mut self, code: Code, place: Place, text: impl Into<String>) {
        let diagnostic = match self.options.strict {
            true => Diagnostic::error(code, place, text),
            false => Diagnostic::warning(code, place, text),
        };
        self.report.diagnostics.push(diagnostic);
    }

    pub(super) fn warn(&mut self, code: Code, place: Place, text: impl Into<String>) {
        self.report
            .diagnostics
            .push(Diagnostic::warning(code, place, text));
    }
}

/// True if a value is written as an integer, or several.
fn is_written_as_number(written: &tree::Qualifier<'_>) -> bool {
    let is_number = |value: &tree::Value<'_>| matches!(value.kind, ValueKind::Integer(_));
    match &written.value {
        Some(Initializer::One(value)) => is_number(value),
        Some(Initializer::List(values, _)) => values.iter().all(is_number),
        None => false,
    }
}

/// The qualifier that holds the size of an array.
pub(super) fn max(size: u32) -> Qualifier {
    Qualifier::new(
        "MAX",
        i32::try_from(size).unwrap_or(i32::MAX),
        Flavor::empty(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(name: &str, bits: u8) -> Qualifier {
        Qualifier::flag(name, Flavor::from_bits_retain(bits))
    }

    fn names(qualifiers: &[Qualifier]) -> Vec<&str> {
        qualifiers
            .iter()
            .map(|qualifier| qualifier.name.as_str())
            .collect()
    }

    #[test]
    fn implicit_flavors_are_those_that_windows_stores() {
        let none = FlavorWords::empty();
        let sub = FlavorWords::TO_SUBCLASS;
        let both = FlavorWords::TO_INSTANCE | sub;
        let all = both | FlavorWords::DISABLE_OVERRIDE | FlavorWords::AMENDED;
        let rows = [
            ("key", none, None, 0x13),
            ("KEY", sub, None, 0x13),
            ("singleton", none, None, 0x13),
            ("singleton", FlavorWords::ENABLE_OVERRIDE, None, 0x13),
            ("dynamic", none, None, 0x01),
            ("dynamic", both, None, 0x03),
            (
                "Dynamic",
                FlavorWords::TO_INSTANCE | FlavorWords::DISABLE_OVERRIDE,
                None,
                0x11,
            ),
            ("in", sub, None, 0x00),
            ("OUT", none, Some(sub), 0x00),
            ("ID", none, None, 0x00),
            ("ID", FlavorWords::TO_INSTANCE, None, 0x01),
            ("Indication", none, None, 0x00),
            ("Description", none, None, 0x00),
            ("Description", all, None, 0x13),
            ("Description", none, Some(both), 0x03),
            ("Description", FlavorWords::TO_INSTANCE, Some(both), 0x01),
            (
                "Description",
                FlavorWords::ENABLE_OVERRIDE,
                Some(both),
                0x00,
            ),
            ("Description", FlavorWords::RESTRICTED, None, 0x00),
            (
                "Description",
                FlavorWords::NOT_TO_INSTANCE | FlavorWords::NOT_TO_SUBCLASS,
                None,
                0x00,
            ),
        ];
        for (name, written, declared, bits) in rows {
            assert_eq!(
                flavor(name, written, declared, false).bits(),
                bits,
                "{name} {written:?} {declared:?}"
            );
        }
        assert_eq!(flavor("Description", all, None, true).bits(), 0x93);
    }

    #[test]
    fn what_is_handed_down_comes_first_and_what_is_fixed_stays_inherited() {
        let parent: QualifierSet = [
            flag("CIMTYPE", 3),
            flag("read", 2),
            flag("own", 1),
            flag("fixed", 0x12),
            flag("key", 0x13),
        ]
        .into_iter()
        .collect();
        let written = || {
            vec![
                flag("override", 0),
                flag("own", 0),
                flag("read", 0),
                flag("fixed", 0),
                flag("z", 0),
            ]
        };
        let stored = arranged(written(), Some(&parent)).unwrap();
        assert_eq!(names(&stored), ["read", "override", "own", "z"]);
        assert_eq!(
            arranged(stored.clone(), Some(&parent)).unwrap(),
            stored,
            "a fixed point"
        );
        assert_eq!(
            names(&arranged(written(), None).unwrap()),
            ["override", "own", "read", "fixed", "z"]
        );
        let other = Qualifier::new("fixed", "no", Flavor::empty());
        assert_eq!(arranged(vec![flag("z", 0), other], Some(&parent)), Err(1));
    }

    #[test]
    fn the_order_of_the_superclass_holds_for_what_it_hands_down() {
        let parent: QualifierSet = [flag("b", 2), flag("a", 2), flag("c", 3)]
            .into_iter()
            .collect();
        let written = vec![flag("c", 0), flag("x", 0), flag("A", 0), flag("b", 0)];
        assert_eq!(
            names(&arranged(written, Some(&parent)).unwrap()),
            ["b", "A", "c", "x"]
        );
    }
}
