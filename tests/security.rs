//! The security descriptors of repositories that Windows wrote. Which ones there are is up to the
//! machine; nothing here knows their content.
//!
//! Each namespace keeps its descriptor in the one instance of `__thisNAMESPACE`, whose index key
//! says so by hashes. In the record behind it stands, as value of the array, the length of the
//! descriptor and then its bytes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use cimrepo::format::Dialect;
use cimrepo::format::security::acl::{AceFlags, Acl};
use cimrepo::format::security::descriptor::{Control, Dacl, SecurityDescriptor};
use cimrepo::format::security::sid::Sid;
use cimrepo::security::{AccessRights, Caller, access, inheritance, methods, sddl};
use cimrepo::service::Root;
use cimrepo::store::{Repository, Snapshot};
use cimrepo::{Direction, KeyRange};

use support::{corpus, name_of};

/// The hash of a name in keys of dialect 2.2.
fn hash(name: &str) -> String {
    let text: Vec<u8> = name
        .to_uppercase()
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

/// The hashes of `__THISNAMESPACE` and of `@`, by dialect; those of 2.1 are MD5.
fn singleton(dialect: Dialect) -> String {
    match dialect {
        Dialect::V21 => {
            "CI_644C0907A53790A09D448C09530D58E6\\IL_18BA379108CD7CCC2FA0FD754AD45A25".to_owned()
        }
        Dialect::V22 => format!("CI_{}\\IL_{}", hash("__thisNAMESPACE"), hash("@")),
    }
}

/// The records of instances of a class by the hash of their namespace: `family` is what the key has
/// behind it.
fn records(snapshot: &Snapshot, family: &str) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut found: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for key in snapshot
        .keys(KeyRange::all(), Direction::Forward)
        .map(Result::unwrap)
    {
        let text = String::from_utf8(key.as_bytes().to_vec()).unwrap();
        let Some((namespace, rest)) = text.split_once('\\') else {
            continue;
        };
        if rest.starts_with(family) {
            let record = snapshot.record(key.reference().unwrap()).unwrap();
            found
                .entry(namespace.to_owned())
                .or_default()
                .push(record.to_vec());
        }
    }
    found
}

/// The bytes of the descriptor in a record: the one array of bytes that ends with it and begins
/// like a descriptor.
fn descriptor_in(record: &[u8]) -> &[u8] {
    let starts = record
        .windows(4)
        .enumerate()
        .filter(|(_, head)| head[..2] == [1, 0] && head[3] & 0x80 != 0);
    let arrays = starts.filter_map(|(at, _)| {
        let length = u32::from_le_bytes(record[at.checked_sub(4)?..at].try_into().unwrap());
        record
            .get(at..at + usize::try_from(length).unwrap())
            .filter(|bytes| bytes.len() >= 20)
    });
    let found: Vec<&[u8]> = arrays
        .filter(|bytes| SecurityDescriptor::parse(bytes).is_ok())
        .collect();
    assert_eq!(found.len(), 1, "one descriptor in {record:02X?}");
    found[0]
}

/// The descriptors of a repository by the hash of their namespace.
fn descriptors(path: &Path) -> (Dialect, BTreeMap<String, Vec<u8>>) {
    let snapshot = Repository::open_read_only(path).unwrap().snapshot();
    let dialect = snapshot.dialect();
    let found = records(&snapshot, &singleton(dialect))
        .into_iter()
        .map(|(namespace, records)| {
            assert_eq!(records.len(), 1, "{namespace}");
            (namespace, descriptor_in(&records[0]).to_vec())
        });
    (dialect, found.collect())
}

#[test]
fn every_descriptor_is_read_and_written_byte_for_byte() {
    for path in corpus("every_descriptor_is_read_and_written_byte_for_byte") {
        let (dialect, descriptors) = descriptors(&path);
        assert!(!descriptors.is_empty(), "{}", name_of(&path));
        let mut spare = 0;
        for bytes in descriptors.values() {
            let descriptor = SecurityDescriptor::parse(bytes).unwrap();
            assert_eq!(descriptor.to_bytes(), *bytes);
            assert_eq!(
                descriptor.clone().canonical().to_bytes(),
                *bytes,
                "Windows' own layout"
            );
            let Dacl::List(list) = descriptor.dacl() else {
                panic!("a namespace has a list")
            };
            spare += usize::from(!list.spare().is_empty());
            let tight = descriptor
                .clone()
                .with_dacl(Acl::new(list.entries().to_vec()).unwrap());
            let administrator = Caller::local(Sid::USERS).in_groups([Sid::ADMINISTRATORS]);
            assert_eq!(
                access::granted(&tight, &administrator),
                access::granted(&descriptor, &administrator)
            );
        }
        println!(
            "{}: {dialect}, {} descriptors, {spare} of them with spare bytes",
            name_of(&path),
            descriptors.len()
        );
    }
}

#[test]
fn the_service_reads_the_descriptor_that_root_has() {
    for path in corpus("the_service_reads_the_descriptor_that_root_has") {
        let snapshot = Repository::open_read_only(&path).unwrap().snapshot();
        let root = Root::new(&|| Ok(snapshot.clone())).security().unwrap();
        let namespace = root.as_security();
        let (dialect, descriptors) = descriptors(&path);
        let stored = match dialect {
            Dialect::V22 => descriptors[&format!("NS_{}", hash("ROOT"))].clone(),
            // Its hash is another; one of those that are there it has to be.
            Dialect::V21 => descriptors
                .values()
                .find(|bytes| **bytes == namespace.descriptor.to_bytes())
                .unwrap()
                .clone(),
        };
        assert_eq!(
            namespace.descriptor.to_bytes(),
            stored,
            "{}",
            name_of(&path)
        );
        assert!(!namespace.requires_encryption);
    }
}

#[test]
fn every_descriptor_keeps_the_rules_of_namespaces_and_has_a_text() {
    for path in corpus("every_descriptor_keeps_the_rules_of_namespaces_and_has_a_text") {
        for bytes in descriptors(&path).1.values() {
            let descriptor = SecurityDescriptor::parse(bytes).unwrap();
            assert_eq!(
                (descriptor.owner(), descriptor.group()),
                (Some(&Sid::ADMINISTRATORS), Some(&Sid::ADMINISTRATORS))
            );
            methods::check_entries(&inheritance::explicit(&descriptor)).unwrap();
            let text = sddl::print(&descriptor).unwrap();
            let said = sddl::parse(&text).unwrap();
            assert_eq!(sddl::print(&said).unwrap(), text);
            assert_eq!(
                (said.control(), said.sacl()),
                (descriptor.control(), descriptor.sacl()),
                "{text}"
            );
            let owner = Caller::local(Sid::ADMINISTRATORS);
            let of_owner = AccessRights::READ_CONTROL | AccessRights::WRITE_DAC;
            assert!(
                access::granted(&descriptor, &owner).contains(of_owner),
                "{text}"
            );
        }
    }
}

/// Namespaces of dialect 2.2 by path, each with its parent. The name of a child is a text in its
/// record between zeros; which one, the hash of the path tells.
fn namespaces(
    snapshot: &Snapshot,
    known: &BTreeMap<String, Vec<u8>>,
) -> Vec<(String, Option<String>)> {
    let mut children = records(snapshot, &format!("CI_{}\\IL_", hash("__NAMESPACE")));
    let mut found = vec![("ROOT".to_owned(), None)];
    let mut next = 0;
    while let Some((path, _)) = found.get(next).cloned() {
        for record in children
            .remove(&format!("NS_{}", hash(&path)))
            .unwrap_or_default()
        {
            let texts = record
                .split(|&byte| byte == 0)
                .filter_map(|text| str::from_utf8(text).ok());
            let paths = texts.map(|text| format!("{path}\\{text}"));
            let is_known = |path: &String| known.contains_key(&format!("NS_{}", hash(path)));
            let paths: Vec<String> = paths.filter(is_known).collect();
            assert_eq!(paths.len(), 1, "one child of {path} by {record:02X?}");
            found.push((paths[0].clone(), Some(path.clone())));
        }
        next += 1;
    }
    assert!(children.is_empty(), "every namespace is reached from ROOT");
    found
}

#[test]
fn what_windows_made_of_parent_and_child_is_what_inheritance_makes() {
    for path in corpus("what_windows_made_of_parent_and_child_is_what_inheritance_makes") {
        let snapshot = Repository::open_read_only(&path).unwrap().snapshot();
        if snapshot.dialect() == Dialect::V21 {
            println!(
                "{}: dialect 2.1, whose names are hashed by MD5: not looked at here",
                name_of(&path)
            );
            continue;
        }
        let descriptors = descriptors(&path).1;
        let of = |path: &str| {
            SecurityDescriptor::parse(&descriptors[&format!("NS_{}", hash(path))]).unwrap()
        };
        let namespaces = namespaces(&snapshot, &descriptors);
        assert_eq!(namespaces.len(), descriptors.len());
        let (mut defaults, mut own, mut protected) = (0, 0, 0);
        for (path, parent) in namespaces {
            let stored = of(&path);
            let parent = parent.map(|parent| of(&parent));
            let is_own = !inheritance::explicit(&stored).is_empty() || parent.is_none();
            let made = match &parent {
                Some(parent) if !is_own && !stored.control().contains(Control::DACL_PROTECTED) => {
                    defaults += 1;
                    inheritance::of_new_namespace(parent).unwrap()
                }
                _ => {
                    own += 1;
                    inheritance::merged(&stored, parent.as_ref()).unwrap()
                }
            };
            let is_protected = stored.control().contains(Control::DACL_PROTECTED);
            protected += usize::from(is_protected);
            let inherited = |descriptor: &SecurityDescriptor| {
                let Dacl::List(list) = descriptor.dacl() else {
                    panic!("a namespace has a list")
                };
                list.entries()
                    .iter()
                    .filter(|ace| ace.flags.contains(AceFlags::INHERITED))
                    .count()
            };
            assert!(
                !is_protected || inherited(&stored) == 0,
                "{path}: protected, and inherits"
            );
            let text = |descriptor| sddl::print(descriptor).unwrap();
            assert_eq!(text(&made), text(&stored), "{path}");
            if !is_own {
                assert_eq!(made.to_bytes(), stored.to_bytes(), "{path}");
            }
        }
        println!(
            "{}: {defaults} inherit alone, {own} have own entries, {protected} are protected",
            name_of(&path)
        );
    }
}
