//! An instance lies under two keys: that of its own class and that of the class which declares its
//! keys. Where a page of the index cannot be read, an instance that lost the one key is found by
//! the other.

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

/// The keys of instances under their own classes. Those that lay on pages that cannot be read come
/// last, put together again from the other key and the record.
#[derive(Debug)]
pub(super) struct OwnKeys {
    catalog: Catalog,
    place: Place,
    /// Only instances of exactly the class whose name has this hash.
    class: Option<NameHash>,
    own: Keys,
    is_torn: bool,
    /// The keys under the classes that declare keys, once they are wanted.
    keyed: Option<Keys>,
    /// Records that were looked at for their class: many keys may name one.
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
                // What lies there hides no key of the other kind.
                Err(Error::Corrupt(_)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Catalog {
    /// The own keys of the instances of a namespace, or of exactly this class there.
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

    /// The class and the own key of the instance that a key names under the class that declares its
    /// keys, if the own key may have lain on a page that cannot be read.
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

    /// The record of the instance of `__NAMESPACE` that names a namespace, by whichever of its keys
    /// can be read.
    ///
    /// # Errors
    /// As [`class`](Self::class).
    pub(super) fn namespace_record(&self, parent: &str, name: &str) -> Result<Option<RecordRef>> {
        let keyed = self.record_of(&self.keys.keyed_instance(parent, NAMESPACE_CLASS, name));
        self.or_by_own_key(keyed, parent, NAMESPACE_CLASS, name)
    }

    /// What was found under the class that declares the keys; where that cannot be told, what the
    /// own key of an instance of exactly this class says.
    ///
    /// # Errors
    /// That of the first look-up, where the second finds nothing.
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
