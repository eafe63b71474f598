//! Links in the target: nothing is written through one, and nothing shows under a name that nobody
//! gave.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cimrepo::backup::{Backup, backup};
use cimrepo::base::error::Error;
use cimrepo::base::progress::Unobserved;
use cimrepo::format::Dialect;
use cimrepo::restore::{Installed, RestoreOptions, RestoreSummary, restore};
use cimrepo::storage::RealStorage;
use cimrepo::store::Engine;
use cimrepo::store::Repository;

use crate::content_of;
use crate::support::{Files, write_to};
use crate::tiny::{NEW, REPLACE, listing, single, sound, tiny};

/// A directory with a repository of version 0 in `target`, files elsewhere in `outside`, and a
/// backup of version 1.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Self { directory };
        for (name, version) in [("target", 0), ("source", 1)] {
            fs::create_dir(place.at(name)).unwrap();
            write_to(&tiny(Dialect::V22, version), &place.at(name), str::to_owned);
        }
        fs::create_dir(place.at("outside")).unwrap();
        backup(
            &Repository::open_read_only(place.at("source")).unwrap(),
            place.at("it.bak"),
            &single(),
            &Unobserved,
        )
        .unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn load(&self, into: &str, options: RestoreOptions) -> cimrepo::Result<RestoreSummary> {
        restore(
            &Backup::open(self.at("it.bak")).unwrap(),
            self.at(into),
            options,
            &Unobserved,
        )
    }

    /// Moves a file of the target out of it and puts a link in its place.
    fn link_out(&self, name: &str) {
        fs::rename(self.at("target").join(name), self.at("outside").join(name)).unwrap();
        symlink(self.at("outside").join(name), self.at("target").join(name)).unwrap();
    }

    fn files(&self, name: &str) -> Files {
        listing(&RealStorage, self.at(name))
    }

    fn names(&self) -> Vec<String> {
        crate::names(&RealStorage, self.directory.path().to_str().unwrap())
    }
}

fn assert_refused(result: cimrepo::Result<RestoreSummary>, what: &str) {
    let error = result.err().unwrap_or_else(|| panic!("{what}: restored"));
    assert!(
        matches!(error, Error::InvalidArgument(_)),
        "{what}: {error}"
    );
    assert!(
        error.to_string().contains("is a symbolic link"),
        "{what}: {error}"
    );
}

#[test]
fn no_file_is_written_through_a_link() {
    for name in [
        "OBJECTS.DATA",
        "INDEX.BTR",
        "MAPPING1.MAP",
        "MAPPING2.MAP",
        "MAPPING3.MAP",
    ] {
        for is_damaged in [false, true] {
            let place = Place::new();
            place.link_out(name);
            if is_damaged {
                fs::write(place.at("target").join("INDEX.BTR"), vec![0xAA; 16_384]).unwrap();
            }
            let before = (place.files("outside"), place.files("target"), place.names());
            assert_refused(place.load("target", REPLACE), name);
            assert!(
                before == (place.files("outside"), place.files("target"), place.names()),
                "{name}"
            );
            assert!(
                Engine::open(place.at("target")).is_err(),
                "{name}: opened for writing"
            );
            assert!(before.0 == place.files("outside"), "{name}");
        }
    }
}

#[test]
fn a_link_that_leads_nowhere_gets_no_file() {
    let place = Place::new();
    fs::remove_file(place.at("target/MAPPING2.MAP")).unwrap();
    symlink(place.at("outside/new"), place.at("target/MAPPING2.MAP")).unwrap();
    assert_refused(place.load("target", REPLACE), "a dangling link");
    assert!(place.files("outside").is_empty());
}

#[test]
fn a_directory_behind_a_link_that_nobody_named_is_left_alone() {
    let place = Place::new();
    fs::create_dir(place.at("wbem")).unwrap();
    symlink(place.at("target"), place.at("wbem/Repository")).unwrap();
    assert_refused(place.load("wbem", REPLACE), "Repository below it");
    assert!(place.files("target") == tiny(Dialect::V22, 0));
}

#[test]
fn a_link_that_was_named_is_followed_but_not_renamed() {
    let place = Place::new();
    symlink(place.at("target"), place.at("link")).unwrap();
    assert!(matches!(
        place.load("link", REPLACE).unwrap().installed,
        Installed::NextGeneration { .. }
    ));
    assert!(
        sound(&RealStorage, place.at("target").to_str().unwrap()).unwrap()
            == content_of((Dialect::V22, 1))
    );
    fs::write(place.at("target/INDEX.BTR"), vec![0xAA; 16_384]).unwrap();
    let before = (place.files("target"), place.names());
    assert_refused(place.load("link", REPLACE), "set aside");
    assert!(before == (place.files("target"), place.names()));
}

#[test]
fn what_waits_for_its_name_and_is_a_link_is_no_leftover() {
    let place = Place::new();
    fs::write(place.at("outside/victim"), b"precious").unwrap();
    fs::create_dir(place.at("empty")).unwrap();
    for name in ["OBJECTS.DATA.restoring", "MAPPING1.MAP.restoring"] {
        symlink(place.at("outside/victim"), place.at("empty").join(name)).unwrap();
        let error = place.load("empty", NEW).unwrap_err();
        assert!(
            matches!(error, Error::InvalidArgument(_)) && error.to_string().contains(name),
            "{error}"
        );
        assert_eq!(fs::read(place.at("outside/victim")).unwrap(), b"precious");
        fs::remove_file(place.at("empty").join(name)).unwrap();
    }
    place.load("empty", NEW).unwrap();
}

#[test]
fn a_file_of_several_names_is_not_written_into() {
    for name in ["OBJECTS.DATA", "INDEX.BTR", "MAPPING3.MAP"] {
        let place = Place::new();
        fs::hard_link(
            place.at("target").join(name),
            place.at("outside").join(name),
        )
        .unwrap();
        let engine = Engine::open(place.at("target"));
        assert!(
            matches!(engine, Err(Error::InvalidArgument(_))),
            "{name}: opened for writing"
        );
        let summary = place.load("target", REPLACE).unwrap();
        let Installed::SetAside { old } = summary.installed else {
            panic!("{name}: {:?}", summary.installed)
        };
        assert!(
            listing(&RealStorage, &old) == tiny(Dialect::V22, 0),
            "{name}"
        );
        assert_eq!(
            fs::read(place.at("outside").join(name)).unwrap(),
            tiny(Dialect::V22, 0)[name]
        );
        assert!(
            sound(&RealStorage, place.at("target").to_str().unwrap()).unwrap()
                == content_of((Dialect::V22, 1))
        );
    }
}

#[test]
fn a_pipe_where_a_file_was_left_is_not_opened() {
    let place = Place::new();
    fs::create_dir(place.at("piped")).unwrap();
    place.load("model", NEW).unwrap();
    fs::copy(
        place.at("model/MAPPING1.MAP"),
        place.at("piped/MAPPING1.MAP.restoring"),
    )
    .unwrap();
    for name in ["OBJECTS.DATA", "MAPPING2.MAP.restoring"] {
        let pipe = place.at("piped").join(name);
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let (file, into) = (place.at("it.bak"), place.at("piped"));
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            sender.send(restore(
                &Backup::open(file).unwrap(),
                into,
                REPLACE,
                &Unobserved,
            ))
        });
        let done = receiver.recv_timeout(std::time::Duration::from_secs(60));
        let error = done
            .unwrap_or_else(|_| panic!("{name} was opened"))
            .unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
        fs::remove_file(&pipe).unwrap();
    }
    assert!(Path::new(&place.at("piped/MAPPING1.MAP.restoring")).exists());
}
