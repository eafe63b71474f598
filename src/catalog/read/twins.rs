//! The two keys of an instance: one under its own class, one under the class that declares its
//! keys. If a page of the index cannot be read, an instance that lost one key is found by the
//! other.

use std::collections::HashSet;

use super::classes::Place;
use super::run::Keys;
use super::{Catalog, NAMESPACE_CLASS};
use crate::base::error::{Error, Result};
use crate::base::page_no::RecordRef;
use crate::format::index::key::Key;
use crate::format::index::object_key::KeyShape;
use crate::format::name_hash::NameHash;
use crate::format::record::instance_record::InstanceRecordView;

/// The keys of instances under their own classes. Those on unreadable pages come last,
/// reconstructed from the other key and the record.
#[derive(Debug)]
pub(super) struct OwnKeys {
    catalog: Catalog,
    place: Place,
    /// Restricts the keys to instances of exactly the class whose name has this hash.
    class: Option<NameHash>,
    own: Keys,
    is_torn: bool,
    /// The keys under the classes that declare keys, once they are needed.
    keyed: Option<Keys>,
    /// Records whose class has been examined, since many keys may name one record.
    met: HashSet<RecordRef>,
}

impl Iterator for OwnKeys {
    type Item = Result<Key>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(key) = self.own.next() {
            self.is_torn |= matches!(key, Err(Error::Corrupt(_)));
            return Some(key);
        }
        if !self.is_torn {
            return None;
        }
        let scan = || self.catalog.scan(&format!(r"NS_{}\KI_", self.place.hash));
        let keyed = self.keyed.get_or_insert_with(scan);
        loop {
            match keyed.next()? {
                Ok(key) => {
                    let record = key.reference().filter(|record| self.met.insert(*record));
                    let lost =
                        record.and_then(|record| self.catalog.lost_twin(self.place, &key, record));
                    if let Some((_, own)) =
                        lost.filter(|(class, _)| self.class.is_none_or(|wanted| wanted == *class))
                    {
                        return Some(Ok(own));
                    }
                }
                // Damage among the second keys hides none of the first.
                Err(Error::Corrupt(_)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Catalog {
    /// The keys of the instances of a namespace, or of exactly this class there, under their own
    /// classes.
    pub(super) fn own_keys(&self, place: Place, class: Option<NameHash>) -> OwnKeys {
        let own = match class {
            Some(class) => self.scan(&format!(r"NS_{}\CI_{class}\IL_", place.hash)),
            None => self.scan(&format!(r"NS_{}\CI_", place.hash)),
        };
        let (catalog, met) = (self.clone(), HashSet::new());
        OwnKeys {
            catalog,
            place,
            class,
            own,
            is_torn: false,
            keyed: None,
            met,
        }
    }

    /// The class and the own key of an instance, given its key under the class that declares its
    /// keys, if the own key may have been on an unreadable page.
    fn lost_twin(&self, place: Place, keyed: &Key, record: RecordRef) -> Option<(NameHash, Key)> {
        let Some((_, KeyShape::KeyedInstance(_, instance))) = KeyShape::parse(keyed.as_bytes())
        else {
            return None;
        };
        let bytes = self.snapshot.record_view(record).ok()?;
        let class = InstanceRecordView::parse(&bytes, self.dialect())
            .ok()?
            .class_hash()
            .ok()?;
        let own = format!(r"NS_{}\CI_{class}\IL_{instance}.{record}", place.hash);
        match self.snapshot.contains_key(own.as_bytes()) {
            Err(Error::Corrupt(_)) => Some((class, Key::new(own.into_bytes()))),
            _ => None,
        }
    }

    /// The record of the instance of `__NAMESPACE` that names a namespace, found by either of its
    /// keys.
    ///
    /// # Errors
    /// The errors of [`class`](Self::class).
    pub(super) fn namespace_record(&self, parent: &str, name: &str) -> Result<Option<RecordRef>> {
        let keyed = self.record_of(&self.keys.keyed_instance(parent, NAMESPACE_CLASS, name));
        self.or_by_own_key(keyed, parent, NAMESPACE_CLASS, name)
    }

    /// Returns the result of a look-up under the class that declares the keys. If that fails, looks
    /// under the own key of an instance of exactly this class.
    ///
    /// # Errors
    /// The error of the first look-up if the second finds nothing.
    pub(super) fn or_by_own_key(
        &self,
        keyed: Result<Option<RecordRef>>,
        namespace: &str,
        class: &str,
        key_text: &str,
    ) -> Result<Option<RecordRef>> {
        match keyed {
            Err(Error::Corrupt(damage)) => {
                match self.record_of(&self.keys.instance(namespace, class, key_text)) {
                    Ok(Some(record)) => Ok(Some(record)),
                    Ok(None) | Err(Error::Corrupt(_)) => Err(Error::Corrupt(damage)),
                    Err(error) => Err(error),
                }
            }
            found => found,
        }
    }
}
