//! Objects as MOF.
//!
//! What a compiler adds by itself is not written: `CIMTYPE`, which the type says already, the size
//! of an array, the numbers of parameters, and the flavors that a qualifier of its name has anyway.
//!
//! Nothing stored can leave its place: a text is one string literal, or several that follow each
//! other, in characters that show, and a name that is no identifier is printed as a string literal
//! too, which no compiler takes for a name, with a comment that says so.

mod class;
mod exact;
mod literal;
mod method;
mod qualifiers;
mod unsaid;
mod value;

use crate::cim::class::{Class, Method, Property};
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::name::Name;
use crate::cim::qualifier::QualifierSet;
use crate::cim::value::Value;

use literal::Identifier;
pub(in crate::text::mof) use literal::write_quoted;
pub use unsaid::{Unsaid, UnsaidKind};

const INDENT: &str = "    ";

/// For whom something is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// For people: whatever is stored shows, even where no compiler would read it so.
    Shown,
    /// The same, where a line of its own cannot be had.
    OneLine,
    /// For a compiler.
    Exact,
}

/// A text in the making, and what it does not say.
#[derive(Debug)]
struct Printer {
    out: String,
    style: Style,
    unsaid: Vec<Unsaid>,
    /// The members that are being written, one in the other: those of embedded objects.
    members: Vec<String>,
}

impl Printer {
    const fn new(style: Style) -> Self {
        Self {
            out: String::new(),
            style,
            unsaid: Vec::new(),
            members: Vec::new(),
        }
    }

    /// Begins a property or method.
    fn begin(&mut self, name: &str) {
        // Only what is for a compiler is judged by it.
        if self.style == Style::Exact {
            self.members.push(name.to_owned());
        }
    }

    fn end_member(&mut self) {
        self.members.pop();
    }

    /// Notes what is not said of the member that is being written, or of its qualifier.
    fn unsaid(&mut self, qualifier: &str, what: UnsaidKind) {
        if self.style == Style::Exact {
            let member = self.members.join(".");
            self.unsaid.push(Unsaid {
                member: qualifiers::place(&member, qualifier),
                what,
            });
        }
    }

    fn printed(mut self) -> Printed {
        self.out.push_str(";\n");
        Printed {
            text: self.out,
            unsaid: self.unsaid,
        }
    }
}

/// An object as MOF for a compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// The text: one declaration, with its semicolon and line end.
    pub text: String,
    /// Parts of the object that the text does not say.
    pub unsaid: Vec<Unsaid>,
}

/// Prints a class for a compiler: what it declares itself.
pub fn print_class(class: &FullClass) -> Printed {
    let mut printed = print_declaration(class.declaration(), None);
    printed.unsaid.append(&mut exact::unfixed(class));
    printed
}

/// Prints a declaration of which nothing else is known for a compiler, with the alias that it
/// defines.
pub fn print_declaration(class: &Class, alias: Option<&str>) -> Printed {
    let mut printer = Printer::new(Style::Exact);
    // Nothing can fail that writes into a string.
    printer.class(class, alias, "").ok();
    printer.printed()
}

/// Prints an instance for a compiler: what it says itself.
pub fn print_instance(instance: &Instance) -> Printed {
    print_aliased_instance(instance, None, &[])
}

/// Prints an instance for a compiler, with the alias that it defines. `aliases` are the numbers of
/// the properties whose texts are aliases, in ascending order.
pub fn print_aliased_instance(
    instance: &Instance,
    alias: Option<&str>,
    aliases: &[u16],
) -> Printed {
    let mut printer = Printer::new(Style::Exact);
    printer.instance(instance, alias, aliases, "").ok();
    printer.printed()
}

/// A text as a string literal on one line.
pub fn literal_text(text: &str) -> String {
    let mut out = String::new();
    write_quoted(&mut out, text).ok();
    out
}

/// A class as MOF: what it declares itself; with `inherited`, after it and in comments, what it
/// inherits.
pub fn class_text(class: &FullClass, inherited: bool) -> String {
    let mut printer = Printer::new(Style::Shown);
    printer.out = missing_note(class);
    printer.class(class.declaration(), None, "").ok();
    printer.out.push_str(";\n");
    if inherited {
        printer.inherited(class).ok();
    }
    printer.out
}

/// An instance as MOF: every property that has a value. One that the class gives as its default is
/// marked.
pub fn instance_text(instance: &Instance) -> String {
    let mut printer = Printer::new(Style::Shown);
    printer.out = missing_note(instance.class());
    printer.instance(instance, None, &[], "").ok();
    printer.out.push_str(";\n");
    printer.out
}

/// Says of a class whose ancestor is lost that there is more to it, in a comment.
fn missing_note(class: &FullClass) -> String {
    let note = |ancestor: &Name| {
        format!(
            "// Partial: what {} declares and inherits is lost.\n",
            Identifier(ancestor.as_str())
        )
    };
    class.missing_ancestor().map(note).unwrap_or_default()
}

fn one_line(print: impl FnOnce(&mut Printer) -> std::fmt::Result) -> String {
    let mut printer = Printer::new(Style::OneLine);
    print(&mut printer).ok();
    // Texts of evidence have no lines: they are escaped.
    let lines: Vec<&str> = printer.out.lines().map(str::trim).collect();
    lines.join(" ")
}

/// A value as MOF.
pub fn value_text(value: &Value) -> String {
    let mut printer = Printer::new(Style::OneLine);
    printer.value(value, "", "").ok();
    printer.out
}

/// A declaration of a property as MOF, on one line.
pub fn property_text(property: &Property) -> String {
    one_line(|printer| printer.property(property, ""))
}

/// A declaration of a method as MOF, on one line.
pub fn method_text(method: &Method) -> String {
    one_line(|printer| printer.method(method, ""))
}

/// A list of qualifiers as MOF, in brackets; empty where there are none.
pub fn qualifiers_text(qualifiers: &QualifierSet) -> String {
    let mut printer = Printer::new(Style::OneLine);
    printer.qualifiers(qualifiers, |_| false, "").ok();
    printer.out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cim::class::Setting;
    use crate::cim::qualifier::{Flavor, Qualifier};
    use crate::cim::types::{CimType, ScalarType};
    use std::sync::Arc;

    #[test]
    fn classes_and_instances_are_shown() {
        let spread = Flavor::TO_INSTANCE | Flavor::TO_SUBCLASS;
        let parameter = |name| Property::new(name, ScalarType::Uint8);
        let class = Class::builder("C")
            .qualifier(Qualifier::new("Description", "a \"b\"\n", Flavor::AMENDED))
            .property(Property::new("Name", ScalarType::String).key())
            .property(
                Property::new("Data", CimType::array(ScalarType::Uint8)).default(vec![1u8, 2]),
            )
            .property(Property::new("Of", ScalarType::Reference).of_class("D"))
            .property(
                Property::new("On", ScalarType::Boolean)
                    .default(true)
                    .qualifier(Qualifier::flag("read", spread)),
            )
            .method(
                Method::new("Do")
                    .input(parameter("A"))
                    .output(parameter("B"))
                    .returns(ScalarType::Uint32),
            )
            .build();
        let class = Arc::new(FullClass::compose(class, None).unwrap());
        let expected = r#"[Description("a \"b\"\n"): Amended]
class C
{
    [key] string Name;
    uint8 Data[] = {1, 2};
    D ref Of;
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
        let above = Class::builder("A")
            .property(Property::new("X", ScalarType::Uint8).key())
            .build();
        let above = Arc::new(FullClass::compose(above, None).unwrap());
        let class =
            FullClass::compose(Class::builder("B").superclass("A").build(), Some(above)).unwrap();
        let text = class_text(&class, true);
        assert_eq!(
            text,
            "class B : A\n{\n};\n\n// Inherited:\n//   uint8 X;  (of A, key)\n"
        );
    }

    /// What a compiler gives by itself is left to it, and what it cannot give is reported.
    #[test]
    fn what_is_for_a_compiler_says_what_it_leaves_out() {
        let array = Property::new("A", CimType::array(ScalarType::Uint8));
        let odd = Property {
            default: Setting::Value(f64::NAN.into()),
            ..Property::new("R", ScalarType::Real64)
        };
        let class = Class::builder("C")
            .qualifier(Qualifier::flag("dynamic", Flavor::TO_INSTANCE))
            .qualifier(Qualifier::new("Number", 7u32, Flavor::empty()))
            .property(
                array
                    .clone()
                    .qualifier(Qualifier::new("MAX", 8i32, Flavor::empty())),
            )
            .property(
                array
                    .clone()
                    .qualifier(Qualifier::new("Max", 8i32, Flavor::empty())),
            )
            .property(odd)
            .property(
                Property::new("K", ScalarType::Char16)
                    .key()
                    .default(Value::Char16(0x41)),
            )
            .build();
        let printed = print_declaration(&class, Some("P"));
        let expected = r#"[dynamic, Number(7)]
class C as $P
{
    uint8 A[8];
    [Max(8)] uint8 A[];
    real64 R = NULL /* there is no word for infinity and what is no number */;
    [key] char16 K = 'A';
};
"#;
        assert_eq!(printed.text, expected);
        let unsaid: Vec<String> = printed.unsaid.iter().map(ToString::to_string).collect();
        let expected = [
            "Number: no qualifier can be of type uint32",
            "R: there is no word for infinity and what is no number",
        ];
        assert_eq!(unsaid, expected);
    }

    #[test]
    fn parameters_of_both_signatures_become_one_list() {
        let number =
            |id: i32| Qualifier::new("ID", id, Flavor::TO_INSTANCE | Flavor::NOT_OVERRIDABLE);
        let flag = |word: &str| Qualifier::flag(word, Flavor::empty());
        let parameter = |name: &str, words: &[&str], id: i32| {
            let property = Property::new(name, ScalarType::Uint8);
            let property = words
                .iter()
                .fold(property, |property, word| property.qualifier(flag(word)));
            property.qualifier(number(id))
        };
        let signature = |properties: Vec<Property>| {
            let class = Class::builder(Method::PARAMETERS)
                .qualifier(flag("abstract"))
                .build();
            Some(Arc::new(Class {
                properties,
                ..class
            }))
        };
        let result = Property::new("ReturnValue", ScalarType::Uint32).qualifier(flag("out"));
        let mut method = Method::new("M");
        method.input = signature(vec![
            parameter("A", &["In", "x"], 0),
            parameter("B", &["x", "in"], 2),
        ]);
        method.output = signature(vec![
            parameter("C", &["out"], 1),
            parameter("B", &["out", "x"], 2),
            result,
        ]);
        let class = Class::builder("C").method(method.clone()).build();
        let printed = print_declaration(&class, None);
        let line = "    uint32 M([In, x] uint8 A, [out] uint8 C, [out, x, in] uint8 B);";
        assert_eq!(
            (printed.text.lines().nth(2), &printed.unsaid[..]),
            (Some(line), &[][..])
        );

        // The return value in front of the others is where no compiler puts it.
        let output = method.output.as_mut().map(Arc::make_mut).unwrap();
        output.properties.rotate_right(1);
        let printed = print_declaration(&Class::builder("C").method(method).build(), None);
        assert_eq!(printed.unsaid.len(), 1);
        assert_eq!(printed.unsaid[0].what, UnsaidKind::Signature);
    }

    /// The order that a compiler gives, by what the superclass spreads.
    #[test]
    fn an_order_that_no_compiler_makes_is_reported() {
        let spread = |name: &str| Qualifier::flag(name, Flavor::TO_SUBCLASS);
        let fixed =
            |name: &str| Qualifier::flag(name, Flavor::TO_SUBCLASS | Flavor::NOT_OVERRIDABLE);
        let property = |names: &[Qualifier]| {
            let property = Property::new("P", ScalarType::Uint8);
            names.iter().cloned().fold(property, Property::qualifier)
        };
        let above = Class::builder("A")
            .property(property(&[spread("a"), spread("b"), fixed("f")]))
            .build();
        let above = Arc::new(FullClass::compose(above, None).unwrap());
        let unsaid = |names: &[Qualifier]| {
            let class = Class::builder("B")
                .superclass("A")
                .property(property(names))
                .build();
            let class = FullClass::compose(class, Some(above.clone())).unwrap();
            print_class(&class)
                .unsaid
                .into_iter()
                .map(|unsaid| unsaid.what)
                .collect::<Vec<_>>()
        };
        assert_eq!(unsaid(&[spread("a"), spread("b"), spread("c")]), []);
        assert_eq!(
            unsaid(&[spread("b"), spread("a")]),
            [UnsaidKind::QualifierOrder]
        );
        assert_eq!(
            unsaid(&[spread("c"), spread("a")]),
            [UnsaidKind::QualifierOrder]
        );
        assert_eq!(unsaid(&[spread("f")]), [UnsaidKind::QualifierInherited]);
    }
}
