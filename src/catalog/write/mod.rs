//! Changes of objects: storing and deleting classes, instances and namespaces in a transaction,
//! with all resulting keys and reference records, and the rules of the model. Points on which the
//! documents of WMI are silent are decided in `docs::changes`.
//!
//! [`CatalogWriter`] enforces the rules. [`Importer`] does not: it stores the objects of another
//! repository. [`create()`] makes a new repository.

mod class_update;
mod classes;
mod fit;
mod importer;
mod instances;
mod namespaces;
pub mod part;
mod preview;
mod references;
pub mod rules;
mod stamps;
mod store;
pub(super) mod system;

use std::fmt;
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::moment::Moment;
use crate::catalog::{Catalog, StoredClass};
use crate::cim::class::Class;
use crate::cim::instance::Instance;
use crate::cim::path::ObjectPath;
use crate::format::security::descriptor::SecurityDescriptor;
use crate::store::{Engine, Savepoint, Transaction};

pub use importer::Importer;
pub use preview::Deletion;

use stamps::Stamps;

/// How the existence of the object is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Put {
    /// It may exist and is then replaced (`WBEM_FLAG_CREATE_OR_UPDATE`).
    #[default]
    CreateOrUpdate,
    /// It must not exist (`WBEM_FLAG_CREATE_ONLY`).
    CreateOnly,
    /// It must exist (`WBEM_FLAG_UPDATE_ONLY`).
    UpdateOnly,
}

/// How far a change may go for a class that others depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UpdateMode {
    /// If there are subclasses or instances, only qualifiers that mean nothing to the engine may
    /// change (`WBEM_FLAG_UPDATE_COMPATIBLE`).
    #[default]
    Compatible,
    /// Classes with subclasses may change as long as nothing conflicts
    /// (`WBEM_FLAG_UPDATE_SAFE_MODE`).
    Safe,
    /// Conflicting declarations are removed from subclasses, and instances are rewritten
    /// (`WBEM_FLAG_UPDATE_FORCE_MODE`).
    Force,
}

/// Options for storing a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PutClass {
    /// How the existence of the class is treated.
    pub put: Put,
    /// How far the change may go.
    pub mode: UpdateMode,
}

impl PutClass {
    /// Stores a class that must not exist.
    pub const CREATE: PutClass = PutClass {
        put: Put::CreateOnly,
        mode: UpdateMode::Compatible,
    };
    /// Stores the class whether or not it exists, along with whatever depends on it.
    pub const FORCE: PutClass = PutClass {
        put: Put::CreateOrUpdate,
        mode: UpdateMode::Force,
    };

    /// Stores a class that may exist, changed as far as `mode` permits.
    pub const fn update(mode: UpdateMode) -> Self {
        Self {
            put: Put::CreateOrUpdate,
            mode,
        }
    }
}

/// Rules that a MOF compiler may set aside. By default it must obey all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Leave {
    /// Classes and properties may have system names.
    pub system_names: bool,
    /// An abstract class may be derived from one that is not abstract.
    pub abstract_anywhere: bool,
    /// The properties of a class with instances must not change, even by force.
    pub keeps_layouts: bool,
    /// Instances may be of any class that has keys, and may lack required values.
    pub any_instance: bool,
}

/// The known facts about the objects in a transaction.
pub(crate) struct State {
    /// The present classes. Its instances date from the last change of a class or namespace.
    catalog: Catalog,
    /// True if the catalog shows an older state of classes and namespaces.
    is_stale: bool,
    stamps: Stamps,
    /// True while a change is in progress.
    is_changing: bool,
    /// True if a change failed half-way.
    is_broken: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("is_broken", &self.is_broken)
            .finish_non_exhaustive()
    }
}

impl State {
    pub(crate) fn begin(transaction: &mut Transaction<'_>) -> Result<Self> {
        transaction.keep_referrers();
        let catalog = Catalog::strict(transaction.snapshot());
        let stamps = Stamps::begin(transaction)?;
        Ok(Self {
            catalog,
            is_stale: false,
            stamps,
            is_changing: false,
            is_broken: false,
        })
    }

    /// Discards everything that was known.
    pub(crate) fn reset(&mut self) {
        self.catalog.forget_all();
        (self.is_stale, self.is_broken) = (true, false);
    }

    /// Fails if a change failed half-way.
    pub(crate) fn check(&self) -> Result<()> {
        match self.is_broken {
            true => Err(Error::InvalidOperation(Moment::HalfChanged)),
            false => Ok(()),
        }
    }
}

/// A transaction with the known facts about its objects. All changes are made through it.
///
/// A change first checks whether it is possible, and then takes effect. If something fails in
/// between (the storage, a damaged page), the state is marked and the transaction cannot be
/// committed.
pub(crate) struct Changes<'t, 'e> {
    transaction: &'t mut Transaction<'e>,
    state: &'t mut State,
}

impl<'t, 'e> Changes<'t, 'e> {
    pub(crate) fn new(transaction: &'t mut Transaction<'e>, state: &'t mut State) -> Self {
        Self { transaction, state }
    }
}

/// A transaction over objects. Only it can see its changes until it is committed. Dropping it
/// undoes them.
///
/// ```
/// use cimrepo::{
///     Class, Directory, EngineOptions, Instance, MemStorage, Property, Put, PutClass, ScalarType,
///     create,
/// };
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = Directory::new(std::sync::Arc::new(MemStorage::new()), ".");
/// create(&directory)?;
/// let engine = EngineOptions::new().open_in(&directory)?;
///
/// let mut writer = engine.begin_catalog_write()?;
/// writer.create_namespace(r"ROOT\Shop")?;
/// let shelf = Class::builder("Shop_Shelf")
///     .property(Property::new("Name", ScalarType::String).key())
///     .property(Property::new("Boards", ScalarType::Uint32).default(3u32));
/// let shelf = writer.put_class(r"ROOT\Shop", &shelf.build(), PutClass::CREATE)?;
/// let instance = Instance::new(shelf.class.clone()).with("Name", "left")?;
/// let path = writer.put_instance(r"ROOT\Shop", &instance, Put::CreateOnly)?;
/// assert_eq!(path.to_string(), r#"Shop_Shelf.Name="left""#);
/// writer.commit()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CatalogWriter<'e> {
    transaction: Transaction<'e>,
    state: State,
}

impl Engine {
    /// Begins a transaction over objects. Waits for its turn like
    /// [`begin_write`](Self::begin_write).
    ///
    /// # Errors
    /// The errors of [`begin_write`](Self::begin_write), and [`Error::Corrupt`] or [`Error::Io`] if
    /// the index cannot be read.
    pub fn begin_catalog_write(&self) -> Result<CatalogWriter<'_>> {
        CatalogWriter::new(self.begin_write()?)
    }
}

impl<'e> CatalogWriter<'e> {
    /// Changes objects in a transaction. Earlier changes of the transaction are taken into account.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] or [`Error::Io`] if the index cannot be read.
    pub fn new(mut transaction: Transaction<'e>) -> Result<Self> {
        let state = State::begin(&mut transaction)?;
        Ok(Self { transaction, state })
    }

    fn changes(&mut self) -> Changes<'_, 'e> {
        Changes::new(&mut self.transaction, &mut self.state)
    }

    /// The present objects of the transaction. Later changes do not show.
    pub fn catalog(&mut self) -> Catalog {
        self.changes().now()
    }

    /// Stores a class and rewrites what its change affects: subclasses, instances, and their keys
    /// and references. An existing class that is equal is left as it is.
    ///
    /// # Errors
    /// Returns [`Error::Rule`] if a rule forbids it, in which case nothing has changed,
    /// [`Error::Corrupt`], or [`Error::Io`].
    pub fn put_class(
        &mut self,
        namespace: &str,
        class: &Class,
        how: PutClass,
    ) -> Result<Arc<StoredClass>> {
        self.changes().put_class(namespace, class, how)
    }

    /// Stores a class with some rules set aside; see [`put_class`](Self::put_class).
    pub(crate) fn put_class_with(
        &mut self,
        namespace: &str,
        class: &Class,
        how: PutClass,
        leave: Leave,
    ) -> Result<Arc<StoredClass>> {
        self.changes().put_class_with(namespace, class, how, leave)
    }

    /// Stores an instance with some rules set aside; see [`put_instance`](Self::put_instance).
    pub(crate) fn put_instance_with(
        &mut self,
        namespace: &str,
        instance: &Instance,
        put: Put,
        leave: Leave,
    ) -> Result<ObjectPath> {
        self.changes()
            .put_instance_with(namespace, instance, put, leave)
    }

    /// The present class with this name, in a namespace or, failing that, among the system classes.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] or [`Error::Io`].
    pub fn class(&mut self, namespace: &str, class: &str) -> Result<Option<Arc<StoredClass>>> {
        self.changes().class(namespace, class)
    }

    /// A new instance of the class with this name, with the defaults of the class. It is stored
    /// by [`put_instance`](Self::put_instance).
    ///
    /// # Errors
    /// [`Error::Rule`] when there is no such class; [`Error::Corrupt`], [`Error::Io`].
    pub fn new_instance(&mut self, namespace: &str, class: &str) -> Result<Instance> {
        let stored = self.class(namespace, class)?;
        let stored = stored.ok_or_else(|| instances::no_class(namespace, class))?;
        Ok(Instance::new(stored.class.clone()))
    }

    /// True if a namespace exists at present.
    ///
    /// # Errors
    /// Returns [`Error::Corrupt`] or [`Error::Io`].
    pub fn has_namespace(&mut self, namespace: &str) -> Result<bool> {
        self.changes().schema().has_namespace(namespace)
    }

    /// Deletes a class with its instances, and its subclasses with theirs.
    ///
    /// # Errors
    /// The errors of [`put_class`](Self::put_class).
    pub fn delete_class(&mut self, namespace: &str, class: &str) -> Result<()> {
        self.changes().delete_class(namespace, class)
    }

    /// Stores an instance. Its class is the one of the same name in the namespace, and values are
    /// matched by property name. An instance of `__NAMESPACE` creates a namespace, like
    /// [`create_namespace`](Self::create_namespace).
    ///
    /// # Errors
    /// The errors of [`put_class`](Self::put_class).
    pub fn put_instance(
        &mut self,
        namespace: &str,
        instance: &Instance,
        put: Put,
    ) -> Result<ObjectPath> {
        self.changes().put_instance(namespace, instance, put)
    }

    /// Deletes an instance and the references that it makes. References to it stay, as do the
    /// objects that make them. A path without a namespace refers to `namespace`. Deleting an
    /// instance of `__NAMESPACE` deletes its namespace.
    ///
    /// # Errors
    /// The errors of [`put_class`](Self::put_class).
    pub fn delete_instance(&mut self, namespace: &str, path: &ObjectPath) -> Result<()> {
        self.changes().delete_instance(namespace, path)
    }

    /// Creates a namespace with the descriptor that it inherits. Its parent must exist.
    ///
    /// # Errors
    /// The errors of [`put_class`](Self::put_class).
    pub fn create_namespace(&mut self, namespace: &str) -> Result<()> {
        self.changes().create_namespace(namespace, None)
    }

    /// Creates a namespace with the given descriptor, unchanged.
    ///
    /// # Errors
    /// The errors of [`put_class`](Self::put_class).
    pub fn create_namespace_with(
        &mut self,
        namespace: &str,
        descriptor: &SecurityDescriptor,
    ) -> Result<()> {
        self.changes().create_namespace(namespace, Some(descriptor))
    }

    /// Deletes a namespace with everything in it and below it.
    ///
    /// # Errors
    /// The errors of [`put_class`](Self::put_class).
    pub fn delete_namespace(&mut self, namespace: &str) -> Result<()> {
        self.changes().delete_namespace(namespace)
    }

    /// Counts what deleting a class would remove. Nothing is changed.
    ///
    /// # Errors
    /// The errors of [`delete_class`](Self::delete_class).
    pub fn deletion_of_class(&mut self, namespace: &str, class: &str) -> Result<Deletion> {
        self.changes().deletion_of_class(namespace, class)
    }

    /// Counts what deleting an instance would remove. Nothing is changed.
    ///
    /// # Errors
    /// The errors of [`delete_instance`](Self::delete_instance).
    pub fn deletion_of_instance(&mut self, namespace: &str, path: &ObjectPath) -> Result<Deletion> {
        self.changes().deletion_of_instance(namespace, path)
    }

    /// Counts what deleting a namespace would remove. Nothing is changed.
    ///
    /// # Errors
    /// The errors of [`delete_namespace`](Self::delete_namespace), except for rules that forbid the
    /// deletion.
    pub fn deletion_of_namespace(&mut self, namespace: &str) -> Result<Deletion> {
        self.changes().deletion_of_namespace(namespace)
    }

    /// Sets the descriptor of a namespace to this one, unchanged. Namespaces below it keep theirs.
    ///
    /// # Errors
    /// The errors of [`put_class`](Self::put_class).
    pub fn set_security_descriptor(
        &mut self,
        namespace: &str,
        descriptor: &SecurityDescriptor,
    ) -> Result<()> {
        self.changes()
            .set_security_descriptor(namespace, descriptor)
    }

    /// Marks the present point, like [`Transaction::savepoint`]. Each savepoint costs memory for
    /// the pages that are changed after it.
    pub fn savepoint(&mut self) -> Savepoint {
        self.transaction.savepoint()
    }

    /// Undoes the changes since a savepoint of this transaction.
    pub fn roll_back(&mut self, to: Savepoint) {
        self.transaction.roll_back(to);
        self.state.reset();
    }

    /// The transaction over keys and records. Changes that are made through it to objects that were
    /// already used are not visible here.
    pub fn transaction(&mut self) -> &mut Transaction<'e> {
        self.transaction.forget_referrers();
        &mut self.transaction
    }

    /// Makes the changes permanent.
    ///
    /// # Errors
    /// The errors of [`Transaction::commit`], and [`Error::InvalidOperation`] after a change that
    /// failed half-way.
    pub fn commit(self) -> Result<()> {
        self.state.check()?;
        self.transaction.commit()
    }
}
