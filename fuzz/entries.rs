//! The entries of the fuzz targets. The targets and `tests/fuzz_replay.rs` include this
//! file, so that a seed means the same to both.
//!
//! An entry panics when the engine breaks a promise, and returns otherwise: for the most part
//! inputs are damaged, and damage must be told, not survived by luck. Only the public interface of
//! the crate is used.

pub(crate) mod backup;
pub(crate) mod bmf;
pub(crate) mod journal;
pub(crate) mod objects;
pub(crate) mod query;
pub(crate) mod security;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use cimrepo::base::corruption::Corruption;
use cimrepo::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, RecordRef, Space};
use cimrepo::base::progress::Unobserved;
use cimrepo::base::site::{FileRole, Site};
use cimrepo::forensics::carve::Evidence;
use cimrepo::forensics::carve::scan::{MAX_HITS, hits};
use cimrepo::forensics::{CarveOptions, Carver};
use cimrepo::format::Dialect;
use cimrepo::format::checksum::{crc32, sampled};
use cimrepo::format::heap::admin_page;
use cimrepo::format::heap::admin_page::{AdminEntry, INDEX_ADMIN_SIGNATURE, ObjectAdminPage};
use cimrepo::format::heap::page as object_page;
use cimrepo::format::heap::page::{ObjectPage, ObjectPageBuilder, build_multi_page};
use cimrepo::format::index::key::Key;
use cimrepo::format::index::node::IndexNode;
use cimrepo::format::index::page::IndexPage;
use cimrepo::format::mapping::{Mapping, MappingEntry, MappingSection, ParsedMapping};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::{BulkBuilder, OpenOptions, PauseToken, Repository, Snapshot, UnmappedFiles};
use cimrepo::verify::{GenerationReport, VerifyOptions, verify};
use cimrepo::{Direction, KeyRange};

/// Runs a target on an input.
type Entry = fn(&[u8]);

/// Every target: its name, which is that of its file in `fuzz_targets` and of its seeds' directory,
/// and its entry.
pub(crate) const TARGETS: &[(&str, Entry)] = &[
    ("mapping", mapping),
    ("index_page", index_page),
    ("object_page", object_page),
    ("repository", repository),
    ("backup", backup::backup),
    ("journal", journal::journal),
    ("security_descriptor", security::security_descriptor),
    ("class_record", objects::class_record),
    ("instance_record", objects::instance_record),
    ("reference_record", objects::reference_record),
    ("object_path", objects::object_path),
    ("pause_token", pause_token),
    ("bmf", bmf::bmf),
    ("query_text", query::query_text),
    ("query", query::query),
    ("carve", carve),
];

/// Gives an input to a target.
pub(crate) fn run(target: &str, input: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, entry) = found.expect("a target of this name is in the list");
    entry(input);
}

const DIALECTS: [Dialect; 2] = [Dialect::V21, Dialect::V22];

/// The input up to the size of a page, zeros behind it: most pages end in zeros, and short inputs
/// mutate faster.
fn padded(input: &[u8]) -> Box<PageBytes> {
    let mut page = Box::new([0; PAGE_SIZE]);
    for (byte, value) in page.iter_mut().zip(input) {
        *byte = *value;
    }
    page
}

/// Text that an administrator gets to see must come out whatever is in it.
fn print(finding: &Corruption) {
    assert!(!finding.to_string().is_empty());
}

/// The input is the text of a token.
fn pause_token(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    match text.parse::<PauseToken>() {
        Ok(token) => assert_eq!(token.to_string(), text, "a token has one spelling"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

// ---- mapping files

const MAPPING: FileRole = FileRole::Mapping(1);

/// The input is a mapping file.
fn mapping(input: &[u8]) {
    for dialect in DIALECTS {
        let parsed = Mapping::parse(input, dialect, MAPPING);
        match &parsed {
            Ok(parsed) => check_mapping(parsed, dialect, input),
            Err(finding) => print(finding),
        }
        let any = Mapping::parse_any(input, dialect, MAPPING);
        match (parsed, any) {
            (Ok(parsed), any) => {
                assert_eq!(any, Ok(parsed), "the likely dialect is taken when it fits")
            }
            (Err(_), Ok(any)) => assert_ne!(any.mapping.dialect, dialect),
            (Err(finding), Err(any)) => {
                assert_eq!(any, finding, "the error is that of the likely dialect")
            }
        }
    }
    if let Ok((section, trailing)) = MappingSection::parse_single(input, FileRole::ObjectsMap) {
        let mut bytes = Vec::new();
        section.write(Dialect::V21, &mut bytes);
        assert_eq!(Some(&bytes[..]), without_tail(input, trailing));
        check_section(&section);
    }
}

/// A mapping holds every field of its file, "no page" included: what was parsed writes the same
/// bytes again.
fn check_mapping(parsed: &ParsedMapping, dialect: Dialect, input: &[u8]) {
    let ParsedMapping {
        mapping,
        trailing_bytes,
    } = parsed;
    let bytes = mapping.to_bytes();
    assert_eq!(Some(&bytes[..]), without_tail(input, *trailing_bytes));
    let again = Mapping::parse(&bytes, dialect, MAPPING).expect("what was written can be read");
    assert_eq!((&again.mapping, again.trailing_bytes), (mapping, 0));
    assert!((1..=3).contains(&Mapping::slot_of(mapping.generation())));
    Space::ALL
        .into_iter()
        .for_each(|space| check_section(mapping.section(space)));
}

fn without_tail(input: &[u8], trailing: usize) -> Option<&[u8]> {
    input.get(..input.len().checked_sub(trailing)?)
}

fn check_section(section: &MappingSection) {
    let mut mapped = 0;
    for (page, physical, entry) in section.mapped() {
        assert_eq!(
            (section.resolve(page), section.entry(page)),
            (Some(physical), Some(entry))
        );
        mapped += 1;
    }
    assert_eq!(section.mapped_count(), mapped);
    let behind = LogicalPage::new(section.logical_pages()).and_then(|page| section.entry(page));
    assert_eq!(behind, None);
}

// ---- index pages

const INDEX_SITE: Site = Site::file(FileRole::Index);

/// The input is one byte whose lowest bit means dialect 2.1, one with the length of a text to look
/// for, the text, and the front of a page.
fn index_page(input: &[u8]) {
    let [flags, length, rest @ ..] = input else {
        return;
    };
    let Some((text, rest)) = rest.split_at_checked(usize::from(*length)) else {
        return;
    };
    let page = padded(rest);
    let [_, _, _, _, a, b, c, d, ..] = *page;
    // The page says which one it is: that check is no obstacle to the ones behind it.
    let Some(own) = LogicalPage::new(u32::from_le_bytes([a, b, c, d])) else {
        return;
    };
    let view = match IndexPage::parse(&page, own, INDEX_SITE) {
        Ok(view) => view,
        Err(finding) => return print(&finding),
    };
    assert_eq!(view.used() + view.slack().len(), PAGE_SIZE);
    assert_eq!(view.children().len(), view.key_count() + 1);
    let keys: Vec<Option<Vec<u8>>> = (0..view.key_count())
        .map(|key| key_text(&view, key))
        .collect();
    compare_keys(&view, &keys, text);
    search_keys(&view, &keys, text);
    let dialect = if flags & 1 == 1 {
        Dialect::V21
    } else {
        Dialect::V22
    };
    let findings = view.check(dialect.no_child(), INDEX_SITE);
    findings.iter().for_each(print);
    let rebuilt = IndexNode::from_page(&view).map(|node| node.to_page(own));
    if findings.is_empty() {
        assert!(
            keys.iter().all(Option::is_some),
            "a page without findings has readable keys"
        );
        let is_none = |child| child == dialect.no_child();
        let is_page = |child| !is_none(child) && LogicalPage::new(child).is_some();
        assert!(
            view.children().all(is_none) || view.children().all(is_page),
            "a leaf, or a child around each key"
        );
        assert_eq!(
            rebuilt,
            Some(Some(page)),
            "a page without findings is written again byte for byte"
        );
    }
}

fn key_text(view: &IndexPage<'_>, key: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    view.append_key(key, &mut text)?;
    assert!(
        text.len() <= PAGE_SIZE,
        "no key is longer than a page, however often it names its tokens"
    );
    Some(text)
}

/// Comparison token by token is that of the joined text: with the text looked for, with the key
/// itself, with a part and a continuation of it, and with its neighbour.
fn compare_keys(view: &IndexPage<'_>, keys: &[Option<Vec<u8>>], text: &[u8]) {
    let neighbours = keys.iter().skip(1).chain([&None]);
    for (number, (key, neighbour)) in keys.iter().zip(neighbours).enumerate() {
        let Some(key) = key else {
            // It may be told apart by a sound part of it; all that counts is that it does not
            // panic.
            let _ = view.compare_key(number, text);
            continue;
        };
        let part = key.split_at(key.len() / 2).0;
        let longer = [key.as_slice(), b"\0\\"].concat();
        let others = [text, key, part, &longer]
            .into_iter()
            .chain(neighbour.as_deref());
        for other in others {
            assert_eq!(
                view.compare_key(number, other),
                Some(key.as_slice().cmp(other)),
                "key {number}, {other:?}"
            );
        }
    }
}

/// In a page whose keys ascend, a search finds the first key that is not less.
fn search_keys(view: &IndexPage<'_>, keys: &[Option<Vec<u8>>], text: &[u8]) {
    let found = view.search(text);
    let Some(keys) = keys
        .iter()
        .map(Option::as_deref)
        .collect::<Option<Vec<&[u8]>>>()
    else {
        return;
    };
    if !keys.is_sorted_by(|a, b| a < b) {
        return;
    }
    let position = keys.partition_point(|key| *key < text);
    assert_eq!(found, Ok((position, keys.get(position) == Some(&text))));
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(view.search(key), Ok((number, true)));
    }
}

// ---- object pages

const OBJECTS_SITE: Site = Site::file(FileRole::Objects);

/// Longest record that is put together only to be cut into pages again.
const REBUILT_RECORD: usize = 4 * PAGE_SIZE;

/// The input is the front of a page, which is taken for a page of records, for the head of a record
/// on several pages, and for both kinds of admin pages of dialect 2.1.
fn object_page(input: &[u8]) {
    let page = padded(input);
    let view = ObjectPage::new(&page);
    let findings = view.check_single(OBJECTS_SITE);
    findings.iter().for_each(print);
    for descriptor in view.descriptors() {
        let record = view.record(&descriptor);
        assert!(record.is_none_or(|record| u32::try_from(record.len()) == Ok(descriptor.size)));
    }
    if findings.is_empty() {
        rebuild_single(&page, &view);
    }
    if let Some(head) = view.multi_page_head() {
        match view.check_head(&head, OBJECTS_SITE) {
            None => rebuild_head(&page, head.size, head.check),
            Some(finding) => print(&finding),
        }
    }
    admin_pages(&page);
}

/// Without findings a page is packed: its records alone give everything in front of its slack.
fn rebuild_single(page: &PageBytes, view: &ObjectPage<'_>) {
    let mut builder = ObjectPageBuilder::new();
    for descriptor in view.descriptors() {
        let record = view
            .record(&descriptor)
            .expect("a packed record lies in its page");
        assert!(
            builder.push(descriptor.id, record, descriptor.check),
            "what lies in a page fits into one"
        );
    }
    assert_eq!(builder.free_bytes(), view.free_bytes());
    assert_eq!(
        view.end() + usize::try_from(view.free_bytes()).expect("a small number"),
        PAGE_SIZE
    );
    let rebuilt = builder.build();
    assert_eq!(rebuilt.get(..view.end()), page.get(..view.end()));
}

fn rebuild_head(page: &PageBytes, size: u32, check: u32) {
    assert!(object_page::pages_of(size) >= 2);
    assert!((1..=PAGE_SIZE).contains(&object_page::end_in_last_page(size)));
    let size = usize::try_from(size).expect("32 bits fit");
    if size > REBUILT_RECORD {
        return;
    }
    let front = page.iter().copied().skip(object_page::MULTI_PAGE_OFFSET);
    let record: Vec<u8> = front.chain(std::iter::repeat(0)).take(size).collect();
    assert_eq!(
        build_multi_page(&record, check)
            .first()
            .map(|first| &first[..]),
        Some(&page[..])
    );
}

fn admin_pages(page: &PageBytes) {
    match ObjectAdminPage::parse(page, OBJECTS_SITE) {
        Ok(admin) => rewrite_admin(page, &admin),
        Err(finding) => print(&finding),
    }
    match admin_page::index_root(page, INDEX_SITE) {
        Ok(root) => assert_ne!(root.get(), 0),
        Err(finding) => print(&finding),
    }
    admin_page::check_index_admin(page, INDEX_SITE)
        .iter()
        .for_each(print);
}

/// An admin page holds every field: over its own page it changes nothing, over an empty one it
/// gives the used part.
fn rewrite_admin(page: &PageBytes, admin: &ObjectAdminPage) {
    let mut over_itself = *page;
    admin.write(&mut over_itself);
    assert_eq!(&over_itself[..], &page[..]);
    let mut over_zeros = [0; PAGE_SIZE];
    admin.write(&mut over_zeros);
    assert_eq!(over_zeros.get(..admin.used()), page.get(..admin.used()));
    assert_eq!(
        ObjectAdminPage::parse(&over_zeros, OBJECTS_SITE).as_ref(),
        Ok(admin)
    );
}

// ---- whole repositories
//
// The input is a byte of flags and edits of a small sound repository. An edit is an operation, the
// number of a file in `FileRole::REPOSITORY`, three bytes of offset (taken modulo the length of the
// file plus one), and what the operation wants:
//
//   0..=3  a length byte and as many bytes: written at the offset; a file that is not there comes
//   into being
//   4      the number of a page of the same file: copied over the page at the offset
//   5      the file ends at the offset, or, with an odd byte, that many sectors behind its end
//   6      the file goes away
//   7      the number of a file: becomes a copy of that one
//
// Edits that do not end are left out.

/// Bits 0 and 1 of the flags: which repository is edited.
const TEMPLATE_MASK: u8 = 3;

/// Flag: after the edits checksums are made right, so that what lies behind them is reached.
pub(crate) const REPAIR: u8 = 4;

/// Flag: the files lie where Windows XP keeps them below the directory that is opened, with small
/// letters.
pub(crate) const BELOW: u8 = 8;

/// Greatest length to which edits extend a file.
const MAX_FILE: usize = 256 << 10;

/// A file's content by its number in `FileRole::REPOSITORY`.
pub(crate) type Files = [Option<Vec<u8>>; FileRole::REPOSITORY.len()];

fn repository(input: &[u8]) {
    let Some((&flags, edits)) = input.split_first() else {
        return;
    };
    let mut files = template(flags).clone();
    let mut edits = Input(edits);
    while edit(&mut files, &mut edits).is_some() {}
    if flags & REPAIR != 0 {
        repair(&mut files);
    }
    let index_len = file(&files, FileRole::Index).map_or(0, |bytes| bytes.len());
    let directory = lay_out(files, flags & BELOW != 0);
    look_unmapped(&directory);
    let opened = OpenOptions::new().open_in(&directory);
    let Ok(repository) = opened else {
        return check_unopened(&directory, input);
    };
    let readings = read_through(&repository.snapshot(), index_len);
    let report = verify_twice(&repository);
    if report.is_consistent() {
        readings.must_agree(&report);
    } else {
        assert!(
            input.len() > 1,
            "without edits there is nothing to find: {:?}",
            report.findings
        );
    }
    open_otherwise(&repository, &directory, index_len);
}

/// Looks at the data files without any mapping.
fn look_unmapped(directory: &Directory) {
    let Ok(unmapped) = UnmappedFiles::open_in(directory) else {
        return;
    };
    let Ok(pages) = unmapped.object_pages() else {
        return;
    };
    let count = unmapped.pages(Space::Objects).expect("there are pages");
    let mut next = 0;
    for page in pages {
        let page = page.expect("nothing in memory fails");
        assert!(
            (next..count).contains(&page.physical.get().into()),
            "each page of the file once, in order"
        );
        next = u64::from(page.physical.get()) + 1;
        let bytes = unmapped
            .page(Space::Objects, page.physical)
            .expect("the page was read before");
        let view = ObjectPage::new(&bytes);
        let is_whole = |descriptor| view.record(descriptor).is_some();
        assert!(
            page.is_head || page.descriptors.iter().all(is_whole),
            "only sound pages are shown"
        );
    }
}

/// Where the default fails, so does the thorough way; and the repository without edits opens.
fn check_unopened(directory: &Directory, input: &[u8]) {
    assert!(
        OpenOptions::new()
            .check_all_pages()
            .open_in(directory)
            .is_err()
    );
    assert!(input.len() > 1);
}

/// The whole of a snapshot, read in every way.
struct Readings {
    forward: Vec<Key>,
    backward: Vec<Key>,
    records: Vec<RecordRef>,
    errors: u64,
    snapshot: Snapshot,
}

fn read_through(snapshot: &Snapshot, index_len: usize) -> Readings {
    let mut errors = 0;
    let mut scan =
        |range: KeyRange, direction| scan(snapshot, range, direction, index_len, &mut errors);
    let forward = scan(KeyRange::all(), Direction::Forward);
    let backward = scan(KeyRange::all(), Direction::Backward);
    for key in forward.iter().step_by(forward.len() / 4 + 1) {
        for prefix in [
            key.as_bytes(),
            key.as_bytes().split_at(key.as_bytes().len() / 2).0,
        ] {
            let inside =
                |keys: Vec<Key>| assert!(keys.iter().all(|key| key.as_bytes().starts_with(prefix)));
            inside(scan(KeyRange::prefix(prefix), Direction::Forward));
            inside(scan(KeyRange::prefix(prefix), Direction::Backward));
        }
    }
    for key in &forward {
        match key
            .reference()
            .map(|reference| (reference, snapshot.record(reference)))
        {
            Some((reference, Ok(record))) => {
                assert_eq!(u32::try_from(record.len()), Ok(reference.size))
            }
            Some((_, Err(_))) => errors += 1,
            None => {}
        }
        errors += u64::from(!snapshot.contains_key(key.as_bytes()).unwrap_or(false));
    }
    let records = walk(snapshot, &mut errors);
    let counts = snapshot.counts();
    assert_eq!(
        (counts.keys, counts.records),
        (forward.len() as u64, records.len() as u64)
    );
    Readings {
        forward,
        backward,
        records,
        errors,
        snapshot: snapshot.clone(),
    }
}

/// The keys of a range. A key takes ten bytes of its page at least and is given once, so the file
/// bounds their number.
fn scan(
    snapshot: &Snapshot,
    range: KeyRange,
    direction: Direction,
    index_len: usize,
    errors: &mut u64,
) -> Vec<Key> {
    let live = snapshot.mapping().section(Space::Index).mapped().count();
    let mut keys = Vec::new();
    let mut failures = 0;
    for key in snapshot.keys(range, direction) {
        match key {
            Ok(key) => keys.push(key),
            Err(_) => failures += 1,
        }
        assert!(
            10 * keys.len() <= index_len,
            "more keys than the index can hold"
        );
        // A failure is a page that something leads to, by four bytes or as the root, or a key, or
        // a page that the mapping calls live.
        assert!(
            failures <= index_len / 4 + live + 1,
            "more failures than the index has pointers and live pages"
        );
    }
    *errors += failures as u64;
    keys
}

/// The records of a snapshot; a page has a descriptor for sixteen of its bytes at most.
fn walk(snapshot: &Snapshot, errors: &mut u64) -> Vec<RecordRef> {
    let pages = snapshot.mapping().objects.entries.len();
    let mut records = Vec::new();
    for (number, record) in snapshot.records().enumerate() {
        assert!(
            number < pages * PAGE_SIZE / object_page::DESCRIPTOR_SIZE,
            "more records than the pages can hold"
        );
        match record {
            Ok(record) => records.push(record),
            Err(_) => *errors += 1,
        }
    }
    records
}

impl Readings {
    /// What is consistent can be read, without an error and the same in every way.
    fn must_agree(mut self, report: &GenerationReport) {
        assert_eq!(
            self.errors, 0,
            "a consistent repository reads without errors"
        );
        assert_eq!(
            (report.keys, report.records),
            (self.forward.len() as u64, self.records.len() as u64)
        );
        self.backward.reverse();
        assert_eq!(self.forward, self.backward);
        let Some(middle) = self.forward.get(self.forward.len() / 2) else {
            return;
        };
        let prefix = middle.as_bytes().split_at(middle.as_bytes().len() / 3).0;
        let found: Vec<Key> = self
            .snapshot
            .keys(KeyRange::prefix(prefix), Direction::Forward)
            .filter_map(Result::ok)
            .collect();
        let expected = self
            .forward
            .iter()
            .filter(|key| key.as_bytes().starts_with(prefix));
        assert!(expected.eq(&found), "a range of keys is a part of all keys");
    }
}

/// Verifies with one thread and with two, which must find the same; gives what was found in the
/// generation opened.
fn verify_twice(repository: &Repository) -> GenerationReport {
    let with = |threads| {
        let options = VerifyOptions {
            threads: NonZeroUsize::new(threads),
            all_generations: true,
        };
        verify(repository, options, &Unobserved).expect("nothing in memory fails")
    };
    let (alone, parallel) = (with(1), with(2));
    assert_eq!(alone.generations.len(), parallel.generations.len());
    for (alone, parallel) in alone.generations.iter().zip(&parallel.generations) {
        alone.findings.iter().for_each(print);
        assert_eq!(alone.findings, parallel.findings, "threads change nothing");
        assert_eq!(outline(alone), outline(parallel));
    }
    alone
        .generations
        .into_iter()
        .next()
        .expect("the generation opened is among them")
}

/// The numbers of a report, to be compared.
fn outline(report: &GenerationReport) -> impl PartialEq + std::fmt::Debug {
    let which = (report.dialect, report.generation, report.mapping);
    (
        which,
        report.pages,
        report.keys,
        report.records,
        report.not_listed,
        report.unchecked.clone(),
    )
}

/// Opens the repository in the other ways there are, and looks into each generation.
fn open_otherwise(repository: &Repository, directory: &Directory, index_len: usize) {
    let thorough = OpenOptions::new()
        .check_all_pages()
        .cache_pages(1)
        .open_in(directory);
    let thorough = thorough.expect("what opens also opens thoroughly");
    assert_eq!(thorough.dialect(), repository.dialect());
    for &number in repository.generations() {
        // A number may be that of a file of the other dialect, which is not opened.
        if let Ok(old) = OpenOptions::new()
            .generation(number)
            .cache_pages(1)
            .open_in(directory)
        {
            assert_eq!(old.snapshot().mapping().generation(), number);
            scan(
                &old.snapshot(),
                KeyRange::all(),
                Direction::Forward,
                index_len,
                &mut 0,
            );
            walk(&old.snapshot(), &mut 0);
        }
    }
}

/// Puts the files into a directory of the memory.
fn lay_out(files: Files, below: bool) -> Directory {
    let storage = MemStorage::new();
    for (role, bytes) in FileRole::REPOSITORY.into_iter().zip(files) {
        let Some(bytes) = bytes else { continue };
        let name = role.file_name();
        let path = if below {
            format!("./Repository/FS/{}", name.to_lowercase())
        } else {
            format!("./{name}")
        };
        storage.put(path, bytes);
    }
    Directory::new(Arc::new(storage), ".")
}

// ---- edits

/// What is left of an input.
struct Input<'i>(&'i [u8]);

impl<'i> Input<'i> {
    fn take(&mut self, count: usize) -> Option<&'i [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn offset(&mut self) -> Option<usize> {
        let [a, b, c] = self.take(3)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes([a, b, c, 0])).ok()
    }
}

pub(crate) fn number_of(role: FileRole) -> usize {
    FileRole::REPOSITORY
        .iter()
        .position(|other| *other == role)
        .expect("a file of a repository")
}

pub(crate) fn file(files: &Files, role: FileRole) -> Option<&Vec<u8>> {
    files.get(number_of(role))?.as_ref()
}

fn file_mut(files: &mut Files, role: FileRole) -> Option<&mut Vec<u8>> {
    files.get_mut(number_of(role))?.as_mut()
}

/// Makes one edit; `None` at the end of the input.
fn edit(files: &mut Files, input: &mut Input<'_>) -> Option<()> {
    let (operation, number) = (input.byte()? & 7, usize::from(input.byte()?) % files.len());
    let offset = input.offset()?;
    let argument = if operation == 6 { 0 } else { input.byte()? };
    if operation == 7 {
        let source = files.get(usize::from(argument) % files.len())?.clone();
        *files.get_mut(number)? = source;
        return Some(());
    }
    let bytes = if operation < 4 {
        input.take(argument.into())?
    } else {
        &[]
    };
    let file = files.get_mut(number)?;
    let offset = offset % file.as_ref().map_or(1, |file| file.len() + 1);
    match operation {
        4 => copy_page(
            file.get_or_insert_default(),
            argument.into(),
            offset / PAGE_SIZE,
        ),
        5 if argument % 2 == 0 => file.get_or_insert_default().truncate(offset),
        5 => extend(file.get_or_insert_default(), usize::from(argument) * 512),
        6 => *file = None,
        _ => write(file.get_or_insert_default(), offset, bytes),
    }
    Some(())
}

fn write(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = (offset + bytes.len()).min(MAX_FILE.max(file.len()));
    if end > file.len() {
        file.resize(end, 0);
    }
    for (target, byte) in file.iter_mut().skip(offset).zip(bytes) {
        *target = *byte;
    }
}

fn extend(file: &mut Vec<u8>, by: usize) {
    let len = (file.len() + by).min(MAX_FILE.max(file.len()));
    file.resize(len, 0);
}

fn copy_page(file: &mut [u8], from: usize, to: usize) {
    let Some(page) = page_at(file, from) else {
        return;
    };
    for (target, byte) in file.iter_mut().skip(to * PAGE_SIZE).zip(page.iter()) {
        *target = *byte;
    }
}

fn page_at(file: &[u8], number: usize) -> Option<Box<PageBytes>> {
    let bytes = file
        .get(number.checked_mul(PAGE_SIZE)?..)?
        .get(..PAGE_SIZE)?;
    Some(padded(bytes))
}

// ---- repairs

/// Makes the checksums fit the pages again, as far as the mappings can be read.
fn repair(files: &mut Files) {
    for role in (1..=3).map(FileRole::Mapping) {
        let Some(bytes) = file(files, role) else {
            continue;
        };
        if let Ok(parsed) = Mapping::parse(bytes, Dialect::V22, role) {
            let repaired = repair_mapping(files, parsed, bytes);
            *file_mut(files, role).expect("the file was read") = repaired;
        } else if let Ok(parsed) = Mapping::parse(bytes, Dialect::V21, role) {
            repair_admin(files, &parsed.mapping.objects);
        }
    }
}

/// Dialect 2.2: the sampled checksums in the mapping. What stands behind it stays.
fn repair_mapping(files: &Files, parsed: ParsedMapping, bytes: &[u8]) -> Vec<u8> {
    let ParsedMapping {
        mut mapping,
        trailing_bytes,
    } = parsed;
    for space in Space::ALL {
        let Some(data) = file(files, FileRole::data(space)) else {
            continue;
        };
        for entry in &mut mapping.section_mut(space).entries {
            if let Some(page) = entry
                .physical
                .and_then(|physical| page_at(data, physical.index()))
            {
                entry.checksum = sampled(&page);
            }
        }
    }
    let tail = bytes.iter().skip(bytes.len() - trailing_bytes);
    mapping.to_bytes().iter().chain(tail).copied().collect()
}

/// Dialect 2.1: the checksums of records, and those of pages in the chain of admin pages.
fn repair_admin(files: &mut Files, section: &MappingSection) {
    let Some(data) = file_mut(files, FileRole::Objects) else {
        return;
    };
    let mut next = 0;
    for _ in 0..section.entries.len() {
        let Some((at, page)) = mapped_page(data, section, next) else {
            return;
        };
        let Ok(mut admin) = ObjectAdminPage::parse(&page, OBJECTS_SITE) else {
            return;
        };
        for entry in &mut admin.entries {
            if let Some(crc) = repair_records(data, section, entry.page) {
                entry.crc = crc;
            }
        }
        let mut page = page;
        admin.write(&mut page);
        write(data, at, &page[..]);
        next = admin.next;
    }
}

/// Makes the checksums of the records of a page right; gives that of the page.
fn repair_records(data: &mut Vec<u8>, section: &MappingSection, number: u32) -> Option<u32> {
    let (at, page) = mapped_page(data, section, number)?;
    let view = ObjectPage::new(&page);
    for (number, descriptor) in view.descriptors().enumerate() {
        if let Some(record) = view.record(&descriptor) {
            let check = crc32(record).to_le_bytes();
            write(
                data,
                at + object_page::DESCRIPTOR_SIZE * number + 12,
                &check,
            );
        }
    }
    Some(crc32(data.get(at..at + PAGE_SIZE)?))
}

/// A page by its logical number, and where in its file it lies.
fn mapped_page(
    data: &[u8],
    section: &MappingSection,
    number: u32,
) -> Option<(usize, Box<PageBytes>)> {
    let physical = section.resolve(LogicalPage::new(number)?)?.index();
    Some((physical * PAGE_SIZE, page_at(data, physical)?))
}

// ---- the
// repositories that are edited

/// The repository that the flags ask for: 0 and 3 of dialect 2.2, a root over leaves; 1 of dialect
/// 2.2, three levels, each leaf with few long keys; 2 of dialect 2.1. A record of each lies on
/// several pages.
pub(crate) fn template(flags: u8) -> &'static Files {
    static TEMPLATES: OnceLock<[Files; 3]> = OnceLock::new();
    let [shallow, deep, old] = TEMPLATES.get_or_init(|| {
        [
            build_new(&content(90, 48)),
            build_new(&content(100, 480)),
            build_old(),
        ]
    });
    match flags & TEMPLATE_MASK {
        1 => deep,
        2 => old,
        _ => shallow,
    }
}

/// Keys in ascending order without their references, each with the record that it names, if any.
type Content = BTreeMap<String, Option<Vec<u8>>>;

/// Classes with their definition, classes under their base, and instances, in the manner of a real
/// index.
fn content(count: usize, hash: usize) -> Content {
    let record = |number: usize| {
        let length = if number == 30 {
            20_000
        } else {
            40 + 7 * number
        };
        (0..251)
            .cycle()
            .skip(number)
            .take(length)
            .collect::<Vec<u8>>()
    };
    let key = |number: usize| {
        // The least significant digits first: neighbours in order differ in their first bytes.
        let hashed = format!(
            "{:0<hash$}",
            format!("{number:03}").chars().rev().collect::<String>()
        );
        let namespace = format!("NS_{}", if number < 50 { "1A" } else { "2B" });
        match number % 3 {
            0 => (format!("{namespace}\\CD_{hashed}"), Some(record(number))),
            1 => (format!("{namespace}\\CR_{hashed}\\C_{hashed}"), None),
            _ => (
                format!("{namespace}\\CI_{hashed}\\IL_{hashed}"),
                Some(record(number)),
            ),
        }
    };
    (0..count).map(key).collect()
}

/// A repository of dialect 2.2 with this content.
fn build_new(content: &Content) -> Files {
    let storage = MemStorage::new();
    let directory = Directory::new(Arc::new(storage.clone()), ".");
    let mut builder = BulkBuilder::create_seeded(directory, 22).expect("an empty directory");
    for (key, record) in content {
        let reference = record
            .as_ref()
            .map(|record| builder.record(record).expect("a small record"));
        builder
            .key(key.as_bytes(), reference)
            .expect("keys in order");
    }
    builder.finish().expect("nothing in memory fails");
    FileRole::REPOSITORY.map(|role| storage.get(format!("./{}", role.file_name())))
}

/// A repository of dialect 2.1. In both spaces its last logical page has no place and its last
/// place no page.
fn build_old() -> Files {
    let content = content(90, 48);
    let (objects, references) = old_heap(&content);
    let text = |key: &String| match references.get(key.as_str()) {
        Some(reference) => format!("{key}.{reference}").into_bytes(),
        None => key.clone().into_bytes(),
    };
    let keys: Vec<Vec<u8>> = content.keys().map(text).collect();
    let index = old_index(&keys);
    let section = |pages: &[Box<PageBytes>]| old_section(pages.len());
    let mapping = Mapping {
        dialect: Dialect::V21,
        objects: section(&objects),
        index: section(&index),
        shutdown_flag: 0,
    };
    let single = |section: &MappingSection| {
        let mut bytes = Vec::new();
        section.write(Dialect::V21, &mut bytes);
        bytes
    };
    let data =
        |pages: &[Box<PageBytes>]| pages.iter().flat_map(|page| page.iter().copied()).collect();
    FileRole::REPOSITORY.map(|role| match role {
        FileRole::Objects => Some(data(&objects)),
        FileRole::Index => Some(data(&index)),
        FileRole::Mapping(1 | 2) => Some(mapping.to_bytes()),
        FileRole::MappingVersion => Some(2u32.to_le_bytes().to_vec()),
        FileRole::ObjectsMap => Some([&single(&mapping.objects)[..], b"stale"].concat()),
        FileRole::IndexMap => Some(single(&mapping.index)),
        _ => None,
    })
}

/// The map of a space with these physical pages.
fn old_section(pages: usize) -> MappingSection {
    let physical_pages = u32::try_from(pages).expect("few pages");
    let last = physical_pages - 1;
    let entry = |page| MappingEntry {
        physical: PhysicalPage::new(page),
        ..MappingEntry::default()
    };
    MappingSection {
        transaction: 8592,
        generation: 8592,
        previous: 8592,
        physical_pages,
        entries: (0..last)
            .map(entry)
            .chain([MappingEntry::default()])
            .collect(),
        free: PhysicalPage::new(last).into_iter().collect(),
    }
}

/// The heap of dialect 2.1 and where the record of each key lies: admin page 0, the pages of
/// records, the second admin page, and a free page.
fn old_heap(content: &Content) -> (Vec<Box<PageBytes>>, BTreeMap<&str, RecordRef>) {
    let mut pages = vec![padded(&[])];
    let mut listed = Vec::new();
    let mut references = BTreeMap::new();
    let mut open = ObjectPageBuilder::new();
    let mut named = Vec::new();
    let records = content
        .iter()
        .filter_map(|(key, record)| Some((key.as_str(), record.as_ref()?)));
    let (large, small): (Vec<_>, Vec<_>) =
        records.partition(|(_, record)| record.len() > PAGE_SIZE);
    for (number, (key, record)) in (7..).zip(small) {
        if !open.push(number, record, crc32(record)) {
            close_page(&mut pages, &mut listed, &mut references, (&open, &named));
            (open, named) = (ObjectPageBuilder::new(), Vec::new());
            assert!(
                open.push(number, record, crc32(record)),
                "a small record fits into an empty page"
            );
        }
        named.push((key, number, record.len()));
    }
    close_page(&mut pages, &mut listed, &mut references, (&open, &named));
    for (key, record) in large {
        let first = page_number(pages.len());
        pages.extend(build_multi_page(record, crc32(record)));
        references.insert(
            key,
            reference(first, object_page::MULTI_PAGE_ID, record.len()),
        );
    }
    let second = page_number(pages.len()).get();
    let rest = listed.split_off(1);
    let admin = |head_mark, next, entries| {
        let mut page = padded(&[]);
        ObjectAdminPage {
            head_mark,
            next,
            entries,
        }
        .write(&mut page);
        page
    };
    pages.push(admin(0, 0, rest));
    pages.push(padded(b"what a free page holds means nothing"));
    if let Some(first) = pages.first_mut() {
        *first = admin(1, second, listed);
    }
    (pages, references)
}

/// Ends a page of records and lists it.
fn close_page<'c>(
    pages: &mut Vec<Box<PageBytes>>,
    listed: &mut Vec<AdminEntry>,
    references: &mut BTreeMap<&'c str, RecordRef>,
    (builder, named): (&ObjectPageBuilder, &[(&'c str, u32, usize)]),
) {
    let (number, page) = (page_number(pages.len()), builder.build());
    references.extend(
        named
            .iter()
            .map(|&(key, id, size)| (key, reference(number, id, size))),
    );
    listed.push(AdminEntry {
        page: number.get(),
        free_bytes: builder.free_bytes(),
        crc: crc32(&page[..]),
        zero: 0,
    });
    pages.push(page);
}

fn page_number(number: usize) -> LogicalPage {
    u32::try_from(number)
        .ok()
        .and_then(LogicalPage::new)
        .expect("few pages")
}

fn reference(page: LogicalPage, id: u32, size: usize) -> RecordRef {
    RecordRef {
        page,
        id,
        size: u32::try_from(size).expect("a small record"),
    }
}

/// The index of dialect 2.1: admin page 0, the leaves, the root over them, and a free page.
fn old_index(keys: &[Vec<u8>]) -> Vec<Box<PageBytes>> {
    let none = Dialect::V21.no_child();
    let mut pages = vec![padded(&[])];
    let (mut separators, mut children) = (Vec::new(), Vec::new());
    // A leaf must be a third full, and two of them and the key between them take all keys.
    let (left, rest) = keys.split_at(keys.len() / 2);
    let (separator, right) = rest.split_first().expect("many keys");
    separators.push(separator.as_slice());
    for leaf in [left, right] {
        let node = IndexNode::from_keys(leaf.iter().map(Vec::as_slice), vec![none; leaf.len() + 1]);
        let own = page_number(pages.len());
        pages.push(node.to_page(own).expect("half of the keys fit into a page"));
        children.push(own.get());
    }
    let root = page_number(pages.len());
    let node = IndexNode::from_keys(separators, children);
    pages.push(node.to_page(root).expect("a key fits into a page"));
    pages.push(padded(b"what a free page holds means nothing"));
    if let Some(admin) = pages.first_mut() {
        let words = [INDEX_ADMIN_SIGNATURE, 0, 0, root.get()].map(u32::to_le_bytes);
        *admin = padded(words.as_flattened());
    }
    pages
}

/// Searches an input as a region, and as OBJECTS.DATA without any other file: what is found lies in
/// it, byte for byte.
fn carve(input: &[u8]) {
    for dialect in [Dialect::V21, Dialect::V22] {
        let (found, _) = hits(input, dialect);
        assert!(found.len() <= MAX_HITS);
        assert!(
            found
                .iter()
                .all(|hit| hit.offset + hit.length <= input.len())
        );
    }
    let storage = MemStorage::new();
    storage.put("./OBJECTS.DATA", input.to_vec());
    let directory = Directory::new(Arc::new(storage), ".");
    let evidence = Evidence::open(&directory, OpenOptions::new()).expect("a data file is there");
    let carver = Carver::new(evidence, CarveOptions::new(), &Unobserved);
    for remnant in carver.expect("memory does not fail") {
        let place = remnant.places.first().expect("a remnant lies somewhere");
        if let [page] = place.pages.as_slice() {
            let start = page.index() * PAGE_SIZE + place.offset as usize;
            let bytes = input.get(start..start + remnant.bytes.len());
            assert_eq!(bytes, Some(&remnant.bytes[..]));
        }
    }
}
