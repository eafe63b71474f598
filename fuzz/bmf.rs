//! The target `bmf`: the input is a file with binary MOF, and also a body that is unpacked already,
//! since few changes of compressed data become changes of a structure.

use std::hint::black_box;

use cimrepo::format::bmf::{BmfPrinter, Body, resources};

/// Runs the target on an input.
pub(crate) fn bmf(input: &[u8]) {
    let mut end = 0;
    for found in resources(input) {
        assert!(
            found.offset >= end && found.offset + found.bytes <= input.len(),
            "found where it is"
        );
        end = found.offset + 8;
        match found.body {
            Ok(body) => look(&body),
            Err(error) => assert!(error.offset <= input.len() && !error.to_string().is_empty()),
        }
    }
    if let Ok(body) = Body::parse(input.to_vec()) {
        look(&body);
    }
}

fn look(body: &Body) {
    let mut printer = BmfPrinter::new();
    let (mut objects, mut errors) = (0, 0);
    for object in body.objects() {
        match object {
            Ok(object) => {
                objects += 1;
                assert!(object.offset < body.bytes().len());
                black_box(printer.object(&object));
            }
            Err(error) => {
                errors += 1;
                assert!(error.offset <= body.bytes().len() && !error.to_string().is_empty());
            }
        }
    }
    assert!(objects <= body.count() && errors <= body.count() + 1);
    assert!(
        objects == body.count() || errors > 0,
        "an object that is lost is an error"
    );
}
