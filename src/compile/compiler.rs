//! The second and third phase: the parts of a text in their order, and what each of them does to
//! the repository.

use std::collections::HashMap;

use super::aliases::{Alias, Target};
use super::awaited::Awaited;
use super::code as store;
use super::instances::DESCRIPTOR;
use super::options::CompileOptions;
use super::places::{Fold, Stop, placed, refuse};
use super::qualifiers::Declared;
use super::report::{CompileReport, Operation, OperationKind, Outcome, Phase};
use super::source::Unit;
use super::{namespaces, report};
use crate::base::error::{Error, Result};
use crate::base::rule::Rule;
use crate::catalog::StoredClass;
use crate::catalog::{CatalogWriter, Leave, Put, PutClass, UpdateMode};
use crate::cim::class::Class;
use crate::cim::name;
use crate::cim::path::ObjectPath;
use crate::security::sddl;
use crate::text::diagnostic::{Diagnostic, Place, Severity, SourceId};
use crate::text::mof::code;
use crate::text::mof::tree::{
    At, ClassDeclaration, Directive, DirectiveKind, FlagMode, Flags, Initializer,
    InstanceDeclaration, Item, QualifierDeclaration, Removal, ValueKind,
};

/// A namespace and the classes in it that this compile has looked up, so that no class is composed
/// twice.
type Found = HashMap<String, Option<std::sync::Arc<StoredClass>>>;

/// A compile in progress.
pub(super) struct Compiler<'u, 't> {
    pub options: &'u CompileOptions,
    pub report: &'u mut CompileReport,
    /// The text that is compiled here.
    pub source: SourceId,
    /// True if it comes from binary MOF.
    pub is_binary: bool,
    pub namespace: String,
    pub aliases: HashMap<String, Alias<'u, 't>>,
    /// Aliases whose paths are being found.
    pub resolving: Vec<String>,
    /// Keys made for instances, by the place of the instance and the order of the property.
    pub made_keys: HashMap<(Place, u16), String>,
    declared: HashMap<String, Declared<'t>>,
    class_flags: Flags,
    instance_flags: Flags,
    /// Classes and instances met so far.
    objects: u32,
    /// The classes that a part asks for, as they were found before it: a part that lacks one is
    /// tried again with it.
    found: Found,
    /// The class that a part asked for and that was not looked up yet.
    wanted: Option<String>,
    /// Classes of embedded objects that an exact compile met before their declarations.
    pub awaited: Awaited,
}

impl<'u, 't> Compiler<'u, 't> {
    pub(super) fn new(options: &'u CompileOptions, report: &'u mut CompileReport) -> Self {
        report.keeps_going = options.keep_going;
        Self {
            options,
            report,
            source: SourceId::default(),
            is_binary: false,
            namespace: String::new(),
            aliases: HashMap::new(),
            resolving: Vec::new(),
            made_keys: HashMap::new(),
            declared: HashMap::new(),
            class_flags: Flags::default(),
            instance_flags: Flags::default(),
            objects: 0,
            found: HashMap::new(),
            wanted: None,
            awaited: Awaited::default(),
        }
    }

    /// Begins a file with what it includes. State does not flow between files.
    fn begin(&mut self) {
        self.namespace = self
            .options
            .namespace
            .trim_matches(['\\', '/'])
            .replace('/', "\\");
        (self.class_flags, self.instance_flags) =
            (self.options.class_flags, self.options.instance_flags);
        self.declared.clear();
        self.found.clear();
    }

    pub(super) fn place(&self, at: At) -> Place {
        Place::new(self.source, at.0)
    }

    /// The declaration of a qualifier that holds here.
    pub(super) fn declared(&self, name: &str) -> Option<&Declared<'t>> {
        if self.declared.is_empty() {
            return None;
        }
        self.declared.get(&name::to_upper(name))
    }

    fn declare(&mut self, declaration: &QualifierDeclaration<'t>) {
        let declared = Declared {
            flavors: declaration.flavors,
            typed: declaration.typed.clone(),
        };
        self.declared
            .insert(name::to_upper(&declaration.name.text), declared);
    }

    /// The second phase of a file: namespaces and aliases. Returns whether nothing was refused.
    pub(super) fn fold(&mut self, unit: &'u Unit<'t>) -> bool {
        let told = self.report.diagnostics.len();
        self.begin();
        self.aliases.clear();
        for step in &unit.steps {
            self.source = step.source;
            match &step.item {
                Item::Directive(directive) => {
                    if let DirectiveKind::Namespace(_) = directive.kind
                        && let Err(Stop::Refused(diagnostic)) = self.enter(directive)
                    {
                        self.report.diagnostics.push(*diagnostic);
                    }
                    self.report.auto_recover |= directive.kind == DirectiveKind::AutoRecover;
                }
                Item::Class(class) => self.define(class.alias.as_ref(), Target::Class(class)),
                Item::Instance(instance) => {
                    self.define(instance.alias.as_ref(), Target::Instance(instance))
                }
                Item::Qualifier(_) => {}
            }
        }
        self.check_uses(unit);
        let new = self.report.diagnostics.get(told..).unwrap_or_default();
        let is_well = !new.iter().any(Diagnostic::is_error);
        if !is_well {
            self.report.fail(Phase::Argument, None);
        }
        is_well
    }

    fn enter(&mut self, directive: &Directive<'t>) -> Fold<()> {
        if let DirectiveKind::Namespace(path) = &directive.kind {
            let place = self.place(path.at);
            self.namespace = namespaces::namespace(&path.value, &self.namespace, place)?;
            self.found.clear();
        }
        Ok(())
    }

    /// The third phase of a file. Returns whether the next one may follow.
    pub(super) fn store(
        &mut self,
        writer: &mut CatalogWriter<'_>,
        unit: &'u Unit<'t>,
    ) -> Result<bool> {
        // The aliases of this file, once more: those of one file mean nothing to another.
        if !self.fold(unit) {
            return Ok(false);
        }
        self.begin();
        for step in &unit.steps {
            (self.source, self.is_binary) = (step.source, step.is_binary);
            let before = self.options.keep_going.then(|| writer.savepoint());
            match self.step(writer, &step.item) {
                Ok(()) => {}
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Refused(diagnostic)) => {
                    let place = diagnostic.place;
                    self.report.diagnostics.push(*diagnostic);
                    self.refused(&step.item);
                    let object = place.map(|place| (self.objects, place));
                    self.report.fail(Phase::Store, object);
                    let Some(before) = before else {
                        return Ok(false);
                    };
                    writer.roll_back(before);
                    self.found.clear();
                }
            }
        }
        self.check_awaited(writer)?;
        if self.report.has_errors() && !self.options.keep_going {
            self.report.fail(Phase::Store, None);
            return Ok(false);
        }
        Ok(true)
    }

    /// Notes an object that was passed over.
    fn refused(&mut self, item: &Item<'t>) {
        match item {
            Item::Class(class) => {
                self.note(
                    OperationKind::Class,
                    Outcome::Skipped,
                    class.name.text.to_string(),
                    class.name.at,
                );
            }
            Item::Instance(instance) => {
                let name = instance.class.text.to_string();
                self.note(
                    OperationKind::Instance,
                    Outcome::Skipped,
                    name,
                    instance.class.at,
                );
            }
            Item::Directive(_) | Item::Qualifier(_) => {}
        }
    }

    fn note(&mut self, kind: OperationKind, outcome: Outcome, name: String, at: At) {
        let (namespace, place) = (self.namespace.clone(), self.place(at));
        self.report.operations.push(Operation {
            kind,
            outcome,
            namespace,
            name,
            place,
        });
    }

    fn step(&mut self, writer: &mut CatalogWriter<'_>, item: &'u Item<'t>) -> Fold<()> {
        match item {
            Item::Qualifier(declaration) => {
                self.declare(declaration);
                Ok(())
            }
            Item::Directive(directive) => self.directive(writer, directive),
            Item::Class(class) => {
                self.objects = self.objects.saturating_add(1);
                self.put_class(writer, class)
            }
            Item::Instance(instance) => {
                self.objects = self.objects.saturating_add(1);
                self.put_instance(writer, instance)
            }
        }
    }

    fn directive(&mut self, writer: &mut CatalogWriter<'_>, directive: &Directive<'t>) -> Fold<()> {
        match &directive.kind {
            DirectiveKind::Namespace(_) => self.enter(directive),
            DirectiveKind::ClassFlags(flags) => {
                self.class_flags = *flags;
                Ok(())
            }
            DirectiveKind::InstanceFlags(flags) => {
                self.instance_flags = *flags;
                Ok(())
            }
            DirectiveKind::DeleteClass(removal) => self.delete_class(writer, removal),
            DirectiveKind::DeleteInstance(removal) => self.delete_instance(writer, removal),
            DirectiveKind::AutoRecover
            | DirectiveKind::Amendment(_)
            | DirectiveKind::Include(_)
            | DirectiveKind::Line { .. }
            | DirectiveKind::Other { .. } => Ok(()),
        }
    }

    /// The class with this name in the current namespace, or of the system. One that was not looked
    /// up yet is marked as wanted, and the part that asks is tried again with it.
    pub(super) fn find_class(&mut self, name: &str) -> Fold<Option<std::sync::Arc<StoredClass>>> {
        let key = format!(
            "{}:{}",
            name::to_upper(&self.namespace),
            name::to_upper(name)
        );
        match self.found.get(&key) {
            Some(found) => Ok(found.clone()),
            None => {
                self.wanted = Some(format!("{}:{name}", self.namespace));
                Err(Stop::Failed(Error::Cancelled))
            }
        }
    }

    /// Does `build`, again and again until every class that it asks for was looked up.
    fn with_classes<T>(
        &mut self,
        writer: &mut CatalogWriter<'_>,
        mut build: impl FnMut(&mut Self) -> Fold<T>,
    ) -> Fold<T> {
        loop {
            let told = self.report.diagnostics.len();
            let result = build(self);
            let Some(wanted) = self.wanted.take() else {
                return result;
            };
            self.report.diagnostics.truncate(told);
            self.resolving.clear();
            let (namespace, name) = wanted.split_once(':').unwrap_or_default();
            let class = if writer.has_namespace(namespace)? {
                writer.class(namespace, name)?
            } else {
                None
            };
            self.found.insert(
                format!("{}:{}", name::to_upper(namespace), name::to_upper(name)),
                class,
            );
        }
    }

    fn put_class(
        &mut self,
        writer: &mut CatalogWriter<'_>,
        written: &'u ClassDeclaration<'t>,
    ) -> Fold<()> {
        let place = self.place(written.name.at);
        self.ensure_namespace(writer, written.name.at)?;
        let class = self.with_classes(writer, |compiler| compiler.class(written))?;
        let namespace = self.namespace.clone();
        let old = writer
            .class(&namespace, &written.name.text)?
            .filter(|old| !old.is_system);
        let leave = Leave {
            system_names: self.options.exact,
            abstract_anywhere: true,
            keeps_layouts: !self.options.delete_instances,
            any_instance: false,
        };
        let stored =
            match writer.put_class_with(&namespace, &class, put_of(self.class_flags), leave) {
                Err(Error::Rule {
                    rule: Rule::ClassHasInstances,
                    ..
                }) if self.may_delete_instances() => {
                    self.delete_instances(writer, &class, written.name.at)?;
                    writer.put_class_with(&namespace, &class, put_of(self.class_flags), leave)
                }
                other => other,
            };
        let stored = stored.map_err(|error| placed(error, place))?;
        let outcome = match old {
            None => Outcome::Created,
            Some(old) if old.record == stored.record => Outcome::Unchanged,
            Some(_) => Outcome::Updated,
        };
        // Classes derived from it are others now too.
        match outcome {
            Outcome::Created => {
                let key = format!(
                    "{}:{}",
                    name::to_upper(&namespace),
                    name::to_upper(&written.name.text)
                );
                self.found.insert(key, Some(stored));
            }
            _ => self.found.clear(),
        }
        self.note(
            OperationKind::Class,
            outcome,
            written.name.text.to_string(),
            written.name.at,
        );
        Ok(())
    }

    fn may_delete_instances(&self) -> bool {
        self.options.delete_instances && self.class_flags.mode == FlagMode::Force
    }

    fn delete_instances(
        &mut self,
        writer: &mut CatalogWriter<'_>,
        class: &Class,
        at: At,
    ) -> Fold<()> {
        let namespace = self.namespace.clone();
        let instances: Vec<_> = writer
            .catalog()
            .instances_deep(&namespace, class.name.as_str())?
            .collect();
        for stored in instances {
            let path = stored?.instance.path().map_err(Error::from)?;
            let place = self.place(at);
            writer
                .delete_instance(&namespace, &path)
                .map_err(|error| placed(error, place))?;
            self.note(OperationKind::Instance, Outcome::Deleted, path.text(), at);
        }
        Ok(())
    }

    fn put_instance(
        &mut self,
        writer: &mut CatalogWriter<'_>,
        written: &'u InstanceDeclaration<'t>,
    ) -> Fold<()> {
        let place = self.place(written.class.at);
        self.ensure_namespace(writer, written.class.at)?;
        let instance = self.with_classes(writer, |compiler| compiler.instance(written, None))?;
        let namespace = self.namespace.clone();
        let path = instance
            .path()
            .map_err(|error| placed(error.into(), place))?;
        let is_there = writer.catalog().instance(&namespace, &path)?.is_some();
        let put = put_of(self.instance_flags).put;
        let leave = Leave {
            any_instance: self.options.exact,
            ..Leave::default()
        };
        writer
            .put_instance_with(&namespace, &instance, put, leave)
            .map_err(|error| placed(error, place))?;
        if instance.class().is_a("__NAMESPACE") {
            self.found.clear();
            self.secure(writer, written, &instance)?;
        }
        let outcome = if is_there {
            Outcome::Updated
        } else {
            Outcome::Created
        };
        self.note(
            OperationKind::Instance,
            outcome,
            path.text(),
            written.class.at,
        );
        Ok(())
    }

    /// Gives a namespace the descriptor that its declaration has as text.
    fn secure(
        &mut self,
        writer: &mut CatalogWriter<'_>,
        written: &InstanceDeclaration<'t>,
        instance: &crate::cim::instance::Instance,
    ) -> Fold<()> {
        let Some(qualifier) = written
            .qualifiers
            .iter()
            .find(|qualifier| qualifier.name.is(DESCRIPTOR))
        else {
            return Ok(());
        };
        let place = self.place(qualifier.at);
        let text = match &qualifier.value {
            Some(Initializer::One(value)) => match &value.kind {
                ValueKind::Text(text) => text.as_ref(),
                _ => {
                    return refuse(
                        store::INVALID_PARAMETER,
                        place,
                        "the descriptor of a namespace is a string",
                    );
                }
            },
            _ => {
                return refuse(
                    store::INVALID_PARAMETER,
                    place,
                    "the descriptor of a namespace is a string",
                );
            }
        };
        let parent = writer.catalog().security_of(&self.namespace)?.descriptor;
        let descriptor = match sddl::of_namespace(text, Some(&parent)) {
            Ok(descriptor) => descriptor,
            Err(error) => return refuse(store::INVALID_PARAMETER, place, error.to_string()),
        };
        let name = instance.text("Name").unwrap_or_default();
        let child = format!(r"{}\{name}", self.namespace);
        writer
            .set_security_descriptor(&child, &descriptor)
            .map_err(|error| placed(error, place))
    }

    /// Makes the current namespace and those above it, if they are not there.
    fn ensure_namespace(&mut self, writer: &mut CatalogWriter<'_>, at: At) -> Fold<()> {
        let namespace = self.namespace.clone();
        if writer.has_namespace(&namespace)? {
            return Ok(());
        }
        let place = self.place(at);
        if self.options.require_namespaces {
            return refuse(
                store::INVALID_NAMESPACE,
                place,
                format!("there is no namespace {namespace}"),
            );
        }
        let ends = namespace
            .match_indices('\\')
            .map(|(end, _)| end)
            .chain([namespace.len()]);
        for path in ends.filter_map(|end| namespace.get(..end)) {
            if writer.has_namespace(path)? {
                continue;
            }
            writer
                .create_namespace(path)
                .map_err(|error| placed(error, place))?;
            let text = format!("the namespace {path} was not there and is created");
            let note = Diagnostic::new(Severity::Note, store::INVALID_NAMESPACE, Some(place), text);
            self.report.diagnostics.push(note);
            self.note(
                OperationKind::Namespace,
                report::Outcome::Created,
                path.to_owned(),
                at,
            );
        }
        self.found.clear();
        Ok(())
    }

    fn delete_class(&mut self, writer: &mut CatalogWriter<'_>, removal: &Removal<'t>) -> Fold<()> {
        let (namespace, class) = (self.namespace.clone(), removal.target.value.to_string());
        let place = self.place(removal.target.at);
        self.found.clear();
        let is_there =
            writer.has_namespace(&namespace)? && writer.class(&namespace, &class)?.is_some();
        if !is_there {
            let text = format!("there is no class {class} in {namespace}");
            return self.absent(removal, OperationKind::Class, text);
        }
        if class.starts_with("__") {
            return refuse(
                store::READ_ONLY,
                place,
                format!("{class} is a system class"),
            );
        }
        writer
            .delete_class(&namespace, &class)
            .map_err(|error| placed(error, place))?;
        self.note(
            OperationKind::Class,
            Outcome::Deleted,
            class,
            removal.target.at,
        );
        Ok(())
    }

    fn delete_instance(
        &mut self,
        writer: &mut CatalogWriter<'_>,
        removal: &Removal<'t>,
    ) -> Fold<()> {
        let (namespace, text) = (self.namespace.clone(), removal.target.value.to_string());
        let place = self.place(removal.target.at);
        let path: ObjectPath = match text.parse() {
            Ok(path) => path,
            Err(error) => {
                return refuse(
                    code::INVALID_DELETEINSTANCE_SYNTAX,
                    place,
                    format!("{error}"),
                );
            }
        };
        let target = path.namespace.clone().unwrap_or_else(|| namespace.clone());
        if !name::same(&target, &namespace) {
            let text =
                format!("the instance lies in {target}; the current namespace is {namespace}");
            return refuse(store::INVALID_OBJECT_PATH, place, text);
        }
        let is_there = writer.has_namespace(&namespace)?
            && writer.class(&namespace, path.class.as_str())?.is_some()
            && writer.catalog().instance(&namespace, &path)?.is_some();
        if !is_there {
            return self.absent(
                removal,
                OperationKind::Instance,
                format!("there is no {text} in {namespace}"),
            );
        }
        writer
            .delete_instance(&namespace, &path)
            .map_err(|error| placed(error, place))?;
        self.found.clear();
        self.note(
            OperationKind::Instance,
            Outcome::Deleted,
            text,
            removal.target.at,
        );
        Ok(())
    }

    /// Passes over what is not there to be deleted, or refuses it.
    fn absent(&mut self, removal: &Removal<'t>, kind: OperationKind, text: String) -> Fold<()> {
        if removal.must_exist {
            return refuse(store::NOT_FOUND, self.place(removal.target.at), text);
        }
        self.note(
            kind,
            Outcome::Skipped,
            removal.target.value.to_string(),
            removal.target.at,
        );
        Ok(())
    }
}

/// How objects are put under these flags.
const fn put_of(flags: Flags) -> PutClass {
    let put = match (flags.update_only, flags.create_only) {
        (true, _) => Put::UpdateOnly,
        (false, true) => Put::CreateOnly,
        (false, false) => Put::CreateOrUpdate,
    };
    let mode = match flags.mode {
        FlagMode::Compatible => UpdateMode::Compatible,
        FlagMode::Safe => UpdateMode::Safe,
        FlagMode::Force => UpdateMode::Force,
    };
    PutClass { put, mode }
}
