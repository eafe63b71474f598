//! The examples do what they say: eight jobs of a program that embeds the library, in the order in
//! which one would come to them.

#![allow(clippy::unwrap_used)]
#![allow(dead_code, reason = "`main` is for those who run an example itself")]

#[path = "../examples/backup_in_use.rs"]
mod backup_in_use;
#[path = "../examples/create.rs"]
mod create;
#[path = "../examples/define.rs"]
mod define;
#[path = "../examples/delete.rs"]
mod delete;
#[path = "../examples/list.rs"]
mod list;
#[path = "../examples/put.rs"]
mod put;
#[path = "../examples/read.rs"]
mod read;
#[path = "../examples/restore.rs"]
mod restore;

use cimrepo::Error;
use cimrepo::base::rule::Rule;

use read::Shelf;

#[test]
fn the_examples_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let repository = &folder.path().join("Repository");
    let backup = &folder.path().join("monday.cimbak");

    create::create(repository).unwrap();
    define::define(repository).unwrap();
    let (namespaces, classes) = list::list(repository, r"root\Shop").unwrap();
    assert!(namespaces.iter().any(|name| name == r"ROOT\Shop"));
    let mut classes = classes;
    classes.sort();
    assert_eq!(classes, ["LockedShelf", "Shelf"]);

    let path = put::put(repository, "left", 5).unwrap();
    assert_eq!(path, "Shelf.Name=\"left\"");
    let left = Shelf {
        name: "left".into(),
        boards: Some(5),
    };
    assert_eq!(read::read(repository, "left").unwrap(), Some(left));
    assert_eq!(read::read(repository, "right").unwrap(), None);

    let bytes = backup_in_use::backup_in_use(repository, backup).unwrap();
    assert_eq!(bytes, std::fs::metadata(backup).unwrap().len());
    assert!(read::read(repository, "shelf 99").unwrap().is_some());

    delete::delete(repository, "left").unwrap();
    assert_eq!(read::read(repository, "left").unwrap(), None);
    let again = delete::delete(repository, "left").unwrap_err();
    assert!(
        matches!(
            again,
            Error::Rule {
                rule: Rule::NotFound,
                ..
            }
        ),
        "{again}"
    );

    // The backup is of the moment before the writer began.
    restore::restore(backup, repository).unwrap();
    assert!(read::read(repository, "left").unwrap().is_some());
    assert_eq!(read::read(repository, "shelf 0").unwrap(), None);
}
