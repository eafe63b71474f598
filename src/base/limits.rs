//! Every bound that protects the engine from what a file claims.

use super::error::Error;

/// Levels of the index that are followed. Windows' trees have three; 2^32 pages of two children
/// need 32.
pub const MAX_TREE_DEPTH: usize = 32;

/// Pages in the chain of object admin pages of dialect 2.1 that are followed.
pub const MAX_ADMIN_PAGES: usize = 65_536;

/// Size of a mapping file that is read, in bytes: enough for a 4 GB repository, Windows' own limit.
pub const MAX_MAPPING_BYTES: u64 = 16 << 20;

/// Size of both data files together that Windows documents as the limit of a repository, in bytes.
/// It is no limit here; what is larger is told ([`Engine::info`](crate::store::Engine::info)).
pub const WINDOWS_REPOSITORY_BYTES: u64 = 4 << 30;

/// Fails for a mapping file that could not be read again.
pub(crate) const fn check_mapping_size(bytes: u64) -> Result<(), Error> {
    if bytes > MAX_MAPPING_BYTES {
        return Err(Error::Limit {
            what: "the size of a mapping file in bytes",
            max: MAX_MAPPING_BYTES,
            got: bytes,
        });
    }
    Ok(())
}

/// Logical pages of a space that a backup is believed to have: as many as a mapping file of the
/// greatest size has entries.
pub const MAX_LOGICAL_PAGES: u32 = 699_050;
const _: () = assert!(MAX_LOGICAL_PAGES as u64 == MAX_MAPPING_BYTES / 24);

/// Longest key the engine writes, in bytes. The longest seen in a repository of Windows is 290.
pub const MAX_KEY_BYTES: usize = 1024;

/// Longest key the engine reads, in bytes: twice the longest that it writes. Only a damaged page,
/// whose keys name a long token over and over, has longer ones: megabytes each, gigabytes a page.
pub const MAX_READ_KEY_BYTES: usize = 2048;

/// Tokens that the keys of one index page name together, counted as often as they are named. A page
/// has room for fewer than 4,096; definitions that overlap name more. A few damaged ones are let
/// pass, so that they do not hide their neighbours.
pub const MAX_PAGE_TOKENS: usize = 16_384;

/// Physical pages of OBJECTS.DATA that are looked at when no mapping says which of them count: 8
/// GiB, twice what Windows lets a repository grow to. A sparse file of a terabyte takes no room on
/// a disk and days to read.
pub const MAX_CARVED_PAGES: u32 = 1 << 20;

/// Largest record the engine reads or writes, in bytes. The largest seen is 297,697.
pub const MAX_RECORD_BYTES: u32 = 64 << 20;

/// Operations of one commit in a journal, in bytes.
pub const MAX_COMMIT_BYTES: u32 = 1 << 30;

/// Findings of one kind that a verification keeps; the rest is counted.
pub const MAX_FINDINGS_PER_CODE: usize = 1_000;

/// What a finding says of what was found, in bytes. A hostile key is as long as a page, and there
/// are many of them.
pub const MAX_DETAIL_BYTES: usize = 200;

/// Backups in a chain of incremental ones.
pub const MAX_BACKUP_CHAIN: usize = 64;

/// Size of a backup's manifest in memory, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// Pages in one chunk of a backup: who wants one of them unpacks all.
pub const MAX_CHUNK_PAGES: u32 = 64;

/// Threads that an operation starts by itself.
pub const MAX_THREADS: usize = 16;

/// Length of an access control list, in bytes: what its length field can say.
pub const MAX_ACL_BYTES: usize = 0xFFFF;

/// Superclasses of a class. Real chains have fewer than 20.
pub const MAX_CLASS_DEPTH: usize = 128;

/// Properties of a class, inherited ones included: a declaration order is 16 bits.
pub const MAX_PROPERTIES: usize = 1 << 15;

/// Qualifiers of one class, property, method or parameter, inherited ones included. Real ones have
/// 12.
pub const MAX_QUALIFIERS: usize = 1 << 16;

/// Methods of a class, inherited ones included. Real classes have 66.
pub const MAX_METHODS: usize = 1 << 15;

/// Bytes of memory that a class may inherit, and as many times its record as [`MAX_EXPANSION`] says
/// on top: what is inherited is said again for each class, whatever its record takes. Real classes
/// inherit fewer than 100,000.
pub const MAX_INHERITED_BYTES: usize = 512 << 10;

/// Bytes of memory that an instance may get from its class, names and defaults of properties, and
/// as many times its record as [`MAX_EXPANSION`] says on top. Real classes give fewer than 20,000.
pub const MAX_GIVEN_BYTES: usize = 64 << 10;

/// How many times its record an object may inherit, beyond what every object may.
pub const MAX_EXPANSION: usize = 64;

/// True if an object gets more from others than the engine takes, for how long its record is.
pub(crate) const fn gets_too_much(bytes: usize, most: usize, record: usize) -> bool {
    bytes > most.saturating_add(record.saturating_mul(MAX_EXPANSION))
}

/// How many times the length of a record its content may take in memory, that of embedded objects
/// included.
pub const MAX_DECODED_FACTOR: usize = 16;

/// Embedded objects within embedded objects.
pub const MAX_OBJECT_DEPTH: usize = 16;

/// Namespaces in each other, `ROOT` not counted. Real ones lie 5 deep.
pub const MAX_NAMESPACE_DEPTH: usize = 128;

/// Length of the path of a namespace in bytes: it stands in the path of each object that lies
/// there.
pub const MAX_NAMESPACE_BYTES: usize = 4096;

/// Length of an object path in bytes.
pub const MAX_PATH_CHARS: usize = 1 << 16;

/// Levels of directories below the one given in which repositories are looked for. Windows' own lie
/// five below its drive.
pub const MAX_SEARCH_DEPTH: usize = 16;

/// Directory entries that a search for repositories looks at: several times those of a whole drive
/// of Windows.
pub const MAX_SEARCH_ENTRIES: u64 = 4_000_000;

/// Names of directories that wait in a search until it comes to them: the memory it takes.
pub const MAX_SEARCH_PENDING: usize = 250_000;

/// Repositories that one search finds.
pub const MAX_SEARCH_FOUND: usize = 65_536;

/// Places that a search passed over and lists; the rest is counted.
pub const MAX_SEARCH_NOTES: usize = 50;

/// Size of one MOF file that is read, in bytes. The whole DMTF schema has 4.2 MB.
pub const MAX_MOF_BYTES: usize = 256 << 20;

/// Embedded objects within embedded objects in MOF.
pub const MAX_MOF_DEPTH: usize = 64;

/// MOF files that include each other.
pub const MAX_MOF_INCLUDES: usize = 20;

/// Errors of one MOF file that are reported; then reading stops.
pub const MAX_MOF_ERRORS: usize = 50;

/// Bytes that a binary MOF may unpack to. The largest seen has fewer than a million.
pub const MAX_BMF_BYTES: u64 = 64 << 20;

/// Length of the text of a query in bytes.
pub const MAX_QUERY_BYTES: usize = 65_536;

/// Parentheses and NOTs of a condition in each other.
pub const MAX_CONDITION_DEPTH: usize = 256;

/// Terms of a condition.
pub const MAX_CONDITION_TERMS: usize = 4_096;

/// Columns of a query.
pub const MAX_QUERY_COLUMNS: usize = 1_024;

/// Names in a column of a query: that of a property and those inside the object that it holds.
pub const MAX_QUERY_NAMES: usize = 16;

/// Length of a pattern of LIKE in characters.
pub const MAX_PATTERN_CHARS: usize = 4_096;
