//! Comparison of the keys of a path with those of its class. A path denotes an instance only if it
//! names exactly the keys of the class.

use thiserror::Error;

use super::full_class::{FullClass, KeyClass};
use super::name::Name;
use super::path::{KeyBinding, ObjectPath, PathKeys};
use crate::base::error::Error;
use crate::base::escape::escape;
use crate::base::rule::Rule;

/// Error for a path whose keys are not those of its class.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} means no instance: {}", escape(path), expected(class, keys))]
pub struct KeyMismatch {
    /// The path.
    pub path: Box<str>,
    /// Its class.
    pub class: Name,
    /// The keys of the class.
    pub keys: ExpectedKeys,
}

/// The way in which the instances of a class are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedKeys {
    /// By values of these properties, sorted by name.
    Keys(Box<[Name]>),
    /// By `=@`, since there is at most one.
    Singleton,
    /// Not at all, because the class has no key.
    None,
}

fn expected(class: &Name, keys: &ExpectedKeys) -> String {
    match keys {
        ExpectedKeys::Singleton => format!("{class} is a singleton, its instance is {class}=@"),
        ExpectedKeys::None => format!("{class} has no keys, and so no instances"),
        ExpectedKeys::Keys(names) => {
            let names: Vec<String> = names.iter().map(Name::to_string).collect();
            match &names[..] {
                [name] => format!("the key of {class} is {name}"),
                _ => format!("the keys of {class} are {}", names.join(", ")),
            }
        }
    }
}

impl FullClass {
    /// The way in which its instances are named.
    pub fn expected_keys(&self) -> ExpectedKeys {
        match self.key_class() {
            None => ExpectedKeys::None,
            Some(KeyClass::Singleton(_)) => ExpectedKeys::Singleton,
            Some(KeyClass::Keyed(_)) => {
                ExpectedKeys::Keys(self.key_properties().map(|key| key.name.clone()).collect())
            }
        }
    }

    /// The text from which the key of the instance denoted by `path` is hashed. The keys may stand
    /// in any order, and a single one needs no name.
    ///
    /// # Errors
    /// Returns a [`KeyMismatch`] if the path has other keys than the class, too many, too few, or
    /// none.
    pub fn key_text_of(&self, path: &ObjectPath) -> Result<String, KeyMismatch> {
        let mismatch = || KeyMismatch {
            path: path.text().into(),
            class: self.name().clone(),
            keys: self.expected_keys(),
        };
        let is_named = match (&path.keys, self.key_class()) {
            (PathKeys::Singleton, Some(KeyClass::Singleton(_))) => true,
            (PathKeys::Keys(given), Some(KeyClass::Keyed(_))) => self.is_named_by(given),
            _ => false,
        };
        path.key_text().filter(|_| is_named).ok_or_else(mismatch)
    }

    /// True if `given` are exactly its keys, each once.
    fn is_named_by(&self, given: &[KeyBinding]) -> bool {
        if let [KeyBinding { name: None, .. }] = given {
            return self.key_properties().count() == 1;
        }
        let mut names: Vec<&Name> = given.iter().filter_map(|key| key.name.as_ref()).collect();
        names.sort_unstable();
        names.len() == given.len() && self.key_properties().map(|key| &key.name).eq(names)
    }
}

impl From<KeyMismatch> for Error {
    fn from(mismatch: KeyMismatch) -> Self {
        Error::rule(Rule::InvalidObjectPath, mismatch.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cim::class::{Class, Property};
    use crate::cim::types::ScalarType;

    fn class(keys: &[&str]) -> FullClass {
        let mut class = Class::builder("C").property(Property::new("Other", ScalarType::String));
        for key in keys {
            class = class.property(Property::new(*key, ScalarType::Uint32).key());
        }
        FullClass::compose(class.build(), None).unwrap()
    }

    fn of(class: &FullClass, path: &str) -> Result<String, String> {
        class
            .key_text_of(&path.parse().unwrap())
            .map_err(|mismatch| mismatch.to_string())
    }

    #[test]
    fn a_path_names_exactly_the_keys_of_its_class() {
        let (one, two, none) = (class(&["Id"]), class(&["b", "A"]), class(&[]));
        for (class, path, text) in [
            (&one, "C.id=7", "7"),
            (&one, "C=7", "7"),
            (&two, "C.B=1,a=2", "2\u{FFFF}1"),
            (&two, "C.a=2,B=1", "2\u{FFFF}1"),
        ] {
            assert_eq!(of(class, path).as_deref(), Ok(text), "{path}");
        }
        for path in ["C", "C=@", "C.Foo=7", "C.Id=7,Other=1", "C.Id=7,Id=7"] {
            let error = of(&one, path).unwrap_err();
            assert!(
                error.ends_with("means no instance: the key of C is Id"),
                "{error}"
            );
        }
        for path in ["C=1", "C.a=1", "C.a=1,a=2", "C.a=1,b=2,c=3", "C.a=1,c=3"] {
            let error = of(&two, path).unwrap_err();
            assert!(
                error.ends_with("means no instance: the keys of C are A, b"),
                "{error}"
            );
        }
        assert!(of(&none, "C.Other=1").unwrap_err().contains("no keys"));
    }
}
