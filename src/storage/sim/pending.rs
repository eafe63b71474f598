//! Operations that have not been synced.

use std::fmt;
use std::sync::Arc;

use super::image::{Piece, Sector};

/// Identifies a file or directory, independently of its name: an index into the nodes of the disk.
/// Never reused.
pub(super) type NodeId = usize;

pub(super) type Name = Arc<str>;

/// The place of a name: a directory and the name in it.
pub(super) type Slot = (NodeId, Name);

/// A change of a file.
#[derive(Clone)]
pub(super) enum FileOp {
    Sector(Piece, Arc<Sector>),
    SetLen(usize),
    /// A write extended the file, starting at `from`.
    Extend {
        from: usize,
        to: usize,
    },
}

/// A change of directory entries.
#[derive(Clone)]
pub(super) enum EntryOp {
    Link(Slot, NodeId),
    Unlink(Slot),
    Rename { from: Slot, to: Slot, node: NodeId },
}

impl EntryOp {
    /// The places that it changes.
    pub(super) fn slots(&self) -> (&Slot, Option<&Slot>) {
        match self {
            EntryOp::Link(slot, _) | EntryOp::Unlink(slot) => (slot, None),
            EntryOp::Rename { from, to, .. } => (from, Some(to)),
        }
    }

    pub(super) fn touches(&self, wanted: impl Fn(&Slot) -> bool) -> bool {
        let (first, second) = self.slots();
        wanted(first) || second.is_some_and(wanted)
    }

    /// The node that receives a name.
    pub(super) fn node(&self) -> Option<NodeId> {
        match self {
            EntryOp::Link(_, node) | EntryOp::Rename { node, .. } => Some(*node),
            EntryOp::Unlink(_) => None,
        }
    }
}

impl fmt::Display for FileOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileOp::Sector(piece, _) => {
                write!(f, "write of {} bytes at {}", piece.len(), piece.offset())
            }
            FileOp::SetLen(len) => write!(f, "length {len}"),
            FileOp::Extend { to, .. } => write!(f, "extension to {to}"),
        }
    }
}

impl fmt::Display for EntryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntryOp::Link((_, name), _) => write!(f, "creation of {name}"),
            EntryOp::Unlink((_, name)) => write!(f, "removal of {name}"),
            EntryOp::Rename {
                from: (_, from),
                to: (_, to),
                ..
            } => write!(f, "renaming of {from} to {to}"),
        }
    }
}
