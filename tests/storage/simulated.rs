//! The simulator loses, tears and fails what it says it does.

use super::*;
use cimrepo::storage::sim::{CrashPolicy, Fault, FaultPlan, SimStorage};
use proptest::prelude::*;

const FILE: &str = "dir/file";

/// A disk with one durable file of four sectors, all `1`.
fn disk() -> SimStorage {
    let disk = SimStorage::new();
    disk.put(FILE, &[1; 2048]);
    disk
}

fn open(disk: &SimStorage, path: &str, mode: OpenMode) -> Box<dyn cimrepo::storage::StorageFile> {
    disk.open(Path::new(path), mode).unwrap()
}

fn after(disk: &SimStorage, policy: CrashPolicy, path: &str) -> Option<Vec<u8>> {
    disk.crash(policy).get(path)
}

fn rename(disk: &SimStorage, from: &str, to: &str) {
    disk.rename(Path::new(from), Path::new(to)).unwrap();
}

#[test]
fn sim_storage_conforms() {
    conforms(|| (Arc::new(SimStorage::new()), PathBuf::from("/")));
    conforms(|| {
        let disk = SimStorage::new();
        disk.create_dir(Path::new("root")).unwrap();
        (Arc::new(disk), PathBuf::from("./root"))
    });
    // Short transfers are nothing that a caller may notice behind the two loops.
    let disk = SimStorage::with_plan(FaultPlan::from(0, Fault::Short));
    reading_and_writing_in_loops(&disk);
    assert!(disk.faults_struck() > 5);
}

fn reading_and_writing_in_loops(disk: &SimStorage) {
    let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
    write(disk, Path::new("file"), &bytes);
    assert_eq!(read(disk, Path::new("file")).unwrap(), bytes);
}

#[test]
fn unsynced_writes_are_lost_kept_and_torn() {
    let disk = disk();
    let file = open(&disk, FILE, OpenMode::Write);
    write_all_at(&*file, 0, &[2; 1024]).unwrap();
    assert_eq!(disk.unsynced(), 2);
    let expect = |policy, parts: [(u8, usize); 3]| {
        let bytes = parts
            .iter()
            .flat_map(|(byte, count)| vec![*byte; *count])
            .collect();
        assert_eq!(after(&disk, policy, FILE), Some(bytes), "{policy:?}");
    };
    expect(CrashPolicy::DropAll, [(1, 2048), (0, 0), (0, 0)]);
    expect(CrashPolicy::KeepAll, [(2, 1024), (1, 1024), (0, 0)]);
    expect(CrashPolicy::LoseOne(0), [(1, 512), (2, 512), (1, 1024)]);
    expect(CrashPolicy::KeepOne(0), [(2, 512), (1, 1536), (0, 0)]);
    expect(CrashPolicy::TearOne(1), [(2, 768), (1, 1280), (0, 0)]);
    expect(CrashPolicy::LoseOne(9), [(2, 1024), (1, 1024), (0, 0)]);
    file.sync().unwrap();
    assert_eq!(disk.unsynced(), 0);
    expect(CrashPolicy::DropAll, [(2, 1024), (1, 1024), (0, 0)]);
}

#[test]
fn a_lost_extension_takes_the_bytes_with_it() {
    let disk = disk();
    write_all_at(&*open(&disk, FILE, OpenMode::Write), 2000, &[2; 1000]).unwrap();
    // The extension, then the rest of the fourth sector and two new ones.
    assert_eq!(disk.unsynced(), 4, "{:?}", disk.unsynced_log());
    let kept = [vec![1; 2000], vec![2; 1000]].concat();
    assert_eq!(after(&disk, CrashPolicy::KeepAll, FILE).unwrap(), kept);
    assert_eq!(
        after(&disk, CrashPolicy::LoseOne(0), FILE).unwrap(),
        kept[..2048]
    );
    let hole = [&kept[..2048], &[0; 512], &kept[2560..]].concat();
    assert_eq!(after(&disk, CrashPolicy::LoseOne(2), FILE).unwrap(), hole);
    assert_eq!(
        after(&disk, CrashPolicy::KeepOne(0), FILE).unwrap(),
        [vec![1; 2048], vec![0; 952]].concat()
    );
}

#[test]
fn seeds_give_all_sorts_of_images() {
    let disk = disk();
    write_all_at(&*open(&disk, FILE, OpenMode::Write), 1024, &[2; 2048]).unwrap();
    let images: Vec<_> = (0..300)
        .map(|seed| after(&disk, CrashPolicy::Seeded(seed), FILE).unwrap())
        .collect();
    let any = |wanted: &dyn Fn(&[u8]) -> bool| images.iter().any(|image| wanted(image));
    assert!(
        any(&|image| image == [1; 2048])
            && any(&|image| image == [vec![1; 1024], vec![2; 2048]].concat())
    );
    assert!(any(
        &|image| image[1024..1280] == [2; 256] && image[1280..1536] == [1; 256]
    ));
    assert!(any(
        &|image| image[1024..1280] == [1; 256] && image[1280..1536] == [2; 256]
    ));
    assert!(any(
        &|image| image.len() == 3072 && image[2048..2560] == [0; 512]
    ));
    assert!(any(
        &|image| image.len() == 3072 && image[2048..2560] == [0xA5; 512]
    ));
    assert!(images.iter().all(|image| image[..1024] == [1; 1024]));
    assert_eq!(
        after(&disk, CrashPolicy::Seeded(5), FILE).unwrap(),
        images[5]
    );
}

#[test]
fn a_synced_file_without_a_synced_entry_is_lost() {
    let disk = disk();
    let file = open(&disk, "dir/new", OpenMode::CreateNew);
    write_all_at(&*file, 0, b"bytes").unwrap();
    file.sync().unwrap();
    assert_eq!(after(&disk, CrashPolicy::DropAll, "dir/new"), None);
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(after(&disk, CrashPolicy::DropAll, "dir/new"), None);
    disk.sync_dir(Path::new("dir")).unwrap();
    assert_eq!(
        after(&disk, CrashPolicy::DropAll, "dir/new").unwrap(),
        b"bytes"
    );

    // And an entry without bytes is an empty file.
    write(&disk, Path::new("dir/empty"), b"bytes");
    disk.sync_dir(Path::new("dir")).unwrap();
    assert_eq!(
        after(&disk, CrashPolicy::DropAll, "dir/empty").unwrap(),
        b""
    );
}

#[test]
fn a_rename_is_all_or_nothing() {
    let disk = disk();
    let file = open(&disk, "dir/new", OpenMode::CreateNew);
    write_all_at(&*file, 0, b"new").unwrap();
    file.sync().unwrap();
    rename(&disk, "dir/new", FILE);
    assert_eq!(
        disk.unsynced_log(),
        ["creation of new", "renaming of new to file"]
    );
    assert_eq!(after(&disk, CrashPolicy::DropAll, FILE).unwrap(), [1; 2048]);
    let lost = disk.crash(CrashPolicy::LoseOne(1));
    assert_eq!(
        (lost.get(FILE).unwrap(), lost.get("dir/new").unwrap()),
        (vec![1; 2048], b"new".to_vec())
    );
    // The creation is lost and the rename is not: the file has its second name all the same.
    let kept = disk.crash(CrashPolicy::KeepOne(1));
    assert_eq!(
        (kept.get(FILE).unwrap(), kept.get("dir/new")),
        (b"new".to_vec(), None)
    );
    for seed in 0..200 {
        let bytes = after(&disk, CrashPolicy::Seeded(seed), FILE).unwrap();
        assert!(bytes == b"new" || bytes == [1; 2048]);
    }
    disk.sync_dir(Path::new("dir")).unwrap();
    assert_eq!(disk.crash(CrashPolicy::DropAll).files(), disk.files());
}

#[test]
fn a_rename_between_directories_is_one_operation() {
    for synced in ["dir", "two"] {
        let disk = disk();
        disk.put("two/b", b"old");
        disk.remove_file(Path::new("two/b")).unwrap();
        open(&disk, "two/b", OpenMode::CreateNew);
        rename(&disk, FILE, "two/b");
        for policy in [
            CrashPolicy::DropAll,
            CrashPolicy::KeepAll,
            CrashPolicy::LoseOne(2),
            CrashPolicy::KeepOne(2),
        ] {
            let crashed = disk.crash(policy);
            let moved = crashed.get("two/b").is_some_and(|bytes| bytes == [1; 2048]);
            assert_ne!(moved, crashed.get(FILE).is_some(), "{policy:?}");
        }
        // Either directory makes it durable, and what was done to the name before cannot come back.
        disk.sync_dir(Path::new(synced)).unwrap();
        assert_eq!(disk.unsynced(), 0);
        assert_eq!(disk.crash(CrashPolicy::DropAll).files(), disk.files());
    }
}

#[test]
fn a_lost_directory_takes_its_files_with_it() {
    let disk = SimStorage::new();
    disk.create_dir(Path::new("new")).unwrap();
    write(&disk, Path::new("new/file"), b"x");
    open(&disk, "new/file", OpenMode::Write).sync().unwrap();
    disk.sync_dir(Path::new("new")).unwrap();
    assert!(disk.crash(CrashPolicy::DropAll).files().is_empty());
    disk.sync_dir(Path::new("")).unwrap();
    assert_eq!(disk.crash(CrashPolicy::DropAll).files(), disk.files());
}

#[test]
fn a_crash_leaves_the_original_and_frees_the_lock() {
    let disk = disk();
    let guard = disk.lock(Path::new("dir/lock"), "me").unwrap();
    let crashed = disk.crash(CrashPolicy::KeepAll);
    assert_eq!(crashed.get("dir/lock").unwrap(), b"me");
    drop(crashed.lock(Path::new("dir/lock"), "you").unwrap());
    write(&crashed, Path::new(FILE), b"other");
    assert_eq!(disk.get(FILE).unwrap(), [1; 2048]);
    assert_eq!(
        kind_of(disk.lock(Path::new("dir/lock"), "you")),
        Some(ErrorKind::WouldBlock)
    );
    drop(guard);
    assert_eq!((crashed.unsynced() > 0, disk.get("dir/lock")), (true, None));
}

/// Four operations: open, write, sync, len.
fn work(disk: &SimStorage) -> io::Result<u64> {
    let file = disk.open(Path::new(FILE), OpenMode::Write)?;
    write_all_at(&*file, 0, &[2; 600])?;
    file.sync()?;
    file.len()
}

#[test]
fn the_planned_operation_fails() {
    for (at, what) in ["open for writing", "write", "sync", "len"]
        .into_iter()
        .enumerate()
    {
        let disk = disk();
        disk.set_plan(FaultPlan::once(at as u64, Fault::Io));
        assert_eq!(work(&disk).unwrap_err().to_string(), "simulated I/O error");
        assert_eq!(
            (disk.operations(), disk.faults_struck()),
            (at as u64 + 1, 1)
        );
        assert!(
            disk.operation_log()[at].starts_with(what)
                && disk.operation_log()[at].ends_with("(fault)")
        );
        assert_eq!(work(&disk).unwrap(), 2048);
        disk.set_plan(FaultPlan::from(disk.operations() + 1, Fault::Io));
        assert!(work(&disk).is_err() && work(&disk).is_err());
    }
}

#[test]
fn a_failed_write_changes_nothing_unless_told_to() {
    let disk = disk();
    disk.set_plan(FaultPlan::once(1, Fault::Io));
    assert!(work(&disk).is_err());
    assert_eq!(
        (disk.unsynced(), disk.get(FILE).unwrap()),
        (0, vec![1; 2048])
    );
    disk.set_plan(FaultPlan::once(disk.operations() + 1, Fault::NoSpace).transfer_first());
    assert_eq!(kind_of(work(&disk)), Some(ErrorKind::StorageFull));
    assert_eq!(
        disk.get(FILE).unwrap(),
        [vec![2; 400], vec![1; 1648]].concat()
    );
}

#[test]
fn a_full_disk_fails_only_what_needs_space() {
    let disk = disk();
    disk.set_plan(FaultPlan::from(0, Fault::NoSpace));
    let file = open(&disk, FILE, OpenMode::Write);
    let refused = [
        kind_of(file.write_at(0, b"x")),
        kind_of(file.set_len(1)),
        kind_of(disk.open(Path::new("dir/new"), OpenMode::Create)),
        kind_of(disk.create_dir(Path::new("new"))),
        kind_of(disk.lock(Path::new("lock"), "")),
    ];
    assert!(
        refused
            .iter()
            .all(|kind| *kind == Some(ErrorKind::StorageFull)),
        "{refused:?}"
    );
    assert_eq!(read(&disk, Path::new(FILE)).unwrap(), [1; 2048]);
    file.sync().unwrap();
    rename(&disk, FILE, "dir/other");
    disk.sync_dir(Path::new("dir")).unwrap();
    disk.remove_file(Path::new("dir/other")).unwrap();
}

#[test]
fn signals_and_short_transfers_are_survived() {
    for fault in [Fault::Short, Fault::Interrupted] {
        let disk = SimStorage::with_plan(FaultPlan::from(0, Fault::Short).and_once(1, fault));
        reading_and_writing_in_loops(&disk);
    }
    let disk = disk();
    disk.set_plan(FaultPlan::from(1, Fault::Interrupted));
    assert_eq!(work(&disk).unwrap(), 2048);
    assert_eq!((disk.faults_struck(), disk.operations()), (1, 5));
    disk.set_plan(FaultPlan::from(0, Fault::Short));
    assert_eq!(
        open(&disk, FILE, OpenMode::Read)
            .read_at(0, &mut [0])
            .unwrap(),
        1
    );
}

#[test]
fn without_power_nothing_happens() {
    let disk = disk();
    let guard = disk.lock(Path::new("dir/lock"), "me").unwrap();
    disk.set_plan(FaultPlan::once(disk.operations() + 2, Fault::PowerOff));
    let before = disk.files();
    assert_eq!(work(&disk).unwrap_err().to_string(), "power is off");
    drop(guard);
    disk.set_plan(FaultPlan::none());
    assert_eq!(
        disk.remove_file(Path::new(FILE)).unwrap_err().to_string(),
        "power is off"
    );
    assert_eq!(
        disk.files().keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
    let crashed = disk.crash(CrashPolicy::DropAll);
    assert_eq!(
        (crashed.get(FILE).unwrap(), crashed.operations()),
        (vec![1; 2048], 0)
    );
    assert_eq!(work(&crashed).unwrap(), 2048);
}

/// Any operation on a few names in two directories; what makes no sense fails, and that is fine.
fn step(disk: &SimStorage, (what, from, to, size): (u8, usize, usize, u16)) -> io::Result<()> {
    const NAMES: [&str; 7] = ["a", "b", "d", "d/a", "d/b", "d/e", "d/e/a"];
    let (from, to) = (Path::new(NAMES[from]), Path::new(NAMES[to]));
    let size = usize::from(size);
    match what {
        0 => disk.create_dir(from),
        1 => disk.rename(from, to),
        2 => disk.remove_file(from).or_else(|_| disk.remove_dir(from)),
        3 => disk.sync_dir(from.parent().unwrap()),
        4 => disk.open(from, OpenMode::Write)?.sync(),
        5 => disk.open(from, OpenMode::Write)?.set_len(size as u64),
        6 => disk.open(from, OpenMode::Create).map(drop),
        _ => write_all_at(
            &*disk.open(from, OpenMode::Write)?,
            size as u64 / 2,
            &vec![what; size],
        ),
    }
}

/// Syncs every file and directory.
fn sync_all(disk: &SimStorage, dir: &Path) {
    disk.sync_dir(dir).unwrap();
    for (name, kind) in names(disk, dir) {
        let path = dir.join(name);
        match kind {
            EntryKind::Directory => sync_all(disk, &path),
            _ => disk.open(&path, OpenMode::Write).unwrap().sync().unwrap(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_kept_is_what_was_seen(
        steps in prop::collection::vec((0..12u8, 0..7usize, 0..7usize, 0..2000u16), 1..60),
        seed: u64,
    ) {
        let disk = SimStorage::new();
        for chosen in steps {
            step(&disk, chosen).ok();
            prop_assert_eq!(disk.crash(CrashPolicy::KeepAll).files(), disk.files());
            prop_assert_eq!(disk.unsynced(), disk.unsynced_log().len());
        }
        // Whatever a crash leaves is a disk one can work with.
        let crashed = disk.crash(CrashPolicy::Seeded(seed));
        prop_assert_eq!(crashed.crash(CrashPolicy::DropAll).files(), crashed.files());
        sync_all(&disk, Path::new(""));
        prop_assert_eq!(disk.crash(CrashPolicy::DropAll).files(), disk.files());
    }
}

#[test]
fn what_a_failed_sync_gives_up_is_seen_and_lost_until_it_is_written_again() {
    let disk = SimStorage::new();
    let file = disk.open("a".as_ref(), OpenMode::CreateNew).unwrap();
    write_all_at(file.as_ref(), 0, &[1; 1024]).unwrap();
    file.sync().unwrap();
    disk.sync_dir("".as_ref()).unwrap();
    write_all_at(file.as_ref(), 0, &[2; 1024]).unwrap();
    disk.rename("a".as_ref(), "b".as_ref()).unwrap();
    disk.set_plan(FaultPlan::from(disk.operations(), Fault::Io).sync_loses());
    assert!(file.sync().is_err() && disk.sync_dir("".as_ref()).is_err());
    disk.set_plan(FaultPlan::none());
    write_all_at(file.as_ref(), 0, &[3; 512]).unwrap();
    file.sync().unwrap();
    disk.sync_dir("".as_ref()).unwrap();
    assert_eq!(disk.get("b").unwrap(), [[3; 512], [2; 512]].concat());
    let left = disk.crash(CrashPolicy::KeepAll);
    assert_eq!(
        left.files().into_iter().collect::<Vec<_>>(),
        [("a".into(), [[3; 512], [1; 512]].concat())]
    );
}
