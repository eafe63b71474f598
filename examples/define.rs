//! Defines two classes, one derived from the other.
//!
//! `cargo run --example define -- new/Repository`

use std::path::Path;

use cimrepo::{Class, Engine, Property, PutClass, Result, ScalarType};

/// Defines `Shelf` and `LockedShelf` in `root\Shop`.
pub fn define(repository: &Path) -> Result<()> {
    let engine = Engine::open(repository)?;
    let mut writer = engine.begin_catalog_write()?;
    let shelf = Class::builder("Shelf")
        .property(Property::new("Name", ScalarType::String).key())
        .property(Property::new("Boards", ScalarType::Uint32).default(3))
        .build();
    let locked = Class::builder("LockedShelf")
        .superclass("Shelf")
        .property(Property::new("LockedSince", ScalarType::DateTime))
        .build();
    for class in [shelf, locked] {
        writer.put_class(r"root\Shop", &class, PutClass::CREATE)?;
    }
    // Both are there then, or neither.
    writer.commit()?;
    engine.close()
}

fn main() -> Result<()> {
    let repository = std::env::args().nth(1);
    define(repository.as_deref().unwrap_or("Repository").as_ref())
}
