//! Effects of a change of a class on its subclasses and on instances.
//!
//! Source of the modes: WMI SDK, `IWbemServices::PutClass`. Points that it leaves open are decided
//! in `docs::changes`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::classes::record;
use super::fit::{Misfit, fit};
use super::store::encode;
use super::{Changes, UpdateMode, rules};
use crate::base::error::{Error, Result};
use crate::base::rule::Rule;
use crate::catalog::StoredClass;
use crate::cim::class::{Class, Setting};
use crate::cim::full_class::{ComposeError, FullClass};
use crate::cim::name::Name;
use crate::cim::qualifier::{Flavor, Qualifier, QualifierSet, cimtype_text};
use crate::cim::types::CimType;
use crate::cim::value::Value;

/// A changing class, before and after.
#[derive(Debug)]
pub(super) struct Step {
    /// The class that determines the present layout of its instances. It may be a system class that
    /// the new one hides.
    pub old: Option<Arc<StoredClass>>,
    pub new: Arc<FullClass>,
}

impl Step {
    pub(super) const fn new(old: Option<Arc<StoredClass>>, new: Arc<FullClass>) -> Self {
        Self { old, new }
    }

    /// The class whose record and keys are replaced.
    fn replaced(&self) -> Option<&FullClass> {
        self.old
            .as_ref()
            .filter(|old| !old.is_system)
            .map(|old| &*old.class)
    }

    /// The new record, without its stamp; `None` if the present one stays.
    pub(super) fn record(&self) -> Result<Option<Vec<u8>>> {
        let new = record(&self.new, 0)?;
        let is_kept = match self.replaced() {
            Some(old) => has_same_places(old, &self.new) && record(old, 0)? == new,
            None => false,
        };
        Ok((!is_kept).then_some(new))
    }

    fn changes_keys(&self) -> bool {
        self.old
            .as_ref()
            .is_some_and(|old| identity(&old.class) != identity(&self.new))
    }
}

/// True if the values of instances have the same offsets. Comparing the records of the classes is
/// not enough, since they contain only the size of what is inherited.
fn has_same_places(old: &FullClass, new: &FullClass) -> bool {
    let places = |class: &FullClass| -> Vec<(Name, CimType)> {
        class
            .properties()
            .iter()
            .map(|property| (property.name.clone(), property.cim_type))
            .collect()
    };
    places(old) == places(new)
}

/// The determinants of the keys of instances: the class that declares them, names, types and
/// defaults.
#[derive(PartialEq)]
struct Identity {
    key_class: Option<Name>,
    keys: Vec<(Name, CimType, Option<Value>)>,
}

fn identity(class: &FullClass) -> Identity {
    let keys = class
        .key_properties()
        .map(|key| (key.name.clone(), key.cim_type, key.default.clone()));
    Identity {
        key_class: class.key_class().map(|key_class| key_class.name().clone()),
        keys: keys.collect(),
    }
}

impl Changes<'_, '_> {
    /// Adds the changes of the classes derived from that of the first step.
    pub(super) fn plan_derived(
        &mut self,
        namespace: &str,
        steps: &mut Vec<Step>,
        mode: UpdateMode,
    ) -> Result<()> {
        let Some(Step {
            old: Some(old),
            new,
        }) = steps.first()
        else {
            return Ok(());
        };
        let mut derived = Vec::new();
        let mut parents = HashMap::from([(new.name().clone(), new.clone())]);
        let old = old.clone();
        self.derived_from(namespace, &old, &mut derived)?;
        for class in derived {
            let Some(parent) = class
                .class
                .declaration()
                .superclass
                .as_ref()
                .and_then(|name| parents.get(name))
            else {
                continue;
            };
            let new = Arc::new(rederived(&class.class, parent, mode)?);
            parents.insert(new.name().clone(), new.clone());
            steps.push(Step::new(Some(class), new));
        }
        Ok(())
    }

    /// The first of the classes that has instances.
    pub(super) fn first_with_instances(
        &mut self,
        namespace: &str,
        steps: &[Step],
    ) -> Result<Option<Name>> {
        for step in steps {
            let prefix = self.keys().instances(namespace, step.new.name().as_str());
            if self.transaction.find(prefix.as_bytes())?.is_some() {
                return Ok(Some(step.new.name().clone()));
            }
        }
        Ok(None)
    }

    /// Moves references to the instances of the classes while their sources can still be read, then
    /// stores the classes and rewrites their instances. The first class gets `stamp`, if one is
    /// given.
    pub(super) fn apply(
        &mut self,
        namespace: &str,
        steps: &[Step],
        records: Vec<Option<Vec<u8>>>,
        mut given: Option<u64>,
    ) -> Result<()> {
        for step in steps {
            let old = step.old.as_ref().map(|old| &*old.class);
            self.move_referrers(namespace, old, Some(&step.new), step.new.name())?;
        }
        let mut stamps = BTreeMap::new();
        for (step, record) in steps.iter().zip(records) {
            let record = match record {
                None => None,
                Some(mut record) => {
                    let stamp = given.take().unwrap_or_else(|| self.stamp());
                    set_stamp(&mut record, stamp);
                    stamps.insert(step.new.name(), stamp);
                    Some(record)
                }
            };
            self.store_class(
                namespace,
                step.replaced(),
                Some(&step.new),
                record.as_deref(),
            )?;
            self.forget(namespace, step.new.name());
        }
        for step in steps {
            if let (Some(old), Some(stamp)) = (&step.old, stamps.get(step.new.name())) {
                self.lay_out_instances(namespace, &old.class, &step.new, *stamp)?;
            }
        }
        Ok(())
    }

    /// Rewrites the instances of a class whose layout and stamp have changed.
    fn lay_out_instances(
        &mut self,
        namespace: &str,
        old: &Arc<FullClass>,
        new: &Arc<FullClass>,
        class_stamp: u64,
    ) -> Result<()> {
        for key in self.instance_keys(namespace, new.name().as_str())? {
            let Some(record) = key.reference() else {
                continue;
            };
            let (instance, stamp) = self.need_instance(record, old)?;
            let fitted = fit(&instance, new, Misfit::Drop)?;
            let (before, after) = (
                self.footprint(namespace, &instance)?,
                self.footprint(namespace, &fitted)?,
            );
            let record = encode(&fitted, stamp, class_stamp)?;
            self.swap(Some(&before), Some((&after, &record)))?;
        }
        Ok(())
    }
}

/// Writes the stamp into the record of a class.
fn set_stamp(record: &mut [u8], stamp: u64) {
    let length = record
        .first_chunk()
        .map_or(0, |length| crate::base::widen(u32::from_le_bytes(*length)));
    if let Some(place) = record
        .get_mut(4 + 2 * length..)
        .and_then(|rest| rest.first_chunk_mut())
    {
        *place = stamp.to_le_bytes();
    }
}

/// A subclass under its changed superclass.
fn rederived(class: &FullClass, parent: &Arc<FullClass>, mode: UpdateMode) -> Result<FullClass> {
    let mut declaration = class.declaration().clone();
    declaration.superclass = Some(parent.name().clone());
    settle(&mut declaration, class, parent);
    if let Some(conflict) = rules::overrides(&declaration, parent) {
        if mode != UpdateMode::Force {
            return Err(Error::rule(Rule::UpdateOverrideNotAllowed, conflict));
        }
        rules::yield_overrides(&mut declaration, parent);
    }
    if mode == UpdateMode::Force {
        declaration.properties.retain(|own| {
            parent
                .property(own.name.as_str())
                .is_none_or(|inherited| inherited.cim_type == own.cim_type)
        });
    }
    FullClass::compose(declaration, Some(parent.clone())).map_err(|error| match error {
        ComposeError::OverrideType { .. } => {
            Error::rule(Rule::UpdateTypeMismatch, error.to_string())
        }
        error => error.into(),
    })
}

/// Turns a property that is no longer inherited into one of the class's own, with its former type
/// and default.
fn settle(declaration: &mut Class, class: &FullClass, parent: &FullClass) {
    for own in &mut declaration.properties {
        if parent.property(own.name.as_str()).is_some() {
            continue;
        }
        let before = class.property(own.name.as_str());
        if own.default == Setting::Inherited {
            own.default = before
                .and_then(|before| before.default.clone())
                .map_or(Setting::Null, Setting::Value);
        }
        if own.qualifiers.get("CIMTYPE").is_none() {
            let known = before
                .and_then(|before| before.qualifiers.get("CIMTYPE"))
                .cloned();
            let mut qualifier =
                known.unwrap_or_else(|| Qualifier::cimtype(cimtype_text(own.cim_type.scalar)));
            qualifier.flavor -= Flavor::INHERITED;
            own.qualifiers.set(qualifier);
        }
    }
}

/// Fails if the mode does not permit such a change of classes with subclasses or instances.
pub(super) fn need_permission(
    steps: &[Step],
    mode: UpdateMode,
    with_instances: Option<&Name>,
) -> Result<()> {
    let Some((
        Step {
            old: Some(old),
            new,
        },
        derived,
    )) = steps.split_first()
    else {
        return Ok(());
    };
    let name = new.name();
    if let Some(class) = with_instances
        && steps.iter().any(Step::changes_keys)
    {
        let text = format!(
            "class {class} has instances: what their keys are made of cannot change with class \
                {name}"
        );
        return Err(Error::rule(Rule::ClassHasInstances, text));
    }
    if mode == UpdateMode::Force || is_harmless(&old.class, new) {
        return Ok(());
    }
    if let Some(class) = with_instances {
        let text = format!(
            "class {class} has instances; class {name} can be changed by force, and they with it"
        );
        return Err(Error::rule(Rule::ClassHasInstances, text));
    }
    if mode == UpdateMode::Compatible && !derived.is_empty() {
        let text = format!(
            "{} classes are derived from class {name}; change it in safe mode",
            derived.len()
        );
        return Err(Error::rule(Rule::ClassHasChildren, text));
    }
    Ok(())
}

/// Rejects a change of the offsets of the values in instances, although the instances could be
/// converted.
pub(super) fn need_same_layout(steps: &[Step], with_instances: &Name) -> Result<()> {
    let moves = |step: &Step| {
        step.old
            .as_ref()
            .is_some_and(|old| !has_same_places(&old.class, &step.new))
    };
    match steps.iter().find(|step| moves(step)) {
        None => Ok(()),
        Some(step) => {
            let text = format!(
                "class {with_instances} has instances, and the properties of class {} change",
                step.new.name()
            );
            Err(Error::rule(Rule::ClassHasInstances, text))
        }
    }
}

/// Qualifiers that the engine or its users act on; all others are only descriptive.
const IMPORTANT: [&str; 11] = [
    "abstract",
    "aggregate",
    "association",
    "CIMTYPE",
    "dynamic",
    "indexed",
    "key",
    "not_null",
    "provider",
    "singleton",
    "static",
];

/// True if two definitions differ only in qualifiers that mean nothing to the engine.
fn is_harmless(old: &FullClass, new: &FullClass) -> bool {
    bare(old.declaration()) == bare(new.declaration())
}

/// The class without descriptive qualifiers.
fn bare(class: &Class) -> Class {
    let important = |set: &QualifierSet| -> QualifierSet {
        let is_important = |name: &Name| IMPORTANT.iter().any(|important| *name == *important);
        let mut kept: Vec<Qualifier> = set
            .iter()
            .filter(|of| is_important(&of.name))
            .cloned()
            .collect();
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        kept.into_iter().collect()
    };
    let mut class = class.clone();
    class.qualifiers = important(&class.qualifiers);
    class
        .properties
        .iter_mut()
        .for_each(|property| property.qualifiers = important(&property.qualifiers));
    for method in &mut class.methods {
        method.qualifiers = important(&method.qualifiers);
    }
    class
}
