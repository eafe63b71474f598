//! Access rights of a namespace, as stored.

use super::Catalog;
use crate::base::error::{Error, Result};
use crate::base::rule::Rule;
use crate::cim::path::{ObjectPath, PathKeys};
use crate::cim::value::{Array, Value};
use crate::format::security::descriptor::SecurityDescriptor;
use crate::security::NamespaceSecurity;

/// The stored access rights of a namespace.
#[derive(Debug, Clone)]
pub struct StoredSecurity {
    /// Its path.
    pub namespace: String,
    /// Its descriptor: `__thisNAMESPACE.SECURITY_DESCRIPTOR`.
    pub descriptor: SecurityDescriptor,
    /// True if its `__SystemSecurity` has the qualifier `RequiresEncryption`.
    pub requires_encryption: bool,
}

impl StoredSecurity {
    /// The form in which access rights can be checked.
    pub fn as_security(&self) -> NamespaceSecurity<'_> {
        let requires_encryption = self.requires_encryption;
        NamespaceSecurity {
            path: &self.namespace,
            descriptor: &self.descriptor,
            requires_encryption,
        }
    }
}

impl Catalog {
    /// The stored access rights of a namespace.
    ///
    /// # Errors
    /// Returns [`Error::Rule`] if there is no such namespace, and [`Error::InvalidObject`] if it
    /// has no descriptor or a damaged one, since no caller can be granted a right then. Otherwise
    /// returns the errors of [`class`](Self::class).
    pub fn security_of(&self, namespace: &str) -> Result<StoredSecurity> {
        if !self.has_namespace(namespace)? {
            return Err(Error::rule(
                Rule::InvalidNamespace,
                format!("there is no namespace {namespace}"),
            ));
        }
        let (descriptor, requires_encryption) = self.security_parts(namespace)?;
        let missing =
            || Error::InvalidObject(format!("the descriptor of {namespace} is missing").into());
        let descriptor = descriptor.ok_or_else(missing)?;
        Ok(StoredSecurity {
            namespace: namespace.to_owned(),
            descriptor,
            requires_encryption,
        })
    }

    /// The descriptor of a namespace, if it has one, and whether it requires encryption.
    pub(crate) fn security_parts(
        &self,
        namespace: &str,
    ) -> Result<(Option<SecurityDescriptor>, bool)> {
        let singleton = |class: &str| ObjectPath {
            keys: PathKeys::Singleton,
            ..ObjectPath::of_class(class)
        };
        let damaged = |what: String| {
            Error::InvalidObject(format!("the descriptor of {namespace} {what}").into())
        };
        let holder = self.instance(namespace, &singleton("__thisNAMESPACE"))?;
        let descriptor = match holder
            .as_ref()
            .and_then(|holder| holder.instance.get("SECURITY_DESCRIPTOR").ok().flatten())
        {
            Some(Value::Array(Array::Uint8(bytes))) => Some(SecurityDescriptor::parse(bytes)),
            Some(_) => return Err(damaged("is not an array of bytes".to_owned())),
            None => None,
        };
        let descriptor = descriptor
            .transpose()
            .map_err(|fault| damaged(format!("is damaged: {fault}")))?;
        let methods = self.instance(namespace, &singleton("__SystemSecurity"))?;
        let requires_encryption =
            methods.is_some_and(|found| found.instance.qualifiers.is_true("RequiresEncryption"));
        Ok((descriptor, requires_encryption))
    }
}
