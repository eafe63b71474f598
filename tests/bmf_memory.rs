//! Memory that binary MOF takes: no more than its bytes are worth. Alone in its program, since the
//! allocator counts all.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

#[path = "support/counting.rs"]
mod counting;
#[path = "support/bmf.rs"]
mod encoder;

use cimrepo::cim::{Class, Flavor, Qualifier};
use cimrepo::format::bmf::{BmfContent, BmfFault, BmfObject, Body, Container, resources};

use counting::peak_of;
use encoder::{body, packed};

/// One test: none may run next to another.
#[test]
fn memory_grows_with_the_bytes() {
    bombs_are_refused_before_anything_is_reserved();
    what_is_unpacked_is_held_once();
    objects_take_a_few_times_their_bytes();
}

fn bombs_are_refused_before_anything_is_reserved() {
    let header = |compressed: u32, body: u32| {
        let words = [1, compressed, body].map(u32::to_le_bytes).concat();
        [b"FOMB", &words[..], b"DS\0\x01"].concat()
    };
    let fault = |bytes: &[u8]| Container::parse(bytes).unwrap_err().fault;
    let claims = |claimed, max| BmfFault::TooLarge { claimed, max };
    assert_eq!(fault(&header(4, 1025)), claims(1025, 1024));
    assert_eq!(
        fault(&header(u32::MAX, u32::MAX)),
        claims(u64::from(u32::MAX), 64 << 20)
    );
    let bytes = header(4, 1024);
    let (found, peak) = peak_of(|| resources(&bytes).filter(|found| found.body.is_ok()).count());
    assert!(found == 0 && peak < 10_000, "{peak}");
}

/// A body of nothing but copies: the most that compressed data can become.
fn what_is_unpacked_is_held_once() {
    const BODY: usize = 1 << 20;
    let zeros = [
        &b"FOMB\x14\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0"[..],
        &vec![0; BODY],
    ]
    .concat();
    let bytes = packed(&zeros);
    assert!(bytes.len() < BODY / 80, "{}", bytes.len());
    let (_, peak) = peak_of(|| resources(&bytes).count());
    // A vector that grows is there twice for a moment, the second time doubled.
    assert!(peak < 13 * BODY / 4, "{peak}");
}

/// As many entries as fit, in three objects, of which one is decoded at a time.
fn objects_take_a_few_times_their_bytes() {
    let object = |name: &str| {
        let mut class = Class::builder(name).build();
        let flag = |number| Qualifier::flag(format!("{number}"), Flavor::empty());
        class.qualifiers = (0..20_000).map(flag).collect();
        let content = BmfContent::Class(class);
        BmfObject {
            offset: 0,
            namespace: None,
            flags: 0,
            alias: None,
            content,
            notes: Vec::new(),
        }
    };
    let bytes = body(&["A", "B", "C"].map(object));
    let length = bytes.len();
    let body = Body::parse(bytes).unwrap();
    let (_, peak) = peak_of(|| body.objects().flatten().count());
    assert!(peak < 5 * length, "{peak} for {length}");
}
