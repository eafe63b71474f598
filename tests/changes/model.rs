//! Any schema and any edits, against a model in memory that knows nothing of records and keys.

use std::collections::BTreeMap;

use cimrepo::Error;
use cimrepo::base::rule::Rule;
use cimrepo::catalog::Catalog;
use cimrepo::catalog::{Put, PutClass, UpdateMode};
use cimrepo::cim::{Class, Instance, ObjectPath, Property, ScalarType, Setting, Value};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::lab::Lab;

const NS: &str = r"ROOT\Model";
/// Classes `C0` to `C4`; each may be derived from one with a smaller number.
const CLASSES: usize = 5;
/// Properties `P0` to `P3` beside the key.
const PROPERTIES: usize = 4;

#[derive(Debug, Clone)]
enum Edit {
    /// Class, superclass, own properties with type and whether there is a default.
    PutClass(usize, Option<usize>, Vec<(usize, bool, bool)>),
    DeleteClass(usize),
    /// Class, key, value of each property, target of the reference.
    PutInstance(usize, u32, Vec<Option<u8>>, Option<(usize, u32)>),
    DeleteInstance(usize, u32),
    RollBack,
}

/// What the model knows of a class: its superclass, and its own properties: whether a text, and
/// whether with a default.
#[derive(Debug, Clone, PartialEq)]
struct ModelClass {
    superclass: Option<usize>,
    own: BTreeMap<usize, (bool, bool)>,
}

/// Classes, and instances by the class that declares their key: class, and values by property.
#[derive(Debug, Clone, Default)]
struct Model {
    classes: BTreeMap<usize, ModelClass>,
    instances: BTreeMap<(usize, u32), ModelInstance>,
}

#[derive(Debug, Clone)]
struct ModelInstance {
    class: usize,
    values: BTreeMap<usize, Value>,
    to: Option<String>,
}

impl Model {
    fn root(&self, class: usize) -> usize {
        self.classes
            .get(&class)
            .and_then(|of| of.superclass)
            .map_or(class, |above| self.root(above))
    }

    fn is_a(&self, class: usize, above: usize) -> bool {
        class == above
            || self.classes[&class]
                .superclass
                .is_some_and(|parent| self.is_a(parent, above))
    }

    fn derived(&self, class: usize) -> Vec<usize> {
        self.classes
            .keys()
            .copied()
            .filter(|&other| self.is_a(other, class))
            .collect()
    }

    /// Properties of a class with their types and the class whose default counts.
    fn full(&self, class: usize) -> BTreeMap<usize, (bool, Option<usize>)> {
        let of = &self.classes[&class];
        let mut all = of
            .superclass
            .map(|above| self.full(above))
            .unwrap_or_default();
        for (&property, &(is_text, has_default)) in &of.own {
            all.insert(property, (is_text, has_default.then_some(class)));
        }
        all
    }

    /// The value that a property has, the default of the class where the instance has none.
    fn value(&self, instance: &ModelInstance, property: usize) -> Option<Value> {
        let (is_text, default) = *self.full(instance.class).get(&property)?;
        instance
            .values
            .get(&property)
            .cloned()
            .or_else(|| default.map(|class| default_of(class, is_text)))
    }
}

fn default_of(class: usize, is_text: bool) -> Value {
    if is_text {
        Value::String(format!("of C{class}"))
    } else {
        Value::Uint16(u16::try_from(class).unwrap())
    }
}

fn name(class: usize) -> String {
    format!("C{class}")
}

fn declaration(number: usize, class: &ModelClass) -> Class {
    let mut builder = Class::builder(name(number));
    match class.superclass {
        Some(above) => builder = builder.superclass(name(above)),
        None => {
            builder = builder
                .property(Property::new("Id", ScalarType::Uint32).key())
                .property(Property::new("To", ScalarType::Reference));
        }
    }
    for (&property, &(is_text, has_default)) in &class.own {
        let scalar = if is_text {
            ScalarType::String
        } else {
            ScalarType::Uint16
        };
        let default = if has_default {
            Setting::Value(default_of(number, is_text))
        } else {
            Setting::Null
        };
        builder = builder.property(Property::new(format!("P{property}"), scalar).default(default));
    }
    builder.build()
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let class = || 0..CLASSES;
    let own = vec((0..PROPERTIES, any::<bool>(), any::<bool>()), 0..4);
    let edit = prop_oneof![
        6 => (class(), prop::option::of(class()), own).prop_map(|(class, above, own)| {
            Edit::PutClass(class, above.filter(|&above| above < class), own)
        }),
        1 => class().prop_map(Edit::DeleteClass),
        8 => (class(), 0..4u32, vec(prop::option::of(any::<u8>()), PROPERTIES), prop::option::of((class(), 0..4u32)))
            .prop_map(|(class, id, values, to)| Edit::PutInstance(class, id, values, to)),
        2 => (class(), 0..4u32).prop_map(|(class, id)| Edit::DeleteInstance(class, id)),
        1 => Just(Edit::RollBack),
    ];
    vec(edit, 1..40)
}

/// Whether it was done, or forbidden by one of these rules.
fn done<T: std::fmt::Debug>(result: cimrepo::Result<T>, allowed: &[Rule]) -> bool {
    match result {
        Ok(_) => true,
        Err(Error::Rule { rule, .. }) if allowed.contains(&rule) => false,
        Err(error) => panic!("{error:?}"),
    }
}

struct Run<'l> {
    lab: &'l Lab,
    model: Model,
}

impl Run<'_> {
    fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::PutClass(number, above, own) => self.put_class(*number, *above, own),
            Edit::DeleteClass(number) => self.delete_class(*number),
            Edit::PutInstance(class, id, values, to) => self.put_instance(*class, *id, values, *to),
            Edit::DeleteInstance(class, id) => self.delete_instance(*class, *id),
            Edit::RollBack => {
                let mut writer = self.lab.writer();
                for class in 0..CLASSES {
                    done(writer.delete_class(NS, &name(class)), &[Rule::NotFound]);
                }
                drop(writer);
            }
        }
    }

    fn put_class(&mut self, number: usize, above: Option<usize>, own: &[(usize, bool, bool)]) {
        let above = above.filter(|above| self.model.classes.contains_key(above));
        let mut class = ModelClass {
            superclass: above,
            own: BTreeMap::new(),
        };
        let inherited = above
            .map(|above| self.model.full(above))
            .unwrap_or_default();
        for &(property, is_text, has_default) in own {
            let is_text = inherited
                .get(&property)
                .map_or(is_text, |(inherited, _)| *inherited);
            class.own.insert(property, (is_text, has_default));
        }
        let declaration = declaration(number, &class);
        let mut writer = self.lab.writer();
        let result = writer.put_class(NS, &declaration, PutClass::update(UpdateMode::Force));
        let is_there = self.model.classes.contains_key(&number);
        let old_root = self.model.root(number);
        let new_root = above.map_or(number, |above| self.model.root(above));
        let derived = if is_there {
            self.model.derived(number)
        } else {
            Vec::new()
        };
        let has_instances = self
            .model
            .instances
            .values()
            .any(|instance| derived.contains(&instance.class));
        let changes_keys = is_there && old_root != new_root;
        let expected = !(changes_keys && has_instances);
        assert_eq!(
            done(result, &[Rule::ClassHasInstances]),
            expected,
            "{declaration:?}"
        );
        writer.commit().unwrap();
        if !expected {
            return;
        }
        let before: BTreeMap<usize, _> = derived
            .iter()
            .map(|&class| (class, self.model.full(class)))
            .collect();
        self.model.classes.insert(number, class);
        self.resolve_conflicts(&derived, number, &before);
    }

    /// By force: what a subclass declares with another type goes; values of another type, or
    /// without property, too. A default that was inherited stays with a property that is so no more
    /// only where it was declared.
    fn resolve_conflicts(
        &mut self,
        derived: &[usize],
        changed: usize,
        before: &BTreeMap<usize, BTreeMap<usize, (bool, Option<usize>)>>,
    ) {
        for &class in derived.iter().filter(|&&class| class != changed) {
            let above = self.model.classes[&class]
                .superclass
                .map(|above| self.model.full(above))
                .unwrap_or_default();
            let own = &mut self.model.classes.get_mut(&class).unwrap().own;
            own.retain(|property, (is_text, _)| {
                above
                    .get(property)
                    .is_none_or(|(inherited, _)| inherited == is_text)
            });
        }
        let fulls: BTreeMap<usize, _> = derived
            .iter()
            .map(|&class| (class, self.model.full(class)))
            .collect();
        for instance in self.model.instances.values_mut() {
            let (Some(full), Some(old)) = (fulls.get(&instance.class), before.get(&instance.class))
            else {
                continue;
            };
            instance.values.retain(|property, _| {
                full.get(property)
                    .is_some_and(|(is_text, _)| *is_text == old[property].0)
            });
        }
    }

    fn delete_class(&mut self, number: usize) {
        let mut writer = self.lab.writer();
        let is_there = self.model.classes.contains_key(&number);
        assert_eq!(
            done(writer.delete_class(NS, &name(number)), &[Rule::NotFound]),
            is_there
        );
        writer.commit().unwrap();
        if is_there {
            let gone = self.model.derived(number);
            self.model
                .instances
                .retain(|_, instance| !gone.contains(&instance.class));
            self.model.classes.retain(|class, _| !gone.contains(class));
        }
    }

    fn put_instance(
        &mut self,
        class: usize,
        id: u32,
        values: &[Option<u8>],
        to: Option<(usize, u32)>,
    ) {
        if !self.model.classes.contains_key(&class) {
            return;
        }
        let mut writer = self.lab.writer();
        let full = writer
            .catalog()
            .class(NS, &name(class))
            .unwrap()
            .unwrap()
            .class
            .clone();
        let types = self.model.full(class);
        let mut made = ModelInstance {
            class,
            values: BTreeMap::new(),
            to: None,
        };
        let mut instance = Instance::new(full).with("Id", id).unwrap();
        for (&property, &(is_text, _)) in &types {
            if let Some(value) = values[property] {
                let value = if is_text {
                    Value::String(value.to_string())
                } else {
                    Value::Uint16(value.into())
                };
                instance
                    .set(&format!("P{property}"), value.clone())
                    .unwrap();
                made.values.insert(property, value);
            }
        }
        if let Some((target, id)) = to {
            let text = format!("C{target}.Id={id}");
            instance.set("To", Value::Reference(text.clone())).unwrap();
            made.to = Some(text);
        }
        let at = (self.model.root(class), id);
        let is_taken = self
            .model
            .instances
            .get(&at)
            .is_some_and(|old| old.class != class);
        let result = writer.put_instance(NS, &instance, Put::CreateOrUpdate);
        assert_eq!(done(result, &[Rule::AlreadyExists]), !is_taken);
        writer.commit().unwrap();
        if !is_taken {
            self.model.instances.insert(at, made);
        }
    }

    fn delete_instance(&mut self, class: usize, id: u32) {
        let at = (self.model.root(class), id);
        let is_there = self.model.classes.contains_key(&class)
            && self
                .model
                .instances
                .get(&at)
                .is_some_and(|instance| self.model.is_a(instance.class, class));
        let path: ObjectPath = format!("C{class}.Id={id}").parse().unwrap();
        let mut writer = self.lab.writer();
        assert_eq!(
            done(writer.delete_instance(NS, &path), &[Rule::NotFound]),
            is_there
        );
        writer.commit().unwrap();
        if is_there {
            self.model.instances.remove(&at);
        }
    }

    /// What the repository shows is what the model knows.
    fn compare(&self, catalog: &Catalog) {
        let classes = catalog.classes(NS).map(Result::unwrap).count();
        assert_eq!(classes, self.model.classes.len());
        for &class in self.model.classes.keys() {
            let stored = catalog.class(NS, &name(class)).unwrap().unwrap();
            let full = self.model.full(class);
            let properties = stored
                .class
                .properties()
                .iter()
                .filter(|property| property.name.as_str().starts_with('P'));
            let shown: BTreeMap<String, _> = properties
                .map(|property| {
                    (
                        property.name.as_str().to_owned(),
                        (property.cim_type.scalar, property.default.clone()),
                    )
                })
                .collect();
            let known = full.iter().map(|(property, &(is_text, default))| {
                let scalar = if is_text {
                    ScalarType::String
                } else {
                    ScalarType::Uint16
                };
                (
                    format!("P{property}"),
                    (scalar, default.map(|class| default_of(class, is_text))),
                )
            });
            assert_eq!(shown, known.collect());
            let own = catalog
                .instances(NS, &name(class))
                .map(Result::unwrap)
                .count();
            assert_eq!(
                own,
                self.model
                    .instances
                    .values()
                    .filter(|instance| instance.class == class)
                    .count()
            );
        }
        for (&(root, id), instance) in &self.model.instances {
            let path: ObjectPath = format!("C{root}.Id={id}").parse().unwrap();
            let stored = catalog.instance(NS, &path).unwrap().unwrap().instance;
            assert_eq!(*stored.class().name(), *name(instance.class));
            for property in 0..PROPERTIES {
                let shown = stored.get(&format!("P{property}")).ok().flatten();
                assert_eq!(
                    shown,
                    self.model.value(instance, property).as_ref(),
                    "{path} P{property}"
                );
            }
            assert_eq!(
                stored.get("To").unwrap().and_then(Value::as_text),
                instance.to.as_deref()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn edits_do_what_the_model_does(edits in edits()) {
        let lab = Lab::new();
        lab.write(|writer| writer.create_namespace(NS));
        let mut run = Run { lab: &lab, model: Model::default() };
        for edit in &edits {
            run.edit(edit);
        }
        run.compare(&lab.catalog());
        lab.close();
    }
}
