//! Puts an instance into a repository, there or not.
//!
//! `cargo run --example put -- new/Repository left 5`

use std::path::Path;

use cimrepo::{Engine, Put, Result};

/// Puts the shelf of this name into `root\Shop`, and returns its path.
pub fn put(repository: &Path, name: &str, boards: u64) -> Result<String> {
    let engine = Engine::open(repository)?;
    let mut writer = engine.begin_catalog_write()?;
    // An integer of any size is taken where the property can hold it.
    let instance = writer
        .new_instance(r"root\Shop", "Shelf")?
        .with("Name", name)?
        .with("Boards", boards)?;
    let path = writer.put_instance(r"root\Shop", &instance, Put::CreateOrUpdate)?;
    writer.commit()?;
    engine.close()?;
    Ok(path.to_string())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let repository = arguments.next().unwrap_or_else(|| "Repository".into());
    let name = arguments.next().unwrap_or_else(|| "left".into());
    let boards = arguments.next().and_then(|text| text.parse().ok());
    let path = put(repository.as_ref(), &name, boards.unwrap_or(3))?;
    println!("{path}");
    Ok(())
}
