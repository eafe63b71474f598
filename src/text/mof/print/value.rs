//! Values and embedded objects.

use std::fmt::{self, Write};

use super::literal::{Identifier, write_char16, write_quoted, write_real32, write_wrapped};
use super::unsaid::UnsaidKind;
use super::{INDENT, Printer, Style};
use crate::cim::class::Setting;
use crate::cim::instance::Instance;
use crate::cim::path::ObjectPath;
use crate::cim::value::{Array, Object, Value};

impl Printer {
    /// Writes a value of the member or qualifier of this name.
    pub(super) fn value(&mut self, value: &Value, name: &str, indent: &str) -> fmt::Result {
        if let Some(what) = self.obstacle(value) {
            self.unsaid(name, what);
            self.out.push_str("NULL /* ");
            write!(self.out, "{what}")?;
            self.out.push_str(" */");
            return Ok(());
        }
        if self.style == Style::Exact && !has_paths(value) {
            self.unsaid(name, UnsaidKind::Reference);
        }
        match value {
            Value::Boolean(value) => self.out.push_str(word(*value)),
            Value::Char16(value) => write_char16(&mut self.out, *value)?,
            Value::Real32(value) => self.real32(*value)?,
            Value::Real64(value) => self.real64(*value)?,
            Value::Object(object) => self.object(object, indent)?,
            Value::Array(array) => {
                self.out.push('{');
                self.elements(array, indent)?;
                self.out.push('}');
            }
            other => match (other.as_text(), other.as_integer()) {
                (Some(text), _) => self.text(text, indent)?,
                (None, Some(integer)) => write!(self.out, "{integer}")?,
                (None, None) => self.out.push_str("NULL"),
            },
        }
        Ok(())
    }

    /// Why a compiler could not read a value as itself; nothing for people, who get to see it.
    fn obstacle(&self, value: &Value) -> Option<UnsaidKind> {
        if self.style != Style::Exact {
            return None;
        }
        let is_writable = |object: &Object| matches!(object, Object::Instance(_));
        match value {
            Value::Real32(value) if !value.is_finite() => Some(UnsaidKind::NotFinite),
            Value::Real64(value) if !value.is_finite() => Some(UnsaidKind::NotFinite),
            Value::Object(object) if !is_writable(object) => Some(UnsaidKind::Object),
            Value::Array(Array::Real32(values))
                if !values.iter().all(|value| value.is_finite()) =>
            {
                Some(UnsaidKind::NotFinite)
            }
            Value::Array(Array::Real64(values))
                if !values.iter().all(|value| value.is_finite()) =>
            {
                Some(UnsaidKind::NotFinite)
            }
            Value::Array(
                Array::String(texts) | Array::DateTime(texts) | Array::Reference(texts),
            ) => texts
                .iter()
                .any(Option::is_none)
                .then_some(UnsaidKind::NullElement),
            Value::Array(Array::Object(objects)) if objects.iter().any(Option::is_none) => {
                Some(UnsaidKind::NullElement)
            }
            Value::Array(Array::Object(objects)) => {
                (!objects.iter().flatten().all(is_writable)).then_some(UnsaidKind::Object)
            }
            _ => None,
        }
    }

    /// Writes a text: of several lines where the printer writes such.
    pub(super) fn text(&mut self, text: &str, indent: &str) -> fmt::Result {
        match self.style {
            Style::OneLine => write_quoted(&mut self.out, text),
            _ => write_wrapped(&mut self.out, text, &format!("{indent}{INDENT}")),
        }
    }

    fn real32(&mut self, value: f32) -> fmt::Result {
        match value.is_finite() {
            true => write_real32(&mut self.out, value),
            false => write!(self.out, "NULL /* {value:?} */"),
        }
    }

    fn real64(&mut self, value: f64) -> fmt::Result {
        match value.is_finite() {
            true => write!(self.out, "{value:?}"),
            false => write!(self.out, "NULL /* {value:?} */"),
        }
    }

    fn each<T>(
        &mut self,
        all: &[T],
        mut one: impl FnMut(&mut Self, &T) -> fmt::Result,
    ) -> fmt::Result {
        for (number, element) in all.iter().enumerate() {
            self.out.push_str(if number > 0 { ", " } else { "" });
            one(self, element)?;
        }
        Ok(())
    }

    fn shown<T: fmt::Display>(&mut self, all: &[T]) -> fmt::Result {
        self.each(all, |printer, value| write!(printer.out, "{value}"))
    }

    fn elements(&mut self, array: &Array, indent: &str) -> fmt::Result {
        match array {
            Array::Boolean(values) => {
                self.each(values, |printer, value| printer.out.write_str(word(*value)))
            }
            Array::Sint8(values) => self.shown(values),
            Array::Sint16(values) => self.shown(values),
            Array::Sint32(values) => self.shown(values),
            Array::Sint64(values) => self.shown(values),
            Array::Uint8(values) => self.shown(values),
            Array::Uint16(values) => self.shown(values),
            Array::Uint32(values) => self.shown(values),
            Array::Uint64(values) => self.shown(values),
            Array::Char16(values) => self.each(values, |printer, unit| {
                write_char16(&mut printer.out, *unit)
            }),
            Array::Real32(values) => self.each(values, |printer, value| printer.real32(*value)),
            Array::Real64(values) => self.each(values, |printer, value| printer.real64(*value)),
            Array::String(texts) | Array::DateTime(texts) | Array::Reference(texts) => {
                self.each(texts, |printer, text| match text {
                    Some(text) => printer.text(text, indent),
                    None => printer.out.write_str("NULL"),
                })
            }
            Array::Object(objects) => self.each(objects, |printer, object| match object {
                Some(object) => printer.object(object, indent),
                None => printer.out.write_str("NULL"),
            }),
        }
    }

    fn object(&mut self, object: &Object, indent: &str) -> fmt::Result {
        match object {
            Object::Class(class) => self.class(class, None, indent),
            Object::Instance(instance) => self.instance(instance, None, &[], indent),
            Object::Opaque(bytes) => {
                write!(
                    self.out,
                    "NULL /* an object of {} bytes that cannot be read */",
                    bytes.len()
                )
            }
        }
    }

    /// Writes an instance: its own values, and for people the defaults of its class too. `aliases`
    /// are the numbers of the properties whose texts are aliases.
    pub(super) fn instance(
        &mut self,
        instance: &Instance,
        alias: Option<&str>,
        aliases: &[u16],
        indent: &str,
    ) -> fmt::Result {
        if self.qualifiers(&instance.qualifiers, |_| false, indent)? {
            self.out.push('\n');
            self.out.push_str(indent);
        }
        self.out.push_str("instance of ");
        self.identifier(instance.class().name().as_str())?;
        self.alias_of(alias)?;
        writeln!(self.out, "\n{indent}{{")?;

        let inner = format!("{indent}{INDENT}");
        let sets = instance.property_qualifiers.as_deref().unwrap_or_default();
        let mut aliases = aliases.iter().copied().peekable();
        for (number, (property, value)) in instance.values().enumerate() {
            let is_alias = aliases
                .next_if(|alias| usize::from(*alias) == number)
                .is_some();
            let setting = instance
                .settings()
                .get(number)
                .unwrap_or(&Setting::Inherited);
            let set = sets.get(number).filter(|set| !set.is_empty());
            let is_own = *setting != Setting::Inherited;
            let is_default = !is_own && self.style != Style::Exact && value.is_some();
            let shows_null = is_own && (value.is_some() || self.style == Style::Exact);
            if !shows_null && !is_default && set.is_none() {
                continue;
            }

            let name = property.name.as_str();
            self.out.push_str(&inner);
            self.begin(name);
            if let Some(set) = set
                && self.qualifiers(set, |_| false, &inner)?
            {
                self.out.push(' ');
            }
            self.identifier(name)?;
            match value {
                Some(value) if is_alias => self.aliases(value, &inner)?,
                Some(value) if is_own || is_default => {
                    self.out.push_str(" = ");
                    self.value(value, "", &inner)?;
                }
                None if is_own => self.out.push_str(" = NULL"),
                _ => {}
            }
            self.out
                .push_str(if is_default { ";  // default\n" } else { ";\n" });
            self.end_member();
        }
        write!(self.out, "{indent}}}")
    }

    /// Writes ` as $A`.
    pub(super) fn alias_of(&mut self, alias: Option<&str>) -> fmt::Result {
        let Some(alias) = alias else { return Ok(()) };
        self.out.push_str(" as ");
        self.alias(alias)
    }

    fn alias(&mut self, alias: &str) -> fmt::Result {
        let name = alias.strip_prefix('$').unwrap_or(alias);
        if Identifier(name).is_one() {
            return write!(self.out, "${name}");
        }
        self.unsaid("", UnsaidKind::Name);
        write_quoted(&mut self.out, alias)
    }

    /// Writes texts that are aliases.
    fn aliases(&mut self, value: &Value, indent: &str) -> fmt::Result {
        self.out.push_str(" = ");
        match value {
            Value::Array(Array::String(texts) | Array::Reference(texts)) => {
                self.out.push('{');
                self.each(texts, |printer, text| {
                    printer.alias(text.as_deref().unwrap_or_default())
                })?;
                self.out.push('}');
                Ok(())
            }
            Value::String(text) | Value::Reference(text) => self.alias(text),
            other => self.value(other, "", indent),
        }
    }
}

/// True if every reference of a value is an object path.
fn has_paths(value: &Value) -> bool {
    let is_path = |text: &str| text.parse::<ObjectPath>().is_ok();
    match value {
        Value::Reference(text) => is_path(text),
        Value::Array(Array::Reference(texts)) => texts.iter().flatten().all(|text| is_path(text)),
        _ => true,
    }
}

const fn word(value: bool) -> &'static str {
    if value { "TRUE" } else { "FALSE" }
}
