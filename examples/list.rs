//! Lists the namespaces of a repository, and the classes of one of them.
//!
//! `cargo run --example list -- wbem/Repository 'root\subscription'`

use std::path::Path;

use cimrepo::{Repository, Result};

/// Returns the paths of all namespaces, and the names of the classes in `namespace`.
pub fn list(repository: &Path, namespace: &str) -> Result<(Vec<String>, Vec<String>)> {
    let catalog = Repository::open_read_only(repository)?.catalog();
    let namespaces = catalog.namespaces().into_iter().collect::<Result<_>>()?;
    // One class that cannot be read is one error among the others: here it ends the list.
    let names = catalog
        .classes(namespace)
        .map(|stored| Ok(stored?.class.name().to_string()))
        .collect::<Result<_>>()?;
    Ok((namespaces, names))
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let repository = arguments.next().unwrap_or_else(|| "Repository".into());
    let namespace = arguments.next().unwrap_or_else(|| "root".into());
    let (namespaces, classes) = list(repository.as_ref(), &namespace)?;
    println!("namespaces: {}", namespaces.join(", "));
    println!("classes of {namespace}: {}", classes.join(", "));
    Ok(())
}
