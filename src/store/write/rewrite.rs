//! Rewriting of all keys and records of a state into as few pages as they need.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::page_no::{LogicalPage, PageBytes, RecordRef, Space};
use crate::base::random::UniqueIds;
use crate::btree::build::IndexBuilder;
use crate::btree::scan::{Direction, KeyRange, Scan};
use crate::format::index::key;
use crate::format::index::key::Key;
use crate::heap::build::HeapBuilder;
use crate::heap::layout::Records;
use crate::heap::record;
use crate::pager::state::image::Image;

/// Receives the new pages: space, logical page, bytes, and free bytes as stated in the mapping.
pub(super) type PageSink<'s> = dyn FnMut(Space, LogicalPage, &PageBytes, u32) -> Result<()> + 's;

/// The result of a rewrite.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rewritten {
    /// The root of the new index.
    pub root: LogicalPage,
    /// Number of keys.
    pub keys: u64,
    /// Number of records.
    pub records: u64,
}

/// Writes the content of `image` into new pages. Records get new places and fresh ids from the
/// sequence, as a replaced record does, and their keys get the new references. Records of
/// neighbouring keys lie near each other.
///
/// Fails on any damage, and on a record that no key names, because it would be lost. In that case
/// nothing that was written counts.
pub(super) fn rewrite(
    image: &Arc<Image>,
    ids: UniqueIds,
    sink: &mut PageSink<'_>,
) -> Result<Rewritten> {
    let mut rewriting = Rewriting {
        image,
        heap: HeapBuilder::new(ids),
        index: IndexBuilder::new(),
        moved: HashMap::new(),
        keys: 0,
        sink,
    };
    rewriting.all_keys()?;
    rewriting.need_no_orphan()?;
    let Rewriting {
        heap,
        index,
        moved,
        keys,
        sink,
        ..
    } = rewriting;
    heap.finish(&mut |page, bytes, free| sink(Space::Objects, page, bytes, free))?;
    let (root, _) = index.finish(&mut |page, bytes| sink(Space::Index, page, bytes, 0))?;
    Ok(Rewritten {
        root,
        keys,
        records: moved.len() as u64,
    })
}

struct Rewriting<'r, 's> {
    image: &'r Arc<Image>,
    heap: HeapBuilder,
    index: IndexBuilder,
    /// The new address of each record.
    moved: HashMap<RecordRef, RecordRef>,
    keys: u64,
    sink: &'r mut PageSink<'s>,
}

impl Rewriting<'_, '_> {
    /// Writes all keys, which come in the order of the old references. The new references can
    /// change the order only among keys that are equal before the reference. Those are adjacent, so
    /// each such group is sorted again.
    fn all_keys(&mut self) -> Result<()> {
        let mut scan = Scan::new(self.image.clone(), KeyRange::all(), Direction::Forward);
        let (mut stem, mut group) = (Vec::new(), Vec::new());
        while let Some(old) = scan.next_text() {
            let old = old?;
            let named = key::reference(old).map_err(|_| {
                let site = crate::base::site::Site::file(crate::base::site::FileRole::Index);
                Corruption::new(
                    CorruptionCode::KeyReference,
                    site,
                    Key::new(old).to_string(),
                )
            })?;
            let length = memchr::memchr(b'.', old).unwrap_or(old.len());
            let (old_stem, _) = old.split_at(length);
            if old_stem != stem {
                self.put_group(&mut group)?;
                stem.clear();
                stem.extend_from_slice(old_stem);
            }
            let mut text = old_stem.to_vec();
            if let Some(reference) = named {
                text.extend_from_slice(format!(".{}", self.place(reference)?).as_bytes());
            }
            group.push(text);
        }
        self.put_group(&mut group)
    }

    fn put_group(&mut self, group: &mut Vec<Vec<u8>>) -> Result<()> {
        group.sort_unstable();
        for key in group.drain(..) {
            self.keys += 1;
            let sink = &mut self.sink;
            self.index
                .push(&key, &mut |page, bytes| sink(Space::Index, page, bytes, 0))?;
        }
        Ok(())
    }

    /// The new address of a record. The record is stored when its first key comes.
    fn place(&mut self, old: RecordRef) -> Result<RecordRef> {
        if let Some(new) = self.moved.get(&old) {
            return Ok(*new);
        }
        let bytes = record::record(self.image, old)?;
        let sink = &mut self.sink;
        let new = self.heap.push(&bytes, &mut |page, bytes, free| {
            sink(Space::Objects, page, bytes, free)
        })?;
        self.moved.insert(old, new);
        Ok(new)
    }

    fn need_no_orphan(&self) -> Result<()> {
        for record in Records::new(self.image.clone()) {
            let record = record?;
            if !self.moved.contains_key(&record) {
                let site = self.image.site(Space::Objects, record.page);
                let detail = format!(
                    "record {}, {} bytes; it would be lost",
                    record.id, record.size
                );
                return Err(Error::from(Corruption::new(
                    CorruptionCode::RecordOrphan,
                    site,
                    detail,
                )));
            }
        }
        Ok(())
    }
}
