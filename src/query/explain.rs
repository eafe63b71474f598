//! The plan of a query, without running it.

use std::fmt::{self, Display};

use super::filter::Filter;
use super::notes::{Note, Notes};
use super::options::QueryOptions;
use super::rows::{Prepared, known_namespace, namespaces, read};
use crate::base::error::{Error, Result};
use crate::base::escape::{escape, guard};
use crate::catalog::Catalog;
use crate::cim::name::Name;
use crate::format::index::object_key::ObjectKeys;
use crate::format::name_hash::NameHash;

/// Keys that are counted for an estimate.
pub(super) const MAX_COUNTED: u64 = 10_000;

/// Access paths that are listed for people.
const LISTED: usize = 20;

/// The plan of a query in one namespace.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// `data`, `schema`, `association` or `class association`.
    pub kind: &'static str,
    /// The namespace.
    pub namespace: String,
    /// The class that is asked.
    pub class: String,
    /// True if the class lies among the system classes.
    pub is_system_class: bool,
    /// Access paths, in the order in which they are read; nothing when no stored object can fulfil
    /// the condition.
    pub access: Vec<AccessPath>,
    /// The condition, as it is evaluated on what is read.
    pub condition: Option<String>,
    /// Keys that are read at most, as far as that was counted.
    pub keys: u64,
    /// True if there may be more keys than were counted.
    pub are_more_keys: bool,
    /// The class and those derived from it; 0 where that plays no part.
    pub classes: u64,
    /// Those among them whose instances a provider computes.
    pub dynamic_classes: u64,
    /// Notes on objects that the answer would leave out.
    pub notes: Vec<Note>,
}

/// One thing that is read: a key or all keys with a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPath {
    /// `look-up`, `range`, `names`, `subclass tree` or `referrers`.
    pub how: &'static str,
    /// The key with names in place of hashes.
    pub names: String,
    /// The key, or the prefix of the keys, as the index has it.
    pub key: String,
}

impl AccessPath {
    pub(super) fn key(keys: &ObjectKeys, namespace: &str, key_class: &str, text: &str) -> Self {
        let shown: String = text
            .chars()
            .map(|c| if c == '\u{FFFF}' { ',' } else { c })
            .collect();
        let names = format!(r#"NS({namespace})\KI({key_class})\I("{shown}")"#);
        Self {
            how: "look-up",
            names,
            key: keys.keyed_instance(namespace, key_class, text),
        }
    }

    /// The range of a class: `C` for its own instances, `K` for those whose keys it declares.
    pub(super) fn range(
        how: &'static str,
        names: String,
        keys: &ObjectKeys,
        namespace: &str,
        of: char,
        class: &NameHash,
    ) -> Self {
        let namespace = keys.namespace(namespace);
        let key = match of {
            'C' => format!(r"{namespace}CI_{class}\IL_"),
            _ => format!(r"{namespace}KI_{class}\I_"),
        };
        Self { how, names, key }
    }

    pub(super) fn all(names: String, keys: &ObjectKeys, namespace: &str) -> Self {
        Self {
            how: "range",
            names,
            key: format!("{}CI_", keys.namespace(namespace)),
        }
    }

    pub(super) fn class(keys: &ObjectKeys, namespace: &str, class: &str) -> Self {
        let names = format!(r"NS({namespace})\CD({class})");
        Self {
            how: "look-up",
            names,
            key: keys.class(namespace, class),
        }
    }

    pub(super) fn classes(keys: &ObjectKeys, namespace: &str, how: &'static str) -> Self {
        let names = format!(r"NS({namespace})\CD_*, and the system's");
        Self {
            how,
            names,
            key: format!("{}CD_", keys.namespace(namespace)),
        }
    }

    pub(super) fn below(
        keys: &ObjectKeys,
        namespace: &str,
        parent: Option<&Name>,
        how: &'static str,
    ) -> Self {
        let name = parent.map_or("", Name::as_str);
        let names = format!(r"NS({namespace})\CR({name})\C_*, and the system's");
        Self {
            how,
            names,
            key: keys.subclasses(namespace, parent.map(Name::as_str)),
        }
    }
}

/// A condition as text. Like the tree that it was made from, it is bounded in depth.
pub(super) fn condition_text(filter: &Filter) -> String {
    let joined = |parts: &[Filter], between: &str| {
        let parts: Vec<String> = parts.iter().map(condition_text).collect();
        format!("({})", parts.join(between))
    };
    match filter {
        Filter::Term(term) => term.text.clone(),
        Filter::Not(inner) => format!("NOT {}", condition_text(inner)),
        Filter::All(parts) => joined(parts, " AND "),
        Filter::Any(parts) => joined(parts, " OR "),
    }
}

/// Says what a query would do, in each namespace that it would be run in; runs nothing.
///
/// # Errors
/// As [`run`](super::run).
pub fn explain(
    catalog: &Catalog,
    namespace: &str,
    text: &str,
    options: &QueryOptions,
) -> Result<Vec<Explanation>> {
    let query = read(text, options)?;
    let namespace = known_namespace(catalog, namespace)?;
    let (mut found, mut refused) = (Vec::new(), None);
    for namespace in namespaces(catalog, &namespace, options)? {
        let namespace = namespace?;
        if !options.may_read(&namespace)? {
            continue;
        }
        let mut notes = Notes::default();
        let prepared = Prepared::new(catalog, &namespace, &query, options, &mut notes);
        match prepared {
            Ok(Prepared::Data(data)) => found.push(data.explain(&notes)?),
            Ok(Prepared::Schema(schema)) => found.push(schema.explain(&notes)?),
            Ok(Prepared::Assoc(assoc)) => found.push(assoc.explain(&notes)),
            Ok(Prepared::ClassAssoc(assoc)) => found.push(assoc.explain()),
            Err(error @ Error::Query(_)) => refused = refused.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match (found.is_empty(), refused) {
        (true, Some(error)) => Err(error),
        _ => Ok(found),
    }
}

impl Explanation {
    pub(super) fn known_keys(&self) -> Option<u64> {
        (!self.are_more_keys).then_some(self.keys)
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} query on {}:{}",
            self.kind,
            escape(&self.namespace),
            escape(&self.class)
        )?;
        let place = if self.is_system_class {
            "system class"
        } else {
            ""
        };
        let below = match self.classes {
            0 => String::new(),
            1 => "no subclasses here".to_owned(),
            2 => "1 class below".to_owned(),
            more => format!("{} classes below", more - 1),
        };
        match (place, below.as_str()) {
            ("", "") => {}
            ("", one) | (one, "") => write!(f, " ({one})")?,
            (place, below) => write!(f, " ({place}, {below})")?,
        }
        if self.access.is_empty() {
            write!(
                f,
                "\n  access   nothing: no stored object can fulfil the condition"
            )?;
        }
        for path in self.access.iter().take(LISTED) {
            write!(f, "\n  access   {:<8} {}", path.how, escape(&path.names))?;
        }
        if self.access.len() > LISTED {
            write!(f, "\n  access   … and {} more", self.access.len() - LISTED)?;
        }
        if let Some(condition) = &self.condition {
            let condition = condition
                .strip_prefix('(')
                .and_then(|inner| inner.strip_suffix(')'))
                .unwrap_or(condition);
            write!(f, "\n  then     {}", escape(condition))?;
        }
        if let Some(keys) = self.known_keys() {
            let noun = if keys == 1 { "key" } else { "keys" };
            write!(f, "\n  reads    at most {keys} {noun}")?;
        } else if self.keys > 0 {
            write!(
                f,
                "\n  reads    more than {} keys",
                self.keys.saturating_sub(1)
            )?;
        }
        if self.dynamic_classes > 0 {
            write!(f, "\n  dynamic  {}", self.dynamic_classes)?;
        }
        for note in &self.notes {
            write!(f, "\n  note     {}", guard(note))?;
        }
        Ok(())
    }
}
