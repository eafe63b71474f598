//! The six forms of the keys of objects.
//!
//! | key | stands for | record |
//! |---|---|---|
//! | `NS_n\CD_c` | class c | the class |
//! | `NS_n\CR_p\C_c` | class c is derived from p; `CR_H("")` for none | |
//! | `NS_n\CR_t\R_c` | class c has a reference to class t | |
//! | `NS_n\CI_c\IL_i` | instance i of class c | the instance |
//! | `NS_n\KI_k\I_i` | instance i, where class k declares the keys | the same |
//! | `NS_m\KI_k\IR_j\R_r` | instance r refers to instance j | the reference |
//!
//! Lower-case letters stand for the hashes of names. The classes that ship with every repository
//! lie in the namespace [`SYSTEM_NAMESPACE`]. `r` is the hash of the `I_` key of the referring
//! instance; in 2.1 the directory of the repository precedes the key in that hash. Source:
//! `docs::objects`, "Keys".

use super::node::tokens_of;
use crate::format::Dialect;
use crate::format::name_hash::NameHash;

/// The namespace of the system classes, which no path can name.
pub const SYSTEM_NAMESPACE: &str = "__SystemClass";

/// The directory in which Windows keeps a repository of dialect 2.1. It is part of the keys of
/// references.
pub const USUAL_DIRECTORY: &str = r"C:\WINDOWS\system32\wbem\Repository\FS";

/// Builds keys for a dialect.
#[derive(Debug, Clone)]
pub struct ObjectKeys {
    dialect: Dialect,
    directory: String,
}

impl ObjectKeys {
    /// Creates a builder for a dialect, in 2.1 with the [`USUAL_DIRECTORY`].
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            directory: USUAL_DIRECTORY.to_owned(),
        }
    }

    /// Sets the directory of the repository, which matters only in dialect 2.1.
    #[must_use]
    pub fn with_directory(self, directory: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            ..self
        }
    }

    /// The dialect.
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The hash of a name.
    pub fn hash(&self, name: &str) -> NameHash {
        NameHash::of(self.dialect, name)
    }

    /// The hash of the path of a namespace. A namespace whose path is lost is written like the
    /// first token of its keys: `NS_` and the digits of its hash.
    pub fn namespace_hash(&self, namespace: &str) -> NameHash {
        Self::hash_token(self.dialect, namespace).unwrap_or_else(|| self.hash(namespace))
    }

    /// The hash in a text of the form `NS_` and the digits of a hash of this dialect.
    pub fn hash_token(dialect: Dialect, text: &str) -> Option<NameHash> {
        let (prefix, digits) = text.split_at_checked(3)?;
        let is_token =
            prefix.eq_ignore_ascii_case("NS_") && digits.len() == NameHash::digits(dialect);
        is_token
            .then(|| NameHash::parse(digits.to_ascii_uppercase().as_bytes()))
            .flatten()
    }

    /// The prefix of all keys of a namespace: `NS_n\`.
    pub fn namespace(&self, namespace: &str) -> String {
        format!(r"NS_{}\", self.namespace_hash(namespace))
    }

    /// `NS_n\CD_c`: a class.
    pub fn class(&self, namespace: &str, class: &str) -> String {
        self.class_by_hash(namespace, self.hash(class))
    }

    /// `NS_n\CD_c`: a class whose name is known only by its hash.
    pub fn class_by_hash(&self, namespace: &str, class: NameHash) -> String {
        format!(r"NS_{}\CD_{class}", self.namespace_hash(namespace))
    }

    /// `NS_n\CR_p\C_c`: a class derived from another, or from none.
    pub fn subclass(&self, namespace: &str, superclass: Option<&str>, class: &str) -> String {
        format!(
            "{}{}",
            self.subclasses(namespace, superclass),
            self.hash(class)
        )
    }

    /// `NS_n\CR_p\C_`: the prefix of the keys of the direct subclasses of a class.
    pub fn subclasses(&self, namespace: &str, superclass: Option<&str>) -> String {
        format!(
            r"NS_{}\CR_{}\C_",
            self.namespace_hash(namespace),
            self.hash(superclass.unwrap_or_default())
        )
    }

    /// `NS_n\CR_t\R_c`: a class has a reference to another.
    pub fn class_reference(&self, namespace: &str, target: &str, class: &str) -> String {
        format!(
            r"NS_{}\CR_{}\R_{}",
            self.namespace_hash(namespace),
            self.hash(target),
            self.hash(class)
        )
    }

    /// `NS_n\CI_c\IL_i`: an instance under its own class.
    pub fn instance(&self, namespace: &str, class: &str, key_text: &str) -> String {
        format!(
            "{}{}",
            self.instances(namespace, class),
            self.hash(key_text)
        )
    }

    /// `NS_n\CI_c\IL_`: the prefix of the keys of all instances of a class, without those of
    /// subclasses.
    pub fn instances(&self, namespace: &str, class: &str) -> String {
        format!(
            r"NS_{}\CI_{}\IL_",
            self.namespace_hash(namespace),
            self.hash(class)
        )
    }

    /// `NS_n\KI_k\I_i`: an instance under the class that declares its keys.
    pub fn keyed_instance(&self, namespace: &str, key_class: &str, key_text: &str) -> String {
        format!(
            "{}{}",
            self.keyed_instances(namespace, key_class),
            self.hash(key_text)
        )
    }

    /// `NS_n\KI_k\I_`: the prefix of the keys of all instances whose keys a class declares.
    pub fn keyed_instances(&self, namespace: &str, key_class: &str) -> String {
        format!(
            r"NS_{}\KI_{}\I_",
            self.namespace_hash(namespace),
            self.hash(key_class)
        )
    }

    /// `NS_m\KI_k\IR_j\R_r`: a reference to an instance. `referrer` is the key of the referring
    /// instance as returned by [`keyed_instance`](Self::keyed_instance).
    pub fn reference(
        &self,
        namespace: &str,
        key_class: &str,
        key_text: &str,
        referrer: &str,
    ) -> String {
        let referrer = match self.dialect {
            Dialect::V21 => self.hash(&format!(r"{}\{referrer}", self.directory)),
            Dialect::V22 => self.hash(referrer),
        };
        format!(
            "{}{referrer}",
            self.references(namespace, key_class, key_text)
        )
    }

    /// The key of the referring instance, as in the record of the reference.
    pub fn referrer_text(&self, referrer: &str) -> String {
        match self.dialect {
            Dialect::V21 => format!(r"\{referrer}"),
            Dialect::V22 => referrer.to_owned(),
        }
    }

    /// `NS_m\KI_k\IR_j\R_`: the prefix of the keys of all references to an instance.
    pub fn references(&self, namespace: &str, key_class: &str, key_text: &str) -> String {
        format!(
            r"NS_{}\KI_{}\IR_{}\R_",
            self.namespace_hash(namespace),
            self.hash(key_class),
            self.hash(key_text)
        )
    }
}

/// The form of a key, with its hashes except that of the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyShape {
    /// `CD_`: a class.
    Class(NameHash),
    /// `CR_`, `C_`: a class and one derived from it.
    Subclass(NameHash, NameHash),
    /// `CR_`, `R_`: a class and one with a reference to it.
    ClassReference(NameHash, NameHash),
    /// `CI_`, `IL_`: a class and an instance of it.
    Instance(NameHash, NameHash),
    /// `KI_`, `I_`: a class and an instance whose keys it declares.
    KeyedInstance(NameHash, NameHash),
    /// `KI_`, `IR_`, `R_`: a class, an instance whose keys it declares, and one that refers to
    /// that.
    Reference(NameHash, NameHash, NameHash),
}

impl KeyShape {
    /// The namespace and the form of a key; `None` if it has none of the six forms. Use
    /// [`key::reference`](super::key::reference) to see whether it names a record.
    pub fn parse(key: &[u8]) -> Option<(NameHash, Self)> {
        let end = memchr::memchr(b'.', key).unwrap_or(key.len());
        let mut tokens = tokens_of(key.get(..end)?);
        let (b"NS", namespace) = prefix_and_hash(tokens.next()?)? else {
            return None;
        };
        let (first, a) = prefix_and_hash(tokens.next()?)?;
        let shape = match (first, tokens.next()) {
            (b"CD", None) => KeyShape::Class(a),
            (_, None) => return None,
            (_, Some(token)) => match (first, prefix_and_hash(token)?) {
                (b"CR", (b"C", b)) => KeyShape::Subclass(a, b),
                (b"CR", (b"R", b)) => KeyShape::ClassReference(a, b),
                (b"CI", (b"IL", b)) => KeyShape::Instance(a, b),
                (b"KI", (b"I", b)) => KeyShape::KeyedInstance(a, b),
                (b"KI", (b"IR", b)) => match prefix_and_hash(tokens.next()?)? {
                    (b"R", c) => KeyShape::Reference(a, b, c),
                    _ => return None,
                },
                _ => return None,
            },
        };
        tokens.next().is_none().then_some((namespace, shape))
    }
}

/// A token consisting of a prefix, an underscore and a hash.
fn prefix_and_hash(token: &[u8]) -> Option<(&[u8], NameHash)> {
    // The prefixes have one or two characters.
    let low_line = token.iter().take(3).position(|&byte| byte == b'_')?;
    Some((
        token.get(..low_line)?,
        NameHash::parse(token.get(low_line + 1..)?)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_from_what_is_built() {
        for dialect in [Dialect::V21, Dialect::V22] {
            let keys = ObjectKeys::new(dialect);
            let h = |name| keys.hash(name);
            let referrer = keys.keyed_instance("n", "k", "i");
            for (key, shape) in [
                (keys.class("n", "c"), KeyShape::Class(h("c"))),
                (
                    keys.subclass("n", None, "c"),
                    KeyShape::Subclass(h(""), h("c")),
                ),
                (
                    keys.class_reference("n", "t", "c"),
                    KeyShape::ClassReference(h("t"), h("c")),
                ),
                (
                    keys.instance("n", "c", "i"),
                    KeyShape::Instance(h("c"), h("i")),
                ),
                (referrer.clone(), KeyShape::KeyedInstance(h("k"), h("i"))),
            ] {
                assert_eq!(KeyShape::parse(key.as_bytes()), Some((h("N"), shape)));
                assert_eq!(
                    KeyShape::parse(format!("{key}.1.2.3").as_bytes()),
                    Some((h("N"), shape))
                );
                assert_eq!(KeyShape::parse(format!(r"{key}\X_1").as_bytes()), None);
            }
            let key = keys.reference("n", "k", "j", &referrer);
            assert!(matches!(
                KeyShape::parse(key.as_bytes()),
                Some((_, KeyShape::Reference(..)))
            ));
        }
    }

    #[test]
    fn other_keys_have_no_shape() {
        for key in [
            &b""[..],
            b"NS_",
            b"X",
            b"NS_00000000000000000000000000000000",
            b"CD_00000000000000000000000000000000",
        ] {
            assert_eq!(KeyShape::parse(key), None);
        }
    }
}
