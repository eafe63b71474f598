//! Lists of qualifiers and their flavors.

use std::fmt::{self, Write};

use super::literal::Identifier;
use super::unsaid::UnsaidKind;
use super::{Printer, Style};
use crate::cim::name::same;
use crate::cim::qualifier::{Flavor, Qualifier, QualifierSet};
use crate::cim::types::ScalarType;
use crate::cim::value::Value;

/// The flavors that MOF has words for, in the order in which they are written.
const WORDS: [(Flavor, &str); 4] = [
    (Flavor::TO_INSTANCE, "ToInstance"),
    (Flavor::TO_SUBCLASS, "ToSubclass"),
    (Flavor::NOT_OVERRIDABLE, "DisableOverride"),
    (Flavor::AMENDED, "Amended"),
];

/// The types that a compiler gives to qualifiers.
const TYPES: [ScalarType; 4] = [
    ScalarType::Boolean,
    ScalarType::Sint32,
    ScalarType::String,
    ScalarType::Real64,
];

impl Printer {
    /// Writes those of a list that are not hidden, in brackets. Returns whether there are any.
    pub(super) fn qualifiers(
        &mut self,
        set: &QualifierSet,
        is_hidden: impl Fn(&Qualifier) -> bool,
        indent: &str,
    ) -> Result<bool, fmt::Error> {
        let mut shown = set
            .iter()
            .filter(|qualifier| !is_hidden(qualifier))
            .peekable();
        if shown.peek().is_none() {
            return Ok(false);
        }
        self.out.push('[');
        while let Some(qualifier) = shown.next() {
            self.qualifier(qualifier, indent)?;
            self.out
                .push_str(if shown.peek().is_some() { ", " } else { "]" });
        }
        Ok(true)
    }

    /// Writes a list in brackets and what separates it from what it is of: many qualifiers have a
    /// line of their own.
    pub(super) fn qualifiers_before(
        &mut self,
        set: &QualifierSet,
        is_hidden: impl Fn(&Qualifier) -> bool,
        indent: &str,
    ) -> fmt::Result {
        const MANY: usize = 60;
        let start = self.out.len();
        if self.qualifiers(set, is_hidden, indent)? {
            let is_long = self.out.len() - start > MANY;
            self.out.push_str(if is_long { "\n" } else { " " });
            self.out.push_str(if is_long { indent } else { "" });
        }
        Ok(())
    }

    pub(super) fn qualifier(&mut self, qualifier: &Qualifier, indent: &str) -> fmt::Result {
        let name = qualifier.name.as_str();
        self.identifier(name)?;
        self.check_qualifier(qualifier);
        match &qualifier.value {
            Some(Value::Boolean(true)) => {}
            None => self.out.push_str("(NULL)"),
            Some(value @ Value::Array(_)) => self.value(value, name, indent)?,
            Some(value) => {
                self.out.push('(');
                self.value(value, name, indent)?;
                self.out.push(')');
            }
        }
        if !self.is_implied(name, qualifier.flavor) {
            self.flavor(name, qualifier.flavor)?;
        }
        Ok(())
    }

    /// True if a compiler gives this flavor to a qualifier that is written without one, or can give
    /// it no other.
    fn is_implied(&mut self, name: &str, flavor: Flavor) -> bool {
        let is_fixed = Flavor::fixed(name).is_some();
        let implied = Flavor::implied(name);
        if flavor == implied {
            return true;
        }
        // `dynamic` without flavor has one.
        if is_fixed || flavor.is_empty() {
            self.unsaid(name, UnsaidKind::Flavor(flavor.bits()));
            return self.style == Style::Exact;
        }
        false
    }

    fn flavor(&mut self, name: &str, flavor: Flavor) -> fmt::Result {
        let mut before = ": ";
        let mut rest = flavor;
        for (bit, word) in WORDS {
            if flavor.contains(bit) {
                write!(self.out, "{before}{word}")?;
                before = " ";
            }
            rest.remove(bit);
        }
        if !rest.is_empty() {
            self.unsaid(name, UnsaidKind::Flavor(flavor.bits()));
        }
        Ok(())
    }

    fn check_qualifier(&mut self, qualifier: &Qualifier) {
        let name = qualifier.name.as_str();
        if !TYPES.contains(&qualifier.cim_type.scalar) {
            self.unsaid(name, UnsaidKind::QualifierType(qualifier.cim_type));
        }
        match &qualifier.value {
            None => self.unsaid(name, UnsaidKind::QualifierNull),
            Some(Value::Array(array)) if array.is_empty() => {
                if array.scalar_type() != ScalarType::String {
                    self.unsaid(name, UnsaidKind::QualifierEmpty);
                }
            }
            Some(Value::Boolean(false)) if same(name, "key") || same(name, "static") => {
                self.unsaid(name, UnsaidKind::QualifierFalse);
            }
            Some(_) => {}
        }
    }
}

/// A name in brackets that says nothing of its place: for messages about a qualifier of a member.
pub(super) fn place(member: &str, qualifier: &str) -> String {
    match (member.is_empty(), qualifier.is_empty()) {
        (true, _) => qualifier.to_owned(),
        (false, true) => member.to_owned(),
        (false, false) => format!("{member} [{qualifier}]"),
    }
}

impl Printer {
    /// Writes a name where MOF wants an identifier.
    pub(super) fn identifier(&mut self, name: &str) -> fmt::Result {
        let name = Identifier(name);
        if !name.is_one() {
            self.unsaid("", UnsaidKind::Name);
        }
        write!(self.out, "{name}")
    }
}
