//! Classes, properties and their types.

use std::fmt::{self, Write};

use super::literal::Identifier;
use super::method::is_generated_id;
use super::unsaid::UnsaidKind;
use super::{INDENT, Printer, Style};
use crate::cim::class::{Class, Property, Setting};
use crate::cim::full_class::FullClass;
use crate::cim::qualifier::{Flavor, Qualifier, QualifierSet};
use crate::cim::types::{CimType, ScalarType};
use crate::cim::value::Value;

impl Printer {
    /// Writes what a class declares, without the semicolon.
    pub(super) fn class(
        &mut self,
        class: &Class,
        alias: Option<&str>,
        indent: &str,
    ) -> fmt::Result {
        if self.qualifiers(&class.qualifiers, |_| false, indent)? {
            self.out.push('\n');
            self.out.push_str(indent);
        }
        self.out.push_str("class ");
        self.identifier(class.name.as_str())?;
        self.alias_of(alias)?;
        if let Some(superclass) = &class.superclass {
            self.out.push_str(" : ");
            self.identifier(superclass.as_str())?;
        }
        writeln!(self.out, "\n{indent}{{")?;
        let inner = format!("{indent}{INDENT}");
        for property in &class.properties {
            self.out.push_str(&inner);
            self.property(property, &inner)?;
        }
        for method in &class.methods {
            self.out.push_str(&inner);
            self.method(method, &inner)?;
        }
        write!(self.out, "{indent}}}")
    }

    /// Writes what a class inherits, in comments.
    pub(super) fn inherited(&mut self, class: &FullClass) -> fmt::Result {
        let properties: Vec<_> = class
            .properties()
            .iter()
            .filter(|property| !property.local)
            .collect();
        let methods: Vec<_> = class
            .methods()
            .iter()
            .filter(|method| !method.local)
            .collect();
        if properties.is_empty() && methods.is_empty() {
            return Ok(());
        }
        self.out.push_str("\n// Inherited:\n");
        for property in properties {
            self.out.push_str("//   ");
            self.declarator(
                property.name.as_str(),
                property.cim_type,
                &property.qualifiers,
            )?;
            if let Some(value) = &property.default {
                self.out.push_str(" = ");
                let value = super::value_text(value);
                self.out.push_str(&value);
            }
            let key = if property.is_key() { ", key" } else { "" };
            writeln!(
                self.out,
                ";  (of {}{key})",
                Identifier(property.origin.as_str())
            )?;
        }
        for method in methods {
            let name = Identifier(method.method.name.as_str());
            let origin = Identifier(method.origin.as_str());
            writeln!(self.out, "//   {name}();  (of {origin})")?;
        }
        Ok(())
    }

    pub(super) fn property(&mut self, property: &Property, indent: &str) -> fmt::Result {
        self.begin(property.name.as_str());
        let size = self.array_size(property.cim_type, &property.qualifiers);
        let is_hidden = |qualifier: &Qualifier| {
            qualifier.name == "CIMTYPE" || size.is_some() && qualifier.name.as_str() == "MAX"
        };
        self.qualifiers_before(&property.qualifiers, is_hidden, indent)?;
        self.declarator(
            property.name.as_str(),
            property.cim_type,
            &property.qualifiers,
        )?;
        match &property.default {
            Setting::Value(value) => {
                self.out.push_str(" = ");
                self.value(value, "", indent)?;
            }
            Setting::Inherited => self.unsaid("", UnsaidKind::InheritedDefault),
            Setting::Null => {}
        }
        self.out.push_str(";\n");
        self.end_member();
        Ok(())
    }

    /// Writes type and name: `uint8 Data[]`, `CIM_Thing ref Element`.
    pub(super) fn declarator(
        &mut self,
        name: &str,
        cim_type: CimType,
        qualifiers: &QualifierSet,
    ) -> fmt::Result {
        self.type_word(cim_type, qualifiers)?;
        self.out.push(' ');
        self.identifier(name)?;
        match (cim_type.array, self.array_size(cim_type, qualifiers)) {
            (true, Some(size)) => write!(self.out, "[{size}]")?,
            (true, None) => self.out.push_str("[]"),
            (false, _) => {}
        }
        Ok(())
    }

    /// Writes the type as it stands before a name: as `CIMTYPE` has it, where that fits.
    pub(super) fn type_word(
        &mut self,
        cim_type: CimType,
        qualifiers: &QualifierSet,
    ) -> fmt::Result {
        self.check_cimtype(qualifiers);
        let canonical = match cim_type.scalar {
            ScalarType::Reference => "object ref",
            other => other.as_str(),
        };
        let Some(text) = qualifiers.text("CIMTYPE") else {
            self.out.push_str(canonical);
            return Ok(());
        };
        let class = text
            .split_once(':')
            .filter(|(_, class)| Identifier(class).is_one());
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        match (cim_type.scalar, class) {
            (ScalarType::Reference, Some(("ref", class))) => write!(self.out, "{class} ref"),
            (ScalarType::Object, Some(("object", class))) => write!(self.out, "{class}"),
            (ScalarType::Reference, None) if text == "ref" => self.out.write_str(canonical),
            (ScalarType::Reference, _) => self.contradiction(canonical),
            (scalar, _) if is(scalar.as_str()) => self.out.write_str(text),
            _ => self.contradiction(canonical),
        }
    }

    fn contradiction(&mut self, canonical: &str) -> fmt::Result {
        self.unsaid("CIMTYPE", UnsaidKind::CimTypeContradicts);
        let note = if self.style == Style::Exact {
            " /* not as CIMTYPE says */"
        } else {
            ""
        };
        write!(self.out, "{canonical}{note}")
    }

    /// A compiler makes `CIMTYPE` itself, in one form.
    fn check_cimtype(&mut self, qualifiers: &QualifierSet) {
        let usual = Flavor::TO_INSTANCE | Flavor::TO_SUBCLASS;
        let is_usual = qualifiers.iter().next().is_some_and(|first| {
            first.name == "CIMTYPE"
                && first.flavor == usual
                && first.cim_type == CimType::one(ScalarType::String)
        });
        if !is_usual {
            self.unsaid("CIMTYPE", UnsaidKind::CimType);
        }
    }

    /// The size of an array, from the qualifier that a compiler makes of it: the last one, or the
    /// last but the number of a parameter.
    pub(super) fn array_size(&self, cim_type: CimType, qualifiers: &QualifierSet) -> Option<u32> {
        if !cim_type.array {
            return None;
        }
        let last = qualifiers
            .iter()
            .rev()
            .find(|qualifier| !is_generated_id(qualifier))?;
        let is_size = last.name.as_str() == "MAX" && last.flavor.is_empty();
        let is_only = qualifiers
            .iter()
            .filter(|qualifier| qualifier.name == "MAX")
            .count()
            == 1;
        match &last.value {
            Some(Value::Sint32(size)) if is_size && is_only => u32::try_from(*size).ok(),
            _ => None,
        }
    }
}
