//! Descriptors of namespaces, in the words that MOF has for them.

use super::{Export, Sink};
use crate::base::error::Result as EngineResult;
use crate::catalog::ROOT;
use crate::cim::instance::Instance;
use crate::cim::name::{same, to_upper};
use crate::cim::qualifier::{Flavor, Qualifier};
use crate::format::security::descriptor::SecurityDescriptor;
use crate::security::{defaults, inheritance, sddl};
use crate::text::mof::{Unsaid, UnsaidKind};

/// The qualifier of an instance of `__NAMESPACE` that gives the namespace its descriptor.
const QUALIFIER: &str = "NamespaceSecuritySDDL";

/// How the descriptor of a namespace comes back.
enum Descriptor {
    /// By itself: it is what a new namespace gets.
    Inherited,
    /// By this text.
    Said(String),
    /// Not at all.
    Unsaid,
}

impl<S: Sink> Export<'_, S> {
    /// Gives an instance of `__NAMESPACE` the text of the namespace's descriptor where it needs
    /// one.
    pub(super) fn secure(
        &mut self,
        parent: &str,
        path: &str,
        instance: &mut Instance,
    ) -> Result<(), S::Error> {
        let name = instance.text("Name").unwrap_or_default();
        let found = self.descriptor(parent, &format!(r"{parent}\{name}"));
        match found {
            Ok(Descriptor::Inherited) => Ok(()),
            Ok(Descriptor::Said(text)) => {
                instance
                    .qualifiers
                    .set(Qualifier::new(QUALIFIER, text, Flavor::empty()));
                Ok(())
            }
            Ok(Descriptor::Unsaid) => self.sink.unsaid(path, &unsaid()),
            Err(error) => self.sink.lost(path, &error),
        }
    }

    fn descriptor(&mut self, parent: &str, child: &str) -> EngineResult<Descriptor> {
        let Some(above) = self.above(parent)? else {
            return Ok(Descriptor::Unsaid);
        };
        let inherited = inheritance::of_new_namespace(&above)?;
        let own = self.catalog.security_parts(child)?.0;
        let (given, found) = match own {
            Some(own) if is_alike(&own, &inherited) => (inherited, Descriptor::Inherited),
            Some(own) => match said(&own, &above) {
                Some(text) => (own, Descriptor::Said(text)),
                None => (inherited, Descriptor::Unsaid),
            },
            None => (inherited, Descriptor::Unsaid),
        };
        self.descriptors.insert(to_upper(child), given);
        Ok(found)
    }

    /// The descriptor that a compile gives to a namespace: its own where it can be said, else what
    /// it inherits. Of one that is not printed, the stored one.
    fn above(&self, namespace: &str) -> EngineResult<Option<SecurityDescriptor>> {
        match self.descriptors.get(&to_upper(namespace)) {
            Some(given) => Ok(Some(given.clone())),
            None => Ok(self.catalog.security_parts(namespace)?.0),
        }
    }

    /// Nothing in MOF gives ROOT a descriptor.
    pub(super) fn check_root(&mut self, namespace: &str) -> Result<(), S::Error> {
        if !same(namespace, ROOT) {
            return Ok(());
        }
        let given = defaults::of_root();
        self.descriptors.insert(to_upper(ROOT), given.clone());
        match self.catalog.security_parts(ROOT) {
            Ok((Some(own), _)) if is_alike(&own, &given) => Ok(()),
            Ok(_) => self.sink.unsaid(ROOT, &unsaid()),
            Err(error) => self.sink.lost(ROOT, &error),
        }
    }
}

/// The text from which a compile makes this descriptor.
fn said(own: &SecurityDescriptor, above: &SecurityDescriptor) -> Option<String> {
    let text = sddl::print(own)?;
    let again = sddl::of_namespace(&text, Some(above)).ok()?;
    is_alike(own, &again).then_some(text)
}

fn unsaid() -> Unsaid {
    Unsaid {
        member: String::new(),
        what: UnsaidKind::Descriptor,
    }
}

/// True if two descriptors say the same; how their lists are padded does not count.
fn is_alike(a: &SecurityDescriptor, b: &SecurityDescriptor) -> bool {
    a == b || sddl::print(a).is_some_and(|text| sddl::print(b) == Some(text))
}
