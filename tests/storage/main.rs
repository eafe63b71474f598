//! What every storage promises; in `simulated`, that the simulator takes away what none does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[cfg(feature = "sim")]
mod simulated;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cimrepo::storage::{
    EntryKind, MemStorage, OpenMode, RealStorage, Storage, read_exact_at, write_all_at,
};

type Place = (Arc<dyn Storage>, PathBuf);

fn write(storage: &dyn Storage, path: &Path, bytes: &[u8]) {
    let file = storage.open(path, OpenMode::Create).unwrap();
    write_all_at(&*file, 0, bytes).unwrap();
}

fn read(storage: &dyn Storage, path: &Path) -> io::Result<Vec<u8>> {
    let file = storage.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).unwrap()];
    read_exact_at(&*file, 0, &mut bytes)?;
    Ok(bytes)
}

fn kind_of<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn names(storage: &dyn Storage, dir: &Path) -> Vec<(String, EntryKind)> {
    let entries = storage.read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .into_iter()
        .map(|entry| (entry.name, entry.kind))
        .collect();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    names
}

/// Everything that [`Storage`] promises; `make` gives an empty directory each time.
fn conforms(make: impl Fn() -> Place) {
    for check in [
        opening,
        reading_and_writing,
        lengths,
        renaming,
        directories,
        removing,
        locking,
    ] {
        let (storage, root) = make();
        check(&*storage, &root);
    }
}

fn opening(storage: &dyn Storage, root: &Path) {
    let path = root.join("file");
    assert_eq!(
        kind_of(storage.open(&path, OpenMode::Read)),
        Some(ErrorKind::NotFound)
    );
    assert_eq!(
        kind_of(storage.open(&path, OpenMode::Write)),
        Some(ErrorKind::NotFound)
    );
    assert_eq!(
        kind_of(storage.open(&root.join("none/file"), OpenMode::Create)),
        Some(ErrorKind::NotFound)
    );
    assert_eq!(storage.kind(&path).unwrap(), None);

    let file = storage.open(&path, OpenMode::CreateNew).unwrap();
    assert!(file.is_empty().unwrap());
    assert_eq!(file.write_at(0, b"abc").unwrap(), 3);
    assert_eq!(
        kind_of(storage.open(&path, OpenMode::CreateNew)),
        Some(ErrorKind::AlreadyExists)
    );
    assert_eq!(read(storage, &path).unwrap(), b"abc");
    assert_eq!(storage.kind(&path).unwrap(), Some(EntryKind::File));
    assert_eq!(storage.kind(&path.join("below")).unwrap(), None);

    let reader = storage.open(&path, OpenMode::Read).unwrap();
    assert!(reader.write_at(0, b"x").is_err());
    assert!(reader.set_len(0).is_err());
    storage
        .open(&path, OpenMode::Write)
        .unwrap()
        .write_at(1, b"B")
        .unwrap();
    assert_eq!(read(storage, &path).unwrap(), b"aBc");
    // Whoever has the file open sees what others do to it.
    storage.open(&path, OpenMode::Create).unwrap();
    assert_eq!((reader.len().unwrap(), file.len().unwrap()), (0, 0));

    assert_eq!(
        kind_of(storage.open(root, OpenMode::CreateNew)),
        Some(ErrorKind::AlreadyExists)
    );
    for mode in [OpenMode::Read, OpenMode::Write, OpenMode::Create] {
        let kind = kind_of(storage.open(root, mode)).unwrap();
        let is_refused_by_windows = cfg!(windows) && kind == ErrorKind::PermissionDenied;
        assert!(
            kind == ErrorKind::IsADirectory || is_refused_by_windows,
            "{mode:?}: {kind}"
        );
    }
}

fn reading_and_writing(storage: &dyn Storage, root: &Path) {
    let file = storage.open(&root.join("file"), OpenMode::Create).unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(3000).collect();
    write_all_at(&*file, 0, &bytes).unwrap();
    let mut buf = [9; 100];
    assert_eq!(file.read_at(2950, &mut buf).unwrap(), 50);
    assert_eq!((&buf[..50], &buf[50..]), (&bytes[2950..], &[9; 50][..]));
    assert_eq!(file.read_at(3000, &mut buf).unwrap(), 0);
    assert_eq!(file.read_at(1 << 40, &mut buf).unwrap(), 0);
    assert_eq!(file.read_at(0, &mut []).unwrap(), 0);
    assert_eq!(
        kind_of(read_exact_at(&*file, 2950, &mut buf)),
        Some(ErrorKind::UnexpectedEof)
    );

    write_all_at(&*file, 500, &[7; 600]).unwrap();
    let mut all = vec![0; 3000];
    read_exact_at(&*file, 0, &mut all).unwrap();
    assert_eq!(all, [&bytes[..500], &[7; 600], &bytes[1100..]].concat());

    // A write behind the end leaves zeros before it; a write of nothing leaves the length alone.
    assert_eq!(file.write_at(9000, &[]).unwrap(), 0);
    assert_eq!(file.len().unwrap(), 3000);
    write_all_at(&*file, 5000, &[8; 10]).unwrap();
    assert_eq!(file.len().unwrap(), 5010);
    let mut tail = vec![1; 2010];
    read_exact_at(&*file, 3000, &mut tail).unwrap();
    assert_eq!(tail, [vec![0; 2000], vec![8; 10]].concat());
    file.sync().unwrap();
}

fn lengths(storage: &dyn Storage, root: &Path) {
    let path = root.join("file");
    write(storage, &path, &[5; 2000]);
    let file = storage.open(&path, OpenMode::Write).unwrap();
    file.set_len(700).unwrap();
    assert_eq!(read(storage, &path).unwrap(), [5; 700]);
    file.set_len(1500).unwrap();
    assert_eq!(
        read(storage, &path).unwrap(),
        [vec![5; 700], vec![0; 800]].concat()
    );
    file.set_len(0).unwrap();
    assert!(read(storage, &path).unwrap().is_empty());
}

fn renaming(storage: &dyn Storage, root: &Path) {
    let (a, b, dir) = (root.join("a"), root.join("b"), root.join("dir"));
    write(storage, &a, b"new");
    write(storage, &b, b"old");
    let open = storage.open(&a, OpenMode::Write).unwrap();
    storage.rename(&a, &b).unwrap();
    assert_eq!(read(storage, &b).unwrap(), b"new");
    assert_eq!(kind_of(read(storage, &a)), Some(ErrorKind::NotFound));
    open.write_at(0, b"N").unwrap();
    assert_eq!(read(storage, &b).unwrap(), b"New");
    storage.rename(&b, &b).unwrap();
    assert_eq!(kind_of(storage.rename(&a, &b)), Some(ErrorKind::NotFound));
    assert_eq!(
        kind_of(storage.rename(&b, &root.join("none/b"))),
        Some(ErrorKind::NotFound)
    );

    storage.create_dir(&dir).unwrap();
    storage.create_dir(&dir.join("sub")).unwrap();
    storage.rename(&b, &dir.join("sub/b")).unwrap();
    storage.rename(&dir, &root.join("moved")).unwrap();
    assert_eq!(read(storage, &root.join("moved/sub/b")).unwrap(), b"New");
    assert_eq!(
        names(storage, root),
        [("moved".to_owned(), EntryKind::Directory)]
    );
    assert!(
        storage
            .rename(&root.join("moved"), &root.join("moved/sub/moved"))
            .is_err()
    );

    // A directory replaces none with content, and a file no directory.
    storage.create_dir(&dir).unwrap();
    write(storage, &a, b"a");
    assert!(storage.rename(&dir, &root.join("moved")).is_err());
    assert!(storage.rename(&a, &root.join("moved")).is_err());
    assert!(storage.rename(&a, &dir).is_err());
    assert!(storage.rename(&dir, &a).is_err());
    assert_eq!(read(storage, &root.join("moved/sub/b")).unwrap(), b"New");
    assert_eq!(read(storage, &a).unwrap(), b"a");
}

fn directories(storage: &dyn Storage, root: &Path) {
    assert_eq!(names(storage, root), []);
    storage.create_dir(&root.join("dir")).unwrap();
    write(storage, &root.join("file"), b"");
    write(storage, &root.join("dir/below"), b"");
    let expected = [
        ("dir".to_owned(), EntryKind::Directory),
        ("file".to_owned(), EntryKind::File),
    ];
    assert_eq!(names(storage, root), expected);
    assert_eq!(
        storage.kind(&root.join("dir")).unwrap(),
        Some(EntryKind::Directory)
    );

    assert_eq!(
        kind_of(storage.create_dir(&root.join("dir"))),
        Some(ErrorKind::AlreadyExists)
    );
    assert_eq!(
        kind_of(storage.create_dir(&root.join("file"))),
        Some(ErrorKind::AlreadyExists)
    );
    assert_eq!(
        kind_of(storage.create_dir(&root.join("none/dir"))),
        Some(ErrorKind::NotFound)
    );
    assert_eq!(
        kind_of(storage.read_dir(&root.join("none"))),
        Some(ErrorKind::NotFound)
    );
    assert!(storage.read_dir(&root.join("file")).is_err());
    storage.sync_dir(root).unwrap();
    // In the file system of Windows there is nothing to sync.
    let missing = kind_of(storage.sync_dir(&root.join("none")));
    assert!(
        missing == Some(ErrorKind::NotFound) || cfg!(windows) && missing.is_none(),
        "{missing:?}"
    );
}

fn removing(storage: &dyn Storage, root: &Path) {
    let (dir, file) = (root.join("dir"), root.join("dir/file"));
    storage.create_dir(&dir).unwrap();
    write(storage, &file, b"x");
    assert_eq!(
        kind_of(storage.remove_dir(&dir)),
        Some(ErrorKind::DirectoryNotEmpty)
    );
    assert!(storage.remove_dir(&file).is_err());
    assert!(storage.remove_file(&dir).is_err());
    storage.remove_file(&file).unwrap();
    assert_eq!(
        kind_of(storage.remove_file(&file)),
        Some(ErrorKind::NotFound)
    );
    storage.remove_dir(&dir).unwrap();
    assert_eq!(kind_of(storage.remove_dir(&dir)), Some(ErrorKind::NotFound));
    assert_eq!(names(storage, root), []);
}

fn locking(storage: &dyn Storage, root: &Path) {
    let (path, other) = (root.join("lock"), root.join("other"));
    let guard = storage.lock(&path, "me").unwrap();
    assert_eq!(
        kind_of(storage.lock(&path, "you")),
        Some(ErrorKind::WouldBlock)
    );
    assert_eq!(read(storage, &path).unwrap(), b"me");
    drop(storage.lock(&other, "else").unwrap());
    drop(guard);
    assert_eq!(names(storage, root), []);
    assert_eq!(
        kind_of(storage.lock(&root.join("none/lock"), "")),
        Some(ErrorKind::NotFound)
    );

    // A lock file that stayed behind locks nobody out.
    write(
        storage,
        &path,
        b"process 4711 (a longer text than the next one)",
    );
    let guard = storage.lock(&path, "you").unwrap();
    assert_eq!(read(storage, &path).unwrap(), b"you");
    drop(guard);
    drop(storage.lock(&path, "me again").unwrap());
    storage.create_dir(&path).unwrap();
    assert!(storage.lock(&path, "").is_err());
    assert_eq!(storage.kind(&path).unwrap(), Some(EntryKind::Directory));
}

#[test]
fn real_storage_conforms() {
    let temp = tempfile::tempdir().unwrap();
    let next = std::cell::Cell::new(0);
    conforms(|| {
        let root = temp.path().join(next.replace(next.get() + 1).to_string());
        std::fs::create_dir(&root).unwrap();
        (Arc::new(RealStorage), root)
    });
}

#[test]
fn mem_storage_conforms() {
    conforms(|| (Arc::new(MemStorage::new()), PathBuf::from(".")));
    conforms(|| {
        let storage = MemStorage::new();
        storage.put("/a/root/file", Vec::new());
        storage.remove_file(Path::new("/a/root/file")).unwrap();
        (Arc::new(storage), PathBuf::from("/a/root"))
    });
}

#[test]
fn a_lock_file_that_is_someone_elses_is_not_touched() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("lock");
    for text in [
        &b"my diary"[..],
        b"\0\0x",
        b"process",
        &b"process ".repeat(200),
    ] {
        std::fs::write(&path, text).unwrap();
        let is_note = text == b"process";
        assert_eq!(
            kind_of(RealStorage.lock(&path, "process 1")),
            (!is_note).then_some(ErrorKind::InvalidData)
        );
        assert!(
            is_note || std::fs::read(&path).unwrap() == text,
            "it was written over"
        );
    }
    // What power leaves of a note: nothing, or as many zeros as it was long.
    for text in [&b""[..], &[0; 30]] {
        std::fs::write(&path, text).unwrap();
        drop(RealStorage.lock(&path, "process 1").unwrap());
        assert!(!path.exists());
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_a_lock_file_is_not_followed() {
    let temp = tempfile::tempdir().unwrap();
    let (path, other) = (temp.path().join("lock"), temp.path().join("someone else's"));
    std::os::unix::fs::symlink(&other, &path).unwrap();
    assert_eq!(
        kind_of(RealStorage.lock(&path, "process 1")),
        Some(ErrorKind::InvalidData)
    );
    assert!(!other.exists(), "a file was made behind the link");
    std::fs::write(&other, b"").unwrap();
    assert_eq!(
        kind_of(RealStorage.lock(&path, "process 1")),
        Some(ErrorKind::InvalidData)
    );
    assert_eq!(std::fs::read(&other).unwrap(), b"");
    assert!(path.is_symlink());
}

#[cfg(unix)]
#[test]
fn a_link_to_nowhere_is_no_file_and_one_that_cannot_be_followed_is_an_error() {
    let temp = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("nowhere", temp.path().join("dangling")).unwrap();
    assert_eq!(
        names(&RealStorage, temp.path()),
        [("dangling".to_owned(), EntryKind::Other)]
    );
    std::os::unix::fs::symlink("round", temp.path().join("round")).unwrap();
    let error = RealStorage.read_dir(temp.path()).unwrap_err();
    assert!(error.to_string().starts_with("round: "), "{error}");
}

#[test]
fn many_who_want_a_lock_have_it_one_at_a_time() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("lock");
    let holders = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let Ok(guard) = RealStorage.lock(&path, "process 1") else {
                        continue;
                    };
                    assert_eq!(holders.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    holders.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    drop(guard);
                }
            });
        }
    });
    assert!(!path.exists());
}

#[test]
fn memory_that_is_not_there_is_an_error() {
    let file = MemStorage::new()
        .open(Path::new("file"), OpenMode::Create)
        .unwrap();
    assert!(file.set_len(u64::MAX / 2).is_err());
    assert!(file.write_at(u64::MAX / 2, b"x").is_err());
    assert_eq!(file.len().unwrap(), 0);
}

#[cfg(feature = "mmap")]
mod mapped {
    use super::*;
    use cimrepo::storage::MappedStorage;

    fn storage() -> MappedStorage {
        // SAFETY: the tests do not truncate what they have mapped.
        #[expect(unsafe_code, reason = "the constructor asks for a promise")]
        unsafe {
            MappedStorage::new()
        }
    }

    #[test]
    fn maps_read_like_files() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        for len in [0, 1, 4095, 4096, 20_000] {
            let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(read(&storage(), &path).unwrap(), bytes);
            let mapped = storage().open(&path, OpenMode::Read).unwrap();
            let buffered = RealStorage.open(&path, OpenMode::Read).unwrap();
            for offset in [0, 1, 4000, 4096, 19_990, 20_000, 1 << 40] {
                let (mut a, mut b) = ([9; 300], [9; 300]);
                let counts = (
                    mapped.read_at(offset, &mut a).unwrap(),
                    buffered.read_at(offset, &mut b).unwrap(),
                );
                assert_eq!((counts.0, a), (counts.1, b), "{len} {offset}");
            }
            assert_eq!(mapped.read_at(u64::MAX, &mut [0]).unwrap(), 0);
        }
        assert_eq!(
            names(&storage(), temp.path()),
            names(&RealStorage, temp.path())
        );
        assert_eq!(storage().kind(&path).unwrap(), Some(EntryKind::File));
    }

    #[test]
    fn maps_change_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let (dir, path, storage) = (temp.path(), temp.path().join("file"), storage());
        std::fs::write(&path, b"bytes").unwrap();
        let file = storage.open(&path, OpenMode::Read).unwrap();
        let refused = [
            kind_of(storage.open(&path, OpenMode::Write)),
            kind_of(storage.open(&path, OpenMode::Create)),
            kind_of(storage.open(&dir.join("new"), OpenMode::CreateNew)),
            kind_of(storage.create_dir(&dir.join("new"))),
            kind_of(storage.rename(&path, &dir.join("new"))),
            kind_of(storage.remove_file(&path)),
            kind_of(storage.remove_dir(dir)),
            kind_of(storage.lock(&dir.join("new"), "")),
            kind_of(file.write_at(0, b"x")),
            kind_of(file.set_len(0)),
        ];
        assert!(
            refused
                .iter()
                .all(|kind| *kind == Some(ErrorKind::PermissionDenied)),
            "{refused:?}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"bytes");
        assert!(storage.open(dir, OpenMode::Read).is_err());
        assert_eq!(names(&storage, dir).len(), 1);
    }
}
