//! A new repository.

use cimrepo::catalog::Catalog;
use cimrepo::cim::Value;
use cimrepo::format::index::object_key::SYSTEM_NAMESPACE;
use cimrepo::format::record::class_record::encode_class_record;
use cimrepo::store::OpenOptions;
use sha2::{Digest, Sha256};

use crate::lab::new_repository;
use crate::support::assert_clean;
use crate::support::content::{check_keys, namespaces};

/// Records that another writer made of the definitions: see the file.
const SYSTEM_CLASSES: &str = include_str!("../../testdata/system-classes.txt");

/// Classes whose definitions here are others: they leave away what only describes them, or name
/// another program's version.
const OTHERS: [&str; 13] = [
    "CIM_ClassCreation",
    "CIM_ClassDeletion",
    "CIM_ClassIndication",
    "CIM_ClassModification",
    "CIM_Error",
    "CIM_Indication",
    "CIM_InstCreation",
    "CIM_InstDeletion",
    "CIM_InstIndication",
    "CIM_InstModification",
    "MSFT_ExtendedStatus",
    "MSFT_WmiError",
    r"ROOT:__CIMOMIdentification",
];

#[test]
fn it_is_a_sound_repository() {
    let directory = new_repository();
    let repository = OpenOptions::new().open_in(&directory).unwrap();
    assert_clean(&repository, "a new repository");
    let catalog = Catalog::new(repository.snapshot());
    let content = check_keys(&catalog, "a new repository");
    assert_eq!(
        namespaces(&catalog),
        [SYSTEM_NAMESPACE, "ROOT", r"ROOT\DEFAULT", r"ROOT\SECURITY"]
    );
    assert_eq!(catalog.snapshot().counts().class_definitions, 80);
    // Eight settings of ROOT, two instances in each namespace, and two namespaces below ROOT.
    assert_eq!(content.instances, 8 + 3 * 2 + 2);
}

#[test]
fn classes_are_written_as_another_writer_does() {
    let repository = OpenOptions::new().open_in(&new_repository()).unwrap();
    let catalog = Catalog::new(repository.snapshot());
    let (mut same, mut others) = (0, 0);
    for line in SYSTEM_CLASSES.lines().filter(|line| !line.starts_with('#')) {
        let [dialects, namespace, name, digest] =
            line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        if !dialects.contains("2.2") {
            continue;
        }
        let class = catalog
            .class(namespace, name)
            .unwrap()
            .unwrap_or_else(|| panic!("{namespace}:{name}"));
        let record = encode_class_record(&class.class, 0).unwrap();
        let found: String = Sha256::digest(&record)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let is_other = OTHERS.contains(&name) || OTHERS.contains(&&*format!("{namespace}:{name}"));
        assert_eq!(found == digest, !is_other, "{namespace}:{name}");
        if is_other { others += 1 } else { same += 1 }
    }
    assert_eq!((same, others), (67, OTHERS.len()));
}

#[test]
fn its_settings_and_descriptors_are_those_of_windows() {
    let repository = OpenOptions::new().open_in(&new_repository()).unwrap();
    let catalog = Catalog::new(repository.snapshot());
    let value = |class: &str, property: &str| {
        let path = format!("{class}=@").parse().unwrap();
        catalog
            .instance("ROOT", &path)
            .unwrap()
            .unwrap()
            .instance
            .get(property)
            .unwrap()
            .cloned()
    };
    assert_eq!(
        value("__ArbitratorConfiguration", "TotalCacheDisk"),
        Some(Value::Uint32(1_048_576))
    );
    assert_eq!(
        value("__ProviderHostQuotaConfiguration", "MemoryAllHosts"),
        Some(Value::Uint64(1 << 30))
    );
    let interval = Value::DateTime("00000000000015.000000:000".to_owned());
    assert_eq!(
        value("__EventSinkCacheControl", "ClearAfter"),
        Some(interval)
    );
    let root = catalog.security_of("ROOT").unwrap();
    assert_eq!(
        root.descriptor.to_bytes(),
        cimrepo::security::defaults::of_root().to_bytes()
    );
    for child in [r"ROOT\DEFAULT", r"ROOT\SECURITY"] {
        let expected = cimrepo::security::inheritance::of_new_namespace(&root.descriptor).unwrap();
        assert_eq!(
            catalog.security_of(child).unwrap().descriptor.to_bytes(),
            expected.to_bytes()
        );
    }
}
