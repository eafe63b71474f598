//! ISA of embedded objects.

use crate::base::error::{Error, Result};
use crate::catalog::Catalog;
use crate::cim::name::{Name, same};
use crate::cim::value::Object;

/// True if an embedded object is of a class or of one derived from it: as the object itself says,
/// or else its class in the namespace. What cannot be read there says nothing.
///
/// # Errors
/// [`Error::Io`], [`Error::Cancelled`].
pub(super) fn is_a(
    catalog: &Catalog,
    namespace: &str,
    object: &Object,
    class: &Name,
) -> Result<bool> {
    let own = match object {
        Object::Instance(instance) if instance.class().is_a(class.as_str()) => return Ok(true),
        Object::Instance(instance) => instance.class().name(),
        Object::Class(declared) => {
            let above = declared.superclass.as_ref();
            if [Some(&declared.name), above]
                .into_iter()
                .flatten()
                .any(|name| same(name.as_str(), class.as_str()))
            {
                return Ok(true);
            }
            &declared.name
        }
        Object::Opaque(_) => return Ok(false),
    };
    match catalog.class(namespace, own.as_str()) {
        Ok(found) => Ok(found.is_some_and(|found| found.class.is_a(class.as_str()))),
        Err(Error::Corrupt(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
