//! The bounds that protect the engine from whatever a file claims.

use super::error::Error;

/// Levels of the index that are followed. The trees of Windows have three. 2^32 pages with two
/// children each would need 32.
pub const MAX_TREE_DEPTH: usize = 32;

/// Pages that are followed in the chain of object admin pages of dialect 2.1.
pub const MAX_ADMIN_PAGES: usize = 65_536;

/// Size of the largest mapping file that is read, in bytes. It suffices for a repository of 4 GB,
/// the limit of Windows.
pub const MAX_MAPPING_BYTES: u64 = 16 << 20;

/// Size of both data files together that Windows documents as the limit of a repository, in bytes.
/// This engine does not enforce it; it reports larger repositories
/// ([`Engine::info`](crate::store::Engine::info)).
pub const WINDOWS_REPOSITORY_BYTES: u64 = 4 << 30;

/// Fails for a mapping file too large to be read again.
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

/// Most logical pages of a space that a backup may announce: as many as the largest mapping file
/// has entries.
pub const MAX_LOGICAL_PAGES: u32 = 699_050;
const _: () = assert!(MAX_LOGICAL_PAGES as u64 == MAX_MAPPING_BYTES / 24);

/// Longest key the engine writes, in bytes. The longest seen in a repository of Windows is 290.
pub const MAX_KEY_BYTES: usize = 1024;

/// Longest key the engine reads, in bytes: twice the longest that it writes. Longer keys occur only
/// in damaged pages, whose keys repeat a long token. They would be megabytes each and gigabytes a
/// page.
pub const MAX_READ_KEY_BYTES: usize = 2048;

/// Tokens that the keys of one index page name together, counted once for each use. A page has room
/// for fewer than 4,096; only overlapping definitions name more. The bound leaves room for a few
/// damaged definitions, so that they do not hide their neighbours.
pub const MAX_PAGE_TOKENS: usize = 16_384;

/// Physical pages of OBJECTS.DATA that are examined when no mapping says which of them are in use:
/// 8 GiB, twice the limit of Windows. A sparse file of a terabyte takes no room on the disk but
/// days to read.
pub const MAX_CARVED_PAGES: u32 = 1 << 20;

/// Largest record the engine reads or writes, in bytes. The largest one seen has 297,697.
pub const MAX_RECORD_BYTES: u32 = 64 << 20;

/// Size of the operations of one commit in a journal, in bytes.
pub const MAX_COMMIT_BYTES: u32 = 1 << 30;

/// Findings of one kind that a verification keeps; the rest are counted.
pub const MAX_FINDINGS_PER_CODE: usize = 1_000;

/// Length of a finding's detail, in bytes. A hostile key is as long as a page, and there can be
/// many of them.
pub const MAX_DETAIL_BYTES: usize = 200;

/// Backups in a chain of incremental ones.
pub const MAX_BACKUP_CHAIN: usize = 64;

/// Size of a backup's manifest in memory, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// Pages in one chunk of a backup. Reading a single page means unpacking its whole chunk.
pub const MAX_CHUNK_PAGES: u32 = 64;

/// Threads that an operation starts on its own.
pub const MAX_THREADS: usize = 16;

/// Length of an access control list, in bytes: the most that its length field can express.
pub const MAX_ACL_BYTES: usize = 0xFFFF;

/// Superclasses of a class. Real chains have fewer than 20.
pub const MAX_CLASS_DEPTH: usize = 128;

/// Properties of a class, inherited ones included: the declaration order has 16 bits.
pub const MAX_PROPERTIES: usize = 1 << 15;

/// Qualifiers of one class, property, method or parameter, inherited ones included. Real sets have
/// at most 12.
pub const MAX_QUALIFIERS: usize = 1 << 16;

/// Methods of a class, inherited ones included. Real classes have at most 66.
pub const MAX_METHODS: usize = 1 << 15;

/// Bytes of memory that a class may inherit, in addition to [`MAX_EXPANSION`] times the size of its
/// record. Each class repeats what it inherits, however small its record is. Real classes inherit
/// fewer than 100,000 bytes.
pub const MAX_INHERITED_BYTES: usize = 512 << 10;

/// Bytes of memory that an instance may take from its class (names and defaults of properties), in
/// addition to [`MAX_EXPANSION`] times the size of its record. Real classes give fewer than 20,000
/// bytes.
pub const MAX_GIVEN_BYTES: usize = 64 << 10;

/// Factor by which the inherited content of an object may exceed its record, beyond the fixed
/// allowance.
pub const MAX_EXPANSION: usize = 64;

/// True if an object inherits more `bytes` than the allowance `most` and the length of its `record`
/// permit.
pub(crate) const fn gets_too_much(bytes: usize, most: usize, record: usize) -> bool {
    bytes > most.saturating_add(record.saturating_mul(MAX_EXPANSION))
}

/// Factor by which the decoded content, embedded objects included, may exceed the length of a
/// record.
pub const MAX_DECODED_FACTOR: usize = 16;

/// Depth of embedded objects within embedded objects.
pub const MAX_OBJECT_DEPTH: usize = 16;

/// Depth of nested namespaces, not counting `ROOT`. Real ones are 5 deep.
pub const MAX_NAMESPACE_DEPTH: usize = 128;

/// Length of the path of a namespace, in bytes. It is part of the path of each of its objects.
pub const MAX_NAMESPACE_BYTES: usize = 4096;

/// Length of an object path, in bytes.
pub const MAX_PATH_CHARS: usize = 1 << 16;

/// Levels of directories that are searched for repositories, below the one given. Windows keeps its
/// own five levels below the root of the drive.
pub const MAX_SEARCH_DEPTH: usize = 16;

/// Directory entries that a search for repositories examines: several times as many as a whole
/// Windows drive has.
pub const MAX_SEARCH_ENTRIES: u64 = 4_000_000;

/// Directories that wait in the queue of a search. This bounds its memory.
pub const MAX_SEARCH_PENDING: usize = 250_000;

/// Repositories that one search finds.
pub const MAX_SEARCH_FOUND: usize = 65_536;

/// Skipped places that a search lists; the rest are counted.
pub const MAX_SEARCH_NOTES: usize = 50;

/// Size of the largest MOF file that is read, in bytes. The whole DMTF schema has 4.2 MB.
pub const MAX_MOF_BYTES: usize = 256 << 20;

/// Depth of embedded objects within embedded objects in MOF.
pub const MAX_MOF_DEPTH: usize = 64;

/// Depth of nested includes of MOF files.
pub const MAX_MOF_INCLUDES: usize = 20;

/// Errors of one MOF file that are reported before reading stops.
pub const MAX_MOF_ERRORS: usize = 50;

/// Size to which a binary MOF may unpack, in bytes. The largest one seen has fewer than a million.
pub const MAX_BMF_BYTES: u64 = 64 << 20;

/// Length of the text of a query, in bytes.
pub const MAX_QUERY_BYTES: usize = 65_536;

/// Depth of nested parentheses and NOTs in a condition.
pub const MAX_CONDITION_DEPTH: usize = 256;

/// Terms of a condition.
pub const MAX_CONDITION_TERMS: usize = 4_096;

/// Columns of a query.
pub const MAX_QUERY_COLUMNS: usize = 1_024;

/// Parts of a column name in a query: the property, then properties inside the object that it
/// holds.
pub const MAX_QUERY_NAMES: usize = 16;

/// Length of a LIKE pattern, in characters.
pub const MAX_PATTERN_CHARS: usize = 4_096;
