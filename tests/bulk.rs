//! The bulk builder makes repositories that verify clean, whatever goes in.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

use std::sync::Arc;

use cimrepo::base::progress::Unobserved;
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{BulkBuilder, OpenOptions};
use cimrepo::verify::{VerifyOptions, verify};
use cimrepo::{Direction, KeyRange};
use proptest::collection::btree_map;
use proptest::prelude::*;

/// Keys in the manner of an index, each with the length of its record, if it names one.
fn content() -> impl Strategy<Value = std::collections::BTreeMap<String, Option<usize>>> {
    let key = "NS_[0-3]{1}[A-F]{8,60}\\\\C[DIR]_[0-9A-F]{8,64}(\\\\I_[0-9]{1,40}){0,1}";
    let length = prop_oneof![3 => 0..900usize, 1 => 7_000..9_000usize, 1 => 9_000..60_000usize];
    btree_map(key, prop::option::of(length), 1..400)
}

fn bytes_of(key: &str, length: usize) -> Vec<u8> {
    key.bytes().cycle().take(length).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_goes_in_comes_out(content in content(), seed: u64) {
        let directory = Directory::new(Arc::new(MemStorage::new()), ".");
        let mut builder = BulkBuilder::create_seeded(directory.clone(), seed).unwrap();
        let mut expected = Vec::new();
        for (key, length) in &content {
            let reference = length.map(|length| builder.record(&bytes_of(key, length)).unwrap());
            builder.key(key.as_bytes(), reference).unwrap();
            expected.push(reference.map_or_else(|| key.clone(), |reference| format!("{key}.{reference}")));
        }
        builder.finish().unwrap();

        let repository = OpenOptions::new().open_in(&directory).unwrap();
        let report = verify(&repository, VerifyOptions { all_generations: true, ..Default::default() }, &Unobserved).unwrap();
        prop_assert_eq!(report.findings().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
        prop_assert!(report.is_consistent() && report.generations.len() == 3);

        let snapshot = repository.snapshot();
        let keys: Vec<_> = snapshot.keys(KeyRange::all(), Direction::Forward).map(Result::unwrap).collect();
        prop_assert_eq!(keys.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        let mut backward: Vec<_> = snapshot.keys(KeyRange::all(), Direction::Backward).map(Result::unwrap).collect();
        backward.reverse();
        prop_assert_eq!(&backward, &keys);
        for ((key, length), stored) in content.iter().zip(&keys) {
            prop_assert!(snapshot.contains_key(stored.as_bytes()).unwrap());
            prop_assert!(!snapshot.contains_key(&[stored.as_bytes(), b"0"].concat()).unwrap());
            if let Some(length) = length {
                prop_assert_eq!(snapshot.record(stored.reference().unwrap()).unwrap(), bytes_of(key, *length));
            }
        }
        for prefix in ["NS_0", "NS_1A", "NS_2", "NS_"] {
            let prefixed = |direction| snapshot.keys(KeyRange::prefix(prefix.as_bytes()), direction).map(Result::unwrap);
            let expected: Vec<_> = keys.iter().filter(|key| key.as_bytes().starts_with(prefix.as_bytes())).cloned().collect();
            prop_assert_eq!(prefixed(Direction::Forward).collect::<Vec<_>>(), expected.clone());
            let mut backward: Vec<_> = prefixed(Direction::Backward).collect();
            backward.reverse();
            prop_assert_eq!(backward, expected);
        }
    }
}

#[test]
fn disorder_and_impossible_keys_are_refused() {
    let directory = Directory::new(Arc::new(MemStorage::new()), ".");
    let mut builder = BulkBuilder::create(directory).unwrap();
    builder.key(b"NS_B", None).unwrap();
    for bad in [
        &b"NS_A"[..],
        b"NS_B",
        b"",
        b"NS_C\\",
        b"NS_C\0",
        &[b'Z'; 1025],
    ] {
        assert!(builder.key(bad, None).is_err(), "{bad:?}");
    }
}

#[test]
fn without_a_key_there_is_no_repository() {
    let directory = Directory::new(Arc::new(MemStorage::new()), ".");
    assert!(
        BulkBuilder::create(directory.clone())
            .unwrap()
            .finish()
            .is_err()
    );
    assert!(OpenOptions::new().open_in(&directory).is_err());
}
