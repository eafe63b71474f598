//! Errors and oddities of a binary MOF, with their places.

use std::fmt;

use thiserror::Error;

/// Bytes in which an offset of a [`BmfError`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BmfPlace {
    /// The container, from its first byte.
    Container,
    /// The body, unpacked.
    Body,
}

impl fmt::Display for BmfPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BmfPlace::Container => "of the container",
            BmfPlace::Body => "of the unpacked body",
        })
    }
}

/// Why a binary MOF, or an object in it, cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum BmfFault {
    /// The signature is missing.
    #[error("no binary MOF begins here")]
    Signature,
    /// The version of the container is not 1.
    #[error("the version is {0}; only version 1 is known")]
    Version(u32),
    /// The bytes end before the structure does.
    #[error("the data is cut off")]
    CutOff,
    /// The body would be larger than its compressed data, or the engine, allows.
    #[error("the body claims {claimed} bytes; at most {max} are possible")]
    TooLarge {
        /// Length in the header, in bytes.
        claimed: u64,
        /// The bound, in bytes.
        max: u64,
    },
    /// The compressed data does not begin as such.
    #[error("the compressed data does not begin with DS 00 01")]
    Compression,
    /// A match that reaches back to where nothing was written, or has no distance or length.
    #[error("a copy in the compressed data leads nowhere")]
    Copy,
    /// More was unpacked than the header says.
    #[error("the compressed data holds more than the header says")]
    Overflow,
    /// A mark that is missing, or stands where none belongs.
    #[error("a block of the compressed data does not end where it must")]
    Mark,
    /// A part does not lie inside the part that holds it, or overlaps its neighbour.
    #[error("a part does not lie inside the one that holds it, or overlaps its neighbour")]
    Bounds,
    /// A text has no end.
    #[error("a text has no end")]
    Text,
    /// A number that is no CIM type.
    #[error("{0:#x} is no type")]
    Type(u32),
    /// A number that is no kind of object.
    #[error("{0} is no kind of object")]
    Kind(u32),
    /// An object without `__CLASS`.
    #[error("the object does not name its class")]
    NoClass,
    /// A method whose value is not one or two lists of parameters.
    #[error("the parameters of a method cannot be read")]
    Parameters,
    /// More embedded objects within each other than the engine accepts.
    #[error("objects are nested more than {0} deep")]
    Depth(usize),
    /// An instance whose properties make no class: too many, or one of them twice.
    #[error("the properties of the object do not make a class")]
    Properties,
    /// The table of flavors cannot be read, or names what is no qualifier.
    #[error("the table of flavors is damaged")]
    Flavors,
}

/// Error in a binary MOF, with its place. Its code in MOF is `WBEMMOF_E_INVALID_FILE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[error("offset {offset:#x} {place}: {fault}")]
pub struct BmfError {
    /// Bytes in which the offset counts.
    pub place: BmfPlace,
    /// Where, in bytes.
    pub offset: usize,
    /// Its kind.
    pub fault: BmfFault,
}

impl BmfError {
    pub(super) const fn container(offset: usize, fault: BmfFault) -> Self {
        Self {
            place: BmfPlace::Container,
            offset,
            fault,
        }
    }

    pub(super) const fn body(offset: usize, fault: BmfFault) -> Self {
        Self {
            place: BmfPlace::Body,
            offset,
            fault,
        }
    }
}

/// Something that no known binary MOF has and that nothing is lost by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BmfRemark {
    /// A number in a header that is otherwise always 1.
    Constant,
    /// A copy of the compressed data that crosses the end of a block.
    Crossing,
    /// Bytes that belong to nothing.
    Spare,
    /// A text with half a surrogate pair, which became U+FFFD.
    Surrogate,
    /// A system property that is not known, or that has another type.
    SystemProperty,
    /// An alias within an embedded object, which MOF does not allow; it was kept as a text.
    Alias,
}

impl fmt::Display for BmfRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BmfRemark::Constant => "a number that is otherwise always 1 is another",
            BmfRemark::Crossing => "a copy crosses the end of a block",
            BmfRemark::Spare => "there are bytes that belong to nothing",
            BmfRemark::Surrogate => "a text has half a surrogate pair, shown as U+FFFD",
            BmfRemark::SystemProperty => "a system property is not known and was left out",
            BmfRemark::Alias => "an alias in an embedded object was kept as a text",
        })
    }
}

/// A remark and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BmfNote {
    /// Bytes in which the offset counts.
    pub place: BmfPlace,
    /// Where, in bytes.
    pub offset: usize,
    /// Its kind.
    pub remark: BmfRemark,
}

impl fmt::Display for BmfNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "offset {:#x} {}: {}",
            self.offset, self.place, self.remark
        )
    }
}
