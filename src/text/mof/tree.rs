//! The syntax tree of MOF: what a text says, in its order and spelling, with the place of each
//! part.
//!
//! Two trees are equal when they say the same; places do not count. Texts are borrowed where the
//! source has them in one piece, so that a tree costs little; a tree that is built by hand owns its
//! texts.

use std::borrow::Cow;

use bitflags::bitflags;

use crate::cim::types::ScalarType;
use crate::text::span::Span;

/// The place of a part. It does not count when trees are compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct At(pub Span);

impl PartialEq for At {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A name in its spelling.
#[derive(Debug, Clone, PartialEq)]
pub struct Ident<'t> {
    /// The spelling.
    pub text: Cow<'t, str>,
    /// Its place.
    pub at: At,
}

impl<'t> Ident<'t> {
    /// A name without a place.
    pub fn new(text: impl Into<Cow<'t, str>>) -> Self {
        Self {
            text: text.into(),
            at: At::default(),
        }
    }

    /// True if it is `word`, in any case.
    pub fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

/// A string: the value of adjacent literals together.
#[derive(Debug, Clone, PartialEq)]
pub struct Text<'t> {
    /// The value.
    pub value: Cow<'t, str>,
    /// The place of the literals.
    pub at: At,
}

impl<'t> Text<'t> {
    /// A string without a place.
    pub fn new(value: impl Into<Cow<'t, str>>) -> Self {
        Self {
            value: value.into(),
            at: At::default(),
        }
    }
}

/// A file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct File<'t> {
    /// Its content, in order.
    pub items: Vec<Item<'t>>,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'t> {
    /// A line that begins with `#`.
    Directive(Directive<'t>),
    /// The declaration of a qualifier.
    Qualifier(QualifierDeclaration<'t>),
    /// The declaration of a class.
    Class(ClassDeclaration<'t>),
    /// An instance.
    Instance(InstanceDeclaration<'t>),
}

/// A directive.
#[derive(Debug, Clone, PartialEq)]
pub struct Directive<'t> {
    /// Its meaning.
    pub kind: DirectiveKind<'t>,
    /// Its place.
    pub at: At,
}

/// The kinds of directives.
#[derive(Debug, Clone, PartialEq)]
pub enum DirectiveKind<'t> {
    /// `#pragma namespace("…")`.
    Namespace(Text<'t>),
    /// `#pragma classflags(…)`, for the classes that follow.
    ClassFlags(Flags),
    /// `#pragma instanceflags(…)`, for the instances that follow.
    InstanceFlags(Flags),
    /// `#pragma deleteclass("…", …)`.
    DeleteClass(Removal<'t>),
    /// `#pragma deleteinstance("…", …)`.
    DeleteInstance(Removal<'t>),
    /// `#pragma autorecover`.
    AutoRecover,
    /// `#pragma amendment("…")`.
    Amendment(Text<'t>),
    /// `#pragma include("…")` or `#include "…"`; the name as it stands there, without escapes.
    Include(Text<'t>),
    /// `#line 12 "…"`: the line after this one is that line of another file.
    Line {
        /// The number of the next line.
        number: u32,
        /// The other file, if one is named.
        file: Option<Text<'t>>,
    },
    /// A pragma of DMTF without a meaning here.
    Other {
        /// Its name.
        name: Ident<'t>,
        /// Its arguments.
        arguments: Vec<Text<'t>>,
    },
}

/// The object that a directive takes away.
#[derive(Debug, Clone, PartialEq)]
pub struct Removal<'t> {
    /// The name of a class, or the path of an instance.
    pub target: Text<'t>,
    /// True if it must be there (`FAIL`).
    pub must_exist: bool,
}

/// Flags of classes or instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// It must be there already (1).
    pub update_only: bool,
    /// It must not be there (2).
    pub create_only: bool,
    /// How far a change of a class may go.
    pub mode: FlagMode,
}

/// How far a change of a class may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlagMode {
    /// No further than what nothing depends on (0).
    #[default]
    Compatible,
    /// `safeupdate` (32).
    Safe,
    /// `forceupdate` (64).
    Force,
}

impl Flags {
    /// The flags with this number: 1 or 32 or 64, 1 with one of these, 2, or 0.
    pub const fn from_number(number: i128) -> Option<Self> {
        let (update_only, create_only, mode) = match number {
            0 => (false, false, FlagMode::Compatible),
            1 => (true, false, FlagMode::Compatible),
            2 => (false, true, FlagMode::Compatible),
            32 => (false, false, FlagMode::Safe),
            33 => (true, false, FlagMode::Safe),
            64 => (false, false, FlagMode::Force),
            65 => (true, false, FlagMode::Force),
            _ => return None,
        };
        Some(Self {
            update_only,
            create_only,
            mode,
        })
    }

    /// The flags that a text means: a number, or words with commas between them.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse() {
            return Self::from_number(number);
        }
        let numbers = text.split(',').map(Self::number_of_word);
        let number = numbers.reduce(|all, one| Some(all? | one?)).flatten()?;
        Self::from_number(number)
    }

    /// The number of a flag that is given as a word.
    pub(super) fn number_of_word(word: &str) -> Option<i128> {
        match &*word.trim().to_ascii_lowercase() {
            "updateonly" => Some(1),
            "createonly" => Some(2),
            "safeupdate" => Some(32),
            "forceupdate" => Some(64),
            _ => None,
        }
    }

    /// The number of these flags.
    pub const fn number(self) -> i128 {
        let mode = match self.mode {
            FlagMode::Compatible => 0,
            FlagMode::Safe => 32,
            FlagMode::Force => 64,
        };
        mode + if self.update_only { 1 } else { 0 } + if self.create_only { 2 } else { 0 }
    }
}

bitflags! {
    /// Words of flavors.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct FlavorWords: u8 {
        /// `ToInstance`.
        const TO_INSTANCE = 0x01;
        /// `ToSubclass`.
        const TO_SUBCLASS = 0x02;
        /// `DisableOverride`.
        const DISABLE_OVERRIDE = 0x04;
        /// `Amended`, or DMTF's `Translatable`.
        const AMENDED = 0x08;
        /// `EnableOverride`.
        const ENABLE_OVERRIDE = 0x10;
        /// `NotToInstance`.
        const NOT_TO_INSTANCE = 0x20;
        /// `NotToSubclass`.
        const NOT_TO_SUBCLASS = 0x40;
        /// `Restricted`.
        const RESTRICTED = 0x80;
    }
}

impl FlavorWords {
    /// Every word with its flavor, in the order in which they are printed.
    pub const WORDS: [(&'static str, FlavorWords); 8] = [
        ("ToInstance", FlavorWords::TO_INSTANCE),
        ("ToSubclass", FlavorWords::TO_SUBCLASS),
        ("DisableOverride", FlavorWords::DISABLE_OVERRIDE),
        ("Amended", FlavorWords::AMENDED),
        ("EnableOverride", FlavorWords::ENABLE_OVERRIDE),
        ("NotToInstance", FlavorWords::NOT_TO_INSTANCE),
        ("NotToSubclass", FlavorWords::NOT_TO_SUBCLASS),
        ("Restricted", FlavorWords::RESTRICTED),
    ];
}

/// A qualifier.
#[derive(Debug, Clone, PartialEq)]
pub struct Qualifier<'t> {
    /// Its name.
    pub name: Ident<'t>,
    /// Its value; `None` where none is written.
    pub value: Option<Initializer<'t>>,
    /// Its flavors; empty where none are written.
    pub flavors: FlavorWords,
    /// Its place.
    pub at: At,
}

/// A list of qualifiers in brackets, or several such lists in a row.
pub type Qualifiers<'t> = Vec<Qualifier<'t>>;

/// The declaration of a qualifier: `Qualifier Q : ToSubclass;`, or DMTF's form with a type.
#[derive(Debug, Clone, PartialEq)]
pub struct QualifierDeclaration<'t> {
    /// The qualifier.
    pub name: Ident<'t>,
    /// Its type, in DMTF's form.
    pub typed: Option<QualifierType<'t>>,
    /// Its flavors.
    pub flavors: FlavorWords,
    /// Its place.
    pub at: At,
}

/// The additional parts of DMTF's form of a declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct QualifierType<'t> {
    /// The type.
    pub scalar: ScalarType,
    /// True if it is an array.
    pub array: Option<ArraySize>,
    /// Its default.
    pub default: Option<Initializer<'t>>,
    /// The elements that it may stand at; empty where the declaration does not say.
    pub scope: Vec<Ident<'t>>,
}

/// The declaration of a class.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassDeclaration<'t> {
    /// Its qualifiers.
    pub qualifiers: Qualifiers<'t>,
    /// Its name.
    pub name: Ident<'t>,
    /// Its alias, without `$`.
    pub alias: Option<Ident<'t>>,
    /// Its superclass.
    pub superclass: Option<Ident<'t>>,
    /// Its properties and methods.
    pub features: Vec<Feature<'t>>,
    /// Its place.
    pub at: At,
}

/// A property or method.
#[derive(Debug, Clone, PartialEq)]
pub enum Feature<'t> {
    /// A property.
    Property(PropertyDeclaration<'t>),
    /// A method.
    Method(MethodDeclaration<'t>),
}

/// A property, or a parameter of a method.
#[derive(Debug, Clone, PartialEq)]
pub struct PropertyDeclaration<'t> {
    /// Its qualifiers.
    pub qualifiers: Qualifiers<'t>,
    /// Its type.
    pub kind: TypeName<'t>,
    /// Its name.
    pub name: Ident<'t>,
    /// Brackets after its name.
    pub array: Option<ArraySize>,
    /// Its default.
    pub default: Option<Initializer<'t>>,
    /// Its place.
    pub at: At,
}

/// A method.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodDeclaration<'t> {
    /// Its qualifiers.
    pub qualifiers: Qualifiers<'t>,
    /// The type of what it returns; `None` for `void`.
    pub returns: Option<TypeName<'t>>,
    /// Its name.
    pub name: Ident<'t>,
    /// Its parameters.
    pub parameters: Vec<PropertyDeclaration<'t>>,
    /// Its place.
    pub at: At,
}

/// Brackets after a name: `[]` or `[4]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArraySize {
    /// The number in them.
    pub size: Option<u32>,
    /// Their place.
    pub at: At,
}

/// A type as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeName<'t> {
    /// The word, without `ref`.
    pub word: Ident<'t>,
    /// Its meaning.
    pub kind: TypeKind,
}

/// The meaning of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeKind {
    /// One of the base types; `object` is an embedded object of any class.
    Base(ScalarType),
    /// An embedded object of the class that the word names.
    Class,
    /// A reference to the class that the word names, or to any where the word is `object`.
    Reference,
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceDeclaration<'t> {
    /// Its qualifiers.
    pub qualifiers: Qualifiers<'t>,
    /// Its class.
    pub class: Ident<'t>,
    /// Its alias, without `$`.
    pub alias: Option<Ident<'t>>,
    /// The values it sets.
    pub assignments: Vec<Assignment<'t>>,
    /// Its place.
    pub at: At,
}

/// A value that an instance sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment<'t> {
    /// Qualifiers of the property in this instance.
    pub qualifiers: Qualifiers<'t>,
    /// The property.
    pub name: Ident<'t>,
    /// The value; `None` where none is written.
    pub value: Option<Initializer<'t>>,
    /// Its place.
    pub at: At,
}

/// A value or a list of values.
#[derive(Debug, Clone, PartialEq)]
pub enum Initializer<'t> {
    /// A single value.
    One(Value<'t>),
    /// A list in braces.
    List(Vec<Value<'t>>, At),
}

impl Initializer<'_> {
    /// Its place.
    pub const fn at(&self) -> At {
        match self {
            Initializer::One(value) => value.at,
            Initializer::List(_, at) => *at,
        }
    }
}

/// A single value.
#[derive(Debug, Clone, PartialEq)]
pub struct Value<'t> {
    /// The value.
    pub kind: ValueKind<'t>,
    /// Its place.
    pub at: At,
}

/// The kinds of single values.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueKind<'t> {
    /// `NULL`.
    Null,
    /// `TRUE` or `FALSE`.
    Boolean(bool),
    /// An integer in any of its forms.
    Integer(i128),
    /// A real number.
    Real(f64),
    /// Adjacent strings, joined.
    Text(Cow<'t, str>),
    /// A character in single quotes, as a UTF-16 unit.
    Char(u16),
    /// `$Alias`, without `$`.
    Alias(Cow<'t, str>),
    /// An embedded object.
    Instance(Box<InstanceDeclaration<'t>>),
}
