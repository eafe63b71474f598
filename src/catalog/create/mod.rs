//! Creation of a repository: the system classes, ROOT and the first namespaces. Source:
//! `docs::changes`, "A new repository".

mod definitions;

use std::path::Path;
use std::sync::Arc;

use super::Importer;
use crate::base::error::{Error, Result};
use crate::base::io_op::IoOp;
use crate::base::rule::Rule;
use crate::btree::scan::{Direction, KeyRange};
use crate::catalog::ROOT;
use crate::cim::class::Class;
use crate::cim::instance::Instance;
use crate::cim::value::Value;
use crate::format::index::key;
use crate::format::index::object_key::SYSTEM_NAMESPACE;
use crate::security::defaults;
use crate::storage::{Directory, MemStorage, Protection};
use crate::store::BulkBuilder;
use crate::store::{Durability, Engine, EngineOptions};

use definitions::{Item, Values};

/// The version of the engine in `__CIMOMIdentification`.
const VERSION: &str = concat!("cimrepo ", env!("CARGO_PKG_VERSION"));

/// Creates a repository of dialect 2.2 in an existing empty directory, with the system classes,
/// ROOT with its classes and settings, and the namespaces `DEFAULT` and `SECURITY`. Until it is
/// complete there is no repository.
///
/// # Errors
/// The errors of [`build`].
pub fn create(directory: &Directory) -> Result<()> {
    build(directory, |importer| fill(importer, Extent::Usual))
}

impl Engine {
    /// Creates a repository of dialect 2.2 at `path` like [`create`], and opens it for writing with
    /// default options. The directory must be empty or missing; its parent must exist.
    ///
    /// ```
    /// use cimrepo::Engine;
    /// # fn main() -> cimrepo::Result<()> {
    /// # let folder = tempfile::tempdir().expect("a directory");
    /// let path = folder.path().join("Repository");
    /// let engine = Engine::create(&path)?;
    /// assert!(engine.snapshot().catalog().class("ROOT", "__Namespace")?.is_some());
    /// engine.close()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of [`build`]. A directory that was made for the repository is removed again.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let directory = Directory::real(path.as_ref());
        let is_made = make_missing(&directory)?;
        let created = create(&directory);
        if created.is_err() && is_made {
            // A directory that another process has filled in the meantime stays.
            directory.storage.remove_dir(&directory.path).ok();
        }
        created?;
        EngineOptions::new().open_in(&directory)
    }
}

/// Creates the directory if nothing exists there. Returns true if it did.
fn make_missing(directory: &Directory) -> Result<bool> {
    let path = &directory.path;
    let kind = directory.storage.kind(path);
    if kind
        .map_err(|source| Error::io(IoOp::Open, path, source))?
        .is_some()
    {
        return Ok(false);
    }
    let rights = Protection::default().for_directory();
    let made = directory.storage.create_dir_with(path, &rights);
    made.map_err(|source| Error::io(IoOp::Create, path, source))?;
    Ok(true)
}

/// Creates a repository with only the system classes and ROOT: no classes in ROOT, and no namespace
/// below it. It is meant for compiling what another repository exported.
///
/// # Errors
/// The errors of [`build`].
pub fn create_bare(directory: &Directory) -> Result<()> {
    build(directory, |importer| fill(importer, Extent::Bare))
}

/// The amount of content of a new repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Includes the classes and settings of ROOT and the first namespaces.
    Usual,
    /// ROOT itself and the system classes.
    Bare,
}

/// Builds a repository of dialect 2.2, with nothing but what `fill` imports, in an existing empty
/// directory. It is assembled in memory and then written densely. Until it is complete there is no
/// repository.
///
/// # Errors
/// Returns [`Error::InvalidArgument`] if the directory holds anything or nothing is imported,
/// [`Error::Locked`] while another process writes there, [`Error::Io`] if the system refuses, and
/// any error of `fill`.
pub fn build(
    directory: &Directory,
    fill: impl FnOnce(&mut Importer<'_>) -> Result<()>,
) -> Result<()> {
    build_from(directory, &Protection::default(), fill)
}

/// Builds a repository like [`build`], from content that only readers of `source` may see: the
/// files are no more accessible than `source`.
///
/// # Errors
/// The errors of [`build`].
pub fn build_from(
    directory: &Directory,
    source: &Protection,
    fill: impl FnOnce(&mut Importer<'_>) -> Result<()>,
) -> Result<()> {
    // The directory is checked and locked before anything else is done.
    let mut builder = BulkBuilder::create_from(directory.clone(), source)?;
    let storage = MemStorage::new();
    let draft = Directory::new(Arc::new(storage), Path::new("."));
    // The engine needs a repository, and a repository needs a key.
    const FIRST: &[u8] = b"A";
    let mut first = BulkBuilder::create(draft.clone())?;
    first.key(FIRST, None)?;
    first.finish()?;
    let engine = EngineOptions::new()
        .durability(Durability::None)
        .background(false)
        .open_in(&draft)?;
    let mut importer = Importer::new(engine.begin_write()?)?;
    fill(&mut importer)?;
    importer.transaction().remove_key(FIRST)?;
    importer.commit()?;
    let snapshot = engine.snapshot();
    let mut records = std::collections::HashMap::new();
    for key in snapshot.keys(KeyRange::all(), Direction::Forward) {
        let key = key?;
        let text = key.as_bytes();
        let Ok(Some(old)) = key::reference(text) else {
            builder.key(text, None)?;
            continue;
        };
        let new = match records.get(&old) {
            Some(new) => *new,
            None => {
                let new = builder.record(&snapshot.record_view(old)?)?;
                records.insert(old, new);
                new
            }
        };
        let bare = text.split(|&byte| byte == b'.').next().unwrap_or_default();
        builder.key(bare, Some(new))?;
    }
    builder.finish()
}

/// Imports the content of a new repository.
fn fill(importer: &mut Importer<'_>, extent: Extent) -> Result<()> {
    let malformed = || {
        Error::rule(
            Rule::InvalidObject,
            "the definitions of the engine are malformed",
        )
    };
    let mut namespace = SYSTEM_NAMESPACE;
    for item in definitions::items().ok_or_else(malformed)? {
        match item {
            // The definitions begin with the system classes.
            Item::Namespace(ROOT) if extent == Extent::Bare => {
                return importer
                    .changes()
                    .write_singletons(ROOT, &defaults::of_root());
            }
            Item::Namespace(next) => {
                if namespace == ROOT {
                    complete_root(importer)?;
                }
                namespace = next;
            }
            Item::Class(class) => _ = importer.put_class(namespace, &class, None)?,
            Item::Instance(values) => put(importer, namespace, &values)?,
        }
    }
    Ok(())
}

/// The system classes of a new repository as they are defined.
pub(crate) fn system_classes() -> Vec<Class> {
    let items = definitions::items().unwrap_or_default().into_iter();
    let of_system = items.take_while(|item| *item != Item::Namespace(ROOT));
    let class = |item| match item {
        Item::Class(class) => Some(class),
        Item::Namespace(_) | Item::Instance(_) => None,
    };
    of_system.filter_map(class).collect()
}

/// Adds what follows the classes of ROOT: its own descriptor, and the first namespaces.
fn complete_root(importer: &mut Importer<'_>) -> Result<()> {
    importer
        .changes()
        .write_singletons(ROOT, &defaults::of_root())?;
    for name in ["DEFAULT", "SECURITY"] {
        importer
            .changes()
            .create_namespace(&format!(r"{ROOT}\{name}"), None)?;
    }
    Ok(())
}

fn put(importer: &mut Importer<'_>, namespace: &str, values: &Values) -> Result<()> {
    let missing = || {
        Error::rule(
            Rule::InvalidClass,
            format!("{} is not defined", values.class),
        )
    };
    let class = importer
        .catalog()
        .class(namespace, values.class)?
        .ok_or_else(missing)?;
    let mut instance = Instance::new(class.class.clone());
    for (name, text) in &values.values {
        let cim_type = class.class.property(name).map(|property| property.cim_type);
        let value = cim_type.and_then(|cim_type| definitions::value(text, cim_type));
        let value: Value = value.ok_or_else(|| {
            let text = format!("{}.{name} = {text} is malformed", values.class);
            Error::rule(Rule::InvalidObject, text)
        })?;
        instance.set(name, value)?;
    }
    for name in ["VersionUsedToCreateDB", "VersionCurrentlyRunning"] {
        if class.class.property(name).is_some() {
            instance.set(name, VERSION)?;
        }
    }
    importer.put_instance(namespace, &instance, None)?;
    Ok(())
}
