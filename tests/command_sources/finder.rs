//! The search for repositories below a directory, also in trees that were made to keep it busy.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cimrepo::base::progress::{Progress, Unobserved};
use cimrepo::collection::{Finder, Found, Reason};
use cimrepo::storage::{
    DirEntry, Directory, EntryKind, MemStorage, OpenMode, RawEntry, RawKind, Storage, StorageFile,
};

fn tree(files: &[&str]) -> Directory {
    let storage = MemStorage::new();
    for file in files {
        storage.put(Path::new("evidence").join(file), Vec::new());
    }
    Directory::new(Arc::new(storage), "evidence")
}

fn find(files: &[&str]) -> Found {
    Finder::new().find(&tree(files), &Unobserved).unwrap()
}

fn paths(found: &Found) -> Vec<String> {
    let path = |path: &PathBuf| {
        path.strip_prefix("evidence")
            .unwrap()
            .to_str()
            .unwrap()
            .replace('\\', "/")
    };
    found.repositories.iter().map(path).collect()
}

#[test]
fn repositories_are_found_wherever_they_lie_and_whatever_their_case() {
    let found = find(&[
        "C/Windows/System32/wbem/Repository/OBJECTS.DATA",
        "C/Windows/System32/wbem/Repository.001/objects.data",
        "C/Windows/System32/wbem/repository.old/Mapping2.map",
        "C/Windows/System32/wbem/AutoRecover/x.mof",
        "C/Windows.old/WINDOWS/system32/wbem/Repository/FS/Index.btr",
        "D/a repository of Ö/OBJECTS.DATA",
        // Names that other programs use too, and a name that only looks like one.
        "D/site/INDEX.MAP",
        "D/site/OBJECTS.DATA.bak",
    ]);
    assert_eq!(
        paths(&found),
        [
            "C/Windows/System32/wbem/Repository",
            "C/Windows/System32/wbem/Repository.001",
            "C/Windows/System32/wbem/repository.old",
            "C/Windows.old/WINDOWS/system32/wbem/Repository/FS",
            "D/a repository of Ö",
        ]
    );
    assert!(
        !found.is_partial() && found.not_listed == 0 && found.links == 0,
        "{found:?}"
    );
}

/// What is named is meant: what lies below it is something else.
#[test]
fn a_directory_that_holds_a_repository_is_the_only_one() {
    assert_eq!(paths(&find(&["OBJECTS.DATA", "copy/OBJECTS.DATA"])), [""]);
    assert_eq!(paths(&find(&["mapping.ver", "copy/OBJECTS.DATA"])), [""]);
    assert_eq!(
        paths(&find(&["a/OBJECTS.DATA", "a/b/INDEX.BTR"])),
        ["a", "a/b"]
    );
    assert!(find(&["a/b"]).repositories.is_empty());
    let nowhere = Directory::new(tree(&["a"]).storage, "nowhere");
    assert!(Finder::new().find(&nowhere, &Unobserved).is_err());
}

#[test]
fn the_search_goes_sixteen_directories_deep() {
    let below = |levels: usize| format!("{}OBJECTS.DATA", "d/".repeat(levels));
    let found = find(&[&below(16)]);
    assert_eq!((found.repositories.len(), found.is_partial()), (1, false));
    let found = find(&[&below(17), "e/INDEX.BTR"]);
    assert_eq!(paths(&found), ["e"]);
    let [passed_over] = found.passed_over.as_slice() else {
        panic!("{found:?}")
    };
    assert!(matches!(passed_over.reason, Reason::TooDeep { limit: 16 }));
    assert!(
        passed_over
            .to_string()
            .contains("more than 16 directories deep"),
        "{passed_over}"
    );
}

/// A tree that somebody made so that whoever searches it never comes back: in each directory itself
/// again, a directory that cannot be read, one of very many entries, and a repository at last.
#[derive(Debug, Default)]
struct Hostile {
    listed: AtomicU64,
    handed_out: AtomicU64,
}

const MANY: u64 = 3_000_000;

impl Storage for Hostile {
    fn kind(&self, _: &Path) -> io::Result<Option<EntryKind>> {
        Ok(Some(EntryKind::Directory))
    }

    fn read_dir(&self, _: &Path) -> io::Result<Vec<DirEntry>> {
        panic!("a search keeps no list of entries");
    }

    fn walk_dir(
        &self,
        dir: &Path,
        visit: &mut dyn FnMut(RawEntry) -> ControlFlow<()>,
    ) -> io::Result<()> {
        self.listed.fetch_add(1, Ordering::Relaxed);
        let mut hand_out = |name: &str, kind| {
            self.handed_out.fetch_add(1, Ordering::Relaxed);
            visit(RawEntry {
                name: name.into(),
                kind,
            })
            .is_continue()
        };
        match dir
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
        {
            "denied" => return Err(io::ErrorKind::PermissionDenied.into()),
            "gone" => return Err(io::ErrorKind::NotFound.into()),
            "files" => (0..MANY).all(|_| hand_out("file", RawKind::File)),
            "directories" => {
                (0..MANY).all(|number| hand_out(&format!("{number:08}"), RawKind::Directory))
            }
            "repository" => {
                hand_out("OBJECTS.DATA", RawKind::File) && hand_out("INDEX.BTR", RawKind::File)
            }
            "linked" => {
                hand_out("OBJECTS.DATA", RawKind::File) && hand_out("index.btr", RawKind::Link)
            }
            "loops" => hand_out("loops", RawKind::Directory) && hand_out("away", RawKind::Link),
            name if name.bytes().all(|byte| byte.is_ascii_digit()) => true,
            top => top
                .split('+')
                .all(|name| hand_out(name, RawKind::Directory)),
        };
        Ok(())
    }

    fn open(&self, _: &Path, _: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        panic!("a search opens nothing");
    }
}

fn search(top: &str, finder: Finder) -> (Found, Arc<Hostile>) {
    let storage = Arc::new(Hostile::default());
    let found = finder
        .find(&Directory::new(storage.clone(), top), &Unobserved)
        .unwrap();
    (found, storage)
}

#[test]
fn loops_links_and_what_cannot_be_read_are_passed_over() {
    let (found, storage) = search("denied+gone+linked+loops+repository", Finder::new());
    let repository = Path::new("denied+gone+linked+loops+repository").join("repository");
    assert_eq!(found.repositories, [repository]);
    // The loop ends at the sixteenth level; each of them has a link, and a file of a repository is
    // another.
    assert_eq!(
        (storage.listed.load(Ordering::Relaxed), found.links),
        (5 + 16, 16 + 1)
    );
    let notes: Vec<String> = found.passed_over.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes[0].contains("denied was passed over"), "{notes:?}");
    assert!(
        notes[1].contains("index.btr is a symbolic link"),
        "{notes:?}"
    );
    assert!(
        matches!(found.passed_over[2].reason, Reason::TooDeep { .. }),
        "{notes:?}"
    );
}

#[test]
fn a_directory_of_millions_of_entries_ends_the_search_within_bounds() {
    for (top, order) in [("files", 1), ("a+files+repository", 2), ("directories", 1)] {
        let (found, storage) = search(top, Finder::new().entries(100_000).pending(5_000));
        let handed_out = storage.handed_out.load(Ordering::Relaxed);
        assert!(handed_out <= 100_002 + order, "{top}: {handed_out}");
        assert!(found.is_partial(), "{top}");
        let ended = found
            .passed_over
            .iter()
            .filter(|place| matches!(place.reason, Reason::TooManyEntries { .. }));
        assert_eq!(ended.count(), 1, "{top}: {:?}", found.passed_over);
        assert!(found.passed_over.len() <= 50);
    }
    // The entries are enough, the memory for the names that wait is not: said, and the rest is
    // looked at.
    let (found, storage) = search(
        "directories",
        Finder::new().entries(2 * MANY).pending(5_000),
    );
    assert_eq!(storage.listed.load(Ordering::Relaxed), 5_001);
    assert!(
        matches!(found.passed_over[..], [ref place] if matches!(place.reason, Reason::TooManyDirectories { .. }))
    );
}

#[test]
fn a_search_can_be_cancelled_anywhere() {
    for after in [0, 1, 10, 50] {
        let looks = AtomicU64::new(0);
        let observer = |_: Progress| match looks.fetch_add(1, Ordering::Relaxed) >= after {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let directory = Directory::new(Arc::new(Hostile::default()), "files");
        let result = Finder::new().find(&directory, &observer);
        assert!(
            matches!(result, Err(cimrepo::Error::Cancelled)),
            "{result:?}"
        );
        assert_eq!(looks.load(Ordering::Relaxed), after + 1);
    }
}

/// In the file system, where links and names without Unicode are real.
#[cfg(unix)]
#[test]
fn the_file_system_is_searched_without_following_links() {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    let dir = tempfile::tempdir().unwrap();
    let (inside, outside) = (dir.path().join("tree"), dir.path().join("elsewhere"));
    let odd = inside.join(OsStr::from_bytes(b"h\xffst"));
    for path in [
        &inside.join("plain"),
        &outside,
        &odd,
        &inside.join("linked"),
    ] {
        fs::create_dir_all(path).unwrap();
    }
    for path in [
        inside.join("plain/OBJECTS.DATA"),
        outside.join("OBJECTS.DATA"),
        odd.join("index.btr"),
    ] {
        fs::write(path, "").unwrap();
    }
    symlink(&outside, inside.join("out")).unwrap();
    symlink(&inside, inside.join("plain/around")).unwrap();
    symlink(
        outside.join("OBJECTS.DATA"),
        inside.join("linked/OBJECTS.DATA"),
    )
    .unwrap();
    // Pipes and directories of such names are no files of a repository.
    fs::create_dir(inside.join("plain/INDEX.BTR")).unwrap();

    let found = Finder::new()
        .find(&Directory::real(&inside), &Unobserved)
        .unwrap();
    assert_eq!(found.repositories, [odd, inside.join("plain")]);
    assert_eq!((found.links, found.passed_over.len()), (3, 1));
    assert!(
        found.passed_over[0]
            .to_string()
            .contains("OBJECTS.DATA is a symbolic link")
    );
    // Who names a link means what it leads to.
    symlink(&inside, dir.path().join("link")).unwrap();
    let found = Finder::new()
        .find(&Directory::real(dir.path().join("link")), &Unobserved)
        .unwrap();
    assert_eq!(found.repositories.len(), 2);
}
