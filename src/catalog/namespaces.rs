//! The tree of namespaces. Each lies as an instance of `__NAMESPACE` in the one above it.

use super::Catalog;
use crate::base::corruption::CorruptionCode;
use crate::base::error::{Error, Result};
use crate::base::limits::MAX_PATH_CHARS;
use crate::cim::name;
use crate::format::record_reader::BadRecord;

/// The namespace that all others lie below.
pub const ROOT: &str = "ROOT";

/// The class of namespaces.
pub(crate) const NAMESPACE_CLASS: &str = "__NAMESPACE";

impl Catalog {
    /// Whether there is a namespace with this path, and so each above it.
    ///
    /// # Errors
    /// As [`class`](Self::class).
    pub fn has_namespace(&self, namespace: &str) -> Result<bool> {
        let mut path = namespace;
        while let Some((parent, name)) = path.rsplit_once('\\') {
            if self.record_of(&self.keys.keyed_instance(parent, NAMESPACE_CLASS, name))?.is_none() {
                return Ok(false);
            }
            path = parent;
        }
        Ok(name::same(path, ROOT))
    }

    /// The paths of the namespaces directly below another, by name. One that cannot be read is an error among them.
    pub fn child_namespaces(&self, namespace: &str) -> Vec<Result<String>> {
        let mut children: Vec<Result<String>> = self
            .instances(namespace, NAMESPACE_CLASS)
            .map(|child| {
                let child = child?;
                let name = child.instance.get("Name").and_then(|name| name.as_text()).unwrap_or_default();
                let path = format!(r"{namespace}\{name}");
                let usable = !name.is_empty() && !name.contains(['\\', '/', ':', '\0']) && path.len() <= MAX_PATH_CHARS;
                let bad = BadRecord { offset: 0, what: "the name of the namespace is none" };
                usable
                    .then_some(path)
                    .ok_or_else(|| -> Error { self.bad(CorruptionCode::RecordInstance, child.record, bad) })
            })
            .collect();
        children.sort_by(|a, b| match (a, b) {
            (Ok(a), Ok(b)) => name::order(a, b),
            (a, b) => b.is_ok().cmp(&a.is_ok()),
        });
        children
    }

    /// The paths of all namespaces: `ROOT`, and below each its children by name. One that cannot be read is an error
    /// among them. The system classes lie in none of them.
    pub fn namespaces(&self) -> Vec<Result<String>> {
        self.tree(ROOT)
    }

    /// The paths of a namespace and all below it.
    ///
    /// # Errors
    /// That of the first that cannot be read.
    pub(crate) fn namespaces_below(&self, namespace: &str) -> Result<Vec<String>> {
        self.tree(namespace).into_iter().collect()
    }

    fn tree(&self, top: &str) -> Vec<Result<String>> {
        let mut found = Vec::new();
        let mut ahead = vec![Ok(top.to_owned())];
        while let Some(next) = ahead.pop() {
            if let Ok(namespace) = &next {
                ahead.extend(self.child_namespaces(namespace).into_iter().rev());
            }
            found.push(next);
        }
        found
    }
}
