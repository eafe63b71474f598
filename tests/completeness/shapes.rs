//! Repositories that lost or gained what nobody put there, each as its files.

use cimrepo::base::page_no::{PAGE_SIZE, Space};
use cimrepo::catalog::Catalog;
use cimrepo::catalog::{CatalogWriter, Put, PutClass};
use cimrepo::cim::{Class, FullClass, Instance, ObjectPath, Property, ScalarType};
use cimrepo::store::EngineOptions;

use crate::lab::{keyed, made};
use crate::support::small::{current_file, mapping_in};
use crate::support::{Files, in_memory};

/// The namespaces of [`populated`], below `ROOT`.
pub const NAMESPACES: [&str; 3] = [r"ROOT\Shop", r"ROOT\Shop\Back", r"ROOT\Yard"];

fn text(seed: u64, length: u64) -> String {
    let letter = |at: u64| char::from(b'a' + u8::try_from((seed * 7 + at * at) % 26).unwrap());
    (0..length).map(letter).collect()
}

/// Three namespaces; in each classes `Base`, `Mid : Base`, `Leaf : Mid` and others, and instances
/// of them on several pages.
pub fn populated() -> Files {
    made(|writer| {
        for namespace in NAMESPACES {
            writer.create_namespace(namespace)?;
            let note =
                |class: &str| Property::new(format!("{class}Note").as_str(), ScalarType::String);
            let mut above: Option<&str> = None;
            for class in ["Base", "Mid", "Leaf"] {
                let builder = match above {
                    None => keyed(class),
                    Some(above) => Class::builder(class).superclass(above),
                };
                let class_ = builder.property(note(class)).build();
                let full = writer
                    .put_class(namespace, &class_, PutClass::CREATE)?
                    .class
                    .clone();
                put_some(writer, namespace, &full, class)?;
                above = Some(class);
            }
            for number in 0..12u64 {
                let name = format!("Filler{number}");
                let filler =
                    Property::new("Text", ScalarType::String).default(text(number, 900).as_str());
                writer.put_class(
                    namespace,
                    &keyed(&name).property(filler).build(),
                    PutClass::CREATE,
                )?;
            }
        }
        Ok(())
    })
}

fn put_some(
    writer: &mut CatalogWriter<'_>,
    namespace: &str,
    class: &std::sync::Arc<FullClass>,
    name: &str,
) -> cimrepo::Result<()> {
    for number in 0..6u32 {
        let id = number
            + if name == "Leaf" {
                500
            } else {
                100 * u32::try_from(name.len()).unwrap()
            };
        let note = text(id.into(), 700);
        let instance = Instance::new(class.clone()).with("Id", id).unwrap();
        let instance = instance
            .with(&format!("{name}Note"), note.as_str())
            .unwrap();
        writer.put_instance(namespace, &instance, Put::CreateOnly)?;
    }
    Ok(())
}

/// The files after changes of keys and records that no rule of the model allows.
pub fn tampered(
    files: &Files,
    change: impl FnOnce(&mut CatalogWriter<'_>) -> cimrepo::Result<()>,
) -> Files {
    let (storage, directory) = in_memory(files);
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory)
        .unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    change(&mut writer).unwrap();
    writer.commit().unwrap();
    engine.close().unwrap();
    let place = std::path::Path::new(crate::support::PLACE);
    files
        .keys()
        .filter_map(|name| Some((name.clone(), storage.get(place.join(name))?)))
        .collect()
}

/// Takes all keys of one namespace away that stand for children of it: what lies in them is hidden.
pub fn hide_children(writer: &mut CatalogWriter<'_>, parent: &str) -> cimrepo::Result<()> {
    let catalog = writer.catalog();
    let own = catalog.keys().instances(parent, "__NAMESPACE");
    let keyed = catalog.keys().keyed_instances(parent, "__NAMESPACE");
    let keys = [own, keyed]
        .iter()
        .flat_map(|prefix| crate::support::content::keys(&catalog, prefix))
        .collect::<Vec<_>>();
    for key in &keys {
        writer.transaction().remove_key(key.as_bytes())?;
    }
    for record in keys
        .iter()
        .filter_map(cimrepo::format::index::key::Key::reference)
        .collect::<std::collections::BTreeSet<_>>()
    {
        writer.transaction().remove_record(record)?;
    }
    Ok(())
}

/// Puts a second object beside the one of a key, with the record that `change` makes of its bytes.
pub fn double(
    writer: &mut CatalogWriter<'_>,
    key: &str,
    change: impl FnOnce(&mut Vec<u8>),
) -> cimrepo::Result<()> {
    let record = writer
        .catalog()
        .snapshot()
        .reference(key.as_bytes())?
        .expect("the key is there");
    let mut bytes = writer.catalog().snapshot().record(record)?;
    change(&mut bytes);
    let again = writer.transaction().insert_record(&bytes)?;
    writer
        .transaction()
        .insert_key(format!("{key}.{again}").as_bytes())?;
    Ok(())
}

/// `populated`, with two instances of the path `ROOT\Yard:Base.Id=400`, which differ in a letter of
/// their note.
pub fn doubled(letter: u8) -> Files {
    tampered(&populated(), |writer| {
        let keys = writer.catalog().keys().clone();
        double(
            writer,
            &keys.instance(r"ROOT\Yard", "Base", "400"),
            |bytes| {
                let last = bytes.len() - 2;
                bytes[last] = letter;
            },
        )
    })
}

/// A chain of classes without its top, stored as keys and records alone; and the number of classes.
pub fn headless_chain(length: usize) -> Files {
    tampered(&made(|_| Ok(())), |writer| {
        let mut above =
            std::sync::Arc::new(FullClass::compose(keyed("Chain0").build(), None).unwrap());
        let keys = writer.catalog().keys().clone();
        for number in 1..length {
            let (name, superclass) = (format!("Chain{number}"), format!("Chain{}", number - 1));
            // Composed over its superclass alone: the record of a class says no more of those
            // above.
            let class = Class::builder(name.as_str())
                .superclass(superclass.as_str())
                .build();
            let class = FullClass::compose(class, Some(above.clone())).unwrap();
            let bytes = cimrepo::format::record::class_record::encode_class_record(
                &class,
                number as u64 + 1,
            )
            .unwrap();
            let record = writer.transaction().insert_record(&bytes)?;
            writer
                .transaction()
                .insert_key(format!("{}.{record}", keys.class("ROOT", &name)).as_bytes())?;
            let alone = Class::builder(name.as_str())
                .property(Property::new("Id", ScalarType::Uint32).key())
                .build();
            above = std::sync::Arc::new(FullClass::compose(alone, None).unwrap());
        }
        Ok(())
    })
}

/// Zeroes the physical page of a logical one in the current generation.
pub fn zero_page(files: &mut Files, space: Space, page: u32) {
    let mapping = mapping_in(files, &current_file(files));
    let page = cimrepo::base::page_no::LogicalPage::new(page).unwrap();
    let Some(physical) = mapping.section(space).resolve(page) else {
        return;
    };
    let file = crate::support::small::data_mut(files, space);
    file[physical.index() * PAGE_SIZE..][..PAGE_SIZE].fill(0);
}

/// The logical pages of a space that have a page.
pub fn mapped(files: &Files, space: Space) -> Vec<u32> {
    mapping_in(files, &current_file(files))
        .section(space)
        .mapped()
        .map(|(page, ..)| page.get())
        .collect()
}

/// The mapped pages of a space that the newest generation did not write itself.
pub fn older(files: &Files, space: Space) -> Vec<u32> {
    let mapping = mapping_in(files, &current_file(files));
    let entries = mapping
        .section(space)
        .mapped()
        .filter(|(.., entry)| entry.last_write < mapping.generation());
    entries.map(|(page, ..)| page.get()).collect()
}

/// Whether a path is found.
pub fn finds(catalog: &Catalog, namespace: &str, path: &str) -> bool {
    let path: ObjectPath = path.parse().unwrap();
    catalog
        .instance(namespace, &path)
        .is_ok_and(|found| found.is_some())
}
