//! References to an instance.

use super::Catalog;
use super::classes::Place;
use super::instances::StoredInstance;
use super::keys::key_class_name;
use crate::base::corruption::CorruptionCode;
use crate::base::error::Result;
use crate::base::page_no::RecordRef;
use crate::cim::path::ObjectPath;
use crate::format::record::reference_record::{ReferenceRecord, ReferenceRecordView};

/// An instance that refers to another, as stated in the record of the reference.
#[derive(Debug, Clone)]
pub struct Referrer {
    /// Its namespace, class, property and key.
    pub reference: ReferenceRecord,
    /// The record of the reference.
    pub record: RecordRef,
}

impl Catalog {
    /// The references to the instance that a path denotes, whether or not it exists. One that
    /// cannot be read yields an error, and the others follow.
    ///
    /// # Errors
    /// The errors of [`instance`](Self::instance).
    pub fn referrers(
        &self,
        namespace: &str,
        path: &ObjectPath,
    ) -> Result<impl Iterator<Item = Result<Referrer>> + use<>> {
        let namespace = path.namespace.as_deref().unwrap_or(namespace);
        let target = match self.class(namespace, path.class.as_str())? {
            Some(class) => Some((key_class_name(&class.class), class.class.key_text_of(path)?)),
            // References to instances of a missing class have keys too, with the class in their
            // paths.
            None => path
                .key_text()
                .map(|key_text| (path.class.clone(), key_text)),
        };
        let found = target.map(|(key_class, key_text)| {
            self.referrers_of(namespace, key_class.as_str(), &key_text)
        });
        Ok(found.into_iter().flatten())
    }

    /// The references to the instance whose key has this text; `key_class` declares its keys.
    pub(crate) fn referrers_of(
        &self,
        namespace: &str,
        key_class: &str,
        key_text: &str,
    ) -> impl Iterator<Item = Result<Referrer>> + use<> {
        let catalog = self.clone();
        let referrer = move |key: Result<crate::format::index::key::Key>| {
            let record = match key {
                Ok(key) => key.reference()?,
                Err(error) => return Some(Err(error)),
            };
            Some(
                catalog
                    .read_reference(record)
                    .map(|reference| Referrer { reference, record }),
            )
        };
        self.scan(&self.keys.references(namespace, key_class, key_text))
            .filter_map(referrer)
    }

    /// The instance that makes a reference; `None` if it does not exist.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class).
    pub fn referring_instance(&self, referrer: &ReferenceRecord) -> Result<Option<StoredInstance>> {
        let key = referrer.key.strip_prefix('\\').unwrap_or(&referrer.key);
        match self.record_of(key)? {
            Some(record) => {
                self.read_instance(Place::new(self, &referrer.namespace), record, None, None)
            }
            None => Ok(None),
        }
    }

    fn read_reference(&self, record: RecordRef) -> Result<ReferenceRecord> {
        let bytes = self.snapshot.record_view(record)?;
        let reference = ReferenceRecordView::parse(&bytes).and_then(|view| view.to_reference());
        reference.map_err(|bad| self.bad(CorruptionCode::RecordReference, record, bad))
    }
}
