//! Kinds of damage to a repository, as stable codes, and the finding that reports one of them.

use std::fmt;

use super::escape::guard;
use super::limits::MAX_DETAIL_BYTES;
use super::site::Site;

macro_rules! corruption_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $sentence:literal;)*) => {
        /// A kind of damage. Its text form, such as `index.key-order`, is stable; the numbers in
        /// the descriptions are the invariants of `docs::format`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum CorruptionCode {
            $($(#[$doc])* $variant,)*
        }

        impl CorruptionCode {
            /// Every code.
            pub const ALL: &'static [CorruptionCode] = &[$(CorruptionCode::$variant,)*];

            /// The stable text of the code.
            pub const fn as_str(self) -> &'static str {
                match self { $(CorruptionCode::$variant => $code,)* }
            }

            /// True if the damage neither loses nor hides anything for any reader, and the next
            /// compaction repairs it.
            pub const fn is_bookkeeping(self) -> bool {
                matches!(self, CorruptionCode::RecordLastWrite)
            }

            /// One sentence for an administrator.
            pub const fn sentence(self) -> &'static str {
                match self { $(CorruptionCode::$variant => $sentence,)* }
            }
        }
    };
}

corruption_codes! {
    /// A file of the repository is not there.
    FileMissing = "file.missing", "A file of the repository is missing";
    /// A mapping file ends before what it announces, or has no bytes.
    MappingTruncated = "mapping.truncated", "The mapping file ends too early";
    /// MAPPING.VER does not hold the number of a mapping file.
    MappingVersion = "mapping.version", "The file that says which mapping counts names none";
    /// A mapping file larger than the largest possible one, or one that describes more pages.
    MappingTooLarge = "mapping.too-large", "The mapping file is larger than that of the largest \
        repository there can be";
    /// 1: the signature 0xABCD.
    MappingSignature = "mapping.signature", "The file does not begin like a mapping file";
    /// 1: the footer 0xDCBA.
    MappingFooter = "mapping.footer", "The mapping file's closing mark is missing; it was written \
        only in part or changed";
    /// 2: a physical page mapped twice.
    MappingPageTwice = "mapping.page-twice", "Two logical pages claim the same place in the data \
        file";
    /// 2: a free page listed twice.
    MappingFreeTwice = "mapping.free-twice", "The list of free pages names a page twice";
    /// 2: a page both mapped and free.
    MappingMappedAndFree = "mapping.mapped-and-free", "A page in use is listed as free and could \
        be overwritten";
    /// 2: a page number beyond the page space.
    MappingPageOutside = "mapping.page-outside", "The mapping names a page beyond the size it \
        states";
    /// 2: a page neither mapped nor free.
    MappingPageLost = "mapping.page-lost", "A page is neither in use nor free; its space is lost";
    /// 3: a mapped page beyond the end of the data file.
    MappingBeyondFile = "mapping.beyond-file", "A page in use lies beyond the end of the data \
        file; the file was cut";
    /// 4: the previous generation is not one less.
    MappingPrevious = "mapping.previous-generation", "The mapping's own numbering is broken";
    /// 5: the sections disagree in transaction or generation.
    MappingSectionsDisagree = "mapping.sections-disagree", "The mapping's two halves belong to \
        different states of the repository";
    /// 6: a generation in the wrong file.
    MappingSlot = "mapping.slot", "The mapping file bears the wrong number for the state it holds; \
        it may have been renamed or copied";
    /// 6: a shutdown flag other than 0 and 1.
    MappingShutdownFlag = "mapping.shutdown-flag", "The mapping's shutdown flag has a value that \
        is never written";
    /// 6: bytes after the shutdown flag.
    MappingTrailingBytes = "mapping.trailing-bytes", "There are bytes after the end of the mapping";
    /// 7: an entry's stamp differs from the generation.
    MappingStamp = "mapping.stamp", "A part of the mapping belongs to another state; it was \
        written only in part";
    /// 7: an entry's last-write generation is 0 or in the future.
    MappingLastWrite = "mapping.last-write", "An entry of the mapping says it was written at an \
        impossible time";
    /// 8: the sampled page checksum.
    PageChecksum = "page.checksum", "The page is not the one that was written there: torn, \
        misplaced or changed";
    /// 9: the free bytes of a mapping entry.
    MappingFreeBytes = "mapping.free-bytes", "The mapping's count of free bytes does not fit the \
        page";
    /// 10: user data where none belongs.
    MappingUserData = "mapping.user-data", "The mapping holds a value where it is always zero";
    /// A page that the structure needs is not mapped to a place in the data file.
    PageUnmapped = "page.unmapped", "A page that is needed is not there";
    /// The root of the index is not a page.
    IndexRoot = "index.root", "The index has no usable root page";
    /// 11: the signature 0xACCC.
    IndexSignature = "index.signature", "The page is not an index page";
    /// 11: the page number stored in the page.
    IndexOwnPage = "index.own-page", "The index page says it is another page";
    /// 11: a reserved field.
    IndexReserved = "index.reserved-field", "The index page holds a value where it is always zero";
    /// 11: a node without keys.
    IndexNoKeys = "index.no-keys", "The index page holds no key";
    /// 11: tables that extend past the end of the page.
    IndexSize = "index.size", "The tables of the index page run over its end";
    /// 12: tokens not strictly sorted.
    IndexTokenOrder = "index.token-order", "The words of the index page are out of order; look-ups \
        may miss keys";
    /// 12: a token that no key uses.
    IndexTokenUnused = "index.token-unused", "The index page keeps a word that no key uses";
    /// 12: a gap or overlap in the token heap, or a token that is unterminated, empty, or contains
    /// a separator.
    IndexHeap = "index.heap", "The text area of the index page is damaged";
    /// 12: a gap or overlap in the definition table, or a token number out of range.
    IndexDefinition = "index.definition", "A key of the index page is damaged";
    /// 13: some children set and some not.
    IndexChildrenMixed = "index.children-mixed", "The index page is neither a leaf nor an inner \
        page";
    /// 13: leaves at different depths, or too many levels.
    IndexDepth = "index.depth", "The index is not evenly deep; a part of it hangs in the wrong \
        place";
    /// 14: keys not strictly ascending.
    IndexKeyOrder = "index.key-order", "Keys of the index are out of order; look-ups may miss \
        objects";
    /// 15: a page reached by two paths.
    IndexPageTwice = "index.page-twice", "Two places of the index lead to the same page";
    /// 15: a mapped page that nothing leads to.
    IndexPageUnreached = "index.page-unreached", "An index page is in use but nothing leads to it";
    /// 16: a node less than a third full.
    IndexUnderfull = "index.underfull", "An index page is emptier than the index allows";
    /// 17: a reference in the wrong form or place.
    KeyReference = "key.reference", "A key names its object in a wrong form";
    /// 18: a reference to a page that does not exist.
    ReferencePage = "reference.page", "A key names an object on a page that is not there; the \
        object is lost";
    /// 18: a reference to a record that does not exist.
    ReferenceRecord = "reference.record", "A key names an object that is not on its page; the \
        object is lost";
    /// 18: a reference with another size than the record's.
    ReferenceSize = "reference.size", "A key and the object it names disagree about its size";
    /// 19: a record that no key names.
    RecordOrphan = "record.orphan", "An object is stored but no key names it";
    /// 20: a table of contents that is not packed correctly.
    RecordPacking = "record.packing", "The table of contents of the page is damaged; objects on it \
        may be lost";
    /// 20: a record id that appears twice in a page.
    RecordIdTwice = "record.id-twice", "Two objects of a page bear the same number";
    /// 21: a record on several pages with pages missing or wrong.
    RecordMultiPage = "record.multi-page", "A large object does not have all its pages";
    /// 22: the check value of a record.
    RecordCheck = "record.check", "The object does not match its checksum; it was changed";
    /// 23: the chain of admin pages.
    AdminChain = "admin.chain", "The list of object pages is damaged";
    /// 23: an entry of an admin page.
    AdminEntry = "admin.entry", "The list of object pages does not describe the page";
    /// 23: a page that the admin pages do not list.
    AdminMissing = "admin.missing", "An object page is not in the list of object pages";
    /// 25: pages of a record with different last-write generations.
    RecordLastWrite = "record.last-write", "A large object was not written at once; nothing of it \
        is lost, and compacting mends it";
    /// 24: a record id that appears twice in the repository.
    RecordIdRepeated = "record.id-repeated", "Two objects of the repository bear the same number";
    /// The record of a class or of one of its superclasses cannot be decoded.
    RecordClass = "record.class", "The definition of a class is damaged; it and its instances \
        cannot be read";
    /// The record of an instance cannot be decoded.
    RecordInstance = "record.instance", "The record of an instance is damaged or does not fit to \
        its class";
    /// The record of a reference cannot be decoded.
    RecordReference = "record.referrer", "The record of a reference between instances is damaged";
    /// A record that is named by more keys than an object has, or that lies on the pages of others.
    RecordShared = "record.shared", "An object is named by a key that is not its own; it is read \
        once";
    /// A key in none of the forms that the keys of objects have.
    KeyShape = "key.shape", "A key has a form that no object's key has";
    /// A namespace that holds objects but that no other namespace names.
    NamespaceHidden = "namespace.hidden", "No other namespace names this one; nothing that walks \
        their tree shows what it holds";
    /// A key that an object requires is not stored.
    KeyMissing = "key.missing", "An object lacks one of its keys; not every look-up finds it";
    /// A stored key that no readable object requires.
    KeyUnexpected = "key.unexpected", "No object that can be read accounts for this key";
    /// A reference to an instance that does not exist.
    ReferenceDangling = "reference.dangling", "An instance refers to one that is not there";
    /// A reference record under the key of another reference.
    ReferenceContent = "reference.content", "The record of a reference names another instance than \
        its key";
    /// An instance without a value for its key.
    ObjectNoKey = "object.no-key", "An instance has no value for its key; no path leads to it";
    /// An instance whose stamp differs from that of its class.
    ObjectClassStamp = "object.class-stamp", "An instance was written under another state of its \
        class";
    /// A time stamp that two records bear.
    ObjectStampTwice = "object.stamp-twice", "Two objects bear the same time stamp";
    /// A qualifier that occurs twice in one set.
    SchemaQualifierTwice = "schema.qualifier-twice", "A qualifier is given twice";
    /// A stored qualifier with a flavor that is never stored.
    SchemaQualifierFlavor = "schema.qualifier-flavor", "A qualifier is marked as inherited where \
        it is declared";
    /// A qualifier that a superclass does not allow to be changed.
    SchemaQualifierOverride = "schema.qualifier-override", "A class changes a qualifier that its \
        superclass fixes";
    /// A `CIMTYPE` qualifier that is missing or contradicts the stored type.
    SchemaCimType = "schema.cimtype", "A property's CIMTYPE qualifier is missing or does not say \
        its type";
    /// A key property of a type that cannot be written in a path.
    SchemaKeyType = "schema.key-type", "A key property has a type that cannot be a key";
    /// The parameters of a method are not declared as the format demands.
    SchemaSignature = "schema.signature", "The parameters of a method are not declared as they \
        must be";
    /// An instance of an abstract class.
    SchemaAbstractInstance = "schema.abstract-instance", "A class that is abstract has an instance";
    /// An embedded object cannot be decoded.
    SchemaObject = "schema.object", "A value is an embedded object that cannot be read";
    /// A damaged header of a journal that holds commits, or a journal renamed or copied to another
    /// name.
    JournalHeader = "journal.header", "The journal's first bytes are damaged; what it committed is \
        unknown";
    /// A commit whose checksum is right but whose operations are invalid, or do not fit the state
    /// that it continues.
    JournalOperation = "journal.operation", "A commit in the journal holds an operation that is \
        never written";
    /// A journal that continues a generation or a commit that is missing.
    JournalUnplaced = "journal.unplaced", "The commits in the journal continue a state that is not \
        there";
}

impl fmt::Display for CorruptionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One piece of damage. [`verify`](mod@crate::verify) lists them, and a failed read returns one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Corruption {
    /// The kind of damage.
    pub code: CorruptionCode,
    /// The place.
    pub site: Site,
    /// Values found and values expected there; may be empty.
    pub detail: String,
}

impl Corruption {
    /// A finding. A detail longer than [`MAX_DETAIL_BYTES`] is cut and ends in `…`.
    pub fn new(code: CorruptionCode, site: Site, detail: impl Into<String>) -> Self {
        Self {
            code,
            site,
            detail: bounded(detail.into()),
        }
    }
}

fn bounded(mut detail: String) -> String {
    if detail.len() > MAX_DETAIL_BYTES {
        let end = (0..=MAX_DETAIL_BYTES)
            .rev()
            .find(|&end| detail.is_char_boundary(end));
        detail.truncate(end.unwrap_or(0));
        detail.push('…');
        detail.shrink_to_fit();
    }
    detail
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.site, self.code.sentence())?;
        if !self.detail.is_empty() {
            write!(f, " ({})", guard(&self.detail))?;
        }
        write!(f, " [{}]", self.code)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Corruption {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut row = serializer.serialize_struct("Corruption", 7)?;
        row.serialize_field("code", self.code.as_str())?;
        row.serialize_field("file", self.site.role.file_name())?;
        row.serialize_field("page", &self.site.page)?;
        row.serialize_field("physical_page", &self.site.physical)?;
        row.serialize_field("offset", &self.site.offset)?;
        row.serialize_field("sentence", self.code.sentence())?;
        row.serialize_field("detail", &self.detail)?;
        row.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::site::FileRole;
    use std::collections::HashSet;

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let detail = |text: &str| {
            Corruption::new(
                CorruptionCode::KeyReference,
                Site::file(FileRole::Index),
                text,
            )
            .detail
        };
        let fits = "x".repeat(MAX_DETAIL_BYTES);
        assert_eq!(detail(&fits), fits);
        assert_eq!(detail(&(fits.clone() + "y")), fits + "…");
        let umlauts = detail(&"ü".repeat(MAX_DETAIL_BYTES));
        assert!(umlauts.ends_with("ü…") && umlauts.len() <= MAX_DETAIL_BYTES + 3);
        let odd = detail(&format!("x{}", "ü".repeat(MAX_DETAIL_BYTES)));
        assert!(odd.ends_with("ü…") && odd.len() <= MAX_DETAIL_BYTES + 3);
    }

    #[test]
    fn codes_are_unique_and_well_formed() {
        let codes: HashSet<&str> = CorruptionCode::ALL
            .iter()
            .map(|code| code.as_str())
            .collect();
        assert_eq!(codes.len(), CorruptionCode::ALL.len());
        for code in CorruptionCode::ALL {
            let (area, what) = code.as_str().split_once('.').expect("a code has two parts");
            assert!(
                !area.is_empty() && what.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
                "{code}"
            );
            assert!(!code.sentence().ends_with('.'));
        }
    }
}
