//! Nothing that is made is more readable than what it was made from; owner and mode of what is
//! replaced are kept.
//!
//! The command runs here as another user too, where the tests may do that: as root.

#![cfg(all(unix, feature = "cli"))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use cimrepo::backup::{Backup, BackupOptions, BackupSet, SetOptions, backup_in};
use cimrepo::base::progress::Unobserved;
use cimrepo::catalog::create;
use cimrepo::restore::{Existing, RestoreOptions, restore_in};
use cimrepo::storage::{Directory, OpenMode, Protection, RealStorage, Storage};
use cimrepo::store::EngineOptions;
use cimrepo::store::{OpenOptions, Repository};
use tempfile::TempDir;

use support::hooked::Hooked;
use support::{Files, load, write_to};

/// A user, and a group, that has no account of its own here.
const USER: u32 = 51_234;
const GROUP: u32 = 51_235;
const NOBODY: u32 = 65_534;

/// A place that everyone may enter, with a repository in it.
struct Place {
    dir: TempDir,
    repository: PathBuf,
}

impl Place {
    fn new(directory_mode: u32, file_mode: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        set_mode(dir.path(), 0o777);
        let repository = dir.path().join("Repository");
        fs::create_dir(&repository).unwrap();
        write_to(files(), &repository, str::to_owned);
        let place = Self { dir, repository };
        place.protect(directory_mode, file_mode);
        place
    }

    fn protect(&self, directory_mode: u32, file_mode: u32) {
        files_in(&self.repository)
            .iter()
            .for_each(|path| set_mode(path, file_mode));
        set_mode(&self.repository, directory_mode);
    }

    fn give(&self, user: u32, group: u32) {
        let files = files_in(&self.repository);
        files
            .iter()
            .chain([&self.repository])
            .for_each(|path| chown(path, Some(user), Some(group)).unwrap());
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the command with a umask, as the user of the tests or as another one.
    fn run(&self, user: Option<u32>, umask: u32, arguments: &[&dyn AsRef<Path>]) -> String {
        // The place where it was built need not be one that the other user may enter.
        let program = self.at("cimrepo");
        if !program.exists() {
            // Another process copies it: a file that this one has open for writing is inherited
            // by what other tests start meanwhile, and cannot be run until they have let go of it.
            let mut copy = Command::new("cp");
            assert!(
                copy.arg(env!("CARGO_BIN_EXE_cimrepo"))
                    .arg(&program)
                    .status()
                    .unwrap()
                    .success()
            );
            set_mode(&program, 0o755);
        }
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("umask {umask:o} && exec \"$@\""))
            .arg("sh")
            .arg(program);
        command.args(
            arguments
                .iter()
                .map(|argument| argument.as_ref().as_os_str()),
        );
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let output = command.current_dir(self.dir.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        text
    }

    /// Damages the repository, so that a restore sets it aside.
    fn damage(&self) {
        let index = self.repository.join("INDEX.BTR");
        let mut bytes = fs::read(&index).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 0x40);
        fs::write(&index, bytes).unwrap();
    }
}

/// A repository with the classes of the system.
fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        create(&Directory::real(dir.path())).unwrap();
        load(dir.path())
    })
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Mode, owner and group.
fn rights(path: &Path) -> (u32, u32, u32) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.mode() & 0o777, metadata.uid(), metadata.gid())
}

fn mode(path: &Path) -> u32 {
    rights(path).0
}

/// The modes of a directory and of all that is in it.
fn modes(directory: &Path) -> (u32, Vec<u32>) {
    let mut files: Vec<u32> = files_in(directory).iter().map(|path| mode(path)).collect();
    files.dedup();
    (mode(directory), files)
}

fn is_root(test: &str) -> bool {
    let is_root = rights(tempfile::tempdir().unwrap().path()).1 == 0;
    if !is_root {
        let line = format!("*** {test}: NOT TESTED with other owners, this is not root ***");
        #[expect(
            clippy::explicit_write,
            reason = "what eprintln prints is kept back when a test passes"
        )]
        writeln!(std::io::stderr(), "{line}").unwrap();
    }
    is_root
}

/// Everything the command makes of a repository: one file or directory each.
fn make_everything(place: &Place, user: Option<u32>, umask: u32) {
    let (repository, full, increment) = (
        &place.repository,
        place.at("full.cimbak"),
        place.at("increment.cimbak"),
    );
    let kept = place.at("kept");
    place.run(user, umask, &[&"backup", repository, &full]);
    place.run(
        user,
        umask,
        &[&"backup", repository, &increment, &"--base", &full],
    );
    place.run(
        user,
        umask,
        &[
            &"backup",
            repository,
            &place.at("forensic.cimbak"),
            &"--forensic",
        ],
    );
    place.run(
        user,
        umask,
        &[&"backup", repository, &kept, &"--keep", &"3"],
    );
    place.run(
        user,
        umask,
        &[&"backup", repository, &kept, &"--keep", &"3"],
    );
    place.run(
        user,
        umask,
        &[&"restore", &increment, &place.at("restored")],
    );
    place.run(
        user,
        umask,
        &[&"restore", &place.at("forensic.cimbak"), &place.at("exact")],
    );
    place.run(
        user,
        umask,
        &[&"convert", repository, &place.at("converted")],
    );
    place.run(user, umask, &[&"convert", &full, &place.at("from-backup")]);
}

const DIRECTORIES: [&str; 5] = ["kept", "restored", "exact", "converted", "from-backup"];
const FILES: [&str; 3] = ["full.cimbak", "increment.cimbak", "forensic.cimbak"];

#[test]
fn what_is_made_is_for_those_alone_who_may_read_the_source() {
    for (source, umask, made) in [
        ((0o700, 0o600), 0, (0o700, 0o600)),
        ((0o700, 0o644), 0, (0o700, 0o600)),
        ((0o755, 0o644), 0, (0o755, 0o644)),
        ((0o777, 0o666), 0o022, (0o755, 0o644)),
        ((0o755, 0o644), 0o027, (0o750, 0o640)),
        ((0o755, 0o644), 0o077, (0o700, 0o600)),
    ] {
        let place = Place::new(source.0, source.1);
        make_everything(&place, None, umask);
        for file in FILES {
            assert_eq!(
                mode(&place.at(file)),
                made.1,
                "{file} of {source:?} with umask {umask:o}"
            );
        }
        for directory in DIRECTORIES {
            let found = modes(&place.at(directory));
            assert_eq!(
                found,
                (made.0, vec![made.1]),
                "{directory} of {source:?} with umask {umask:o}"
            );
        }
        assert_eq!(
            modes(&place.repository),
            (source.0, vec![source.1]),
            "the source is as it was"
        );
    }
}

#[test]
fn one_file_that_is_less_readable_makes_everything_so() {
    let place = Place::new(0o755, 0o644);
    set_mode(&place.repository.join("INDEX.BTR"), 0o600);
    make_everything(&place, None, 0);
    assert_eq!(FILES.map(|file| mode(&place.at(file))), [0o600; 3]);
    assert_eq!(
        DIRECTORIES.map(|directory| modes(&place.at(directory))),
        [(); 5].map(|()| (0o700, vec![0o600]))
    );
}

#[test]
fn a_chain_is_as_readable_as_the_least_readable_of_its_files() {
    let place = Place::new(0o755, 0o644);
    let (full, increment) = (place.at("full.cimbak"), place.at("increment.cimbak"));
    place.run(None, 0, &[&"backup", &place.repository, &full]);
    set_mode(&full, 0o600);
    place.run(
        None,
        0,
        &[&"backup", &place.repository, &increment, &"--base", &full],
    );
    assert_eq!(mode(&increment), 0o600);
    set_mode(&increment, 0o644);
    place.run(None, 0, &[&"restore", &increment, &place.at("restored")]);
    assert_eq!(modes(&place.at("restored")), (0o700, vec![0o600]));
}

#[test]
fn a_backup_that_replaces_one_is_as_readable_as_both() {
    for (repository, old, new) in [
        (0o644, 0o600, 0o600),
        (0o600, 0o644, 0o600),
        (0o644, 0o644, 0o644),
    ] {
        let place = Place::new(0o755, repository);
        let file = place.at("backup.cimbak");
        place.run(None, 0, &[&"backup", &place.repository, &file]);
        set_mode(&file, old);
        place.run(None, 0, &[&"backup", &place.repository, &file]);
        assert_eq!(mode(&file), new, "{repository:o} over {old:o}");
    }
}

#[test]
fn a_restore_keeps_the_rights_of_what_it_replaces() {
    for is_damaged in [false, true] {
        for (directory, file) in [(0o700, 0o600), (0o750, 0o640), (0o755, 0o644)] {
            let place = Place::new(directory, file);
            let (user, group) = if is_root("a restore") {
                (USER, GROUP)
            } else {
                (0, 0)
            };
            let backup = place.at("backup.cimbak");
            place.run(None, 0, &[&"backup", &place.repository, &backup]);
            set_mode(&backup, 0o644);
            // One of the files has rights of its own, and one is gone.
            set_mode(&place.repository.join("MAPPING1.MAP"), 0o400);
            fs::remove_file(place.repository.join("MAPPING2.MAP")).unwrap();
            if is_root("a restore") {
                place.give(user, group);
            }
            if is_damaged {
                place.damage();
            }
            let before: BTreeMap<_, _> = files_in(&place.repository)
                .into_iter()
                .map(|path| (path.clone(), rights(&path)))
                .collect();
            let own = rights(&place.repository);
            let text = place.run(
                None,
                0o022,
                &[&"restore", &backup, &place.repository, &"--force"],
            );
            assert_eq!(rights(&place.repository), own, "{text}");
            assert_eq!(place.at("Repository.001").exists(), is_damaged, "{text}");
            for path in files_in(&place.repository) {
                let like = path.with_file_name("INDEX.BTR");
                let kept = before.get(&path).unwrap_or(&before[&like]);
                assert_eq!(rights(&path), *kept, "{}", path.display());
            }
            if is_damaged {
                let aside = place.at("Repository.001");
                assert_eq!(rights(&aside), own);
                for (path, kept) in before {
                    assert_eq!(rights(&aside.join(path.file_name().unwrap())), kept);
                }
            }
        }
    }
}

#[test]
fn a_group_that_the_maker_cannot_give_gets_nothing() {
    if !is_root("a group") {
        return;
    }
    // The group of the source may read it; the user who makes the backup owns it, and is not in
    // that group.
    let place = Place::new(0o750, 0o640);
    place.give(NOBODY, GROUP);
    make_everything(&place, Some(NOBODY), 0);
    assert_eq!(
        FILES.map(|file| rights(&place.at(file))),
        [(0o600, NOBODY, NOBODY); 3]
    );
    for directory in DIRECTORIES {
        assert_eq!(
            modes(&place.at(directory)),
            (0o700, vec![0o600]),
            "{directory}"
        );
    }
    // Root can give it; others had nothing before, and have nothing now.
    let place = Place::new(0o750, 0o640);
    place.give(NOBODY, GROUP);
    make_everything(&place, None, 0);
    assert_eq!(
        FILES.map(|file| rights(&place.at(file))),
        [(0o640, 0, GROUP); 3]
    );
    for directory in DIRECTORIES {
        assert_eq!(
            modes(&place.at(directory)),
            (0o750, vec![0o640]),
            "{directory}"
        );
    }
}

#[test]
fn another_user_keeps_what_may_be_kept() {
    if !is_root("another user") {
        return;
    }
    let place = Place::new(0o755, 0o644);
    place.give(NOBODY, NOBODY);
    let backup = place.at("backup.cimbak");
    place.run(Some(NOBODY), 0, &[&"backup", &place.repository, &backup]);
    place.protect(0o700, 0o600);
    place.damage();
    place.run(
        Some(NOBODY),
        0,
        &[&"restore", &backup, &place.repository, &"--force"],
    );
    assert_eq!(modes(&place.repository), (0o700, vec![0o600]));
    assert_eq!(rights(&place.repository), (0o700, NOBODY, NOBODY));
    // In a directory of its own someone else replaces a repository, but cannot give it away: then
    // it is for that one alone.
    place.damage();
    place.protect(0o777, 0o644);
    place.run(
        Some(USER),
        0,
        &[&"restore", &backup, &place.repository, &"--force"],
    );
    let found = rights(&place.repository);
    assert_eq!((found.0, found.1), (0o777, USER));
    assert_eq!(modes(&place.repository).1, [0o644]);
}

#[test]
fn the_owner_of_a_backup_that_is_replaced_stays_where_that_one_may_read_it() {
    if !is_root("the owner of a backup") {
        return;
    }
    for (file_mode, owner) in [(0o600, 0), (0o644, USER)] {
        let place = Place::new(0o755, file_mode);
        let file = place.at("backup.cimbak");
        place.run(None, 0, &[&"backup", &place.repository, &file]);
        chown(&file, Some(USER), Some(0)).unwrap();
        place.run(None, 0, &[&"backup", &place.repository, &file]);
        assert_eq!(rights(&file), (file_mode, owner, 0));
    }
}

#[test]
fn the_engine_makes_its_files_like_those_of_the_repository() {
    for (directory, file) in [(0o700, 0o600), (0o770, 0o660), (0o755, 0o644)] {
        let place = Place::new(directory, file);
        let (user, group) = if is_root("the engine") {
            (USER, GROUP)
        } else {
            (0, 0)
        };
        if is_root("the engine") {
            place.give(user, group);
        }
        let own = (user, group);
        fs::remove_file(place.repository.join("MAPPING1.MAP")).unwrap();
        let options = EngineOptions::new().background(false);
        let engine = options.open(&place.repository).unwrap();
        let mut transaction = engine.begin_write().unwrap();
        transaction.insert_key(b"NS_Z").unwrap();
        transaction.commit().unwrap();
        let names = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let made: Vec<PathBuf> = files_in(&place.repository);
        assert!(
            made.iter().any(|path| names(path).ends_with(".journal")),
            "{made:?}"
        );
        assert!(
            made.iter().any(|path| names(path) == "cimrepo.lock"),
            "{made:?}"
        );
        let beside = place.at("Repository.cimrepo.lock");
        for path in made.iter().chain([&beside]) {
            let found = rights(path);
            assert_eq!(
                (found.0, (found.1, found.2)),
                (file, own),
                "{}",
                path.display()
            );
        }
        for _ in 0..3 {
            engine.checkpoint().unwrap();
            let mut transaction = engine.begin_write().unwrap();
            transaction
                .insert_key(format!("NS_Y{}", engine.snapshot().mapping().generation()).as_bytes())
                .unwrap();
            transaction.commit().unwrap();
        }
        drop(engine);
        assert!(place.repository.join("MAPPING1.MAP").exists());
        for path in files_in(&place.repository) {
            let found = rights(&path);
            assert_eq!(
                (found.0, (found.1, found.2)),
                (file, own),
                "{}",
                path.display()
            );
        }
    }
}

/// At no moment is anything there that others may read: looked at before every call, and after the
/// last.
#[test]
fn not_for_an_instant_is_anything_readable_by_others() {
    let place = Place::new(0o700, 0o600);
    let root = place.dir.path().to_owned();
    let seen: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
    let look = {
        let (root, seen) = (root.clone(), seen.clone());
        move |seen_at: &str| {
            for entry in walk(&root) {
                let Ok(metadata) = fs::symlink_metadata(&entry) else {
                    continue;
                };
                let bits = metadata.mode() & 0o077;
                let name = entry.strip_prefix(&root).unwrap().display().to_string();
                assert_eq!(bits, 0, "{name} at {seen_at}");
                *seen.lock().unwrap().entry(name).or_default() += 1;
            }
        }
    };
    let hook = {
        let look = look.clone();
        move |call: &str, path: &Path| {
            look(&format!("{call} {}", path.display()));
            Ok(())
        }
    };
    let storage: Arc<dyn Storage> = Arc::new(Hooked::new(RealStorage, hook));
    let directory = |name: &str| Directory::new(storage.clone(), root.join(name));
    let source = || {
        OpenOptions::new()
            .open_in(&directory("Repository"))
            .unwrap()
    };

    let file = root.join("backup.cimbak");
    backup_in(
        &source(),
        &storage,
        &file,
        &BackupOptions::default(),
        &Unobserved,
    )
    .unwrap();
    storage
        .create_dir_with(
            &root.join("kept"),
            &source().snapshot().protection().for_directory(),
        )
        .unwrap();
    let set = BackupSet::open_in(&directory("kept")).unwrap();
    for _ in 0..2 {
        set.back_up(
            &source(),
            &SetOptions {
                full_after: 3,
                ..SetOptions::default()
            },
            &Unobserved,
        )
        .unwrap();
    }
    let opened = || {
        cimrepo::backup::OpenBackup::new()
            .open_in(&storage, &file)
            .unwrap()
    };
    restore_in(
        &opened(),
        &directory("restored"),
        RestoreOptions::default(),
        &Unobserved,
    )
    .unwrap();
    place.damage();
    let replace = RestoreOptions {
        existing: Existing::Replace,
        ..RestoreOptions::default()
    };
    restore_in(&opened(), &directory("Repository"), replace, &Unobserved).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory("Repository"))
        .unwrap();
    let mut transaction = engine.begin_write().unwrap();
    transaction.insert_key(b"NS_Z").unwrap();
    transaction.commit().unwrap();
    engine.compact(&Unobserved).unwrap();
    drop(engine);
    look("the end");
    let seen = seen.lock().unwrap();
    for part in [
        ".partial-",
        ".restoring",
        ".journal",
        ".lock",
        "kept/",
        "restored/",
        "Repository.001/",
    ] {
        assert!(
            seen.keys().any(|name| name.contains(part)),
            "{part} was never there: {:?}",
            seen.keys()
        );
    }
}

/// All that is below a directory, but the lock file of a test's own.
fn walk(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                waiting.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn what_the_storage_makes_by_itself_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    drop(RealStorage.open(&at("new"), OpenMode::CreateNew).unwrap());
    drop(RealStorage.open(&at("created"), OpenMode::Create).unwrap());
    RealStorage.create_dir(&at("directory")).unwrap();
    let lock = RealStorage.lock(&at("lock"), "process 1").unwrap();
    assert_eq!(
        ["new", "created", "directory", "lock"].map(|name| mode(&at(name))),
        [0o600, 0o600, 0o700, 0o600]
    );
    drop(lock);
    // What takes the place of something for all is for all; what was made before keeps its rights
    // when it is emptied.
    drop(
        RealStorage
            .create(&at("open"), &Protection::unix(0o666, 0, 0).kept())
            .unwrap(),
    );
    assert_eq!(mode(&at("open")) & 0o606, 0o606);
    drop(RealStorage.open(&at("open"), OpenMode::Create).unwrap());
    assert_eq!(mode(&at("open")) & 0o606, 0o606);
}

#[cfg(target_os = "linux")]
mod access_lists {
    use super::{DIRECTORIES, FILES, USER};
    use super::{Place, chown, files_in, fs, is_root, make_everything, mode, rights, set_mode};
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    use std::path::Path;

    const ACCESS: &str = "system.posix_acl_access";
    const DEFAULT: &str = "system.posix_acl_default";

    /// A list that lets the owner and one user read and write, and nobody else do anything.
    fn list() -> Vec<u8> {
        const ANY: u32 = u32::MAX;
        let entries = [
            (0x01_u16, 6_u16, ANY),
            (0x02, 6, USER),
            (0x04, 0, ANY),
            (0x10, 6, ANY),
            (0x20, 0, ANY),
        ];
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, bits, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(bits.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    fn has_list(path: &Path) -> bool {
        getxattr(path, ACCESS, &mut [0; 4096][..]).is_ok()
    }

    fn set(path: &Path, kind: &str) -> bool {
        setxattr(path, kind, &list(), XattrFlags::empty()).is_ok()
    }

    #[test]
    fn a_directory_hands_down_no_list_to_what_is_made_in_it() {
        let place = Place::new(0o755, 0o664);
        if !set(place.dir.path(), DEFAULT) {
            return super::say("access lists", "the file system has none");
        }
        make_everything(&place, None, 0);
        for file in FILES {
            assert!(!has_list(&place.at(file)), "{file}");
        }
        for path in DIRECTORIES
            .iter()
            .flat_map(|directory| files_in(&place.at(directory)))
        {
            assert!(!has_list(&path), "{}", path.display());
        }
    }

    #[test]
    fn the_group_does_not_get_what_a_list_gave_to_one_user() {
        let place = Place::new(0o755, 0o600);
        let files = files_in(&place.repository);
        if !files.iter().all(|file| set(file, ACCESS)) {
            return super::say("access lists", "the file system has none");
        }
        // By its bits the group may read and write: they are those of the mask.
        assert!(files.iter().all(|file| mode(file) == 0o660));
        make_everything(&place, None, 0);
        for file in FILES {
            assert_eq!(mode(&place.at(file)), 0o600, "{file}");
        }
        for path in DIRECTORIES
            .iter()
            .flat_map(|directory| files_in(&place.at(directory)))
        {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }

    #[test]
    fn a_restore_keeps_the_list_of_what_it_replaces() {
        let place = Place::new(0o755, 0o600);
        let backup = place.at("backup.cimbak");
        place.run(None, 0, &[&"backup", &place.repository, &backup]);
        if is_root("the owner of a file with a list") {
            files_in(&place.repository)
                .iter()
                .for_each(|file| chown(file, Some(USER), None).unwrap());
        }
        if !files_in(&place.repository)
            .iter()
            .all(|file| set(file, ACCESS))
        {
            return super::say("access lists", "the file system has none");
        }
        let before = rights(&place.repository.join("INDEX.BTR"));
        place.damage();
        place.run(
            None,
            0o022,
            &[&"restore", &backup, &place.repository, &"--force"],
        );
        for file in files_in(&place.repository) {
            assert_eq!(rights(&file), before, "{}", file.display());
            let mut found = [0; 4096];
            let len = getxattr(&file, ACCESS, &mut found[..]).unwrap();
            assert_eq!(found[..len], list(), "{}", file.display());
        }
        set_mode(place.dir.path(), 0o755);
        assert!(fs::metadata(place.at("Repository.001")).unwrap().is_dir());
    }
}

#[cfg(target_os = "linux")]
fn say(test: &str, why: &str) {
    #[expect(
        clippy::explicit_write,
        reason = "what eprintln prints is kept back when a test passes"
    )]
    writeln!(std::io::stderr(), "*** {test}: NOT TESTED, {why} ***").unwrap();
}

/// A repository and a backup of it can be read by someone who owns neither.
#[test]
fn reading_needs_no_ownership() {
    let place = Place::new(0o755, 0o644);
    make_everything(&place, None, 0o022);
    let repository = Repository::open_read_only(place.at("restored")).unwrap();
    assert_eq!(repository.snapshot().protection().mode(), Some(0o644));
    let backup = Backup::open(place.at("increment.cimbak")).unwrap();
    assert_eq!(backup.snapshot().protection().mode(), Some(0o644));
    if is_root("reading") {
        place.run(Some(NOBODY), 0o022, &[&"verify", &place.at("restored")]);
        place.run(
            Some(NOBODY),
            0o022,
            &[&"verify", &place.at("increment.cimbak")],
        );
    }
}
