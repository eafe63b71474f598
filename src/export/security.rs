//! Descriptors of namespaces, in the words that MOF has for them.

use super::{Export, Sink};
use crate::base::error::Result as EngineResult;
use crate::catalog::ROOT;
use crate::cim::instance::Instance;
use crate::cim::name::same;
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
        let name = instance
            .get("Name")
            .and_then(|name| name.as_text())
            .unwrap_or_default();
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

    fn descriptor(&self, parent: &str, child: &str) -> EngineResult<Descriptor> {
        let (Some(own), _) = self.catalog.security_parts(child)? else {
            return Ok(Descriptor::Unsaid);
        };
        let (Some(above), _) = self.catalog.security_parts(parent)? else {
            return Ok(Descriptor::Unsaid);
        };
        if is_alike(&own, &inheritance::of_new_namespace(&above)?) {
            return Ok(Descriptor::Inherited);
        }
        let Some(text) = sddl::print(&own) else {
            return Ok(Descriptor::Unsaid);
        };
        let again = sddl::of_namespace(&text, Some(&above));
        Ok(match again.is_ok_and(|again| is_alike(&own, &again)) {
            true => Descriptor::Said(text),
            false => Descriptor::Unsaid,
        })
    }

    /// Nothing in MOF gives ROOT a descriptor.
    pub(super) fn check_root(&mut self, namespace: &str) -> Result<(), S::Error> {
        if !same(namespace, ROOT) {
            return Ok(());
        }
        match self.catalog.security_parts(ROOT) {
            Ok((Some(own), _)) if is_alike(&own, &defaults::of_root()) => Ok(()),
            Ok(_) => self.sink.unsaid(ROOT, &unsaid()),
            Err(error) => self.sink.lost(ROOT, &error),
        }
    }
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
