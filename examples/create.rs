//! Creates a repository with a namespace of its own.
//!
//! `cargo run --example create -- new/Repository`

use std::path::Path;

use cimrepo::{Engine, Result};

/// Creates a repository in a missing or empty directory, with the namespace `root\Shop`.
pub fn create(repository: &Path) -> Result<()> {
    let engine = Engine::create(repository)?;
    let mut writer = engine.begin_catalog_write()?;
    writer.create_namespace(r"root\Shop")?;
    writer.commit()?;
    // Dropping the engine closes it too; this way an error is seen.
    engine.close()
}

fn main() -> Result<()> {
    let repository = std::env::args().nth(1);
    create(repository.as_deref().unwrap_or("Repository").as_ref())
}
