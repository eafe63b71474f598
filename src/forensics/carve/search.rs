//! The search itself: over every region, classes first, then what is decoded with them.

use std::sync::Arc;

use crate::base::error::Result;
use crate::base::page_no::{PAGE_SIZE, PageBytes, PhysicalPage, Space};
use crate::base::progress::Monitor;
use crate::base::{narrow, widen};
use crate::cim::full_class::FullClass;
use crate::cim::instance::Instance;
use crate::cim::name::Name;
use crate::format::Dialect;
use crate::format::checksum::crc32;
use crate::format::heap::page::{Descriptor, MULTI_PAGE_OFFSET};
use crate::format::name_hash::NameHash;
use crate::format::record::class_record::ClassRecordView;
use crate::format::record::instance_record::InstanceRecordView;
use crate::format::record::reference_record::ReferenceRecordView;

use super::classes::{ClassBook, ClassSource, OldClass};
use super::evidence::{Evidence, Pages};
use super::found::{Found, FoundSet};
use super::keys::OldKeys;
use super::live::{Digests, Live, stamps_of};
use super::multi::Chains;
use super::place::Place;
use super::regions::{Piece, Region, Regions, index_slack};
use super::scan::{Hit, hits};
use super::{Certainty, Counts, Kind};

/// A record that a table of contents, or a mapping, vouches for; or mere bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Warrant {
    /// A checksum over the whole record.
    Checksum,
    /// A table of contents, or a mapping.
    Table,
    /// Pages that were put together by trying.
    Guess,
    /// Nothing but the bytes.
    Bytes,
}

/// Everything that the search knows.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) evidence: Evidence,
    pub(super) regions: Regions,
    pub(super) live: Live,
    pub(super) old_keys: OldKeys,
    pub(super) book: ClassBook,
    pub(super) digests: Digests,
    pub(super) found: FoundSet,
    pub(super) counts: Counts,
}

impl Search {
    /// Searches everything twice: for classes, then for instances and references.
    pub(super) fn run(&mut self, monitor: &Monitor<'_>) -> Result<()> {
        let heads = self.pass(Kind::Class, monitor)?;
        let assembled = self.assemble(&heads, monitor)?;
        self.take_assembled(&assembled, true);
        self.pass(Kind::Instance, monitor)?;
        self.take_assembled(&assembled, false);
        Ok(())
    }

    /// One pass over both files. Gives the first pages of records on several pages.
    fn pass(&mut self, wanted: Kind, monitor: &Monitor<'_>) -> Result<Vec<(Place, Descriptor)>> {
        let mut heads = Vec::new();
        for space in Space::ALL {
            let mut number = 0;
            let pages = self.evidence.pages(space);
            let mut block: Vec<(PhysicalPage, Option<Box<PageBytes>>)> = Vec::new();
            while number < pages {
                monitor.advance(1)?;
                block.clear();
                self.fill(space, number, &mut block);
                number = number.saturating_add(narrow(block.len()).max(1));
                for (page, bytes) in &block {
                    match bytes {
                        Some(bytes) => self.page(space, *page, bytes, wanted, &mut heads),
                        None => self.counts.unreadable += 1,
                    }
                }
            }
        }
        Ok(heads)
    }

    /// Copies some pages, so that what is found can be noted while they are looked at.
    fn fill(
        &self,
        space: Space,
        first: u32,
        block: &mut Vec<(PhysicalPage, Option<Box<PageBytes>>)>,
    ) {
        const PAGES: usize = 32;
        let mut pages = Pages::starting_at(&self.evidence, space, first);
        while let Some((page, bytes)) = pages.advance() {
            block.push((page, bytes.map(|bytes| Box::new(*bytes))));
            if block.len() == PAGES {
                return;
            }
        }
    }

    fn page(
        &mut self,
        space: Space,
        page: PhysicalPage,
        bytes: &PageBytes,
        wanted: Kind,
        heads: &mut Vec<(Place, Descriptor)>,
    ) {
        if space == Space::Index {
            let (region, offset, slack) = index_slack(bytes);
            self.bytes((space, page, region, offset), slack, wanted);
            return;
        }
        for piece in self.regions.pieces(page, bytes) {
            match piece {
                Piece::Record(region, descriptor, record) => {
                    let place = Place {
                        space,
                        pages: vec![page],
                        offset: descriptor.offset,
                        size: descriptor.size,
                        region,
                        record_id: Some(descriptor.id),
                    };
                    let warrant = self.warrant(record, &descriptor);
                    self.record(
                        record,
                        place,
                        kind_of(record, self.evidence.dialect),
                        wanted,
                        warrant,
                    );
                }
                Piece::Head(region, head) => heads.push((
                    Place {
                        space,
                        pages: vec![page],
                        offset: narrow(MULTI_PAGE_OFFSET),
                        size: head.size,
                        region,
                        record_id: Some(head.id),
                    },
                    head,
                )),
                Piece::Bytes(region, offset, rest) => {
                    self.bytes((space, page, region, offset), rest, wanted);
                }
            }
        }
    }

    fn warrant(&self, record: &[u8], descriptor: &Descriptor) -> Warrant {
        match self.evidence.dialect {
            Dialect::V21 if crc32(record) == descriptor.check => Warrant::Checksum,
            _ => Warrant::Table,
        }
    }

    /// Looks for records in bytes that no table explains.
    fn bytes(
        &mut self,
        (space, page, region, start): (Space, PhysicalPage, Region, usize),
        bytes: &[u8],
        wanted: Kind,
    ) {
        if bytes.iter().all(|byte| *byte == 0) {
            return;
        }
        if wanted == Kind::Class {
            self.counts.looked_at(region, 1);
        }
        let (hits, is_cut) = hits(bytes, self.evidence.dialect);
        self.counts.cut += u32::from(is_cut && wanted == Kind::Class);
        let mut end = 0;
        // What overlaps costs again and again: a page of garbage is given up after a while.
        let mut budget = 16 * PAGE_SIZE;
        for Hit {
            offset,
            length,
            kind,
        } in hits
        {
            let is_wanted = (kind == Kind::Class) == (wanted == Kind::Class);
            let Some(record) = bytes.get(offset..offset + length) else {
                continue;
            };
            if !is_wanted || offset < end {
                continue;
            }
            if budget < length {
                self.counts.cut += 1;
                return;
            }
            budget -= length;
            let place = Place {
                space,
                pages: vec![page],
                offset: narrow(start + offset),
                size: narrow(length),
                region,
                record_id: None,
            };
            if self.record(record, place, kind, wanted, Warrant::Bytes) {
                end = offset + length;
            }
        }
    }

    /// Takes a record if it is one and of the kind wanted; says whether it was proven.
    fn record(
        &mut self,
        record: &[u8],
        place: Place,
        kind: Kind,
        wanted: Kind,
        warrant: Warrant,
    ) -> bool {
        if (kind == Kind::Class) != (wanted == Kind::Class) {
            return false;
        }
        let digest = (self.digests.of(record), record.len());
        if self.live.has_record(record, &self.digests) {
            self.counts.same += u32::from(place.region != Region::Mapped);
            return true;
        }
        if self.found.note(digest, &place) {
            return true;
        }
        let found = match kind {
            Kind::Class => self.class(record, &place, warrant),
            Kind::Instance => self.instance(record, &place, warrant),
            _ => reference(record, &place, warrant),
        };
        match found {
            Some(found) => {
                self.found.add(digest, found);
                true
            }
            None => {
                self.counts.undecoded += u32::from(warrant != Warrant::Bytes);
                false
            }
        }
    }

    fn class(&mut self, record: &[u8], place: &Place, warrant: Warrant) -> Option<Found> {
        let view = ClassRecordView::parse(record).ok()?;
        let name = Name::from(view.class_part().name().ok()??);
        let superclass = view.superclass().ok()?.map(Name::from);
        let is_proven = view.is_packed().unwrap_or(false) || self.fits(&view, superclass.as_ref());
        if !is_proven && warrant != Warrant::Checksum {
            return None;
        }
        let number = self.book.add(OldClass {
            place: place.clone(),
            name: name.clone(),
            superclass,
            stamp: view.stamp(),
            home: None,
        });
        let mut found = Found::new(Kind::Class, place.clone(), certainty(warrant));
        found.stamp = Some(view.stamp());
        found.class = Some(name.as_str().to_owned());
        found.source = Some(ClassSource::Old(number));
        Some(found)
    }

    /// True if a class is laid out as a superclass of the name it gives wants it.
    fn fits(&mut self, view: &ClassRecordView<'_>, superclass: Option<&Name>) -> bool {
        let Some(superclass) = superclass else {
            return false;
        };
        let name = NameHash::of(self.evidence.dialect, superclass.as_str());
        for source in self.book.of_name(&self.live, name) {
            let parent = self.book.class(&self.evidence, &self.live, source);
            let exact = parent.and_then(|parent| view.to_exact(Some(parent)).ok());
            if exact.is_some_and(|(_, notes)| {
                notes.class.heap.is_in_order() && notes.methods.heap.is_in_order()
            }) {
                return true;
            }
        }
        false
    }

    fn instance(&mut self, record: &[u8], place: &Place, warrant: Warrant) -> Option<Found> {
        let view = InstanceRecordView::parse(record, self.evidence.dialect).ok()?;
        let hash = view.class_hash().ok()?;
        let by_stamp = self.book.of_stamp(&self.live, view.class_stamp(), hash);
        let by_name = self.book.of_name(&self.live, hash);
        let sources = by_stamp.iter().map(|source| (*source, true));
        let named = by_name.iter().map(|source| (*source, false));
        let mut decoded = None;
        for (source, is_proof) in sources.chain(named) {
            let class = self.book.class(&self.evidence, &self.live, source);
            if let Some(instance) = class.and_then(|class| canonical(&view, &class)) {
                decoded = Some((source, is_proof, instance));
                break;
            }
        }
        let mut found = Found::new(Kind::Instance, place.clone(), certainty(warrant));
        found.stamp = Some(view.stamp());
        found.class_stamp = Some(view.class_stamp());
        match decoded {
            Some((source, is_proof, instance)) => {
                if !is_proof && warrant != Warrant::Checksum {
                    found.certainty = Certainty::Probable;
                    found.why.push(
                        "decoded with a class of that name that was written at another time"
                            .to_owned(),
                    );
                }
                found.source = Some(source);
                found.is_by_stamp = is_proof;
                self.describe(&mut found, &instance);
            }
            None if warrant == Warrant::Checksum => {
                found.why.push("its class is lost".to_owned());
            }
            None if warrant == Warrant::Table && by_stamp.is_empty() && by_name.is_empty() => {
                found.certainty = Certainty::Probable;
                found.why.push("its class is lost".to_owned());
            }
            None => return None,
        }
        Some(found)
    }

    /// Notes class, path and identity of a decoded instance.
    fn describe(&self, found: &mut Found, instance: &Instance) {
        let dialect = self.evidence.dialect;
        let class = instance.class();
        found.class = Some(class.name().as_str().to_owned());
        found.path = instance.path().ok().map(|path| path.text());
        if let (Some(declares), Ok(key)) = (class.key_class(), instance.key_text()) {
            let declares = NameHash::of(dialect, declares.name().as_str());
            found.identity = Some((declares, NameHash::of(dialect, &key)));
        }
    }

    /// Puts records on several pages together.
    fn assemble(
        &mut self,
        heads: &[(Place, Descriptor)],
        monitor: &Monitor<'_>,
    ) -> Result<Vec<(Place, bool)>> {
        let mut chains = Chains::new(&self.evidence, &self.regions);
        let mut found = Vec::new();
        for (place, head) in heads {
            monitor.check()?;
            match chains.of(place, head) {
                Some(joined) => found.push(joined),
                None => self.counts.incomplete += 1,
            }
        }
        self.counts.cut += u32::from(chains.was_cut());
        Ok(found)
    }

    fn take_assembled(&mut self, assembled: &[(Place, bool)], classes: bool) {
        for (place, is_proven) in assembled {
            let Some(record) = place.bytes(&self.evidence) else {
                continue;
            };
            let kind = kind_of(&record, self.evidence.dialect);
            let warrant = match (is_proven, self.evidence.dialect) {
                (true, Dialect::V21) => Warrant::Checksum,
                (true, Dialect::V22) => Warrant::Table,
                (false, _) => Warrant::Guess,
            };
            let wanted = if classes { Kind::Class } else { Kind::Instance };
            self.record(&record, place.clone(), kind, wanted, warrant);
        }
    }
}

/// The instance in a record of this class, if its heap has no gap.
fn canonical(view: &InstanceRecordView<'_>, class: &Arc<FullClass>) -> Option<Instance> {
    let (instance, notes) = view.to_exact(class).ok()?;
    notes.heap.is_in_order().then_some(instance)
}

fn reference(record: &[u8], place: &Place, warrant: Warrant) -> Option<Found> {
    let view = ReferenceRecordView::parse(record).ok()?;
    let reference = view.to_reference().ok()?;
    let mut found = Found::new(Kind::Reference, place.clone(), certainty(warrant));
    found.class = Some(reference.class);
    Some(found)
}

const fn certainty(warrant: Warrant) -> Certainty {
    match warrant {
        Warrant::Guess => Certainty::Probable,
        Warrant::Checksum | Warrant::Table | Warrant::Bytes => Certainty::Certain,
    }
}

/// The kind that the head of a record looks like.
pub(super) fn kind_of(record: &[u8], dialect: Dialect) -> Kind {
    match stamps_of(record, dialect) {
        Some((_, Some(_))) => Kind::Instance,
        _ if ReferenceRecordView::parse(record).is_ok_and(|view| view.to_reference().is_ok()) => {
            Kind::Reference
        }
        _ => Kind::Class,
    }
}

/// A class part has its length at this offset of its record.
pub(super) fn class_part_at(record: &[u8]) -> Option<usize> {
    let units = widen(crate::format::bytes::u32_at(record, 0)?);
    units.checked_mul(2)?.checked_add(12)
}
