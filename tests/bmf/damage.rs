//! Damage is an error with an offset, whatever it is, and costs no more than the bytes are worth.

use cimrepo::format::bmf::{BmfFault, Body, resources};

use crate::encoder::{body, container};
use crate::made::Chance;

/// Objects of a sample: few, as each of its bytes is changed in turn.
const COUNT: usize = 4;

fn sample() -> Vec<cimrepo::format::bmf::BmfObject> {
    let mut chance = Chance(7);
    (0..COUNT).map(|_| chance.any()).collect()
}

/// Decodes whatever is there; gives the number of objects and of errors.
fn look(bytes: &[u8]) -> (usize, usize) {
    let (mut objects, mut errors) = (0, 0);
    for resource in resources(bytes) {
        let Ok(body) = resource
            .body
            .map_err(|error| assert!(error.offset <= bytes.len(), "{error}"))
        else {
            errors += 1;
            continue;
        };
        for object in body.objects() {
            match object {
                Ok(_) => objects += 1,
                Err(error) => {
                    errors += 1;
                    assert!(error.offset <= body.bytes().len() && !error.to_string().is_empty());
                }
            }
        }
    }
    (objects, errors)
}

#[test]
fn a_file_that_is_cut_anywhere_is_an_error() {
    let whole = container(&sample());
    assert_eq!(look(&whole), (COUNT, 0));
    for end in 0..whole.len() {
        let (objects, errors) = look(&whole[..end]);
        assert_eq!(
            (objects, errors),
            (0, usize::from(end >= 8)),
            "cut at {end}"
        );
    }
}

#[test]
fn a_body_that_is_cut_anywhere_is_an_error() {
    let whole = body(&sample());
    for end in 0..whole.len() {
        let Ok(body) = Body::parse(whole[..end].to_vec()) else {
            continue;
        };
        let faults = body.objects().filter(Result::is_err).count();
        // Without its table alone a body is one of an older compiler.
        let is_old =
            end == usize::try_from(u32::from_le_bytes(*whole[4..].first_chunk().unwrap())).unwrap();
        assert_eq!(faults > 0, !is_old, "cut at {end}");
    }
}

#[test]
fn changed_bytes_break_nothing() {
    let whole = container(&sample());
    for at in 0..whole.len() {
        for bit in [1, 0x80, 0xFF] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            look(&changed);
        }
    }
    // The compression hides most structures from such changes.
    let whole = body(&sample());
    for at in 0..whole.len() {
        for byte in [
            0,
            4,
            0xFF,
            whole[at] ^ 1,
            whole[at].wrapping_add(4),
            whole[at].wrapping_sub(4),
        ] {
            let mut changed = whole.clone();
            changed[at] = byte;
            let Ok(body) = Body::parse(changed) else {
                continue;
            };
            assert!(body.objects().count() <= body.count() + 1);
        }
    }
}

#[test]
fn one_bad_object_hides_no_other() {
    let objects = sample();
    let mut bytes = body(&objects);
    // The kind of the third object.
    let mut at = 20;
    for _ in 0..2 {
        at += usize::try_from(u32::from_le_bytes(*bytes[at..].first_chunk().unwrap())).unwrap();
    }
    bytes[at + 16] = 9;
    let decoded: Vec<_> = Body::parse(bytes)
        .unwrap()
        .objects()
        .map(|object| object.map_err(|error| error.fault))
        .collect();
    assert_eq!(decoded.len(), COUNT);
    assert_eq!(decoded.iter().filter(|object| object.is_err()).count(), 1);
    assert_eq!(decoded[2], Err(BmfFault::Kind(9)));
}

#[test]
fn a_damaged_file_hides_no_other() {
    let one = container(&sample());
    let mut longer = one.clone();
    // It claims bytes of the next one.
    longer[8] = longer[8].wrapping_add(40);
    assert_eq!(
        look(&[longer, one.clone()].concat()),
        (2 * COUNT, 0),
        "its own bytes are enough"
    );
    let mut broken = one.clone();
    broken[16] = 0;
    assert_eq!(look(&[&broken[..], &one].concat()), (COUNT, 1));
    assert_eq!(look(&[&broken[..300], &one].concat()), (COUNT, 1));
}

/// Headers that begin at each eighth byte, each claiming the rest of the file.
#[test]
fn headers_one_in_the_other_cost_no_square() {
    let count = 20_000;
    let bytes: Vec<u8> = (0..count).flat_map(|_| *b"FOMB\x01\0\0\0").collect();
    assert_eq!(look(&bytes).1, count);
    let nested: Vec<u8> = (0..4_000u32)
        .flat_map(|number| {
            let rest = (4_000 - number) * 64 - 16;
            let words = [1, rest, rest.min(1 << 16)].map(u32::to_le_bytes).concat();
            let mut bytes = [b"FOMB", &words[..], b"DS\0\x01"].concat();
            bytes.resize(64, 0x2A);
            bytes
        })
        .collect();
    look(&nested);
}
