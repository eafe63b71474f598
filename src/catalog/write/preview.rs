//! Effects of a deletion, counted before anything is deleted.

use super::{Changes, rules};
use crate::base::error::{Error, Result};
use crate::base::rule::Rule;
use crate::cim::path::ObjectPath;

/// The objects that a deletion removes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Deletion {
    /// Paths of the namespaces, the one deleted first.
    pub namespaces: Vec<String>,
    /// Names of the classes, the deleted one first. For a namespace they are only counted.
    pub classes: Vec<String>,
    /// Number of classes, named or not.
    pub class_count: u64,
    /// Number of instances.
    pub instances: u64,
    /// Number of references to deleted instances. They stay and dangle afterwards.
    pub referrers: u64,
}

impl Changes<'_, '_> {
    pub(crate) fn deletion_of_namespace(&mut self, namespace: &str) -> Result<Deletion> {
        self.need_namespace(namespace)?;
        let catalog = self.now();
        let mut deletion = Deletion {
            namespaces: catalog.namespaces_below(namespace)?,
            ..Deletion::default()
        };
        for namespace in &deletion.namespaces {
            let usage = catalog.usage_of(namespace)?;
            deletion.class_count += usage.classes.count;
            deletion.instances += usage.instances.count;
        }
        // The instance in the parent that represents the namespace.
        deletion.instances += 1;
        Ok(deletion)
    }

    pub(crate) fn deletion_of_class(&mut self, namespace: &str, class: &str) -> Result<Deletion> {
        self.need_namespace(namespace)?;
        let Some(found) = self.class(namespace, class)? else {
            let text = format!("there is no class {class} in {namespace}");
            return Err(Error::rule(Rule::NotFound, text));
        };
        rules::may_delete_class(&found)?;
        let catalog = self.now();
        let mut deletion = Deletion::default();
        deletion
            .classes
            .push(found.class.name().as_str().to_owned());
        for derived in catalog.derived_classes(namespace, class) {
            deletion
                .classes
                .push(derived?.class.name().as_str().to_owned());
        }
        deletion.class_count = deletion.classes.len() as u64;
        for class in &deletion.classes {
            deletion.instances += self.instance_keys(namespace, class)?.len() as u64;
        }
        Ok(deletion)
    }

    pub(crate) fn deletion_of_instance(
        &mut self,
        namespace: &str,
        path: &ObjectPath,
    ) -> Result<Deletion> {
        let namespace = path.namespace.as_deref().unwrap_or(namespace);
        let doomed = self.found(namespace, path)?;
        if let Some(doomed) = doomed.namespace_in(namespace) {
            return self.deletion_of_namespace(&doomed);
        }
        let referrers = self.now().referrers(namespace, path)?.count() as u64;
        Ok(Deletion {
            instances: 1,
            referrers,
            ..Deletion::default()
        })
    }
}
