//! Spellings of names: none of them destroys a repository, whatever the system takes it for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cimrepo::Error;
use cimrepo::backup::{Backup, BackupOptions, BackupSet, SetOptions, backup, backup_in};
use cimrepo::base::misuse::Misuse;
use cimrepo::base::progress::Unobserved;
use cimrepo::format::Dialect;
use cimrepo::restore::{RestoreOptions, restore, restore_in};
use cimrepo::storage::{
    DirEntry, Directory, EntryKind, FileId, LockGuard, MemStorage, NameFault, OpenMode,
    RealStorage, Storage, StorageFile, windows_fault,
};
use cimrepo::store::EngineOptions;
use cimrepo::store::{BulkBuilder, Repository};

use crate::support::{PLACE, assert_clean, in_memory, write_to};
use crate::tiny::{listing, opened, single, tiny};

/// Files in memory under names as Win32 reads them: without case, without dots and blanks at their
/// ends, and with a short name for the object heap. `tells` whether it says so of a name.
#[derive(Debug, Clone)]
struct Win32 {
    inner: MemStorage,
    tells: bool,
}

impl Win32 {
    /// The path that is opened.
    fn plain(&self, path: &Path) -> PathBuf {
        let text = path.to_str().unwrap();
        let names = text.split(['/', '\\']).map(|name| match name {
            "." | ".." => name.to_owned(),
            _ => name
                .split(':')
                .next()
                .unwrap()
                .trim_end_matches(['.', ' '])
                .to_ascii_uppercase(),
        });
        let names: Vec<String> = names
            .map(|name| name.replace("OBJECT~1.DAT", "OBJECTS.DATA"))
            .collect();
        // What is there is there under one spelling.
        let folded = names.join("/");
        let there = self.inner.read_dir(Path::new(PLACE)).unwrap_or_default();
        let mut all = there.iter().map(|entry| format!("{PLACE}/{}", entry.name));
        all.find(|name| name.eq_ignore_ascii_case(&folded))
            .unwrap_or_else(|| folded.replace(&PLACE.to_ascii_uppercase(), PLACE))
            .into()
    }
}

impl Storage for Win32 {
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.inner.kind(&self.plain(path))
    }

    fn file_id(&self, path: &Path) -> io::Result<Option<FileId>> {
        self.inner.file_id(&self.plain(path))
    }

    fn name_fault(&self, path: &Path) -> Option<NameFault> {
        windows_fault(path.to_str().unwrap()).filter(|_| self.tells)
    }

    fn read_dir(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.read_dir(&self.plain(dir))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StorageFile>> {
        self.inner.open(&self.plain(path), mode)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir(&self.plain(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(&self.plain(from), &self.plain(to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(&self.plain(path))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir(&self.plain(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(&self.plain(dir))
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<Box<dyn LockGuard>> {
        self.inner.lock(&self.plain(path), note)
    }
}

/// Names in the directory of a repository, and whether the rule about text alone tells.
const SPELLINGS: [(&str, bool); 14] = [
    ("OBJECTS.DATA.", true),
    ("INDEX.BTR ", true),
    ("MAPPING1.MAP. .", true),
    ("mapping2.map...", true),
    ("Objects.Data. ", true),
    ("OBJECT~1.DAT", false),
    ("object~1.dat", false),
    ("OBJECT~1.DAT.", true),
    ("OBJECTS.DATA::$DATA", true),
    ("OBJECTS.DATA:stream", true),
    ("cimrepo.lock.", true),
    ("NUL", true),
    ("com1.cimbak", true),
    ("OBJECTS.DATA", false),
];

fn misuse(error: &Error) -> Option<Misuse> {
    match error {
        Error::InvalidArgument(invalid) => Some(invalid.misuse),
        _ => None,
    }
}

#[test]
fn no_spelling_of_a_file_of_a_repository_is_a_target() {
    for overwrite in [false, true] {
        let options = BackupOptions {
            overwrite,
            ..single()
        };
        for (spelling, is_told) in SPELLINGS {
            for tells in [false, true] {
                let (inner, _) = in_memory(&tiny(Dialect::V22, 1));
                let repository = opened(&inner, PLACE).unwrap();
                let before = listing(&inner, PLACE);
                let storage: Arc<dyn Storage> = Arc::new(Win32 {
                    inner: inner.clone(),
                    tells,
                });
                let target = format!("{PLACE}/{spelling}");
                let result = backup_in(&repository, &storage, &target, &options, &Unobserved);
                if tells && is_told {
                    assert_eq!(
                        misuse(&result.unwrap_err()),
                        Some(Misuse::AmbiguousName),
                        "{spelling}"
                    );
                } else if let Err(error) = result {
                    assert_eq!(
                        misuse(&error),
                        Some(Misuse::ReservedName),
                        "{spelling}: {error}"
                    );
                } else {
                    // A device or a lock that is not there: not told by identity, and no file of
                    // the repository.
                    assert!(
                        ["NUL", "com1.cimbak", "cimrepo.lock."].contains(&spelling),
                        "{spelling}"
                    );
                    continue;
                }
                assert!(listing(&inner, PLACE) == before, "{spelling}");
            }
        }
    }
}

/// What the file system of this machine makes of the same names: each is refused, or is another
/// file.
#[test]
fn the_repository_outlives_every_spelling_in_the_file_system() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("repository");
    std::fs::create_dir(&directory).unwrap();
    write_to(&tiny(Dialect::V22, 1), &directory, str::to_owned);
    let mut spellings: Vec<PathBuf> = SPELLINGS
        .iter()
        .map(|(name, _)| directory.join(name))
        .collect();
    spellings.push(directory.join("../repository/./INDEX.BTR"));
    spellings.push(directory.join("n".repeat(256)));
    spellings.push(directory.join("x/".repeat(3000)).join("y"));
    // The names next to it would be too long: nothing is left behind.
    spellings.push(directory.join("m".repeat(240)));
    for name in ["OBJECTS.DATA", "MAPPING1.MAP"] {
        let other = directory.join(format!("{name}.bak"));
        std::fs::hard_link(directory.join(name), &other).unwrap();
        spellings.push(other);
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&directory, place.path().join("link")).unwrap();
        spellings.push(place.path().join("link/INDEX.BTR"));
        spellings.push(place.path().join("link/OBJECTS.DATA.bak"));
        std::os::unix::fs::symlink("INDEX.BTR", directory.join("soft.bak")).unwrap();
        spellings.push(directory.join("soft.bak"));
    }
    #[cfg(windows)]
    {
        let verbatim = std::fs::canonicalize(&directory).unwrap();
        assert!(verbatim.to_str().unwrap().starts_with(r"\\?\"));
        spellings.push(verbatim.join("INDEX.BTR"));
        spellings.push(verbatim.join("OBJECTS.DATA.bak"));
        spellings.push(verbatim.join("INDEX.BTR::$DATA"));
        spellings.push(format!(r"\\.\{}\INDEX.BTR", directory.display()).into());
    }
    outlives(&directory, &spellings);
}

/// Backs a repository up to each of the names: whatever comes of it, the repository stays whole and
/// nothing else is left.
fn outlives(directory: &Path, spellings: &[PathBuf]) {
    for overwrite in [false, true] {
        let options = BackupOptions {
            overwrite,
            ..single()
        };
        for target in spellings {
            let repository = Repository::open_read_only(directory).unwrap();
            let result = backup(&repository, target, &options, &Unobserved);
            let is_plain = RealStorage.name_fault(target).is_none();
            match (
                &result,
                misuse(result.as_ref().err().unwrap_or(&Error::Cancelled)),
            ) {
                (Err(_), Some(Misuse::AmbiguousName)) => assert!(!is_plain, "{}", target.display()),
                (Err(_), Some(Misuse::ReservedName | Misuse::Link))
                | (Err(Error::Io { .. }), None) => {}
                // A file of the repository under a name in a directory without one.
                (Err(_), Some(Misuse::Overwrite))
                    if !overwrite && target.parent() != Some(directory) => {}
                (Ok(_), _) => {
                    assert!(is_plain, "{}", target.display());
                    assert!(Backup::open(target).is_ok());
                    std::fs::remove_file(target).unwrap();
                }
                (result, _) => panic!("{}: {result:?}", target.display()),
            }
            assert_clean(
                &Repository::open_read_only(directory).unwrap(),
                "after a backup under a spelling",
            );
            let left = listing(&RealStorage, directory)
                .into_iter()
                .filter(|(name, _)| name.contains(".partial-"));
            assert_eq!(left.count(), 0, "{}", target.display());
        }
    }
}

/// Bind mounts: one file under names in several directories, without a link. They need a namespace
/// of mounts, which a process of its own gets; where the system gives none, the test says so and
/// shows nothing.
#[cfg(target_os = "linux")]
#[test]
fn the_repository_outlives_bind_mounts() {
    let place = tempfile::tempdir().unwrap();
    let Some(unshare) = mount_rights(place.path()) else {
        println!("ignored: no right to mount here, neither as root nor in a namespace of users");
        return;
    };
    let itself = std::env::current_exe().unwrap();
    let inside = std::process::Command::new("unshare")
        .args(unshare)
        .arg(itself)
        .args([
            "names::inside_bind_mounts",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(MOUNTED, place.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inside.stdout);
    assert!(
        inside.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&inside.stderr)
    );
}

/// The variable with the place of the test, for its half that mounts.
#[cfg(target_os = "linux")]
const MOUNTED: &str = "CIMREPO_TEST_MOUNTS";

/// With which arguments `unshare` gives a namespace in which one may mount.
#[cfg(target_os = "linux")]
fn mount_rights(place: &Path) -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["--mount"], &["--map-root-user", "--mount"]];
    ways.into_iter().find(|way| {
        let mut probe = std::process::Command::new("unshare");
        probe
            .args(*way)
            .args(["mount", "--bind"])
            .args([place, place]);
        probe.output().is_ok_and(|output| output.status.success())
    })
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "the_repository_outlives_bind_mounts runs it, in a namespace of mounts"]
fn inside_bind_mounts() {
    let place = PathBuf::from(std::env::var_os(MOUNTED).unwrap());
    let bind = |from: &Path, to: &Path| {
        let mounted = std::process::Command::new("mount")
            .arg("--bind")
            .args([from, to])
            .output()
            .unwrap();
        assert!(
            mounted.status.success(),
            "{}",
            String::from_utf8_lossy(&mounted.stderr)
        );
    };
    let [directory, other, outside] =
        ["repository", "other", "outside"].map(|name| place.join(name));
    for made in [&directory, &other, &outside] {
        std::fs::create_dir(made).unwrap();
    }
    write_to(&tiny(Dialect::V22, 1), &directory, str::to_owned);
    // A file under a second name, next to the first and in a directory without a repository.
    let names = [directory.join("objects.bak"), outside.join("index.bak")];
    for (name, of) in names.iter().zip(["OBJECTS.DATA", "INDEX.BTR"]) {
        std::fs::write(name, []).unwrap();
        bind(&directory.join(of), name);
    }
    // The directory under a second name.
    bind(&directory, &other);
    let mut spellings = names.to_vec();
    spellings.extend(
        ["OBJECTS.DATA", "INDEX.BTR", "MAPPING1.MAP", "objects.bak"].map(|name| other.join(name)),
    );
    outlives(&directory, &spellings);
    for left in [&other, &outside] {
        let entries = std::fs::read_dir(left)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(
            entries.filter(|name| name.contains(".partial-")).count(),
            0,
            "{}",
            left.display()
        );
    }
    // A place in it that is no file of the repository is a target like any other.
    let repository = Repository::open_read_only(&directory).unwrap();
    backup(
        &repository,
        other.join("new.cimbak"),
        &single(),
        &Unobserved,
    )
    .unwrap();
    assert!(Backup::open(directory.join("new.cimbak")).is_ok());
}

/// Where Windows reads another name, no call that writes takes it: what goes beside the directory
/// would be beside another.
#[test]
fn whatever_writes_to_a_directory_refuses_a_name_that_means_another() {
    let (inner, _) = in_memory(&tiny(Dialect::V22, 1));
    let storage: Arc<dyn Storage> = Arc::new(Win32 {
        inner: inner.clone(),
        tells: true,
    });
    let repository = opened(&inner, PLACE).unwrap();
    backup_in(&repository, &storage, "FILE", &single(), &Unobserved).unwrap();
    let backup = cimrepo::backup::OpenBackup::new()
        .open_in(&storage, "FILE")
        .unwrap();
    inner.create_dir(Path::new("SET")).unwrap();
    let before = (listing(&inner, PLACE), listing(&inner, "."));
    for end in [".", " ", ". .", ":x"] {
        let named = |name: &str| Directory::new(storage.clone(), format!("{name}{end}"));
        let set = SetOptions {
            backup: single(),
            ..SetOptions::default()
        };
        let results = [
            EngineOptions::new().open_in(&named(PLACE)).map(drop),
            BulkBuilder::create_seeded(named("NEW"), 1).map(drop),
            restore_in(
                &backup,
                &named("NEW"),
                RestoreOptions::default(),
                &Unobserved,
            )
            .map(drop),
            BackupSet::open_in(&named("SET"))
                .and_then(|found| found.back_up(&repository, &set, &Unobserved))
                .map(drop),
        ];
        for (call, result) in results.into_iter().enumerate() {
            let error = result.unwrap_err();
            assert_eq!(
                misuse(&error),
                Some(Misuse::AmbiguousName),
                "{end:?}, call {call}: {error}"
            );
        }
        assert!(
            (listing(&inner, PLACE), listing(&inner, ".")) == before,
            "{end:?}"
        );
    }
}

/// The same on the machine: on Windows refused, elsewhere a name like any other.
#[test]
fn a_directory_with_a_dot_at_its_end_is_itself_or_refused() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("repository");
    std::fs::create_dir(&directory).unwrap();
    write_to(&tiny(Dialect::V22, 1), &directory, str::to_owned);
    let repository = Repository::open_read_only(&directory).unwrap();
    let file = place.path().join("it.cimbak");
    backup(&repository, &file, &single(), &Unobserved).unwrap();
    drop(repository);
    for name in ["repository.", "new ", "new. ."] {
        let into = place.path().join(name);
        let restored = restore(
            &Backup::open(&file).unwrap(),
            &into,
            RestoreOptions::default(),
            &Unobserved,
        );
        assert_eq!(restored.is_ok(), cfg!(unix), "{name}: {restored:?}");
    }
    assert_clean(
        &Repository::open_read_only(&directory).unwrap(),
        "beside the others",
    );
    let expected = if cfg!(unix) { 5 } else { 2 };
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), expected);
}
