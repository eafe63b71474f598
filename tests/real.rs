//! What holds for every healthy repository that Windows wrote. Which ones there are is up to the
//! machine: see `support::corpus`; nothing here knows their content.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cimrepo::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, RecordRef, Space};
use cimrepo::base::site::{FileRole, Site};
use cimrepo::format::Dialect;
use cimrepo::format::heap::admin_page::{INDEX_ADMIN_SIGNATURE, ObjectAdminPage, index_root};
use cimrepo::format::heap::page::{
    ObjectPage, ObjectPageBuilder, build_multi_page, end_in_last_page,
};
use cimrepo::format::index::key::Key;
use cimrepo::format::index::node::IndexNode;
use cimrepo::format::index::page::IndexPage;
use cimrepo::format::mapping::{Mapping, MappingSection};
use cimrepo::store::{OpenOptions, Repository, Snapshot};
use cimrepo::{Direction, KeyRange};

use support::raw::RawIndex;
use support::small::page_at;
use support::{Files, assert_clean, corpus, load, name_of, odd_case, write_to};

/// Keys that are looked up where a look at each would take too long in a build without
/// optimisation.
const SAMPLE: usize = 997;

fn keys(snapshot: &Snapshot, direction: Direction) -> Vec<Key> {
    snapshot
        .keys(KeyRange::all(), direction)
        .map(Result::unwrap)
        .collect()
}

/// Every generation on disk. Two of dialect 2.1 may bear the same number; then the first stands for
/// both.
fn generations(path: &Path) -> Vec<Snapshot> {
    let repository = Repository::open_read_only(path).unwrap();
    repository
        .generations()
        .iter()
        .map(|&number| {
            OpenOptions::new()
                .generation(number)
                .open(path)
                .unwrap()
                .snapshot()
        })
        .collect()
}

#[test]
fn every_generation_verifies_clean() {
    for path in corpus("every_generation_verifies_clean") {
        let repository = Repository::open_read_only(&path).unwrap();
        assert_clean(&repository, &name_of(&path));
        let report = support::check(&repository, true);
        for generation in &report.generations {
            let (name, dialect, pages) = (name_of(&path), generation.dialect, generation.pages);
            let (number, keys, records) =
                (generation.generation, generation.keys, generation.records);
            println!(
                "{name}: {dialect}, generation {number}: {pages:?} pages, {keys} keys, {records} \
                    records"
            );
        }
    }
}

#[test]
fn scans_give_every_key_once_in_order() {
    for path in corpus("scans_give_every_key_once_in_order") {
        let files = load(&path);
        let snapshot = Repository::open_read_only(&path).unwrap().snapshot();
        let forward = keys(&snapshot, Direction::Forward);
        assert!(forward.is_sorted_by(|a, b| a < b), "{}", name_of(&path));
        assert_eq!(
            forward.len() as u64,
            RawIndex::new(&files).count_keys(),
            "{}",
            name_of(&path)
        );
        assert_eq!(forward.len() as u64, snapshot.counts().keys);
        let mut backward = keys(&snapshot, Direction::Backward);
        backward.reverse();
        assert!(forward == backward, "{}: the scans differ", name_of(&path));
        println!("{}: {} keys", name_of(&path), forward.len());
    }
}

#[test]
fn every_key_is_found_and_no_other() {
    for path in corpus("every_key_is_found_and_no_other") {
        let snapshot = Repository::open_read_only(&path).unwrap().snapshot();
        let all: BTreeSet<Vec<u8>> = keys(&snapshot, Direction::Forward)
            .iter()
            .map(|key| key.as_bytes().to_vec())
            .collect();
        for (number, key) in all.iter().enumerate() {
            assert!(
                snapshot.contains_key(key).unwrap(),
                "{}",
                Key::new(&key[..])
            );
            for mutant in mutants(key, number)
                .into_iter()
                .filter(|mutant| !all.contains(mutant))
            {
                assert!(
                    !snapshot.contains_key(&mutant).unwrap(),
                    "{}",
                    Key::new(mutant)
                );
            }
        }
        println!(
            "{}: {} keys found, twice as many mutants missed",
            name_of(&path),
            all.len()
        );
    }
}

/// The key with one byte more, and with one that is another; which one goes round.
fn mutants(key: &[u8], number: usize) -> [Vec<u8>; 2] {
    let mut other = key.to_vec();
    other[number * 31 % key.len()] ^= 1 << (number % 7);
    [[key, b"0"].concat(), other]
}

#[test]
fn ranges_hold_what_the_whole_scan_holds_between_their_bounds() {
    for path in corpus("ranges_hold_what_the_whole_scan_holds_between_their_bounds") {
        let snapshot = Repository::open_read_only(&path).unwrap().snapshot();
        let all = keys(&snapshot, Direction::Forward);
        for start in (0..all.len()).step_by(SAMPLE) {
            let part = &all[start..(start + 40).min(all.len() - 1)];
            let text = |key: &Key| Some(key.as_bytes().to_vec());
            let range = KeyRange {
                from: text(&all[start]),
                to: text(&all[start + part.len()]),
            };
            let mut backward: Vec<Key> = snapshot
                .keys(range.clone(), Direction::Backward)
                .map(Result::unwrap)
                .collect();
            backward.reverse();
            assert_eq!(backward, part);
            let forward: Vec<Key> = snapshot
                .keys(range, Direction::Forward)
                .map(Result::unwrap)
                .collect();
            assert_eq!(forward, part);
        }
    }
}

#[test]
fn references_and_records_are_the_same_set() {
    for path in corpus("references_and_records_are_the_same_set") {
        let snapshot = Repository::open_read_only(&path).unwrap().snapshot();
        let named = keys(&snapshot, Direction::Forward)
            .iter()
            .filter_map(Key::reference)
            .collect::<BTreeSet<_>>();
        for reference in &named {
            let record = snapshot.record(*reference).unwrap();
            assert_eq!(
                record.len() as u64,
                u64::from(reference.size),
                "{reference}"
            );
        }
        let stored: Vec<RecordRef> = snapshot.records().map(Result::unwrap).collect();
        assert_eq!(
            stored.iter().copied().collect::<BTreeSet<_>>(),
            named,
            "{}",
            name_of(&path)
        );
        assert_eq!(
            stored.len(),
            named.len(),
            "{}: a record came twice",
            name_of(&path)
        );
        println!("{}: {} records", name_of(&path), stored.len());
    }
}

#[test]
fn mapping_files_are_written_as_they_were_read() {
    for path in corpus("mapping_files_are_written_as_they_were_read") {
        let mut count = 0;
        for (name, bytes) in load(&path) {
            let role = FileRole::from_file_name(&name).unwrap();
            let written = match role {
                FileRole::Mapping(_) => rewrite_mapping(&bytes, role),
                FileRole::ObjectsMap | FileRole::IndexMap => rewrite_single_map(&bytes, role),
                _ => continue,
            };
            assert!(written == bytes, "{}: {name}", name_of(&path));
            count += 1;
        }
        println!("{}: {count} mapping files byte for byte", name_of(&path));
    }
}

fn rewrite_mapping(bytes: &[u8], role: FileRole) -> Vec<u8> {
    let parsed = Mapping::parse_any(bytes, Dialect::V22, role).unwrap();
    let mut written = parsed.mapping.to_bytes();
    written.extend_from_slice(&bytes[bytes.len() - parsed.trailing_bytes..]);
    written
}

fn rewrite_single_map(bytes: &[u8], role: FileRole) -> Vec<u8> {
    let (section, stale) = MappingSection::parse_single(bytes, role).unwrap();
    let mut written = Vec::new();
    section.write(Dialect::V21, &mut written);
    written.extend_from_slice(&bytes[bytes.len() - stale..]);
    written
}

/// The pages of a space that any generation maps, by physical page.
fn mapped_pages(snapshots: &[Snapshot], space: Space) -> BTreeMap<PhysicalPage, LogicalPage> {
    let sections = snapshots
        .iter()
        .map(|snapshot| snapshot.mapping().section(space));
    sections
        .flat_map(|section| section.mapped().map(|(page, physical, _)| (physical, page)))
        .collect()
}

#[test]
fn index_pages_are_written_as_they_were_read() {
    for path in corpus("index_pages_are_written_as_they_were_read") {
        let files = load(&path);
        let snapshots = generations(&path);
        let is_v21 = snapshots[0].dialect() == Dialect::V21;
        let mapped = mapped_pages(&snapshots, Space::Index);
        for (&physical, &page) in &mapped {
            let bytes = page_at(&files["INDEX.BTR"], physical);
            let rewritten = if is_v21 && page.get() == 0 {
                rewrite_index_admin(bytes)
            } else {
                rewrite_node(bytes, page)
            };
            assert!(
                rewritten.as_deref() == Some(bytes),
                "{}: {page} at {physical}",
                name_of(&path)
            );
        }
        // Free pages are nodes of former generations; nothing is promised of them.
        let pages = files["INDEX.BTR"]
            .chunks_exact(PAGE_SIZE)
            .map(|page| <&PageBytes>::try_from(page).unwrap());
        let free = pages
            .zip(0..)
            .filter(|(_, number)| !mapped.contains_key(&PhysicalPage::new(*number).unwrap()));
        let (mut nodes, mut exact) = (0, 0);
        for (bytes, _) in free {
            let own = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
            let Some(rewritten) = LogicalPage::new(own).and_then(|own| rewrite_node(bytes, own))
            else {
                continue;
            };
            nodes += 1;
            exact += usize::from(*rewritten == *bytes);
        }
        println!(
            "{}: {} mapped index pages byte for byte, {exact} of {nodes} free ones",
            name_of(&path),
            mapped.len()
        );
    }
}

/// A node, read and written; its slack is part of what is read. `None` when it is none.
fn rewrite_node(bytes: &PageBytes, page: LogicalPage) -> Option<Box<PageBytes>> {
    let node = IndexPage::parse(bytes, page, Site::page(Space::Index, page)).ok()?;
    IndexNode::from_page(&node)?.to_page(page)
}

fn rewrite_index_admin(bytes: &PageBytes) -> Option<Box<PageBytes>> {
    let root = index_root(bytes, Site::file(FileRole::Index)).ok()?;
    let mut page = Box::new([0; PAGE_SIZE]);
    page[..4].copy_from_slice(&INDEX_ADMIN_SIGNATURE.to_le_bytes());
    page[12..16].copy_from_slice(&root.get().to_le_bytes());
    Some(page)
}

/// Object pages that were written again, each physical page once.
#[derive(Default)]
struct Rewritten {
    seen: BTreeSet<PhysicalPage>,
    single: usize,
    records_on_several: usize,
    continued: usize,
    admin: usize,
}

#[test]
fn object_pages_are_written_as_they_were_read() {
    for path in corpus("object_pages_are_written_as_they_were_read") {
        let files = load(&path);
        let snapshots = generations(&path);
        let mut done = Rewritten::default();
        for snapshot in &snapshots {
            let admin = rewrite_admin_chain(snapshot, &mut done);
            rewrite_objects(snapshot, &files, &admin, &mut done);
        }
        let mapped = mapped_pages(&snapshots, Space::Objects).len();
        let Rewritten {
            single,
            records_on_several,
            continued,
            admin,
            ..
        } = done;
        assert_eq!(
            single + continued + admin,
            mapped,
            "{}: a page was left out",
            name_of(&path)
        );
        println!(
            "{}: {mapped} mapped object pages byte for byte: {single} single, {records_on_several} \
                records on {continued}, {admin} admin",
            name_of(&path)
        );
    }
}

/// The admin pages of dialect 2.1, each written over itself; gives their numbers.
fn rewrite_admin_chain(snapshot: &Snapshot, done: &mut Rewritten) -> Vec<LogicalPage> {
    let mut chain = Vec::new();
    let mut next = LogicalPage::new(0).filter(|_| snapshot.dialect() == Dialect::V21);
    while let Some(page) = next {
        let bytes = snapshot.page(Space::Objects, page).unwrap();
        let admin = ObjectAdminPage::parse(&bytes, Site::file(FileRole::Objects)).unwrap();
        let mut written = bytes.clone();
        written[..admin.used()].fill(0xFF);
        admin.write(&mut written);
        assert!(written == bytes, "admin page {page}");
        done.admin += usize::from(
            done.seen
                .insert(snapshot.mapping().objects.resolve(page).unwrap()),
        );
        chain.push(page);
        next = LogicalPage::new(admin.next).filter(|_| admin.next != 0);
    }
    chain
}

fn rewrite_objects(
    snapshot: &Snapshot,
    files: &Files,
    admin: &[LogicalPage],
    done: &mut Rewritten,
) {
    let section = &snapshot.mapping().objects;
    let mut next = 0;
    for (page, physical, _) in section.mapped().filter(|(page, ..)| !admin.contains(page)) {
        if page.get() < next {
            continue;
        }
        let bytes = page_at(&files["OBJECTS.DATA"], physical);
        let view = ObjectPage::new(bytes);
        match view.multi_page_head() {
            Some(head) => {
                let record = RecordRef {
                    page,
                    id: head.id,
                    size: head.size,
                };
                let pages = build_multi_page(&snapshot.record(record).unwrap(), head.check);
                next = page.get() + u32::try_from(pages.len()).unwrap();
                assert_record(snapshot, page, pages, end_in_last_page(head.size), done);
            }
            None if done.seen.insert(physical) => {
                assert!(
                    rewrite_single(&view, bytes) == *bytes,
                    "page {page} at {physical}"
                );
                done.single += 1;
            }
            None => {}
        }
    }
}

/// A page of whole records, built again from them; the slack is carried over.
fn rewrite_single(view: &ObjectPage<'_>, bytes: &PageBytes) -> PageBytes {
    let mut builder = ObjectPageBuilder::new();
    for descriptor in view.descriptors() {
        assert!(builder.push(
            descriptor.id,
            view.record(&descriptor).unwrap(),
            descriptor.check
        ));
    }
    assert_eq!(builder.free_bytes(), view.free_bytes());
    let mut page = *builder.build();
    page[view.end()..].copy_from_slice(&bytes[view.end()..]);
    page
}

/// A record on several pages, built again; the slack behind its end is carried over.
fn assert_record(
    snapshot: &Snapshot,
    first: LogicalPage,
    mut pages: Vec<Box<PageBytes>>,
    end: usize,
    done: &mut Rewritten,
) {
    let number = |count| first.checked_add(u32::try_from(count).unwrap()).unwrap();
    let last = snapshot
        .page(Space::Objects, number(pages.len() - 1))
        .unwrap();
    pages.last_mut().unwrap()[end..].copy_from_slice(&last[end..]);
    let mut is_new = false;
    for (count, page) in pages.iter().enumerate() {
        assert!(
            *page == snapshot.page(Space::Objects, number(count)).unwrap(),
            "record on page {first}, page {count}"
        );
        if done
            .seen
            .insert(snapshot.mapping().objects.resolve(number(count)).unwrap())
        {
            (is_new, done.continued) = (true, done.continued + 1);
        }
    }
    done.records_on_several += usize::from(is_new);
}

#[test]
fn opening_read_only_touches_nothing() {
    for path in corpus("opening_read_only_touches_nothing") {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("FS");
        fs::create_dir(&directory).unwrap();
        write_to(&load(&path), &directory, str::to_owned);
        let protected = traces::protect(&directory);
        let before = traces::of(&directory);
        let repository = Repository::open_read_only(&directory).unwrap();
        assert_eq!(repository.snapshot().counts().unreadable, 0);
        assert_clean(&repository, &name_of(&path));
        #[cfg(feature = "mmap")]
        assert_clean(
            &OpenOptions::new().open_in(&mapped(&directory)).unwrap(),
            &name_of(&path),
        );
        drop(repository);
        assert_eq!(traces::of(&directory), before, "{}", name_of(&path));
        let (now, then) = (load(&directory), load(&path));
        assert!(now == then, "{}: bytes differ", name_of(&path));
        traces::release(protected);
    }
}

/// What the system remembers of a file or directory.
mod traces {
    use std::fs::{self, FileTimes, Permissions};
    use std::path::{Path, PathBuf};
    use std::time::{Duration, SystemTime};

    #[cfg(unix)]
    type Trace = (u64, [i64; 6], [u64; 3]);
    #[cfg(not(unix))]
    type Trace = (u64, SystemTime, bool);

    fn entries(directory: &Path) -> Vec<PathBuf> {
        let mut entries: Vec<PathBuf> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        entries
    }

    /// Makes everything read-only. The superuser may write all the same, so what counts are the
    /// traces.
    pub(super) fn protect(directory: &Path) -> Vec<(PathBuf, Permissions)> {
        for file in entries(directory) {
            // Long before the last change: then even a system that rarely notes accesses notes the
            // next one.
            let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            fs::File::options()
                .write(true)
                .open(file)
                .unwrap()
                .set_times(FileTimes::new().set_accessed(old))
                .unwrap();
        }
        let mut protected = Vec::new();
        for path in entries(directory).into_iter().chain([directory.to_owned()]) {
            let permissions = fs::metadata(&path).unwrap().permissions();
            let mut read_only = permissions.clone();
            read_only.set_readonly(true);
            fs::set_permissions(&path, read_only).unwrap();
            protected.push((path, permissions));
        }
        protected
    }

    /// Undoes it, so that the directory can be removed.
    pub(super) fn release(protected: Vec<(PathBuf, Permissions)>) {
        for (path, permissions) in protected.into_iter().rev() {
            fs::set_permissions(path, permissions).unwrap();
        }
    }

    /// The traces of a directory and its files. The time of last access counts on Linux, and for
    /// files alone: no one can list a directory without setting it.
    pub(super) fn of(directory: &Path) -> Vec<(PathBuf, Trace)> {
        let files = entries(directory)
            .into_iter()
            .map(|path| (trace(&path, cfg!(target_os = "linux")), path));
        let directory = (trace(directory, false), directory.to_owned());
        files
            .chain([directory])
            .map(|(trace, path)| (path, trace))
            .collect()
    }

    #[cfg(unix)]
    fn trace(path: &Path, with_access: bool) -> Trace {
        use std::os::unix::fs::MetadataExt;
        let data = fs::metadata(path).unwrap();
        let access = if with_access {
            [data.atime(), data.atime_nsec()]
        } else {
            [0, 0]
        };
        let [seconds, nanoseconds] = access;
        let times = [
            data.mtime(),
            data.mtime_nsec(),
            data.ctime(),
            data.ctime_nsec(),
            seconds,
            nanoseconds,
        ];
        (
            data.len(),
            times,
            [data.mode().into(), data.ino(), data.nlink()],
        )
    }

    #[cfg(not(unix))]
    fn trace(path: &Path, _: bool) -> Trace {
        let data = fs::metadata(path).unwrap();
        (
            data.len(),
            data.modified().unwrap(),
            data.permissions().readonly(),
        )
    }
}

#[test]
fn the_case_of_file_names_makes_no_difference() {
    for path in corpus("the_case_of_file_names_makes_no_difference") {
        let place = tempfile::tempdir().unwrap();
        write_to(&load(&path), place.path(), odd_case);
        let odd = Repository::open_read_only(place.path()).unwrap();
        let plain = Repository::open_read_only(&path).unwrap();
        assert_eq!(odd.snapshot().mapping(), plain.snapshot().mapping());
        assert_eq!(odd.snapshot().counts(), plain.snapshot().counts());
        assert!(odd.refused().is_empty() && odd.is_whole() && odd.missing().next().is_none());
    }
}

#[test]
fn a_repository_is_found_from_the_directories_above_it() {
    for path in corpus("a_repository_is_found_from_the_directories_above_it") {
        let place = tempfile::tempdir().unwrap();
        let wbem = place.path().join("wbem");
        let inner = wbem.join("Repository").join("FS");
        fs::create_dir_all(&inner).unwrap();
        write_to(&load(&path), &inner, str::to_owned);
        let expected = Repository::open_read_only(&path).unwrap();
        for above in [&wbem, &wbem.join("Repository"), &inner] {
            let found = Repository::open_read_only(above).unwrap();
            assert_eq!(found.files().directory.path, inner);
            assert_eq!(found.snapshot().mapping(), expected.snapshot().mapping());
        }
    }
}

#[cfg(feature = "mmap")]
#[expect(
    unsafe_code,
    reason = "the files of the test are not cut while it runs"
)]
fn mapped(path: &Path) -> cimrepo::storage::Directory {
    // SAFETY: the directory is a copy of this test, or a corpus that nobody writes to.
    let storage = unsafe { cimrepo::storage::MappedStorage::new() };
    cimrepo::storage::Directory::new(std::sync::Arc::new(storage), path)
}

#[cfg(feature = "mmap")]
#[test]
fn mapped_files_show_the_same_as_buffered_ones() {
    for path in corpus("mapped_files_show_the_same_as_buffered_ones") {
        let buffered = Repository::open_read_only(&path).unwrap().snapshot();
        let mapped = OpenOptions::new()
            .open_in(&mapped(&path))
            .unwrap()
            .snapshot();
        assert_eq!(mapped.counts(), buffered.counts());
        assert_eq!(mapped.mapping(), buffered.mapping());
        let sample: Vec<Key> = keys(&buffered, Direction::Forward)
            .into_iter()
            .step_by(SAMPLE / 10)
            .collect();
        for reference in sample.iter().filter_map(Key::reference) {
            assert_eq!(
                mapped.record(reference).unwrap(),
                buffered.record(reference).unwrap()
            );
        }
    }
}
