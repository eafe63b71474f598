//! The CIM model: types, values, qualifiers, classes, instances, object paths. No bytes, no I/O.
//!
//! A [`Class`] is the declaration of a class, as in MOF. A [`FullClass`] is that class with
//! everything it inherits. An [`Instance`] belongs to a full class, and therefore its values can be
//! looked up by property name. Source of the rules: `docs::objects`.

pub mod class;
pub mod datetime;
pub mod full_class;
pub mod instance;
#[cfg(feature = "serde")]
pub mod json;
mod members;
pub mod name;
pub mod path;
pub mod path_keys;
pub mod qualifier;
mod refusal;
pub mod types;
pub mod value;
pub mod value_as;
mod value_text;
mod weight;

pub use class::{Class, ClassBuilder, Method, Property, Setting};
pub use datetime::DateTime;
pub use full_class::{ComposeError, FullClass, FullMethod, FullProperty, KeyClass};
pub use instance::{Instance, InstanceError};
pub use name::Name;
pub use path::{KeyBinding, ObjectPath, PathKeys, PathValue};
pub use path_keys::{ExpectedKeys, KeyMismatch};
pub use qualifier::{Flavor, Qualifier, QualifierSet};
pub use types::{CimType, ScalarType};
pub use value::{Array, Object, Value};
pub use value_as::ValueError;
