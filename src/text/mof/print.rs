//! Objects as MOF.
//!
//! What the engine adds by itself is not shown: `CIMTYPE`, which the type says already, and the numbers of parameters.
//! Qualifiers that spread as their definition says (`key`, `singleton`) have no flavors.
//!
//! Nothing stored can leave its place: a text is one string literal in characters that show, and a name that is no identifier
//! is printed as a string literal too, which no compiler takes for a name, with a comment that says so.

use std::fmt::{self, Write};

use crate::base::escape::Visible;
use crate::cim::class::{Class, Method, Property, Setting};
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::name::{ByName, Name};
use crate::cim::qualifier::{Flavor, Qualifier, QualifierSet};
use crate::cim::types::{CimType, ScalarType};
use crate::cim::value::{Array, Object, Value};

const INDENT: &str = "    ";

/// A class as MOF: what it declares itself; with `inherited`, behind it and in comments, what it inherits.
pub fn class_text(class: &FullClass, inherited: bool) -> String {
    let mut text = missing_note(class);
    // Nothing can fail that writes into a string.
    write_class(&mut text, class.declaration(), "").ok();
    text.push_str(";\n");
    if inherited {
        write_inherited(&mut text, class).ok();
    }
    text
}

/// An instance as MOF: every property that has a value. One that the class gives as its default is marked.
pub fn instance_text(instance: &Instance) -> String {
    let mut text = missing_note(instance.class());
    write_instance(&mut text, instance, "").ok();
    text.push_str(";\n");
    text
}

/// Says of a class whose ancestor is lost that there is more to it, in a comment.
fn missing_note(class: &FullClass) -> String {
    let note = |ancestor: &Name| {
        format!("// Partial: what {} declares and inherits is lost.\n", Identifier(ancestor.as_str()))
    };
    class.missing_ancestor().map(note).unwrap_or_default()
}

/// A value as MOF.
pub fn value_text(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value, "").ok();
    text
}

/// A declaration of a property as MOF, on one line.
pub fn property_text(property: &Property) -> String {
    let mut text = String::new();
    write_property(&mut text, property, "").ok();
    on_one_line(&text)
}

/// A declaration of a method as MOF, on one line.
pub fn method_text(method: &Method) -> String {
    let mut text = String::new();
    write_method(&mut text, method, "").ok();
    on_one_line(&text)
}

/// A list of qualifiers as MOF, in brackets; empty where there are none.
pub fn qualifiers_text(qualifiers: &QualifierSet) -> String {
    let mut text = String::new();
    write_qualifiers(&mut text, qualifiers, &[], "").ok();
    text
}

/// Joins the lines that the printer has made. Texts of evidence have none: they are escaped.
fn on_one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join(" ")
}

fn write_class(out: &mut String, class: &Class, indent: &str) -> fmt::Result {
    if write_qualifiers(out, &class.qualifiers, &[], indent)? {
        out.push('\n');
        out.push_str(indent);
    }
    write!(out, "class {}", Identifier(class.name.as_str()))?;
    if let Some(superclass) = &class.superclass {
        write!(out, " : {}", Identifier(superclass.as_str()))?;
    }
    writeln!(out, "\n{indent}{{")?;
    let inner = format!("{indent}{INDENT}");
    for property in &class.properties {
        out.push_str(&inner);
        write_property(out, property, &inner)?;
    }
    for method in &class.methods {
        out.push_str(&inner);
        write_method(out, method, &inner)?;
    }
    write!(out, "{indent}}}")
}

fn write_inherited(out: &mut String, class: &FullClass) -> fmt::Result {
    let properties: Vec<_> = class.properties().iter().filter(|property| !property.local).collect();
    let methods: Vec<_> = class.methods().iter().filter(|method| !method.local).collect();
    if properties.is_empty() && methods.is_empty() {
        return Ok(());
    }
    out.push_str("\n// Inherited:\n");
    for property in properties {
        let head = declarator(property.name.as_str(), property.cim_type, &property.qualifiers);
        write!(out, "//   {head}")?;
        if let Some(value) = &property.default {
            out.push_str(" = ");
            write_value(out, value, "//   ")?;
        }
        let key = if property.is_key() { ", key" } else { "" };
        writeln!(out, ";  (of {}{key})", Identifier(property.origin.as_str()))?;
    }
    for method in methods {
        let (name, origin) = (Identifier(method.method.name.as_str()), Identifier(method.origin.as_str()));
        writeln!(out, "//   {name}();  (of {origin})")?;
    }
    Ok(())
}

fn write_property(out: &mut String, property: &Property, indent: &str) -> fmt::Result {
    let start = out.len();
    if write_qualifiers(out, &property.qualifiers, &["CIMTYPE"], indent)? {
        end_qualifiers(out, start, indent);
    }
    out.push_str(&declarator(property.name.as_str(), property.cim_type, &property.qualifiers));
    if let Setting::Value(value) = &property.default {
        out.push_str(" = ");
        write_value(out, value, indent)?;
    }
    out.push_str(";\n");
    Ok(())
}

/// Type and name: `uint8 Data[]`, `CIM_Thing REF Element`.
fn declarator(name: &str, cim_type: CimType, qualifiers: &QualifierSet) -> String {
    let array = if cim_type.array { "[]" } else { "" };
    format!("{} {}{array}", type_word(cim_type, qualifiers), Identifier(name))
}

/// The type as it stands before a name.
fn type_word(cim_type: CimType, qualifiers: &QualifierSet) -> String {
    let text = qualifiers.text("CIMTYPE");
    let class = text.and_then(|text| text.split_once(':')).map(|(_, class)| Identifier(class));
    match (cim_type.scalar, class) {
        (ScalarType::Reference, Some(class)) => format!("{class} REF"),
        (ScalarType::Reference, None) => "object REF".to_owned(),
        (ScalarType::Object, Some(class)) => class.to_string(),
        (scalar, _) => scalar.to_string(),
    }
}

/// The parameters of a method, its return value left out. One that is both in and out stands in both signatures; it comes
/// once, and is marked.
fn parameters(method: &Method) -> Vec<(&Property, bool)> {
    let [ins, outs] = [&method.input, &method.output]
        .map(|signature| signature.as_ref().map(|class| &class.properties[..]).unwrap_or_default());
    let [named_in, named_out] = [ins, outs].map(|parameters| ByName::new(parameters, |parameter| &parameter.name));
    let both = ins.iter().map(|parameter| (parameter, named_out.get(&parameter.name).is_some()));
    let only_out = outs.iter().filter(|parameter| named_in.get(&parameter.name).is_none());
    let all = both.chain(only_out.map(|parameter| (parameter, false)));
    all.filter(|(parameter, _)| parameter.name != Method::RETURN_VALUE).collect()
}

fn write_method(out: &mut String, method: &Method, indent: &str) -> fmt::Result {
    let start = out.len();
    if write_qualifiers(out, &method.qualifiers, &[], indent)? {
        end_qualifiers(out, start, indent);
    }
    let is_return = |parameter: &&Property| parameter.name == Method::RETURN_VALUE;
    let result = method.output.iter().flat_map(|class| &class.properties).find(is_return);
    let kind = result.map_or_else(
        || "void".to_owned(),
        |result| {
            let array = if result.cim_type.array { "[]" } else { "" };
            format!("{}{array}", type_word(result.cim_type, &result.qualifiers))
        },
    );
    write!(out, "{kind} {}(", Identifier(method.name.as_str()))?;
    let mut parameters = parameters(method);
    let number = |parameter: &Property| parameter.qualifiers.get("ID").and_then(|id| id.value.as_ref()?.as_integer());
    parameters.sort_by_key(|(parameter, _)| number(parameter));
    for (position, (parameter, is_both)) in parameters.into_iter().enumerate() {
        out.push_str(if position > 0 { ", " } else { "" });
        if write_qualifiers(out, &parameter.qualifiers, &["CIMTYPE", "ID"], indent)? {
            if is_both {
                out.pop();
                out.push_str(", out]");
            }
            out.push(' ');
        }
        out.push_str(&declarator(parameter.name.as_str(), parameter.cim_type, &parameter.qualifiers));
    }
    out.push_str(");\n");
    Ok(())
}

/// Many qualifiers have a line of their own.
fn end_qualifiers(out: &mut String, start: usize, indent: &str) {
    const MANY: usize = 60;
    if out.len().saturating_sub(start) > MANY {
        out.push('\n');
        out.push_str(indent);
    } else {
        out.push(' ');
    }
}

/// Gives whether there are any.
fn write_qualifiers(out: &mut String, set: &QualifierSet, hidden: &[&str], indent: &str) -> Result<bool, fmt::Error> {
    let mut shown = set.iter().filter(|qualifier| hidden.iter().all(|hidden| qualifier.name != *hidden)).peekable();
    if shown.peek().is_none() {
        return Ok(false);
    }
    out.push('[');
    while let Some(qualifier) = shown.next() {
        write_qualifier(out, qualifier, indent)?;
        out.push_str(if shown.peek().is_some() { ", " } else { "]" });
    }
    Ok(true)
}

fn write_qualifier(out: &mut String, qualifier: &Qualifier, indent: &str) -> fmt::Result {
    write!(out, "{}", Identifier(qualifier.name.as_str()))?;
    match &qualifier.value {
        Some(Value::Boolean(true)) => {}
        None => out.push_str("(NULL)"),
        Some(value @ Value::Array(_)) => write_value(out, value, indent)?,
        Some(value) => {
            out.push('(');
            write_value(out, value, indent)?;
            out.push(')');
        }
    }
    let usual = Flavor::TO_INSTANCE | Flavor::TO_SUBCLASS | Flavor::NOT_OVERRIDABLE;
    if ["key", "singleton"].iter().any(|name| qualifier.name == *name) && qualifier.flavor == usual {
        return Ok(());
    }
    let mut before = ": ";
    for (flavor, word) in [
        (Flavor::AMENDED, "Amended"),
        (Flavor::TO_INSTANCE, "ToInstance"),
        (Flavor::TO_SUBCLASS, "ToSubclass"),
        (Flavor::NOT_OVERRIDABLE, "DisableOverride"),
    ] {
        if qualifier.flavor.contains(flavor) {
            write!(out, "{before}{word}")?;
            before = " ";
        }
    }
    Ok(())
}

fn write_instance(out: &mut String, instance: &Instance, indent: &str) -> fmt::Result {
    if write_qualifiers(out, &instance.qualifiers, &[], indent)? {
        out.push('\n');
        out.push_str(indent);
    }
    writeln!(out, "instance of {}\n{indent}{{", Identifier(instance.class().name().as_str()))?;
    let inner = format!("{indent}{INDENT}");
    let sets = instance.property_qualifiers.as_deref().unwrap_or_default();
    for (number, (property, value)) in instance.values().enumerate() {
        let Some(value) = value else { continue };
        out.push_str(&inner);
        if let Some(set) = sets.get(number)
            && write_qualifiers(out, set, &[], &inner)?
        {
            out.push(' ');
        }
        write!(out, "{} = ", Identifier(property.name.as_str()))?;
        write_value(out, value, &inner)?;
        let is_own = instance.settings().get(number).is_some_and(|setting| setting.value().is_some());
        out.push_str(if is_own { ";\n" } else { ";  // default\n" });
    }
    write!(out, "{indent}}}")
}

fn write_value(out: &mut String, value: &Value, indent: &str) -> fmt::Result {
    match value {
        Value::Boolean(value) => out.push_str(word(*value)),
        Value::Char16(value) => write!(out, "{value}")?,
        Value::Real32(value) => write_real(out, value, value.is_finite())?,
        Value::Real64(value) => write_real(out, value, value.is_finite())?,
        Value::Object(object) => write_object(out, object, indent)?,
        Value::Array(array) => {
            out.push('{');
            write_elements(out, array, indent)?;
            out.push('}');
        }
        other => match (other.as_text(), other.as_integer()) {
            (Some(text), _) => write_text(out, text)?,
            (None, Some(integer)) => write!(out, "{integer}")?,
            (None, None) => out.push_str("NULL"),
        },
    }
    Ok(())
}

fn write_elements(out: &mut String, array: &Array, indent: &str) -> fmt::Result {
    fn each<T>(out: &mut String, all: &[T], mut one: impl FnMut(&mut String, &T) -> fmt::Result) -> fmt::Result {
        all.iter().enumerate().try_for_each(|(number, element)| {
            out.push_str(if number > 0 { ", " } else { "" });
            one(out, element)
        })
    }
    fn shown<T: fmt::Display>(out: &mut String, all: &[T]) -> fmt::Result {
        each(out, all, |out, value| write!(out, "{value}"))
    }
    match array {
        Array::Boolean(values) => each(out, values, |out, value| out.write_str(word(*value))),
        Array::Sint8(values) => shown(out, values),
        Array::Sint16(values) => shown(out, values),
        Array::Sint32(values) => shown(out, values),
        Array::Sint64(values) => shown(out, values),
        Array::Uint8(values) => shown(out, values),
        Array::Uint16(values) | Array::Char16(values) => shown(out, values),
        Array::Uint32(values) => shown(out, values),
        Array::Uint64(values) => shown(out, values),
        Array::Real32(values) => each(out, values, |out, value| write_real(out, value, value.is_finite())),
        Array::Real64(values) => each(out, values, |out, value| write_real(out, value, value.is_finite())),
        Array::String(texts) | Array::DateTime(texts) | Array::Reference(texts) => {
            each(out, texts, |out, text| match text {
                Some(text) => write_text(out, text),
                None => out.write_str("NULL"),
            })
        }
        Array::Object(objects) => each(out, objects, |out, object| match object {
            Some(object) => write_object(out, object, indent),
            None => out.write_str("NULL"),
        }),
    }
}

const fn word(value: bool) -> &'static str {
    if value { "TRUE" } else { "FALSE" }
}

fn write_object(out: &mut String, object: &Object, indent: &str) -> fmt::Result {
    match object {
        Object::Class(class) => write_class(out, class, indent),
        Object::Instance(instance) => write_instance(out, instance, indent),
        Object::Opaque(bytes) => write!(out, "NULL /* an object of {} bytes that cannot be read */", bytes.len()),
    }
}

/// MOF has no word for infinity, nor for what is no number.
fn write_real(out: &mut String, value: impl fmt::Debug, is_finite: bool) -> fmt::Result {
    if is_finite { write!(out, "{value:?}") } else { write!(out, "NULL /* {value:?} */") }
}

/// A name where MOF wants an identifier. One that is none is printed as a string.
#[derive(Clone, Copy)]
struct Identifier<'n>(&'n str);

impl Identifier<'_> {
    /// Letters, digits and low lines, and beyond ASCII everything that shows and is no white space.
    fn is_one(self) -> bool {
        let mut visible = Visible::new();
        let is_part = |c: char| {
            visible.shows(c) && (c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii() && !c.is_whitespace())
        };
        let starts_well = self.0.starts_with(|c: char| !c.is_ascii_digit());
        starts_well && self.0.chars().all(is_part)
    }
}

impl fmt::Display for Identifier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_one() {
            return f.write_str(self.0);
        }
        write_text(f, self.0)?;
        f.write_str(" /* no identifier */")
    }
}

/// A string literal. What does not show is written by its UTF-16 units, always with four digits, since a fifth would be taken
/// for one of them.
fn write_text(out: &mut impl Write, text: &str) -> fmt::Result {
    let mut visible = Visible::new();
    out.write_char('"')?;
    for c in text.chars() {
        let shows = visible.shows(c);
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if shows => out.write_char(c)?,
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\x{unit:04X}")?;
                }
            }
        }
    }
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn classes_and_instances_are_shown() {
        let spread = Flavor::TO_INSTANCE | Flavor::TO_SUBCLASS;
        let parameter = |name| Property::new(name, ScalarType::Uint8);
        let class = Class::builder("C")
            .qualifier(Qualifier::new("Description", "a \"b\"\n", Flavor::AMENDED))
            .property(Property::new("Name", ScalarType::String).key())
            .property(Property::new("Data", CimType::array(ScalarType::Uint8)).default(vec![1u8, 2]))
            .property(Property::new("Of", ScalarType::Reference).of_class("D"))
            .property(Property::new("On", ScalarType::Boolean).default(true).qualifier(Qualifier::flag("read", spread)))
            .method(Method::new("Do").input(parameter("A")).output(parameter("B")).returns(ScalarType::Uint32))
            .build();
        let class = Arc::new(FullClass::compose(class, None).unwrap());
        let expected = r#"[Description("a \"b\"\n"): Amended]
class C
{
    [key] string Name;
    uint8 Data[] = {1, 2};
    D REF Of;
    [read: ToInstance ToSubclass] boolean On = TRUE;
    uint32 Do([in] uint8 A, [out] uint8 B);
};
"#;
        assert_eq!(class_text(&class, true), expected);
        let instance = Instance::new(class).with("Name", "n\\").unwrap();
        let expected = r#"instance of C
{
    Name = "n\\";
    Data = {1, 2};  // default
    On = TRUE;  // default
};
"#;
        assert_eq!(instance_text(&instance), expected);
    }

    #[test]
    fn what_is_inherited_stands_in_comments() {
        let above = Class::builder("A").property(Property::new("X", ScalarType::Uint8).key()).build();
        let above = Arc::new(FullClass::compose(above, None).unwrap());
        let class = FullClass::compose(Class::builder("B").superclass("A").build(), Some(above)).unwrap();
        let text = class_text(&class, true);
        assert_eq!(text, "class B : A\n{\n};\n\n// Inherited:\n//   uint8 X;  (of A, key)\n");
    }
}
