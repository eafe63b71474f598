//! Properties of an object that MOF cannot express, found by looking at the repository.

use std::collections::HashMap;

use super::{Export, Sink};
use crate::base::error::Result as EngineResult;
use crate::catalog::create::system_classes;
use crate::cim::class::Setting;
use crate::cim::instance::Instance;
use crate::cim::name::Name;
use crate::cim::value::{Array, Object, Value};
use crate::format::index::object_key::{ObjectKeys, SYSTEM_NAMESPACE};
use crate::text::mof::{Unsaid, UnsaidKind};

/// Something of the object itself.
const fn of_object(what: UnsaidKind) -> Unsaid {
    Unsaid {
        member: String::new(),
        what,
    }
}

impl<S: Sink> Export<'_, S> {
    /// Reports the system classes that a new repository does not have, or has otherwise: they are
    /// not printed, and what is compiled finds those of the repository that it is compiled into.
    pub(super) fn check_system_classes(&mut self) -> Result<(), S::Error> {
        let mut made: HashMap<Name, _> = system_classes()
            .into_iter()
            .map(|class| (class.name.clone(), class))
            .collect();
        let catalog = self.catalog.clone();
        for stored in catalog.classes(SYSTEM_NAMESPACE) {
            let Ok(stored) = stored else {
                // What cannot be read is reported by whoever lists the system classes.
                continue;
            };
            let own = stored.class.declaration();
            let is_same = made.remove(&own.name).is_some_and(|class| class == *own);
            if !is_same {
                self.other_system_class(&own.name)?;
            }
        }

        let mut missing: Vec<Name> = made.into_keys().collect();
        missing.sort_unstable();
        for name in missing {
            self.other_system_class(&name)?;
        }
        Ok(())
    }

    fn other_system_class(&mut self, name: &Name) -> Result<(), S::Error> {
        let path = format!("{SYSTEM_NAMESPACE}:{}", name.as_str());
        self.sink.unsaid(&path, &of_object(UnsaidKind::SystemClass))
    }

    /// Reports a namespace that a pragma does not name as it is.
    pub(super) fn check_namespace(&mut self, namespace: &str) -> Result<(), S::Error> {
        let what = match self.catalog.is_in_tree(namespace) {
            Ok(true) => return Ok(()),
            Ok(false) if ObjectKeys::hash_token(self.catalog.dialect(), namespace).is_some() => {
                UnsaidKind::LostPath
            }
            Ok(false) => UnsaidKind::HiddenNamespace,
            Err(error) => return self.sink.lost(namespace, &error),
        };
        self.sink.unsaid(namespace, &of_object(what))
    }

    /// Reports the embedded objects of an instance whose classes changed since: each is stored with
    /// its class as it was, and compiled with the class as it is.
    pub(super) fn check_embedded(
        &mut self,
        namespace: &str,
        path: &str,
        instance: &Instance,
    ) -> Result<(), S::Error> {
        let settings = instance
            .class()
            .properties()
            .iter()
            .zip(instance.settings());
        for (property, setting) in settings {
            let Setting::Value(value) = setting else {
                continue;
            };
            match self.is_of_todays_classes(namespace, value) {
                Ok(true) => {}
                Ok(false) => {
                    let unsaid = Unsaid {
                        member: property.name.as_str().to_owned(),
                        what: UnsaidKind::EmbeddedClass,
                    };
                    self.sink.unsaid(path, &unsaid)?;
                }
                Err(error) => self.sink.lost(path, &error)?,
            }
        }
        Ok(())
    }

    /// True if the class of each embedded object of a value is as its namespace has it. Objects
    /// embed each other no deeper than records are read.
    fn is_of_todays_classes(&self, namespace: &str, value: &Value) -> EngineResult<bool> {
        let objects: Vec<&Object> = match value {
            Value::Object(object) => vec![object],
            Value::Array(Array::Object(objects)) => objects.iter().flatten().collect(),
            _ => return Ok(true),
        };
        for object in objects {
            let Object::Instance(embedded) = object else {
                continue;
            };
            let name = embedded.class().name().as_str();
            let found = self.catalog.class(namespace, name)?;
            if found.is_none_or(|found| *found.class != **embedded.class()) {
                return Ok(false);
            }
            for setting in embedded.settings() {
                if let Setting::Value(value) = setting
                    && !self.is_of_todays_classes(namespace, value)?
                {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
