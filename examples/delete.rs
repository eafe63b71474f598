//! Deletes an instance.
//!
//! `cargo run --example delete -- new/Repository left`

use std::path::Path;

use cimrepo::{Engine, Result};

/// Deletes the shelf of this name; fails with [`cimrepo::Error::Rule`] when there is none.
pub fn delete(repository: &Path, name: &str) -> Result<()> {
    let engine = Engine::open(repository)?;
    let mut writer = engine.begin_catalog_write()?;
    let path = format!("Shelf.Name=\"{name}\"").parse()?;
    writer.delete_instance(r"root\Shop", &path)?;
    writer.commit()?;
    engine.close()
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let repository = arguments.next().unwrap_or_else(|| "Repository".into());
    let name = arguments.next().unwrap_or_else(|| "left".into());
    delete(repository.as_ref(), &name)
}
