//! Object paths: `\\SERVER\ROOT\cimv2:Class.Key="v",Key2=1`, `ROOT\cimv2:Class=@`, `Class`.
//!
//! Keys are accepted in any order and printed in ascending order of their names. Within quotes, a
//! backslash escapes a backslash or a quote. Namespaces may be separated by slashes as well as
//! backslashes. Source: `docs::objects`, "Object paths".

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::name::Name;
use super::value::Value;
use crate::base::escape::escape;
use crate::base::limits::MAX_PATH_CHARS;

/// Why a text is not an object path.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not an object path: {what} at byte {offset}")]
pub struct PathError {
    /// Offset of the error in the text, in bytes.
    pub offset: usize,
    /// Description of the error.
    pub what: &'static str,
}

/// The value of a key in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathValue {
    /// In quotes: a string, datetime or reference.
    Text(String),
    /// Without quotes: an integer.
    Integer(i128),
    /// Without quotes: TRUE or FALSE.
    Boolean(bool),
}

impl PathValue {
    /// The value of a key property; `None` for types that cannot be keys.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Boolean(value) => Some(PathValue::Boolean(*value)),
            Value::Char16(value) => Some(PathValue::Integer((*value).into())),
            other => {
                let text = other.as_text().map(|text| PathValue::Text(text.to_owned()));
                text.or_else(|| other.as_integer().map(PathValue::Integer))
            }
        }
    }

    /// The text from which keys are hashed.
    pub fn key_text(&self) -> String {
        match self {
            PathValue::Text(text) => text.clone(),
            PathValue::Integer(value) => value.to_string(),
            PathValue::Boolean(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
        }
    }
}

/// A key in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyBinding {
    /// The property; `None` if a single key is given without a name.
    pub name: Option<Name>,
    /// Its value.
    pub value: PathValue,
}

/// The object of a class that a path denotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathKeys {
    /// The class.
    Class,
    /// Its only instance: `=@`.
    Singleton,
    /// The instance with these keys, at least one. A parsed path holds them sorted by name, so that
    /// equal paths compare as equal however they were spelled.
    Keys(Vec<KeyBinding>),
}

/// An object path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPath {
    /// The server; `.` is the local one.
    pub server: Option<String>,
    /// The namespace, its parts joined by backslashes.
    pub namespace: Option<String>,
    /// The class.
    pub class: Name,
    /// The class itself or one of its instances.
    pub keys: PathKeys,
}

impl ObjectPath {
    /// The path of a class.
    pub fn of_class(class: impl Into<Name>) -> Self {
        Self {
            server: None,
            namespace: None,
            class: class.into(),
            keys: PathKeys::Class,
        }
    }

    /// Sets the namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// True if it denotes an instance.
    pub fn is_instance(&self) -> bool {
        self.keys != PathKeys::Class
    }

    /// The path as it is read and stored, for machines: names and values are not escaped.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(server) = &self.server {
            text.extend(["\\\\", server, "\\"]);
        }
        if let Some(namespace) = &self.namespace {
            text.extend([namespace, ":"]);
        }
        text.push_str(self.class.as_str());
        match &self.keys {
            PathKeys::Class => {}
            PathKeys::Singleton => text.push_str("=@"),
            PathKeys::Keys(keys) => {
                for (number, key) in by_name(keys).enumerate() {
                    if let Some(name) = &key.name {
                        text.extend([if number == 0 { "." } else { "," }, name.as_str()]);
                    }
                    text.push('=');
                    push_value(&mut text, &key.value);
                }
            }
        }
        text
    }

    /// The text from which the key of the instance is hashed: values in order of the names of their
    /// keys, separated by U+FFFF; `@` for a singleton; `None` for a class.
    pub fn key_text(&self) -> Option<String> {
        match &self.keys {
            PathKeys::Class => None,
            PathKeys::Singleton => Some("@".to_owned()),
            PathKeys::Keys(keys) => {
                let texts: Vec<String> = by_name(keys).map(|key| key.value.key_text()).collect();
                Some(texts.join("\u{FFFF}"))
            }
        }
    }
}

/// Keys in ascending order of their names, as paths are printed and hashed.
fn by_name(keys: &[KeyBinding]) -> impl Iterator<Item = &KeyBinding> {
    let mut keys: Vec<&KeyBinding> = keys.iter().collect();
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    keys.into_iter()
}

/// For people: invisible characters are escaped. [`text`](ObjectPath::text) returns the path
/// itself.
impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(&self.text()).fmt(f)
    }
}

fn push_value(text: &mut String, value: &PathValue) {
    let PathValue::Text(value) = value else {
        text.push_str(&value.key_text());
        return;
    };
    text.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
}

impl FromStr for ObjectPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_PATH_CHARS {
            return Err(PathError {
                offset: MAX_PATH_CHARS,
                what: "it is too long",
            });
        }
        Parser { text, at: 0 }.path()
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    const fn fail<T>(&self, what: &'static str) -> Result<T, PathError> {
        Err(PathError {
            offset: self.at,
            what,
        })
    }

    fn skip(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// The text up to the first of these characters or the end.
    fn until(&mut self, ends: &[char]) -> &'t str {
        let (text, _) = self
            .rest()
            .split_at(self.rest().find(ends).unwrap_or(self.rest().len()));
        self.at += text.len();
        text
    }

    fn path(mut self) -> Result<ObjectPath, PathError> {
        let mut server = None;
        if self.skip("\\\\") || self.skip("//") {
            server =
                Some(self.until(&['\\', '/', ':']).to_owned()).filter(|server| !server.is_empty());
            if server.is_none() || !(self.skip("\\") || self.skip("/")) {
                return self.fail("a server and a namespace are expected");
            }
        }
        let namespace = self.namespace(server.is_some())?;
        let class = self.until(&['.', '=', ',', '"', '\\', '/', ':', '@']);
        if class.is_empty() {
            return self.fail("the name of a class is expected");
        }
        let keys = self.keys()?;
        if !self.rest().is_empty() {
            return self.fail("the path should end here");
        }
        Ok(ObjectPath {
            server,
            namespace,
            class: Name::new(class),
            keys,
        })
    }

    /// The namespace: the text before the first colon outside of keys.
    fn namespace(&mut self, required: bool) -> Result<Option<String>, PathError> {
        let before = self
            .rest()
            .split(['.', '=', '"'])
            .next()
            .unwrap_or_default();
        let Some((namespace, _)) = before.split_once(':') else {
            return if required {
                self.fail("a colon is expected after the namespace")
            } else {
                Ok(None)
            };
        };
        let parts: Vec<&str> = namespace.split(['\\', '/']).collect();
        // Clients often write a leading separator.
        let parts = if required {
            &parts[..]
        } else {
            parts.strip_prefix(&[""]).unwrap_or(&parts)
        };
        if parts.iter().any(|part| part.is_empty()) {
            return self.fail("a part of the namespace is empty");
        }
        let joined = parts.join("\\");
        self.at += namespace.len() + 1;
        Ok(Some(joined))
    }

    fn keys(&mut self) -> Result<PathKeys, PathError> {
        if self.skip("=@") {
            return Ok(PathKeys::Singleton);
        }
        if self.skip("=") {
            return Ok(PathKeys::Keys(vec![KeyBinding {
                name: None,
                value: self.value()?,
            }]));
        }
        if !self.skip(".") {
            return Ok(PathKeys::Class);
        }
        let mut keys = Vec::new();
        loop {
            let name = self.until(&['=', ',', '"', '.', ':', '\\', '/']);
            if name.is_empty() || !self.skip("=") {
                return self.fail("the name of a key and = are expected");
            }
            keys.push(KeyBinding {
                name: Some(Name::new(name)),
                value: self.value()?,
            });
            if !self.skip(",") {
                keys.sort_by(|a, b| a.name.cmp(&b.name));
                return Ok(PathKeys::Keys(keys));
            }
        }
    }

    fn value(&mut self) -> Result<PathValue, PathError> {
        if self.skip("\"") {
            return self.quoted('"').map(PathValue::Text);
        }
        if self.skip("'") {
            return self.quoted('\'').map(PathValue::Text);
        }
        let start = self.at;
        let bare = self.until(&[',']);
        let value = match bare {
            _ if bare.eq_ignore_ascii_case("true") => Some(PathValue::Boolean(true)),
            _ if bare.eq_ignore_ascii_case("false") => Some(PathValue::Boolean(false)),
            _ => integer(bare).map(PathValue::Integer),
        };
        value.ok_or(PathError {
            offset: start,
            what: "a text in quotes, a number, TRUE or FALSE is expected",
        })
    }

    fn quoted(&mut self, quote: char) -> Result<String, PathError> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((offset, c)) = chars.next() {
            if c == quote {
                self.at += offset + 1;
                return Ok(text);
            }
            match c {
                '\\' => text.extend(chars.next().map(|(_, c)| c)),
                c => text.push(c),
            }
        }
        self.at = self.text.len();
        self.fail("the closing quote is missing")
    }
}

/// Parses a decimal number, or a hexadecimal one after `0x`.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = text
        .strip_prefix('-')
        .map_or((false, text), |digits| (true, digits));
    let hexadecimal = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let digits_only =
        |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    let value = match hexadecimal {
        Some(digits) => u64::from_str_radix(digits, 16)
            .ok()
            .filter(|_| digits_only(digits, 16))?,
        None => digits
            .parse::<u64>()
            .ok()
            .filter(|_| digits_only(digits, 10))?,
    };
    Some(if negative {
        -i128::from(value)
    } else {
        value.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written() {
        for text in [
            "Class",
            r#"root\cimv2:Class.Key="v",Key2=1"#,
            r"root\cimv2:Class=@",
            r#"\\SERVER\ROOT\cimv2:C="a\"b\\c""#,
            r#"\\.\root:C.A=-5,B=TRUE,C="\\\\.\\root\\x:D.N=\"n\"""#,
            "C=7",
            r#"C.A="",B="=,.:@""#,
        ] {
            let path: ObjectPath = text.parse().unwrap();
            assert_eq!(path.text(), text);
            assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn keys_are_printed_in_order_of_their_names() {
        for (text, printed) in [
            (
                r#"C.Filter="f",Consumer="c""#,
                r#"C.Consumer="c",Filter="f""#,
            ),
            ("C.b=2,A=1,a_=3,a1=4", "C.A=1,a1=4,a_=3,b=2"),
        ] {
            let path: ObjectPath = text.parse().unwrap();
            assert_eq!(path.text(), printed);
        }
    }

    #[test]
    fn other_spellings_mean_the_same() {
        let same = |a: &str, b: &str| {
            assert_eq!(
                a.parse::<ObjectPath>().unwrap(),
                b.parse().unwrap(),
                "{a} {b}"
            )
        };
        same(r"\root\cimv2:c=@", r"root\cimv2:C=@");
        same("//server/root/cimv2:C", r"\\server\root\cimv2:C");
        same("C.K='x',L=0x10,M=true", r#"C.K="x",L=16,M=TRUE"#);
    }

    #[test]
    fn a_path_for_people_shows_what_it_holds() {
        let path: ObjectPath = "ro\u{1b}ot:C\n.K=\"\u{202e}\"".parse().unwrap();
        assert_eq!(path.text(), "ro\u{1b}ot:C\n.K=\"\u{202e}\"");
        assert_eq!(path.to_string(), r#"ro\u{1b}ot:C\u{a}.K="\u{202e}""#);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "",
            ":",
            ".",
            "=",
            "C.",
            "C.K",
            "C.K=",
            "C.K=\"",
            "C.K=\"x\"y",
            "C=1,2",
            "C.K=1,",
            "C=@x",
            "a::C",
            r"\\s",
            r"\\s\",
            r"\\s\C",
            r"\\:C",
            r"a\\b:C",
            "C.=1",
            "C=+1",
            "C=0x",
            "C=1.5",
            "C=99999999999999999999",
            "a:b:C",
            "\\C",
        ] {
            assert!(text.parse::<ObjectPath>().is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_equal_in_whatever_order_their_keys_stand() {
        let read = |text: &str| text.parse::<ObjectPath>().unwrap();
        assert_eq!(read("C.B=1,A='x'"), read("C.A=\"x\",B=1"));
        assert_ne!(read("C.B=1,A='x'"), read("C.A=1,B='x'"));
    }

    #[test]
    fn key_texts_are_sorted_by_name() {
        let path: ObjectPath = r#"C.b="2",A=1,a_="3""#.parse().unwrap();
        assert_eq!(path.key_text().unwrap(), "1\u{FFFF}3\u{FFFF}2");
        assert_eq!(
            "C=@".parse::<ObjectPath>().unwrap().key_text().unwrap(),
            "@"
        );
        assert_eq!("C".parse::<ObjectPath>().unwrap().key_text(), None);
    }
}
