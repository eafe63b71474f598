//! Syntax tree to text. What it writes is read back as an equal tree.
//!
//! A name that is none, which only a tree built by hand can have, is written as a string, which no
//! parser takes for a name.

use std::fmt::Write;

use super::lexer::is_word;
use super::literal::{write_character, write_real, write_text};
use super::print::write_quoted;
use super::tree::{
    ArraySize, Assignment, ClassDeclaration, Directive, DirectiveKind, Feature, File, FlavorWords,
    Ident, Initializer, InstanceDeclaration, Item, MethodDeclaration, PropertyDeclaration,
    Qualifier, QualifierDeclaration, Removal, Text, TypeKind, TypeName, Value, ValueKind,
};
use crate::base::escape::Visible;

const INDENT: &str = "    ";

/// A file as MOF: its items in order, an empty line between those that have bodies.
pub fn file_text(file: &File<'_>) -> String {
    file_items_text(&file.items)
}

/// The items of a file as MOF.
pub(crate) fn file_items_text(items: &[Item<'_>]) -> String {
    let mut out = String::new();
    for (number, item) in items.iter().enumerate() {
        let has_body = matches!(item, Item::Class(_) | Item::Instance(_));
        if number > 0 && has_body {
            out.push('\n');
        }
        out.push_str(&item_text(item));
    }
    out
}

/// One item as MOF, with the line end after it.
pub fn item_text(item: &Item<'_>) -> String {
    let mut printer = Printer::default();
    match item {
        Item::Directive(directive) => printer.directive(directive),
        Item::Qualifier(declaration) => printer.qualifier_declaration(declaration),
        Item::Class(class) => printer.class(class),
        Item::Instance(instance) => {
            printer.instance(instance);
            printer.out.push_str(";\n");
        }
    }
    printer.out
}

/// A class as MOF, with more qualifiers after its own: texts that are MOF already.
pub(crate) fn class_text_with(class: &ClassDeclaration<'_>, more: &[&str]) -> String {
    let mut printer = Printer::default();
    for (number, qualifier) in class.qualifiers.iter().enumerate() {
        printer.put(if number == 0 { "[" } else { ", " });
        printer.qualifier(qualifier);
    }
    for (number, qualifier) in more.iter().enumerate() {
        let is_first = number == 0 && class.qualifiers.is_empty();
        printer.put(if is_first { "[" } else { ", " });
        printer.put(qualifier);
    }
    printer.put("]");
    printer.line();
    printer.declaration(class);
    printer.out
}

/// Text in the making.
#[derive(Default)]
struct Printer {
    out: String,
    depth: usize,
}

impl Printer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn indent(&self) -> String {
        INDENT.repeat(self.depth)
    }

    fn line(&mut self) {
        self.out.push('\n');
        let indent = self.indent();
        self.out.push_str(&indent);
    }

    fn name(&mut self, name: &Ident<'_>) {
        let mut visible = Visible::new();
        let is_plain = is_word(&name.text) && name.text.chars().all(|c| visible.shows(c));
        match is_plain {
            true => self.put(&name.text),
            // Nothing can fail that writes into a string.
            false => _ = write_quoted(&mut self.out, &name.text),
        }
    }

    fn text(&mut self, text: &str) {
        let indent = self.indent();
        write_text(&mut self.out, text, &indent);
    }

    /// A string on one line, for directives.
    fn literal(&mut self, text: &Text<'_>) {
        write_quoted(&mut self.out, &text.value).ok();
    }

    fn number(&mut self, number: i128) {
        write!(self.out, "{number}").ok();
    }

    fn directive(&mut self, directive: &Directive<'_>) {
        match &directive.kind {
            DirectiveKind::Namespace(path) => self.pragma("namespace", |out| out.literal(path)),
            DirectiveKind::ClassFlags(flags) => {
                self.pragma("classflags", |out| out.number(flags.number()))
            }
            DirectiveKind::InstanceFlags(flags) => {
                self.pragma("instanceflags", |out| out.number(flags.number()))
            }
            DirectiveKind::DeleteClass(removal) => {
                self.pragma("deleteclass", |out| out.removal(removal))
            }
            DirectiveKind::DeleteInstance(removal) => {
                self.pragma("deleteinstance", |out| out.removal(removal))
            }
            DirectiveKind::AutoRecover => self.put("#pragma autorecover"),
            DirectiveKind::Amendment(locale) => self.pragma("amendment", |out| out.literal(locale)),
            DirectiveKind::Include(name) => self.pragma("include", |out| {
                out.put("\"");
                out.put(&name.value);
                out.put("\"");
            }),
            DirectiveKind::Line { number, file } => {
                write!(self.out, "#line {number}").ok();
                if let Some(file) = file {
                    write!(self.out, " \"{}\"", file.value.replace('\\', "\\\\")).ok();
                }
            }
            DirectiveKind::Other { name, arguments } => self.pragma(&name.text, |out| {
                for (number, argument) in arguments.iter().enumerate() {
                    out.put(if number > 0 { ", " } else { "" });
                    out.literal(argument);
                }
            }),
        }
        self.put("\n");
    }

    fn pragma(&mut self, name: &str, arguments: impl FnOnce(&mut Self)) {
        self.put("#pragma ");
        self.put(name);
        self.put("(");
        arguments(self);
        self.put(")");
    }

    fn removal(&mut self, removal: &Removal<'_>) {
        self.literal(&removal.target);
        self.put(if removal.must_exist {
            ", FAIL"
        } else {
            ", NOFAIL"
        });
    }

    fn qualifier_declaration(&mut self, declaration: &QualifierDeclaration<'_>) {
        self.put("Qualifier ");
        self.name(&declaration.name);
        self.put(" :");
        match &declaration.typed {
            None => self.flavor_words(declaration.flavors, " "),
            Some(typed) => {
                self.put(" ");
                self.put(typed.scalar.as_str());
                self.array(typed.array);
                if let Some(default) = &typed.default {
                    self.put(" = ");
                    self.initializer(default);
                }
                if !typed.scope.is_empty() {
                    self.put(", Scope(");
                    for (number, word) in typed.scope.iter().enumerate() {
                        self.put(if number > 0 { ", " } else { "" });
                        self.name(word);
                    }
                    self.put(")");
                }
                if !declaration.flavors.is_empty() {
                    self.flavor_words(declaration.flavors, ", ");
                }
            }
        }
        self.put(";\n");
    }

    /// The words of flavors, `before` in front of each.
    fn flavor_words(&mut self, flavors: FlavorWords, before: &str) {
        for (word, flavor) in FlavorWords::WORDS {
            if flavors.contains(flavor) {
                self.put(before);
                self.put(word);
            }
        }
    }

    /// Qualifiers in brackets; returns whether there are any.
    fn qualifiers(&mut self, qualifiers: &[Qualifier<'_>]) -> bool {
        for (number, qualifier) in qualifiers.iter().enumerate() {
            self.put(if number == 0 { "[" } else { ", " });
            self.qualifier(qualifier);
        }
        if !qualifiers.is_empty() {
            self.put("]");
        }
        !qualifiers.is_empty()
    }

    fn qualifier(&mut self, qualifier: &Qualifier<'_>) {
        self.name(&qualifier.name);
        match &qualifier.value {
            None => {}
            Some(list @ Initializer::List(..)) => self.initializer(list),
            Some(Initializer::One(value)) => {
                self.put("(");
                self.depth = self.depth.saturating_add(1);
                self.value(value);
                self.depth = self.depth.saturating_sub(1);
                self.put(")");
            }
        }
        if !qualifier.flavors.is_empty() {
            self.put(":");
            self.flavor_words(qualifier.flavors, " ");
        }
    }

    fn class(&mut self, class: &ClassDeclaration<'_>) {
        if self.qualifiers(&class.qualifiers) {
            self.line();
        }
        self.declaration(class);
    }

    /// A class without its qualifiers.
    fn declaration(&mut self, class: &ClassDeclaration<'_>) {
        self.put("class ");
        self.name(&class.name);
        self.alias(class.alias.as_ref());
        if let Some(superclass) = &class.superclass {
            self.put(" : ");
            self.name(superclass);
        }
        self.line();
        self.put("{");
        self.depth = self.depth.saturating_add(1);
        for feature in &class.features {
            self.line();
            match feature {
                Feature::Property(property) => {
                    self.property(property);
                    self.put(";");
                }
                Feature::Method(method) => self.method(method),
            }
        }
        self.depth = self.depth.saturating_sub(1);
        self.line();
        self.put("};\n");
    }

    fn alias(&mut self, alias: Option<&Ident<'_>>) {
        if let Some(alias) = alias {
            self.put(" as $");
            self.name(alias);
        }
    }

    fn property(&mut self, property: &PropertyDeclaration<'_>) {
        if self.qualifiers(&property.qualifiers) {
            self.put(" ");
        }
        self.type_name(&property.kind);
        self.put(" ");
        self.name(&property.name);
        self.array(property.array);
        if let Some(default) = &property.default {
            self.put(" = ");
            self.initializer(default);
        }
    }

    fn type_name(&mut self, kind: &TypeName<'_>) {
        self.name(&kind.word);
        if kind.kind == TypeKind::Reference {
            self.put(" ref");
        }
    }

    fn array(&mut self, array: Option<ArraySize>) {
        match array {
            None => {}
            Some(ArraySize { size: None, .. }) => self.put("[]"),
            Some(ArraySize {
                size: Some(size), ..
            }) => _ = write!(self.out, "[{size}]"),
        }
    }

    fn method(&mut self, method: &MethodDeclaration<'_>) {
        if self.qualifiers(&method.qualifiers) {
            self.put(" ");
        }
        match &method.returns {
            Some(kind) => self.type_name(kind),
            None => self.put("void"),
        }
        self.put(" ");
        self.name(&method.name);
        self.put("(");
        for (number, parameter) in method.parameters.iter().enumerate() {
            self.put(if number > 0 { ", " } else { "" });
            self.property(parameter);
        }
        self.put(");");
    }

    /// An instance up to its closing brace.
    fn instance(&mut self, instance: &InstanceDeclaration<'_>) {
        if self.qualifiers(&instance.qualifiers) {
            self.line();
        }
        self.put("instance of ");
        self.name(&instance.class);
        self.alias(instance.alias.as_ref());
        self.line();
        self.put("{");
        self.depth = self.depth.saturating_add(1);
        for assignment in &instance.assignments {
            self.line();
            self.assignment(assignment);
        }
        self.depth = self.depth.saturating_sub(1);
        self.line();
        self.put("}");
    }

    fn assignment(&mut self, assignment: &Assignment<'_>) {
        if self.qualifiers(&assignment.qualifiers) {
            self.put(" ");
        }
        self.name(&assignment.name);
        if let Some(value) = &assignment.value {
            self.put(" = ");
            self.depth = self.depth.saturating_add(1);
            self.initializer(value);
            self.depth = self.depth.saturating_sub(1);
        }
        self.put(";");
    }

    fn initializer(&mut self, initializer: &Initializer<'_>) {
        match initializer {
            Initializer::One(value) => self.value(value),
            Initializer::List(values, _) => {
                self.put("{");
                for (number, value) in values.iter().enumerate() {
                    self.put(if number > 0 { ", " } else { "" });
                    self.value(value);
                }
                self.put("}");
            }
        }
    }

    fn value(&mut self, value: &Value<'_>) {
        match &value.kind {
            ValueKind::Null => self.put("NULL"),
            ValueKind::Boolean(true) => self.put("TRUE"),
            ValueKind::Boolean(false) => self.put("FALSE"),
            ValueKind::Integer(number) => self.number(*number),
            // MOF has no word for infinity, nor for what is no number.
            ValueKind::Real(real) if real.is_finite() => _ = write_real(&mut self.out, *real),
            ValueKind::Real(real) => _ = write!(self.out, "NULL /* {real:?} */"),
            ValueKind::Text(text) => self.text(text),
            ValueKind::Char(unit) => _ = write_character(&mut self.out, *unit),
            ValueKind::Alias(alias) => {
                self.put("$");
                self.name(&Ident::new(&**alias));
            }
            ValueKind::Instance(instance) => self.instance(instance),
        }
    }
}
