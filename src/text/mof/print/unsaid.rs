//! Parts of objects that MOF cannot express.

use std::fmt;

use crate::base::escape::escape;
use crate::cim::CimType;

/// Something of an object that its MOF does not say, or says in a way that a compiler refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaid {
    /// The property, method or qualifier that has it; empty for the object itself.
    pub member: String,
    /// Its kind.
    pub what: UnsaidKind,
}

/// Kind of a part that MOF cannot express.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnsaidKind {
    /// A flavor that a compiler gives to no qualifier of this name.
    Flavor(u8),
    /// A qualifier of a type that a compiler gives to none.
    QualifierType(CimType),
    /// A qualifier that is NULL, which a compiler drops.
    QualifierNull,
    /// `key` or `static` with the value FALSE, which a compiler reads as TRUE.
    QualifierFalse,
    /// An empty array of a qualifier, which a compiler takes for one of strings.
    QualifierEmpty,
    /// A qualifier that a compiler leaves to the superclass, which has it as well.
    QualifierInherited,
    /// Qualifiers in an order that no compiler makes.
    QualifierOrder,
    /// A qualifier `CIMTYPE` that is missing, stands elsewhere than in front, or has another
    /// flavor.
    CimType,
    /// A qualifier `CIMTYPE` that contradicts the type.
    CimTypeContradicts,
    /// An infinity, or what is no number.
    NotFinite,
    /// An array with an element that is NULL.
    NullElement,
    /// An embedded object that is a class, or that cannot be read.
    Object,
    /// A name that is no identifier.
    Name,
    /// A default that is left to the superclass by a property that is declared again.
    InheritedDefault,
    /// Parameters that no declaration of a method leads to.
    Signature,
    /// The descriptor of a namespace.
    Descriptor,
    /// A reference that is no object path. An exact compile alone takes it.
    Reference,
    /// An embedded object whose class is another than the one of its name is now.
    EmbeddedClass,
    /// A namespace that no instance of `__NAMESPACE` leads to: a compile makes one.
    HiddenNamespace,
    /// A namespace of which the hash of its path alone is known.
    LostPath,
    /// A system class that is another than that of a new repository.
    SystemClass,
}

impl fmt::Display for UnsaidKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnsaidKind::Flavor(bits) => write!(f, "flavor {bits:02x} cannot be said"),
            UnsaidKind::QualifierType(kind) => write!(f, "no qualifier can be of type {kind}"),
            UnsaidKind::QualifierNull => f.write_str("a qualifier that is NULL is dropped"),
            UnsaidKind::QualifierFalse => f.write_str("FALSE is read as TRUE"),
            UnsaidKind::QualifierEmpty => f.write_str("an empty array is read as one of strings"),
            UnsaidKind::QualifierInherited => {
                f.write_str("the qualifier is left to the superclass")
            }
            UnsaidKind::QualifierOrder => {
                f.write_str("the order of the qualifiers is not preserved")
            }
            UnsaidKind::CimType => f.write_str("CIMTYPE is not as a compiler makes it"),
            UnsaidKind::CimTypeContradicts => f.write_str("CIMTYPE contradicts the type"),
            UnsaidKind::NotFinite => {
                f.write_str("there is no word for infinity and what is no number")
            }
            UnsaidKind::NullElement => f.write_str("an array cannot have an element that is NULL"),
            UnsaidKind::Object => f.write_str("the embedded object cannot be written"),
            UnsaidKind::Name => f.write_str("the name is no identifier"),
            UnsaidKind::InheritedDefault => {
                f.write_str("the default that is inherited becomes NULL")
            }
            UnsaidKind::Signature => f.write_str("no declaration leads to these parameters"),
            UnsaidKind::Descriptor => f.write_str("the descriptor of the namespace cannot be said"),
            UnsaidKind::Reference => f.write_str("the reference is no object path"),
            UnsaidKind::EmbeddedClass => {
                f.write_str("the class of the embedded object is another in its namespace")
            }
            UnsaidKind::HiddenNamespace => {
                f.write_str("nothing names the namespace, but a compile will")
            }
            UnsaidKind::LostPath => f.write_str("the path of the namespace is lost"),
            UnsaidKind::SystemClass => {
                f.write_str("the system class is another in a new repository")
            }
        }
    }
}

impl UnsaidKind {
    /// Its name in JSON.
    pub const fn code(&self) -> &'static str {
        match self {
            UnsaidKind::Flavor(_) => "flavor",
            UnsaidKind::QualifierType(_) => "qualifier-type",
            UnsaidKind::QualifierNull => "qualifier-null",
            UnsaidKind::QualifierFalse => "qualifier-false",
            UnsaidKind::QualifierEmpty => "qualifier-empty",
            UnsaidKind::QualifierInherited => "qualifier-inherited",
            UnsaidKind::QualifierOrder => "qualifier-order",
            UnsaidKind::CimType => "cimtype",
            UnsaidKind::CimTypeContradicts => "cimtype-contradicts",
            UnsaidKind::NotFinite => "not-finite",
            UnsaidKind::NullElement => "null-element",
            UnsaidKind::Object => "object",
            UnsaidKind::Name => "name",
            UnsaidKind::InheritedDefault => "inherited-default",
            UnsaidKind::Signature => "signature",
            UnsaidKind::Descriptor => "descriptor",
            UnsaidKind::Reference => "reference",
            UnsaidKind::EmbeddedClass => "embedded-class",
            UnsaidKind::HiddenNamespace => "hidden-namespace",
            UnsaidKind::LostPath => "lost-path",
            UnsaidKind::SystemClass => "system-class",
        }
    }
}

impl fmt::Display for Unsaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.member.is_empty() {
            true => self.what.fmt(f),
            false => write!(f, "{}: {}", escape(&self.member), self.what),
        }
    }
}
