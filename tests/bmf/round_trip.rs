//! What is written is read again.

use cimrepo::format::bmf::{BmfObject, resources};
use proptest::prelude::*;

use crate::encoder::{compress, container};
use crate::made::Chance;

/// The objects of the only binary MOF in a file; nothing is wrong with it.
pub fn read(bytes: &[u8]) -> Vec<BmfObject> {
    let mut found = resources(bytes);
    let body = found.next().expect("one is found").body.unwrap();
    assert!(
        found.next().is_none() && body.notes().is_empty(),
        "{:?}",
        body.notes()
    );
    body.objects().collect::<Result<_, _>>().unwrap()
}

/// An object without its place.
fn content(object: &BmfObject) -> BmfObject {
    BmfObject {
        offset: 0,
        ..object.clone()
    }
}

proptest! {
    #[test]
    fn objects_are_read_as_they_were_written(seed: u64, count in 0..6usize, padding in 0..40usize) {
        let mut chance = Chance(seed);
        let objects: Vec<BmfObject> = (0..count).map(|_| chance.any()).collect();
        // As a resource of a binary: with bytes on both sides.
        let bytes = [vec![0x4D; padding], container(&objects), vec![0; padding]].concat();
        let again: Vec<BmfObject> = read(&bytes).iter().map(content).collect();
        prop_assert_eq!(again, objects);
    }

    #[test]
    fn any_bytes_are_unpacked_as_they_were_packed(bytes in prop::collection::vec(0u8..4, 0..3000)) {
        // A body must begin as one, and a container tells nothing of one that does not.
        let body = [&b"FOMB\x14\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0"[..], &bytes].concat();
        let packed = compress(&body);
        let words = [1, packed.len(), body.len()].map(|word| u32::try_from(word).unwrap().to_le_bytes()).concat();
        let bytes = [b"FOMB", &words[..], &packed].concat();
        let found = resources(&bytes).next().unwrap();
        prop_assert_eq!(found.bytes, bytes.len());
        let unpacked = found.body.unwrap();
        prop_assert_eq!(unpacked.bytes(), body);
    }
}
