//! Reads an instance into values of Rust.
//!
//! `cargo run --example read -- new/Repository left`

use std::path::Path;

use cimrepo::{Repository, Result};

/// A shelf, as a program of Rust has it.
#[derive(Debug, PartialEq)]
pub struct Shelf {
    /// Its name.
    pub name: String,
    /// How many boards it has; `None` where the repository says NULL.
    pub boards: Option<u32>,
}

/// Reads the shelf of this name; `None` if there is none.
pub fn read(repository: &Path, name: &str) -> Result<Option<Shelf>> {
    let catalog = Repository::open_read_only(repository)?.catalog();
    let path = format!("Shelf.Name=\"{name}\"").parse()?;
    let Some(stored) = catalog.instance(r"root\Shop", &path)? else {
        return Ok(None);
    };
    // `get` fails where the class has no such property, and gives `None` for NULL.
    let instance = stored.instance;
    let boards = instance.get("Boards")?.map(u32::try_from).transpose()?;
    let name = instance.get("Name")?.map(ToString::to_string);
    Ok(Some(Shelf {
        name: name.unwrap_or_default(),
        boards,
    }))
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let repository = arguments.next().unwrap_or_else(|| "Repository".into());
    let name = arguments.next().unwrap_or_else(|| "left".into());
    match read(repository.as_ref(), &name)? {
        Some(Shelf { name, boards }) => println!("{name}: {boards:?} boards"),
        None => println!("there is no shelf {name}"),
    }
    Ok(())
}
