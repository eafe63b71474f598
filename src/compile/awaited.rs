//! Classes of embedded objects that an exact compile did not find. A printed repository is in the
//! order of names, so that a class may stand after its first use; and real repositories have
//! properties and parameters of classes that are nowhere. Source: `docs::mof`, "Export".

use std::collections::BTreeMap;

use super::code as store;
use super::compiler::Compiler;
use crate::base::error::Result;
use crate::catalog::CatalogWriter;
use crate::cim::name;
use crate::text::diagnostic::Place;

/// The classes that are looked for again at the end of a text: spelling and place of their first
/// use.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    classes: BTreeMap<(String, String), (String, Place)>,
}

impl Awaited {
    pub(super) fn add(&mut self, namespace: &str, class: &str, place: Place) {
        let key = (name::to_upper(namespace), name::to_upper(class));
        self.classes
            .entry(key)
            .or_insert_with(|| (class.to_owned(), place));
    }
}

impl Compiler<'_, '_> {
    /// Warns of the classes that were awaited and did not come.
    pub(super) fn check_awaited(&mut self, writer: &mut CatalogWriter<'_>) -> Result<()> {
        for ((namespace, key), (class, place)) in std::mem::take(&mut self.awaited.classes) {
            let is_there =
                writer.has_namespace(&namespace)? && writer.class(&namespace, &key)?.is_some();
            if !is_there {
                let text = format!("there is no class {class} in {namespace}");
                self.warn(store::INVALID_CLASS, place, text);
            }
        }
        Ok(())
    }
}
