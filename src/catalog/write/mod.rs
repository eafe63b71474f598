//! Changes of objects: classes, instances and namespaces put and deleted in a transaction, with
//! every key and reference record that follows from them, and the rules of the model. What is
//! decided where the documents of WMI are silent stands in `docs::changes`.
//!
//! [`CatalogWriter`] holds the rules. [`Importer`] does not: it stores what another repository has.
//! [`create()`] makes a new repository.

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

/// Whether an object has to be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Put {
    /// It may be, and is then replaced (`WBEM_FLAG_CREATE_OR_UPDATE`).
    #[default]
    CreateOrUpdate,
    /// It must not be (`WBEM_FLAG_CREATE_ONLY`).
    CreateOnly,
    /// It must be (`WBEM_FLAG_UPDATE_ONLY`).
    UpdateOnly,
}

/// How far a change of a class may go that others depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UpdateMode {
    /// With derived classes or instances, no further than qualifiers that mean nothing to the
    /// engine (`WBEM_FLAG_UPDATE_COMPATIBLE`).
    #[default]
    Compatible,
    /// Also with derived classes, as long as nothing in them conflicts
    /// (`WBEM_FLAG_UPDATE_SAFE_MODE`).
    Safe,
    /// What conflicts in derived classes is taken out of them, and instances are written anew
    /// (`WBEM_FLAG_UPDATE_FORCE_MODE`).
    Force,
}

/// How a class is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PutClass {
    /// Whether it has to be there already.
    pub put: Put,
    /// How far the change may go.
    pub mode: UpdateMode,
}

impl PutClass {
    /// A class that must not be there.
    pub const CREATE: PutClass = PutClass {
        put: Put::CreateOnly,
        mode: UpdateMode::Compatible,
    };
    /// The class, there or not, with what depends on it.
    pub const FORCE: PutClass = PutClass {
        put: Put::CreateOrUpdate,
        mode: UpdateMode::Force,
    };

    /// A class that may be there, changed as far as this mode allows.
    pub const fn update(mode: UpdateMode) -> Self {
        Self {
            put: Put::CreateOrUpdate,
            mode,
        }
    }
}

/// Rules that a compiler of MOF may leave aside. By default it may leave none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Leave {
    /// Names of the system may be given to classes and properties.
    pub system_names: bool,
    /// An abstract class may be derived from one that is not.
    pub abstract_anywhere: bool,
    /// The properties of a class with instances do not change, by force neither.
    pub keeps_layouts: bool,
    /// Instances may be of any class that has keys, and lack values that they need.
    pub any_instance: bool,
}

/// What is known of the objects in a transaction.
pub(crate) struct State {
    /// Classes as they are now. Instances as they were when a class or namespace changed last.
    catalog: Catalog,
    /// True if the catalog shows an older state of classes and namespaces.
    is_stale: bool,
    stamps: Stamps,
    /// A change is under way.
    is_changing: bool,
    /// A change failed half-way.
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

    /// Nothing that was known needs to hold any more.
    pub(crate) fn reset(&mut self) {
        self.catalog.forget_all();
        (self.is_stale, self.is_broken) = (true, false);
    }

    /// Fails when a change failed half-way.
    pub(crate) fn check(&self) -> Result<()> {
        match self.is_broken {
            true => Err(Error::InvalidOperation(Moment::HalfChanged)),
            false => Ok(()),
        }
    }
}

/// A transaction and what is known of its objects: all changes are made through it.
///
/// A change first looks whether it can be made, and then makes it. When something fails in between
/// (the storage, a damaged page) the state is marked, and the transaction cannot be committed.
pub(crate) struct Changes<'t, 'e> {
    transaction: &'t mut Transaction<'e>,
    state: &'t mut State,
}

impl<'t, 'e> Changes<'t, 'e> {
    pub(crate) fn new(transaction: &'t mut Transaction<'e>, state: &'t mut State) -> Self {
        Self { transaction, state }
    }
}

/// A transaction over objects. Its changes are seen by itself alone until it is committed; dropping
/// it takes them back.
///
/// ```
/// use cimrepo::catalog::{CatalogWriter, Put, PutClass, create};
/// use cimrepo::cim::{Class, Instance, Property, ScalarType};
/// use cimrepo::store::EngineOptions;
/// use cimrepo::storage::{Directory, MemStorage};
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
    /// Begins a transaction over objects; waits for its turn as [`begin_write`](Self::begin_write)
    /// does.
    ///
    /// # Errors
    /// As [`begin_write`](Self::begin_write); [`Error::Corrupt`], [`Error::Io`] when the index
    /// cannot be read.
    pub fn begin_catalog_write(&self) -> Result<CatalogWriter<'_>> {
        CatalogWriter::new(self.begin_write()?)
    }
}

impl<'e> CatalogWriter<'e> {
    /// Changes objects in a transaction. What it holds already counts too.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`] when the index cannot be read.
    pub fn new(mut transaction: Transaction<'e>) -> Result<Self> {
        let state = State::begin(&mut transaction)?;
        Ok(Self { transaction, state })
    }

    fn changes(&mut self) -> Changes<'_, 'e> {
        Changes::new(&mut self.transaction, &mut self.state)
    }

    /// The objects as they are now in the transaction; later changes do not show.
    pub fn catalog(&mut self) -> Catalog {
        self.changes().now()
    }

    /// Stores a class, and writes anew what its change alters: classes derived from it, instances,
    /// their keys and references. A class that is there and the same is left as it is.
    ///
    /// # Errors
    /// [`Error::Rule`] when a rule forbids it: nothing is changed then. [`Error::Corrupt`],
    /// [`Error::Io`].
    pub fn put_class(
        &mut self,
        namespace: &str,
        class: &Class,
        how: PutClass,
    ) -> Result<Arc<StoredClass>> {
        self.changes().put_class(namespace, class, how)
    }

    /// As [`put_class`](Self::put_class), with some rules left aside.
    pub(crate) fn put_class_with(
        &mut self,
        namespace: &str,
        class: &Class,
        how: PutClass,
        leave: Leave,
    ) -> Result<Arc<StoredClass>> {
        self.changes().put_class_with(namespace, class, how, leave)
    }

    /// As [`put_instance`](Self::put_instance), with some rules left aside.
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

    /// The class with this name as it is now, of a namespace or else of the system.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
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

    /// Whether a namespace is there now.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub fn has_namespace(&mut self, namespace: &str) -> Result<bool> {
        self.changes().schema().has_namespace(namespace)
    }

    /// Deletes a class with its instances, the classes derived from it and theirs.
    ///
    /// # Errors
    /// As [`put_class`](Self::put_class).
    pub fn delete_class(&mut self, namespace: &str, class: &str) -> Result<()> {
        self.changes().delete_class(namespace, class)
    }

    /// Stores an instance. Its class is the one of that name in the namespace; values go by the
    /// names of properties. An instance of `__NAMESPACE` makes a namespace, as
    /// [`create_namespace`](Self::create_namespace) does.
    ///
    /// # Errors
    /// As [`put_class`](Self::put_class).
    pub fn put_instance(
        &mut self,
        namespace: &str,
        instance: &Instance,
        put: Put,
    ) -> Result<ObjectPath> {
        self.changes().put_instance(namespace, instance, put)
    }

    /// Deletes an instance and the references that it makes; references to it stay, as the objects
    /// that make them do. A path without namespace means one in `namespace`. An instance of
    /// `__NAMESPACE` takes its namespace with it.
    ///
    /// # Errors
    /// As [`put_class`](Self::put_class).
    pub fn delete_instance(&mut self, namespace: &str, path: &ObjectPath) -> Result<()> {
        self.changes().delete_instance(namespace, path)
    }

    /// Makes a namespace with the descriptor that it inherits. The one above it has to be there.
    ///
    /// # Errors
    /// As [`put_class`](Self::put_class).
    pub fn create_namespace(&mut self, namespace: &str) -> Result<()> {
        self.changes().create_namespace(namespace, None)
    }

    /// As [`create_namespace`](Self::create_namespace), with this descriptor as it is.
    ///
    /// # Errors
    /// As [`put_class`](Self::put_class).
    pub fn create_namespace_with(
        &mut self,
        namespace: &str,
        descriptor: &SecurityDescriptor,
    ) -> Result<()> {
        self.changes().create_namespace(namespace, Some(descriptor))
    }

    /// Deletes a namespace with all that lies in it and below it.
    ///
    /// # Errors
    /// As [`put_class`](Self::put_class).
    pub fn delete_namespace(&mut self, namespace: &str) -> Result<()> {
        self.changes().delete_namespace(namespace)
    }

    /// Counts what deleting a class would take with it. Nothing is changed.
    ///
    /// # Errors
    /// As [`delete_class`](Self::delete_class).
    pub fn deletion_of_class(&mut self, namespace: &str, class: &str) -> Result<Deletion> {
        self.changes().deletion_of_class(namespace, class)
    }

    /// Counts what deleting an instance would take with it. Nothing is changed.
    ///
    /// # Errors
    /// As [`delete_instance`](Self::delete_instance).
    pub fn deletion_of_instance(&mut self, namespace: &str, path: &ObjectPath) -> Result<Deletion> {
        self.changes().deletion_of_instance(namespace, path)
    }

    /// Counts what deleting a namespace would take with it. Nothing is changed.
    ///
    /// # Errors
    /// As [`delete_namespace`](Self::delete_namespace), but for rules that forbid it.
    pub fn deletion_of_namespace(&mut self, namespace: &str) -> Result<Deletion> {
        self.changes().deletion_of_namespace(namespace)
    }

    /// Sets the descriptor of a namespace to this one, as it is. Namespaces below keep theirs.
    ///
    /// # Errors
    /// As [`put_class`](Self::put_class).
    pub fn set_security_descriptor(
        &mut self,
        namespace: &str,
        descriptor: &SecurityDescriptor,
    ) -> Result<()> {
        self.changes()
            .set_security_descriptor(namespace, descriptor)
    }

    /// This moment, as [`Transaction::savepoint`]. Each one costs memory for the pages that are
    /// changed behind it.
    pub fn savepoint(&mut self) -> Savepoint {
        self.transaction.savepoint()
    }

    /// Takes back what was changed since a savepoint of this transaction.
    pub fn roll_back(&mut self, to: Savepoint) {
        self.transaction.roll_back(to);
        self.state.reset();
    }

    /// The transaction over keys and records. Changes that are made there of objects met before are
    /// not seen here.
    pub fn transaction(&mut self) -> &mut Transaction<'e> {
        self.transaction.forget_referrers();
        &mut self.transaction
    }

    /// Makes the changes permanent.
    ///
    /// # Errors
    /// As [`Transaction::commit`]; [`Error::InvalidOperation`] after a change that failed half-way.
    pub fn commit(self) -> Result<()> {
        self.state.check()?;
        self.transaction.commit()
    }
}
